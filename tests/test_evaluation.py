"""Comparing pipelines: what is computed, told and refused."""

import mne
import numpy as np
import pandas as pd
import pytest
from evaluating import CountingClassifier, make_lda, six_people
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.evaluation import compare, make_pipelines


@pytest.fixture
def data():
    return six_people()


@pytest.fixture
def lda():
    return make_lda()


def test_scores_are_those_of_cross_val_score(data, lda):
    X, y, metadata = data
    result = compare({"lda": lda}, X, y, metadata, n_splits=6, progress=False)
    expected = cross_val_score(lda, X, y, groups=metadata["subject"], cv=LeaveOneGroupOut())
    np.testing.assert_array_equal(result.scores["accuracy"], expected)
    assert list(result.scores) == [
        "pipeline", "subject", "fold", "accuracy", "fit_time", "n_train", "n_test", "error",
    ]  # fmt: skip


def test_predictions_have_one_row_a_trial_and_agree_with_the_scores(data, lda):
    X, y, metadata = data
    result = compare({"lda": lda, "dummy": DummyClassifier()}, X, y, metadata, n_splits=3, progress=False)
    assert list(result.predictions) == [
        "pipeline", "trial", "subject", "session", "run", "fold", "y_true", "y_pred",
        "proba_left", "proba_right",
    ]  # fmt: skip
    for name, predictions in result.predictions.groupby("pipeline"):
        assert sorted(predictions["trial"]) == list(range(96))
        assert (predictions["y_true"] == y[predictions["trial"]]).all()
        assert (predictions["subject"].to_numpy() == metadata["subject"][predictions["trial"]]).all()
        right = (predictions["y_true"] == predictions["y_pred"]).groupby(predictions["subject"]).mean()
        scores = result.scores[result.scores["pipeline"] == name].set_index("subject")["accuracy"]
        pd.testing.assert_series_equal(right.sort_index(), scores.sort_index(), check_names=False)
        proba = predictions[["proba_left", "proba_right"]]
        np.testing.assert_allclose(proba.sum(axis=1), 1)
    of_lda = result.predictions[result.predictions["pipeline"] == "lda"]
    assert ((of_lda["proba_right"] > 0.5) == (of_lda["y_pred"] == "right")).all()


