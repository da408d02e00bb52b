"""Differences between pipelines over the same people: a row a pair."""

from __future__ import annotations

import numpy as np

from skeeg.evaluation.statistics import (
    correlated_t,
    holm,
    mean_interval,
    permutation_p,
    rank_biserial,
    signed_rank_p,
    standardised_mean,
)

#: Name of a test -> function of paired differences that gives p.
TESTS = {"wilcoxon": signed_rank_p, "permutation": permutation_p}
NAMES_OF_TESTS = {
    "wilcoxon": "exact Wilcoxon signed-rank test over subjects",
    "permutation": "exact permutation test of the mean over subjects",
}

#: What `paired` tells of each pair, before p.
COLUMNS = ("difference", "ci_low", "ci_high", "effect", "g", "g_low", "g_high", "n_subjects")


def check_test(test):
    """Raise ValueError for a test that there is not."""
    if test not in (*TESTS, "bayes"):
        raise ValueError(f"test={test!r} is unknown; choose from {', '.join(TESTS)}, bayes")


def paired(values, others):
    """Describe the differences of two pipelines on the same subjects.

    Parameters
    ----------
    values, others : Series, shape (n_subjects,)
        Scores; a subject without one of the two takes no part.

    Returns
    -------
    tuple
        See `COLUMNS`.
    """
    differences = differences_of(values, others)
    if len(differences) == 0:
        return (*[np.nan] * 7, 0)
    low, high = mean_interval(differences)
    return (
        differences.mean(), low, high, rank_biserial(differences), *standardised_mean(differences),
        len(differences),
    )  # fmt: skip


def differences_of(values, others):
    """Paired differences, rounded so that scores that are equal but for the last bit count as tied."""
    return (values - others).dropna().round(12).to_numpy()


def with_tests(table, pairs, test, correlation, rope):
    """Add the columns of a test to a table of pairs.

    Parameters
    ----------
    table : DataFrame
        A row a pair.
    pairs : list of (ndarray, ndarray)
        Differences of each pair: over subjects, and as the Bayesian test takes them.
    test : {"wilcoxon", "permutation", "bayes"}
        The test.
    correlation, rope : float
        As of `correlated_t`.

    Returns
    -------
    DataFrame
        With ``p`` and ``p_holm``, or ``p_worse``, ``p_equal`` and ``p_better``.
    """
    if test == "bayes":
        chances = [correlated_t(units, correlation, rope) for _, units in pairs]
        chances = np.array(chances, dtype=float).reshape(len(pairs), 3)
        return table.assign(p_worse=chances[:, 0], p_equal=chances[:, 1], p_better=chances[:, 2])
    p = [TESTS[test](differences) if len(differences) else np.nan for differences, _ in pairs]
    p = np.array(p, dtype=float)
    return table.assign(p=p, p_holm=holm(p))
