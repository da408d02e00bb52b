"""Runs that are killed, that share a folder, that have no room, or a cluster: nothing is lost or repeated."""

import multiprocessing
import os
import resource
import signal
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from evaluating import CountingClassifier, make_lda, six_people
from joblib._parallel_backends import LokyBackend
from sklearn.dummy import DummyClassifier

from skeeg import AttentionBaseNetClassifier
from skeeg.cli import main
from skeeg.evaluation import compare

fork = multiprocessing.get_context("fork")  # starts at once


class Slow(CountingClassifier):
    """Takes its time, so that others are met at work."""

    def fit(self, X, y):
        time.sleep(0.15)
        return super().fit(X, y)


def run(log, out, **options):
    pipelines = {"it": Slow(log), "lda": make_lda()}
    return compare(pipelines, *six_people(), n_splits=6, out=out, progress=False, **options)


def tables(result):
    """Everything but how long it took."""
    return result.scores.drop(columns="fit_time"), result.predictions


def assert_same(one, other):
    for mine, yours in zip(tables(one), tables(other), strict=True):
        pd.testing.assert_frame_equal(mine, yours, check_exact=True)


@pytest.fixture
def undisturbed(tmp_path):
    return run(tmp_path / "undisturbed.log", None)


def test_killed_at_any_moment_nothing_is_lost(tmp_path, undisturbed):
    log, out = tmp_path / "log", tmp_path / "out"
    for n_kept in (1, 3, 6):
        process = fork.Process(target=run, args=(log, out))
        process.start()
        while len(list(out.glob("folds/*.json"))) < n_kept and process.is_alive():
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is kept holds
        assert_same(run(log, out), undisturbed)
    assert CountingClassifier(log).n_fits() <= 6 + 3  # of each run that was killed, the fold that it was at
    assert not list(out.glob("folds/*.lock"))


def test_two_runs_into_one_folder_repeat_nothing(tmp_path, undisturbed):
    log, out = tmp_path / "log", tmp_path / "out"
    others = [fork.Process(target=run, args=(log, out)) for _ in range(2)]
    for process in others:
        process.start()
    mine = run(log, out)
    for process in others:
        process.join()
        assert process.exitcode == 0
    assert CountingClassifier(log).n_fits() == 6
    assert_same(mine, undisturbed)
    assert_same(run(log, out), undisturbed)
    assert CountingClassifier(log).n_fits() == 6


def test_what_a_killed_run_was_at_is_taken_over(tmp_path, undisturbed):
    log, out = tmp_path / "log", tmp_path / "out"
    process = fork.Process(target=run, args=(log, out))
    process.start()
    while not list(out.glob("folds/*.lock")):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGSTOP)  # holds its fold, and does nothing
    waiting = fork.Process(target=run, args=(log, out))
    waiting.start()
    while len(list(out.glob("folds/*.json"))) < 10:  # all but those that the first one holds
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    waiting.join(60)
    assert waiting.exitcode == 0
    assert_same(run(log, out), undisturbed)
    assert CountingClassifier(log).n_fits() <= 7


def run_without_room(log, out, answers):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(log, out)
    answers.send((result.scores, result.predictions, [str(w.message) for w in caught]))


def test_no_room_costs_files_alone(tmp_path, undisturbed):
    out = tmp_path / "out"
    mine, theirs = fork.Pipe()
    process = fork.Process(target=run_without_room, args=("/dev/null", out, theirs))
    process.start()
    scores, predictions, messages = mine.recv()
    process.join()
    pd.testing.assert_frame_equal(scores.drop(columns="fit_time"), tables(undisturbed)[0])
    pd.testing.assert_frame_equal(predictions, undisturbed.predictions)
    assert any("not everything could be written" in message for message in messages)
    assert not [path for path in out.rglob("*") if path.is_file()]  # no half of a file
    assert_same(run(tmp_path / "log", out), undisturbed)


class Failing(DummyClassifier):
    """Fails where subject 1 does not train."""

    def fit(self, X, y):
        if X[0, 0, 0] != six_people()[0][0, 0, 0]:
            raise ZeroDivisionError("what a pity")
        return super().fit(X, y)


def test_a_failure_leaves_its_traceback(tmp_path):
    pipelines = {"it/1": Failing(), "lda": make_lda()}
    result = compare(pipelines, *six_people(), n_splits=6, out=tmp_path, progress=False)
    assert result.scores["error"].value_counts().to_dict() == {"": 11, "ZeroDivisionError: what a pity": 1}
    (path,) = (tmp_path / "failures").iterdir()
    assert path.name.startswith("it_1-fold0-")
    assert path.read_text().startswith("Traceback") and "in fit\n" in path.read_text()
    assert path.read_text().rstrip().endswith("ZeroDivisionError: what a pity")


