"""What the transformers share: ``fit`` and ``transform`` themselves, the check of X, the sampling rate."""

from __future__ import annotations

import contextlib
from numbers import Real
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skeeg.persistence import Kept, learned
from skeeg.trials import as_trials, open_trials, same_rate, warn_of_faults

#: What rates, frequencies and times may be: scikit-learn's own open end lets infinity in.
POSITIVE = Interval(Real, 0, np.inf, closed="neither")
NOT_NEGATIVE = Interval(Real, 0, np.inf, closed="left")


class TrialTransformer(Kept, TransformerMixin, BaseEstimator, registered=False):
    """A transformer of trials: checks them, and leaves to subclasses what they learn and make of them.

    A subclass defines ``_transform(trials)``, and ``_learn(trials)`` where it learns more than the shape;
    both get :class:`skeeg.trials.Trials`. What ``_learn`` raises leaves the transformer as it was.

    Attributes
    ----------
    n_chans_, n_times_ : int
        Shape of a trial in ``fit``.
    n_features_in_ : int
        ``n_chans_ * n_times_``.
    ch_names_ : tuple of str or None
        Channel names, where X has them; ``transform`` puts channels in this order.
    """

    _learned: dict = {
        "n_chans_": learned.whole(1),
        "n_times_": learned.whole(1),
        "n_features_in_": learned.product("n_chans_", "n_times_"),
        "ch_names_": learned.maybe(learned.names("n_chans_")),
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None) -> Self:
        """Learn from trials what is listed under Attributes.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored

        Returns
        -------
        self
        """
        with self._unchanged_on_error():
            self._learn(self._fit_trials(X))
        return self

    def transform(self, X) -> np.ndarray:
        """Transform trials.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials of as many channels and samples as those of ``fit``.

        Returns
        -------
        ndarray
            Transformed trials, of the shape of X unless the class says another; an :class:`skeeg.EEGArray`
            where X knows its sampling rate, channel names or labels.
        """
        return self._transform(self._check_trials(X))

    def set_output(self, *, transform=None) -> Self:
        """Leave trials as they are, for pipelines whose later steps are to make tables.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            What tables are to be: trials have three axes, and are none.

        Returns
        -------
        self
        """
        return self

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Get the names of the channels that come out.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (n_chans,)
            "channel0", ... where they have no names.
        """
        check_is_fitted(self)
        return np.array(self.ch_names_ or [f"channel{i}" for i in range(self.n_chans_)], dtype=object)

    def _learn(self, trials):
        """Learn from the trials of ``fit``; their shape and channel names are learned already."""

    def _transform(self, trials):
        """Get the transformed trials, as an array that knows what the trials knew."""
        raise NotImplementedError

    def _fit_trials(self, X):
        trials = as_trials(X, dtype=[np.float64, np.float32])
        self.n_chans_, self.n_times_ = trials.data.shape[1:]
        self.n_features_in_ = self.n_chans_ * self.n_times_
        self.ch_names_ = trials.ch_names
        warn_of_faults(trials.data, trials.ch_names)
        return trials

    def _open(self, X):
        """Hold X against the trials of fit, before it is read; channels come in their order."""
        check_is_fitted(self)
        trials = open_trials(X, dtype=[np.float64, np.float32])
        n_chans, n_times = trials.shape[1:]
        if (n_chans, n_times) != (self.n_chans_, self.n_times_):
            raise ValueError(
                f"X has {n_chans * n_times} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: trials of {n_chans} channels x {n_times} samples "
                f"were given, fit saw {self.n_chans_} x {self.n_times_}"
            )
        return trials.in_order_of(self.ch_names_)

    def _check_trials(self, X):
        return self._open(X).trials()

    @contextlib.contextmanager
    def _unchanged_on_error(self):
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def __init_subclass__(cls, *, auto_wrap_output_keys=None, **kwargs):
        super().__init_subclass__(auto_wrap_output_keys=auto_wrap_output_keys, **kwargs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class RatedTransformer(TrialTransformer, registered=False):
    """A transformer that has to know the sampling rate: its parameter ``sfreq``, or what X knows.

    Attributes
    ----------
    sfreq_ : float
        Sampling rate of the trials of ``fit`` in Hz.
    """

    _learned = TrialTransformer._learned | {"sfreq_": learned.rate}

    def _fit_trials(self, X):
        trials = super()._fit_trials(X)
        if self.sfreq is None and trials.sfreq is None:
            raise ValueError(
                f"{type(self).__name__} needs the sampling rate: give sfreq, or X as Epochs or EEGArray"
            )
        if not same_rate(self.sfreq, trials.sfreq):
            raise ValueError(f"sfreq={self.sfreq} Hz, but X was sampled at {trials.sfreq} Hz")
        self.sfreq_ = float(trials.sfreq if self.sfreq is None else self.sfreq)
        if not 0 < self.sfreq_ < np.inf:
            raise ValueError(f"X was sampled at {self.sfreq_} Hz, which is no sampling rate")
        return trials

    def _open(self, X):
        trials = super()._open(X)
        if not same_rate(trials.sfreq, self.sfreq_):
            raise ValueError(
                f"X was sampled at {trials.sfreq} Hz, "
                f"but {type(self).__name__} was fitted at {self.sfreq_} Hz"
            )
        return trials
