"""Scores: scikit-learn's own functions on predictions.csv, and what is said of those that are undefined."""

import numpy as np
import pandas as pd
import pytest
from evaluating import make_lda, six_people
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    fbeta_score,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.svm import LinearSVC

from skeeg.evaluation import compare, load_comparison
from skeeg.evaluation.scoring import SCORES, information, reliability, resolve

ALL = list(SCORES)


@pytest.fixture(scope="module")
def people():
    return six_people()


@pytest.fixture(scope="module")
def three_classes():
    """Four people, three classes."""
    rng = np.random.default_rng(1)
    y = np.tile(["feet", "left", "right"], 40)
    X = rng.standard_normal((120, 3, 10))
    X[np.arange(120), np.searchsorted(["feet", "left", "right"], y)] += 0.5
    return X, y, pd.DataFrame({"subject": np.repeat(["a", "b", "c", "d"], 30)})


def test_scores_are_those_of_scikit_learn_on_predictions_csv(three_classes, tmp_path):
    compare({"lda": make_lda()}, *three_classes, scoring=ALL, out=tmp_path, progress=False)
    written = pd.read_csv(tmp_path / "predictions.csv")
    scores = pd.read_csv(tmp_path / "scores.csv").set_index("subject")
    columns = ["proba_feet", "proba_left", "proba_right"]
    for subject, trials in written.groupby("subject"):
        y_true, y_pred, proba = trials["y_true"], trials["y_pred"], trials[columns].to_numpy()
        expected = {
            "accuracy": (y_true == y_pred).mean(),
            "balanced_accuracy": balanced_accuracy_score(y_true, y_pred),
            "kappa": cohen_kappa_score(y_true, y_pred),
            "roc_auc": roc_auc_score(y_true, proba, multi_class="ovr"),
            "log_loss": log_loss(y_true, proba),
            "brier": brier_score_loss(y_true, proba),
        }
        for name, value in expected.items():
            assert scores.loc[subject, name] == pytest.approx(value), name
        most, right = proba.max(axis=1), (y_true == y_pred).to_numpy()
        bins = pd.cut(most, np.linspace(0, 1, 11))
        gaps = [
            abs(most[bins == b].mean() - right[bins == b].mean()) * (bins == b).sum() for b in bins.unique()
        ]
        assert scores.loc[subject, "ece"] == pytest.approx(sum(gaps) / len(trials))


def test_binary_brier_and_auc_are_scikit_learns(people):
    result = compare({"lda": make_lda()}, *people, scoring=ALL, n_splits=6, progress=False)
    for subject, trials in result.predictions.groupby("subject"):
        row = result.scores.set_index("subject").loc[subject]
        right = trials["y_true"] == "right"
        assert row["brier"] == pytest.approx(brier_score_loss(right, trials["proba_right"]))
        assert row["roc_auc"] == pytest.approx(roc_auc_score(right, trials["proba_right"]))


@pytest.mark.parametrize("name", ["f1_macro", "neg_log_loss", "roc_auc", "average_precision"])
def test_names_of_scikit_learn_mean_what_cross_val_score_means(people, name):
    X, y, metadata = people
    y = (y == "right").astype(int)
    scorer = {"f1_macro": make_scorer(fbeta_score, beta=1, average="macro")}.get(name, name)
    result = compare({"lda": make_lda()}, X, y, metadata, scoring={name: scorer}, n_splits=6, progress=False)
    folds = {"groups": metadata["subject"], "cv": LeaveOneGroupOut()}
    expected = cross_val_score(make_lda(), X, y, scoring=name, **folds)
    np.testing.assert_allclose(result.scores[name], expected)
    np.testing.assert_allclose(result.subject_scores(name)["lda"], expected)


def test_what_was_not_asked_for_can_be_computed_later(people, tmp_path):
    pipelines = {"lda": make_lda(), "dummy": DummyClassifier()}
    options = {"cv": "within-subject", "n_splits": 2, "progress": False}
    told = compare(pipelines, *people, scoring=["kappa", "brier"], **options)
    compare(pipelines, *people, out=tmp_path, **options)
    again = load_comparison(tmp_path)
    for name in ALL:
        pd.testing.assert_frame_equal(again.subject_scores(name), told.subject_scores(name))
    for column in ("difference", "p_holm", "g"):
        np.testing.assert_allclose(again.differences(score="kappa")[column], told.differences()[column])


