"""A user's own trials, from ``.fif`` and ``.npz`` files."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from skeeg.trials import Trials, as_trials

_COLUMNS = ("subject", "session", "run")
_BIDS_ENTITIES = {"subject": "sub", "session": "ses", "run": "run"}


def load_epochs(paths):
    """Load trials from files.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        ``.fif`` files of ``mne.Epochs.save`` (good EEG channels are read, volts become µV, labels are the
        names of ``event_id``) and ``.npz`` files of ``numpy.savez`` with ``X`` (n_trials, n_chans, n_times)
        in µV, ``y`` (n_trials,) and, optionally, ``sfreq``, ``ch_names`` (n_chans,), ``subject``,
        ``session`` and ``run`` (one value a file or a trial).

    Returns
    -------
    X : EEGArray or ndarray of float32, shape (n_trials, n_chans, n_times)
        Trials in µV, channels in the order of the first file.
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame
        Columns ``subject``, ``session``, ``run``: from the file (``Epochs.metadata`` in ``.fif``), else from
        a name like ``sub-01_ses-2_run-3_epo.fif``, else the file's name and "1". Text where files name them
        so.

    Raises
    ------
    FileNotFoundError
        When a file does not exist.
    ValueError
        When a file is of another kind, lacks X or y, holds pickled objects, does not fit the first one
        in channels, sampling rate, length or kind of labels, is given twice, or has a name of the same
        subject, session and run as another one.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from skeeg.datasets import load_epochs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("anna", "ben"):
    ...         np.savez(f"{folder}/{name}.npz", X=np.ones((2, 3, 50)), y=["rest", "feet"], sfreq=100)
    ...     X, y, metadata = load_epochs([f"{folder}/anna.npz", f"{folder}/ben.npz"])
    >>> X.shape, X.sfreq, metadata["subject"].tolist()
    ((4, 3, 50), 100.0, ['anna', 'anna', 'ben', 'ben'])
    """
    import pandas as pd

    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    if not paths:
        raise ValueError("paths is empty: give at least one file")
    resolved = [path.resolve() for path in paths]
    if twice := sorted({str(path) for path in resolved if resolved.count(path) > 1}):
        raise ValueError(f"{twice} are given twice; the same trials would train and test")
    parts, tables, paths_of_names = [], [], {}
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not a file")
        if path.suffix not in (".fif", ".npz") and path.suffixes[-2:] != [".fif", ".gz"]:
            raise ValueError(f"{path} is neither a .fif nor a .npz file")
        try:
            trials, origin = (_read_npz if path.suffix == ".npz" else _read_fif)(path)
            parts.append(_fitted_to(parts[0], trials) if parts else trials)
        except (ValueError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: {error}") from error
        name = _origin_of_name(path)
        other = paths_of_names.setdefault(tuple(name.values()), path)
        if other is not path and "subject" not in origin:
            raise ValueError(
                f"{path} and {other} have names of the same subject, session and run, {name}; rename one "
                "of them, or store the subject in the files"
            )
        tables.append(pd.DataFrame(name | origin, index=range(len(trials.data))))
    first = parts[0]._replace(labels=None)
    X = first.wrap(np.concatenate([part.data for part in parts]))
    y = np.concatenate([part.labels for part in parts])
    return X, y, pd.concat(tables, ignore_index=True)[list(_COLUMNS)]


def _read_fif(path):
    import mne

    epochs = mne.read_epochs(path, verbose="error")
    known = {} if epochs.metadata is None else epochs.metadata
    return as_trials(epochs), {name: known[name].to_numpy() for name in _COLUMNS if name in known}


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
    except ValueError as error:
        raise ValueError(
            f"cannot be read without pickle ({error}); save numbers and text, not dtype=object"
        ) from error
    if missing := [key for key in ("X", "y") if key not in content]:
        raise ValueError(f"lacks {missing}; it holds {sorted(content)}")
    data, labels = as_trials(content["X"]).data, content["y"]
    if labels.shape != (len(data),):
        raise ValueError(f"y has shape {labels.shape}, but X holds {len(data)} trials")
    origin = {name: content[name] for name in _COLUMNS if name in content}
    for name, values in origin.items():
        if values.shape not in ((), (len(data),)):
            raise ValueError(f"{name} has shape {values.shape}, but X holds {len(data)} trials")
        origin[name] = values.item() if values.ndim == 0 else values
    sfreq, names = content.get("sfreq"), content.get("ch_names")
    names = None if names is None else tuple(names.tolist())
    if names is not None and len(names) != data.shape[1]:
        raise ValueError(f"has {len(names)} ch_names, but X holds {data.shape[1]} channels")
    return Trials(data, None if sfreq is None else float(sfreq), names, labels), origin


def _fitted_to(first, trials):
    """Channels in the order of the first file; an error where the two cannot be one data set."""
    if trials.data.shape[1:] != first.data.shape[1:] or trials.sfreq != first.sfreq:
        lacking = sorted(set(first.ch_names or ()) ^ set(trials.ch_names or ()))
        of_one = f"; channels {lacking} are good EEG channels of one of them alone" if lacking else ""
        raise ValueError(
            f"has trials of {trials.data.shape[1:]} (channels, samples) at {trials.sfreq} Hz, "
            f"the first file of {first.data.shape[1:]} at {first.sfreq} Hz{of_one}; "
            "pick, crop or resample them to agree"
        )
    if (trials.ch_names is None) != (first.ch_names is None):
        raise ValueError("names its channels and the first file does not, or the reverse")
    if trials.labels.dtype.kind != first.labels.dtype.kind:
        raise ValueError(f"has labels of type {trials.labels.dtype}, the first file of {first.labels.dtype}")
    return trials.in_order_of(first.ch_names)


def _origin_of_name(path):
    name = re.sub(r"([-_]epo)?(\.fif|\.fif\.gz|\.npz)$", "", path.name)
    origin = {"subject": name, "session": "1", "run": "1"}
    for column, entity in _BIDS_ENTITIES.items():
        if found := re.search(rf"(?:^|_){entity}-([^_]+)", name):
            origin[column] = found[1]
    return origin
