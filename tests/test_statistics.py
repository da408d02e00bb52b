"""Tests and intervals over subjects, against independent formulas."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.stats import (
    binomtest,
    chi2,
    norm,
    permutation_test,
    rankdata,
    t,
    ttest_1samp,
    wilcoxon,
)

from skeeg.evaluation import Comparison
from skeeg.evaluation.statistics import (
    above_chance_p,
    chance_limit,
    correlated_t,
    critical_difference,
    holm,
    mean_interval,
    permutation_p,
    rank_biserial,
    signed_rank_p,
    smallest_p,
    standardised_mean,
)


@pytest.fixture
def comparison():
    """Three pipelines on eight subjects, two folds of 10 and 30 trials each."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(8):
        for name, gain in {"a": 0.0, "b": 0.1, "c": 0.25}.items():
            for fold, n_test in enumerate((10, 30)):
                n_right = rng.binomial(n_test, 0.6 + gain)
                rows.append((name, subject, fold, n_right / n_test, 1.5, 100, n_test, ""))
    columns = ["pipeline", "subject", "fold", "accuracy", "fit_time", "n_train", "n_test", "error"]
    scores = pd.DataFrame(rows, columns=columns)
    return Comparison(scores, pd.DataFrame(), np.array([0, 1]), 0.5, "cross-subject")


def test_accuracy_of_a_subject_counts_trials_not_folds(comparison):
    of_a = comparison.scores.query("pipeline == 'a' and subject == 3")
    expected = (of_a["accuracy"] * of_a["n_test"]).sum() / 40
    assert comparison.subject_accuracies().loc[3, "a"] == pytest.approx(expected)
    summary = comparison.summary()
    assert summary.index.tolist() == ["c", "b", "a"]
    np.testing.assert_allclose(summary["sd"], comparison.subject_accuracies().std(ddof=1)[["c", "b", "a"]])


def test_differences_are_wilcoxon_tests_with_holms_correction(comparison):
    table = comparison.differences(all_pairs=True)
    accuracies = comparison.subject_accuracies()
    assert table[["pipeline", "reference"]].to_numpy().tolist() == [["c", "b"], ["c", "a"], ["b", "a"]]
    expected = [
        wilcoxon((accuracies[x] - accuracies[y]).round(12)).pvalue
        for x, y in [("c", "b"), ("c", "a"), ("b", "a")]
    ]
    np.testing.assert_allclose(table["p"], expected)
    # Holm by its definition: the k-th smallest of m times (m - k + 1), never below one before it
    order, corrected, largest = np.argsort(expected), np.empty(3), 0
    for rank, i in enumerate(order):
        largest = max(largest, min(1, (3 - rank) * expected[i]))
        corrected[i] = largest
    np.testing.assert_allclose(table["p_holm"], corrected)


def test_a_reference_needs_fewer_tests(comparison):
    table = comparison.differences("a")
    assert table["reference"].unique().tolist() == ["a"]
    assert table["pipeline"].tolist() == ["c", "b"]
    means = comparison.summary()["accuracy"]
    np.testing.assert_allclose(table["difference"], means[["c", "b"]] - means["a"])
    with pytest.raises(ValueError, match="choose from c, b, a"):
        comparison.differences("d")


def test_equal_pipelines_do_not_differ(comparison):
    comparison.scores["accuracy"] = 0.7
    table = comparison.differences(all_pairs=True)
    assert table["p_holm"].tolist() == [1, 1, 1]
    assert table["effect"].tolist() == table["ci_low"].tolist() == table["ci_high"].tolist() == [0, 0, 0]


def test_the_table_fits_a_terminal_and_names_chance(comparison):
    text = str(comparison)
    assert max(map(len, text.splitlines())) <= 100
    assert "2 classes, chance 50.0 %" in text
    assert "nan" not in text
    comparison.scores = comparison.scores[comparison.scores["subject"] == comparison.scores["subject"][0]]
    assert "1 subject," in str(comparison)
    assert "nan" not in str(comparison)


def test_the_table_says_who_was_tested_on_fewer_subjects(comparison):
    scores = comparison.scores
    name, subject = scores["pipeline"].iloc[0], scores["subject"].iloc[0]
    n_subjects = scores["subject"].nunique()
    comparison.scores = scores[(scores["pipeline"] != name) | (scores["subject"] != subject)]
    assert f"{name} was tested on {n_subjects - 1} of {n_subjects} subjects" in str(comparison)


# ----- formulas -----------------------------------------------------------------------------------------


