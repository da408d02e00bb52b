"""Reading trials: whole, or a batch at a time, checked and of one number type."""

from __future__ import annotations

import mmap
from typing import NamedTuple

import numpy as np

from skeeg.trials.array import EEGArray
from skeeg.trials.checks import LARGEST_VALUE, check_values, order_of_channels
from skeeg.trials.containers import file_map, find_source, holds_epochs, numbers

_PIECE = 2**20  # bytes of trials that are converted at a time


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
    tmin : float or None
        Time of the first sample, in seconds after the event.
    """

    data: np.ndarray
    sfreq: float | None
    ch_names: tuple[str, ...] | None
    labels: np.ndarray | None
    tmin: float | None = None

    def in_order_of(self, ch_names):
        """Put the channels in the order of ``ch_names``, where the names of both are known."""
        order = order_of_channels(self.ch_names, ch_names)
        if order is None:
            return self
        return self._replace(data=np.ascontiguousarray(self.data[:, order]), ch_names=tuple(ch_names))

    def wrap(self, data, **changes):
        """Give transformed data what is known about these: a plain array when that is nothing.

        ``changes`` replaces attributes that the transform changed (``sfreq=``, ``tmin=``).
        """
        known = {name: getattr(self, name) for name in ("sfreq", "ch_names", "labels", "tmin")} | changes
        return data if all(value is None for value in known.values()) else EEGArray(data, **known)


class TrialReader:
    """Checked trials that are read, and converted, when they are needed.

    Made by :func:`open_trials`.

    Attributes
    ----------
    shape : tuple of int
        (n_trials, n_chans, n_times).
    sfreq : float or None
        Sampling rate in Hz.
    ch_names : tuple of str or None
        Channel names.
    tmin : float or None
        Time of the first sample, in seconds after the event.
    """

    def __init__(self, source, dtype):
        self._source, self.dtype, self._order = source, dtype, None
        self.shape, self.sfreq, self.ch_names = source.shape, source.sfreq, source.ch_names
        self.tmin = source.tmin
        self._map = file_map(source.held)

    def __len__(self):
        return self.shape[0]

    @property
    def labels(self):
        """Class of each trial, or None."""
        return self._source.labels()

    def in_order_of(self, ch_names):
        """Put the channels in the order of ``ch_names``, where the names of both are known.

        Parameters
        ----------
        ch_names : sequence of str or None
            Names wanted.

        Returns
        -------
        TrialReader
            This one, from now on with channels in that order.

        Raises
        ------
        ValueError
            When a name is missing or not wanted.
        """
        order = order_of_channels(self.ch_names, ch_names)
        if order is not None:
            self._order = order if self._order is None else [self._order[i] for i in order]
            self.ch_names = tuple(ch_names)
        return self

    def read(self, start=0, stop=None):
        """Read trials.

        Parameters
        ----------
        start, stop : int
            The first trial, and the one after the last; all by default.

        Returns
        -------
        ndarray, shape (stop - start, n_chans, n_times)
            Finite, C-contiguous, of type ``dtype``. Shares memory with X where X is so too.

        Raises
        ------
        ValueError
            When a value is not finite, or too large for a square of it.
        """
        stop = len(self) if stop is None else min(stop, len(self))
        held = self._source.held
        as_it_is = type(held) is np.ndarray and held.dtype == self.dtype and self._order is None
        if as_it_is and held.flags.c_contiguous:
            data = held[start:stop]
            self._check(data)
            return data
        data = np.empty((stop - start, *self.shape[1:]), self.dtype)
        size = max(1, _PIECE // max(1, data[:1].nbytes))
        for first in range(start, stop, size):
            part = data[first - start : first - start + size]
            with np.errstate(over="ignore"):  # what becomes infinite is named below
                part[...] = self._raw(first, min(first + size, stop))
            self.release()
            self._check(part)
        return data

    def batches(self, size):
        """Read trials a batch at a time, in no more memory than that takes.

        Parameters
        ----------
        size : int
            Trials in a batch; the last may have fewer.

        Yields
        ------
        ndarray, shape (size, n_chans, n_times)
            As of ``read``; of a file that is mapped into memory, a copy.
        """
        for start in range(0, len(self), size):
            batch = self.read(start, start + size)
            if self._map is not None:
                batch = np.array(batch)
                self.release()
            yield batch

    def release(self):
        """Give pages of a mapped file back, which count as memory of this process; they can be read again."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED)

    def trials(self, data=None):
        """Read all trials, and what is known about them, as :class:`Trials`; or take data made of them."""
        data = self.read() if data is None else data
        return Trials(data, self.sfreq, self.ch_names, self.labels, self.tmin)

    def _raw(self, start, stop):
        raw = self._source.read(start, stop)
        if raw.dtype.kind not in "fiu":
            raw = numbers(raw)
        return raw if self._order is None else raw[:, self._order]

    def _check(self, data):
        # The sum of squares bounds every value, in less time than a network takes for a trial.
        if not np.vdot(data, data) < LARGEST_VALUE**2:
            check_values(self._raw, self.shape, self.ch_names)


