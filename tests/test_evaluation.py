"""Comparing pipelines: honest folds, results that survive, statistics."""

import contextlib
import os
import signal
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeeg import AttentionBaseNetClassifier
from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.evaluation import Comparison, compare, make_folds, make_pipelines


def flatten(X):
    return X.reshape(len(X), -1)


@pytest.fixture
def data():
    """Six subjects, two sessions, 16 trials each, of two classes that differ in their mean."""
    rng = np.random.default_rng(0)
    metadata = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(1, 7), 16),
            "session": np.tile(np.repeat(["a", "b"], 8), 6),
            "run": 1,
        }
    )
    y = np.tile(["left", "right"], 48)
    X = rng.standard_normal((96, 3, 10)) + 0.3 * (y == "right")[:, None, None]
    return X, y, metadata


@pytest.fixture
def lda():
    return make_pipeline(FunctionTransformer(flatten), LinearDiscriminantAnalysis())


class CountingClassifier(ClassifierMixin, BaseEstimator):
    """Leaves a line in a file for every fit, and can misbehave in one of them."""

    def __init__(self, log, misbehave_at=None, how=None):
        self.log = log
        self.misbehave_at = misbehave_at
        self.how = how

    def fit(self, X, y):
        with open(self.log, "a") as log:
            log.write("fit\n")
        if len(Path(self.log).read_text().split()) == self.misbehave_at:
            self.how()
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.where(X.mean(axis=(1, 2)) > 0.15, self.classes_[1], self.classes_[0])

    def n_fits(self):
        return len(Path(self.log).read_text().split())


# ----- folds --------------------------------------------------------------------------------------------


def test_within_subject_folds_stay_inside_a_subject_and_hold_every_class_and_session(data):
    _, y, metadata = data
    folds = make_folds("within-subject", y, metadata, n_splits=4)
    assert len(folds) == 6 * 4
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(96))
    for train, test in folds:
        assert not set(train) & set(test)
        assert metadata["subject"][np.r_[train, test]].nunique() == 1
        cells = pd.crosstab(metadata["session"][test], y[test])
        assert (cells.to_numpy() == 1).all()


def test_within_subject_folds_are_blocks_in_time(data):
    _, y, metadata = data
    one_session = metadata.drop(columns="session")
    (_, first), *_ = make_folds("within-subject", y, one_session, n_splits=4)
    assert first.tolist() == [0, 1, 2, 3]


def test_cross_subject_leaves_one_subject_out_up_to_n_splits_subjects(data):
    _, y, metadata = data
    folds = make_folds("cross-subject", y, metadata, n_splits=10)
    assert [metadata["subject"][test].unique().tolist() for _, test in folds] == [[s] for s in range(1, 7)]
    assert all(len(train) == 80 for train, _ in folds)


def test_cross_subject_groups_subjects_beyond_n_splits(data):
    _, y, metadata = data
    folds = make_folds("cross-subject", y, metadata, n_splits=3)
    assert len(folds) == 3
    for train, test in folds:
        assert metadata["subject"][test].nunique() == 2
        assert not set(metadata["subject"][train]) & set(metadata["subject"][test])


def test_random_state_decides_which_subjects_share_a_fold(data):
    _, y, metadata = data

    def tests(seed):
        return [
            test.tolist()
            for _, test in make_folds("cross-subject", y, metadata, n_splits=3, random_state=seed)
        ]

    assert tests(0) == tests(0)
    assert any(tests(0) != tests(seed) for seed in range(1, 5))


def test_cross_session_trains_on_the_other_sessions_of_the_same_subject(data):
    _, y, metadata = data
    folds = make_folds("cross-session", y, metadata)
    assert len(folds) == 6 * 2
    for train, test in folds:
        assert metadata["subject"][np.r_[train, test]].nunique() == 1
        assert not set(metadata["session"][train]) & set(metadata["session"][test])


def test_a_scikit_learn_splitter_gets_the_subjects_as_groups(data):
    _, y, metadata = data
    for train, test in make_folds(LeaveOneGroupOut(), y, metadata):
        assert not set(metadata["subject"][train]) & set(metadata["subject"][test])


