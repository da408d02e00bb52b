"""Transformers of trials: arrays (n_trials, n_chans, n_times) or ``mne.Epochs`` in, arrays out.

What is known about the trials (sampling rate, channel names, labels) travels along: a transformer that gets
``mne.Epochs`` gives an :class:`skeeg.EEGArray`, in µV where it does not change the unit.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Integral, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skeeg._epochs import MICROVOLTS_PER_VOLT, EEGArray, as_trials, is_epochs

# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.3489795003921634


class _TrialTransformer(TransformerMixin, BaseEstimator):
    """What the transformers share: the check of X, at fit and afterwards."""

    def _fit_trials(self, X):
        trials = as_trials(X, dtype=[np.float64, np.float32])
        self.n_chans_ = trials.data.shape[1]
        self.ch_names_ = trials.ch_names
        return trials

    def _check_trials(self, X):
        check_is_fitted(self)
        trials = as_trials(X, dtype=[np.float64, np.float32])
        if trials.data.shape[1] != self.n_chans_:
            raise ValueError(
                f"X has {trials.data.shape[1]} channels, "
                f"but {type(self).__name__} was fitted with {self.n_chans_}"
            )
        return trials.in_order_of(self.ch_names_)

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
        Mean covariance of each group seen in ``fit``.
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
            group: _mean_covariance(trials.data[rows]) for group, rows in _rows_of_groups(groups, trials.data)
        }
        self.reference_ = _mean_covariance(trials.data)
        return trials

    def _align(self, trials, groups):
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


def _is_microvolt(X):
    return isinstance(X, EEGArray) or is_epochs(X) or (isinstance(X, list) and all(map(is_epochs, X)))


def _rows_of_groups(groups, data):
    """Pairs (group, indices of its trials); the one group of all is None."""
    if groups is None:
        return [(None, slice(None))]
    groups = column_or_1d(groups)
    check_consistent_length(data, groups)
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