@pytest.mark.parametrize("labels", [("01", "02"), (1, 2), (False, True), ("nan", "NA")])
def test_a_folder_gives_back_the_comparison(people, tmp_path, labels):
    X, y, metadata = people
    y = np.where(y == "left", *labels)
    metadata = metadata.assign(subject=[f"{s:02d}" for s in metadata["subject"]])
    result = compare({"lda": make_lda()}, X, y, metadata, out=tmp_path, n_splits=3, progress=False)
    again = load_comparison(tmp_path)
    pd.testing.assert_frame_equal(again.subject_scores("kappa"), result.subject_scores("kappa"))
    assert again.classes.tolist() == result.classes.tolist() and again.chance == result.chance
    assert str(again) == str(result)
    (tmp_path / "comparison.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no comparison that can be read"):
        load_comparison(tmp_path)


def test_kappa_counts_all_trials_of_a_subject_and_auc_those_of_a_fold(people):
    result = compare({"lda": make_lda()}, *people, cv="within-subject", n_splits=4, progress=False)
    trials = result.predictions[result.predictions["subject"] == 3]
    assert result.subject_scores("kappa").loc[3, "lda"] == pytest.approx(
        cohen_kappa_score(trials["y_true"], trials["y_pred"])
    )
    by_fold = [roc_auc_score(f["y_true"] == "right", f["proba_right"]) for _, f in trials.groupby("fold")]
    assert result.subject_scores("roc_auc").loc[3, "lda"] == pytest.approx(np.mean(by_fold))


# ----- undefined ----------------------------------------------------------------------------------------


class NoProbabilities(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.svc_ = LinearSVC().fit(X.reshape(len(X), -1), y)
        self.classes_ = self.svc_.classes_
        return self

    def predict(self, X):
        return self.svc_.predict(X.reshape(len(X), -1))


def test_a_score_that_is_undefined_for_a_subject_is_said_and_not_averaged_away(people):
    X, y, metadata = people
    keep = ~((metadata["subject"] == 2) & (y == "right")).to_numpy()
    scoring = ["accuracy", "roc_auc", "kappa"]
    with pytest.warns(UserWarning, match=r"subjects 2 have trials of one class"):
        result = compare(
            {"lda": make_lda()}, X[keep], y[keep], metadata[keep], scoring=scoring, progress=False
        )
    for name in ("roc_auc", "kappa"):
        values = result.subject_scores(name)["lda"]
        assert values.isna().sum() == 1 and np.isnan(values[2])
        assert result.undefined(name).to_numpy().tolist() == [
            ["lda", 2, "its trials are all of one class, left"]
        ]
        assert f"{name} of lda is undefined for subject 2: its trials are all of one class, left" in str(
            result
        )
        assert result.summary(name).loc["lda", "n_subjects"] == 5
    assert result.subject_scores()["lda"].notna().all()


def test_a_pipeline_without_probabilities_has_no_log_loss(people):
    pipelines = {"svc": NoProbabilities(), "lda": make_lda()}
    result = compare(pipelines, *people, scoring=["accuracy", "log_loss", "brier"], progress=False)
    for name in ("log_loss", "brier"):
        assert f"{name} of svc is undefined: it has no probabilities (predict_proba)" in str(result)
        assert result.subject_scores(name)["svc"].isna().all()
        assert result.same_people(name)["lda"].notna().sum() == 6, "who has none keeps nobody out"
    assert "nan" not in str(result)


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ("accuracies", "scoring='accuracies' is unknown; choose from accuracy, balanced_accuracy"),
        ([], "scoring names no score"),
        (["kappa", "kappa"], "names 'kappa' twice"),
        ({"error": "kappa"}, "'error' is a column of the tables"),
        ([cohen_kappa_score], "is no scorer: make one by sklearn.metrics.make_scorer"),
        ("f1", "scoring='f1' is undefined for the labels"),
    ],
)
def test_what_is_no_score_is_refused_before_anything_trains(people, scoring, message):
    class Never(DummyClassifier):
        def fit(self, X, y):
            raise AssertionError("it trained")

    with pytest.raises(ValueError, match=message):
        compare({"it": Never()}, *people, scoring=scoring, progress=False)


