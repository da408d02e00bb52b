"""What a comparison found: a row a fold, a row a trial, and the statistics over subjects."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skeeg.evaluation.statistics import holm, mean_interval, rank_biserial, signed_rank_p, smallest_p
from skeeg.files import write_atomically
from skeeg.plain import counted

if TYPE_CHECKING:
    import pandas as pd


#: What `Comparison.save` writes.
TABLES = ("scores.csv", "predictions.csv", "differences.csv")


@dataclass
class Comparison:
    """Results of `compare`.

    Attributes
    ----------
    scores : DataFrame
        One row a pipeline, fold and subject: ``pipeline``, ``subject``, ``fold``, ``accuracy`` (0 to 1),
        ``fit_time`` (seconds, of the whole fold), ``n_train``, ``n_test`` (trials) and ``error`` (empty
        where all went well; else ``accuracy`` is NaN).
    predictions : DataFrame
        One row a pipeline and test trial: ``pipeline``, ``trial`` (row number in X), ``subject``,
        ``session``, ``run`` (where the metadata have them), ``fold``, ``y_true``, ``y_pred`` and
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
    >>> result = compare(dummies, X, y, metadata, progress=False)
    >>> round(result.chance, 3)
    0.667
    >>> result.summary()["accuracy"].round(3).to_dict()
    {'most_frequent': 0.667, 'stratified': 0.5}
    """

    scores: pandas.DataFrame  # noqa: F821
    predictions: pandas.DataFrame  # noqa: F821
    classes: np.ndarray
    chance: float
    cv: str
    interrupted: bool = False
    signal: int = 0
    pipelines: tuple = ()

    def __post_init__(self):
        present = self.scores["pipeline"].unique()
        self.pipelines = tuple(name for name in self.pipelines or present if name in present)

    def subject_accuracies(self) -> pd.DataFrame:
        """Accuracy of each pipeline on each subject, over all test trials of that subject.

        Returns
        -------
        DataFrame, shape (n_subjects, n_pipelines)
            NaN where a fold of that subject failed, or another pipeline has one more: what remains would not
            be the same trials.
        """
        scores = self.scores.assign(n_right=self.scores["accuracy"] * self.scores["n_test"])
        cells = scores.set_index(["subject", "fold", "pipeline"])
        n_right = cells["n_right"].unstack("pipeline").groupby("subject", sort=False)
        n_test = cells.groupby(["subject", "fold"], sort=False)["n_test"].first()
        table = n_right.agg(lambda column: column.sum(skipna=False))
        table = table.div(n_test.groupby("subject", sort=False).sum(), axis=0)
        return table.reindex(index=scores["subject"].unique(), columns=list(self.pipelines))

    def same_people(self) -> pd.DataFrame:
        """Accuracies of the people that every pipeline was tested on: those that can be compared.

        Returns
        -------
        DataFrame, shape (n_complete_subjects, n_pipelines)
            Rows of `subject_accuracies` without a gap. A pipeline that has no subject at all is NaN
            throughout and keeps nobody out.
        """
        accuracies = self.subject_accuracies()
        return accuracies.loc[accuracies.dropna(axis=1, how="all").dropna().index]

    def summary(self) -> pd.DataFrame:
        """One row a pipeline, the most accurate first.

        Returns
        -------
        DataFrame
            ``accuracy`` and ``sd`` (mean and standard deviation over the subjects of `same_people`),
            ``n_subjects`` (of these), ``fit_time`` (mean seconds of a fold) and ``n_failed`` (folds with an
            error).
        """
        import pandas as pd

        accuracies = self.same_people()
        folds = self.scores.drop_duplicates(["pipeline", "fold"]).groupby("pipeline", sort=False)
        table = pd.DataFrame(
            {
                "accuracy": accuracies.mean(),
                "sd": accuracies.std(),
                "n_subjects": accuracies.count(),
                "fit_time": folds["fit_time"].mean(),
                "n_failed": folds["error"].agg(lambda errors: (errors != "").sum()),
            }
        )
        return table.sort_values("accuracy", ascending=False, kind="stable")

    def differences(self, reference=None, *, all_pairs=False) -> pd.DataFrame:
        """Test paired differences in accuracy between pipelines, over the subjects that every pipeline has.

        Parameters
        ----------
        reference : str, default=None
            The pipeline that each other one is compared with; None takes the one that was named first.
        all_pairs : bool, default=False
            Compare every pair instead, which asks more of the data: Holm's correction grows with the number
            of tests.

        Returns
        -------
        DataFrame
            One row a test: ``pipeline``, ``reference``, ``difference`` (pipeline minus reference, mean over
            subjects), ``ci_low`` and ``ci_high`` (its 95 % confidence interval, Student's t), ``effect``
            (rank-biserial correlation, -1 to 1), ``n_subjects``, ``p`` (exact two-sided Wilcoxon signed-rank
            test) and ``p_holm`` (Holm's correction over the rows of this table). `print` and
            ``differences.csv`` show the same with the default arguments.

        Raises
        ------
        ValueError
            `reference` is no pipeline of this comparison, or is given together with `all_pairs`.

        Notes
        -----
        With n subjects no p-value is below 2 / 2**n: five subjects cannot reach 0.05. The test is over
        subjects because they are independent of each other; folds share their training trials.
        """
        import pandas as pd

        ranking = self.summary().index
        if reference is not None and (all_pairs or reference not in ranking):
            raise ValueError(
                f"reference={reference!r}: all_pairs has none; give one of the two"
                if all_pairs
                else f"reference={reference!r} was not compared; choose from {', '.join(ranking)}."
            )
        if all_pairs:
            pairs = itertools.combinations(ranking, 2)
        else:
            reference = self.pipelines[0] if reference is None else reference
            pairs = [(name, reference) for name in ranking if name != reference]
        accuracies = self.same_people()
        rows = [(name, other, *paired_test(accuracies[name], accuracies[other])) for name, other in pairs]
        table = pd.DataFrame(rows, columns=["pipeline", "reference", *PAIRED_TEST])
        return table.assign(p_holm=holm(table["p"]))

    def save(self, out) -> None:
        """Write ``scores.csv``, ``predictions.csv`` and ``differences.csv`` to the folder `out`.

        Each file is replaced in one step: whoever reads it sees the old one or the new one, whole.
        """
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        differences = self.scores if self.scores.empty else self.differences()
        for name, table in zip(TABLES, (self.scores, self.predictions, differences), strict=True):
            write_atomically(out / name, table.to_csv(index=False).encode(errors="surrogateescape"))

    def __str__(self):
        """Table for the terminal, with differences from the pipeline that was named first."""
        if self.scores.empty:
            return "No fold was finished."
        reference = self.pipelines[0]
        tests = self.differences().set_index("pipeline")
        table = self.summary().join(tests.drop(columns=["reference", "n_subjects"]))
        rows = [("pipeline", "accuracy (%)", "fit (s/fold)", f"vs {reference}", "95 % CI", "effect", "p")]
        for name, row in table.iterrows():
            spread = "" if np.isnan(row["sd"]) else f" ± {100 * row['sd']:4.1f}"  # one subject has none
            limits = (
                np.nan
                if np.isnan(row["ci_low"])
                else f"[{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"
            )
            cells = (
                f"{100 * row['accuracy']:.1f}{spread}",
                f"{row['fit_time']:.2f}",
                f"{100 * row['difference']:+.1f}",
                f"{limits}",
                f"{row['effect']:+.2f}",
                print_p(row["p_holm"]),
            )
            rows.append((name, *cells))
        lines = [
            f"{self._title()}, {counted(self._n_folds(), 'fold')}, {self._classes()}",
            "",
            *align(rows),
            "",
        ]
        lines.append(f"accuracy: mean ± standard deviation over {self._people()}")
        if len(tests):
            lines.append("effect: rank-biserial correlation, from -1 (all are worse) to +1 (all are better)")
            lines += self._test(len(tests))
        return "\n".join(lines + self._remarks())

    # ----- pieces of the table --------------------------------------------------------------------------

    def _n_folds(self):
        return self.scores["fold"].nunique()

    def _title(self):
        return f"{self.cv}: {counted(self.scores['subject'].nunique(), 'subject')}"

    def _classes(self):
        return f"{len(self.classes)} classes, chance {100 * self.chance:.1f} %"

    def _people(self):
        n_subjects, n_complete = self.scores["subject"].nunique(), len(self.same_people())
        if n_complete == n_subjects:
            return counted(n_subjects, "subject")
        return f"the {n_complete} of {n_subjects} subjects that every pipeline has"

    def _test(self, n_tests):
        n_complete = len(self.same_people())
        correction = f", Holm's correction for {n_tests} tests" if n_tests > 1 else ""
        smallest = print_p(smallest_p(n_complete, n_tests))
        return [
            f"p: exact Wilcoxon signed-rank test over subjects{correction};",
            f"   {counted(n_complete, 'subject')} can reach {smallest} at best",
        ]

    def _remarks(self):
        """Who was tested on fewer subjects, and what failed."""
        lines = []
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


#: What `paired_test` tells.
PAIRED_TEST = ("difference", "ci_low", "ci_high", "effect", "n_subjects", "p")


def paired_test(accuracies, others):
    """Compare accuracies of the same subjects under two pipelines, see `PAIRED_TEST`."""
    # Rounded, so that accuracies that are equal but for the last bit count as tied.
    differences = (accuracies - others).dropna().round(12).to_numpy()
    if len(differences) == 0:
        return np.nan, np.nan, np.nan, np.nan, 0, np.nan
    low, high = mean_interval(differences)
    effect, p = rank_biserial(differences), signed_rank_p(differences)
    return differences.mean(), low, high, effect, len(differences), p


def print_p(p):
    """Three digits of a p-value."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def one_line(text):
    """Text that cannot break a table."""
    return " ".join(str(text).split())


def align(rows):
    """Lines of a table whose first column stands left, the others right; NaN becomes a dash."""
    rows = [
        (one_line(name), *("–" if cell.strip("+") == "nan" else cell for cell in row)) for name, *row in rows
    ]
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join(
            [f"{name:<{first}}", *(f"{cell:>{width}}" for cell, width in zip(row, others, strict=True))]
        )
        for name, *row in rows
    ]


def collect(done, tasks, folds, y, classes, metadata):
    """Build the tables of scores and predictions from finished folds, in the order of `tasks`.

    ``tasks`` maps (pipeline, fold number) to the rows that train.
    """
    import pandas as pd

    scores, predictions = [], []
    origin = [column for column in ("subject", "session", "run") if column in metadata]
    step = ["own_trials", "n_own_trials"] if any(fold.step for fold in folds) else []
    for (name, k), train in tasks.items():
        if (name, k) not in done:
            continue
        fold, test = done[name, k], folds[k].test
        trials = metadata.loc[test, origin].assign(pipeline=name, trial=test, fold=k, y_true=y[test])
        of_step = (folds[k].step, len(folds[k].own)) if step else ()
        if step:
            trials[step] = of_step
        if not fold["error"]:
            trials["y_pred"] = classes[fold["y_pred"]]
            proba = np.nan if fold["proba"] is None else np.array(fold["proba"])
            trials[[f"proba_{label}" for label in classes]] = proba
            predictions.append(trials)
        for subject, of_subject in trials.groupby("subject", sort=False):
            accuracy = np.nan if fold["error"] else np.mean(of_subject["y_true"] == of_subject["y_pred"])
            sizes = (len(train), len(of_subject))
            scores.append((name, subject, *of_step, k, accuracy, fold["fit_time"], *sizes, fold["error"]))

    columns = ["pipeline", "subject", *step, "fold", "accuracy", "fit_time", "n_train", "n_test", "error"]
    order = ["pipeline", "trial", *origin, *step, "fold", "y_true", "y_pred"]
    if not predictions:
        return pd.DataFrame(scores, columns=columns), pd.DataFrame(columns=order)
    predictions = pd.concat(predictions, ignore_index=True)
    rest = [column for column in predictions if column not in order]
    return pd.DataFrame(scores, columns=columns), predictions[order + rest]
