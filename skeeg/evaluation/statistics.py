"""What differences between pipelines are worth: tests and intervals over subjects, exact at any size."""

from __future__ import annotations

import numpy as np


def signed_rank_p(differences):
    """Test whether paired differences are centred on zero, exactly: Wilcoxon's signed-rank test, two-sided.

    Parameters
    ----------
    differences : array-like, shape (n_subjects,)
        Paired differences. Zeros say nothing about the direction and are left out, equal ones share
        their rank.

    Returns
    -------
    float
        The share of all ways to give the ranks signs whose rank sum is as extreme as the one observed; 1
        where no difference is left.

    Notes
    -----
    Wilcoxon (1945), Biometrics Bulletin 1(6). The distribution is enumerated by adding the ranks one by one,
    which costs n_subjects ** 3 operations: no approximation where there are ties, zeros or many subjects.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import signed_rank_p
    >>> signed_rank_p([0.1, 0.1, 0.2, 0.3, 0.3] + 15 * [0.0])
    0.0625
    """
    from scipy.stats import rankdata

    differences = np.asarray(differences, dtype=float)
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 1.0
    ranks = np.rint(2 * rankdata(np.abs(differences))).astype(int)  # doubled: shared ranks are halves
    ranks //= np.gcd.reduce(ranks)
    positive = ranks[differences > 0].sum()
    extreme = min(positive, ranks.sum() - positive)
    # chances[w]: probability that the ranks that got a plus sum to w; sums beyond `extreme` do not matter.
    chances = np.zeros(extreme + 1)
    chances[0] = 1
    for rank in ranks:
        with_plus = chances[: max(0, len(chances) - rank)].copy()
        chances[rank:] += with_plus
        chances /= 2
        chances[chances < 1e-300] = 0  # numbers that small are slow
    return float(min(1, 2 * chances.sum()))


def smallest_p(n_subjects, n_tests=1):
    """Tell the smallest p that `signed_rank_p` can give for so many subjects, after Holm's correction.

    Parameters
    ----------
    n_subjects : int
        Number of subjects.
    n_tests : int, default=1
        Number of tests that are corrected for.

    Returns
    -------
    float
        Reached where every subject differs in the same direction.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import smallest_p
    >>> smallest_p(5), smallest_p(5, n_tests=7)
    (0.0625, 0.4375)
    """
    return min(1.0, n_tests * 2.0 ** (1 - n_subjects))


def rank_biserial(differences):
    """Tell the size of paired differences: the share of ranks in favour less the share against.

    Parameters
    ----------
    differences : array-like, shape (n_subjects,)
        Paired differences; zeros are left out.

    Returns
    -------
    float
        From -1 (each subject is worse) over 0 to 1 (each is better).

    Notes
    -----
    Kerby (2014), Comprehensive Psychology 3: the effect size that goes with Wilcoxon's signed-rank test.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import rank_biserial
    >>> rank_biserial([-0.1, 0.2, 0.3, 0.4])
    0.8
    """
    from scipy.stats import rankdata

    differences = np.asarray(differences, dtype=float)
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 0.0
    ranks = rankdata(np.abs(differences))
    return float(ranks @ np.sign(differences) / ranks.sum())


def mean_interval(values, level=0.95):
    """Get the confidence interval of a mean, Student's t.

    Parameters
    ----------
    values : array-like, shape (n_subjects,)
        Independent values.
    level : float, default=0.95
        Confidence.

    Returns
    -------
    low, high : float
        NaN where there are fewer than two values.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import mean_interval
    >>> [round(limit, 3) for limit in mean_interval([1, 2, 3])]
    [-0.484, 4.484]
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    half = t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def holm(p):
    """Correct p-values for their number by Holm's step-down method.

    Parameters
    ----------
    p : array-like, shape (n_tests,)
        p-values; NaN (no test) takes no part.

    Returns
    -------
    ndarray, shape (n_tests,)
        Corrected p-values.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import holm
    >>> holm([0.03, 0.01, 0.04]).round(3).tolist()
    [0.06, 0.03, 0.06]
    """
    p = np.asarray(p, dtype=float)
    corrected = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p[order]))
    return corrected
