"""Matching: trials of any montage, sampling rate and window made into those that a decoder takes."""

from __future__ import annotations

from numbers import Real

import numpy as np
from scipy import signal
from sklearn.utils._param_validation import Interval, StrOptions

from skeeg.persistence import learned
from skeeg.preprocessing.base import NOT_NEGATIVE, POSITIVE, TrialTransformer
from skeeg.preprocessing.resampling import rational
from skeeg.trials import (
    EEGArray,
    absent_channels,
    channel_map,
    enough_channels,
    open_trials,
    same_rate,
    warn_user,
)

_SPARE = 2  # samples by which a window may be short: ends of Epochs are rounded
_REFLECTED = 2.0  # seconds by which a trial is mirrored at its ends before it is filtered
_BATCH = 64  # trials at a time: memory stays small


class MatchRecording(TrialTransformer):
    """Make trials of any montage, order, sampling rate and window those that a decoder takes.

    Channels are picked by name, or interpolated where few are missing; trials are resampled, band-passed and
    then cut. Nothing is learned: each trial's result is its own, and other trials may come from another
    montage.

    Parameters
    ----------
    channels : sequence of str
        Channels that the decoder takes, in its order.
    new_sfreq : float, default=160.0
        Sampling rate that it takes, in Hz.
    low, high : float, default=4.0, 38.0
        Edges of its band in Hz.
    start : float, default=0.0
        Start of its window in seconds after the cue.
    duration : float, default=3.0
        Length of its window in seconds.
    ch_names : sequence of str or None, default=None
        Channel names of arrays; ``mne.Epochs`` and :class:`skeeg.EEGArray` know theirs.
    sfreq : float or None, default=None
        Sampling rate of arrays in Hz.
    tmin : float, default=0.0
        Time of an array's first sample in seconds after the cue; Epochs know theirs.
    missing_channels : {"interpolate", "raise"}, default="interpolate"
        What becomes of channels that the trials do not have: spherical splines over all that they have, as
        long as two thirds are there, or an error.

    Attributes
    ----------
    n_features_in_ : int
        Channels times samples of the trials of ``fit``.

    Raises
    ------
    ValueError
        When a parameter is wrong, names or rate are not known, too few channels are there, trials are shorter
        than the window, or the rate is too low for the band.

    Warns
    -----
    UserWarning
        When the trials do not hold the window, channels of ``ch_names`` or of the trials' own are
        interpolated, or channels that are needed are constant.

    See Also
    --------
    skeeg.pretrained.load_pretrained : Where it is used.

    Notes
    -----
    Names match whatever their case and what recorders put around them, see
    :func:`skeeg.trials.channel_key`. A window that would begin before the first sample, or end after the
    last, is moved to where the trial is, with a warning. The filter is a Butterworth one of order 4, forward
    and backward, over the trial and two seconds of its mirror image at each end, before the window is cut.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import MatchRecording
    >>> X = np.random.default_rng(0).standard_normal((5, 4, 1000))  # four seconds at 250 Hz
    >>> names = ["EEG C4-Ref", "Fz", "EEG Cz-Ref", "c3."]
    >>> Z = MatchRecording(["C3", "Cz", "C4"], ch_names=names, sfreq=250).fit_transform(X)
    >>> Z.shape, Z.ch_names, Z.sfreq
    ((5, 3, 480), ('C3', 'Cz', 'C4'), 160.0)
    """

    _learned = {"n_features_in_": learned.whole(1)}
    _parameter_constraints = {
        "channels": ["array-like"],
        "new_sfreq": [POSITIVE],
        "low": [POSITIVE],
        "high": [POSITIVE],
        "start": [NOT_NEGATIVE],
        "duration": [POSITIVE],
        "ch_names": ["array-like", None],
        "sfreq": [POSITIVE, None],
        "tmin": [Interval(Real, -np.inf, np.inf, closed="neither")],
        "missing_channels": [StrOptions({"interpolate", "raise"})],
    }

    def __init__(
        self,
        channels,
        *,
        new_sfreq=160.0,
        low=4.0,
        high=38.0,
        start=0.0,
        duration=3.0,
        ch_names=None,
        sfreq=None,
        tmin=0.0,
        missing_channels="interpolate",
    ):
        self.channels = channels
        self.new_sfreq = new_sfreq
        self.low = low
        self.high = high
        self.start = start
        self.duration = duration
        self.ch_names = ch_names
        self.sfreq = sfreq
        self.tmin = tmin
        self.missing_channels = missing_channels

    def fit(self, X, y=None):
        """Check that trials can be matched; nothing is learned, and other trials may be of another shape.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        self
        """
        trials = open_trials(X)
        self._plan(trials)
        self.n_features_in_ = trials.shape[1] * trials.shape[2]
        return self

    def transform(self, X):
        """Match trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials, of whatever channels and samples.

        Returns
        -------
        EEGArray of float32, shape (n_trials, n_channels, n_samples)
            Trials as the decoder takes them, in the unit of X (µV where X is Epochs).
        """
        trials = open_trials(X)
        matrix, sfreq = self._plan(trials)
        tmin = self.tmin if trials.tmin is None else trials.tmin
        n_times = round(self.duration * self.new_sfreq)
        matched = np.empty((len(trials), len(self.channels), n_times), dtype=np.float32)
        up, down = rational(self.new_sfreq, sfreq)
        sos = signal.butter(4, [self.low, self.high], "bandpass", output="sos", fs=self.new_sfreq)
        first, silent = None, np.ones(len(self.channels), dtype=bool)
        for begin, batch in zip(range(0, len(trials), _BATCH), trials.batches(_BATCH), strict=True):
            if matrix is not None:
                batch = matrix @ batch
            silent &= (batch == batch[:, :, :1]).all(axis=(0, 2))
            if up != down:
                batch = signal.resample_poly(batch, up, down, axis=2, padtype="line")
            if first is None:
                first = self._first_sample(tmin, batch.shape[2])
            mirrored = min(round(_REFLECTED * self.new_sfreq), batch.shape[2] - 1)
            batch = np.pad(batch, ((0, 0), (0, 0), (mirrored, mirrored)), mode="reflect")
            batch = signal.sosfiltfilt(sos, batch, axis=2)[:, :, mirrored + first :]
            matched[begin : begin + len(batch)] = _of_length(batch, n_times)
        if silent.any():
            names = [name for name, is_silent in zip(self.channels, silent, strict=True) if is_silent]
            warn_user(f"channels {names} are constant: mark them bad in Epochs, or leave them out of X")
        return EEGArray(matched, float(self.new_sfreq), self.channels, trials.labels)

    def described(self, ch_names):
        """Say in one sentence what is made of a montage.

        Parameters
        ----------
        ch_names : sequence of str
            Channel names of the recording.

        Returns
        -------
        str
        """
        absent, left = absent_channels(ch_names, self.channels), absent_channels(self.channels, ch_names)
        there = len(self.channels) - len(absent)
        said = f"{there} of {len(self.channels)} channels are there"
        said += f", {', '.join(absent)} interpolated from the others" if absent else ""
        return said + (f"; left out: {', '.join(left)}" if left else "")

    def _plan(self, trials):
        """Get the matrix of channels (None where nothing changes) and the sampling rate of trials."""
        self._validate_params()  # here, as what needs no fit is not looked at by fit
        if round(self.duration * self.new_sfreq) < 1:
            raise ValueError(
                f"duration={self.duration} s at {self.new_sfreq:g} Hz is a window of no sample: give seconds"
            )
        names = self.ch_names if trials.ch_names is None else trials.ch_names
        if names is None:
            raise ValueError(
                f"X has {trials.shape[1]} channels without names, and {list(self.channels)} are needed: give "
                "ch_names, or X as mne.Epochs or skeeg.EEGArray(X, sfreq, ch_names)"
            )
        if len(names) != trials.shape[1]:
            raise ValueError(
                f"X has {trials.shape[1]} channels, but ch_names has {len(names)}: {list(names)}"
            )
        if self.sfreq is None and trials.sfreq is None:
            raise ValueError(
                "the sampling rate of X is not known: give sfreq, or X as mne.Epochs or EEGArray"
            )
        if not same_rate(self.sfreq, trials.sfreq):
            raise ValueError(f"sfreq={self.sfreq} Hz, but X is sampled at {trials.sfreq} Hz")
        sfreq = float(self.sfreq if trials.sfreq is None else trials.sfreq)
        if not self.low < self.high < min(sfreq, self.new_sfreq) / 2:
            raise ValueError(
                f"a sampling rate of {sfreq:g} Hz holds nothing above {sfreq / 2:g} Hz, and the band "
                f"{self.low:g}-{self.high:g} Hz is needed"
            )
        seconds = trials.shape[2] / sfreq
        if round(seconds * self.new_sfreq) < round(self.duration * self.new_sfreq) - _SPARE:
            raise ValueError(
                f"trials of {trials.shape[2]} samples at {sfreq:g} Hz last {seconds:.3g} s, and "
                f"{self.duration:g} s are needed: cut trials of at least {self.duration:g} s, best from "
                f"{self.start:g} s after the cue"
            )
        matrix = self.channel_map(names)
        absent = absent_channels(names, self.channels)
        if absent and (self.ch_names is None or absent != absent_channels(self.ch_names, self.channels)):
            warn_user(f"channels {absent} are not in X, or bad: they are interpolated from the others")
        return matrix, sfreq

    def channel_map(self, ch_names):
        """Get the matrix that makes the decoder's channels out of a montage.

        Parameters
        ----------
        ch_names : sequence of str
            Channel names of the recording.

        Returns
        -------
        ndarray of float32, shape (n_wanted, n_channels), or None
            As of :func:`skeeg.trials.channel_map`.

        Raises
        ------
        ValueError
            When too few channels are there.
        """
        absent = absent_channels(ch_names, self.channels)
        if not enough_channels(ch_names, self.channels) or (absent and self.missing_channels == "raise"):
            there = [name for name in self.channels if name not in absent]
            needed = "all" if self.missing_channels == "raise" else "at least two thirds"
            raise ValueError(
                f"X has {there} of the channels that are needed, and not {absent}; {needed} must be there. "
                f"Its channels are {list(ch_names)}; load_pretrained(task, ch_names=...) finds a decoder "
                "that fits them, where there is one"
            )
        return channel_map(ch_names, self.channels, "interpolate")

    def _first_sample(self, tmin, n_times):
        """Where the window begins: at its time after the cue, or as near as the trial goes."""
        latest = max(0, n_times - round(self.duration * self.new_sfreq))
        wanted = round((self.start - tmin) * self.new_sfreq)
        first = min(max(0, wanted), latest)
        if abs(first - wanted) > _SPARE:
            start, end = tmin + first / self.new_sfreq, tmin + n_times / self.new_sfreq
            warn_user(
                f"trials last from {tmin:g} to {end:.4g} s after the cue, the window is {self.start:g} to "
                f"{self.start + self.duration:g} s: what is decoded is {start:.4g} to "
                f"{start + self.duration:.4g} s. Give tmin where the trials begin at another time"
            )
        return first

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


def _of_length(batch, n_times):
    """Cut trials; one that is a sample or two short goes on with its last."""
    short = n_times - batch.shape[2]
    return np.pad(batch, ((0, 0), (0, 0), (0, short)), mode="edge") if short > 0 else batch[:, :, :n_times]
