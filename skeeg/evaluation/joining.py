"""Data sets of several montages, rates and windows as one: what learns from one is tested on another."""

from __future__ import annotations

import numpy as np

from skeeg.evaluation.checks import check_data
from skeeg.preprocessing import Resampler
from skeeg.trials import EEGArray, channel_key, channel_map, typical_scale, warn_user

_ANOTHER_UNIT = 100  # between the loudness of two data sets; recorders and references differ by a few times


def join_datasets(datasets) -> tuple:
    """Join data sets into one, for ``compare(..., cv="cross-dataset")``.

    What all have stays: channels by name, whatever their spelling and order, and the window of time after the
    event. Trials are resampled to the lowest rate.

    Parameters
    ----------
    datasets : dict of str -> (X, y, metadata)
        At least two, by name, each as `compare` takes it; X knows its channel names and sampling rate
        (``EEGArray`` or Epochs). y may be None where X has labels.

    Returns
    -------
    X : EEGArray, shape (n_trials, n_chans, n_times)
        Trials of all, one data set after the other, with the channel names of the first.
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame, n_trials rows
        ``dataset``, ``subject`` ("name/subject": person 1 of one is not person 1 of another), and ``session``
        and ``run`` where all have them.

    Raises
    ------
    ValueError
        Names or rates are not known, fewer than two channels or less than 0.1 s are in all, or the labels
        are not the same.

    Warns
    -----
    UserWarning
        Channels are left out, ``tmin`` is known of some trials alone, or one is a hundred times as loud as
        another: volts beside microvolts.

    Notes
    -----
    A trial whose ``tmin`` is not known is taken to begin at its event. Bands are not made equal: what was
    filtered to 8-30 Hz stays so.

    See Also
    --------
    compare : With ``cv="cross-dataset"``, each is tested by what was trained on the others.

    Examples
    --------
    >>> from skeeg.datasets import load_motor_imagery, make_motor_imagery
    >>> from skeeg.evaluation import join_datasets
    >>> real = load_motor_imagery(subjects=[1, 2])
    >>> made = make_motor_imagery(2, 16, n_chans=11, random_state=0)
    >>> X, y, metadata = join_datasets({"real": real, "made": made})
    >>> X.shape, X.sfreq, metadata["subject"].unique().tolist()
    ((122, 11, 500), 125.0, ['real/1', 'real/2', 'made/1', 'made/2'])
    """
    import pandas as pd

    if not isinstance(datasets, dict) or len(datasets) < 2:
        raise ValueError("join_datasets takes a dict of at least two data sets, name -> (X, y, metadata)")
    checked = {str(name): _checked(name, dataset) for name, dataset in datasets.items()}
    keys = {name: [channel_key(c) for c in X.ch_names] for name, (X, _, _) in checked.items()}
    first = next(iter(checked))
    common = [
        channel
        for channel, key in zip(checked[first][0].ch_names, keys[first], strict=True)
        if all(key in of_set for of_set in keys.values())
    ]
    if len(common) < 2:
        raise ValueError(
            f"the data sets have {len(common)} channels in common ({common}); {first} has "
            f"{list(checked[first][0].ch_names)[:20]}. Give channels their names of the 10-05 system"
        )
    labels = {name: np.unique(y).tolist() for name, (_, y, _) in checked.items()}
    if any(found != labels[first] for found in labels.values()):
        raise ValueError(f"the data sets do not have the same labels: {labels}. Name them alike")
    sfreq = min(X.sfreq for X, _, _ in checked.values())
    unknown = [name for name, (X, _, _) in checked.items() if X.tmin is None]
    if unknown and any(X.tmin for X, _, _ in checked.values()):
        warn_user(
            f"{', '.join(unknown)}: when trials begin is not known, and taken to be at the event, while "
            "others say it. Where that is wrong, give skeeg.EEGArray(..., tmin=), in s after the event"
        )
    starts = {name: 0.0 if X.tmin is None else X.tmin for name, (X, _, _) in checked.items()}
    start = max(starts.values())
    end = min(starts[name] + X.shape[2] / X.sfreq for name, (X, _, _) in checked.items())
    n_times = int(np.floor((end - start) * sfreq + 1e-6))
    if n_times < 0.1 * sfreq:
        raise ValueError(
            f"the data sets have no window in common: they begin at {starts} s after the event, and one "
            f"ends at {end:g} s"
        )
    parts, tables = [], []
    for name, (X, _, metadata) in checked.items():
        matrix = channel_map(X.ch_names, common)
        trials = np.asarray(X) if matrix is None else np.einsum("kc,tcs->tks", matrix, np.asarray(X))
        if X.sfreq != sfreq:
            trials = Resampler(sfreq, sfreq=X.sfreq).fit_transform(trials)
        begin = min(round((start - starts[name]) * sfreq), trials.shape[2] - n_times)
        parts.append(np.asarray(trials[:, :, begin : begin + n_times], dtype=np.float32))
        known = set(map(channel_key, common))
        if left := [channel for channel in X.ch_names if channel_key(channel) not in known]:
            warn_user(f"{name}: channels that the others lack are left out: {', '.join(left)}")
        kept = [column for column in ("session", "run") if all(column in m for _, _, m in checked.values())]
        subjects = [f"{name}/{subject}" for subject in metadata["subject"]]
        tables.append(metadata[kept].assign(dataset=name, subject=subjects))
    scales = {name: typical_scale(part) for name, part in zip(checked, parts, strict=True)}
    if max(scales.values()) > _ANOTHER_UNIT * min(scales.values()):
        told = ", ".join(f"{name} {scale:.3g}" for name, scale in scales.items())
        warn_user(f"the data sets differ in loudness ({told}): perhaps one is in volts; give µV")
    y = np.concatenate([y for _, y, _ in checked.values()])
    X = EEGArray(np.concatenate(parts), float(sfreq), common, y, start)
    return X, y, pd.concat(tables, ignore_index=True)


def _checked(name, dataset):
    if not isinstance(dataset, (tuple, list)) or len(dataset) != 3:
        raise ValueError(f"datasets[{name!r}] must be (X, y, metadata)")
    try:
        X, y, metadata = check_data(*dataset)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if getattr(X, "sfreq", None) is None or getattr(X, "ch_names", None) is None:
        raise ValueError(f"{name}: X does not know its channel names and rate; give Epochs or skeeg.EEGArray")
    return X, y, metadata
