"""Transformers of trials: arrays (n_trials, n_chans, n_times) or ``mne.Epochs`` in, arrays out.

What is known about the trials (sampling rate, channel names, labels) travels along: a transformer that gets
``mne.Epochs`` gives an :class:`skeeg.EEGArray`, in µV where it does not change the unit.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from numbers import Integral, Real

import numpy as np
from scipy import signal
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skeeg.trials import (
    MICROVOLTS_PER_VOLT,
    EEGArray,
    as_trials,
    check_groups,
    holds_epochs,
    typical_scale,
    warn_of_other_units,
)

# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.3489795003921634


class _TrialTransformer(TransformerMixin, BaseEstimator):
    """What the transformers share: the check of X, at fit and afterwards."""

    def _fit_trials(self, X):
        trials = as_trials(X, dtype=[np.float64, np.float32])
        self.n_chans_, self.n_times_ = trials.data.shape[1:]
        self.n_features_in_ = self.n_chans_ * self.n_times_
        self.ch_names_ = trials.ch_names
        return trials

    def _check_trials(self, X):
        check_is_fitted(self)
        trials = as_trials(X, dtype=[np.float64, np.float32])
        n_chans, n_times = trials.data.shape[1:]
        if (n_chans, n_times) != (self.n_chans_, self.n_times_):
            raise ValueError(
                f"X has {n_chans * n_times} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: trials of {n_chans} channels x {n_times} samples "
                f"were given, fit saw {self.n_chans_} x {self.n_times_}"
            )
        return trials.in_order_of(self.ch_names_)

    def _sampling_rate(self, trials):
        """Sampling rate of trials: the parameter ``sfreq`` or what X knows, which must agree."""
        if self.sfreq is None and trials.sfreq is None:
            raise ValueError(
                f"{type(self).__name__} needs the sampling rate: give sfreq, or X as Epochs or EEGArray"
            )
        if None not in (self.sfreq, trials.sfreq) and self.sfreq != trials.sfreq:
            raise ValueError(f"sfreq={self.sfreq} Hz, but X was sampled at {trials.sfreq} Hz")
        return float(trials.sfreq if self.sfreq is None else self.sfreq)

    def _check_sampling_rate(self, trials):
        if trials.sfreq not in (None, self.sfreq_):
            raise ValueError(
                f"X was sampled at {trials.sfreq} Hz, "
                f"but {type(self).__name__} was fitted at {self.sfreq_} Hz"
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Scaler(_TrialTransformer):
    """Bring the channels to a common scale.

    Parameters
    ----------
    method : {"standard", "robust", "microvolt"}, default="standard"
        "standard" takes the mean off each channel and divides it by its standard deviation, both over all
        trials and samples of ``fit``. "robust" does so with the median and the interquartile range (divided
        by 1.349, so that it equals the standard deviation of normal data): artefacts then weigh little.
        "microvolt" turns arrays in volts into µV and learns nothing; it guesses no unit: every plain array
        is multiplied by 1e6, while ``mne.Epochs`` and :class:`skeeg.EEGArray` are in µV already.

    Attributes
    ----------
    center_ : ndarray of float64, shape (n_chans,)
        What is taken off each channel, in the unit of X.
    scale_ : ndarray of float64, shape (n_chans,)
        What each channel is divided by, in the unit of X; 1 for a constant channel.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X or its channels are wrong, or X is not finite.

    Notes
    -----
    float32 stays float32; statistics are computed in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import Scaler
    >>> X = 5 + 20 * np.random.default_rng(0).standard_normal((30, 3, 200))
    >>> Z = Scaler().fit_transform(X)
    >>> Z.std(axis=(0, 2)).round(6).tolist()
    [1.0, 1.0, 1.0]
    """

    _parameter_constraints = {"method": [StrOptions({"standard", "robust", "microvolt"})]}

    def __init__(self, method="standard"):
        self.method = method

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn center and scale of each channel.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        Scaler
            Itself.
        """
        data = self._fit_trials(X).data
        if self.method == "microvolt":
            self.center_ = np.zeros(self.n_chans_)
            self.scale_ = np.full(self.n_chans_, 1 / MICROVOLTS_PER_VOLT)
            return self
        # One channel at a time: the float64 copies stay small.
        channels = (np.asarray(data[:, channel], dtype=np.float64) for channel in range(self.n_chans_))
        if self.method == "standard":
            statistics = [(channel.mean(), channel.std()) for channel in channels]
        else:
            quartiles = [np.percentile(channel, [25, 50, 75]) for channel in channels]
            statistics = [(median, (upper - lower) / NORMAL_IQR) for lower, median, upper in quartiles]
        self.center_, scale = np.array(statistics).T
        # A constant channel has a spread of nothing but rounding errors.
        constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(self.center_)
        self.scale_ = np.where(constant, 1.0, scale)
        return self

    def transform(self, X):
        """Scale trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials, in the unit of ``fit``.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, n_times)
            Scaled trials.
        """
        trials = self._check_trials(X)
        if self.method == "microvolt" and _is_microvolt(X):
            return trials.wrap(trials.data.copy())
        center, scale = self._statistics(trials.data.dtype)
        return trials.wrap((trials.data - center) / scale)

    def inverse_transform(self, X):
        """Undo ``transform``.

        Parameters
        ----------
        X : array-like, shape (n_trials, n_chans, n_times)
            Scaled trials.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, n_times)
            Trials in the unit of ``fit``.
        """
        trials = self._check_trials(X)
        if self.method == "microvolt" and _is_microvolt(X):
            return trials.wrap(trials.data.copy())
        center, scale = self._statistics(trials.data.dtype)
        return trials.wrap(trials.data * scale + center)

    def _statistics(self, dtype):
        return self.center_.astype(dtype)[:, np.newaxis], self.scale_.astype(dtype)[:, np.newaxis]


