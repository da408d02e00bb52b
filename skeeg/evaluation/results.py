"""What a comparison found: a row a fold, a row a trial, and the statistics over subjects."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skeeg.files import write_atomically


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
        Whether Ctrl-C ended the comparison before all folds were done.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.evaluation import compare
    >>> X, y = np.zeros((12, 2, 50)), np.tile(["left", "left", "right"], 4)
    >>> metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    >>> dummies = {s: DummyClassifier(strategy=s) for s in ("most_frequent", "stratified")}
    >>> result = compare(dummies, X, y, metadata, progress=False)
    >>> round(result.chance, 3)
    0.667
    >>> result.summary()["accuracy"].round(3).to_dict()
    {'most_frequent': 0.667, 'stratified': 0.5}
    """

    scores: "pandas.DataFrame"  # noqa: F821
    predictions: "pandas.DataFrame"  # noqa: F821
    classes: np.ndarray
    chance: float
    cv: str
    interrupted: bool = False

    def subject_accuracies(self):
        """Accuracy of each pipeline on each subject, over all test trials of that subject.

        Returns
        -------
        DataFrame, shape (n_subjects, n_pipelines)
            NaN where a fold of that subject failed: what remains would not be the same trials.
        """
        scores = self.scores.assign(n_right=self.scores["accuracy"] * self.scores["n_test"])
        cells = scores.groupby(["subject", "pipeline"], sort=False)[["n_right", "n_test"]]
        totals = cells.agg(lambda column: column.sum(skipna=False))
        table = (totals["n_right"] / totals["n_test"]).unstack("pipeline")
        return table.reindex(columns=self.scores["pipeline"].unique())

    def summary(self):
        """One row a pipeline, the most accurate first.

        Returns
        -------
        DataFrame
            ``accuracy`` and ``sd`` (mean and standard deviation over subjects), ``n_subjects``,
            ``fit_time`` (mean seconds of a fold) and ``n_failed`` (folds with an error).
        """
        import pandas as pd

        accuracies = self.subject_accuracies()
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

    def differences(self, reference=None):
        """Test paired differences in accuracy between pipelines, over the subjects that both have.

        Parameters
        ----------
        reference : str, default=None
            Compare each pipeline with this one. None compares every pair, which asks more of the data:
            Holm's correction grows with the number of tests.

        Returns
        -------
        DataFrame
            One row a test: ``pipeline``, ``reference``, ``difference`` (pipeline minus reference, mean
            over subjects), ``n_subjects``, ``p`` (two-sided Wilcoxon signed-rank test) and ``p_holm``
            (Holm's correction over the rows of this table).

        Raises
        ------
        ValueError
            `reference` is no pipeline of this comparison.

        Notes
        -----
        With n subjects no p-value is below 2 / 2**n: five subjects cannot reach 0.05. The test is over
        subjects because they are independent of each other; folds share their training trials.
        """
        import pandas as pd
        from scipy.stats import wilcoxon

        accuracies = self.subject_accuracies()
        ranking = self.summary().index
        if reference is None:
            pairs = itertools.combinations(ranking, 2)
        elif reference in ranking:
            pairs = [(name, reference) for name in ranking if name != reference]
        else:
            raise ValueError(f"reference={reference!r} was not compared; choose from {', '.join(ranking)}.")
        rows = []
        for name, other in pairs:
            # Rounded, so that accuracies that are equal but for the last bit count as tied.
            difference = (accuracies[name] - accuracies[other]).dropna().round(12)
            p = np.nan
            if len(difference):
                p = wilcoxon(difference).pvalue if difference.any() else 1.0
            rows.append((name, other, difference.mean(), len(difference), p))
        table = pd.DataFrame(rows, columns=["pipeline", "reference", "difference", "n_subjects", "p"])
        return table.assign(p_holm=_holm(table["p"].to_numpy(dtype=float)))

    def save(self, out):
        """Write ``scores.csv``, ``predictions.csv`` and ``differences.csv`` to the folder `out`.

        Each file is replaced in one step: whoever reads it sees the old one or the new one, whole.
        """
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "scores.csv", self.scores.to_csv(index=False).encode())
        write_atomically(out / "predictions.csv", self.predictions.to_csv(index=False).encode())
        write_atomically(out / "differences.csv", self.differences().to_csv(index=False).encode())

    def __str__(self):
        """Table for the terminal, with differences from the pipeline that was named first."""
        if self.scores.empty:
            return "No fold was finished."
        reference = self.scores["pipeline"].iloc[0]
        n_subjects, n_folds = self.scores["subject"].nunique(), self.scores["fold"].nunique()
        tests = self.differences(reference).set_index("pipeline")
        table = self.summary().join(tests[["difference", "p_holm"]])

        rows = [("pipeline", "accuracy (%)", "fit (s/fold)", f"vs {reference}", "p")]
        for name, row in table.iterrows():
            spread = "" if np.isnan(row["sd"]) else f" ± {100 * row['sd']:4.1f}"  # one subject has none
            cells = (
                f"{100 * row['accuracy']:.1f}{spread}",
                f"{row['fit_time']:.2f}",
                f"{100 * row['difference']:+.1f}",
                f"{row['p_holm']:.3f}",
            )
            rows.append((name, *("–" if cell.strip("+") == "nan" else cell for cell in cells)))
        first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
        subjects = "1 subject" if n_subjects == 1 else f"{n_subjects} subjects"
        lines = [
            f"{self.cv}: {subjects}, {n_folds} folds, {len(self.classes)} classes, "
            f"chance {100 * self.chance:.1f} %",
            "",
        ]
        for name, *cells in rows:
            aligned = [f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True)]
            lines.append("  ".join([f"{name:<{first}}", *aligned]))
        lines += ["", "accuracy: mean ± standard deviation over subjects"]
        if len(tests):
            correction = f", Holm's correction for {len(tests)} tests" if len(tests) > 1 else ""
            lines.append(f"p: Wilcoxon signed-rank test over subjects{correction}")
        for name, n_tested in table["n_subjects"].items():
            if n_tested < n_subjects and not table.loc[name, "n_failed"]:
                lines.append(f"{name} was tested on {n_tested} of {n_subjects} subjects")
        for name, errors in self.scores[self.scores["error"] != ""].groupby("pipeline", sort=False):
            n_failed, first_error = errors["fold"].nunique(), errors.iloc[0]
            lines.append(
                f"{name} failed in {n_failed} of {n_folds} folds; "
                f"in fold {first_error['fold']}: {first_error['error']}"
            )
        return "\n".join(lines)


