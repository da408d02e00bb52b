"""Run several pipelines over the same folds, and keep every fold that was computed."""

import contextlib
import io
import json
import math
import os
import re
import signal
import sys
import threading
import time
import uuid
import warnings
from importlib.metadata import version
from numbers import Integral
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.utils.metadata_routing import get_routing_for_object
from tqdm.auto import tqdm

from skeeg.evaluation.pipelines import make_pipelines
from skeeg.evaluation.results import Comparison, collect
from skeeg.evaluation.splits import make_folds
from skeeg.files import write_atomically
from skeeg.persistence import HUB_FILE
from skeeg.trials import as_trials, holds_epochs


def compare(
    pipelines,
    X,
    y,
    metadata,
    *,
    cv="cross-subject",
    n_splits=5,
    n_jobs=1,
    out=None,
    random_state=0,
    progress=True,
):
    """Compare classifiers on the same folds of the same trials.

    A pipeline that fails in a fold is recorded with its error and the others go on. With `out`, every
    finished fold is on disk at once: after Ctrl-C, a crash or a time limit the same call goes on where it
    stopped. A fold is taken from disk only if data, folds, pipeline, parameters and package versions are
    the same; the code of your own classes is not looked into, so choose another folder after editing it.

    Parameters
    ----------
    pipelines : dict of str -> classifier or str, or list of str
        Name and unfitted scikit-learn classifier, or names that `make_pipelines` knows, such as
        ``["csp-lda", "sstdpn+ea"]`` (X must know its sampling rate then); in a dict, a name may stand for
        its pipeline. Each ``random_state`` that is None is set from `random_state`, so that a comparison
        repeats. A classifier or step that requests ``groups`` by metadata routing (`EuclideanAlignment`, a
        network for its validation split) gets the subjects, with "cross-session" the sessions.
    X : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    y : array-like, shape (n_trials,)
        Labels: strings or integers.
    metadata : DataFrame, n_trials rows
        Column ``subject``; ``session`` and ``run`` where there are any.
    cv : {"within-subject", "cross-subject", "cross-session"} or splitter, default="cross-subject"
        The question asked, see `make_folds`.
    n_splits : int, default=5
        The largest number of folds, see `make_folds`.
    n_jobs : int, default=1
        Folds run side by side, each in its own process with its share of the processor's cores; -1: one
        a core. The scores do not depend on it.
    out : path, default=None
        Folder for ``scores.csv``, ``predictions.csv``, ``differences.csv`` and the finished folds
        (``folds/``). None writes nothing.
    random_state : int, default=0
        Decides the folds of "cross-subject" and each ``random_state`` left at None.
    progress : bool, default=True
        Show a progress bar on stderr.

    Returns
    -------
    Comparison
        Scores, predictions and statistics. After Ctrl-C it holds the folds that were finished and its
        ``interrupted`` is True.

    Raises
    ------
    ValueError
        The data do not fit together or cannot answer the question, or a kept fold is damaged.
    TypeError
        ``metadata`` is no DataFrame.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.evaluation import compare
    >>> X, y = np.zeros((12, 2, 50)), np.tile(["left", "left", "right"], 4)
    >>> metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    >>> result = compare({"dummy": DummyClassifier()}, X, y, metadata, progress=False)
    >>> result.scores[["pipeline", "subject", "fold", "n_train", "n_test"]]
      pipeline  subject  fold  n_train  n_test
    0    dummy        1     0        6       6
    1    dummy        2     1        6       6
    """
    X, y, metadata = _check_data(X, y, metadata)
    pipelines = _check_pipelines(pipelines, X, random_state)
    folds = make_folds(cv, y, metadata, n_splits=n_splits, random_state=random_state)
    _warn_of_unseen_classes(folds, y, metadata)
    classes = np.unique(y)
    groups = _groups(cv, metadata)

    # Fold by fold rather than pipeline by pipeline: what an interrupted run leaves can still be paired.
    tasks = [(name, k) for k in range(len(folds)) for name in pipelines]
    paths = {}
    if out is not None:
        directory = Path(out) / "folds"
        directory.mkdir(parents=True, exist_ok=True)
        paths = _name_files(directory, tasks, pipelines, folds, X, y, groups)
    done = {task: _read_fold(path) for task, path in paths.items() if path.exists()}
    waiting = [task for task in tasks if task not in done]

    bar = _ProgressBar(len(tasks), len(folds), shown=progress)
    for task in sorted(done, key=tasks.index):
        bar.finished(task, done[task], y[folds[task[1]][1]], classes)

    def jobs():
        for name, k in waiting:
            bar.started((name, k))
            yield joblib.delayed(_fit_and_score)((name, k), pipelines[name], X, y, groups, classes, *folds[k])

    # One fold at a time to each worker: the bar names what runs, and a finished fold is kept at once.
    parallel = joblib.Parallel(
        n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1
    )
    with bar, _CtrlC() as ctrl_c, contextlib.suppress(KeyboardInterrupt):
        for task, fold in parallel(jobs()):
            # A network that is told to stop ends its training and predicts: that is not this fold's result.
            if ctrl_c.pressed:
                break
            done[task] = fold
            if out is not None and not fold["error"]:
                write_atomically(paths[task], json.dumps(fold).encode())
            bar.finished(task, fold, y[folds[task[1]][1]], classes)

    _tell_warnings(done)
    result = Comparison(
        *collect(done, tasks, folds, y, classes, metadata),
        classes=classes,
        chance=float(max(np.mean(y == label) for label in classes)),
        cv=_name_of(cv),
        interrupted=len(done) < len(tasks),
    )
    if out is not None:
        result.save(out)
    return result


