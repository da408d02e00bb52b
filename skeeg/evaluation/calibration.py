"""How good a decoder is for a new person, by the number of trials that the person gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skeeg.evaluation.results import PAIRED_TEST, Comparison, align, one_line, paired_test, print_p
from skeeg.evaluation.statistics import holm


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
            if classifier is not None and (len(train) or predicts_untrained(classifier)):
                rows[name, k] = train
    return rows


def classifier_at(pipeline, fold):
    """The classifier that is to be trained in a fold, or None."""
    if not isinstance(pipeline, OwnTrials):
        return pipeline
    return pipeline.classifier if len(fold.own) else pipeline.before


def predicts_untrained(classifier):
    """Tell whether a classifier is fitted, or needs no fit."""
    try:
        check_is_fitted(classifier)
    except NotFittedError:
        return False
    return True


@dataclass
class CalibrationCurve(Comparison):
    """Results of `compare` with ``cv="calibration"``: a comparison for each number of own trials.

    Attributes
    ----------
    scores, predictions : DataFrame
        As in `Comparison`, with the columns ``own_trials`` ("0", "4", ..., "all") and ``n_own_trials`` (how
        many they were).
    classes, chance, cv, interrupted, signal, pipelines
        As in `Comparison`.

    See Also
    --------
    skeeg.inspection.CalibrationCurveDisplay : Its figure.
    """

    def own_trials(self):
        """Numbers of own trials that were asked for: "0", "4", ..., "all".

        Returns
        -------
        list of str
        """
        steps = self.scores.groupby("own_trials")["n_own_trials"].mean()
        return sorted(steps.index, key=lambda step: (step == "all", steps[step]))

    def at(self, own_trials):
        """Get the comparison at one number of own trials.

        Parameters
        ----------
        own_trials : str
            One of `own_trials`.

        Returns
        -------
        Comparison
        """
        scores, predictions = (
            table[table["own_trials"] == own_trials] if len(table) else table
            for table in (self.scores, self.predictions)
        )
        known = {"classes": self.classes, "chance": self.chance, "cv": self.cv, "pipelines": self.pipelines}
        return Comparison(scores, predictions, **known)

    def subject_accuracies(self):
        """Accuracy of each subject, by pipeline and number of own trials.

        Returns
        -------
        DataFrame, shape (n_subjects, n_pipelines * n_steps)
            Columns of two levels, ``pipeline`` and ``own_trials``.
        """
        import pandas as pd

        steps = {step: self.at(step).subject_accuracies() for step in self.own_trials()}
        table = pd.concat(steps, axis=1, names=["own_trials", "pipeline"]).swaplevel(axis=1)
        order = [(name, step) for name in self.pipelines for step in steps if (name, step) in table]
        return table.reindex(index=self.scores["subject"].unique())[order]

    def summary(self):
        """One row a pipeline and number of own trials.

        Returns
        -------
        DataFrame
            As `Comparison.summary`, in the order of the pipelines; means are over the subjects that every
            pipeline has at every number.
        """
        import pandas as pd

        accuracies = self.same_people()
        folds = self.scores.drop_duplicates(["pipeline", "fold"]).groupby(["pipeline", "own_trials"])
        table = pd.DataFrame(
            {"accuracy": accuracies.mean(), "sd": accuracies.std(), "n_subjects": accuracies.count()}
        )
        table["fit_time"] = folds["fit_time"].mean()
        table["n_failed"] = folds["error"].agg(lambda errors: (errors != "").sum())
        return table

    def differences(self, reference=None):
        """Test paired differences in accuracy from one pipeline, at each number of own trials.

        Parameters
        ----------
        reference : str, default=None
            The pipeline that each other one is compared with; None takes the one that was named first.

        Returns
        -------
        DataFrame
            As `Comparison.differences`, with a column ``own_trials``; Holm's correction is over all rows.

        Raises
        ------
        ValueError
            `reference` is no pipeline of this comparison.
        """
        import pandas as pd

        accuracies, names = self.same_people(), self.pipelines
        reference = names[0] if reference is None else reference
        if reference not in names:
            raise ValueError(f"reference={reference!r} was not compared; choose from {', '.join(names)}.")
        rows = [
            (step, name, reference, *paired_test(accuracies[name, step], accuracies[reference, step]))
            for step in self.own_trials()
            for name in names
            if name != reference and {(name, step), (reference, step)} <= set(accuracies)
        ]
        table = pd.DataFrame(rows, columns=["own_trials", "pipeline", "reference", *PAIRED_TEST])
        return table.assign(p_holm=holm(table["p"]))

    def __str__(self):
        """Tables for the terminal: accuracies, and differences from the pipeline that was named first."""
        if self.scores.empty:
            return "No fold was finished."
        steps, names = self.own_trials(), self.pipelines
        summary = self.summary()
        tests = self.differences().set_index(["pipeline", "own_trials"])
        accuracies = [("accuracy (%)", *steps)]
        differences = [(f"vs {names[0]} (p)", *steps)]
        for name in names:
            known = [summary["accuracy"].get((name, step), np.nan) for step in steps]
            accuracies.append((name, *(f"{100 * accuracy:.1f}" for accuracy in known)))
            if name != names[0]:
                cells = [_difference(tests, (name, step)) for step in steps]
                differences.append((name, *cells))
        lines = [f"{self._title()}, {self._classes()}", "", *align(accuracies), ""]
        if len(tests):
            lines += [*align(differences), ""]
        lines.append(f"columns: number of the person's own trials that train; means over {self._people()}")
        if len(tests):
            lines += self._test(len(tests))
        return "\n".join(lines + self._remarks())

    def _remarks(self):
        at_zero = set(self.at("0").scores["pipeline"])
        silent = [name for name in self.pipelines if at_zero and name not in at_zero]
        lines = [f"{one_line(name)} learns from own trials alone: undefined without any" for name in silent]
        return lines + super()._remarks()


def _difference(tests, key):
    """Difference in percent points and its p."""
    if key not in tests.index or np.isnan(tests.loc[key, "p_holm"]):
        return "nan"
    return f"{100 * tests.loc[key, 'difference']:+.1f} ({print_p(tests.loc[key, 'p_holm'])})"
