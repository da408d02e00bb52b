"""Folds on disk: what is taken from there is right."""

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from evaluating import CountingClassifier, flatten, make_lda, six_people
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skeeg
from skeeg import AttentionBaseNetClassifier, EEGArray, Scaler
from skeeg.datasets import make_motor_imagery
from skeeg.evaluation import compare, kept


@pytest.fixture
def data():
    return six_people()


@pytest.fixture
def lda():
    return make_lda()


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


@pytest.mark.parametrize(
    "changed", ["X", "y", "subjects", "parameter", "seed", "sfreq", "ch_names", "labels", "tmin", "dtype"]
)
def test_whatever_decides_a_result_is_looked_at_before_it_is_taken_from_disk(data, tmp_path, changed):
    X, y, metadata = data
    known = {"sfreq": 100.0, "ch_names": ["C3", "Cz", "C4"], "labels": y, "tmin": 0.0}
    X = EEGArray(X, **known)
    counting = CountingClassifier(tmp_path / "log")
    compare({"it": counting}, X, y, metadata, out=tmp_path / "out", progress=False)
    if changed in known:  # the numbers are the same
        others = {"sfreq": 200.0, "ch_names": ["C3", "Cz", "CP4"], "labels": np.roll(y, 1), "tmin": 0.5}
        X = EEGArray(np.asarray(X), **known | {changed: others[changed]})
    elif changed == "dtype":
        X = X.view(np.ndarray).view(np.int64)
    elif changed == "X":
        X = np.array(X)
        X[-1, -1, -1] += 1e-9
        X = EEGArray(X, **known)
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


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def press_ctrl_c_and_swallow_it():
    with contextlib.suppress(KeyboardInterrupt):  # as skorch does in fit
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("how", "number"),
    [
        (press_ctrl_c, signal.SIGINT),
        (press_ctrl_c_and_swallow_it, signal.SIGINT),
        (terminate, signal.SIGTERM),
    ],
)
def test_ctrl_c_keeps_the_finished_folds_and_a_rerun_goes_on(data, tmp_path, how, number):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    counting = CountingClassifier(tmp_path / "log", misbehave_at=3, how=how)
    result = compare({"it": counting}, *data, out=tmp_path / "out", progress=False)
    assert result.interrupted and result.signal == number
    assert result.scores["fold"].unique().tolist() == [0, 1], "the interrupted fold must not count"
    assert pd.read_csv(tmp_path / "out" / "scores.csv")["fold"].unique().tolist() == [0, 1]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers

    rest = compare({"it": counting}, *data, out=tmp_path / "out", progress=False)
    assert not rest.interrupted and rest.signal == 0
    assert rest.scores["fold"].nunique() == 5
    assert counting.n_fits() == 3 + 3


def test_ctrl_c_before_the_first_fold_ends_leaves_empty_tables(data, tmp_path):
    counting = CountingClassifier(tmp_path / "log", misbehave_at=1, how=press_ctrl_c)
    result = compare({"it": counting}, *data, out=tmp_path / "out", progress=False)
    assert result.interrupted and result.scores.empty and result.predictions.empty
    assert str(result) == "No fold was finished."


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


# ----- files that do not hold ---------------------------------------------------------------------------

FOLD = {
    "y_pred": [0, 1, 1],
    "proba": [[0.75, 0.25], [0.1, 0.9], [0.5, 0.5]],
    "fit_time": 1.25,
    "error": "",
    "warnings": ["odd"],
}


