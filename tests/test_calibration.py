"""Calibration: who learns from whom, with how many of the person's own trials."""

import numpy as np
import pandas as pd
import pytest
from evaluating import make_lda, six_people
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator

from skeeg.datasets import load_motor_imagery
from skeeg.evaluation import Curve, OwnTrials, compare, make_pipelines
from skeeg.evaluation.splits import calibration_folds
from skeeg.evaluation.statistics import holm, signed_rank_p


@pytest.fixture
def data():
    return six_people()


@pytest.fixture
def options():
    return {"cv": "calibration", "own_trials": [0, 4, 8, "all"], "n_splits": 4, "progress": False}


def test_each_pipeline_learns_from_what_it_is_said_to(data, options):
    X, y, metadata = data
    lda, before = make_lda(), FrozenEstimator(make_lda().fit(X, y))
    pipelines = {"others": lda, "own": OwnTrials(lda), "tuned": OwnTrials(lda, before), "frozen": before}
    pipelines["transfer"] = OwnTrials(lda, before=lda)
    curve = compare(pipelines, *data, **options)
    assert isinstance(curve, Curve)
    assert (curve.scores["error"] == "").all()

    folds = calibration_folds(y, metadata, own_trials=options["own_trials"], n_splits=4)
    for k, fold in enumerate(folds):
        both, latest = np.concatenate([fold.train, fold.own]), fold.own if len(fold.own) else fold.train
        of_fold = curve.predictions[curve.predictions["fold"] == k].groupby("pipeline")
        expected = {
            "others": make_lda().fit(X[both], y[both]),
            "own": make_lda().fit(X[fold.own], y[fold.own]) if len(fold.own) else None,
            "tuned": make_lda().fit(X[fold.own], y[fold.own]) if len(fold.own) else before,
            "transfer": make_lda().fit(X[latest], y[latest]),
            "frozen": before,
        }
        assert set(of_fold.groups) == {name for name, fitted in expected.items() if fitted is not None}
        for name, predictions in of_fold:
            assert predictions["trial"].tolist() == fold.test.tolist()
            assert predictions["y_pred"].tolist() == expected[name].predict(X[fold.test]).tolist()
            assert predictions["own_trials"].unique().tolist() == [fold.step]
            assert predictions["n_own_trials"].unique().tolist() == [len(fold.own)]