class EuclideanAlignment(_TrialTransformer):
    """Give the trials of every subject (or session) the same mean covariance, the identity.

    The covariances of two people differ more than those of two classes do. Whitening each group of trials
    by its own mean covariance takes that difference away without looking at labels, so that a classifier
    trained on some people works better on others.

    Parameters
    ----------
    min_trials : int, default=5
        A group that ``fit`` has not seen needs this many trials in one call of ``transform`` for a reference
        of its own; with fewer, the reference of all training trials serves, with a ``UserWarning``.

    Attributes
    ----------
    references_ : dict {group: ndarray of float64, shape (n_chans, n_chans)}
        Mean covariance of each group seen in ``fit``; empty without groups.
    reference_ : ndarray of float64, shape (n_chans, n_chans)
        Mean covariance of all trials of ``fit``.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or the length of ``groups`` is wrong, or X is not
        finite.

    Notes
    -----
    He & Wu (2020), "Transfer learning for brain-computer interfaces: a Euclidean space data alignment
    approach", IEEE Trans. Biomed. Eng. 67(2), equations 5 to 8: ``X_i <- R**-1/2 X_i`` with
    ``R = mean_i X_i X_i^T``. Departures: R is divided by the number of samples, so that aligned channels have
    unit power whatever the length of a trial; the inverse is the pseudo-inverse on the eigenvectors whose
    eigenvalue exceeds 1e-10 of the largest, since data in average reference or with interpolated channels are
    rank-deficient.

    At ``transform``, a group that ``fit`` saw keeps its reference, so that a single trial can be aligned; a
    new group gets its reference from the unlabelled trials of that call. Without groups, all trials belong to
    one group, which ``fit`` saw: each trial's result is then independent of the others. Pass a new subject as
    ``groups`` to have it aligned.

    Filter before: in raw EEG, slow drifts are most of the covariance.

    In a Pipeline, groups arrive by metadata routing. With
    ``sklearn.set_config(enable_metadata_routing=True)``, ``cross_val_score(pipe, X, y,
    cv=LeaveOneGroupOut(), params={"groups": subjects})`` hands them to ``fit`` and, when the score is the
    estimator's own (``scoring=None``), to ``transform``. scikit-learn's named scorers do not hand metadata
    to ``predict``; the test trials then count as the group of all.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import EuclideanAlignment
    >>> X = np.random.default_rng(0).standard_normal((40, 3, 200)) * [[[1], [5], [20]]]
    >>> subjects = np.repeat(["anna", "ben"], 20)
    >>> Z = EuclideanAlignment().fit_transform(X, groups=subjects)
    >>> covariance = (Z[:20] @ Z[:20].transpose(0, 2, 1)).mean(axis=0) / 200
    >>> bool(np.allclose(covariance, np.eye(3)))
    True
    """

    _parameter_constraints = {"min_trials": [Interval(Integral, 1, None, closed="left")]}

    # Groups are asked for by default: without them there is nothing to align.
    __metadata_request__fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    def __init__(self, min_trials=5):
        self.min_trials = min_trials

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, groups=None):
        """Learn the mean covariance of each group.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored
        groups : array-like, shape (n_trials,), optional
            Group (subject, session) of each trial; one group when not given.

        Returns
        -------
        EuclideanAlignment
            Itself.
        """
        self._fit(X, groups)
        return self

    def transform(self, X, groups=None):
        """Whiten each trial by the reference of its group.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        groups : array-like, shape (n_trials,), optional
            Group of each trial; the one group of all of ``fit`` when not given.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, n_times)
            Aligned trials, without unit.
        """
        return self._align(self._check_trials(X), groups)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None, groups=None):
        """Learn the mean covariance of each group and whiten by it; see ``fit`` and ``transform``."""
        return self._align(self._fit(X, groups), groups)

    def _fit(self, X, groups):
        trials = self._fit_trials(X)
        self.references_ = {
            group: _mean_covariance(trials.data[rows])
            for group, rows in _rows_of_groups(groups, trials.data)
            if group is not None
        }
        self.reference_ = _mean_covariance(trials.data)
        return trials

    def _align(self, trials, groups):
        if groups is None and self.references_:
            warnings.warn(
                "fit had groups, transform has none: trials are aligned by the reference of all training "
                "trials, which new people do not fit. Named scorers do not pass groups on to predict",
                stacklevel=3,
            )
        aligned = np.empty_like(trials.data)
        for group, rows in _rows_of_groups(groups, trials.data):
            reference = self.reference_ if group is None else self._reference_of(group, trials.data[rows])
            aligned[rows] = _whitening(reference).astype(trials.data.dtype) @ trials.data[rows]
        return trials.wrap(aligned)

    def _reference_of(self, group, data):
        if group in self.references_:
            return self.references_[group]
        if len(data) >= self.min_trials:
            return _mean_covariance(data)
        warnings.warn(
            f"Group {group!r} is new and has {len(data)} trials, fewer than min_trials={self.min_trials}: "
            "aligned by the reference of all training trials",
            stacklevel=4,
        )
        return self.reference_


