"""Whatever a fold does, the others go on, and its error is told."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluating import make_lda, six_people
from joblib.externals.loky import get_reusable_executor
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier

from skeeg import EEGArray
from skeeg.evaluation import compare

posix = pytest.mark.skipif(os.name != "posix", reason="signals and parents of POSIX")


@pytest.fixture
def data():
    return six_people()


@pytest.fixture
def lda():
    return make_lda()


class Answering(ClassifierMixin, BaseEstimator):
    """Answers what it is told to, from functions of the labels that training gave."""

    def __init__(self, answer=None, chances=None, classes=None):
        self.answer = answer
        self.chances = chances
        self.classes = classes

    def fit(self, X, y):
        labels = np.unique(y)
        self.labels_ = labels
        if self.classes != "none":
            self.classes_ = labels if self.classes is None else self.classes(labels)
        return self

    def predict(self, X):
        return self.answer(self.labels_, len(X)) if self.answer else np.repeat(self.labels_[:1], len(X))

    def predict_proba(self, X):
        return self.chances(len(X)) if self.chances else np.tile([0.75, 0.25], (len(X), 1))


def errors_of(classifier, data, **options):
    result = compare({"it": classifier, "dummy": DummyClassifier()}, *data, progress=False, **options)
    scores = result.scores.set_index("pipeline")
    assert (scores.loc["dummy", "error"] == "").all()
    errors = scores.loc["it", "error"].unique().tolist()
    assert scores.loc["it", "accuracy"].isna().all() == (errors != [""])
    return result, errors


# ----- predictions that are no labels -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda labels, n: np.zeros(n, int), "predict gave 0, which .* its labels are 'left', 'right'"),
        (lambda labels, n: np.arange(n) % 2, "ValueError: predict gave 0, 1, which y does not hold"),
        (lambda labels, n: ["left", "up"] * (n // 2), "ValueError: predict gave 'up', which y does not hold"),
        (lambda labels, n: [b"left"] * n, "ValueError: predict gave b'left', which"),
        (lambda labels, n: ["Left"] * n, "ValueError: predict gave 'Left', which"),
        (lambda labels, n: [None] * n, "ValueError: predict gave None, which"),
        (lambda labels, n: [np.nan] * n, "ValueError: predict gave nan, which"),
        (lambda labels, n: ["left"] * (n - 1), r"shape \(\d+,\), not one label for \d+ trials"),
        (lambda labels, n: ["left"] * (n + 1), r"shape \(\d+,\), not one label for \d+ trials"),
        (lambda labels, n: [["left"]] * n, r"shape \(\d+, 1\), not one label"),
        (lambda labels, n: "left", r"shape \(\), not one label"),
        (lambda labels, n: np.tile([0.2, 0.8], (n, 1)), r"shape \(\d+, 2\), not one label"),
    ],
)
def test_predictions_that_are_no_labels_fail_the_fold(data, tmp_path, answer, error):
    result, errors = errors_of(Answering(answer), data, out=tmp_path)
    for told in errors:
        assert re.search(error, told), told
    assert f"it failed in 5 of 5 folds; in fold 0: {errors[0]}" in str(result)
    assert not list((tmp_path / "folds").glob("it-*")), "what failed is not kept"


@pytest.mark.parametrize(
    ("chances", "error"),
    [
        (lambda n: np.full((n, 3), 1 / 3), r"shape \(\d+, 3\), expected \d+ trials x 2 classes"),
        (lambda n: np.full((n, 1), 1.0), r"shape \(\d+, 1\), expected"),
        (lambda n: np.full((n - 1, 2), 0.5), r"shape \(\d+, 2\), expected"),
        (lambda n: np.full(n, 0.5), r"shape \(\d+,\), expected"),
        (lambda n: np.full((n, 2), np.nan), "probabilities are not finite"),
        (lambda n: np.vstack([np.full((n - 1, 2), 0.5), [[np.inf, 0]]]), "probabilities are not finite"),
        (lambda n: np.full((n, 2), 0.498), "sums go from 0.996 to 0.996"),
        (lambda n: np.full((n, 2), 0.6), "must not be negative and sum to 1"),
        (lambda n: np.tile([-0.5, 1.5], (n, 1)), "must not be negative and sum to 1, the smallest is -0.5"),
        (lambda n: np.tile([-2.0, -1.0], (n, 1)), "must not be negative"),
    ],
)
def test_probabilities_that_are_none_fail_the_fold(data, chances, error):
    _, errors = errors_of(Answering(chances=chances), data)
    assert all(re.search(error, told) for told in errors), errors


@pytest.mark.parametrize(
    ("classes", "error"),
    [
        (lambda labels: np.array(["left", "up"]), "classes_ gave 'up', which y does not hold"),
        (lambda labels: np.array([0, 1]), "classes_ gave 0, 1, which y does not hold"),
        (lambda labels: np.array(["left", "left"]), r"classes_ names a label twice: \['left', 'left'\]"),
        (lambda labels: labels[:1], r"shape \(\d+, 2\), expected \d+ trials x 1 classes"),
        ("none", "predict_proba but no classes_"),
    ],
)
def test_columns_that_cannot_be_told_fail_the_fold(data, classes, error):
    _, errors = errors_of(Answering(classes=classes), data)
    assert all(re.search(error, told) for told in errors), errors


def test_columns_go_by_classes_in_whatever_order(data):
    result, errors = errors_of(Answering(classes=lambda labels: labels[::-1]), data)
    assert errors == [""]
    of_it = result.predictions[result.predictions["pipeline"] == "it"]
    assert (of_it["proba_right"] == 0.75).all() and (of_it["proba_left"] == 0.25).all()


def test_half_precision_is_no_error(data):
    def chances(n):
        return np.tile(np.array([1 / 3, 2 / 3], np.float16), (n, 1))

    assert errors_of(Answering(chances=chances), data)[1] == [""]


def test_equal_numbers_are_the_same_label(data):
    X, y, metadata = data
    as_floats = Answering(lambda labels, n: np.ones(n))
    result, errors = errors_of(as_floats, (X, (y == "left").astype(int), metadata))
    assert errors == [""]
    assert result.summary().loc["it", "accuracy"] == 0.5
    assert result.predictions["y_pred"].isin([0, 1]).all()


# ----- what pipelines do to the process -----------------------------------------------------------------


class Doing(DummyClassifier):
    """Does something in the fit of one fold: where it is trained without subject 1."""

    def __init__(self, what=None, folder="."):
        super().__init__()
        self.what = what
        self.folder = folder

    def fit(self, X, y):
        if X[0, 0, 0] != six_people()[0][0, 0, 0]:
            self.what(self.folder)
        return super().fit(X, y)


def kill_myself(folder):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_myself_at_first(folder):
    try:
        Path(folder, "killed").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def stop(folder):
    raise KeyboardInterrupt("enough")


def leave(folder):
    sys.exit("bye")


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(("what", "error"), [(stop, "KeyboardInterrupt: enough"), (leave, "SystemExit: bye")])
def test_a_pipeline_that_stops_stops_its_fold_alone(data, what, error, n_jobs):
    pipelines = {"it": Doing(what), "dummy": DummyClassifier()}
    result = compare(pipelines, *data, n_splits=6, n_jobs=n_jobs, progress=False)
    assert not result.interrupted
    scores = result.scores.set_index(["pipeline", "fold"])["error"]
    assert scores[scores != ""].to_dict() == {("it", 0): error}


@posix
def test_a_process_that_is_killed_fails_its_fold_alone(data, lda, tmp_path):
    pipelines = {"it": Doing(kill_myself), "lda": lda}
    result = compare(pipelines, *data, n_splits=6, n_jobs=2, out=tmp_path, progress=False)
    scores = result.scores.set_index(["pipeline", "fold"])["error"]
    assert scores[scores != ""].index.tolist() == [("it", 0)]
    assert "the process that computed this fold was ended by SIGKILL(-9)" in scores["it", 0]
    alone = compare({"lda": lda}, *data, n_splits=6, progress=False)
    of_lda = result.predictions[result.predictions["pipeline"] == "lda"].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_lda, alone.predictions)
    line = str(result).splitlines()[-1]
    assert line.startswith("it failed in 1 of 6 folds; in fold 0: the process that computed this fold was")
    assert len(list((tmp_path / "folds").iterdir())) == 11


@posix
def test_a_fold_whose_process_was_killed_once_is_tried_again(data, tmp_path):
    pipelines = {"it": Doing(kill_myself_at_first, tmp_path), "dummy": DummyClassifier()}
    result = compare(pipelines, *data, n_splits=6, n_jobs=2, progress=False)
    assert (tmp_path / "killed").exists()
    assert (result.scores["error"] == "").all() and len(result.scores) == 12


def test_a_pipeline_that_no_other_process_can_get_fails_alone(data, lda):
    class Bound(DummyClassifier):
        def __init__(self, lock=None):
            super().__init__()
            self.lock = lock

        def __sklearn_clone__(self):
            return self

    pipelines = {"it": Bound(threading.Lock()), "lda": lda}
    result = compare(pipelines, *data, n_splits=2, n_jobs=2, progress=False)
    errors = result.scores.set_index("pipeline")["error"]
    assert (errors["lda"] == "").all()
    assert errors["it"].str.contains("this pipeline cannot be sent to another process.*use n_jobs=1").all()


def test_a_temporary_folder_of_any_name_does(data, lda, tmp_path, monkeypatch):
    X, y, metadata = data
    folder = tmp_path / "für\u3042"
    folder.mkdir()
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(folder))
    get_reusable_executor().shutdown(wait=True)  # processes keep the folder that they began with
    X = np.repeat(X, 100, axis=2)  # large enough to be shared by a file
    one, two = (compare({"lda": lda}, X, y, metadata, n_jobs=n, progress=False) for n in (1, 2))
    get_reusable_executor().shutdown(wait=True)
    pd.testing.assert_frame_equal(one.predictions, two.predictions)


class Knowing(DummyClassifier):
    """Wants to be told all about its trials."""

    def fit(self, X, y):
        assert (X.sfreq, X.ch_names, X.tmin) == (100, ("C3", "Cz", "C4"), 0.5)
        assert (X.labels == y).all()
        return super().fit(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_trials_know_in_every_process_what_they_are(data, n_jobs):
    X, y, metadata = data
    X = EEGArray(np.repeat(X, 100, axis=2), 100, ["C3", "Cz", "C4"], y, 0.5)
    result = compare({"it": Knowing()}, X, y, metadata, n_jobs=n_jobs, progress=False)
    assert (result.scores["error"] == "").all()


# ----- processes that end -------------------------------------------------------------------------------

SLEEPING = """
import os, sys, time
sys.path[:0] = sys.argv[1:3]
import test_running
test_running.compare_sleepers(sys.argv[3])
"""


class Sleeping(DummyClassifier):
    """Tells its process and never finishes."""

    def __init__(self, folder="."):
        super().__init__()
        self.folder = folder

    def fit(self, X, y):
        Path(self.folder, f"{os.getpid()}.pid").touch()
        time.sleep(600)


def compare_sleepers(folder):
    result = compare(
        {"it": Sleeping(folder)}, *six_people(), n_jobs=2, out=Path(folder, "out"), progress=False
    )
    Path(folder, f"{result.interrupted}-{result.signal}").touch()


def await_that(what):
    """Wait for what must come to pass, five minutes at most: machines that test are busy."""
    for _ in range(3000):
        if what():
            return True
        time.sleep(0.1)
    return False


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_comparison(tmp_path, number):
    tests = Path(__file__).parent
    command = [sys.executable, "-c", SLEEPING, str(tests), str(tests.parent), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            assert await_that(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
            workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
            process.send_signal(number)
            assert await_that(lambda: process.poll() is not None)
        finally:
            process.kill()
    assert await_that(lambda: not any(map(lives, workers)))
    if number == signal.SIGTERM:
        assert (tmp_path / f"True-{int(signal.SIGTERM)}").exists()
        assert (tmp_path / "out" / "scores.csv").exists()
