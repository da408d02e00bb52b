"""Run folds side by side: whatever one of them does, the others go on, and no process is left behind."""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from concurrent.futures.process import BrokenProcessPool

import joblib
import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.utils.metadata_routing import get_routing_for_object
from tqdm.auto import tqdm

from skeeg.trials import EEGArray

# ----- one fold -------------------------------------------------------------------------------------------


def fit_and_predict(pipeline, X, known, y, groups, classes, train, batches):
    """Fit and predict one fold; an error is a result like any other.

    Parameters
    ----------
    pipeline : classifier
        Unfitted; where nothing trains, one that can predict nevertheless.
    X : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    known : tuple or None
        What an EEGArray knows. Apart from the numbers, which joblib shares
        between processes only while they are one and the same array.
    y, groups : ndarray, shape (n_trials,)
        Labels, and who each trial is from.
    classes : ndarray, shape (n_classes,)
        All labels, sorted.
    train : ndarray
        Row numbers of the trials that train.
    batches : tuple of ndarray
        Row numbers of the test trials; those of an array are predicted together.

    Returns
    -------
    dict
        Plain Python values, so that JSON holds them without loss: class *numbers* and probabilities of the
        test trials, the fit time in seconds, the error and the warnings.
    """
    _end_with_parent()
    fold = failed("")
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(io.StringIO()),  # what a pipeline prints would tear the progress bar
        sklearn.config_context(enable_metadata_routing=True),
    ):
        warnings.simplefilter("default")
        try:
            X = X if known is None else EEGArray(X, *known)
            routing = get_routing_for_object(pipeline)

            def routed(method, trials):
                return {"groups": groups[trials]} if routing.consumes(method, ["groups"]) else {}

            start = time.perf_counter()
            pipeline = clone(pipeline)
            pipeline.fit(X[train], y[train], **routed("fit", train))
            fold["fit_time"] = time.perf_counter() - start
            y_pred, proba = [], []
            for test in batches:
                answers = pipeline.predict(X[test], **routed("predict", test))
                y_pred += _numbers_of(answers, classes, len(test), "predict")
                if hasattr(pipeline, "predict_proba"):
                    chances = pipeline.predict_proba(X[test], **routed("predict_proba", test))
                    proba += _in_order(chances, pipeline, classes, len(test)).tolist()
            fold["y_pred"], fold["proba"] = y_pred, proba or None
        except Stopped:
            raise
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # pipelines may end fits by any of these
            fold = failed(f"{type(error).__name__}: {error}", traceback.format_exc())
    kinds = (UserWarning, RuntimeWarning)
    fold["warnings"] = sorted({str(w.message) for w in caught if issubclass(w.category, kinds)})
    return fold


def failed(error, details=None):
    """Make a fold that has an error and no predictions; ``details`` are the lines of its traceback."""
    fold = {
        "y_pred": None, "proba": None, "fit_time": math.nan, "error": " ".join(error.split()), "warnings": []
    }  # fmt: skip
    return fold if details is None else fold | {"traceback": details}


def _numbers_of(labels, classes, n_labels, what):
    """Place of each label in `classes`; an error where one is no label."""
    labels = np.asarray(labels)
    if labels.shape != (n_labels,):
        raise ValueError(f"{what} gave an array of shape {labels.shape}, not one label for {n_labels} trials")
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    labels = labels.tolist()
    unknown = list(dict.fromkeys(repr(label) for label in labels if label not in numbers))
    if unknown:
        raise ValueError(
            f"{what} gave {', '.join(unknown[:5])}, which y does not hold; its labels are "
            f"{', '.join(map(repr, numbers))}"
        )
    return [numbers[label] for label in labels]


def _in_order(proba, pipeline, classes, n_test):
    """Probabilities with a column for each of `classes`, 0 for one that the pipeline does not know."""
    if not hasattr(pipeline, "classes_"):
        raise ValueError("there is predict_proba but no classes_, which tell what its columns are")
    own = np.asarray(pipeline.classes_)
    columns = _numbers_of(own, classes, len(own), "classes_")
    if len(set(columns)) < len(columns):
        raise ValueError(f"classes_ names a label twice: {own.tolist()}")
    proba = np.asarray(proba, dtype=float)
    check_probabilities(proba, n_test, len(columns))
    ordered = np.zeros((n_test, len(classes)))
    ordered[:, columns] = proba
    return ordered


def check_probabilities(proba, n_trials, n_classes):
    """Raise ValueError unless these are probabilities of so many classes."""
    if proba.shape != (n_trials, n_classes):
        raise ValueError(
            f"probabilities have the shape {proba.shape}, expected {n_trials} trials x {n_classes} classes"
        )
    if not np.isfinite(proba).all():
        raise ValueError("probabilities are not finite")
    if proba.min() < -1e-6 or np.abs(proba.sum(axis=1) - 1).max() > 1e-3:  # as half precision rounds
        raise ValueError(
            f"probabilities must not be negative and sum to 1, the smallest is {proba.min():g} and sums go "
            f"from {proba.sum(axis=1).min():g} to {proba.sum(axis=1).max():g}"
        )


def _end_with_parent():
    """Let a worker process end soon after the one that started it, which was killed and cannot see to it."""
    parent = multiprocessing.parent_process()
    if parent is None or any(thread.name == "end with parent" for thread in threading.enumerate()):
        return

    def watch():
        try:
            parent.join()
        except ValueError:  # on POSIX, joblib's workers are given nothing to wait for
            while os.getppid() == parent.pid:
                time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()


# ----- many folds -----------------------------------------------------------------------------------------


