"""A user's own trials, from files of trials and from continuous recordings."""

from __future__ import annotations

import os
import re
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skeeg.datasets.duplicates import duplicate_trials
from skeeg.datasets.kinds import RECORDINGS, ending_of, kind_of, saying_what_it_is
from skeeg.datasets.matlab import fields_of_mat
from skeeg.datasets.npz import KNOWN, read_npz, trials_of
from skeeg.datasets.origin import COLUMNS, origin_of_name, warn_of_one_person_as_several
from skeeg.datasets.recordings import read_recording
from skeeg.trials import as_trials, same_rate, typical_scale, warn_user

if TYPE_CHECKING:
    import pandas as pd

    from skeeg.trials import EEGArray


_OTHER_UNIT = 300  # between files: mV for µV is 1,000, of people who differ by three times
_MICROVOLT = 0.1  # no EEG is smaller


def load_epochs(
    paths, *, events=None, tmin=None, tmax=None, band=None, labelled=True
) -> tuple[EEGArray, np.ndarray, pd.DataFrame]:
    """Load trials from files.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        ``.fif`` files of ``mne.Epochs.save`` (good EEG channels are read, volts become µV, labels are the
        names of ``event_id``); ``.set`` files of trials, of EEGLAB; ``.npz`` files of ``numpy.savez`` with
        ``X`` (n_trials, n_chans, n_times) in µV, ``y`` (n_trials,) and, optionally, ``sfreq``, ``ch_names``
        (n_chans,), ``tmin`` (of the first sample, in seconds after the event), ``subject``, ``session`` and
        ``run`` (one value a file or a trial). With ``events``, also continuous recordings of any format that
        MNE reads (EDF, BDF, GDF, BrainVision, EEGLAB, FIF, ...).
    events : dict of str -> str, int or sequence of them, optional
        Label -> names of the annotations (or values of the trigger channel) that mark its trials in
        continuous recordings, such as ``{"left": 769, "right": 770}``.
    tmin, tmax : float, optional
        Window in seconds after the event, needed with ``events``; tmax itself is left out.
    band : (float, float), optional
        Pass band in Hz. Continuous recordings are filtered as a whole, before they are cut: MNE's zero-phase
        FIR filter.
    labelled : bool, default=True
        Whether ``.npz`` files have to hold ``y``; where False, labels are not asked for, and y is None.

    Returns
    -------
    X : EEGArray or ndarray of float32, shape (n_trials, n_chans, n_times)
        Trials in µV, channels in the order of the first file.
    y : ndarray, shape (n_trials,), or None
        Labels: text, or integers where ``.npz`` files hold whole numbers.
    metadata : DataFrame
        Columns ``subject``, ``session``, ``run``: from the file (``Epochs.metadata`` in ``.fif``), else from
        its name (see Notes). Text, unless all files hold whole numbers.

    Raises
    ------
    FileNotFoundError
        When a file does not exist.
    ValueError
        When a file is of another kind (what it is, and how to make trials of it, is said), lacks X or y,
        holds pickled objects or missing values, does not fit the first one in channels, sampling rate,
        length, unit or kind of labels, is given twice, or has a name of the same subject, session and run as
        another one; when events, tmin, tmax or band are impossible, or given for trials.

    Warns
    -----
    UserWarning
        When the same trial is there twice, names of subjects look like sessions or runs of one person, or
        values are too small for µV.

    See Also
    --------
    summary : What was read.
    skeeg.find_faults : What is broken among it.
    skeeg.evaluation.compare : What it is for.

    Notes
    -----
    Names that are understood: BIDS (``sub-01_ses-2_run-3_epo.fif``), those of well-known data sets
    (``A01T``, ``B0103T``, ``S001R04``), and words (``sess01_subj02_EEG_MI``, ``subject1_session2``). Of any
    other name, the whole is the subject. Parts of a ``.fif`` file that MNE split (``x-epo-1.fif``) are read
    with the first one, and not once more where they are given too.

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

    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if not paths:
        raise ValueError("paths is empty: give at least one file")
    resolved = [path.resolve() for path in paths]
    if twice := sorted({str(path) for path in resolved if resolved.count(path) > 1}):
        raise ValueError(f"{twice} are given twice; the same trials would train and test")
    window = _check_window(events, tmin, tmax, band)
    parts, origins = [], []
    for path in paths:
        trials, origin = _read(path, window, labelled)
        if not labelled:
            trials = trials._replace(labels=None)
        try:
            parts.append(_fitted_to(parts[0], trials) if parts else trials)
            origins.append(_complete(origin))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    data = np.concatenate([part.data for part in parts])
    y = np.concatenate([part.labels for part in parts]) if labelled else None
    if labelled and events is not None:
        _warn_of_absent(events, y)
    files = np.repeat(np.arange(len(paths)), [len(part.data) for part in parts])
    same = np.arange(len(data))  # trials that are the same get the same number
    firsts, repeats = duplicate_trials(data).T
    same[repeats] = firsts
    again = _read_twice(same, files, paths)
    rows = ~np.isin(files, again)
    _warn_of_duplicates(same[rows], files[rows], paths)
    _check_names([path for i, path in enumerate(paths) if i not in again and "subject" not in origins[i]])
    values = [
        origin_of_name(path) | origin | {"n": len(part.data)}
        for path, origin, part in zip(paths, origins, parts, strict=True)
    ]
    metadata = pd.DataFrame(
        {
            name: _of_one_type([np.broadcast_to(value[name], value["n"]) for value in values])[rows]
            for name in COLUMNS
        }
    )
    warn_of_one_person_as_several(metadata["subject"])
    if 0 < (scale := typical_scale(data)) < _MICROVOLT:
        warn_user(
            f"the median standard deviation of a channel is {scale:.1e}: X seems to be in V or mV; give µV, "
            "such as 1e6 * X"
        )
    return (
        parts[0]._replace(labels=None).wrap(data[rows] if again else data),
        y[rows] if labelled else None,
        metadata,
    )


def _warn_of_absent(events, y):
    """A class that no file has is most often a mistyped event; what is left would train without it."""
    if absent := {label: marks for label, marks in events.items() if label not in y}:
        warn_user(
            f"no file holds a trial of {absent} (label: its events), only of {np.unique(y).tolist()}: "
            "have they other names there (mne.io.read_raw(path).annotations.count()), or were all left out?"
        )


def _check_window(events, tmin, tmax, band):
    """Arguments of `read_recording`, or None where trials are read and not cut."""
    if events is None:
        if given := [
            name for name, value in (("tmin", tmin), ("tmax", tmax), ("band", band)) if value is not None
        ]:
            raise ValueError(f"{', '.join(given)} cut continuous recordings into trials: give events too")
        return None
    if not isinstance(events, dict) or not events:
        raise ValueError(f"events={events!r} must be a dict of label -> annotation, such as {{'left': 769}}")
    if others := [label for label in events if not isinstance(label, str)]:
        raise ValueError(f"events={events}: labels must be text, such as {str(others[0])!r}, not {others}")
    names = [str(name) for marks in events.values() for name in np.atleast_1d(marks).tolist()]
    if len(set(names)) < len(names):
        raise ValueError(f"events={events} gives an annotation to two labels, or twice")
    if tmin is None or tmax is None or not tmin < tmax:
        raise ValueError(
            f"events need a window: tmin={tmin} must be less than tmax={tmax}, in s after the event"
        )
    return {"events": events, "tmin": tmin, "tmax": tmax, "band": band}


def _read(path, window, labelled):
    """Trials of a file, and what it knows of subject, session and run."""
    if not path.exists():
        link = "a link to a file that is not here (git annex get may fetch it)"
        raise FileNotFoundError(f"{path} is {link if path.is_symlink() else 'not a file'}")
    ending = ending_of(path)
    if ending not in (".fif", ".npz", ".set", ".mat") and not (window and ending in RECORDINGS):
        raise ValueError(f"{path} is neither a .fif nor a .npz file, but {kind_of(path)}")
    try:
        if ending == ".npz" and window:
            raise ValueError("holds trials: events, tmin, tmax and band are for continuous recordings")
        if ending == ".npz":
            return read_npz(path, labelled=labelled)
        if ending == ".mat" and not window:
            return _read_mat(path, labelled)
        if window:
            return read_recording(path, **window), {}
        return _read_epochs(path, ending)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read_mat(path, labelled):
    fields = fields_of_mat(path)
    wanted = ("X", "y") if labelled else ("X",)
    if missing := [name for name in wanted if name not in fields]:
        raise ValueError(
            f"lacks {missing}; it holds {sorted(fields)}. A recording of the BCI competitions, or of BNCI "
            'Horizon 2020, is cut by events, tmin and tmax (--events left="left hand",right="right hand")'
        )
    return trials_of({name: fields[name] for name in (*wanted, *KNOWN) if name in fields}, labelled)


def _read_epochs(path, ending):
    import mne

    with saying_what_it_is(path, "epochs" if ending == ".fif" else ending):
        read = mne.read_epochs_eeglab if ending == ".set" else mne.read_epochs
        epochs = read(path, verbose="error")
    known = {} if epochs.metadata is None else epochs.metadata
    return as_trials(epochs), {name: known[name].to_numpy() for name in COLUMNS if name in known}


def _fitted_to(first, trials):
    """Channels in the order of the first file; an error where the two cannot be one data set."""
    rates = trials.sfreq, first.sfreq
    if (
        trials.data.shape[1:] != first.data.shape[1:]
        or (None in rates) != (rates == (None, None))
        or not same_rate(*rates)
    ):
        lacking = sorted(set(first.ch_names or ()) ^ set(trials.ch_names or ()))
        of_one = f"; channels {lacking} are good EEG channels of one of them alone" if lacking else ""
        raise ValueError(
            f"has trials of {trials.data.shape[1:]} (channels, samples) at {trials.sfreq} Hz, "
            f"the first file of {first.data.shape[1:]} at {first.sfreq} Hz{of_one}; "
            "pick, crop or resample them to agree"
        )
    if (trials.ch_names is None) != (first.ch_names is None):
        raise ValueError("names its channels and the first file does not, or the reverse")
    starts = trials.tmin, first.tmin
    if (None in starts and starts != (None, None)) or (
        None not in starts and abs(starts[0] - starts[1]) > 0.5 / (first.sfreq or np.inf)
    ):
        raise ValueError(
            f"has trials that begin {trials.tmin} s after their events, those of the first file "
            f"{first.tmin} s"
        )
    if trials.labels is not None and trials.labels.dtype.kind != first.labels.dtype.kind:
        raise ValueError(f"has labels of type {trials.labels.dtype}, the first file of {first.labels.dtype}")
    scale, first_scale = typical_scale(trials.data), typical_scale(first.data)
    if 0 < min(scale, first_scale) < max(scale, first_scale) / _OTHER_UNIT:
        raise ValueError(
            f"has another unit than the first file: a channel's median standard deviation is {scale:.1e}, "
            f"there {first_scale:.1e}; give µV in all"
        )
    return trials.in_order_of(first.ch_names)


def _complete(origin):
    """What a file knows of its trials; an error where a value is missing."""
    import pandas as pd

    for name, values in origin.items():
        if missing := np.count_nonzero(pd.isna(values)):
            raise ValueError(f"{name} is missing for {missing} of {np.size(values)} trials")
    return origin


def _read_twice(same, files, paths):
    """Tell which files are parts of another one, and were read with that.

    MNE splits large files into parts, of which each names the next, and reads all of them with the first.
    """
    again = []
    for i, path in enumerate(paths):
        wholes = [j for j, other in enumerate(paths) if _is_part(path, other)]
        if any(np.isin(same[files == i], same[files == j]).all() for j in wholes):
            again.append(i)
    return again


def _is_part(path, other):
    name, number = _name_and_part(path)
    name_of_other, number_of_other = _name_and_part(other)
    return path.parent == other.parent and name == name_of_other and number > number_of_other


def _name_and_part(path):
    found = re.search(r"-(\d+)(?=\.fif(\.gz)?$)|_split-(\d+)(?=_)", path.name, flags=re.IGNORECASE)
    if found is None:
        return path.name, 0
    return path.name[: found.start()] + path.name[found.end() :], int(found[1] or found[3])


def _warn_of_duplicates(same, files, paths):
    """Name the files that hold the same trials."""
    firsts = {}
    pairs = {}
    positions = np.arange(len(files)) - np.searchsorted(files, files)  # of each trial in its file
    for i, number in enumerate(same.tolist()):
        first = firsts.setdefault(number, i)
        if first != i:
            pairs.setdefault((files[first], files[i]), []).append((positions[first], positions[i]))
    told = []
    for (a, b), indices in pairs.items():
        first, again = indices[0]
        if a == b:
            told.append(f"{len(indices)} trials come twice in {paths[a]} (trials {first} and {again})")
        else:
            told.append(
                f"{len(indices)} trials of {paths[b]} are also in {paths[a]} (trial {again} is {first} there)"
            )
    if told:
        more = f"; and {len(told) - 5} more such pairs of files" if len(told) > 5 else ""
        warn_user(f"{'; '.join(told[:5])}{more}: the same trials may train and test. Leave them out once")


def _check_names(paths):
    """Refuse two files whose names tell the same subject, session and run."""
    seen = {}
    for path in paths:
        name = origin_of_name(path)
        other = seen.setdefault(tuple(name.values()), path)
        if other is not path:
            raise ValueError(
                f"{path} and {other} have names of the same subject, session and run, {name}; rename one "
                "of them, or store the subject in the files"
            )


def _of_one_type(parts):
    """One column of the values of all files: whole numbers where all are, else text."""
    values = np.concatenate([np.asarray(part, dtype=object) for part in parts])
    if all(
        isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer()
        for value in values
    ):
        return values.astype(np.int64)
    return np.array([_text(value) for value in values], dtype=object)


def _text(value):
    return str(int(value)) if isinstance(value, Real) and float(value).is_integer() else str(value)
