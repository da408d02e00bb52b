"""What scores of subjects say of pipelines: means, differences, ranks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skeeg.evaluation.by_subject import BySubject
from skeeg.evaluation.paired import COLUMNS, check_test, differences_of, paired, with_tests
from skeeg.evaluation.statistics import critical_difference

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class OverSubjects(BySubject):
    """Statistics over subjects; see `Comparison`."""

    def summary(self, score=None) -> pd.DataFrame:
        """One row a pipeline, the best first.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `subject_scores`.

        Returns
        -------
        DataFrame
            The score's mean, by its name, and ``sd`` (standard deviation) over the subjects of `same_people`;
            with several seeds ``sd_seeds``, the standard deviation over seeds of the mean over subjects;
            ``n_subjects`` (of these), ``fit_time`` (mean seconds of a fold) and ``n_failed`` (folds with an
            error).
        """
        import pandas as pd

        score = self._score(score)
        values = self.same_people(score)
        folds = self.scores.drop_duplicates(["pipeline", "fold", *self._seed()])
        folds = folds.groupby("pipeline", sort=False)
        table = pd.DataFrame({score.name: values.mean(), "sd": values.std()})
        if self._seed():
            of_seeds = self._subject_scores(score).loc[values.index].mean(skipna=False)
            table["sd_seeds"] = of_seeds.groupby(level="pipeline").std()
        table["n_subjects"] = values.count()
        table["fit_time"] = folds["fit_time"].mean()
        table["n_failed"] = folds["error"].agg(lambda errors: (errors != "").sum())
        return table.sort_values(score.name, ascending=score.lower_is_better, kind="stable")

    def differences(
        self, reference=None, *, all_pairs=False, score=None, test="wilcoxon", rope=0.01
    ) -> pd.DataFrame:
        """Test paired differences between pipelines, over the subjects that every pipeline has.

        Parameters
        ----------
        reference : str, default=None
            The pipeline that each other one is compared with; None takes the one that was named first.
        all_pairs : bool, default=False
            Compare every pair instead, which asks more of the data: Holm's correction grows with the number
            of tests.
        score : str or scorer, default=None
            As of `subject_scores`.
        test : {"wilcoxon", "permutation", "bayes"}, default="wilcoxon"
            Exact two-sided tests over subjects, the signed-rank test or that of the mean; or the Bayesian
            correlated t-test, over folds where these share training trials, over subjects elsewhere.
        rope : float, default=0.01
            For "bayes": differences up to this size are practically none.

        Returns
        -------
        DataFrame
            One row a test: ``pipeline``, ``reference``, ``difference`` (pipeline minus reference, mean over
            subjects), ``ci_low`` and ``ci_high`` (its 95 % confidence interval, Student's t), ``effect``
            (rank-biserial correlation, -1 to 1), ``g``, ``g_low`` and ``g_high`` (difference in standard
            deviations, Hedges' g, with its 95 % confidence interval), ``n_subjects``, and ``p`` with
            ``p_holm`` (Holm's correction over the rows of this table), or, for "bayes", ``p_worse``,
            ``p_equal`` and ``p_better`` (of a lower, practically equal and higher score). `print`
            and ``differences.csv`` show the same with the default arguments.

        Raises
        ------
        ValueError
            `reference` is no pipeline of this comparison, or is given together with `all_pairs`; `test` is
            unknown.

        Notes
        -----
        With n subjects no p-value is below 2 / 2**n: five subjects cannot reach 0.05. The test is over
        subjects because they are independent of each other; folds share their training trials.
        """
        import pandas as pd

        check_test(test)
        score = self._score(score)
        ranking = self.summary(score).index
        if reference is not None and (all_pairs or reference not in ranking):
            raise ValueError(
                f"reference={reference!r}: all_pairs has none; give one of the two"
                if all_pairs
                else f"reference={reference!r} was not compared; choose from {', '.join(ranking)}."
            )
        if all_pairs:
            pairs = list(itertools.combinations(ranking, 2))
        else:
            reference = self.pipelines[0] if reference is None else reference
            pairs = [(name, reference) for name in ranking if name != reference]
        values = self.same_people(score)
        rows = [(name, other, *paired(values[name], values[other])) for name, other in pairs]
        table = pd.DataFrame(rows, columns=["pipeline", "reference", *COLUMNS])
        units, correlation = (values, 0.0) if test != "bayes" else self._units(score, values)
        both = [tuple(differences_of(of[name], of[other]) for of in (values, units)) for name, other in pairs]
        return with_tests(table, both, test, correlation, rope)

    def ranks(self, score=None) -> tuple[pd.Series, float]:
        """Rank the pipelines on each subject of `same_people`, and take the mean.

        Parameters
        ----------
        score : str or scorer, default=None
            As of `subject_scores`.

        Returns
        -------
        ranks : Series, shape (n_pipelines,)
            Mean ranks, 1 is best; pipelines that are equally good share theirs. The best first; a pipeline
            without any subject is not there.
        critical : float
            Difference from which on two mean ranks differ at 5 % (Nemenyi's test); NaN for fewer than two
            pipelines or subjects.
        """
        score = self._score(score)
        values = self.same_people(score).dropna(axis=1, how="all").round(12)
        ranks = values.rank(axis=1, ascending=score.lower_is_better).mean().sort_values(kind="stable")
        enough = len(ranks) > 1 and len(values) > 1
        return ranks, critical_difference(len(ranks), len(values)) if enough else np.nan

    def _units(self, score, values):
        """Scores that the Bayesian test takes, and how they correlate."""
        import pandas as pd

        if self.cv in ("within-subject", "cross-session"):
            return values, 0.0  # nobody's training trials are another's
        parts = ["fold", "pipeline", *self._seed()]
        found = {key: self._of(score, trials)[0] for key, trials in self.predictions.groupby(parts)}
        units = pd.Series(found).groupby(level=[0, 1]).mean().unstack()
        sizes = self.scores.groupby("fold").agg({"n_train": "first"})["n_train"]
        n_test = self._n_test().groupby("fold").sum()
        return units.reindex(columns=list(self.pipelines)), float((n_test / (n_test + sizes)).mean())
