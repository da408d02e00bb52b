"""EEGArray: the array that remembers what it is a recording of."""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

import numpy as np

from skeeg.trials.checks import same_rate, warn_user

_EVERYTHING = slice(None)
_MARKED_TIMES = 32  # samples of each channel that a mark looks at: two trials of EEG differ in the first


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
        Class of each trial; copied.
    tmin : float, optional
        Time of the first sample in seconds after the event that trials were cut by.

    Raises
    ------
    ValueError
        When names or labels do not match the shape of the data.

    See Also
    --------
    skeeg.datasets.load_epochs : Trials from files.
    skeeg.find_faults : What is broken among them.

    Notes
    -----
    Only operations that cannot move a trial or a channel unnoticed keep the attributes: indexing, ``copy``,
    ``astype`` and arithmetic that keeps the shape (what two arrays know differently, such as the names of
    two channels, their sum knows not). The result of anything else (``take``, ``transpose``,
    ``concatenate``, ...) has them all ``None``, rather than wrong.

    What changes the numbers in place, by whatever route (``numpy.random.shuffle``, ``X[i] = X[j]``,
    ``X.sort()``, a tensor that shares the memory), may have moved trials or channels. It is noticed when
    names or labels are asked for, by some samples of each trial: they are then ``None``, with a warning.
    Arithmetic in place, ``X *= 2``, moves nothing and keeps them.

    ``joblib.hash`` sees all that the array knows, so ``Pipeline(memory=...)`` does not take two recordings
    of equal numbers for one.

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

    def __new__(cls, data, sfreq=None, ch_names=None, labels=None, tmin=None):
        array = np.asarray(data).view(cls)
        if isinstance(ch_names, str):
            raise ValueError(f"ch_names={ch_names!r} is one text; give a list of names")
        for name, values, axis in (("ch_names", ch_names, 1), ("labels", labels, 0)):
            if values is not None and (array.ndim != 3 or len(values) != array.shape[axis]):
                raise ValueError(
                    f"{len(values)} {name} do not fit data of shape {array.shape}: "
                    "expected (n_trials, n_chans, n_times)"
                )
        if sfreq is not None:
            if isinstance(sfreq, (str, bytes, bool)) or not 0 < sfreq < math.inf:
                raise ValueError(f"sfreq={sfreq!r} must be a positive number of Hz")
            sfreq = float(sfreq)
        if ch_names is not None:
            ch_names = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in ch_names)
            if len(set(ch_names)) < len(ch_names):
                raise ValueError(f"ch_names={list(ch_names)} names a channel twice")
        if labels is not None:
            labels = np.array(labels)  # a copy that nobody can change
            labels.flags.writeable = False
        if tmin is not None:
            if isinstance(tmin, (str, bytes, bool)) or not math.isfinite(tmin):
                raise ValueError(f"tmin={tmin!r} must be a time in s")
            tmin = float(tmin)
        array._describe(sfreq, ch_names, labels, tmin)
        return array

    def __array_finalize__(self, source):
        self._about = _About()

    def _describe(self, sfreq=None, ch_names=None, labels=None, tmin=None, marks=None):
        if marks is None and not (ch_names is None and labels is None):
            marks = _Marks.of(np.asarray(self))
        self._about = _About(self.shape, sfreq, ch_names, labels, tmin, marks)
        return self

    def _known(self):
        """(sfreq, ch_names, labels, tmin), after a look at whether names and labels still hold."""
        about = self._about
        if about.shape not in (None, self.shape):  # by `X.shape = ...`, which moves everything
            self._about = _About()
        elif about.marks is not None and not about.marks.hold():
            self._about = _About(self.shape, about.sfreq, tmin=about.tmin)
        if self._about is not about:
            warn_user(
                "an EEGArray was changed in place since it got its channel names and labels: trials or "
                "channels may have moved, so it knows them no more. Where they are right, say so again: "
                "EEGArray(X, sfreq, ch_names, labels)"
            )
        return self._about[1:5]

    @property
    def sfreq(self):
        """Sampling rate in Hz, or None."""
        return self._about.sfreq if self._about.shape == self.shape else self._known()[0]

    @property
    def ch_names(self):
        """Channel names, a tuple of str, or None."""
        return self._known()[1]

    @property
    def labels(self):
        """Class of each trial, a read-only array, or None."""
        return self._known()[2]

    @property
    def tmin(self):
        """Time of the first sample in seconds after the event that trials were cut by, or None."""
        return self._about.tmin if self._about.shape == self.shape else self._known()[3]

    @property
    def strides(self):
        """Bytes from one entry to the next along each axis."""
        # joblib hashes an array as its bytes, class, dtype, shape and strides: one of these has to tell
        # what else makes two arrays differ.
        return _TellingStrides(np.asarray(self).strides).of(self)

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
        _, sfreq, ch_names, labels, tmin, marks = self._about
        trials, channels, times = axes
        if marks is not None:
            whole = is_slice[1] and channels == times == _EVERYTHING
            if self._about.shape == self.shape and (whole or all(is_slice)):
                # a view of the memory that was marked, or a copy of whole trials of it
                marks = _Marks(marks.data[trials] if all(is_slice) else data, marks.sums[trials])
            else:
                (sfreq, ch_names, labels, tmin), marks = self._known(), None  # to be marked anew
        labels = None if labels is None else labels[trials]
        ch_names = None if ch_names is None else tuple(np.array(ch_names)[channels].tolist())
        if start := times.indices(self.shape[2])[0]:
            tmin = None if None in (tmin, sfreq) else tmin + start / sfreq
        return data.view(EEGArray)._describe(sfreq, ch_names, labels, tmin, marks)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        def plain(arrays):
            return tuple(np.asarray(a) if isinstance(a, EEGArray) else a for a in arrays)

        into = out[0] if out is not None and len(out) == 1 else None
        shape = np.shape(self if into is None else into)
        # A generalised ufunc (matmul) mixes channels or samples.
        keeps_place = method == "__call__" and ufunc.signature is None and ufunc.nout == 1
        known = _shared(inputs, shape) if keeps_place else None
        if out is not None:
            getattr(ufunc, method)(*plain(inputs), out=plain(out), **kwargs)
            if known is not None and any(into is array for array in inputs) and isinstance(into, EEGArray):
                into._describe(*known)
            return out[0] if len(out) == 1 else out
        result = getattr(ufunc, method)(*plain(inputs), **kwargs)
        if known is not None and isinstance(result, np.ndarray) and result.shape == shape:
            return result.view(EEGArray)._describe(*known)
        return result

    def copy(self, order="C"):
        """Copy the data, keep what is known about them."""
        return np.asarray(self).copy(order).view(EEGArray)._describe(*self._known())

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        """Change the number type, keep what is known about the data."""
        changed = np.asarray(self).astype(dtype, order, casting, copy=copy)
        return changed.view(EEGArray)._describe(*self._known())

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce_ex__(self, protocol):
        # Pickling the plain array inside lets joblib hand it to its workers as a shared memory map.
        return EEGArray, (np.asarray(self), *self._known())


