"""What a comparison found: a row a fold, a row a trial, and the statistics over subjects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skeeg.evaluation.over_subjects import OverSubjects
from skeeg.evaluation.paired import NAMES_OF_TESTS
from skeeg.evaluation.statistics import smallest_p
from skeeg.evaluation.table import Table, dashed, mean_and_sd, one_line, print_p
from skeeg.files import write_atomically
from skeeg.plain import counted, listed

if TYPE_CHECKING:
    pass

#: What a folder tells beside its tables, for `load_comparison`.
ABOUT = "comparison.json"
#: What `Comparison.save` writes.
TABLES = ("scores.csv", "predictions.csv", "differences.csv", "table.csv", "table.md", "table.tex", ABOUT)


@dataclass
class Comparison(OverSubjects):
    """Results of `compare`.

    Attributes
    ----------
    scores : DataFrame
        One row a pipeline, fold and subject: ``pipeline``, ``subject``, ``seed`` (of several), ``fold``,
        ``accuracy`` (0 to 1) and what else was asked for, ``fit_time`` (seconds, of the whole fold),
        ``n_train``, ``n_test`` (trials) and ``error`` (empty where all went well; else the scores are NaN).
    predictions : DataFrame
        One row a pipeline and test trial: ``pipeline``, ``trial`` (row number in X), ``subject``,
        ``session``, ``run`` (where the metadata have them), ``seed``, ``fold``, ``y_true``, ``y_pred`` and
        ``proba_<class>`` (NaN for a pipeline without predict_proba).
    classes : ndarray, shape (n_classes,)
        Labels, sorted.
    chance : float
        Accuracy of always answering the most frequent class.
    cv : str
        Name of the cross-validation.
    interrupted : bool
        Whether Ctrl-C or SIGTERM ended the comparison before all folds were done.
    signal : int
        Number of the signal that did so; 0 where none did.
    pipelines : tuple of str
        Names in the order in which they were given; by default as they come in the scores.
    scoring : dict of str -> Score
        What was asked for; the first is what is tested.
    findings : tuple of str
        What the audit of the splits found, see `skeeg.evaluation.leakage`.
    seconds : float or None
        Length of a trial, where it is known.

    See Also
    --------
    compare : Where it is from.
    skeeg.inspection.PairedScoresDisplay, skeeg.inspection.ConfusionMatricesDisplay

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.evaluation import compare
    >>> X, y = np.random.default_rng(0).standard_normal((12, 2, 50)), np.tile(["left", "left", "right"], 4)
    >>> metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    >>> dummies = {s: DummyClassifier(strategy=s) for s in ("most_frequent", "stratified")}
    >>> result = compare(dummies, X, y, metadata, scoring=["accuracy", "kappa"], progress=False)
    >>> round(result.chance, 3)
    0.667
    >>> result.summary()["accuracy"].round(3).to_dict()
    {'most_frequent': 0.667, 'stratified': 0.5}
    >>> result.subject_scores("brier").round(3)["most_frequent"].to_dict()  # was not asked for, then
    {1: 0.333, 2: 0.333}
    """

    # ----- the table ------------------------------------------------------------------------------------

    def table(self, reference=None, *, score=None, test="wilcoxon", rope=0.01) -> Table:
        """Make the table of a paper, for `print`, Markdown, LaTeX, HTML and CSV.

        Parameters
        ----------
        reference, score, test, rope
            As of `differences`.

        Returns
        -------
        Table
            A row a pipeline, the best first.
        """
        score = self._score(score)
        reference = self.pipelines[0] if reference is None and self.pipelines else reference
        tests = self.differences(reference, score=score, test=test, rope=rope).set_index("pipeline")
        numbers = self.summary(score).join(tests.drop(columns=["reference", "n_subjects"]))
        others = [other for other in self.scoring.values() if other.name != score.name]
        for other in others:
            values = self.same_people(other)
            numbers[other.name], numbers[f"sd_{other.name}"] = values.mean(), values.std()
        numbers["n_above_chance"] = self._above_chance()
        p_columns = ["p_worse", "p_equal", "p_better"] if test == "bayes" else ["p"]
        header = ["pipeline", score.heading, *(["± seeds"] if self._seed() else [])]
        header += [*(other.heading for other in others), "> chance", "fit (s/fold)"]
        header += [f"vs {reference}", "95 % CI", "effect", *(name.replace("p_", "P ") for name in p_columns)]
        rows = [
            (one_line(name), *dashed(self._cells(row, score, others, p_columns)))
            for name, row in numbers.iterrows()
        ]
        title = f"{self._title()}, {counted(self._n_folds(), 'fold')}, {self._classes()}"
        footer = self._footer(score, others, len(tests), test, rope)
        return Table(title, tuple(header), rows, footer, numbers.rename_axis("pipeline").reset_index())

    def table_of_differences(
        self, reference=None, *, all_pairs=False, score=None, test="wilcoxon", rope=0.01
    ) -> Table:
        """Make a table of the tests with all that `differences` tells.

        Parameters
        ----------
        reference, all_pairs, score, test, rope
            As of `differences`.

        Returns
        -------
        Table
            A row a pair.
        """
        score = self._score(score)
        numbers = self.differences(reference, all_pairs=all_pairs, score=score, test=test, rope=rope)
        bayes = test == "bayes"
        p_columns = ["p_worse", "p_equal", "p_better"] if bayes else ["p", "p_holm"]
        header = ["pipeline", "against", f"difference in {score.heading}", "95 % CI", "effect", "Hedges' g"]
        header += ["95 % CI", *(name.replace("p_", "P " if bayes else "p, ") for name in p_columns)]
        rows = [
            (
                one_line(row["pipeline"]),
                one_line(row["reference"]),
                *dashed(
                    (
                        score.format(row["difference"], sign=True),
                        _limits(row, "ci_low", "ci_high", lambda value: score.format(value, sign=True)),
                        f"{row['effect']:+.2f}",
                        f"{row['g']:+.2f}",
                        _limits(row, "g_low", "g_high", "{:+.2f}".format),
                        *("nan" if np.isnan(row[name]) else print_p(row[name]) for name in p_columns),
                    )
                ),
            )
            for _, row in numbers.iterrows()
        ]
        footer = [
            f"difference: mean over {self._people(score)}, with Student's interval",
            "effect: rank-biserial correlation, from -1 (all are lower) to +1 (all are higher)",
            "Hedges' g: mean difference in standard deviations of the differences",
            *self._test(len(rows), score, test, rope),
        ]
        return Table(f"{self._title()}, differences", tuple(header), rows, footer, numbers)

    def _cells(self, row, score, others, p_columns):
        """Cells of a pipeline."""
        limits = _limits(row, "ci_low", "ci_high", lambda value: score.format(value, sign=True))
        n_tested = self.subject_accuracies()[row.name].count()
        return (
            mean_and_sd(score, row[score.name], row["sd"]),
            *([score.format(row["sd_seeds"])] if self._seed() else []),
            *(mean_and_sd(other, row[other.name], row[f"sd_{other.name}"]) for other in others),
            f"{row['n_above_chance']:.0f}/{n_tested}" if n_tested else "nan",
            f"{row['fit_time']:.2f}",
            score.format(row["difference"], sign=True),
            limits,
            f"{row['effect']:+.2f}",
            *(print_p(row["p_holm" if name == "p" else name]) for name in p_columns),
        )

    def _footer(self, score, others, n_tests, test, rope):
        """What the columns mean, and what a reader must know."""
        lines = [f"{score.name}: mean ± standard deviation over {self._people(score)}"]
        if lower := [each.name for each in (score, *others) if each.lower_is_better]:
            lines.append(f"{', '.join(lower)}: lower is better")
        if any(each.name == "itr" for each in (score, *others)):
            lines.append("itr: Wolpaw's bits a trial, 0 at chance and below" + self._a_minute())
        if self._seed():
            lines += self._seeds()
        lines.append(f"> chance: subjects above what guessing reaches in 95 % of cases ({self._limits()})")
        if n_tests:
            lines.append("effect: rank-biserial correlation, from -1 (all are lower) to +1 (all are higher)")
            lines += self._test(n_tests, score, test, rope)
        return lines + list(self.findings) + self._remarks()

    def save(self, out) -> None:
        """Write what `TABLES` names to the folder `out`.

        Each file is replaced in one step: whoever reads it sees the old one or the new one, whole.
        """
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        empty = self.scores.empty
        texts = [
            frame.to_csv(index=False)
            for frame in (self.scores, self.predictions, self.scores if empty else self.differences())
        ]
        tables = [] if empty else self._tables()
        for form in ("to_csv", "to_markdown", "to_latex"):
            texts.append("\n\n".join(getattr(table, form)().rstrip("\n") for table in tables) + "\n")
        texts.append(json.dumps(self._about(), indent=1) + "\n")
        for name, text in zip(TABLES, texts, strict=True):
            write_atomically(out / name, text.encode(errors="surrogateescape"))

    def _about(self):
        of_numbers = self.scores["subject"].dtype.kind in "iu"
        return {
            "cv": self.cv,
            "chance": self.chance,
            "classes": self.classes.tolist(),
            "labels": self.classes.dtype.str,
            "subject": "int64" if of_numbers else "str",
            "pipelines": self.pipelines,
            "scoring": [name for name, score in self.scoring.items() if score.by_name],
            "findings": self.findings,
            "interrupted": self.interrupted,
            "signal": self.signal,
            "seconds": self.seconds,
        }

    def _tables(self):
        return [self.table()]

    def __str__(self):
        """Table for the terminal, with differences from the pipeline that was named first."""
        return "No fold was finished." if self.scores.empty else str(self.table())

    # ----- pieces ---------------------------------------------------------------------------------------

    def _above_chance(self):
        """Number of subjects above chance, by pipeline."""
        table = self.significance()
        return (table["p"] <= 0.05).groupby(table["pipeline"]).sum()

    def _limits(self):
        """Accuracies that guessing reaches, and the numbers of trials."""
        of_subject = self.significance().drop_duplicates("subject")
        limits, trials = 100 * of_subject["limit"], of_subject["n_test"]
        ends = [f"{limits.min():.1f}", f"{limits.max():.1f}"]
        numbers = [str(trials.min()), str(trials.max())]
        return f"{'–'.join(dict.fromkeys(ends))} % of {'–'.join(dict.fromkeys(numbers))} trials"

    def _a_minute(self):
        if not self.seconds:
            return ""
        return f"; times {60 / self.seconds:.3g}: bits a minute, without a pause between trials"

    def _seeds(self):
        n_seeds = self.scores.groupby("pipeline", sort=False)["seed"].nunique()
        lines = [
            f"± seeds: standard deviation over {n_seeds.max()} seeds of the mean over subjects; a subject's "
            "score is its mean over seeds"
        ]
        if len(once := n_seeds.index[n_seeds == 1]) and n_seeds.max() > 1:
            lines.append(f"{', '.join(map(one_line, once))}: one run, as no random_state is free")
        return lines

    def _n_folds(self):
        return self.scores["fold"].nunique()

    def _title(self):
        return f"{self.cv}: {counted(self.scores['subject'].nunique(), 'subject')}"

    def _classes(self):
        return f"{len(self.classes)} classes, chance {100 * self.chance:.1f} %"

    def _people(self, score=None):
        n_subjects, n_complete = self.scores["subject"].nunique(), len(self.same_people(score))
        if n_complete == n_subjects:
            return counted(n_subjects, "subject")
        return f"the {n_complete} of {n_subjects} subjects that every pipeline has"

    def _test(self, n_tests, score, test="wilcoxon", rope=0.01):
        if test == "bayes":
            return [
                "P: Bayesian correlated t-test, probability that the score is lower (worse), the same within "
                f"{score.format(rope)}{' %' if score.percent else ''} (equal) or higher (better)"
            ]
        n_complete = len(self.same_people(score))
        correction = f", Holm's correction for {n_tests} tests" if n_tests > 1 else ""
        smallest = print_p(smallest_p(n_complete, n_tests))
        return [
            f"p: {NAMES_OF_TESTS[test]}{correction};",
            f"   {counted(n_complete, 'subject')} can reach {smallest} at best",
        ]

    def _remarks(self):
        """For whom scores are undefined, who was tested on fewer subjects, and what failed."""
        lines = []
        for score in self.scoring.values():
            for (name, reason), rows in self.undefined(score).groupby(["pipeline", "reason"], sort=False):
                people = rows["subject"].unique()
                whom = (
                    ""
                    if len(people) == self.scores["subject"].nunique()
                    else f" for subject {listed(people)}"
                )
                lines.append(f"{score.name} of {one_line(name)} is undefined{whom}: {reason}")
        n_subjects = self.scores["subject"].nunique()
        failed = self.scores[self.scores["error"] != ""].groupby("pipeline", sort=False)
        n_tested_by = self.subject_accuracies().count().groupby(level="pipeline", sort=False).min()
        for name, n_tested in n_tested_by.items():
            if n_tested < n_subjects and name not in failed.groups:
                lines.append(f"{one_line(name)} was tested on {n_tested} of {n_subjects} subjects")
        for name, errors in failed:
            n_failed, first_error = errors["fold"].nunique(), errors.iloc[0]
            n_folds = self.scores.loc[self.scores["pipeline"] == name, "fold"].nunique()
            lines.append(
                f"{one_line(name)} failed in {n_failed} of {n_folds} folds; "
                f"in fold {first_error['fold']}: {first_error['error']}"
            )
        return lines


def _limits(row, low, high, form):
    """An interval, or NaN."""
    return "nan" if np.isnan(row[low]) else f"[{form(row[low])}, {form(row[high])}]"