class AboutTheTest(ClassifierMixin, BaseEstimator):
    """Answers by the mean of the trials that it is asked about together, as alignment does."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.where(X.mean(axis=(1, 2)) > X.mean(), self.classes_[1], self.classes_[0])


def test_what_is_learned_from_test_trials_does_not_depend_on_the_number_of_own_trials(data, options):
    curve = compare({"it": AboutTheTest()}, *data, **options)
    accuracies = curve.subject_accuracies()["it"]
    for step in ("4", "8", "all"):
        pd.testing.assert_series_equal(accuracies[step], accuracies["0"], check_names=False)


def test_the_curve_is_a_comparison_at_each_number(data, options, tmp_path):
    pipelines = {"lda": make_lda(), "own": OwnTrials(make_lda()), "dummy": DummyClassifier()}
    curve = compare(pipelines, *data, out=tmp_path, **options)
    assert curve.steps() == ["0", "4", "8", "all"]
    summary, differences = curve.summary(), curve.differences()
    assert differences["reference"].unique().tolist() == ["lda"]
    assert len(differences) == 4 + 3  # "own" begins with the first own trials
    np.testing.assert_allclose(differences["p_holm"], holm(differences["p"]))
    accuracies = curve.subject_accuracies()
    for step in curve.steps():
        at = curve.at(step)
        assert at.scores["own_trials"].unique().tolist() == [step]
        for name, row in at.summary().iterrows():
            assert summary.loc[(name, step), "accuracy"] == pytest.approx(row["accuracy"])
            assert summary.loc[(name, step), "sd"] == pytest.approx(row["sd"])
    for _, row in differences.iterrows():
        gained = accuracies[row["pipeline"], row["own_trials"]] - accuracies["lda", row["own_trials"]]
        assert row["difference"] == pytest.approx(gained.mean())
        assert row["p"] == pytest.approx(signed_rank_p(gained.round(12)))
    written = pd.read_csv(tmp_path / "differences.csv", dtype={"own_trials": str})
    pd.testing.assert_frame_equal(written, differences, check_dtype=False)
    with pytest.raises(ValueError, match="reference='svm' was not compared; choose from lda, own, dummy"):
        curve.differences("svm")


def test_the_printed_curve(data, options):
    pipelines = {"lda": make_lda(), "own": OwnTrials(make_lda())}
    swapped = compare(dict(reversed(pipelines.items())), *data, **options)
    assert "vs own (p)" in str(swapped) and len(swapped.differences()) == 3
    curve = compare(pipelines, *data, **options)
    text, lines = str(curve), [line.split() for line in str(curve).splitlines()]
    assert text.startswith("calibration: 6 subjects, 2 classes, chance 50.0 %\n")
    assert max(map(len, text.splitlines())) <= 100
    assert ["accuracy", "(%)", "0", "4", "8", "all"] in lines
    means = [f"{100 * mean:.1f}" for mean in curve.same_people()["lda"].mean()]
    assert ["lda", *means] in lines
    tests = curve.differences().set_index("own_trials")
    cells = [f"{100 * row['difference']:+.1f} ({row['p_holm']:.3f})" for _, row in tests.iterrows()]
    assert ["own", "–", *" ".join(cells).split()] in lines
    assert "own learns from own trials alone: undefined without any" in text
    assert "nan" not in text


class FailingWith(LinearDiscriminantAnalysis):
    """Fails where it gets so many trials."""

    def __init__(self, n_trials=0):
        super().__init__()
        self.n_trials = n_trials

    def fit(self, X, y):
        if len(X) == self.n_trials:
            raise RuntimeError("no luck")
        return super().fit(X.reshape(len(X), -1), y)

    def predict(self, X):
        return super().predict(X.reshape(len(X), -1))

    def predict_proba(self, X):
        return super().predict_proba(X.reshape(len(X), -1))


def test_a_person_who_is_missing_at_one_number_is_at_none(data, options):
    X, y, metadata = data
    metadata = metadata.assign(subject=np.repeat([1, 2, 3, 4, 5, 5], 16))  # 24 of person 5 calibrate
    pipelines = {"failing": OwnTrials(FailingWith(24)), "lda": make_lda()}
    curve = compare(pipelines, X, y, metadata, **options)
    assert sorted(curve.same_people().index) == [1, 2, 3, 4]
    assert curve.summary().loc[("lda", "4"), "n_subjects"] == 4
    text = str(curve)
    assert "means over the 4 of 5 subjects that every pipeline has" in text
    assert "failing failed in 4 of 60 folds" in text


def test_one_person_alone(data, options):
    X, y, metadata = (part[:16] for part in data)
    lda, frozen = make_lda(), FrozenEstimator(make_lda().fit(X, y))
    curve = compare({"lda": lda, "tuned": OwnTrials(lda, before=lda)}, X, y, metadata, **options)
    assert curve.steps() == ["4", "8", "all"], "nobody else is there to learn from"
    assert "calibration: 1 subject," in str(curve) and "nan" not in str(curve)
    with pytest.warns(UserWarning, match="^0 own trials are left out: subject 1 is the only one"):
        calibration_folds(y, metadata, own_trials=[0, 4])
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"\[0\] leaves no fold.* second subject"):
        calibration_folds(y, metadata, own_trials=[0])
    curve = compare({"frozen": frozen}, X, y, metadata, **options)
    assert (curve.scores["error"] == "").all()


def test_a_rerun_computes_nothing_again(data, options, tmp_path):
    pipelines = {"tuned": OwnTrials(make_lda(), before=make_lda()), "lda": make_lda()}
    first = compare(pipelines, *data, out=tmp_path, **options)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").iterdir()}
    again = compare(pipelines, *data, out=tmp_path, **options)
    pd.testing.assert_frame_equal(first.scores, again.scores)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").iterdir()}
    other = pipelines | {"tuned": OwnTrials(make_lda(), before=DummyClassifier())}
    compare(other, *data, out=tmp_path, **options)
    n_tuned = sum(path.name.startswith("tuned") for path in before)
    assert len(list((tmp_path / "folds").iterdir())) == len(before) + n_tuned


def test_own_trials_are_for_a_calibration(data):
    with pytest.raises(ValueError, match=r"pipelines\['own'\]: OwnTrials is for cv='calibration'"):
        compare({"own": OwnTrials(make_lda())}, *data, progress=False)
    with pytest.raises(ValueError, match=r"mdm\+own: \+own is for cv='calibration'"):
        make_pipelines(["mdm+own"], sfreq=100)
    with pytest.raises(ValueError, match=r"pipelines\['own'\] must be a classifier"):
        compare({"own": OwnTrials(3)}, *data, cv="calibration", progress=False)


def test_decoders_of_the_wheel_are_calibrated():
    X, y, metadata = load_motor_imagery([1, 2])
    curve = compare(
        ["pretrained", "pretrained+finetune"], X, y, metadata,
        cv="calibration", own_trials=[0, "all"], n_splits=2, progress=False,
    )  # fmt: skip
    assert (curve.scores["error"] == "").all()
    sizes = curve.scores.groupby(["pipeline", "own_trials"])["n_train"].max().to_dict()
    assert sizes[("pretrained+finetune", "all")] < 30 <= sizes[("pretrained", "all")]
    accuracies = curve.subject_accuracies()
    np.testing.assert_array_equal(accuracies["pretrained", "0"], accuracies["pretrained+finetune", "0"])
    np.testing.assert_array_equal(accuracies["pretrained", "0"], accuracies["pretrained", "all"])
    alone = compare(
        ["pretrained"], X[:45], y[:45], metadata[:45],
        cv="calibration", own_trials=["all"], n_splits=2, progress=False,
    )  # fmt: skip
    assert alone.scores["error"].tolist() == ["", ""]