class BandPass(_TrialTransformer):
    """Keep a band of frequencies: a Butterworth filter of SciPy.

    Parameters
    ----------
    low : float or None, default=8.0
        Lower edge in Hz (-3 dB, -6 dB for the zero-phase filter); None keeps everything under ``high``.
    high : float or None, default=30.0
        Upper edge in Hz; None keeps everything over ``low``.
    sfreq : float, optional
        Sampling rate in Hz; that of X when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    order : int, default=4
        Order of the filter (of its low-pass prototype).
    causal : bool, default=False
        Filter forward alone, as one must online; by default forward and backward, without phase shift.

    Attributes
    ----------
    sfreq_ : float
        Sampling rate in Hz.
    scale_ : float
        Median standard deviation of a channel in fit; trials of another unit are warned of.
    sos_ : ndarray of float64, shape (n_sections, 6)
        Second-order sections of the filter.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or its sampling rate are wrong, or X is not finite.

    Notes
    -----
    Short trials ring at their ends; cut longer ones and :class:`Crop` them afterwards where there are any.
    The zero-phase filter extends each trial by its point reflection (``scipy.signal.sosfiltfilt``).

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import BandPass
    >>> time = np.arange(1000) / 250
    >>> X = np.array([[np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 50 * time)]])
    >>> BandPass(8, 30, sfreq=250).fit_transform(X).std(axis=2).round(1).tolist()
    [[0.7, 0.0]]
    """

    _parameter_constraints = {
        "low": [Interval(Real, 0, None, closed="neither"), None],
        "high": [Interval(Real, 0, None, closed="neither"), None],
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
        "order": [Interval(Integral, 1, None, closed="left")],
        "causal": ["boolean"],
    }

    def __init__(self, low=8.0, high=30.0, sfreq=None, *, order=4, causal=False):
        self.low = low
        self.high = high
        self.sfreq = sfreq
        self.order = order
        self.causal = causal

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Design the filter; learns the number of channels and the sampling rate.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        BandPass
            Itself.
        """
        trials = self._fit_trials(X)
        self.sfreq_, self.scale_ = self._sampling_rate(trials), typical_scale(trials.data)
        edges = [edge for edge in (self.low, self.high) if edge is not None]
        if not edges or edges != sorted(set(edges)) or edges[-1] >= self.sfreq_ / 2:
            raise ValueError(
                f"low={self.low}, high={self.high} is no band at a sampling rate of {self.sfreq_} Hz: "
                f"expected low < high < {self.sfreq_ / 2} Hz, one of them may be None"
            )
        kind = "bandpass" if len(edges) == 2 else "lowpass" if self.low is None else "highpass"
        edges = edges if len(edges) == 2 else edges[0]
        self.sos_ = signal.butter(self.order, edges, kind, output="sos", fs=self.sfreq_)
        return self

    def transform(self, X):
        """Filter trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, n_times)
            Filtered trials.
        """
        trials = self._check_trials(X)
        self._check_sampling_rate(trials)
        warn_of_other_units(trials.data, self.scale_)
        # SciPy's default reflection, or as much of it as a short trial can give.
        sos = np.array(self.sos_)  # SciPy wants memory that it could write to, joblib's maps are not
        reflection = min(3 * (2 * len(self.sos_) + 1), trials.data.shape[2] - 1)
        filtered = np.empty_like(trials.data)
        for trial, out in zip(trials.data, filtered, strict=True):  # SciPy computes in float64: one at a time
            if self.causal:
                out[...] = signal.sosfilt(sos, trial)
            else:
                out[...] = signal.sosfiltfilt(sos, trial, padlen=reflection)
        return trials.wrap(filtered)


class Resampler(_TrialTransformer):
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
        "new_sfreq": [Interval(Real, 0, None, closed="neither")],
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(self, new_sfreq=128.0, sfreq=None):
        self.new_sfreq = new_sfreq
        self.sfreq = sfreq

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of channels and the sampling rate.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        Resampler
            Itself.
        """
        self.sfreq_ = self._sampling_rate(self._fit_trials(X))
        return self

    def transform(self, X):
        """Resample trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, ceil(n_times * new_sfreq / sfreq))
            Resampled trials.
        """
        trials = self._check_trials(X)
        self._check_sampling_rate(trials)
        ratio = Fraction(self.new_sfreq / self.sfreq_).limit_denominator(1000)
        resampled = signal.resample_poly(
            trials.data, ratio.numerator, ratio.denominator, axis=2, padtype="line"
        )
        # Where nothing was known about X, it stays a plain array.
        known = {} if trials.sfreq is None else {"sfreq": self.new_sfreq}
        return trials.wrap(resampled.astype(trials.data.dtype, copy=False), **known)