def test_lower_is_better_where_it_is(people):
    pipelines = {"prior": DummyClassifier(), "lda": make_lda()}
    result = compare(pipelines, *people, scoring="log_loss", progress=False)
    summary = result.summary()
    assert summary["log_loss"].is_monotonic_increasing
    assert summary.loc["prior", "log_loss"] == pytest.approx(np.log(2))
    assert "log_loss: lower is better" in str(result)


def test_information_is_wolpaws():
    for n_classes, accuracy in [(2, 0.7), (4, 0.85), (3, 1.0)]:
        p, n = accuracy, n_classes
        bits = np.log2(n) + p * np.log2(p) + ((1 - p) * np.log2((1 - p) / (n - 1)) if p < 1 else 0)
        assert information(p, n) == pytest.approx(bits)
    assert information(0.1, 2) == information(0.25, 4) == 0


def test_a_reliable_classifier_is_as_right_as_it_says():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 200_000)
    y = (rng.random(p.size) < p).astype(int)
    confidence, right, n_trials = reliability(y, np.c_[1 - p, p], np.array([0, 1]))
    assert n_trials[:5].sum() == 0 and n_trials.sum() == p.size
    np.testing.assert_allclose(confidence[5:], right[5:], atol=0.01)
    assert SCORES["ece"].of(y, y, np.c_[1 - p, p], np.array([0, 1]))[0] < 0.01


# ----- seeds --------------------------------------------------------------------------------------------


def test_seeds_are_crossed_with_people_and_their_spread_is_told_apart(people):
    pipelines = {"free": DummyClassifier(strategy="uniform"), "lda": make_lda()}
    alone = [
        compare({"free": pipelines["free"]}, *people, random_state=seed, n_splits=6, progress=False)
        for seed in (5, 6, 7)
    ]
    # folds are drawn by the first seed alone: with six, they are the people
    result = compare(
        pipelines,
        *people,
        n_seeds=3,
        random_state=5,
        n_splits=6,
        scoring=["accuracy", "kappa"],
        progress=False,
    )
    each = pd.concat([one.subject_accuracies()["free"] for one in alone], axis=1)
    np.testing.assert_allclose(result.subject_accuracies()["free"], each.mean(axis=1))
    summary = result.summary()
    assert summary.loc["free", "sd_seeds"] == pytest.approx(each.mean().std())
    assert summary.loc["free", "sd"] == pytest.approx(each.mean(axis=1).std())
    assert np.isnan(summary.loc["lda", "sd_seeds"])
    kappas = pd.concat([one.subject_scores("kappa")["free"] for one in alone], axis=1).mean(axis=1)
    np.testing.assert_allclose(result.subject_scores("kappa")["free"], kappas)
    assert result.scores.groupby("pipeline")["seed"].nunique().to_dict() == {"free": 3, "lda": 1}
    assert "± seeds: standard deviation over 3 seeds" in str(result)
    assert "lda: one run, as no random_state is free" in str(result)
    assert "seed" not in alone[0].scores
    with pytest.raises(ValueError, match="n_seeds=0 must be"):
        compare(pipelines, *people, n_seeds=0, progress=False)


def test_a_pipeline_called_like_a_run_with_a_seed_keeps_its_own(people):
    free = DummyClassifier(strategy="uniform")
    both = compare({"a, seed 1": make_lda(), "a": free}, *people, n_seeds=2, progress=False)
    alone = compare({"a": free}, *people, n_seeds=2, progress=False)
    assert both.scores.groupby("pipeline")["seed"].nunique().to_dict() == {"a": 2, "a, seed 1": 1}
    np.testing.assert_array_equal(both.subject_accuracies()["a"], alone.subject_accuracies()["a"])


def test_a_score_asked_later_is_refused_where_these_labels_have_none(people):
    result = compare({"lda": make_lda()}, *people, progress=False)
    with pytest.raises(ValueError, match="scoring='f1' is undefined for the labels"):
        result.subject_scores("f1")


def test_scores_are_resolved_by_name_and_dict():
    mine = make_scorer(cohen_kappa_score, weights="linear")
    assert list(resolve([mine, "accuracy"])) == ["cohen_kappa_score", "accuracy"]
    assert list(resolve({"mine": mine, "k": "kappa"})) == ["mine", "k"]
    assert resolve("kappa")["kappa"].format(0.25, sign=True) == "+0.250"
    assert resolve("accuracy")["accuracy"].format(0.25) == "25.0"
