"""Trials of the person to be decoded, as MOABB hands them to ``fit``: which steps ask for them."""

from __future__ import annotations

import inspect

import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

_TRIALS = ("X_target_unlabeled", "X_target_labeled")
_TARGET = (*_TRIALS, "y_target_labeled")


def with_target_trials(pipeline):
    """Let every step of a pipeline that can use trials of the person to be decoded ask for them.

    MOABB's ``CrossSubjectEvaluation`` offers such trials by metadata routing (its ``cs_mode``), with labels
    or without. Alignment takes its reference of that person from them; a network is fine-tuned on those with
    labels. They are offered as they were recorded: the pipelines made here take them through the steps
    before the one that asks, which scikit-learn's ``transform_input`` does.

    Parameters
    ----------
    pipeline : estimator
        Pipeline, search or other estimator, unfitted.

    Returns
    -------
    estimator
        A clone that asks. Its ``fit`` needs metadata routing, under which MOABB fits
        (``sklearn.set_config(enable_metadata_routing=True)``).

    Raises
    ------
    ValueError
        When no step can use such trials.

    Notes
    -----
    Without this, estimators of skeeg ask for ``subjects`` alone, which they use for alignment and for
    validation by whole subjects: what a step in the middle of a pipeline would be handed, without
    ``transform_input``, is not what it was fitted to.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skeeg import EuclideanAlignment, Scaler, SSTDPNClassifier
    >>> from skeeg.preprocessing import with_target_trials
    >>> pipeline = with_target_trials(make_pipeline(EuclideanAlignment(), Scaler(), SSTDPNClassifier()))
    >>> pipeline.transform_input
    ['X_target_unlabeled', 'X_target_labeled']
    """
    asking, n_asking = clone(pipeline), 0
    with sklearn.config_context(enable_metadata_routing=True):
        for part in (asking, *asking.get_params(deep=True).values()):
            if isinstance(part, Pipeline):
                part.set_params(
                    transform_input=list(dict.fromkeys([*(part.transform_input or ()), *_TRIALS]))
                )
            elif isinstance(part, BaseEstimator) and hasattr(part, "set_fit_request"):
                taken = set(inspect.signature(part.fit).parameters) & set(_TARGET)
                if taken:
                    part.set_fit_request(**dict.fromkeys(sorted(taken), True))
                    n_asking += 1
    if not n_asking:
        raise ValueError(
            "no step can use trials of the person to be decoded, as alignment and networks can: "
            f"{' '.join(repr(pipeline).split())}"
        )
    return asking
