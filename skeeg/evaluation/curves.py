"""Curves: a comparison at each number of people or trials that train."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from skeeg.evaluation.paired import COLUMNS, check_test, differences_of, paired, with_tests
from skeeg.evaluation.results import Comparison
from skeeg.evaluation.table import Table, dashed, one_line, print_p

if TYPE_CHECKING:
    import pandas as pd

#: Question -> column that holds how much trains, and what that is.
STEPS = {
    "calibration": ("own_trials", "number of the person's own trials that train"),
    "learning-people": ("people", "number of people who train"),
    "learning-trials": ("trials", "number of trials that train"),
}


@dataclass
class Curve(Comparison):
    """Results of `compare` where more and more trains: a comparison at each step.

    Attributes
    ----------
    scores, predictions : DataFrame
        As in `Comparison`, with a column for the step, ``own_trials`` ("calibration"), ``people``
        ("learning-people") or ``trials`` ("learning-trials") ("0", "4", ..., "all"), and one for how many
        they were, ``n_own_trials``, ``n_people``, ``n_trials``.
    classes, chance, cv, interrupted, signal, pipelines, scoring, findings, seconds
        As in `Comparison`.

    See Also
    --------
    skeeg.inspection.CalibrationCurveDisplay : Its figure.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.evaluation import compare
    >>> X, y, metadata = make_motor_imagery(4, 20, n_chans=3, random_state=0)
    >>> dummy = {"dummy": DummyClassifier()}
    >>> curve = compare(dummy, X, y, metadata, cv="learning-people", sizes=[1, 2, "all"], progress=False)
    >>> curve.steps(), curve.at("2").scores["n_train"].unique().tolist()
    (['1', '2', 'all'], [40])
    """

    @property
    def step(self):
        """Name of the column of steps."""
        return STEPS[self.cv][0]

    def steps(self) -> list[str]:
        """Numbers that were asked for: "0", "4", ..., "all".

        Returns
        -------
        list of str
        """
        sizes = self.scores.groupby(self.step)[f"n_{self.step}"].mean()
        return sorted(sizes.index, key=lambda step: (step == "all", sizes[step]))

    def at(self, step) -> Comparison:
        """Get the comparison at one step.

        Parameters
        ----------
        step : str
            One of `steps`.

        Returns
        -------
        Comparison
        """
        scores, predictions = (
            table[table[self.step] == step] if len(table) else table
            for table in (self.scores, self.predictions)
        )
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return Comparison(**known | {"scores": scores, "predictions": predictions})

    def subject_scores(self, score=None) -> pd.DataFrame:
        """Score of each subject, by pipeline and step.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `Comparison.subject_scores`.

        Returns
        -------
        DataFrame, shape (n_subjects, n_pipelines * n_steps)
            Columns of two levels, ``pipeline`` and the step.
        """
        import pandas as pd

        steps = {step: self.at(step).subject_scores(score) for step in self.steps()}
        table = pd.concat(steps, axis=1, names=[self.step, "pipeline"]).swaplevel(axis=1)
        order = [(name, step) for name in self.pipelines for step in steps if (name, step) in table]
        return table.reindex(index=self.scores["subject"].unique())[order]

    def undefined(self, score=None) -> pd.DataFrame:
        """Tell for whom a score is undefined, and why, at whatever step.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `subject_scores`.

        Returns
        -------
        DataFrame
            As `Comparison.undefined`.
        """
        import pandas as pd

        return pd.concat([self.at(step).undefined(score) for step in self.steps()]).drop_duplicates()

    def summary(self, score=None) -> pd.DataFrame:
        """One row a pipeline and step.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `subject_scores`.

        Returns
        -------
        DataFrame
            As `Comparison.summary`, in the order of the pipelines; means are over the subjects that every
            pipeline has at every step.
        """
        import pandas as pd

        score = self._score(score)
        values = self.same_people(score)
        folds = self.scores.drop_duplicates(["pipeline", "fold", *self._seed()])
        folds = folds.groupby(["pipeline", self.step])
        table = pd.DataFrame({score.name: values.mean(), "sd": values.std(), "n_subjects": values.count()})
        table["fit_time"] = folds["fit_time"].mean()
        table["n_failed"] = folds["error"].agg(lambda errors: (errors != "").sum())
        return table

    def differences(self, reference=None, *, score=None, test="wilcoxon") -> pd.DataFrame:
        """Test paired differences from one pipeline, at each step.

        Parameters
        ----------
        reference : str, default=None
            The pipeline that each other one is compared with; None takes the one that was named first.
        score : str or scorer, default=None
            As of `subject_scores`.
        test : {"wilcoxon", "permutation"}, default="wilcoxon"
            As of `Comparison.differences`.

        Returns
        -------
        DataFrame
            As `Comparison.differences`, with a column for the step; Holm's correction is over all rows.

        Raises
        ------
        ValueError
            `reference` is no pipeline of this comparison, or `test` is none of the two.
        """
        import pandas as pd

        check_test(test)
        if test == "bayes":
            raise ValueError("test='bayes' is for one step: curve.at(step).differences(test='bayes')")
        values, names = self.same_people(score), self.pipelines
        reference = names[0] if reference is None else reference
        if reference not in names:
            raise ValueError(f"reference={reference!r} was not compared; choose from {', '.join(names)}.")
        pairs = [
            (step, name)
            for step in self.steps()
            for name in names
            if name != reference and {(name, step), (reference, step)} <= set(values)
        ]
        both = [(values[name, step], values[reference, step]) for step, name in pairs]
        rows = [(*pair, reference, *paired(*columns)) for pair, columns in zip(pairs, both, strict=True)]
        table = pd.DataFrame(rows, columns=[self.step, "pipeline", "reference", *COLUMNS])
        differences = [differences_of(*columns) for columns in both]
        return with_tests(table, [(each, each) for each in differences], test, 0.0, 0.0)

    def table(self, reference=None, *, score=None, test="wilcoxon") -> Table:
        """Make the table of a paper: scores by pipeline and step.

        Parameters
        ----------
        reference, score, test
            As of `differences`; here the order of the pipelines is as they were given.

        Returns
        -------
        Table
            A row a pipeline, a column a step.
        """
        score, steps = self._score(score), self.steps()
        means = self.same_people(score).mean()
        rows = [
            (one_line(name), *dashed(score.format(means.get((name, step), np.nan)) for step in steps))
            for name in self.pipelines
        ]
        footer = [f"columns: {STEPS[self.cv][1]}; means over {self._people(score)}"]
        footer += [f"{score.name}: lower is better"] if score.lower_is_better else []
        footer += self._seeds() if self._seed() else []
        footer += [*self.findings, *self._remarks()]
        title = f"{self._title()}, {self._classes()}"
        numbers = self.summary(score).reset_index()
        return Table(title, (score.heading, *steps), rows, footer, numbers)

    def table_of_differences(self, reference=None, *, score=None, test="wilcoxon") -> Table:
        """Make a table of the tests: differences from one pipeline, at each step.

        Parameters
        ----------
        reference, score, test
            As of `differences`.

        Returns
        -------
        Table
            A row a pipeline, a column a step; in each cell the difference and its p.
        """
        score, steps = self._score(score), self.steps()
        numbers = self.differences(reference, score=score, test=test)
        tests = numbers.set_index(["pipeline", self.step])
        reference = self.pipelines[0] if reference is None else reference
        rows = [
            (one_line(name), *dashed(_difference(score, tests, (name, step)) for step in steps))
            for name in self.pipelines
            if name != reference
        ]
        footer = self._test(len(tests), score, test)
        return Table(
            f"differences from {one_line(reference)}", (f"vs {reference} (p)", *steps), rows, footer, numbers
        )

    def _tables(self):
        return [self.table(), *([self.table_of_differences()] if len(self.differences()) else [])]

    def __str__(self):
        """Tables for the terminal: scores, and differences from the pipeline that was named first."""
        return "No fold was finished." if self.scores.empty else "\n\n".join(map(str, self._tables()))

    def _seeds(self):
        n_seeds = self.scores["seed"].nunique()
        return [f"a subject's score is its mean over seeds ({n_seeds} where a random_state was free)"]

    def _remarks(self):
        at_zero = set(self.at("0").scores["pipeline"]) if self.cv == "calibration" else set()
        silent = [name for name in self.pipelines if at_zero and name not in at_zero]
        lines = [f"{one_line(name)} learns from own trials alone: undefined without any" for name in silent]
        return lines + super()._remarks()


def _difference(score, tests, key):
    """Difference and its p."""
    if key not in tests.index or np.isnan(tests.loc[key, "p_holm"]):
        return "nan"
    return f"{score.format(tests.loc[key, 'difference'], sign=True)} ({print_p(tests.loc[key, 'p_holm'])})"