def test_a_class_that_the_training_trials_lack_has_probability_zero(data):
    X, y, metadata = data
    y = y.astype("<U7")
    y[0] = "another"
    with pytest.warns(UserWarning, match=r"fold 1 tests classes \['another'\] of subjects \['?1'?\]"):
        result = compare({"dummy": DummyClassifier()}, X, y, metadata, n_splits=6, progress=False)
    proba = result.predictions.filter(like="proba_")
    assert (proba.loc[result.predictions["fold"] == 0, "proba_another"] == 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_a_pipeline_that_fails_does_not_lose_the_others(data, lda, tmp_path):
    X, y, metadata = data

    def fail():
        raise RuntimeError("no luck\ntoday")

    bad = CountingClassifier(tmp_path / "log", misbehave_at=2, how=fail)
    result = compare({"bad": bad, "lda": lda}, X, y, metadata, n_splits=6, progress=False)
    scores = result.scores.set_index(["pipeline", "fold"])
    assert scores.loc[("bad", 1), "error"] == "RuntimeError: no luck today"
    assert np.isnan(scores.loc[("bad", 1), "accuracy"])
    assert (scores["error"] != "").sum() == 1
    assert scores.loc["lda", "accuracy"].notna().all()
    assert "bad failed in 1 of 6 folds; in fold 1: RuntimeError: no luck today" in str(result)
    assert result.summary().loc["bad", "n_failed"] == 1
    assert np.isnan(result.subject_accuracies().loc[2, "bad"])


def test_when_every_pipeline_fails_the_errors_are_the_result(data, lda, tmp_path):
    X, y, metadata = data
    X = np.full_like(X, np.nan)
    result = compare({"lda": lda}, X, y, metadata, out=tmp_path, progress=False)
    assert result.predictions.empty
    assert result.scores["error"].str.contains("Input X contains NaN").all()
    assert "lda failed in 5 of 5 folds" in str(result)
    assert (tmp_path / "scores.csv").exists()


def test_the_number_of_jobs_changes_nothing_but_the_time(data, lda):
    X, y, metadata = data
    pipelines = {"lda": lda, "dummy": DummyClassifier(strategy="uniform")}
    one, two = (compare(pipelines, X, y, metadata, n_jobs=n, progress=False) for n in (1, 2))
    pd.testing.assert_frame_equal(one.predictions, two.predictions)
    pd.testing.assert_frame_equal(one.scores.drop(columns="fit_time"), two.scores.drop(columns="fit_time"))


def test_random_state_is_given_to_pipelines_that_have_none(data):
    X, y, metadata = data
    free, fixed = DummyClassifier(strategy="uniform"), DummyClassifier(strategy="uniform", random_state=7)

    def predictions(pipeline, seed):
        result = compare({"it": pipeline}, X, y, metadata, n_splits=6, random_state=seed, progress=False)
        return result.predictions["y_pred"].tolist()

    assert predictions(free, 7) == predictions(free, 7) == predictions(fixed, 0)
    assert predictions(free, 7) != predictions(free, 8)
    assert free.random_state is None


class GroupCentre(TransformerMixin, BaseEstimator):
    """Takes the mean of its group off each trial; asks for groups by metadata routing."""

    __metadata_request__fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    def fit(self, X, y=None, *, groups):
        return self

    def fit_transform(self, X, y=None, *, groups):
        return self.transform(X, groups=groups)

    def transform(self, X, *, groups):
        return X - np.stack([X[groups == group].mean(axis=0) for group in groups])


@pytest.mark.parametrize(
    ("cv", "column"), [("cross-subject", ["subject"]), ("cross-session", ["subject", "session"])]
)
def test_pipelines_that_ask_for_groups_get_them_in_fit_and_predict(data, lda, cv, column):
    X, y, metadata = data
    membership = metadata.groupby(column).ngroup().to_numpy()
    X = X + 50 * np.random.default_rng(1).standard_normal((12, 3, 10))[membership]
    centred = np.concatenate(
        [X[membership == m] - X[membership == m].mean(axis=0) for m in range(membership.max() + 1)]
    )
    asking = make_pipeline(GroupCentre(), *(step for _, step in lda.steps))
    routed = compare({"it": asking}, X, y, metadata, cv=cv, progress=False)
    by_hand = compare({"it": lda}, centred, y, metadata, cv=cv, progress=False)
    pd.testing.assert_frame_equal(routed.predictions, by_hand.predictions)


def test_what_pipelines_print_is_kept_off_and_their_warnings_are_told_once(data, capsys):
    X, y, metadata = data

    class Chatty(DummyClassifier):
        def fit(self, X, y):
            print("hello")
            import warnings

            warnings.warn("odd data", UserWarning, stacklevel=2)
            return super().fit(X, y)

    with pytest.warns(UserWarning, match=r"^chatty \(5 folds\): odd data$") as caught:
        compare({"chatty": Chatty()}, X, y, metadata, progress=False)
    assert len(caught) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y, m: (X, y[:-1], m), "hold 96, 95 and 96"),
        (lambda X, y, m: (X, y, m.iloc[1:]), "hold 96, 96 and 95"),
        (lambda X, y, m: (X, y[:, None], m), "not .* and y"),
        (lambda X, y, m: (X, np.ones(96), m), "at least 2 classes"),
        (lambda X, y, m: (X, y, m.drop(columns="subject")), "needs a column 'subject'"),
        (lambda X, y, m: (X, y, m.assign(subject=[None] + ["a"] * 95)), "missing values"),
    ],
)
def test_data_that_do_not_fit_together_are_refused(data, change, message):
    if message.startswith("not"):
        message = r"X must be .*\(96, 1\)"
    with pytest.raises(ValueError, match=message):
        compare({"dummy": DummyClassifier()}, *change(*data), progress=False)


@pytest.mark.parametrize(
    ("pipelines", "message"),
    [
        ({}, "at least one entry"),
        ([], "at least one entry"),
        (DummyClassifier(), r"must be a dict .* not DummyClassifier\(\)"),
        ("csp-lda", "a list of names, with at least one entry, not 'csp-lda'"),
        ([DummyClassifier()], "must be a dict of name -> classifier or a list of names"),
        ({"x": 3}, r"pipelines\['x'\] must be"),
        ({"x": "csp-lda"}, "the pipelines csp-lda need the sampling rate, which X does not know"),
    ],
)
def test_pipelines_that_are_none_are_refused(data, pipelines, message):
    with pytest.raises(ValueError, match=message):
        compare(pipelines, *data, progress=False)