def run(tasks, n_jobs, started, backend=None):
    """Compute folds side by side, and give each as soon as it is finished.

    Parameters
    ----------
    tasks : dict of task -> tuple
        Arguments of `fit_and_predict`.
    n_jobs : int
        Folds side by side, as for joblib.
    started : callable
        Called with a task when it begins; where it gives False, the task is left out.
    backend : str or None, default=None
        A backend that is registered with joblib, such as "ray"; None for processes of this machine.

    Yields
    ------
    task, fold
        A fold whose process dies is tried again alone, since another may have been to blame; what dies alone
        has failed.
    """
    if backend is not None:
        with joblib.parallel_config(backend=_registered(backend)):
            yield from _side_by_side(tasks, tasks, n_jobs, started)
        return
    waiting = list(tasks)
    n_jobs = max(1, min(joblib.effective_n_jobs(n_jobs), len(waiting)))
    while waiting:
        begun, finished = [], set()

        def begin(task, begun=begun, finished=finished):
            begun.append(task)
            if started(task) is False:
                finished.add(task)
                return False
            return True

        try:
            for task, fold in _side_by_side(waiting, tasks, n_jobs, begin):
                finished.add(task)
                yield task, fold
        except (BrokenProcessPool, pickle.PicklingError):
            for task in begun:
                if task not in finished:
                    yield task, _alone(task, tasks)
        waiting = waiting[len(begun) :]


def _registered(backend):
    """A backend that joblib knows, which Ray makes known when it is asked to."""
    if backend == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError as error:
            raise ImportError(f'Ray is not there ({error}); pip install "ray[default]"') from error
        register_ray()
    known = sorted(set(joblib.parallel.BACKENDS) - {"threading", "sequential", "multiprocessing", "loky"})
    if backend not in known:
        raise ValueError(
            f"backend={backend!r} is not registered with joblib; there are dask, ray, {', '.join(known)}"
        )
    return backend


def _alone(task, tasks):
    """A fold in a process of its own."""
    try:
        ((_, fold),) = _side_by_side([task], tasks, 2, lambda task: True)
    except BrokenProcessPool as error:
        how = re.search(r"{(.*)}", str(error))  # exit codes, such as SIGKILL(-9)
        how = f" by {how[1]}" if how else ""
        return failed(f"the process that computed this fold was ended{how}, perhaps for want of memory")
    except pickle.PicklingError as error:
        return failed(
            f"this pipeline cannot be sent to another process ({error.__cause__ or error}); use n_jobs=1"
        )
    return fold


def _side_by_side(names, tasks, n_jobs, started):
    """Task and fold, as they finish."""

    def jobs():
        for task in names:
            if started(task) is not False:
                yield joblib.delayed(_named)(task, *tasks[task])

    # One fold at a time to each worker: the bar names what runs, and a finished fold is kept at once.
    parallel = joblib.Parallel(
        n_jobs=n_jobs,
        return_as="generator_unordered",
        pre_dispatch="n_jobs",
        batch_size=1,
        temp_folder=_temporary_folder(),
    )
    return parallel(jobs())


def _named(task, *arguments):
    return task, fit_and_predict(*arguments)


def _temporary_folder():
    """Folder for arrays that processes share, where joblib's own will not do: its name must be ASCII."""
    usual = os.environ.get("JOBLIB_TEMP_FOLDER") or tempfile.gettempdir()
    if usual.isascii():
        return None
    places = ("/dev/shm", "/tmp", "/var/tmp", os.environ.get("PUBLIC", ""), os.getcwd())
    for place in places:
        if place.isascii() and os.access(place, os.W_OK):
            return place
    return None


class FoldError(RuntimeError):
    """A fold failed, and nothing was to fail."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM, told from a KeyboardInterrupt that a pipeline raises of its own."""


class StopSignals:
    """Ends a block by `Stopped` on Ctrl-C or SIGTERM, and remembers it whoever catches that (skorch does).

    Attributes
    ----------
    received : int
        Number of the signal; 0 as long as there was none.
    """

    def __init__(self):
        self.received = 0
        self.previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():  # elsewhere Python delivers no signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_):
        for number, handler in self.previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _stop(self, number, frame):
        self.received = number
        raise Stopped


class ProgressBar:
    """Names the fold that runs, the accuracy of the last one and the running mean of its pipeline."""

    def __init__(self, n_tasks, n_folds, *, shown):
        self.n_folds = n_folds
        self.accuracies = {}
        self.live = sys.stderr is not None and sys.stderr.isatty()
        self.bar = tqdm(
            total=n_tasks,
            disable=not shown,
            bar_format="{n_fmt}/{total_fmt} |{bar:12}| {elapsed}<{remaining} {desc}{postfix}",
            dynamic_ncols=True,
            mininterval=0.1 if self.live else 30,  # a log file wants few lines
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.set_description_str("", refresh=False)
        self.bar.set_postfix_str("", refresh=False)
        self.bar.close()

    def started(self, task):
        """Show what begins."""
        name, k = task
        self.bar.set_description_str(f"{name}, fold {k + 1}/{self.n_folds}", refresh=self.live)

    def finished(self, task, fold, y_true, classes):
        """Count a fold and show how it went."""
        name, _ = task
        if fold["error"]:
            self.bar.set_postfix_str(f"{name} failed: {fold['error'][:40]}", refresh=False)
        else:
            so_far = self.accuracies.setdefault(name, [])
            so_far.append(100 * np.mean(classes[fold["y_pred"]] == y_true))
            self.bar.set_postfix_str(
                f"{name} {so_far[-1]:.1f} %, mean {np.mean(so_far):.1f} %", refresh=False
            )
        self.bar.update()
