"""Standardisation: each channel by its running mean and variance."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from scipy import signal
from sklearn.utils._param_validation import Interval

from skeeg.preprocessing.base import POSITIVE, TrialTransformer


class ExponentialMovingStandardizer(TrialTransformer):
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

    See Also
    --------
    skeeg.preprocessing.Scaler : One scale for all trials.

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
        "eps": [POSITIVE],
    }

    def __init__(self, factor_new=1e-3, init_block_size=None, eps=1e-4):
        self.factor_new = factor_new
        self.init_block_size = init_block_size
        self.eps = eps

    def _transform(self, trials):
        weights = self._fading_sum(np.ones(trials.data.shape[2]))
        standardized = np.empty_like(trials.data)
        for trial, out in zip(trials.data, standardized, strict=True):
            trial = trial.astype(np.float64)
            deviation = trial - self._fading_sum(trial) / weights
            variance = self._fading_sum(deviation**2) / weights
            out[...] = deviation / np.maximum(np.sqrt(variance), float(self.eps))
            if self.init_block_size is not None:
                block = trial[:, : self.init_block_size]
                spread = np.maximum(block.std(axis=1, keepdims=True), float(self.eps))
                out[:, : self.init_block_size] = (block - block.mean(axis=1, keepdims=True)) / spread
        return trials.wrap(standardized)

    def _fading_sum(self, x):
        """s[t] = x[t] + (1 - factor_new) s[t-1], along the last axis."""
        return signal.lfilter([1.0], [1.0, float(self.factor_new) - 1.0], x, axis=-1)