def test_strict_stops_at_the_first_failure(tmp_path):
    pipelines = {"lda": make_lda(), "it": Failing(), "dummy": DummyClassifier()}
    with pytest.raises(RuntimeError, match="it failed in fold 0, and strict=True: ZeroDivisionError: what a"):
        compare(pipelines, *six_people(), n_splits=6, out=tmp_path, strict=True, progress=False)
    assert len(list((tmp_path / "folds").iterdir())) == 1 == len(list((tmp_path / "failures").iterdir()))
    whole = compare(pipelines | {"it": make_lda()}, *six_people(), n_splits=6, out=tmp_path, progress=False)
    assert (whole.scores["error"] == "").all()


def test_the_command_is_strict(tmp_path, capsys):
    X, y, metadata = six_people()
    rows = (metadata["subject"] < 4).to_numpy()
    np.savez(tmp_path / "a.npz", X=X[rows], y=y[rows], sfreq=20, subject=metadata["subject"][rows])
    out = tmp_path / "out"
    command = ["compare", "--data", str(tmp_path / "a.npz"), "--pipelines", "csp-lda", "--n-jobs", "1"]
    assert main([*command, "--out", str(out), "--strict"]) == 1  # no band of 8 to 30 Hz at 20 Hz
    told = capsys.readouterr().err
    assert "csp-lda failed in fold 0, and strict=True" in told and "failures holds its traceback" in told


# ----- elsewhere -----------------------------------------------------------------------------------------


class Killing(CountingClassifier):
    """Kills its worker in the first fit of all."""

    def fit(self, X, y):
        if multiprocessing.parent_process() is not None:
            try:
                Path(f"{self.log}.killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
            except FileExistsError:
                pass
        return super().fit(X, y)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason='needs Dask: pip install "skeeg[dask]"')
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
    ):
        yield cluster


@pytest.mark.filterwarnings("ignore:network")
def test_a_cluster_whose_worker_is_killed_gives_the_same(cluster, tmp_path):
    network = AttentionBaseNetClassifier(max_epochs=2, verbose=0)
    pipelines = {"it": Killing(tmp_path / "log"), "network": network, "lda": make_lda(), "bad": Failing()}
    options = {"n_splits": 6, "progress": False}
    there = compare(pipelines, *six_people(), backend="dask", scheduler=cluster.scheduler_address, **options)
    assert Path(f"{tmp_path / 'log'}.killed").exists()
    here = compare(pipelines, *six_people(), **options)
    assert_same(there, here)
    assert (here.scores["error"] != "").sum() == 1


class Deadly(DummyClassifier):
    """Kills every worker that trains without subject 1."""

    def fit(self, X, y):
        if X[0, 0, 0] != six_people()[0][0, 0, 0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


def test_a_fold_that_ends_every_worker_fails_alone(cluster, tmp_path):
    result = compare(
        {"it": Deadly(), "lda": make_lda()},
        *six_people(),
        n_splits=6,
        backend="dask",
        scheduler=cluster.scheduler_address,
        out=tmp_path,
        progress=False,
    )
    scores = result.scores.set_index(["pipeline", "fold"])["error"]
    (failed,) = scores[scores != ""].items()
    assert failed[0] == ("it", 0) and "workers that computed this fold were ended" in failed[1]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"backend": "dask"}, ValueError, "Dask needs both"),
        ({"scheduler": "tcp://localhost:1"}, ValueError, "Dask needs both"),
        (
            {"backend": "dusk"},
            ValueError,
            "backend='dusk' is not registered with joblib; there are dask, ray",
        ),
        ({"backend": "threading"}, ValueError, "not registered"),
    ],
)
def test_what_is_no_backend_is_told(options, kind, words):
    with pytest.raises(kind, match=words):
        compare({"lda": make_lda()}, *six_people(), progress=False, **options)


def test_no_cluster_is_told(monkeypatch):
    pytest.importorskip("distributed", reason='needs Dask: pip install "skeeg[dask]"')
    monkeypatch.setattr("skeeg.evaluation.cluster._SECONDS_TO_ANSWER", 1)
    with pytest.raises(OSError, match="no Dask cluster with workers answers at"):
        compare({"lda": make_lda()}, *six_people(), backend="dask", scheduler="tcp://127.0.0.1:1")


class Ours(LokyBackend):
    """As another package registers its own."""

    used = 0

    def submit(self, *arguments, **options):
        Ours.used += 1
        return super().submit(*arguments, **options)


def test_backends_that_are_registered_with_joblib(undisturbed, tmp_path):
    joblib.register_parallel_backend("ours", Ours)
    try:
        result = run(tmp_path / "log", tmp_path / "out", backend="ours", n_jobs=2)
    finally:
        del joblib.parallel.BACKENDS["ours"]
    assert Ours.used == 12
    assert_same(result, undisturbed)
