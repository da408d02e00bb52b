"""The same trial twice, which would train and test."""

from __future__ import annotations

import numpy as np

_SAME = 1e-5  # of the norm: more than rounding to float32 changes, less than any two recordings agree
_AT_ONCE = 64  # trials, so that little memory is needed


def duplicate_trials(X) -> np.ndarray:
    """Find trials that repeat an earlier one, in whatever unit.

    Parameters
    ----------
    X : ndarray, shape (n_trials, n_chans, n_times)
        Trials.

    Returns
    -------
    ndarray of int, shape (n_duplicates, 2)
        Pairs of an index and that of the first trial which is the same but for rounding, a factor and a
        constant in each channel, in the order of the second. Trials in which nothing changes
        are not looked at.

    See Also
    --------
    skeeg.find_faults : Trials that are broken.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.datasets import duplicate_trials
    >>> X = np.random.default_rng(0).standard_normal((4, 2, 50))
    >>> X[3] = 1e-6 * X[1]
    >>> duplicate_trials(X).tolist()
    [[1, 3]]
    """
    X = np.asarray(X)
    weights = np.random.default_rng(0).choice([-1.0, 1.0], size=(X[0].size, 2)) if len(X) else None
    marks = np.full((len(X), 2), np.nan)
    for start in range(0, len(X), _AT_ONCE):
        block, norms = _centred(X[start : start + _AT_ONCE])
        some = norms > 0
        marks[start : start + _AT_ONCE][some] = (block[some] / norms[some, np.newaxis]) @ weights
    order = np.flatnonzero(np.isfinite(marks[:, 0]))
    order = order[np.argsort(marks[order, 0], kind="stable")]
    first = np.arange(len(X))
    for step in (
        1,
        2,
        3,
    ):  # two trials that are the same lie side by side; a chance neighbour may come between
        near = (np.abs(marks[order[step:]] - marks[order[:-step]]) < _SAME).all(axis=1)
        for one, other in zip(order[:-step][near], order[step:][near], strict=True):
            (a, b), (norm_a, norm_b) = _centred(X[[one, other]])
            if np.linalg.norm(a / norm_a - b / norm_b) < _SAME:
                root = min(first[one], first[other])
                first[np.isin(first, (first[one], first[other]))] = root
    repeats = np.flatnonzero(first != np.arange(len(X)))
    return np.column_stack([first[repeats], repeats])


def _centred(trials):
    """Trials without the mean of each channel, a row each, and their norms."""
    trials = np.asarray(trials, dtype=float)
    flat = (trials - trials.mean(axis=2, keepdims=True)).reshape(len(trials), -1)
    norms = np.linalg.norm(flat, axis=1)
    # what rounding leaves of a constant is nothing
    return flat, np.where(norms > 1e-6 * np.linalg.norm(trials.reshape(len(trials), -1), axis=1), norms, 0.0)