def _name_of(cv):
    if isinstance(cv, str):
        return cv
    if cv is None or isinstance(cv, Integral):
        return "stratified"
    return type(cv).__name__ if hasattr(cv, "split") else "given folds"


def _read_fold(path):
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and the fold is computed again") from error


def _check_data(X, y, metadata):
    """Arrays and a DataFrame of one length, or an error that says what does not fit."""
    if holds_epochs(X):  # their EEG channels in µV, which know their names and rate
        trials = as_trials(X)
        X = trials.wrap(trials.data)
    if y is None:
        y = getattr(X, "labels", None)
    if y is None:
        raise ValueError("y is None, and X knows no labels; give y")
    X, y = np.asanyarray(X), np.asarray(y)  # an EEGArray stays one
    if X.ndim < 2 or y.ndim != 1:
        raise ValueError(
            f"X must be (n_trials, n_chans, n_times) and y (n_trials,), not {X.shape}, {y.shape}."
        )
    if not hasattr(metadata, "columns"):
        raise TypeError(
            "metadata must be a DataFrame with a row a trial and a column 'subject', "
            f"not {type(metadata).__name__}."
        )
    if not len(X) == len(y) == len(metadata):
        raise ValueError(
            f"X, y and metadata must describe the same trials, "
            f"but they hold {len(X)}, {len(y)} and {len(metadata)}."
        )
    if "subject" not in metadata:
        raise ValueError(f"metadata needs a column 'subject'; it has {list(metadata.columns)}.")
    if metadata["subject"].isna().any():
        raise ValueError("metadata['subject'] has missing values; give every trial its subject.")
    if len(np.unique(y)) < 2:
        raise ValueError(f"y needs at least 2 classes; it holds only {np.unique(y).tolist()}.")
    return X, y, metadata.reset_index(drop=True)


def _groups(cv, metadata):
    """Who each trial is from: the subject, or the session of the subject where sessions are held out."""
    columns = ["subject", "session"] if cv == "cross-session" else ["subject"]
    return metadata[columns].astype(str).agg("/".join, axis=1).to_numpy(dtype=str)


def _warn_of_unseen_classes(folds, y, metadata):
    """Files that name a class differently cannot be told apart from classes that only some people have."""
    for k, (train, test) in enumerate(folds):
        unseen = np.setdiff1d(y[test], y[train])
        if len(unseen):
            subjects = metadata["subject"].iloc[test][np.isin(y[test], unseen)].unique()
            warnings.warn(
                f"fold {k + 1} tests classes {unseen.tolist()} of subjects {subjects.tolist()}, trains on "
                f"{np.unique(y[train]).tolist()}: those trials cannot be right. Name the classes alike",
                UserWarning,
                stacklevel=3,
            )


def _check_pipelines(pipelines, X, random_state):
    """Clones, with every random_state that is None set; names have become their pipelines."""
    if isinstance(pipelines, (list, tuple)) and all(isinstance(name, str) for name in pipelines):
        pipelines = {name: name for name in pipelines}
    if not isinstance(pipelines, dict) or not pipelines:
        raise ValueError(
            "pipelines must be a dict of name -> classifier or a list of names, with at least one entry, "
            f"not {pipelines!r}."
        )
    named = [value for value in pipelines.values() if isinstance(value, str)]
    sfreq = getattr(X, "sfreq", None)
    if named and sfreq is None:
        raise ValueError(
            f"the pipelines {', '.join(named)} need the sampling rate, which X does not know: give "
            "skeeg.EEGArray(X, sfreq=...) or Epochs."
        )
    known = make_pipelines(named, sfreq=sfreq, random_state=random_state)
    checked = {}
    for name, pipeline in pipelines.items():
        if isinstance(pipeline, str):
            pipeline = known[pipeline]
        if not (hasattr(pipeline, "fit") and hasattr(pipeline, "predict")):
            raise ValueError(
                f"pipelines[{name!r}] must be a classifier with fit and predict, not {pipeline!r}."
            )
        pipeline = clone(pipeline)
        unset = [
            key
            for key, value in pipeline.get_params().items()
            if key.split("__")[-1] == "random_state" and value is None
        ]
        checked[name] = pipeline.set_params(**dict.fromkeys(unset, random_state))
    return checked