class Crop(_TrialTransformer):
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

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import Crop
    >>> Crop(0.5, 2.5, sfreq=250).fit_transform(np.ones((2, 3, 1000))).shape
    (2, 3, 500)
    """

    _parameter_constraints = {
        "tmin": [Interval(Real, 0, None, closed="left")],
        "tmax": [Interval(Real, 0, None, closed="neither"), None],
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
    }

    def __init__(self, tmin=0.0, tmax=None, sfreq=None):
        self.tmin = tmin
        self.tmax = tmax
        self.sfreq = sfreq

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of channels and the sampling rate.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        Crop
            Itself.
        """
        trials = self._fit_trials(X)
        self.sfreq_ = self._sampling_rate(trials)
        self._window(trials)
        return self

    def transform(self, X):
        """Crop trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, round((tmax - tmin) * sfreq))
            Cropped trials.
        """
        trials = self._check_trials(X)
        self._check_sampling_rate(trials)
        return trials.wrap(trials.data[:, :, self._window(trials)].copy())

    def _window(self, trials):
        n_times = trials.data.shape[2]
        start = round(self.tmin * self.sfreq_)
        stop = n_times if self.tmax is None else round(self.tmax * self.sfreq_)
        if not start < stop <= n_times:
            raise ValueError(
                f"tmin={self.tmin}, tmax={self.tmax} s cut no window out of trials of {n_times} samples, "
                f"{n_times / self.sfreq_:g} s at {self.sfreq_} Hz"
            )
        return slice(start, stop)