def all_flips_p(differences):
    """Wilcoxon's test by its definition: every way to give the ranks signs."""
    differences = np.array([d for d in differences if d != 0])
    ranks = rankdata(np.abs(differences))
    observed = abs((ranks * np.sign(differences)).sum())
    sums = [abs(ranks @ signs) for signs in itertools.product((-1, 1), repeat=len(ranks))]
    return np.mean(np.array(sums) >= observed - 1e-9)


def counted_p(differences):
    """The same by counting sums of doubled ranks in whole numbers, for many subjects."""
    differences = np.array([d for d in differences if d != 0])
    ranks = [round(2 * rank) for rank in rankdata(np.abs(differences))]
    counts = Counter({0: 1})
    for rank in ranks:
        counts = counts + Counter({total + rank: n for total, n in counts.items()})
    positive = sum(rank for rank, d in zip(ranks, differences, strict=True) if d > 0)
    extreme = min(positive, sum(ranks) - positive)
    below = sum(n for total, n in counts.items() if total <= extreme)
    return min(1.0, float(2 * Fraction(below, 2 ** len(ranks))))


@pytest.mark.parametrize("n_subjects", range(1, 11))
def test_signed_rank_p_is_exact_with_ties_and_zeros(n_subjects):
    rng = np.random.default_rng(n_subjects)
    for _ in range(8):
        differences = rng.integers(-3, 5, n_subjects) / 10
        if differences.any():
            assert signed_rank_p(differences) == pytest.approx(all_flips_p(differences), abs=1e-12)


@pytest.mark.parametrize("n_subjects", [13, 14, 25, 50, 51, 60])
def test_signed_rank_p_is_exact_at_sizes_where_others_approximate(n_subjects):
    rng = np.random.default_rng(n_subjects)
    differences = rng.integers(-6, 9, n_subjects) / 40
    assert signed_rank_p(differences) == pytest.approx(counted_p(differences), rel=1e-9)
    without_ties = rng.normal(0.2, 1, n_subjects)
    expected = wilcoxon(without_ties, method="exact").pvalue
    assert signed_rank_p(without_ties) == pytest.approx(expected, rel=1e-9)


def test_five_differences_among_twenty_subjects():
    assert signed_rank_p([0.1, 0.2, 0.1, 0.3, 0.2] + [0.0] * 15) == 2 / 2**5
    assert signed_rank_p([-0.1, -0.2, -0.1, -0.3, -0.2] + [0.0] * 15) == 2 / 2**5
    assert signed_rank_p([0.0] * 20) == signed_rank_p([]) == 1


@pytest.mark.parametrize("n_subjects", [1, 2, 5, 9, 20])
def test_the_smallest_p_is_that_of_subjects_who_all_agree(n_subjects):
    p = signed_rank_p(np.arange(1, n_subjects + 1))
    assert p == smallest_p(n_subjects)
    assert smallest_p(n_subjects, 3) == pytest.approx(min(1, 3 * p)) == pytest.approx(holm([p, p, p])[0])
    assert smallest_p(0) == 1


def test_rank_biserial_is_the_share_in_favour_less_the_share_against():
    differences = np.array([0.3, -0.1, 0.2, 0.2, 0.0, -0.4])
    ranks = rankdata([3, 1, 2, 2, 4])  # without the zero
    in_favour, against = ranks[[0, 2, 3]].sum(), ranks[[1, 4]].sum()
    assert rank_biserial(differences) == pytest.approx((in_favour - against) / (in_favour + against))
    assert (rank_biserial([0.1, 0.2]), rank_biserial([-0.1]), rank_biserial([0, 0])) == (1, -1, 0)


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(0.1, 0.2, 12)
    expected = t.interval(0.95, 11, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(12))
    np.testing.assert_allclose(mean_interval(values), expected)
    assert mean_interval(values, 0.5)[0] > expected[0]
    assert np.isnan(mean_interval([0.3])).all()
    half = t.ppf(0.975, 1)  # two values at a distance of 2 from their mean
    np.testing.assert_allclose(mean_interval([1, 5]), [3 - 2 * half, 3 + 2 * half])


def test_holm_leaves_out_what_was_not_tested():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04, 0.03]), [0.03, np.nan, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])


# ----- one table ----------------------------------------------------------------------------------------