def read(path, n_test=3, n_classes=2):
    """What is read, and what is told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fold = kept.read_fold(path, n_test, n_classes)
    return fold, [str(warning.message) for warning in caught]


def test_a_fold_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "it-fold0.json"
    for fold in (FOLD, FOLD | {"proba": None, "fit_time": 0.0, "warnings": []}):
        kept.write_fold(path, fold)
        assert read(path) == (fold, [])


def test_no_bit_can_change_unnoticed(tmp_path):
    path = tmp_path / "it-fold0.json"
    kept.write_fold(path, FOLD)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in {5, place % 8}:  # 5 is what tells capitals
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            fold, (told,) = read(path)
            assert fold is None
            assert told.startswith(f"{path} does not hold (") and told.endswith("this fold is computed again")


def test_no_part_of_a_file_passes_for_the_whole(tmp_path):
    path = tmp_path / "it-fold0.json"
    kept.write_fold(path, FOLD)
    whole = path.read_bytes()
    for content in (*(whole[:length] for length in range(len(whole))), whole + b"\n", whole + whole):
        path.write_bytes(content)
        fold, told = read(path)
        assert fold is None and len(told) == 1


@pytest.mark.parametrize(
    "content", ["{}", "[]", "null", "3", '{"fold": {}}', '{"fold": null}', "[" * 100_000]
)
def test_what_is_no_fold_is_named(tmp_path, content):
    path = tmp_path / "it-fold0.json"
    path.write_text(content)
    fold, (told,) = read(path)
    assert fold is None and str(path) in told


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"y_pred": [0, 1]}, "it does not hold predictions of 3 trials"),
        ({"y_pred": [0, 1, 1, 0]}, "predictions of 3 trials"),
        ({"y_pred": None}, "predictions of 3 trials"),
        ({"y_pred": [0, 1, 2]}, "not all class numbers from 0 to 1"),
        ({"y_pred": [0, -1, 1]}, "not all class numbers"),
        ({"y_pred": [0, True, 1]}, "not all class numbers"),
        ({"y_pred": [0, 1.0, 1]}, "not all class numbers"),
        ({"proba": [[1.0, 0.0]] * 2}, r"shape \(2, 2\)"),
        ({"proba": [[1.0]] * 3}, r"shape \(3, 1\)"),
        ({"proba": [[0.5, 0.6]] * 3}, "sum to 1"),
        ({"proba": [[-0.5, 1.5]] * 3}, "not be negative"),
        ({"proba": [[1.0, 0.0], [1.0], [0.0, 1.0]]}, "ValueError"),
        ({"proba": [["a", "b"]] * 3}, "ValueError"),
        ({"fit_time": -1.0}, "took -1.0 seconds"),
        ({"fit_time": "1"}, "took '1' seconds"),
        ({"fit_time": None}, "took None seconds"),
        ({"error": "ValueError: no"}, "error or warnings"),
        ({"warnings": [3]}, "error or warnings"),
        ({"more": 1}, "it holds"),
    ],
)
def test_a_checksum_is_not_enough(tmp_path, change, reason):
    path = tmp_path / "it-fold0.json"
    kept.write_fold(path, FOLD | change)
    fold, (told,) = read(path)
    assert fold is None
    assert re.search(reason, told), told


def test_numbers_that_json_does_not_know_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        kept.write_fold(tmp_path / "it.json", FOLD | {"proba": [[np.nan, 1.0]] * 3})
    document = json.dumps({"fold": FOLD | {"fit_time": np.inf}})
    (tmp_path / "it.json").write_text(document)
    assert read(tmp_path / "it.json")[0] is None


def test_another_fold_under_this_name_does_not_hold(tmp_path):
    kept.write_fold(tmp_path / "it-fold0.json", FOLD)
    shutil.copy(tmp_path / "it-fold0.json", tmp_path / "it-fold1.json")
    fold, (told,) = read(tmp_path / "it-fold1.json")
    assert fold is None and "its checksum or its name does not fit its content" in told


def test_a_folder_or_an_unreadable_file_is_named(tmp_path):
    (tmp_path / "it-fold0.json").mkdir()
    fold, (told,) = read(tmp_path / "it-fold0.json")
    assert fold is None and "IsADirectoryError" in told


@pytest.mark.parametrize("content", [b"{}", b"", b"\x00\xff", None])
def test_a_fold_that_does_not_hold_is_computed_again(data, lda, tmp_path, content):
    first = compare({"lda": lda}, *data, out=tmp_path, progress=False)
    damaged, *others = sorted((tmp_path / "folds").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-20] if content is None else content)
    before = {path: path.stat().st_mtime_ns for path in others}
    with pytest.warns(
        UserWarning, match=f"{re.escape(str(damaged))} does not hold .* computed again"
    ) as told:
        second = compare({"lda": lda}, *data, out=tmp_path, progress=False)
    assert len(told) == 1
    pd.testing.assert_frame_equal(second.predictions, first.predictions)
    assert before == {path: path.stat().st_mtime_ns for path in others}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare({"lda": lda}, *data, out=tmp_path, progress=False)


# ----- writing ------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to_is_said_before_anything_is_computed(data, tmp_path):
    counting = CountingClassifier(tmp_path / "log")
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "scores.csv").mkdir(parents=True)
    for out, reason in (
        (tmp_path / "file", "exists|directory"),
        (tmp_path / "out", "scores.csv is a folder"),
    ):
        with pytest.raises(OSError, match=f"cannot be written to .*({reason}).*; choose another folder"):
            compare({"it": counting}, *data, out=out, progress=False)
    assert not (tmp_path / "log").exists()


def test_a_full_disk_loses_nothing_that_was_computed(data, lda, tmp_path, monkeypatch):
    expected = compare({"lda": lda}, *data, progress=False)

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("skeeg.evaluation.kept.write_atomically", full)
    monkeypatch.setattr("skeeg.evaluation.results.write_atomically", full)
    with pytest.warns(UserWarning, match="not everything could be written to .*No space left"):
        result = compare({"lda": lda}, *data, out=tmp_path, progress=False)
    pd.testing.assert_frame_equal(result.predictions, expected.predictions)


def test_names_that_no_file_can_have_are_shortened(data, tmp_path):
    name = "../ä\n" * 100
    result = compare({name: DummyClassifier()}, *data, out=tmp_path, progress=False)
    assert len(list((tmp_path / "folds").iterdir())) == 5
    assert result.scores["pipeline"].unique().tolist() == [name]
    assert pd.read_csv(tmp_path / "scores.csv")["pipeline"].unique().tolist() == [name]
    assert len(str(result).split("\n\n")) == 3


# ----- the key is the same in every process -------------------------------------------------------------

AGAIN = """
import sys
sys.path[:0] = sys.argv[1:3]
import test_kept_folds
test_kept_folds.compare_frozen(sys.argv[3])
"""


def compare_frozen(folder):
    """Fine-tune fitted networks that were saved in the folder."""
    X, y, metadata = make_motor_imagery(2, 8, n_chans=3, duration=2, difficulty=0.0, random_state=0)
    network = skeeg.load(Path(folder, "network"))
    pipeline = skeeg.load(Path(folder, "pipeline"))
    torch.manual_seed(0)
    tuned = AttentionBaseNetClassifier(pretrained=FrozenEstimator(network), max_epochs=1, verbose=0)
    pipelines = {
        "tuned": make_pipeline(Scaler(), tuned),
        "pretrained": FrozenEstimator(pipeline),
        "holding": CountingClassifier(f"{folder}/log", how=torch.nn.Linear(2, 2)),
    }
    return compare(pipelines, X, y, metadata, out=Path(folder, "out"), progress=False)


def test_frozen_networks_are_taken_from_disk_in_another_process(tmp_path):
    X, y, _ = make_motor_imagery(2, 8, n_chans=3, duration=2, difficulty=0.0, random_state=0)
    pipeline = make_pipeline(Scaler(), AttentionBaseNetClassifier(max_epochs=1, verbose=0, random_state=0))
    skeeg.save(pipeline.fit(X, y), tmp_path / "pipeline")
    skeeg.save(pipeline[-1], tmp_path / "network")
    result = compare_frozen(tmp_path)
    assert (result.scores["error"] == "").all()
    folds = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "folds").iterdir()}
    assert len(folds) == 6

    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", AGAIN, str(tests), str(tests.parent), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    assert folds == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "folds").iterdir()}


def test_other_weights_of_a_frozen_network_are_other_folds(tmp_path):
    X, y, _ = make_motor_imagery(2, 8, n_chans=3, duration=2, difficulty=0.0, random_state=0)
    pipeline = make_pipeline(Scaler(), AttentionBaseNetClassifier(max_epochs=1, verbose=0, random_state=0))
    skeeg.save(pipeline.fit(X, y), tmp_path / "pipeline")
    skeeg.save(pipeline[-1], tmp_path / "network")
    compare_frozen(tmp_path)
    with torch.no_grad():
        next(pipeline[-1].module_.parameters()).add_(0.1)
    skeeg.save(pipeline[-1], tmp_path / "network")
    compare_frozen(tmp_path)
    names = [path.name.split("-")[0] for path in (tmp_path / "out" / "folds").iterdir()]
    assert [names.count(name) for name in ("tuned", "pretrained", "holding")] == [4, 2, 2]
