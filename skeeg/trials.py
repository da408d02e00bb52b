"""Where data become arrays: the one way in for estimators and transformers, and the array that remembers."""

from __future__ import annotations

import functools
import math
import sys
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d

MICROVOLTS_PER_VOLT = 1e6
OTHER_SCALE = 1e3  # between trials of fit and others, more than electrodes and people differ by
_EVERYTHING = slice(None)
_MISSING = ("None", "nan", "NaT", "<NA>")  # as NumPy and pandas print what is missing


class EEGArray(np.ndarray):
    """A NumPy array of trials that remembers what it is a recording of.

    An ordinary ``numpy.ndarray`` for NumPy, scikit-learn, PyTorch and pickle; data sets and transformers
    hand it on so that the sampling rate, the channel names and the labels reach the classifier at the end
    of a Pipeline.

    Parameters
    ----------
    data : array-like, shape (n_trials, n_chans, n_times)
        Trials in µV, or as a transformer left them; not copied.
    sfreq : float, optional
        Sampling rate in Hz.
    ch_names : sequence of str, length n_chans, optional
        Channel names.
    labels : array-like, shape (n_trials,), optional
        Class of each trial.

    Raises
    ------
    ValueError
        When names or labels do not match the shape of the data.

    Notes
    -----
    Only operations that cannot move a trial or a channel unnoticed keep the attributes: indexing, ``copy``,
    ``astype`` and arithmetic that keeps the shape (channels of two names have none together). The result of
    anything else (``take``, ``transpose``, ``concatenate``, ...) has them all ``None``, rather than wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg import EEGArray
    >>> X = EEGArray(np.zeros((4, 3, 100)), sfreq=100, ch_names=["C3", "Cz", "C4"])
    >>> (X[:2] * 1e6).ch_names
    ('C3', 'Cz', 'C4')
    >>> X[:, [2, 0]].ch_names
    ('C4', 'C3')
    """

    def __new__(cls, data, sfreq=None, ch_names=None, labels=None):
        array = np.asarray(data).view(cls)
        for name, values, axis in (("ch_names", ch_names, 1), ("labels", labels, 0)):
            if values is not None and (array.ndim != 3 or len(values) != array.shape[axis]):
                raise ValueError(
                    f"{len(values)} {name} do not fit data of shape {array.shape}: "
                    "expected (n_trials, n_chans, n_times)"
                )
        if sfreq is not None and (isinstance(sfreq, (str, bool)) or not sfreq > 0):
            raise ValueError(f"sfreq={sfreq!r} must be a positive number of Hz")
        if ch_names is not None and len(set(ch_names)) < len(ch_names):
            raise ValueError(f"ch_names={list(ch_names)} names a channel twice")
        array.sfreq = None if sfreq is None else float(sfreq)
        array.ch_names = None if ch_names is None else tuple(str(name) for name in ch_names)
        array.labels = None if labels is None else np.asarray(labels)
        return array

    def __array_finalize__(self, source):
        self.sfreq = self.ch_names = self.labels = None

    def _with_data(self, data):
        return EEGArray(data, self.sfreq, self.ch_names, self.labels)

    def __getitem__(self, key):
        data = np.asarray(self)[key]
        axes = list(key) if isinstance(key, tuple) else [key]
        if any(axis is Ellipsis for axis in axes):
            position = next(i for i, axis in enumerate(axes) if axis is Ellipsis)
            axes[position : position + 1] = [_EVERYTHING] * (3 - len(axes) + 1)
        axes += [_EVERYTHING] * (3 - len(axes))
        is_slice = [isinstance(axis, slice) for axis in axes]
        keeps_axes = data.ndim == self.ndim == 3 and len(axes) == 3 and sum(is_slice) >= 2
        if not keeps_axes or not is_slice[2] or axes[2].step not in (None, 1):
            return data
        trials, channels, _ = axes
        labels = None if self.labels is None else self.labels[trials]
        ch_names = None if self.ch_names is None else np.array(self.ch_names)[channels]
        return EEGArray(data, self.sfreq, ch_names, labels)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        def plain(arrays):
            return tuple(np.asarray(a) if isinstance(a, EEGArray) else a for a in arrays)

        if out is not None:
            getattr(ufunc, method)(*plain(inputs), out=plain(out), **kwargs)
            return out[0] if len(out) == 1 else out
        result = getattr(ufunc, method)(*plain(inputs), **kwargs)
        if method == "__call__" and isinstance(result, np.ndarray) and result.shape == self.shape:
            whole = [a for a in inputs if isinstance(a, EEGArray) and a.shape[1:2] == result.shape[1:2]]
            names = {array.ch_names for array in whole} - {None}
            # the difference of two channels is neither of them
            return EEGArray(result, self.sfreq, names.pop() if len(names) == 1 else None, self.labels)
        return result

    def copy(self, order="C"):
        """Copy the data, keep what is known about them."""
        return self._with_data(np.asarray(self).copy(order))

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        """Change the number type, keep what is known about the data."""
        return self._with_data(np.asarray(self).astype(dtype, order, casting, copy=copy))

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce_ex__(self, protocol):
        # Pickling the plain array inside lets joblib hand it to its workers as a shared memory map.
        return EEGArray, (np.asarray(self), self.sfreq, self.ch_names, self.labels)


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