def _holm(p):
    """Holm's step-down correction; NaN (no subject shared) takes no part."""
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p[order]))
    return corrected


def collect(done, tasks, folds, y, classes, metadata):
    """Build the tables of scores and predictions from finished folds, in the order of `tasks`."""
    import pandas as pd

    scores, predictions = [], []
    origin = [column for column in ("subject", "session", "run") if column in metadata]
    for name, k in tasks:
        if (name, k) not in done:
            continue
        fold, (train, test) = done[name, k], folds[k]
        trials = metadata.loc[test, origin].assign(pipeline=name, trial=test, fold=k, y_true=y[test])
        if not fold["error"]:
            trials["y_pred"] = classes[fold["y_pred"]]
            proba = np.nan if fold["proba"] is None else np.array(fold["proba"])
            trials[[f"proba_{label}" for label in classes]] = proba
            predictions.append(trials)
        for subject, of_subject in trials.groupby("subject", sort=False):
            accuracy = np.nan if fold["error"] else np.mean(of_subject["y_true"] == of_subject["y_pred"])
            sizes = (len(train), len(of_subject))
            scores.append((name, subject, k, accuracy, fold["fit_time"], *sizes, fold["error"]))

    columns = ["pipeline", "subject", "fold", "accuracy", "fit_time", "n_train", "n_test", "error"]
    order = ["pipeline", "trial", *origin, "fold", "y_true", "y_pred"]
    if not predictions:
        return pd.DataFrame(scores, columns=columns), pd.DataFrame(columns=order)
    predictions = pd.concat(predictions, ignore_index=True)
    rest = [column for column in predictions if column not in order]
    return pd.DataFrame(scores, columns=columns), predictions[order + rest]
