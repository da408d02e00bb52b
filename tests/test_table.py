"""One table: the same numbers in print, Markdown, LaTeX, HTML and CSV."""

import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from evaluating import make_lda, six_people
from scipy.stats import binomtest
from sklearn.dummy import DummyClassifier

from skeeg.evaluation import compare
from skeeg.evaluation.statistics import holm
from skeeg.evaluation.table import Table


@pytest.fixture(scope="module")
def result():
    pipelines = {"dummy_1 & co": DummyClassifier(strategy="uniform"), "lda": make_lda()}
    return compare(pipelines, *six_people(), scoring=["accuracy", "kappa"], n_seeds=2, progress=False)


def numbers_in(text):
    text = re.sub(r"\$-\$|−", "-", text).replace(r"$\pm$", "±").replace("\\", "")
    return re.findall(r"[+-]?\d+\.\d+", text)


def test_every_form_holds_the_same_numbers(result):
    table = result.table()
    csv = pd.read_csv(io.StringIO(table.to_csv())).set_index("pipeline")
    printed = str(table).split("\n\n")[1].splitlines()[1:]
    markdown = table.to_markdown().split("\n\n")[0].splitlines()[2:]
    latex = table.to_latex().partition("\\midrule")[2].partition("\\bottomrule")[0].strip().splitlines()
    html = re.findall(r"<tr><td>(.*?)</tr>", table.to_html())
    assert len(printed) == len(markdown) == len(latex) == len(html) == len(csv) == 2
    for (name, row), *lines in zip(csv.iterrows(), printed, markdown, latex, html, strict=True):
        percent = [f"{100 * row['accuracy']:.1f}", f"{100 * row['sd']:.1f}"]
        percent += [] if np.isnan(row["sd_seeds"]) else [f"{100 * row['sd_seeds']:.1f}"]
        expected = [*percent, f"{row['kappa']:.3f}", f"{row['sd_kappa']:.3f}", f"{row['fit_time']:.2f}"]
        if name == "lda":
            limits = [f"{100 * row[limit]:+.1f}" for limit in ("difference", "ci_low", "ci_high")]
            expected += [*limits, f"{row['effect']:+.2f}", f"{row['p_holm']:.3f}"]
        for line in lines:
            assert numbers_in(line) == expected
        n_above = f"{row['n_above_chance']:.0f}/6"
        assert all(n_above in line for line in lines)


def test_files_of_the_folder_are_that_table(result, tmp_path):
    result.save(tmp_path)
    for name, form in (("table.md", "to_markdown"), ("table.tex", "to_latex"), ("table.csv", "to_csv")):
        assert (tmp_path / name).read_text().rstrip() == getattr(result.table(), form)().rstrip()


ODD = r"a_b & 50 % of $x$ #1 {~^\} |c| <b>"


def test_names_break_no_form():
    numbers = pd.DataFrame({"pipeline": [ODD], "score": [0.5]})
    table = Table("odd", ("pipeline", "score"), [(ODD, "-0.500")], ["5 < 6"], numbers)
    row = table.to_markdown().splitlines()[2]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "<b>" not in table.to_html() and "&lt;b&gt;" in table.to_html()
    latex = table.to_latex().partition("\\midrule\n")[2].splitlines()[0]
    expected = r"a\_b \& 50 \% of \$x\$ \#1 \{\textasciitilde{}\textasciicircum{}\textbackslash{}\} "
    assert latex == expected + r"$|$c$|$ $<$b$>$ & $-$0.500 \\"
    assert pd.read_csv(io.StringIO(table.to_csv()))["pipeline"][0] == ODD


def test_ranges_and_minus_are_told_apart_in_latex():
    numbers = pd.DataFrame({"pipeline": ["a"]})
    latex = Table("2–3", ("pipeline",), [("a",)], ["62.2–64.4 % of trials, from -1"], numbers).to_latex()
    assert r"\caption{2--3. 62.2--64.4 \% of trials, from $-$1}" in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(result, tmp_path):
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n%s\n\\end{document}"
    (tmp_path / "t.tex").write_text(document % result.table().to_latex())
    done = subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_the_table_takes_other_scores_and_tests(result):
    by_kappa = result.table(score="kappa", test="permutation")
    assert by_kappa.header[:2] == ("pipeline", "kappa") and "exact permutation test" in str(by_kappa)
    bayes = result.table(test="bayes", rope=0.02)
    assert bayes.header[-3:] == ("P worse", "P equal", "P better") and "within 2.0 %" in str(bayes)
    row = next(row for row in bayes.rows if row[0] == "lda")
    assert sum(map(float, row[-3:])) == pytest.approx(1, abs=0.002)
    with pytest.raises(ValueError, match="test='t' is unknown; choose from wilcoxon, permutation, bayes"):
        result.table(test="t")


def test_subjects_above_chance_are_those_of_binomial_tests(result):
    table = result.significance()
    accuracies = result.subject_accuracies()
    for name, rows in table.groupby("pipeline"):
        for _, row in rows.iterrows():
            n_right = int(np.floor(16 * accuracies.loc[row["subject"], name] + 1e-9))
            expected = binomtest(n_right, 16, 0.5, alternative="greater").pvalue
            assert row["p"] == pytest.approx(expected)
            assert (row["accuracy"] > row["limit"]) == (expected <= 0.05) or name != "lda"
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"]))
    n_above = {row[0]: row[result.table().header.index("> chance")] for row in result.table().rows}
    assert n_above["lda"] == f"{(table[table['pipeline'] == 'lda']['p'] <= 0.05).sum()}/6"
    assert "95 % of cases (68.8 % of 16 trials)" in str(result)


def test_chance_of_a_subject_is_that_of_its_own_classes():
    X, y, metadata = six_people()
    keep = ~((metadata["subject"] == 1) & (y == "right") & (np.arange(96) % 4 == 1)).to_numpy()
    result = compare({"most": DummyClassifier()}, X[keep], y[keep], metadata[keep], progress=False)
    table = result.significance().set_index("subject")
    assert table.loc[1, "chance"] == pytest.approx(8 / 12)
    assert table.loc[2, "chance"] == 0.5
    assert (table["p"] > 0.05).all(), "always the most frequent class is not above chance"
