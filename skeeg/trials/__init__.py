"""Where data become arrays: the one way in for estimators and transformers, and the array that remembers."""

from __future__ import annotations

import functools
import math
import sys
from typing import NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite, check_array

from skeeg.trials.array import EEGArray
from skeeg.trials.checks import check_groups, same_rate, typical_scale, warn_of_other_units
from skeeg.trials.containers import (
    MICROVOLTS_PER_VOLT,
    epochs_labels,
    epochs_to_array,
    holds_epochs,
    is_epochs,
    read_epochs,
)

__all__ = [
    "MICROVOLTS_PER_VOLT",
    "EEGArray",
    "Trials",
    "as_trials",
    "check_groups",
    "epochs_labels",
    "epochs_to_array",
    "holds_epochs",
    "is_epochs",
    "same_rate",
    "standard_montage",
    "typical_scale",
    "warn_of_other_units",
]


class Trials(NamedTuple):
    """Checked trials and what is known about them.

    Attributes
    ----------
    data : ndarray, shape (n_trials, n_chans, n_times)
        Finite, C-contiguous; in µV when they came from ``mne.Epochs``.
    sfreq : float or None
        Sampling rate in Hz.
    ch_names : tuple of str or None
        Channel names.
    labels : ndarray, shape (n_trials,), or None
        Class of each trial.
    """

    data: np.ndarray
    sfreq: float | None
    ch_names: tuple[str, ...] | None
    labels: np.ndarray | None

    def in_order_of(self, ch_names):
        """Put the channels in the order of ``ch_names``, where the names of both are known.

        Parameters
        ----------
        ch_names : sequence of str or None
            Names wanted.

        Returns
        -------
        Trials
            These, with channels re-ordered where needed.

        Raises
        ------
        ValueError
            When a name is missing or not wanted.
        """
        if ch_names is None or self.ch_names is None or tuple(ch_names) == self.ch_names:
            return self
        missing = [name for name in ch_names if name not in self.ch_names]
        unknown = [name for name in self.ch_names if name not in ch_names]
        if missing or unknown:
            raise ValueError(
                f"X has other channels than the data of fit: {missing} are missing, {unknown} are unknown. "
                "Pick the same channels"
            )
        order = [self.ch_names.index(name) for name in ch_names]
        return self._replace(data=np.ascontiguousarray(self.data[:, order]), ch_names=tuple(ch_names))

    def wrap(self, data, **changes):
        """Give transformed data what is known about these: a plain array when that is nothing.

        ``changes`` replaces attributes that the transform changed (``sfreq=``, ``ch_names=``).
        """
        known = {"sfreq": self.sfreq, "ch_names": self.ch_names, "labels": self.labels} | changes
        return data if all(value is None for value in known.values()) else EEGArray(data, **known)


def as_trials(X, dtype=np.float32):
    """Turn whatever a user hands over as X into checked trials.

    Parameters
    ----------
    X : array-like, torch.Tensor, EEGArray, mne.Epochs or list of mne.Epochs
        Trials, (n_trials, n_chans, n_times). scikit-learn's splits of Epochs are lists of one-trial Epochs.
    dtype : dtype or list of dtype, default=numpy.float32
        Number type of the result; of a list, the type of X where it is in it, else the first.

    Returns
    -------
    Trials
        Named tuple (data, sfreq, ch_names, labels). ``data`` shares memory with X where X is C-contiguous
        and of the right type.

    Raises
    ------
    ValueError
        When X has another number of dimensions, an axis without entries, trials of unequal shapes, NaN,
        infinite, complex or text values, or Epochs of different montages.
    TypeError
        When X is sparse, a continuous recording, an average, or holds what is not a number.
    """
    sfreq = ch_names = labels = None
    from_epochs = holds_epochs(X)
    if from_epochs:
        X, sfreq, ch_names, labels = read_epochs([X] if is_epochs(X) else X)
    elif isinstance(X, EEGArray):
        sfreq, ch_names, labels = X.sfreq, X.ch_names, X.labels
        X = np.asarray(X)
    elif "mne" in sys.modules and isinstance(X, (sys.modules["mne"].io.BaseRaw, sys.modules["mne"].Evoked)):
        raise TypeError(
            f"X is an mne {type(X).__name__}: cut the recording into trials with mne.Epochs first"
        )
    elif "torch" in sys.modules and isinstance(X, sys.modules["torch"].Tensor):
        torch = sys.modules["torch"]
        X = X.detach().cpu()
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    elif not hasattr(X, "dtype"):
        X = _stack(X)
    if getattr(getattr(X, "dtype", None), "kind", "") in "USMm":
        raise ValueError(f"X holds text or dates (dtype {X.dtype}): expected voltages")
    dtypes = dtype if isinstance(dtype, list) else [dtype]
    if type(X) is np.ndarray and X.dtype in dtypes and X.flags.c_contiguous:
        data = X  # as check_array would leave it, in more time than a network takes for a trial
    else:
        data = _converted(X, dtype)
    if data.ndim != 3:
        raise ValueError(
            f"X is {data.ndim}-dimensional, of shape {data.shape}: expected (n_trials, n_chans, n_times). "
            "Reshape your data: X[np.newaxis] turns one trial (n_chans, n_times) into a set of one, "
            "X[:, np.newaxis] turns trials of one channel (n_trials, n_times) into three dimensions"
        )
    for length, what in zip(data.shape, ("sample(s)", "channel(s)", "feature(s)"), strict=True):
        if length == 0:
            flat = (data.shape[0], data.shape[1] * data.shape[2])
            raise ValueError(
                f"Found array with 0 {what} (shape={flat}) while a minimum of 1 is required: X has "
                f"{data.shape[0]} trials of {data.shape[1]} channels x {data.shape[2]} samples"
                + ("; all epochs were dropped, epochs.drop_log says why" if from_epochs else "")
            )
    try:
        if not math.isfinite(np.vdot(data, data)):  # or squares that overflow
            assert_all_finite(data, input_name="X")
    except ValueError as error:
        affected = np.flatnonzero(~np.isfinite(data).all(axis=(1, 2)))
        raise ValueError(
            f"{error} {len(affected)} of {len(data)} trials are affected, the first at index {affected[0]}: "
            "drop or repair them"
        ) from error
    return Trials(data, sfreq, ch_names, labels)


def _converted(X, dtype):
    try:
        return check_array(
            X,
            dtype=dtype,
            order="C",
            ensure_2d=False,
            allow_nd=True,
            ensure_all_finite=False,
            ensure_min_samples=0,
        )
    except ValueError as error:
        if getattr(getattr(X, "dtype", None), "kind", "") == "O" and "sequence" in str(error):
            raise ValueError(
                "X is an object array of trials of unequal shapes: crop or pad them to one length"
            ) from error
        raise


def _stack(X):
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"X is a list of trials of unequal shapes ({error}): crop or pad them to one length"
        ) from error


@functools.cache
def standard_montage():
    """Get the positions and names of the 10-05 system."""
    import mne

    # MNE 1.13 renamed it
    name = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    return mne.channels.make_standard_montage(name)
