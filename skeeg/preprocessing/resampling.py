"""Resampling: another sampling rate, another window."""

from __future__ import annotations

from fractions import Fraction

from scipy import signal

from skeeg.preprocessing.base import NOT_NEGATIVE, POSITIVE, RatedTransformer

_LARGEST_RATIO = 1000  # of two sampling rates, and of the whole numbers that it is taken for


def rational(new_sfreq, sfreq):
    """Get numerator and denominator of the fraction nearest to the ratio of two sampling rates."""
    ratio = float(new_sfreq) / float(sfreq)
    if not 1 / _LARGEST_RATIO <= ratio <= _LARGEST_RATIO:
        raise ValueError(
            f"new_sfreq={new_sfreq} Hz of trials at {sfreq} Hz: rates may differ by a factor of "
            f"{_LARGEST_RATIO} at most"
        )
    return Fraction(ratio).limit_denominator(_LARGEST_RATIO).as_integer_ratio()


class Resampler(RatedTransformer):
    """Change the sampling rate: ``scipy.signal.resample_poly``, which filters against aliasing.

    Parameters
    ----------
    new_sfreq : float, default=128.0
        Sampling rate wanted, in Hz.
    sfreq : float, optional
        Sampling rate of X in Hz; X knows it when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.

    Attributes
    ----------
    sfreq_ : float
        Sampling rate of X in Hz.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or its sampling rate are wrong, or X is not finite.

    See Also
    --------
    Crop : Trials of another length.
    MatchRecording : Trials as a trained decoder wants them.

    Notes
    -----
    A trial of n samples becomes one of ``ceil(n * new_sfreq / sfreq)``. Trials are extended along the line
    through their ends.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import Resampler
    >>> Resampler(160, sfreq=128).fit_transform(np.ones((2, 3, 384))).shape
    (2, 3, 480)
    """

    _parameter_constraints = {
        "new_sfreq": [POSITIVE],
        "sfreq": [POSITIVE, None],
    }

    def __init__(self, new_sfreq=128.0, sfreq=None):
        self.new_sfreq = new_sfreq
        self.sfreq = sfreq

    def _learn(self, trials):
        rational(self.new_sfreq, self.sfreq_)

    def _check_loaded(self):
        rational(self.new_sfreq, self.sfreq_)

    def _transform(self, trials):
        up, down = rational(self.new_sfreq, self.sfreq_)
        resampled = signal.resample_poly(trials.data, up, down, axis=2, padtype="line")
        # Where nothing was known about X, it stays a plain array.
        known = {} if trials.sfreq is None else {"sfreq": float(self.new_sfreq)}
        return trials.wrap(resampled.astype(trials.data.dtype, copy=False), **known)


class Crop(RatedTransformer):
    """Keep a part of each trial.

    Parameters
    ----------
    tmin : float, default=0.0
        Start in seconds after the first sample of the trial (whatever its time relative to the cue).
    tmax : float, optional
        End in seconds, itself left out; the end of the trial when not given.
    sfreq : float, optional
        Sampling rate in Hz; that of X when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.

    Attributes
    ----------
    sfreq_ : float
        Sampling rate in Hz.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or its sampling rate are wrong, trials end before
        ``tmax``, or X is not finite.

    See Also
    --------
    Resampler : Trials of another rate.

    Notes
    -----
    A trial becomes one of ``round(tmax * sfreq) - round(tmin * sfreq)`` samples.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import Crop
    >>> Crop(0.5, 2.5, sfreq=250).fit_transform(np.ones((2, 3, 1000))).shape
    (2, 3, 500)
    """

    _parameter_constraints = {
        "tmin": [NOT_NEGATIVE],
        "tmax": [POSITIVE, None],
        "sfreq": [POSITIVE, None],
    }

    def __init__(self, tmin=0.0, tmax=None, sfreq=None):
        self.tmin = tmin
        self.tmax = tmax
        self.sfreq = sfreq

    def _learn(self, trials):
        self._window(trials)

    def _transform(self, trials):
        window = self._window(trials)
        tmin = None if trials.tmin is None else trials.tmin + window.start / self.sfreq_
        return trials.wrap(trials.data[:, :, window].copy(), tmin=tmin)

    def _window(self, trials):
        n_times = trials.data.shape[2]
        start = round(float(self.tmin) * self.sfreq_)
        stop = n_times if self.tmax is None else round(float(self.tmax) * self.sfreq_)
        if not start < stop <= n_times:
            raise ValueError(
                f"tmin={self.tmin}, tmax={self.tmax} s cut no window out of trials of {n_times} samples, "
                f"{n_times / self.sfreq_:g} s at {self.sfreq_} Hz"
            )
        return slice(start, stop)