def open_trials(X, dtype=np.float32):
    """Find out what a user hands over as X, and how its trials are read; see :func:`as_trials`.

    Shapes are checked here, values where they are read.

    Parameters
    ----------
    X, dtype
        As of :func:`as_trials`.

    Returns
    -------
    TrialReader

    Raises
    ------
    ValueError, TypeError
        As of :func:`as_trials`.
    """
    source = find_source(X)
    shape = source.shape
    if len(shape) != 3:
        raise ValueError(
            f"X is {len(shape)}-dimensional, of shape {shape}: expected (n_trials, n_chans, n_times). "
            "Reshape your data: X[np.newaxis] turns one trial (n_chans, n_times) into a set of one, "
            "X[:, np.newaxis] turns trials of one channel (n_trials, n_times) into three dimensions"
        )
    if 0 in shape:
        what = ("sample(s)", "channel(s)", "feature(s)")[shape.index(0)]
        raise ValueError(
            f"Found array with 0 {what} (shape={(shape[0], shape[1] * shape[2])}) while a minimum of 1 is "
            f"required: X has {shape[0]} trials of {shape[1]} channels x {shape[2]} samples"
            + ("; all epochs were dropped, epochs.drop_log says why" if holds_epochs(X) else "")
        )
    if isinstance(dtype, list):
        # float16 and 16-bit whole numbers fit float32
        own = np.result_type(source.dtype, np.float32)
        dtype = own if own in dtype else dtype[0]
    return TrialReader(source, np.dtype(dtype))


def as_trials(X, dtype=np.float32):
    """Turn whatever a user hands over as X into checked trials.

    Parameters
    ----------
    X : array-like, torch.Tensor, torch Dataset, EEGArray, mne.Epochs or list of mne.Epochs
        Trials, (n_trials, n_chans, n_times). scikit-learn's splits of Epochs are lists of one-trial Epochs.
        Of a data set of (trial, label) pairs, as braindecode's of windows, labels are taken as well.
    dtype : dtype or list of dtype, default=numpy.float32
        Number type of the result; of a list, the first that holds the numbers of X.

    Returns
    -------
    Trials
        Named tuple (data, sfreq, ch_names, labels, tmin). ``data`` shares memory with X where X is
        C-contiguous and of the right type.

    Raises
    ------
    ValueError
        When X has another number of dimensions, an axis without entries, trials of unequal shapes, masked,
        infinite, complex or text values, NaN, values of which no square can be taken, or Epochs of different
        montages.
    TypeError
        When X is sparse, a continuous recording, an average, a spectrum, a table, a loader, or holds what is
        not a number.

    Notes
    -----
    Of Epochs, the good EEG channels are taken, in µV: as in ``mne.decoding``, channels marked bad and those
    of another type (EOG, stimulus, ...) are left out. The user's Epochs stay as they are, loaded or not.
    """
    return open_trials(X, dtype).trials()
