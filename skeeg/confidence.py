"""Doubt that can be trusted: sets of labels that hold the right one as often as they say, and abstention.

Probabilities that are as high as they are often right come from scikit-learn (1.8 or newer):
``CalibratedClassifierCV(pipeline, method="temperature", cv=LeaveOneGroupOut(), ensemble=False)``, fitted with
``groups`` by metadata routing, learns one temperature of what the pipeline says of people whom it did not
learn from.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from skeeg.estimators.routing import Routes
from skeeg.trials import check_groups, warn_user


class ConformalClassifier(Routes, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Say sets of labels that hold the right one in a given share of trials, of people never seen.

    Some people are held out of training; what the classifier says of them tells how far down its
    probabilities a set must go.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba``; a Pipeline, a network, ``CalibratedClassifierCV``. Where it is fitted, in
        ``sklearn.frozen.FrozenEstimator``, all trials of ``fit`` tell and none trains.
    coverage : float, default=0.9
        Share of trials whose set is to hold the right label.
    held_out : float, default=0.3
        Share of the people (without groups, of the trials) that tell, and do not train.
    random_state : int, RandomState instance or None, default=None
        Decides who is held out.

    Attributes
    ----------
    estimator_ : classifier
        The fitted one.
    classes_ : ndarray
        Its labels.
    least_ : float
        Least probability of a label in a set; 0 where so few people cannot tell, and sets are full.
    n_groups_ : int
        People, or without groups trials, that told.

    Raises
    ------
    ValueError
        When a parameter, or the number of groups, is wrong, or held-out labels are none of training.

    Warns
    -----
    UserWarning
        When so few people cannot promise the coverage: sets hold all labels.

    Notes
    -----
    Split conformal prediction with the score ``1 - p(y)`` (Sadinle, Lei & Wasserman 2019, JASA 114). Trials
    of one person are alike, so with groups each person weighs one, and the coverage is that of a trial of a
    new person: the quantile of hierarchical data of Lee, Barber & Willett (2023), arXiv 2306.06342, with a
    weight of one person at infinity. It is promised on average over people, not for each. Sets may be empty:
    then no label is as probable as the right one mostly is.

    Examples
    --------
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.confidence import ConformalClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, metadata = make_motor_imagery(12, 20, n_chans=5, difficulty=0.3, random_state=0)
    >>> known = (metadata["subject"] <= 11).to_numpy()
    >>> conformal = ConformalClassifier(make_csp_lda(), coverage=0.7, held_out=0.5, random_state=0)
    >>> conformal = conformal.fit(X[known], y[known], groups=metadata["subject"][known])
    >>> conformal.predict_set(X[~known]).shape  # trials x classes
    (20, 2)
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "coverage": [Interval(Real, 0, 1, closed="neither")],
        "held_out": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }
    __metadata_request__fit = {"groups": True}
    _routes = (*Routes._routes, ("fit", "predict_proba"))  # of those held out

    def __init__(self, estimator, *, coverage=0.9, held_out=0.3, random_state=None):
        self.estimator = estimator
        self.coverage = coverage
        self.held_out = held_out
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, groups=None):
        """Train on some people, and learn from the others how sure to be.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : array-like, shape (n_trials,)
            Labels.
        groups : array-like, shape (n_trials,), optional
            Person of each trial. By metadata routing they reach steps that ask for them, such as alignments.

        Returns
        -------
        self
        """
        y = np.asarray(y)
        groups = None if groups is None else check_groups(groups, y)
        if isinstance(self.estimator, FrozenEstimator):
            check_is_fitted(self.estimator)
            fitted, rows = self.estimator, np.arange(len(y))
        else:
            options = {"test_size": self.held_out, "random_state": self.random_state}
            split = (StratifiedShuffleSplit if groups is None else GroupShuffleSplit)(1, **options)
            train, rows = next(split.split(np.zeros(len(y)), y, groups))
            routed = self._handed_on("fit", "fit", _of(groups, train))
            fitted = clone(self.estimator).fit(_safe_indexing(X, train), y[train], **routed)
        classes = np.asarray(fitted.classes_)
        unknown = np.setdiff1d(y[rows], classes)
        if len(unknown):
            raise ValueError(
                f"labels {unknown.tolist()} of held-out trials are none of the {classes.tolist()} trained on"
            )
        routed = self._handed_on("fit", "predict_proba", _of(groups, rows))
        p = fitted.predict_proba(_safe_indexing(X, rows), **routed)
        scores = 1 - p[y[rows][:, np.newaxis] == classes]
        people, person = np.unique(rows if groups is None else groups[rows], return_inverse=True)
        weights = 1 / np.bincount(person)[person] / (len(people) + 1)
        order = np.argsort(scores, kind="stable")
        reached = np.cumsum(weights[order]) >= self.coverage - 1e-12
        if not reached.any():
            warn_user(
                f"{len(people)} {'trials' if groups is None else 'people'} cannot promise a coverage of "
                f"{self.coverage:g}: all labels are in each set. At least "
                f"{int(np.ceil(self.coverage / (1 - self.coverage) - 1e-9))} are needed"
            )
        self.least_ = float(1 - scores[order][reached.argmax()]) if reached.any() else 0.0
        self.estimator_, self.classes_, self.n_groups_ = fitted, classes, len(people)
        return self

    def predict_proba(self, X, **params):
        """Get the probabilities of the estimator, (n_trials, n_classes); ``params`` are its metadata."""
        check_is_fitted(self)
        routed = self._handed_on("predict_proba", "predict_proba", params)
        return self.estimator_.predict_proba(X, **routed)

    def predict_set(self, X, **params):
        """Get the set of labels of each trial.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        **params : dict
            Metadata that the estimator asks for, such as ``groups``.

        Returns
        -------
        ndarray of bool, shape (n_trials, n_classes)
            Which labels, columns in the order of ``classes_``, are in the set.
        """
        return self.predict_proba(X, **params) >= self.least_ - 1e-12

    def predict(self, X, reject=None, **params):
        """Get the most probable label of each trial, or none where it is not probable enough.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        reject : float or None, default=None
            Abstain where the probability is below this; None never does.
        **params : dict
            Metadata that the estimator asks for, such as ``groups``.

        Returns
        -------
        ndarray, shape (n_trials,)
            Labels; with ``reject`` an array of objects, None where it abstains.
        """
        p = self.predict_proba(X, **params)
        labels = self.classes_[p.argmax(axis=1)]
        if reject is None:
            return labels
        if isinstance(reject, bool) or not 0 <= reject <= 1:
            raise ValueError(f"reject={reject!r} must be a probability from 0 to 1, or None")
        return np.where(p.max(axis=1) >= reject, labels.astype(object), None)

    def score(self, X, y, sample_weight=None):
        """Get the accuracy of the most probable labels."""
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)


def _of(groups, rows):
    return {} if groups is None else {"groups": groups[rows]}