class _Marks(NamedTuple):
    """What trials looked like: a checksum of some samples of each."""

    data: np.ndarray  # (n_trials, n_chans, n_times), the memory that was looked at
    sums: np.ndarray  # (n_trials,)

    @classmethod
    def of(cls, data):
        """Mark trials as they are now; None where nobody can change them."""
        return cls(data, _checksums(data)) if _can_change(data) else None

    def hold(self):
        """Tell whether the trials look as they did."""
        return np.array_equal(self.sums, _checksums(self.data))


class _About(NamedTuple):
    """What an array knows, and of which shape it was then."""

    shape: tuple | None = None
    sfreq: float | None = None
    ch_names: tuple | None = None
    labels: np.ndarray | None = None
    tmin: float | None = None
    marks: _Marks | None = None


class _TellingStrides(tuple):
    """Strides, whose pickle tells what their array knows."""

    def of(self, array):
        self.array = array
        return self

    def __reduce__(self):
        return _first, (tuple(self), *self.array._known())


def _first(strides, *known):
    return strides


def _checksums(data):
    some = data[:, :, :: max(1, data.shape[2] // _MARKED_TIMES)]
    return np.array([zlib.crc32(trial.tobytes()) for trial in some], dtype=np.uint32)


def _can_change(data):
    while isinstance(data, np.ndarray):
        if data.flags.writeable:
            return True
        data = data.base
    return False


def _shared(inputs, shape):
    """What the arrays among the inputs know and agree on."""
    whole = [(array.shape, *array._known()) for array in inputs if isinstance(array, EEGArray)]
    sfreqs = [sfreq for _, sfreq, *_ in whole if sfreq is not None]
    # the difference of two channels is neither of them
    names = {names for size, _, names, *_ in whole if size[1:2] == shape[1:2]} - {None}
    labels = [labels for size, _, _, labels, _ in whole if size[:1] == shape[:1] and labels is not None]
    tmins = {tmin for size, *_, tmin in whole if size[2:] == shape[2:]} - {None}
    return (
        sfreqs[0] if sfreqs and all(same_rate(other, sfreqs[0]) for other in sfreqs) else None,
        names.pop() if len(names) == 1 else None,
        labels[0] if labels and all(np.array_equal(other, labels[0]) for other in labels) else None,
        tmins.pop() if len(tmins) == 1 else None,
    )