def test_pipelines_go_by_the_names_of_the_command():
    X, y, metadata = make_motor_imagery(2, 16, n_chans=3, difficulty=0.0, random_state=0)
    by_name = compare(["csp-lda", "mdm"], X, y, metadata, progress=False)
    mixed = {"csp-lda": make_csp_lda(X.sfreq), "mdm": "mdm"}
    pd.testing.assert_frame_equal(
        by_name.predictions, compare(mixed, X, y, metadata, progress=False).predictions
    )
    assert make_pipelines(["mdm"], sfreq=X.sfreq)["mdm"].named_steps["bandpass"].sfreq == X.sfreq
    names = {
        "csp-lda+ea": ("euclideanalignment", "batch"),
        "mdm+ra": ("riemannianalignment", "batch"),
        "tangent-space-lr+ra:causal": ("riemannianalignment", "causal"),
        "attentionbasenet:se+ea:causal": ("euclideanalignment", "causal"),
    }
    for name, (step, mode) in names.items():
        pipeline = make_pipelines([name], sfreq=X.sfreq)[name]
        assert pipeline.named_steps[step].mode == mode
    with pytest.raises(ValueError, match="unknown pipeline svm; choose from csp-lda"):
        compare(["csp-lda", "svm"], X, y, metadata, progress=False)


def test_epochs_are_compared_by_their_good_channels_in_microvolts():
    rng = np.random.default_rng(0)
    info = mne.create_info(["C3", "Cz", "C4", "EOG"], 100.0, ["eeg"] * 3 + ["eog"])
    info["bads"] = ["Cz"]
    events = np.column_stack([np.arange(12), np.zeros(12, int), np.tile([1, 2], 6)])
    epochs = mne.EpochsArray(rng.normal(0, 1e-5, (12, 4, 50)), info, events, verbose="error")
    seen = []

    class Look(DummyClassifier):
        def fit(self, X, y):
            seen.append((X.shape[1:], X.ch_names, X.std()))
            return super().fit(X[:, 0], y)

    metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    for X, y in ((epochs, events[:, 2]), (epochs, None), ([epochs[:6], epochs[6:]], None)):
        compare({"look": Look()}, X, y, metadata, progress=False)
    assert len(seen) == 3 * 2
    for shape, ch_names, deviation in seen:
        assert (shape, ch_names) == ((2, 50), ("C3", "C4"))
        assert 5 < deviation < 20


def test_metadata_that_is_no_table_is_refused():
    with pytest.raises(TypeError, match=r"metadata must be a DataFrame .* not list"):
        compare({"dummy": DummyClassifier()}, np.zeros((4, 2, 10)), [0, 1, 0, 1], [1, 1, 2, 2])


def test_epochs_bring_their_labels():
    info = mne.create_info(["C3", "C4"], 100.0, "eeg")
    events = np.c_[np.arange(12), np.zeros(12, int), np.tile([1, 2], 6)]
    data = np.random.default_rng(0).standard_normal((12, 2, 50)) * 1e-5
    epochs = mne.EpochsArray(data, info, events, event_id={"left": 1, "right": 2}, verbose="error")
    metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    result = compare({"dummy": DummyClassifier()}, epochs, None, metadata, cv="cross-subject", n_splits=2)
    assert result.classes.tolist() == ["left", "right"]


def test_labels_and_metadata_in_two_orders_are_refused():
    X = np.random.default_rng(0).standard_normal((12, 2, 50))
    metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)}, index=range(7, 19))
    y = pd.Series(np.tile(["l", "r"], 6), index=metadata.index)
    pipelines = {"dummy": DummyClassifier()}
    with pytest.raises(ValueError, match="the same index in another order"):
        compare(pipelines, X, y.sample(frac=1, random_state=0), metadata, progress=False)
    for same in (y, y.reset_index(drop=True)):  # of other trials by name, or of none: in the order of X
        assert len(compare(pipelines, X, same, metadata, progress=False).scores) == 2
