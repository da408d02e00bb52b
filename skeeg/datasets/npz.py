"""Trials in ``.npz`` files, also as MATLAB and scipy.io leave their fields."""

from __future__ import annotations

import contextlib

import numpy as np

from skeeg.datasets.kinds import kind_of, saying_what_it_is
from skeeg.datasets.origin import COLUMNS
from skeeg.trials import EEGArray, Trials, as_trials

#: Fields beside X and y.
KNOWN = ("sfreq", "ch_names", "tmin", *COLUMNS)
_MISSING = ("", "nan", "NaN", "None", "<NA>", "NaT")  # as NumPy and pandas turn what is missing into text


def read_npz(path, *, labelled=True):
    """Read trials from a file of ``numpy.savez``.

    Parameters
    ----------
    path : path-like
        The file.
    labelled : bool, default=True
        Whether it has to hold labels; otherwise they are not read.

    Returns
    -------
    trials : Trials
        Trials in µV and what is known about them.
    origin : dict
        Of "subject", "session" and "run" those that the file holds: a value, or one for each trial.

    Raises
    ------
    ValueError
        When a field is missing, of another shape or kind; it is named.
    """
    with open(path, "rb") as opened, contextlib.ExitStack() as stack:
        with saying_what_it_is(path, ".npz"):
            file = np.load(opened, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError(f"is {kind_of(path)}")
        stack.enter_context(file)
        wanted = ("X", "y") if labelled else ("X",)
        if missing := [name for name in wanted if name not in file]:
            raise ValueError(f"lacks {missing}; it holds {sorted(file.files)}")
        content = {name: _field(file, name) for name in (*wanted, *KNOWN) if name in file}
    return trials_of(content, labelled)


def trials_of(content, labelled=True):
    """Make trials of the fields of a file, X and y and those in `KNOWN`; as `read_npz`."""
    data = _trials(content["X"], content["y"].size if labelled else None)
    sfreq, ch_names = _rate(content.get("sfreq")), _names(content.get("ch_names"), data.shape[1])
    tmin = _start(content.get("tmin"))
    EEGArray(data, sfreq, ch_names, tmin=tmin)  # an error that the reader of all files gives the path
    labels = labels_of(_column("y", content["y"], len(data))) if labelled else None
    origin = {name: _column(name, content[name], len(data)) for name in COLUMNS if name in content}
    return Trials(data, sfreq, ch_names, labels, tmin), origin


def labels_of(values):
    """Bring labels of any number type to int64, text to text; an error where they are no classes.

    Parameters
    ----------
    values : ndarray, shape (n_trials,)
        Labels as a file holds them.

    Returns
    -------
    ndarray of int64, str or bool, shape (n_trials,)
        Labels.
    """
    if values.dtype.kind in "cmMV":
        raise ValueError(f"y is of type {values.dtype}; give each trial's class as text or an integer")
    if values.dtype.kind == "f":
        raise ValueError(f"y holds {values[values != np.rint(values)][:3].tolist()}, which are no classes")
    return values


def _field(file, name):
    try:
        values = file[name]
    except Exception as error:  # of zip, zlib, struct and NumPy
        if "pickle" not in str(error):
            raise ValueError(f"{name} cannot be read, the file is damaged ({error})") from error
        raise ValueError(
            f"{name} cannot be read without pickle ({error}), which could run code: it was saved as "
            "dtype=object, as MATLAB's cells are. Save numbers, or text: "
            f"numpy.savez(file, {name}=[str(numpy.squeeze(value)) for value in numpy.ravel({name})], ...)"
        ) from error
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        values = np.char.strip(values, " \t\r\n\0")  # MATLAB pads rows of text with spaces
    return values


def _trials(X, n_labels):
    if n_labels is not None and X.ndim == 3 and len(X) != n_labels == X.shape[2]:
        raise ValueError(
            f"X has shape {X.shape}, and y {n_labels} labels: trials seem to be last, as in MATLAB. Put them "
            "first: X.transpose(2, 0, 1) for (n_chans, n_times, n_trials), X.transpose(2, 1, 0) for "
            "(n_times, n_chans, n_trials)"
        )
    return as_trials(X).data


def _column(name, values, n_trials):
    """One value, or one for each trial; whole numbers as integers."""
    if values.size == 1 and name != "y":
        values = values.reshape(())
    elif values.size == n_trials == max(values.shape, default=0):
        values = values.reshape(n_trials)  # a row or a column
    else:
        raise ValueError(f"{name} has shape {values.shape}, but X holds {n_trials} trials")
    if values.dtype.kind == "f" and (missing := np.count_nonzero(~np.isfinite(values))):
        raise ValueError(f"{name} is NaN or infinite for {missing} of {values.size} trials")
    if values.dtype.kind in "iuf" and np.array_equal(values, np.rint(values)):  # MATLAB's are all float64
        if np.any(np.abs(values.astype(float)) > 2**53):
            raise ValueError(
                f"{name} holds numbers that are too large to be told apart, such as {values.max()}"
            )
        values = values.astype(np.int64)
    if values.dtype.kind == "U" and (missing := np.count_nonzero(np.isin(values, _MISSING))):
        raise ValueError(f"{name} is empty text or {_MISSING[1:]} for {missing} of {values.size} trials")
    return values


def _rate(values):
    if values is None:
        return None
    try:
        rates = np.unique(values.astype(float)) if values.dtype.kind in "iufU" else []
    except ValueError:
        rates = []
    if len(rates) != 1 or not np.isfinite(rates[0]) or rates[0] <= 0:
        raise ValueError(f"sfreq={values.tolist()!r} must be a positive number of Hz")
    return float(rates[0])


def _start(values):
    if values is None:
        return None
    if values.size != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ValueError(
            f"tmin={values.tolist()!r} must be the time of the first sample in s after the event"
        )
    return float(values.reshape(()))


def _names(values, n_chans):
    if values is None:
        return None
    names = tuple(str(name) for name in values.ravel())
    if len(names) != n_chans:
        raise ValueError(f"has {len(names)} ch_names, but X holds {n_chans} channels")
    return names