@pytest.mark.filterwarnings("error")
def test_a_number_of_folds_and_splitters_without_groups_do(data):
    _, y, metadata = data
    for cv in (3, StratifiedKFold(3)):
        assert len(make_folds(cv, y, metadata)) == 3


@pytest.mark.parametrize(
    ("cv", "change", "message"),
    [
        ("cross-subject", lambda m: m.assign(subject=3), r"at least 2 subjects, the data hold 1 \(3\)"),
        ("cross-session", lambda m: m.assign(session="a"), "these have one: 1, 2, 3"),
        ("cross-session", lambda m: m.drop(columns="session"), "needs a column 'session'"),
        ("within-subject", lambda m: m.assign(subject=[0] + [1] * 95), "subject 0 has a class with 1"),
        ("leave-one-out", lambda m: m, "unknown; allowed: within-subject, cross-subject, cross-session"),
    ],
)
def test_data_that_cannot_answer_the_question_are_refused(data, cv, change, message):
    _, y, metadata = data
    with pytest.raises(ValueError, match=message):
        make_folds(cv, y, change(metadata))


# ----- compare ------------------------------------------------------------------------------------------


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


def test_when_every_pipeline_fails_the_errors_are_the_result(data, tmp_path):
    X, y, metadata = data
    X = np.full_like(X, np.nan)
    lda = make_pipeline(FunctionTransformer(flatten), LinearDiscriminantAnalysis())
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
    with pytest.raises(ValueError, match="unknown pipeline svm; choose from csp-lda"):
        compare(["csp-lda", "svm"], X, y, metadata, progress=False)


# ----- results on disk ----------------------------------------------------------------------------------


def test_what_is_on_disk_is_what_was_returned(data, lda, tmp_path):
    result = compare({"lda": lda, "dummy": DummyClassifier()}, *data, out=tmp_path, progress=False)
    scores = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(scores, result.scores, check_dtype=False)
    predictions = pd.read_csv(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(predictions, result.predictions, check_dtype=False)
    differences = pd.read_csv(tmp_path / "differences.csv")
    pd.testing.assert_frame_equal(differences, result.differences(), check_dtype=False)
    assert not list(tmp_path.rglob(".*")), "temporary files are left"


def test_a_second_run_computes_nothing_and_gives_the_same(data, lda, tmp_path):
    counting = CountingClassifier(tmp_path / "log")
    first = compare({"it": counting, "lda": lda}, *data, out=tmp_path / "out", progress=False)
    second = compare({"it": counting, "lda": lda}, *data, out=tmp_path / "out", n_jobs=2, progress=False)
    assert counting.n_fits() == 5
    pd.testing.assert_frame_equal(first.scores, second.scores)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)


@pytest.mark.parametrize("changed", ["X", "y", "subjects", "parameter", "seed"])
def test_whatever_decides_a_result_is_looked_at_before_it_is_taken_from_disk(data, tmp_path, changed):
    X, y, metadata = data
    counting = CountingClassifier(tmp_path / "log")
    compare({"it": counting}, X, y, metadata, out=tmp_path / "out", progress=False)
    if changed == "X":
        X = X.copy()
        X[-1, -1, -1] += 1e-9
    elif changed == "y":
        y = np.roll(y, 1)
    elif changed == "subjects":
        metadata = metadata.assign(subject=np.roll(metadata["subject"], 1))
    elif changed == "parameter":
        counting.set_params(misbehave_at=1000)
    seed = 1 if changed == "seed" else 0
    compare({"it": counting}, X, y, metadata, out=tmp_path / "out", random_state=seed, progress=False)
    if changed == "seed":  # subjects are grouped anew; a fold that stays the same may be taken from disk
        assert counting.n_fits() > 5
    else:
        assert counting.n_fits() == 10


