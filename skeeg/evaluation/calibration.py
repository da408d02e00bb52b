"""Who trains on what, where the person tested gives trials too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class OwnTrials:
    """A classifier that learns from the own trials of the person tested alone, in a calibration.

    Parameters
    ----------
    classifier : classifier
        Unfitted: trained on the person's trials, which for a pretrained network is fine-tuning.
    before : classifier, optional
        What predicts as long as the person has given no trial: trained on the trials of other people, or as
        it is where it is frozen (``sklearn.frozen.FrozenEstimator``) or needs no fit. None: nothing does, and
        the curve begins with the first own trials.

    See Also
    --------
    compare : With ``cv="calibration"``.

    Notes
    -----
    With ``cv="calibration"``, a classifier by itself is trained on the trials of other people and on the own
    ones; a frozen one stays as it is.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.evaluation import OwnTrials, compare
    >>> X, y, metadata = make_motor_imagery(2, 20, n_chans=3, random_state=0)
    >>> dummy = DummyClassifier()
    >>> tuned = OwnTrials(dummy, before=FrozenEstimator(DummyClassifier().fit(X, y)))
    >>> pipelines = {"others too": dummy, "own": OwnTrials(dummy), "tuned": tuned}
    >>> curve = compare(
    ...     pipelines, X, y, metadata, cv="calibration", own_trials=[0, 4], n_splits=2, progress=False
    ... )
    >>> curve.scores.groupby(["pipeline", "own_trials"])["n_train"].max()
    pipeline    own_trials
    others too  0             20
                4             24
    own         4              4
    tuned       0             20
                4              4
    Name: n_train, dtype: int64
    """

    classifier: Any
    before: Any = None


def training_rows(pipelines, folds):
    """Tell what each pipeline trains on in each fold.

    Parameters
    ----------
    pipelines : dict of str -> classifier or OwnTrials
        Pipelines.
    folds : list of Fold
        Folds.

    Returns
    -------
    dict of (str, int) -> ndarray
        Row numbers by pipeline and fold number, fold by fold rather than pipeline by pipeline: what an
        interrupted run leaves can still be paired. A pipeline that cannot predict in a fold, for want of
        anything to learn from, is not there.
    """
    rows = {}
    for k, fold in enumerate(folds):
        for name, pipeline in pipelines.items():
            classifier = classifier_at(pipeline, fold)
            own_alone = isinstance(pipeline, OwnTrials) and len(fold.own)
            train = fold.own if own_alone else np.concatenate([fold.train, fold.own])
            if classifier is not None:
                rows[name, k] = train
    return rows


def classifier_at(pipeline, fold):
    """The classifier that is to be trained in a fold, or None."""
    if not isinstance(pipeline, OwnTrials):
        return pipeline
    return pipeline.classifier if len(fold.own) else pipeline.before
