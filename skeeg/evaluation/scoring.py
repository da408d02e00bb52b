"""Scores of a comparison, each a function of predictions: what is asked later needs no training."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    get_scorer,
    get_scorer_names,
    log_loss,
    roc_auc_score,
)
from sklearn.utils.metaestimators import available_if

N_BINS = 10  # of the expected calibration error
_NO_PROBABILITIES = "it has no probabilities (predict_proba)"


class Undefined(ValueError):
    """Says why a score is undefined for these trials."""


@dataclass(frozen=True)
class Score:
    """How good predictions are.

    Parameters
    ----------
    name : str
        What it is called in tables.
    function : callable
        ``function(y_true, y_pred, proba, classes)`` gives a number: labels of shape (n_trials,),
        probabilities of shape (n_trials, n_classes) or None, all labels in their order. `Undefined` says why
        it cannot.
    by_fold : bool, default=False
        A subject's value is the mean over its folds, weighted by their trials, as for what is a mean over
        trials anyway, and for ranks, which two models do not share. Else all trials of a subject count
        together.
    percent : bool, default=False
        From 0 to 1, printed in percent.
    lower_is_better : bool, default=False
        As for losses.
    unit : str, default=""
        Unit for the table.
    by_name : bool, default=True
        Whether `name` is enough to make it again.
    """

    name: str
    function: Callable = field(repr=False)
    by_fold: bool = False
    percent: bool = False
    lower_is_better: bool = False
    unit: str = ""
    by_name: bool = True

    @property
    def heading(self):
        """Name with its unit."""
        unit = "%" if self.percent else self.unit
        return f"{self.name} ({unit})" if unit else self.name

    def of(self, y_true, y_pred, proba, classes):
        """Compute the score.

        Parameters
        ----------
        y_true, y_pred : ndarray, shape (n_trials,)
            Labels.
        proba : ndarray, shape (n_trials, n_classes), or None
            Probabilities, columns in the order of `classes`.
        classes : ndarray, shape (n_classes,)
            Labels, sorted.

        Returns
        -------
        value : float
            NaN where it is undefined.
        reason : str
            Why it is undefined; "" where it is not.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of classes that a subject lacks: told by the table
            warnings.simplefilter("error", UndefinedMetricWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                value = float(self.function(y_true, y_pred, proba, classes))
            except (ValueError, TypeError, AttributeError, UndefinedMetricWarning) as error:
                lacks = proba is None and isinstance(
                    error, AttributeError
                )  # as scikit-learn's scorers say it
                return np.nan, _NO_PROBABILITIES if lacks else " ".join(str(error).split()).rstrip(".")
        return (value, "") if np.isfinite(value) else (np.nan, f"it is {value}")

    def format(self, value, *, sign=False):
        """Print a value as the tables do.

        Parameters
        ----------
        value : float
            Score, or with `sign` a difference of two.
        sign : bool, default=False
            Write a plus, too.

        Returns
        -------
        str
        """
        plus = "+" if sign else ""
        return f"{100 * value:{plus}.1f}" if self.percent else f"{value:{plus}.3f}"


def _several_classes(y_true):
    if len(np.unique(y_true)) < 2:
        raise Undefined(f"its trials are all of one class, {y_true[0]}")


def _probabilities(proba):
    if proba is None:
        raise Undefined(_NO_PROBABILITIES)
    return proba


def _places(y_true, classes):
    return np.searchsorted(classes, y_true)


def _accuracy(y_true, y_pred, proba, classes):
    return accuracy_score(y_true, y_pred)


def _balanced_accuracy(y_true, y_pred, proba, classes):
    _several_classes(y_true)
    return balanced_accuracy_score(y_true, y_pred)


def _kappa(y_true, y_pred, proba, classes):
    _several_classes(y_true)
    return cohen_kappa_score(y_true, y_pred, labels=classes)


def _roc_auc(y_true, y_pred, proba, classes):
    proba = _probabilities(proba)
    _several_classes(y_true)
    if absent := np.setdiff1d(classes, y_true).tolist():
        raise Undefined(f"it has no trial of {absent}")
    if len(classes) == 2:
        return roc_auc_score(y_true == classes[1], proba[:, 1])
    total = proba.sum(axis=1, keepdims=True)  # scikit-learn takes no rounding of half precision
    return roc_auc_score(y_true, proba / total, labels=classes, multi_class="ovr")


def _log_loss(y_true, y_pred, proba, classes):
    proba = _probabilities(proba)
    return log_loss(y_true, proba / proba.sum(axis=1, keepdims=True), labels=classes)


def _brier(y_true, y_pred, proba, classes):
    proba = _probabilities(proba)
    target = np.eye(len(classes))[_places(y_true, classes)]
    # of two classes both columns say the same: one counts, as in scikit-learn
    return np.square(proba - target).sum(axis=1).mean() / (2 if len(classes) == 2 else 1)


def reliability(y_true, proba, classes, n_bins=N_BINS):
    """Tell how often the likeliest class is right, by how probable it was said to be.

    Parameters
    ----------
    y_true : ndarray, shape (n_trials,)
        Labels.
    proba : ndarray, shape (n_trials, n_classes)
        Probabilities, columns in the order of `classes`.
    classes : ndarray, shape (n_classes,)
        Labels, sorted.
    n_bins : int, default=10
        Number of bins of equal width from 0 to 1, each with its upper end.

    Returns
    -------
    confidence, right, n_trials : ndarray, shape (n_bins,)
        Mean probability of the likeliest class, share of trials in which it is right (NaN in a bin without
        trials), number of trials.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.evaluation.scoring import reliability
    >>> proba = np.array([[0.1, 0.9], [0.15, 0.85], [0.7, 0.3]])
    >>> confidence, right, n_trials = reliability(np.array([1, 0, 0]), proba, np.array([0, 1]), n_bins=5)
    >>> confidence.round(3).tolist(), right.tolist(), n_trials.tolist()
    ([nan, nan, nan, 0.7, 0.875], [nan, nan, nan, 1.0, 0.5], [0, 0, 0, 1, 2])
    """
    most = proba.max(axis=1)
    is_right = proba.argmax(axis=1) == _places(y_true, classes)
    bins = np.clip(np.ceil(most * n_bins).astype(int) - 1, 0, n_bins - 1)
    n_trials = np.bincount(bins, minlength=n_bins)
    counted = np.where(n_trials > 0, n_trials, np.nan)
    sums = (np.bincount(bins, weights=weights, minlength=n_bins) for weights in (most, is_right))
    confidence, right = (total / counted for total in sums)
    return confidence, right, n_trials


def _ece(y_true, y_pred, proba, classes):
    confidence, right, n_trials = reliability(y_true, _probabilities(proba), classes)
    return np.nansum(n_trials * np.abs(confidence - right)) / n_trials.sum()


def information(accuracy, n_classes):
    """Get the information that a decision carries, in bits.

    Parameters
    ----------
    accuracy : float
        Share of right decisions, 0 to 1.
    n_classes : int
        Number of classes.

    Returns
    -------
    float
        0 at chance and below it.

    Notes
    -----
    Wolpaw et al. (2000), IEEE Trans. Rehabil. Eng. 8(2):164–173: classes are taken for equally frequent, and
    errors for equally frequent among the other classes. Times the decisions a minute, it is the information
    transfer rate in bits/min.

    Examples
    --------
    >>> from skeeg.evaluation.scoring import information
    >>> information(1.0, 4), information(0.5, 2), round(information(0.9, 2), 3)
    (2.0, 0.0, 0.531)
    """
    if accuracy <= 1 / n_classes:
        return 0.0
    wrong = 1 - accuracy
    bits = np.log2(n_classes) + accuracy * np.log2(accuracy)
    return float(bits + (wrong * np.log2(wrong / (n_classes - 1)) if wrong > 0 else 0))


def _itr(y_true, y_pred, proba, classes):
    return information(np.mean(y_true == y_pred), len(classes))


#: Name -> score.
SCORES = {
    score.name: score
    for score in (
        Score("accuracy", _accuracy, by_fold=True, percent=True),
        Score("balanced_accuracy", _balanced_accuracy, percent=True),
        Score("kappa", _kappa),
        Score("roc_auc", _roc_auc, by_fold=True),
        Score("log_loss", _log_loss, by_fold=True, lower_is_better=True),
        Score("brier", _brier, by_fold=True, lower_is_better=True),
        Score("ece", _ece, lower_is_better=True),
        Score("itr", _itr, unit="bits/trial"),
    )
}


class _Answers(ClassifierMixin, BaseEstimator):
    """A fitted classifier that answers what it was told, for scorers, which want to ask one."""

    def __init__(self, y_pred, proba, classes):
        self.y_pred, self.proba, self.classes = y_pred, proba, classes
        self.classes_ = classes

    def predict(self, X):
        return self.y_pred

    @available_if(lambda self: self.proba is not None)
    def predict_proba(self, X):
        return self.proba

    def __sklearn_is_fitted__(self):
        return True


def _of_scorer(name, scorer, by_name):
    """A score made of one of scikit-learn's scorers."""

    def function(y_true, y_pred, proba, classes):
        return scorer(_Answers(y_pred, proba, classes), np.empty((len(y_true), 1)), y_true)

    asks = getattr(scorer, "_response_method", "predict")
    asks = [asks] if isinstance(asks, str) else asks
    ranks = "decision_function" in asks or _name_of(scorer).startswith(("roc_auc", "average_precision"))
    return Score(name, function, by_fold=ranks, by_name=by_name)


def resolve(scoring):
    """Make scores of what a user asks for.

    Parameters
    ----------
    scoring : str, scorer, list of these, or dict of str -> str or scorer
        Names of `SCORES` or of scikit-learn's scorers, or scorers, as of ``sklearn.metrics.make_scorer``.

    Returns
    -------
    dict of str -> Score
        By name, in the order given.

    Raises
    ------
    ValueError
        A name is unknown or given twice, or what is given is no scorer.

    Examples
    --------
    >>> from skeeg.evaluation.scoring import resolve
    >>> list(resolve(["kappa", "roc_auc", "f1_macro"]))
    ['kappa', 'roc_auc', 'f1_macro']
    """
    if isinstance(scoring, dict):
        named = list(scoring.items())
    else:
        several = scoring if isinstance(scoring, (list, tuple)) else [scoring]
        named = [(_name_of(scorer), scorer) for scorer in several]
    if not named:
        raise ValueError("scoring names no score; give at least one, such as 'accuracy'")
    scores = {}
    for name, scorer in named:
        if name in scores:
            raise ValueError(f"scoring names {name!r} twice; a dict gives each score a name of its own")
        if name in _TAKEN:
            raise ValueError(f"scoring: {name!r} is a column of the tables; give the score another name")
        scores[name] = _score(name, scorer)
    return scores


# columns of scores.csv, which a score would write over
_TAKEN = ("pipeline", "subject", "session", "fold", "seed", "fit_time", "n_train", "n_test", "error")


def _name_of(scorer):
    if isinstance(scorer, (str, Score)):
        return scorer if isinstance(scorer, str) else scorer.name
    function = getattr(scorer, "_score_func", scorer)
    return getattr(function, "__name__", type(scorer).__name__)


def _score(name, scorer):
    if isinstance(scorer, Score):
        return scorer
    if isinstance(scorer, str) and scorer in SCORES:
        score = SCORES[scorer]
        return score if name == scorer else replace(score, name=name, by_name=False)
    if isinstance(scorer, str) and scorer not in get_scorer_names():
        raise ValueError(
            f"scoring={scorer!r} is unknown; choose from {', '.join(SCORES)}, or a name of scikit-learn's "
            "(sklearn.metrics.get_scorer_names())"
        )
    if not isinstance(scorer, str) and not (callable(scorer) and hasattr(scorer, "_score_func")):
        raise ValueError(
            f"scoring holds {scorer!r}, which is no scorer: make one by sklearn.metrics.make_scorer(function)"
        )
    made = get_scorer(scorer) if isinstance(scorer, str) else scorer
    return _of_scorer(name, made, by_name=scorer == name)


def check_scores(scores, classes):
    """Raise ValueError for a score that these labels have not, before anything trains.

    Parameters
    ----------
    scores : dict of str -> Score
        Scores.
    classes : ndarray, shape (n_classes,)
        Labels, sorted.
    """
    y_true = np.repeat(classes, 2)
    proba = np.repeat(np.eye(len(classes)), 2, axis=0)
    for name, score in scores.items():
        _, reason = score.of(y_true, y_true, proba, classes)
        if reason:
            raise ValueError(
                f"scoring={name!r} is undefined for the labels {classes.tolist()[:10]}: {reason}"
            )
