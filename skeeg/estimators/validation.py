"""Which trials validate while a network trains."""

from __future__ import annotations

import warnings
from numbers import Real

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedShuffleSplit
from skorch.dataset import ValidSplit


def check_split(train_split):
    """Refuse skorch's ways to bring validation trials of their own, or to split by a function."""
    if isinstance(train_split, ValidSplit) or not callable(train_split) or hasattr(train_split, "split"):
        return
    raise ValueError(
        f"train_split={train_split!r} is a function, such as skorch's predefined_split: put the validation "
        "trials into X behind the others, and give their places, train_split=np.arange(n_train, len(X)); or "
        "a fraction, or a splitter"
    )


def split_trials(train_split, y, groups=None, *, seed=0):
    """Split trials into a training and a validation part.

    Parameters
    ----------
    train_split : float, splitter, array-like of int, or None
        A fraction of the trials, stratified by class and shuffled, whole groups where groups are given (one
        of n folds of groups, with n the nearest to 1 / fraction that there are groups for, and at least 2);
        a splitter of scikit-learn, whose first split is taken, or skorch's ``ValidSplit``; the indices of the
        validation trials; or None for no validation.
    y : ndarray, shape (n_trials,)
        Class codes.
    groups : ndarray, shape (n_trials,), optional
        Group of each trial, such as its subject. A fraction then holds out whole groups.
    seed : int, default=0
        Decides the shuffling of a fraction.

    Returns
    -------
    train, valid : ndarray of int, ndarray of int or None
        Indices; ``valid`` is None when no trials are held out.

    Raises
    ------
    ValueError
        When indices are out of range, repeat, or leave nothing, or a class, to train on.

    Warns
    -----
    UserWarning
        When there are too few trials or groups for the fraction asked for.

    Examples
    --------
    >>> import numpy as np
    >>> train, valid = split_trials(0.2, np.array([0, 1] * 10))
    >>> len(train), len(valid)
    (16, 4)
    """
    everything = np.arange(len(y))
    if train_split is None:
        return everything, None
    if isinstance(train_split, Real):
        return _split_fraction(train_split, y, groups, seed)
    if isinstance(train_split, ValidSplit):
        train, valid = (np.asarray(part.indices) for part in train_split(everything, y, groups))
    elif hasattr(train_split, "split"):
        train, valid = next(iter(train_split.split(np.zeros((len(y), 1)), y, groups)))
    else:
        try:
            valid = np.asarray(train_split)
        except ValueError:  # such as a pair of unequal arrays
            valid = np.empty((0, 0))
        if valid.ndim != 1 or valid.dtype.kind not in "iu" or len(np.unique(valid)) != len(valid):
            raise ValueError(
                "train_split as indices must be distinct whole numbers, in one dimension: the places of the "
                "validation trials in X. Trials of their own go into X, and their places here"
            )
        if len(valid) and (valid.min() < 0 or valid.max() >= len(y)):
            raise ValueError(
                f"train_split has indices from {valid.min()} to {valid.max()}, but there are {len(y)} trials"
            )
        train = np.setdiff1d(everything, valid)
    missing = np.setdiff1d(y, y[train])
    if len(missing):
        raise ValueError(
            f"train_split={train_split!r} leaves no trial of {len(missing)} classes to train on; "
            "hold out fewer trials"
        )
    return train, (valid if len(valid) else None)


def _split_fraction(fraction, y, groups, seed):
    everything = np.arange(len(y))
    counts = np.unique(y, return_counts=True)[1]
    n_valid = int(np.ceil(fraction * len(y)))
    if counts.min() < 2 or n_valid < len(counts) or len(y) - n_valid < len(counts):
        warnings.warn(
            f"{len(y)} trials, {counts.min()} in the smallest class, are too few to hold out "
            f"train_split={fraction} of them; training without validation",
            UserWarning,
            stacklevel=6,
        )
        return everything, None
    if groups is not None:
        n_groups = len(np.unique(groups))
        if n_groups > 1:
            folds = StratifiedGroupKFold(
                n_splits=min(n_groups, max(2, round(1 / fraction))), shuffle=True, random_state=seed
            )
            for train, valid in folds.split(y, y, groups):
                if len(np.unique(y[train])) == len(counts):
                    return train, valid
        warnings.warn(
            f"{n_groups} group(s) cannot be held out whole with every class left to train on; "
            "holding out trials of every group instead",
            UserWarning,
            stacklevel=6,
        )
    return next(StratifiedShuffleSplit(1, test_size=n_valid, random_state=seed).split(y, y))