def is_epochs(X):
    """Tell whether X is an ``mne.Epochs`` of any kind; imports MNE only where it is loaded already."""
    return "mne" in sys.modules and isinstance(X, sys.modules["mne"].BaseEpochs)


def holds_epochs(X):
    """Tell whether X is Epochs or a list of them, as scikit-learn's splits of Epochs are."""
    return is_epochs(X) or (isinstance(X, (list, tuple)) and len(X) > 0 and all(map(is_epochs, X)))


def epochs_to_array(epochs):
    """Take the good EEG channels out of Epochs, in µV.

    Parameters
    ----------
    epochs : mne.Epochs
        Epochs of any kind, loaded or not; left as they are.

    Returns
    -------
    data : ndarray of float64, shape (n_trials, n_chans, n_times)
        Trials in µV: MNE keeps volts, of which networks see nothing but zeros.
    sfreq : float
        Sampling rate in Hz.
    ch_names : tuple of str
        Names of the channels taken.

    Raises
    ------
    ValueError
        When no channel is a good EEG channel.

    Notes
    -----
    As in ``mne.decoding``, channels marked bad and those of another type (EOG, stimulus, ...) are left out.
    """
    import mne

    picks = mne.pick_types(epochs.info, eeg=True, exclude="bads")
    if len(picks) == 0:
        raise ValueError(
            f"Epochs have no good EEG channel: types {sorted(set(epochs.get_channel_types()))}, "
            f"bads {epochs.info['bads']}. Set types with set_channel_types, or pass an array"
        )
    data = epochs.get_data(picks=picks, copy=True)
    data *= MICROVOLTS_PER_VOLT
    return data, float(epochs.info["sfreq"]), tuple(epochs.ch_names[pick] for pick in picks)


def epochs_labels(epochs):
    """Name the class of each epoch: its key in ``event_id``, "left/hand" kept whole.

    Parameters
    ----------
    epochs : mne.Epochs
        Epochs whose bad ones have been dropped (loading them does).

    Returns
    -------
    ndarray of str, shape (n_trials,)
        Labels.
    """
    names = {code: name for name, code in epochs.event_id.items()}
    return np.array([names[code] for code in epochs.events[:, 2]], dtype=str)


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
        X, sfreq, ch_names, labels = _read_epochs([X] if is_epochs(X) else X)
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


def _read_epochs(epochs_list):
    parts = []
    for epochs in epochs_list:
        if not epochs.preload:  # loading drops the bad ones, without which events and data differ in length
            epochs = epochs.copy().load_data()
        parts.append((*epochs_to_array(epochs), epochs_labels(epochs)))
    data, sfreqs, ch_names, labels = zip(*parts, strict=True)
    kinds = {
        (names, sfreq, array.shape[2]) for names, sfreq, array in zip(ch_names, sfreqs, data, strict=True)
    }
    if len(kinds) > 1:
        described = sorted((sfreq, n_times, len(names)) for names, sfreq, n_times in kinds)
        raise ValueError(
            "Epochs differ in channel names or order, sampling rate or length; (sfreq, n_times, n_chans): "
            f"{described}. Pick, re-order or resample them to agree"
        )
    return np.concatenate(data), sfreqs[0], ch_names[0], np.concatenate(labels)


def _stack(X):
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"X is a list of trials of unequal shapes ({error}): crop or pad them to one length"
        ) from error


def check_groups(groups, trials):
    """Check that there is a group for each trial; give them as an array."""
    given = np.asarray(groups, dtype=object)
    if given.shape != (len(trials),):
        raise ValueError(
            f"groups has shape {given.shape}, but X has {len(trials)} trials; give each its group"
        )
    if any(not isinstance(group, str) and str(group) in _MISSING for group in given):
        raise ValueError("groups has missing values; give every trial its group")
    return column_or_1d(groups)


@functools.cache
def standard_montage():
    """Get the positions and names of the 10-05 system."""
    import mne

    # MNE 1.13 renamed it
    name = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    return mne.channels.make_standard_montage(name)


def warn_of_other_units(data, scale):
    """Point out trials whose scale is not that of the trials of fit.

    Parameters
    ----------
    data : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    scale : float
        Median standard deviation of a channel in fit.
    """
    typical = typical_scale(data)
    lower, higher = sorted((typical, scale))
    if 0 < lower < higher / OTHER_SCALE:
        warnings.warn(
            f"the median standard deviation of a channel is {typical:.1e}, it was {scale:.1e} in fit: X "
            "seems to have another unit; give both in µV",
            UserWarning,
            stacklevel=4,
        )


def typical_scale(data):
    """Get the median standard deviation of a channel in a trial, by a quick look at some trials and times."""
    some = data[:: max(1, len(data) // 8), :, :: max(1, data.shape[2] // 64)]
    deviations = np.sort(some.std(axis=2), axis=None)
    return float(deviations[len(deviations) // 2])  # np.median takes longer than small networks do
