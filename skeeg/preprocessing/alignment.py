"""Alignment: trials of every person with the same mean covariance."""

from __future__ import annotations

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval

from skeeg.persistence import learned
from skeeg.preprocessing.base import TrialTransformer
from skeeg.trials import check_groups


class EuclideanAlignment(TrialTransformer):
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

    _learned = TrialTransformer._learned | {
        "references_": learned.by_group(learned.covariance("n_chans_")),
        "reference_": learned.covariance("n_chans_"),
    }
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
        with self._unchanged_on_error():
            self._learn(self._fit_trials(X), groups)
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
        with self._unchanged_on_error():
            trials = self._fit_trials(X)
            self._learn(trials, groups)
        return self._align(trials, groups)

    def _learn(self, trials, groups):
        self.references_ = {
            group: _mean_covariance(trials.data[rows])
            for group, rows in _rows_of_groups(groups, trials.data)
            if group is not None
        }
        self.reference_ = _mean_covariance(trials.data)

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
            aligned[rows] = whitening(reference).astype(trials.data.dtype) @ trials.data[rows]
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


def whitening(covariance):
    """Get the inverse square root of a covariance, on the space that it spans.

    Parameters
    ----------
    covariance : ndarray, shape (n_chans, n_chans)
        Symmetric, positive semi-definite.

    Returns
    -------
    ndarray of float64, shape (n_chans, n_chans)
        The matrix that gives data of this covariance the identity as theirs; directions of less than 1e-10
        of the largest power become zero.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    spanned = eigenvalues > 1e-10 * eigenvalues[-1]
    eigenvectors = eigenvectors[:, spanned]
    return (eigenvectors / np.sqrt(eigenvalues[spanned])) @ eigenvectors.T
