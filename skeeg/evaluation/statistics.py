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


def permutation_p(differences):
    """Test whether the mean of paired differences is zero: all ways to give them signs, two-sided.

    Parameters
    ----------
    differences : array-like, shape (n_subjects,)
        Paired differences.

    Returns
    -------
    float
        The share of all ways whose mean is as far from zero as the one observed.

    Notes
    -----
    Fisher (1935), The Design of Experiments, §21. Up to 20 subjects every way is looked at. For more, the
    differences are counted in steps of a millionth of the sum of their sizes, and their sums are added
    up one by one; sums that rounding could have moved count as extreme, so that p is never too small.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import permutation_p
    >>> permutation_p([0.1, 0.2, 0.3, 0.4]), permutation_p([0.1, 0.2, 0.3, -0.1])
    (0.125, 0.375)
    """
    sizes = np.abs(np.asarray(differences, dtype=float))
    observed, total = abs(np.sum(differences)), sizes.sum()
    sizes = sizes[sizes > 0]
    if len(sizes) == 0:
        return 1.0
    if len(sizes) <= 20:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float(np.mean(np.abs(sums) >= observed - 1e-12 * total))
    steps = np.rint(sizes / total * 2**20).astype(int)
    # a sum is twice that of the sizes with a plus, less all: extreme where these are few, or many
    extreme = int(np.floor((total - observed) / total * 2**19)) + len(sizes)
    chances = np.zeros(min(extreme, steps.sum()) + 1)
    chances[0] = 1
    for step in steps:
        with_plus = chances[: max(0, len(chances) - step)].copy()
        chances[step:] += with_plus
        chances /= 2
    return float(min(1, 2 * chances.sum()))


def standardised_mean(values, level=0.95):
    """Tell how large a mean is in standard deviations (Hedges' g), with its confidence interval.

    Parameters
    ----------
    values : array-like, shape (n_subjects,)
        Paired differences.
    level : float, default=0.95
        Confidence.

    Returns
    -------
    g, low, high : float
        NaN where there are fewer than three values, or all are alike.

    Notes
    -----
    Hedges (1981), J. Educ. Stat. 6(2): the mean over the standard deviation, without its bias in small
    samples; the interval inverts the noncentral t distribution, as exact as the differences are normal.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import standardised_mean
    >>> [round(value, 2) for value in standardised_mean([0.1, 0.3, 0.2, 0.0, 0.4])]
    [1.01, 0.01, 1.95]
    """
    from scipy.special import gammaln, nctdtrinc

    values = np.asarray(values, dtype=float)
    n = len(values)
    sd = values.std(ddof=1) if n > 2 else 0.0
    if sd <= 1e-12 * np.abs(values).max(initial=0):
        return np.nan, np.nan, np.nan
    t = values.mean() / sd * np.sqrt(n)
    df = n - 1
    unbiased = np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) * np.sqrt(2 / df)
    # the noncentrality under which a t as large as this one has the probability q
    limits = [nctdtrinc(df, q, t) for q in ((1 + level) / 2, (1 - level) / 2)]
    g, low, high = (float(unbiased * value / np.sqrt(n)) for value in (t, *limits))
    return g, low, high


def correlated_t(differences, correlation, rope=0.01):
    """Get the probabilities of worse, practically equal and better: Bayesian correlated t-test.

    Parameters
    ----------
    differences : array-like, shape (n_differences,)
        Differences, of folds or of subjects.
    correlation : float
        Correlation of two of them: the share of the trials that test, for folds that share what trains; 0
        where they are independent.
    rope : float, default=0.01
        Differences up to this size are practically none.

    Returns
    -------
    worse, equal, better : float
        They sum to 1; NaN where there are fewer than two differences.

    Notes
    -----
    Corani & Benavoli (2015), Machine Learning 100:285–304: the posterior of the mean, from a flat prior, is
    Student's t with the variance of Nadeau & Bengio (2003), Machine Learning 52:239–281.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import correlated_t
    >>> [round(p, 3) for p in correlated_t([0.02, 0.05, 0.04, 0.03, 0.06], correlation=0.2)]
    [0.005, 0.019, 0.976]
    """
    from scipy.stats import t

    differences = np.asarray(differences, dtype=float)
    n = len(differences)
    if n < 2:
        return np.nan, np.nan, np.nan
    mean = differences.mean()
    scale = np.sqrt((1 / n + correlation / (1 - correlation)) * differences.var(ddof=1))
    if scale == 0:
        return float(mean < -rope), float(abs(mean) <= rope), float(mean > rope)
    below, upto = t.cdf([-rope, rope], n - 1, loc=mean, scale=scale)
    return float(below), float(upto - below), float(1 - upto)


def chance_limit(n_trials, chance, level=0.95):
    """Tell how accurate guessing may look on so many trials.

    Parameters
    ----------
    n_trials : int
        Number of test trials.
    chance : float
        Probability to guess right.
    level : float, default=0.95
        Confidence.

    Returns
    -------
    float
        The accuracy that guessing exceeds with a probability of at most 1 - `level`.

    Notes
    -----
    Combrisson & Jerbi (2015), J. Neurosci. Methods 250:126–136.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import chance_limit
    >>> chance_limit(40, 0.5)
    0.625
    """
    from scipy.stats import binom

    return float(binom.ppf(level, n_trials, chance) / n_trials)


def above_chance_p(n_right, n_trials, chance):
    """Test whether so many right answers are more than guessing gives: exact, binomial, one-sided.

    Parameters
    ----------
    n_right, n_trials : int
        Right answers, and all.
    chance : float
        Probability to guess right.

    Returns
    -------
    float
        Probability that guessing is right as often, or more often.

    Notes
    -----
    Trials are taken for independent of each other given the model, which drifts within a session make a
    little too good.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import above_chance_p
    >>> round(above_chance_p(26, 40, 0.5), 4)
    0.0403
    """
    from scipy.stats import binom

    return float(binom.sf(n_right - 1, n_trials, chance))


def critical_difference(n_pipelines, n_subjects, alpha=0.05):
    """Tell how far apart two mean ranks must be to differ: Nemenyi's test.

    Parameters
    ----------
    n_pipelines : int
        Number of pipelines ranked, at least two.
    n_subjects : int
        Number of subjects that ranked them.
    alpha : float, default=0.05
        Probability that any two of equal pipelines seem to differ.

    Returns
    -------
    float
        Difference of mean ranks.

    Notes
    -----
    Demšar (2006), JMLR 7:1–30, with the studentized range at infinite degrees of freedom.

    Examples
    --------
    >>> from skeeg.evaluation.statistics import critical_difference
    >>> round(critical_difference(4, 14), 2)  # Demšar's example
    1.25
    """
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - alpha, n_pipelines, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_pipelines * (n_pipelines + 1) / (6 * n_subjects)))