def test_failed_folds_are_tried_again(data, tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    flaky = CountingClassifier(tmp_path / "log", misbehave_at=2, how=fail)
    first = compare({"it": flaky}, *data, out=tmp_path / "out", progress=False)
    assert (first.scores["error"] != "").any()
    second = compare({"it": flaky}, *data, out=tmp_path / "out", progress=False)
    assert (second.scores["error"] == "").all()


def test_a_pipeline_without_a_hash_is_always_computed(data, tmp_path):
    calls = []
    pipeline = make_pipeline(FunctionTransformer(lambda X: calls.append(1) or flatten(X)), DummyClassifier())
    compare({"it": pipeline}, *data, out=tmp_path, progress=False)
    n_calls = len(calls)
    compare({"it": pipeline}, *data, out=tmp_path, progress=False)
    assert len(calls) == 2 * n_calls


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def press_ctrl_c_and_swallow_it():
    with contextlib.suppress(KeyboardInterrupt):  # as skorch does in fit
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("how", [press_ctrl_c, press_ctrl_c_and_swallow_it])
def test_ctrl_c_keeps_the_finished_folds_and_a_rerun_goes_on(data, tmp_path, how):
    handler = signal.getsignal(signal.SIGINT)
    counting = CountingClassifier(tmp_path / "log", misbehave_at=3, how=how)
    result = compare({"it": counting}, *data, out=tmp_path / "out", progress=False)
    assert result.interrupted
    assert result.scores["fold"].unique().tolist() == [0, 1], "the interrupted fold must not count"
    assert pd.read_csv(tmp_path / "out" / "scores.csv")["fold"].unique().tolist() == [0, 1]
    assert signal.getsignal(signal.SIGINT) is handler

    rest = compare({"it": counting}, *data, out=tmp_path / "out", progress=False)
    assert not rest.interrupted
    assert rest.scores["fold"].nunique() == 5
    assert counting.n_fits() == 3 + 3


def test_ctrl_c_before_the_first_fold_ends_leaves_empty_tables(data, tmp_path):
    counting = CountingClassifier(tmp_path / "log", misbehave_at=1, how=press_ctrl_c)
    result = compare({"it": counting}, *data, out=tmp_path / "out", progress=False)
    assert result.interrupted and result.scores.empty and result.predictions.empty
    assert str(result) == "No fold was finished."


# ----- statistics ---------------------------------------------------------------------------------------


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


def test_other_weights_under_the_same_name_are_other_folds(tmp_path):
    X, y, metadata = make_motor_imagery(2, 16, n_chans=3, difficulty=0.0, random_state=0)
    params = {"max_epochs": 1, "verbose": 0, "random_state": 0}
    tuned = AttentionBaseNetClassifier(pretrained=tmp_path / "weights", lr=1e-9, **params)

    def weights(seed):
        first = AttentionBaseNetClassifier(**params).set_params(random_state=seed)
        first.fit(X, y).save(tmp_path / "weights")

    def probabilities():
        result = compare({"tuned": tuned}, X, y, metadata, out=tmp_path / "out", progress=False)
        return result.predictions["proba_left_hand"].to_numpy()

    def folds():
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "folds").iterdir()}

    weights(0)
    once, kept = probabilities(), folds()
    np.testing.assert_array_equal(probabilities(), once)
    assert folds() == kept  # computed once
    weights(1)
    assert not np.allclose(probabilities(), once, atol=1e-4)
    assert len(folds()) == 2 * len(kept)


def test_the_table_says_who_was_tested_on_fewer_subjects(comparison):
    scores = comparison.scores
    name, subject = scores["pipeline"].iloc[0], scores["subject"].iloc[0]
    n_subjects = scores["subject"].nunique()
    comparison.scores = scores[(scores["pipeline"] != name) | (scores["subject"] != subject)]
    assert f"{name} was tested on {n_subjects - 1} of {n_subjects} subjects" in str(comparison)


def test_epochs_bring_their_labels():
    info = mne.create_info(["C3", "C4"], 100.0, "eeg")
    events = np.c_[np.arange(12), np.zeros(12, int), np.tile([1, 2], 6)]
    data = np.random.default_rng(0).standard_normal((12, 2, 50)) * 1e-5
    epochs = mne.EpochsArray(data, info, events, event_id={"left": 1, "right": 2}, verbose="error")
    metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    result = compare({"dummy": DummyClassifier()}, epochs, None, metadata, cv="cross-subject", n_splits=2)
    assert result.classes.tolist() == ["left", "right"]