class ExponentialMovingStandardizer(_TrialTransformer):
    """Standardise each channel of each trial by a running mean and variance of its past.

    Parameters
    ----------
    factor_new : float, default=1e-3
        Weight of the newest sample: the past fades with a time constant of ``1 / factor_new`` samples.
    init_block_size : int, optional
        The first so many samples are standardised by their own mean and standard deviation instead, the
        running ones being uncertain there. None does not look ahead at all.
    eps : float, default=1e-4
        Least standard deviation to divide by, in the unit of X.

    Attributes
    ----------
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X or its channels are wrong, or X is not finite.

    Notes
    -----
    Schirrmeister et al. (2017), "Deep learning with convolutional neural networks for EEG decoding and
    visualization", Human Brain Mapping 38(11): with ``f = factor_new``, ``m[t] = f x[t] + (1 - f) m[t-1]``,
    ``v[t] = f (x[t] - m[t])^2 + (1 - f) v[t-1]``, and the result is ``(x[t] - m[t]) / max(sqrt(v[t]), eps)``.
    Departure: both averages are divided by the sum of their weights, so that they are averages from the first
    sample on, whatever the past before the trial was.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import ExponentialMovingStandardizer
    >>> X = 30 + 5 * np.random.default_rng(0).standard_normal((2, 3, 4000))
    >>> Z = ExponentialMovingStandardizer(factor_new=0.01).fit_transform(X)
    >>> round(float(Z[..., 1000:].mean()), 1), round(float(Z[..., 1000:].std()), 1)
    (0.0, 1.0)
    """

    _parameter_constraints = {
        "factor_new": [Interval(Real, 0, 1, closed="neither")],
        "init_block_size": [Interval(Integral, 1, None, closed="left"), None],
        "eps": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, factor_new=1e-3, init_block_size=None, eps=1e-4):
        self.factor_new = factor_new
        self.init_block_size = init_block_size
        self.eps = eps

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of channels.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        ExponentialMovingStandardizer
            Itself.
        """
        self._fit_trials(X)
        return self

    def transform(self, X):
        """Standardise trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, n_times)
            Standardised trials, without unit.
        """
        trials = self._check_trials(X)
        weights = self._fading_sum(np.ones(trials.data.shape[2]))
        standardized = np.empty_like(trials.data)
        for trial, out in zip(trials.data, standardized, strict=True):
            trial = trial.astype(np.float64)
            deviation = trial - self._fading_sum(trial) / weights
            variance = self._fading_sum(deviation**2) / weights
            out[...] = deviation / np.maximum(np.sqrt(variance), self.eps)
            if self.init_block_size is not None:
                block = trial[:, : self.init_block_size]
                spread = np.maximum(block.std(axis=1, keepdims=True), self.eps)
                out[:, : self.init_block_size] = (block - block.mean(axis=1, keepdims=True)) / spread
        return trials.wrap(standardized)

    def _fading_sum(self, x):
        """s[t] = x[t] + (1 - factor_new) s[t-1], along the last axis."""
        return signal.lfilter([1.0], [1.0, self.factor_new - 1.0], x, axis=-1)


class FilterBank(_TrialTransformer):
    """Split trials into frequency bands.

    Parameters
    ----------
    n_bands : int or list of (float, float), default=9
        A number of bands of 4 Hz from 4 Hz upwards (9: 4-8, 8-12, ..., 36-40 Hz), or the bands in Hz.
    sfreq : float, optional
        Sampling rate in Hz; that of X when it is an ``mne.Epochs`` or :class:`skeeg.EEGArray`.
    filter_parameters : dict or {"fir", "chebyshev2"}, optional
        Arguments of ``mne.filter.create_filter``, or a bank by name, see
        :class:`skeeg.modules.layers.filter_bank.FilterBankDesign`; MNE's zero-phase FIR filters by default.

    Attributes
    ----------
    bands_ : list of (float, float)
        Edges in Hz.
    sfreq_ : float
        Sampling rate in Hz.
    scale_ : float
        Median standard deviation of a channel in fit; trials of another unit are warned of.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or its sampling rate are wrong, or X is not finite.

    Notes
    -----
    ``FBLightConvNetClassifier`` has the filter bank inside and takes plain trials.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import FilterBank
    >>> FilterBank([(8, 12), (12, 30)], sfreq=250).fit_transform(np.ones((5, 3, 500))).shape
    (5, 2, 3, 500)
    """

    _parameter_constraints = {
        "n_bands": [Interval(Integral, 1, None, closed="left"), list],
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
        "filter_parameters": [dict, str, None],
    }

    def __init__(self, n_bands=9, sfreq=None, filter_parameters=None):
        self.n_bands = n_bands
        self.sfreq = sfreq
        self.filter_parameters = filter_parameters

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Design the filters; learns the number of channels and the sampling rate.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        FilterBank
            Itself.
        """
        trials = self._fit_trials(X)
        self.sfreq_, self.scale_ = self._sampling_rate(trials), typical_scale(trials.data)
        self.bands_ = self._design().bands
        return self

    def transform(self, X):
        """Filter trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        ndarray, shape (n_trials, n_bands, n_chans, n_times)
            Trials in each band.
        """
        import torch

        trials = self._check_trials(X)
        self._check_sampling_rate(trials)
        warn_of_other_units(trials.data, self.scale_)
        data = trials.data if trials.data.flags.writeable else trials.data.copy()
        return self._design()(torch.from_numpy(data)).numpy()

    def _design(self):
        """Filters: designed when they are needed, in milliseconds, so that saved banks are plain values."""
        from skeeg.modules.layers.filter_bank import FilterBankDesign

        return FilterBankDesign(self.n_bands, self.sfreq_, self.filter_parameters)


def _is_microvolt(X):
    return isinstance(X, EEGArray) or holds_epochs(X)


def _rows_of_groups(groups, data):
    """Pairs (group, indices of its trials); the one group of all is None."""
    if groups is None:
        return [(None, slice(None))]
    groups = check_groups(groups, data)
    names, membership = np.unique(groups, return_inverse=True)
    return [(name, np.flatnonzero(membership == i)) for i, name in enumerate(names.tolist())]


def _mean_covariance(data):
    """Mean over trials of X X^T / n_times: (n_trials, n_chans, n_times) -> (n_chans, n_chans), in float64."""
    n_trials, n_chans, n_times = data.shape
    covariance = np.zeros((n_chans, n_chans))
    for trial in data:  # one at a time: the float64 copy stays small
        trial = trial.astype(np.float64)
        covariance += trial @ trial.T
    return covariance / (n_trials * n_times)


def _whitening(covariance):
    """Inverse square root of a covariance on the space that it spans: (n_chans, n_chans)."""
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    spanned = eigenvalues > 1e-10 * eigenvalues[-1]
    eigenvectors = eigenvectors[:, spanned]
    return (eigenvectors / np.sqrt(eigenvalues[spanned])) @ eigenvectors.T