def test_print_and_csv_are_one_table(comparison, tmp_path):
    comparison.save(tmp_path)
    written = pd.read_csv(tmp_path / "differences.csv").set_index("pipeline")
    assert written["reference"].unique().tolist() == ["a"], "the one that was named first"
    accuracies = comparison.subject_accuracies()
    lines = {line.split()[0]: " ".join(line.split()) for line in str(comparison).splitlines() if line}
    for name in ("b", "c"):
        row, differences = written.loc[name], accuracies[name] - accuracies["a"]
        assert row["difference"] == pytest.approx(differences.mean())
        assert row["p"] == pytest.approx(counted_p(differences.round(12)))
        assert row["effect"] == pytest.approx(rank_biserial(differences.round(12)))
        np.testing.assert_allclose(
            [row["ci_low"], row["ci_high"]],
            t.interval(0.95, 7, loc=differences.mean(), scale=differences.sem()),
        )
        ends = f"[{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}] {row['effect']:+.2f}"
        assert f"{100 * row['difference']:+.1f} {ends} {row['p_holm']:.3f}" in lines[name]
    np.testing.assert_allclose(written["p_holm"], holm(written["p"]))
    text = str(comparison)
    assert "p: exact Wilcoxon signed-rank test over subjects, Holm's correction for 2 tests;" in text
    assert "8 subjects can reach 0.016 at best" in text


def test_means_and_tests_are_over_the_people_that_every_pipeline_has(comparison):
    scores = comparison.scores
    scores.loc[(scores["pipeline"] == "b") & (scores["subject"] == 3), ["accuracy", "error"]] = np.nan, "no"
    accuracies = comparison.subject_accuracies()
    people = [subject for subject in range(8) if subject != 3]
    assert comparison.same_people().index.tolist() == people
    summary = comparison.summary()
    for name in "abc":
        assert summary.loc[name, "accuracy"] == pytest.approx(accuracies.loc[people, name].mean())
        assert summary.loc[name, "n_subjects"] == 7
    table = comparison.differences().set_index("pipeline")
    assert table.loc["c", "difference"] == pytest.approx(
        summary.loc["c", "accuracy"] - summary.loc["a", "accuracy"]
    )
    assert table["n_subjects"].tolist() == [7, 7]
    assert "over the 7 of 8 subjects that every pipeline has" in str(comparison)


def test_a_pipeline_that_failed_everywhere_keeps_nobody_out(comparison):
    scores = comparison.scores
    scores.loc[scores["pipeline"] == "c", ["accuracy", "error"]] = np.nan, "ValueError: no"
    assert comparison.summary()["n_subjects"].to_dict() == {"a": 8, "b": 8, "c": 0}
    table = comparison.differences().set_index("pipeline")
    assert np.isnan(table.loc["c", "p_holm"]) and table.loc["b", "p_holm"] == table.loc["b", "p"]
    assert "nan" not in str(comparison)
    assert "c failed in 2 of 2 folds; in fold 0: ValueError: no" in str(comparison)


def test_a_subject_whose_folds_are_not_all_there_is_not_compared(comparison):
    scores = comparison.scores  # as Ctrl-C leaves them: b did not come to the last fold of the last subject
    gone = (scores["pipeline"] == "b") & (scores["subject"] == 7) & (scores["fold"] == 1)
    comparison.scores = scores[~gone]
    assert np.isnan(comparison.subject_accuracies().loc[7, "b"])
    assert comparison.same_people().index.tolist() == list(range(7))


def test_all_pairs_have_no_reference(comparison):
    with pytest.raises(ValueError, match="reference='a': all_pairs has none"):
        comparison.differences("a", all_pairs=True)


def test_tiny_p_are_not_printed_as_zero():
    rows = [
        (name, s, s, 0.5 + gain + s / 1000, 1.0, 10, 10, "")
        for s in range(14)
        for name, gain in (("a", 0), ("b", 0.2))
    ]
    columns = ["pipeline", "subject", "fold", "accuracy", "fit_time", "n_train", "n_test", "error"]
    comparison = Comparison(pd.DataFrame(rows, columns=columns), pd.DataFrame(), np.array([0, 1]), 0.5, "x")
    assert comparison.differences()["p"].tolist() == [2 / 2**14]
    line = next(line for line in str(comparison).splitlines() if line.startswith("b "))
    assert line.endswith(" <0.001")
    assert "14 subjects can reach <0.001 at best" in str(comparison)


# ----- permutation, effect size, Bayes, chance, ranks -----------------------------------------------------


def all_signs_p(differences):
    """The permutation test by its definition."""
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=len(differences))]
    return np.mean(np.array(sums) >= abs(np.sum(differences)) - 1e-12)