def _name_files(directory, tasks, pipelines, folds, X, y, groups):
    """One file a task, named by a hash of all that decides its content."""
    packages = ("skeeg", "torch", "skorch", "scikit-learn", "numpy", "scipy", "mne", "pyriemann")
    common = joblib.hash([X, y, groups, [version(package) for package in packages]])
    keys = {}
    for name, pipeline in pipelines.items():
        try:
            keys[name] = joblib.hash([common, pipeline, _pretrained_files(pipeline)])
        except Exception:  # what cannot be pickled (a lambda) has no hash: always computed anew
            keys[name] = uuid.uuid4().hex
    files = {}
    for name, k in tasks:
        key = joblib.hash([keys[name], *folds[k]])
        files[name, k] = directory / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}-fold{k}-{key}.json"
    return files


def _pretrained_files(pipeline):
    """Content of the files that weights come from, which may change under their names."""
    values = (v for k, v in pipeline.get_params().items() if k.split("__")[-1] == "pretrained")
    paths = [Path(v) for v in values if isinstance(v, (str, os.PathLike))]
    paths = [path / HUB_FILE if path.is_dir() else path for path in paths]
    return [path.read_bytes() for path in paths if path.is_file()]


def _fit_and_score(task, pipeline, X, y, groups, classes, train, test):
    """Fit and predict one fold; an error is a result like any other.

    Named as scikit-learn's own, by which networks know that they are inside a search and keep quiet.

    Returns the task and a dict of plain Python values, so that JSON holds it without loss: class *numbers*
    and probabilities of the test trials, the fit time in seconds, the error and the warnings.
    """
    fold = {"y_pred": None, "proba": None, "fit_time": math.nan, "error": "", "warnings": []}
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(io.StringIO()),  # what a pipeline prints would tear the progress bar
        sklearn.config_context(enable_metadata_routing=True),
    ):
        warnings.simplefilter("default")
        try:
            pipeline = clone(pipeline)
            routing = get_routing_for_object(pipeline)

            def routed(method, trials):
                return {"groups": groups[trials]} if routing.consumes(method, ["groups"]) else {}

            start = time.perf_counter()
            pipeline.fit(X[train], y[train], **routed("fit", train))
            fold["fit_time"] = time.perf_counter() - start
            y_pred = pipeline.predict(X[test], **routed("predict", test))
            proba = None
            if hasattr(pipeline, "predict_proba"):
                proba = np.zeros((len(test), len(classes)))
                columns = np.searchsorted(classes, pipeline.classes_)
                proba[:, columns] = pipeline.predict_proba(X[test], **routed("predict_proba", test))
                proba = proba.tolist()
            fold["y_pred"], fold["proba"] = np.searchsorted(classes, y_pred).tolist(), proba
        except Exception as error:
            fold["error"] = " ".join(f"{type(error).__name__}: {error}".split())
    kinds = (UserWarning, RuntimeWarning)
    fold["warnings"] = sorted({str(w.message) for w in caught if issubclass(w.category, kinds)})
    return task, fold


def _tell_warnings(done):
    """Give the warnings of the folds once each, with the pipeline's name."""
    counts = {}
    for (name, _), fold in done.items():
        for message in fold["warnings"]:
            counts[name, message] = counts.get((name, message), 0) + 1
    for (name, message), n_folds in counts.items():
        warnings.warn(f"{name} ({n_folds} folds): {message}", stacklevel=3)


class _ProgressBar:
    """Names the fold that runs, the accuracy of the last one and the running mean of its pipeline."""

    def __init__(self, n_tasks, n_folds, *, shown):
        self.n_folds = n_folds
        self.accuracies = {}
        self.live = sys.stderr.isatty()
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
        name, k = task
        self.bar.set_description_str(f"{name}, fold {k + 1}/{self.n_folds}", refresh=self.live)

    def finished(self, task, fold, y_true, classes):
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


class _CtrlC:
    """Remembers that Ctrl-C was pressed, whoever catches the KeyboardInterrupt (skorch does, in fit)."""

    def __init__(self):
        self.pressed = False

    def __enter__(self):
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:  # elsewhere Python delivers no signals
            self.previous = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_):
        if self.in_main_thread:
            signal.signal(signal.SIGINT, self.previous)

    def _press(self, signum, frame):
        self.pressed = True
        raise KeyboardInterrupt
