"""SeedEnsemble: the same network from several seeds, as one estimator."""

from __future__ import annotations

from numbers import Integral
from typing import Self

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from skeeg.estimators.data import labels_to_score
from skeeg.estimators.routing import Routes
from skeeg.persistence import Kept, learned


def _classifiers(value, values):
    if not isinstance(value, list) or len(value) < 1:
        raise ValueError("is no list of classifiers")
    for one in value:
        if not hasattr(one, "predict_proba") or not np.array_equal(one.classes_, values["classes_"]):
            raise ValueError("holds what is no classifier of its classes")


class SeedEnsemble(Routes, Kept, ClassifierMixin, BaseEstimator):
    """Train the same classifier from several seeds, and average its probabilities.

    A network's score on a few dozen trials changes by some percent with its seed; the mean of several is as
    good as the best of them or better, and changes less.

    Parameters
    ----------
    estimator : classifier
        What is trained: a network, or a Pipeline that ends in one.
    n_seeds : int, default=5
        How many; it takes as many times as long.
    random_state : int, RandomState instance or None, default=None
        Decides the seeds, which take the place of every ``random_state`` in ``estimator``.

    Attributes
    ----------
    estimators_ : list of classifier
        The trained ones.
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.

    Raises
    ------
    ValueError
        In ``fit``, when ``estimator`` has no ``random_state``: it would be the same ``n_seeds`` times.

    Notes
    -----
    .. versionadded:: 0.1

    Examples
    --------
    >>> from skeeg import AttentionBaseNetClassifier, SeedEnsemble
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(1, 40, n_chans=5, random_state=0)
    >>> ensemble = SeedEnsemble(AttentionBaseNetClassifier(max_epochs=2), n_seeds=2, random_state=0)
    >>> ensemble.fit(X, y).predict_proba(X).shape
    (40, 2)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "n_seeds": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }
    _learned = {"classes_": learned.labels, "estimators_": _classifiers}

    def __init__(self, estimator, n_seeds=5, *, random_state=None):
        self.estimator = estimator
        self.n_seeds = n_seeds
        self.random_state = random_state

    def fit(self, X, y=None, **params) -> Self:
        """Train them all.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.
        y : array-like, shape (n_trials,), optional
            Labels; optional for Epochs, where ``estimator`` is a network.
        **params : dict
            Handed to the estimator's ``fit``, such as ``sample_weight`` or ``groups``; by metadata routing,
            what it asks for.

        Returns
        -------
        self
        """
        self._validate_params()
        names = [name for name in self.estimator.get_params() if name.rpartition("__")[2] == "random_state"]
        if not names:
            raise ValueError(
                f"{type(self.estimator).__name__} has no random_state: trained {self.n_seeds} times, it "
                "would be the same each time"
            )
        params = self._for_estimator("fit", "fit", params)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=int(self.n_seeds))
        trained = [
            clone(self.estimator).set_params(**dict.fromkeys(names, int(seed))).fit(X, y, **params)
            for seed in seeds
        ]
        self.estimators_, self.classes_ = trained, trained[0].classes_
        return self

    def predict_proba(self, X, **params) -> np.ndarray:
        """Get the mean probability of each class.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.
        **params : dict
            Handed to the estimator's ``predict_proba``, such as ``groups``.

        Returns
        -------
        ndarray, shape (n_trials, n_classes)
        """
        check_is_fitted(self)
        params = self._for_estimator("predict_proba", "predict_proba", params)
        return np.mean([one.predict_proba(X, **params) for one in self.estimators_], axis=0)

    def predict(self, X, **params) -> np.ndarray:
        """Get the label of the highest mean probability.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.
        **params : dict
            Handed to the estimator's ``predict_proba``, such as ``groups``.

        Returns
        -------
        ndarray, shape (n_trials,)
        """
        return self.classes_[self.predict_proba(X, **params).argmax(axis=1)]

    def score(self, X, y=None, sample_weight=None) -> float:
        """Get the share of trials whose label is predicted right; as of one network.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.
        y : array-like, shape (n_trials,), optional
            Labels; from Epochs where not given.
        sample_weight : array-like, shape (n_trials,), optional
            Weight of each trial.

        Returns
        -------
        float
        """
        y = labels_to_score(X, y, self.classes_, type(self).__name__)
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)

    def _for_estimator(self, caller, callee, params):
        enabled = get_config()["enable_metadata_routing"]
        return self._handed_on(caller, callee, params) if enabled else params