@pytest.mark.parametrize("n_subjects", [1, 2, 5, 9, 12])
def test_permutation_p_is_exact(n_subjects):
    rng = np.random.default_rng(n_subjects)
    for differences in (rng.normal(0.3, 1, n_subjects), rng.integers(-3, 5, n_subjects) / 10):
        assert permutation_p(differences) == pytest.approx(all_signs_p(differences), abs=1e-12)


def test_permutation_p_is_scipys():
    differences = np.random.default_rng(3).normal(0.3, 1, 13)
    options = {"permutation_type": "samples", "n_resamples": 2**14, "alternative": "two-sided"}
    expected = permutation_test((differences,), np.mean, **options).pvalue
    assert permutation_p(differences) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_subjects", [21, 40, 109])
def test_permutation_p_of_many_subjects(n_subjects):
    rng = np.random.default_rng(n_subjects)
    counts = rng.integers(-6, 9, n_subjects)  # differences in right answers, of 45 trials each
    table = Counter({0: 1})
    for count in counts.tolist():
        table = _both_signs(table, count)
    extreme = sum(n for total, n in table.items() if abs(total) >= abs(counts.sum()))
    expected = float(Fraction(extreme, 2**n_subjects))
    assert permutation_p(counts / 45) == pytest.approx(expected, rel=1e-6)


def _both_signs(table, count):
    new = Counter()
    for total, n in table.items():
        new[total + count] += n
        new[total - count] += n
    return new


def test_the_permutation_test_has_the_same_floor():
    assert permutation_p([0.1, 0.2, 0.4, 0.3, 0.2]) == smallest_p(5)
    assert permutation_p([0.0, 0.0]) == permutation_p([]) == 1


@pytest.mark.parametrize("n", [3, 10, 50])
def test_the_interval_of_hedges_g_inverts_the_noncentral_t(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    g, low, high = standardised_mean(values)
    t_value = values.mean() / values.std(ddof=1) * np.sqrt(n)
    assert g == pytest.approx(
        t_value / np.sqrt(n) * (1 - 3 / (4 * (n - 1) - 1)), rel=0.05
    )  # the usual short form
    unbiased = g / (t_value / np.sqrt(n))
    # P(T <= t) = E[Phi(t s - center)], s**2 chi-square over its degrees of freedom
    s = np.sqrt(chi2.ppf((np.arange(20000) + 0.5) / 20000, n - 1) / (n - 1))
    for limit, q in ((low, 0.975), (high, 0.025)):
        center = limit / unbiased * np.sqrt(n)
        assert norm.cdf(t_value * s - center).mean() == pytest.approx(q, abs=1e-4)
    assert np.isnan(standardised_mean([0.1, 0.2])).all() and np.isnan(standardised_mean([0.1] * 9)).all()


def test_the_bayesian_t_test_is_student_with_nadeau_and_bengios_variance():
    differences = np.random.default_rng(0).normal(0.02, 0.03, 10)
    worse, equal, better = correlated_t(differences, correlation=0.1, rope=0.01)
    scale = np.sqrt((1 / 10 + 0.1 / 0.9) * differences.var(ddof=1))
    posterior = t(9, loc=differences.mean(), scale=scale)
    assert (worse, better) == pytest.approx((posterior.cdf(-0.01), posterior.sf(0.01)))
    assert worse + equal + better == pytest.approx(1)
    draws = posterior.rvs(200_000, random_state=0)
    assert equal == pytest.approx(np.mean(np.abs(draws) <= 0.01), abs=0.005)
    assert correlated_t([0.005] * 4, 0.1) == (0, 1, 0) and correlated_t([0.2] * 4, 0.1) == (0, 0, 1)
    assert np.isnan(correlated_t([0.1], 0.1)).all()
    independent = correlated_t(differences, 0.0, rope=0.0)
    assert 2 * min(independent[0], independent[2]) == pytest.approx(ttest_1samp(differences, 0).pvalue)


@pytest.mark.parametrize(("n", "chance"), [(16, 0.5), (45, 0.511), (40, 0.25), (1, 0.5)])
def test_chance_limits_are_those_of_binomial_tests(n, chance):
    limit = chance_limit(n, chance)
    p = [binomtest(k, n, chance, alternative="greater").pvalue for k in range(n + 1)]
    for k in range(n + 1):
        assert above_chance_p(k, n, chance) == pytest.approx(p[k])
        assert (k / n > limit + 1e-12) == (p[k] <= 0.05)


def test_critical_differences_are_demsars():
    # the table of q at alpha = 0.05 (Demšar 2006, table 5), over 2 to 6 classifiers
    for k, q in {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850}.items():
        assert critical_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), abs=2e-3)
