"""Scores of each subject, made of what a comparison found: the people are what is independent."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from skeeg.evaluation.scoring import SCORES, Score, check_scores, resolve
from skeeg.evaluation.statistics import above_chance_p, chance_limit, holm

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class BySubject:
    """What was found, and the scores of each subject; see `Comparison`."""

    scores: pandas.DataFrame  # noqa: F821
    predictions: pandas.DataFrame  # noqa: F821
    classes: np.ndarray
    chance: float
    cv: str
    interrupted: bool = False
    signal: int = 0
    pipelines: tuple = ()
    scoring: dict = field(default_factory=lambda: resolve("accuracy"))
    findings: tuple = ()
    seconds: float | None = None

    def __post_init__(self):
        present = self.scores["pipeline"].unique()
        self.pipelines = tuple(name for name in self.pipelines or present if name in present)

    @property
    def main(self) -> Score:
        """The score that is tested: the first."""
        return next(iter(self.scoring.values()))

    # ----- by subject -----------------------------------------------------------------------------------

    def subject_accuracies(self) -> pd.DataFrame:
        """Accuracy of each pipeline on each subject, over all test trials of that subject.

        Returns
        -------
        DataFrame, shape (n_subjects, n_pipelines)
            As `subject_scores`.
        """
        return self.subject_scores("accuracy")

    def subject_scores(self, score=None) -> pd.DataFrame:
        """Score of each pipeline on each subject.

        Parameters
        ----------
        score : str or scorer, default=None
            Any that ``compare(scoring=)`` takes, whether it was asked for then or not; None: the first.

        Returns
        -------
        DataFrame, shape (n_subjects, n_pipelines)
            Means over seeds. NaN where the score is undefined (see `undefined`), a fold of that subject
            failed, or another pipeline has one more: what remains would not be the same trials.
        """
        return self._subject_scores(self._score(score)).T.groupby(level="pipeline", sort=False).agg(
            lambda seeds: seeds.mean(skipna=False)
        ).T.reindex(columns=list(self.pipelines))  # fmt: skip

    def undefined(self, score=None) -> pd.DataFrame:
        """Tell for whom a score is undefined, and why.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `subject_scores`.

        Returns
        -------
        DataFrame
            Columns ``pipeline``, ``subject`` and ``reason``.
        """
        import pandas as pd

        score = self._score(score)
        parts = ["pipeline", "subject", *(["fold"] if score.by_fold else [])]
        rows = {}
        if score.name != "accuracy" and len(self.predictions):
            for key, trials in self.predictions.groupby(parts, sort=False):
                if reason := self._of(score, trials)[1]:
                    rows.setdefault(key[:2], reason)
        return pd.DataFrame(
            [(*key, reason) for key, reason in rows.items()], columns=["pipeline", "subject", "reason"]
        )

    def same_people(self, score=None) -> pd.DataFrame:
        """Scores of the people that every pipeline was tested on: those that can be compared.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `subject_scores`.

        Returns
        -------
        DataFrame, shape (n_complete_subjects, n_pipelines)
            Rows of `subject_scores` without a gap. A pipeline that has no subject at all is NaN
            throughout and keeps nobody out.
        """
        return _complete(self.subject_scores(score))

    def significance(self) -> pd.DataFrame:
        """Test each subject's accuracy against chance.

        Returns
        -------
        DataFrame
            One row a pipeline and subject: ``accuracy``, ``n_test`` (trials), ``chance`` (share of the
            subject's most frequent class), ``limit`` (accuracy that guessing passes in 5 % of cases at most),
            ``p`` (exact binomial test, one-sided) and ``p_holm`` (Holm's correction over the subjects of the
            pipeline). With several seeds, of the mean number of right answers, rounded down.
        """
        import pandas as pd

        accuracies = self.subject_accuracies()
        n_test = self._n_test().groupby("subject", sort=False).sum()
        chances = dict.fromkeys(accuracies.index, self.chance)
        if "y_true" in self.predictions:
            labels = self.predictions.drop_duplicates(["subject", "trial"]).groupby("subject")["y_true"]
            chances |= labels.agg(lambda y: y.value_counts(normalize=True).iloc[0]).to_dict()
        rows = []
        for name, subject in itertools.product(accuracies, accuracies.index):
            accuracy, n, chance = accuracies.loc[subject, name], int(n_test[subject]), chances[subject]
            n_right = np.nan if np.isnan(accuracy) else np.floor(accuracy * n + 1e-9)
            p = np.nan if np.isnan(accuracy) else above_chance_p(n_right, n, chance)
            rows.append((name, subject, accuracy, n, chance, chance_limit(n, chance), p))
        columns = ["pipeline", "subject", "accuracy", "n_test", "chance", "limit", "p"]
        table = pd.DataFrame(rows, columns=columns)
        p_holm = table.groupby("pipeline", sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
        return table.assign(p_holm=p_holm)

    # ----- pieces ---------------------------------------------------------------------------------------

    def _score(self, score):
        """A score by its name, or as it is."""
        if score is None:
            return self.main
        if isinstance(score, str) and score in self.scoring:
            return self.scoring[score]
        asked = resolve(score)
        check_scores(asked, self.classes)
        return next(iter(asked.values()))

    def _of(self, score, trials):
        """Value of a score on some trials, and why it has none."""
        columns = [f"proba_{label}" for label in self.classes]
        proba = trials[columns].to_numpy(dtype=float) if set(columns) <= set(trials) else None
        labels = (trials[name].to_numpy().astype(self.classes.dtype) for name in ("y_true", "y_pred"))
        return score.of(*labels, None if proba is None or np.isnan(proba).any() else proba, self.classes)

    def _seed(self):
        """Name of the column of seeds, where there are several."""
        return ["seed"] if "seed" in self.scores else []

    def _subject_scores(self, score):
        """Scores by subject, a column a pipeline and seed."""
        if score.by_fold or self.predictions.empty:
            return self._over_folds(score)
        groups = self.predictions.groupby(["subject", "pipeline", *self._seed()], sort=False)
        values = {key: self._of(score, trials)[0] for key, trials in groups}
        accuracies = self._over_folds(SCORES["accuracy"])
        table = accuracies.copy()
        for column in table:
            table[column] = [values.get((subject, *column), np.nan) for subject in table.index]
        return table.where(accuracies.notna())  # a fold failed, or is not there

    def _over_folds(self, score):
        """Means over the folds of each subject, weighted by their trials."""
        import pandas as pd

        scores = self.scores
        if score.name not in scores:
            parts = ["pipeline", "subject", *self._seed(), "fold"]
            found = {key: self._of(score, trials)[0] for key, trials in self.predictions.groupby(parts)}
            keys = pd.MultiIndex.from_frame(scores[parts])
            scores = scores.assign(**{score.name: [found.get(key, np.nan) for key in keys]})
        columns = ["pipeline", *self._seed()]
        cells = scores.assign(part=scores[score.name] * scores["n_test"])
        cells = cells.set_index(["subject", "fold", *columns])["part"].unstack(columns)
        if cells.columns.nlevels == 1:
            cells.columns = pd.MultiIndex.from_arrays([cells.columns], names=["pipeline"])
        table = cells.groupby("subject", sort=False).agg(lambda column: column.sum(skipna=False))
        table = table.div(self._n_test().groupby("subject", sort=False).sum(), axis=0)
        return table.reindex(index=scores["subject"].unique())

    def _n_test(self):
        """Number of test trials by subject and fold."""
        return self.scores.groupby(["subject", "fold"], sort=False)["n_test"].first()


def _complete(values):
    """Rows without a gap, but for columns that have nothing else."""
    return values.loc[values.dropna(axis=1, how="all").dropna().index]
