"""Files of MATLAB: trials, by the names of ``.npz`` files, and recordings, as BCI competitions give them."""

from __future__ import annotations

import numpy as np

from skeeg.datasets.kinds import saying_what_it_is
from skeeg.trials import MICROVOLTS_PER_VOLT, warn_user

_BBCI_UNIT = 0.1  # µV, of the whole numbers in `cnt`
# Data sets 2a and 2b of BCI competition IV do not name their channels; their descriptions do.
_EOG = ("EOG1", "EOG2", "EOG3")
_2A = (
    *("Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2", "C4", "C6"),
    *("CP3", "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz", *_EOG),
)
_NAMES = {
    (25, 250.0, ("left hand", "right hand", "feet", "tongue")): _2A,
    (6, 250.0, ("left hand", "right hand")): ("C3", "Cz", "C4", *_EOG),
}


def fields_of_mat(path):
    """Read the variables of a file of MATLAB up to version 7, plain where they can be.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict of str -> ndarray or object
        Cells of text are arrays of text; structures are objects with attributes.

    Raises
    ------
    ValueError
        When it is no such file.
    """
    from scipy.io import loadmat

    with saying_what_it_is(path, ".mat"):
        fields = loadmat(path, squeeze_me=True, struct_as_record=False)
        if "X" in fields:  # a single trial or channel is a dimension too
            fields |= loadmat(path, variable_names=["X"])
    return {name: _plain(value) for name, value in fields.items() if not name.startswith("__")}


def raw_of_mat(path):
    """Make a recording of a file of MATLAB, with an annotation for each trial.

    Known are the layouts of BNCI Horizon 2020 (``data``: runs with ``X`` in µV, ``trial``, ``y``, ``fs``,
    ``classes``; BCI competition IV, 2a and 2b, among others) and of the BBCI toolbox (``cnt``, ``mrk``,
    ``nfo``; competition III, IVa, and IV, 1).

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    mne.io.RawArray
        In V. Annotations are the names of the classes, or their numbers where there are no names, at the
        beginning of the trials: in 2a the cue comes 2 s later, in 2b 3 s. Trials without a class, of the
        competitions' test sets, have none.

    Raises
    ------
    ValueError
        When the file holds neither, or contradicts itself.

    Warns
    -----
    UserWarning
        Channels have no names.
    """
    import mne

    fields = fields_of_mat(path)
    with mne.utils.use_log_level("error"):
        try:
            if {"cnt", "mrk", "nfo"} <= fields.keys():
                return _raw_of_bbci(fields)
            runs = [_run_of_bnci(part) for part in np.atleast_1d(fields.get("data", []))]
        except AttributeError as error:
            raise ValueError(f"lacks a field of its layout ({error})") from error
        if runs := [run for run in runs if run is not None]:
            return mne.concatenate_raws(runs)
    raise ValueError(
        f"holds {sorted(fields)}: neither runs with trials (data, with X, trial, y and fs) nor a recording "
        "(cnt, mrk, nfo)"
    )


def _run_of_bnci(run):
    """A run of BNCI Horizon 2020; None where it has no trials, as those that measure eye movements."""
    trials = np.atleast_1d(getattr(run, "trial", []))
    if not len(trials) or not hasattr(run, "X"):
        return None
    X = np.asarray(run.X, dtype=float)
    classes = [str(name) for name in np.atleast_1d(getattr(run, "classes", []))]
    names = _NAMES.get((X.shape[1], float(run.fs), tuple(classes)))
    if names is None:
        names = [f"EEG{i + 1}" for i in range(X.shape[1])]
        warn_user(f"the channels have no names in this file: all {len(names)} are taken for EEG")
    return _raw(X, float(run.fs), names, trials, np.atleast_1d(run.y), classes)


def _raw_of_bbci(fields):
    cnt, mrk, nfo = fields["cnt"], fields["mrk"], fields["nfo"]
    X = np.asarray(cnt, dtype=float) * (_BBCI_UNIT if np.asarray(cnt).dtype.kind in "iu" else 1.0)
    classes = [str(name) for name in np.atleast_1d(getattr(mrk, "className", getattr(nfo, "classes", [])))]
    codes = np.atleast_1d(getattr(mrk, "y", []))
    positions = np.atleast_1d(mrk.pos)
    if len(codes) != len(positions):  # an evaluation set has no labels
        raise ValueError(
            f"marks {len(positions)} trials and the class of {len(codes)}; its labels are elsewhere"
        )
    found = set(codes[np.isfinite(codes)].tolist())
    if found == {1}:
        raise ValueError(
            f"marks trials of class 1 alone: the first of {classes}, or the second where they are called -1 "
            "and 1, which cannot be told"
        )
    if found <= {-1, 1}:
        codes = np.where(codes == -1, 1, np.where(codes == 1, 2, codes))
    names = [str(name) for name in np.atleast_1d(nfo.clab)]
    return _raw(X, float(nfo.fs), names, positions, codes, classes)


def _raw(X, sfreq, names, positions, codes, classes):
    """A recording of (n_samples, n_chans) in µV, annotated; MATLAB counts samples and classes from 1."""
    import mne

    if len(positions) != len(codes):
        raise ValueError(f"marks {len(positions)} trials and the class of {len(codes)}")
    known = np.isfinite(np.asarray(codes, dtype=float))
    codes, positions = np.asarray(codes)[known].astype(int), np.asarray(positions)[known].astype(int)
    if len(positions) and not 1 <= positions.min() <= positions.max() <= len(X):
        raise ValueError(f"marks trials at samples {positions.min()} to {positions.max()} of {len(X)}")
    if classes and len(codes) and not 1 <= codes.min() <= codes.max() <= len(classes):
        raise ValueError(f"has classes {sorted(set(codes.tolist()))}, but {len(classes)} names: {classes}")
    info = mne.create_info(names, sfreq, "eeg")
    raw = mne.io.RawArray(np.nan_to_num(X).T / MICROVOLTS_PER_VOLT, info)
    descriptions = [classes[code - 1] if classes else str(code) for code in codes]
    annotations = mne.Annotations((positions - 1) / sfreq, 0, descriptions)
    if (lost := ~np.isfinite(X).all(axis=1)).any():  # stretches without data are marked bad, not zero
        edges = np.flatnonzero(np.diff(np.r_[0, lost.astype(int), 0])).reshape(-1, 2)
        annotations += mne.Annotations(edges[:, 0] / sfreq, np.diff(edges)[:, 0] / sfreq, "BAD_lost")
    return raw.set_annotations(annotations)


def _plain(value):
    """An array of texts of MATLAB's cells of text."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        if all(isinstance(part, str) for part in value.ravel()):
            return value.astype(str)
        if all(np.ndim(part) == 0 and isinstance(part, (int, float)) for part in value.ravel()):
            return value.astype(float)
    return value if not isinstance(value, (str, int, float)) else np.asarray(value)
