"""Scaling: channels of a common scale."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.utils._param_validation import StrOptions

from skeeg.persistence import learned
from skeeg.preprocessing.base import TrialTransformer
from skeeg.trials import MICROVOLTS_PER_VOLT, EEGArray, LazyTrials, holds_epochs

# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.3489795003921634


class Scaler(TrialTransformer):
    """Bring the channels to a common scale.

    Parameters
    ----------
    method : {"standard", "robust", "microvolt"}, default="standard"
        "standard" takes the mean off each channel and divides it by its standard deviation, both over all
        trials and samples of ``fit``. "robust" does so with the median and the interquartile range (divided
        by 1.349, so that it equals the standard deviation of normal data): artefacts then weigh little.
        "microvolt" turns arrays in volts into µV and learns nothing; it guesses no unit: every plain array
        is multiplied by 1e6, while ``mne.Epochs`` and :class:`skeeg.EEGArray` are in µV already.
    lazy : bool, default=False
        Let ``transform`` give :class:`skeeg.trials.LazyTrials`, which are scaled when they are read: a
        Pipeline of this and a network then predicts in no more memory than a batch takes. X has to stay as it
        is until then; ``numpy.asarray`` makes an array of them.

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

    See Also
    --------
    EuclideanAlignment : Takes away how people differ, too.

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
    >>> Scaler(lazy=True).fit_transform(X).shape
    (30, 3, 200)
    """

    _learned = TrialTransformer._learned | {
        "center_": learned.array(np.float64, "n_chans_"),
        "scale_": learned.positive(learned.array(np.float64, "n_chans_")),
    }
    _parameter_constraints = {
        "method": [StrOptions({"standard", "robust", "microvolt"})],
        "lazy": ["boolean"],
    }

    def __init__(self, method="standard", *, lazy=False):
        self.method = method
        self.lazy = lazy

    def _learn(self, trials):
        data = trials.data
        if self.method == "microvolt":
            self.center_ = np.zeros(self.n_chans_)
            self.scale_ = np.full(self.n_chans_, 1 / MICROVOLTS_PER_VOLT)
            return
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

    def transform(self, X):  # documented where it is inherited from
        trials = self._computed(X, _scaled)
        return trials if self.lazy else _array_of(trials)

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
        return _array_of(self._computed(X, _unscaled))

    def _computed(self, X, compute):
        trials = self._open(X)
        known = self.method == "microvolt" and _is_microvolt(X)
        center, scale = (np.zeros(1), np.ones(1)) if known else (self.center_, self.scale_)
        center, scale = (values.astype(trials.dtype)[:, np.newaxis] for values in (center, scale))
        return LazyTrials.of(trials, partial(compute, center=center, scale=scale))


def _scaled(data, center, scale):
    return (data - center) / scale


def _unscaled(data, center, scale):
    return data * scale + center


def _array_of(trials):
    """Compute a few trials at a time: X that has to be converted first is never there as a whole."""
    data = np.asarray(trials)
    return trials.held.trials(data).wrap(data)


def _is_microvolt(X):
    return isinstance(X, EEGArray) or holds_epochs(X)
