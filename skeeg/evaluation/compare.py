"""Compare pipelines on the same folds of the same trials."""

from __future__ import annotations

import contextlib
import warnings
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone

from skeeg.evaluation import kept
from skeeg.evaluation.calibration import OwnTrials, classifier_at, training_rows
from skeeg.evaluation.checks import check_data, warn_of_folds
from skeeg.evaluation.claims import Claims, with_others
from skeeg.evaluation.cluster import run_on_dask
from skeeg.evaluation.collecting import collect
from skeeg.evaluation.curves import STEPS, Curve
from skeeg.evaluation.leakage import audit, on_both_sides, parts_of
from skeeg.evaluation.pipelines import make_pipelines
from skeeg.evaluation.results import Comparison
from skeeg.evaluation.running import FoldError, ProgressBar, StopSignals, run
from skeeg.evaluation.scoring import check_scores, resolve
from skeeg.evaluation.searches import keep_groups_apart
from skeeg.evaluation.splits import OWN_TRIALS, SIZES, Fold, calibration_folds, learning_folds, make_folds
from skeeg.plain import counted
from skeeg.trials import EEGArray


def compare(
    pipelines,
    X,
    y,
    metadata,
    *,
    cv="cross-subject",
    n_splits=5,
    own_trials=OWN_TRIALS,
    sizes=None,
    scoring="accuracy",
    n_seeds=1,
    n_jobs=1,
    backend=None,
    scheduler=None,
    out=None,
    strict=False,
    random_state=0,
    progress=True,
) -> Any:
    """Compare classifiers on the same folds of the same trials.

    A pipeline that fails in a fold, dies, or answers what is no label, is recorded with its error and the
    others go on. With `out`, every finished fold is on disk at once: after Ctrl-C, SIGTERM, a crash or a time
    limit the same call goes on where it stopped. A fold is taken from disk only if data, folds, pipeline,
    parameters and package versions are the same, and the file holds; the code of your own classes is not
    looked into, so choose another folder after editing it.

    Parameters
    ----------
    pipelines : dict of str -> classifier, OwnTrials or str, or list of str
        Name and unfitted scikit-learn classifier, or names that `make_pipelines` knows, such as
        ``["csp-lda", "sstdpn+ea"]`` (X must know its sampling rate then); in a dict, a name may stand for
        its pipeline. Each ``random_state`` that is None is set from `random_state`, so that a comparison
        repeats. A classifier or step that requests ``groups`` by metadata routing (`EuclideanAlignment`, a
        network for its validation split) gets the subjects, with "cross-session" the sessions. `OwnTrials`
        is for ``cv="calibration"``.
    X : ndarray, EEGArray or Epochs, shape (n_trials, n_chans, n_times)
        Trials.
    y : array-like, shape (n_trials,)
        Labels: strings or integers. None takes those of X.
    metadata : DataFrame, n_trials rows
        Column ``subject``; ``session`` and ``run`` where there are any.
    cv : {"within-subject", "cross-subject", "cross-session", "cross-dataset", "calibration", \
            "learning-people", "learning-trials"} or splitter, default="cross-subject"
        The question asked, see `make_folds`. A search (``GridSearchCV``, ...) among the pipelines whose own
        ``cv`` is left at the default, or a number, gets inner folds that keep people apart where the question
        does; that is said in ``findings``.
    n_splits : int, default=5
        The largest number of folds, see `make_folds`.
    own_trials : sequence of int or "all", default=(0, 4, 8, 16, 40, "all")
        For "calibration": numbers of the person's own trials that train.
    sizes : sequence of int or "all", default=None
        For "learning-people" and "learning-trials": how many people or trials train. None: 1, 2, 4, ...,
        "all", or 8, 16, 32, ..., "all".
    scoring : str, scorer, list of these, or dict of str -> str or scorer, default="accuracy"
        What is told: "accuracy", "balanced_accuracy", "kappa", "roc_auc" (of more than two classes, the mean
        of each against the rest), "log_loss", "brier" (of two classes, of one of them), "ece" (expected
        calibration error of the likeliest class, ten bins), "itr" (Wolpaw's bits a trial), any name of
        ``sklearn.metrics.get_scorer_names()``, or scorers. The first is tested. All are made of the
        predictions: ``result.subject_scores("kappa")`` tells later what was not asked for here.
    n_seeds : int, default=1
        Every pipeline runs with so many seeds, `random_state` and those after it, on the same folds. The
        spread over seeds is told apart from that over people. A pipeline in which no ``random_state`` is None
        runs once.
    n_jobs : int, default=1
        Folds run side by side, each in its own process with its share of the processor's cores; -1: one
        a core. The scores do not depend on it.
    backend : str or None, default=None
        Where folds are computed: None for processes of this machine; "dask" for the cluster at `scheduler`
        (``pip install "skeeg[dask]"``), whose workers have skeeg in the same versions; "ray", or another
        backend that is registered with joblib.
    scheduler : str or None, default=None
        Address of Dask's scheduler, such as "tcp://10.0.0.1:8786".
    out : path, default=None
        Folder for ``scores.csv``, ``predictions.csv``, ``differences.csv``, the finished folds (``folds/``)
        and the tracebacks of those that failed (``failures/``). Several runs, on several machines, may have
        one folder: no fold is computed twice. None writes nothing.
    strict : bool, default=False
        Stop at the first fold that fails, with a FoldError (a RuntimeError).
    random_state : int, default=0
        Decides the folds of "cross-subject" and each ``random_state`` left at None.
    progress : bool, default=True
        Show a progress bar on stderr.

    Returns
    -------
    Comparison
        Scores, predictions and statistics; a `Curve` for "calibration" and "learning-...". After Ctrl-C or
        SIGTERM it holds the folds that were finished and its ``interrupted`` is True.

    See Also
    --------
    make_pipelines : Pipelines by name.
    make_folds : The questions that ``cv`` asks.
    load_comparison : Read again what `out` holds.
    skeeg.inspection.PairedScoresDisplay : The figure.

    Warns
    -----
    UserWarning
        Testing shares people, sessions or trials with training (`skeeg.evaluation.leakage`), a class or a
        subject cannot be judged, a kept fold does not hold and is computed again, a file cannot be written,
        or a pipeline warned.

    Raises
    ------
    ValueError
        The data do not fit together or cannot answer the question.
    TypeError
        ``metadata`` is no DataFrame.
    OSError
        `out` cannot be written to, or no cluster answers; nothing was computed then.
    RuntimeError
        With `strict`, where a fold failed; what was finished before is kept.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.evaluation import compare
    >>> X = np.random.default_rng(0).standard_normal((12, 2, 50))
    >>> y = np.tile(["left", "left", "right"], 4)
    >>> metadata = pd.DataFrame({"subject": np.repeat([1, 2], 6)})
    >>> result = compare({"dummy": DummyClassifier()}, X, y, metadata, progress=False)
    >>> result.scores[["pipeline", "subject", "fold", "n_train", "n_test"]]
      pipeline  subject  fold  n_train  n_test
    0    dummy        1     0        6       6
    1    dummy        2     1        6       6
    """
    if (backend == "dask") != (scheduler is not None):
        raise ValueError(
            f"backend={backend!r}, scheduler={scheduler!r}: Dask needs both, others no scheduler"
        )
    X, y, metadata = check_data(X, y, metadata)
    classes, scoring, question = np.unique(y), resolve(scoring), _name_of(cv)
    check_scores(scoring, classes)
    runs, names = _runs(pipelines, X, cv, random_state, n_seeds)
    common = {"n_splits": n_splits, "random_state": random_state}
    if sizes is not None and question not in SIZES:
        raise ValueError(f"sizes is for cv={' or '.join(map(repr, SIZES))}, not {question!r}")
    if question == "calibration":
        folds = calibration_folds(y, metadata, own_trials=own_trials, **common)
    elif question in SIZES:
        folds = learning_folds(question, y, metadata, sizes=sizes, **common)
    else:
        folds = [Fold(train, test) for train, test in make_folds(cv, y, metadata, **common)]
    tasks = training_rows(runs, folds)
    pairs = [(np.concatenate([fold.train, fold.own]), fold.test) for fold in folds]
    warn_of_folds(pairs, y, metadata, question)
    first_runs = {name: runs[run] for run, (name, seed) in names.items() if seed == random_state}
    groups = _groups(cv, metadata)
    findings = list(audit(pairs, X, metadata, question, first_runs))
    if question == "calibration" or not on_both_sides(pairs, groups)[0]:
        whom = "sessions" if question == "cross-session" else "people"
        said = [keep_groups_apart(names[run][0], pipeline, whom) for run, pipeline in runs.items()]
        findings += dict.fromkeys(sentence for sentences in said for sentence in sentences)
    known = (X.sfreq, X.ch_names, X.labels, X.tmin) if isinstance(X, EEGArray) else None
    X = np.asarray(X)

    done, paths, claims = {}, {}, Claims()
    if out is not None:
        folder = kept.folder_of(out)
        data = (X, known, y, groups)
        claims.paths = paths = kept.name_files(folder, tasks, runs, folds, data)
        found = {task: path for task, path in paths.items() if path.exists()}
        read = {
            task: kept.read_fold(path, len(folds[task[1]].test), len(classes)) for task, path in found.items()
        }
        done = {task: fold for task, fold in read.items() if fold is not None}
        claims.know(kept=done.keys(), broken=found.keys() - done.keys())

    bar = ProgressBar(len(tasks), len(folds), shown=progress)
    for task, fold in done.items():
        bar.finished(task, fold, y[folds[task[1]].test], classes)
    given = (X, known, y, groups, classes)
    waiting = {
        (name, k): (
            classifier_at(runs[name], folds[k]),
            *given,
            train,
            folds[k].batches or (folds[k].test,),
        )
        for (name, k), train in tasks.items()
        if (name, k) not in done
    }
    not_written = None

    def begin(task):
        if not claims.take(task):
            return False
        bar.started(task)
        return True

    def compute(tasks):
        if backend == "dask":
            return run_on_dask(tasks, scheduler, begin)
        return run(tasks, n_jobs, begin, backend)

    def read(task):
        return kept.read_fold(paths[task], len(folds[task[1]].test), len(classes))

    with bar, claims, StopSignals() as stop, contextlib.suppress(KeyboardInterrupt):
        for task, fold, ours in with_others(waiting, compute, claims, read):
            # A network that is told to stop ends its training and predicts: that is not this fold's result.
            if stop.received:
                break
            done[task] = fold
            if out is not None and ours:
                try:
                    _keep(paths[task], fold)
                except OSError as error:  # a full disk costs the next run time, this one nothing
                    not_written = error
            claims.release(task)
            bar.finished(task, fold, y[folds[task[1]].test], classes)
            if strict and fold["error"]:
                raise FoldError(f"{task[0]} failed in fold {task[1]}, and strict=True: {fold['error']}")

    _tell_warnings(done)
    interrupted = len(done) < len(tasks)
    sfreq = known[0] if known else None
    result = (Curve if question in STEPS else Comparison)(
        *collect(
            done,
            tasks,
            folds,
            y,
            classes,
            metadata,
            names=names,
            scoring=scoring,
            step=(STEPS[question][0], f"n_{STEPS[question][0]}") if question in STEPS else (),
        ),
        classes=classes,
        chance=float(max(np.mean(y == label) for label in classes)),
        cv=question,
        interrupted=interrupted,
        signal=stop.received if interrupted else 0,
        pipelines=tuple(dict.fromkeys(name for name, _ in names.values())),
        scoring=scoring,
        findings=tuple(findings),
        seconds=X.shape[-1] / sfreq if sfreq else None,
    )
    if out is not None:
        try:
            result.save(out)
        except OSError as error:
            not_written = error
    if not_written is not None:
        warnings.warn(
            f"not everything could be written to {out} ({not_written}); what this call returns is whole",
            UserWarning,
            stacklevel=2,
        )
    return result


def _keep(path, fold):
    """Write a fold, or why there is none."""
    if fold["error"]:
        kept.write_failure(path, fold)
        return
    kept.write_fold(path, fold)
    kept.failure_of(path).unlink(missing_ok=True)  # of a run before


def _name_of(cv):
    if isinstance(cv, str):
        return cv
    if cv is None or isinstance(cv, Integral):
        return "stratified"
    return type(cv).__name__ if hasattr(cv, "split") else "given folds"


def _groups(cv, metadata):
    """Who each trial is from: the subject, or the session of the subject where sessions are held out."""
    subjects = metadata["subject"].astype(str)
    if _name_of(cv) == "cross-session":
        pairs = zip(subjects, metadata["session"].astype(str), strict=True)
        return np.array([repr(pair) for pair in pairs])  # "a/b", "c" and "a", "b/c" are two
    return subjects.to_numpy(dtype=str)


def _runs(pipelines, X, cv, random_state, n_seeds):
    """Pipelines with every seed, by the name of the run; and the pipeline and seed that each run is of."""
    if not isinstance(n_seeds, Integral) or isinstance(n_seeds, bool) or n_seeds < 1:
        raise ValueError(f"n_seeds={n_seeds!r} must be an integer of at least 1")
    runs, names = {}, {}
    for seed in range(random_state, random_state + int(n_seeds)):
        for name, pipeline in _check_pipelines(pipelines, X, cv, seed).items():
            if seed == random_state:
                runs[name], names[name] = pipeline, (name, seed)
            elif _random_states(pipeline) != _random_states(runs[name]):
                run = f"{name}, seed {seed}"
                while run in runs or run in pipelines:  # a pipeline of that name
                    run += "'"
                runs[run], names[run] = pipeline, (name, seed)
    return runs, names


def _random_states(pipeline):
    return [
        repr(value)
        for part in parts_of(pipeline)
        for key, value in part.get_params(deep=False).items()
        if key == "random_state"
    ]


def _check_pipelines(pipelines, X, cv, random_state):
    """Clones, with every random_state that is None set; names have become their pipelines."""
    if isinstance(pipelines, (list, tuple)) and all(isinstance(name, str) for name in pipelines):
        pipelines = {name: name for name in pipelines}
    if not isinstance(pipelines, dict) or not pipelines:
        raise ValueError(
            "pipelines must be a dict of name -> classifier or a list of names, with at least one entry, "
            f"not {pipelines!r}."
        )
    for name in pipelines:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"pipelines must have names of text, not {name!r}.")
    named = [value for value in pipelines.values() if isinstance(value, str)]
    sfreq = getattr(X, "sfreq", None)
    if named and sfreq is None:
        raise ValueError(
            f"the pipelines {', '.join(named)} need the sampling rate, which X does not know: give "
            "skeeg.EEGArray(X, sfreq=...) or Epochs."
        )
    calibration = _name_of(cv) == "calibration"
    known = make_pipelines(named, sfreq=sfreq, random_state=random_state, calibration=calibration)
    checked = {}
    for name, pipeline in pipelines.items():
        if isinstance(pipeline, str):
            pipeline = known[pipeline]
        if not isinstance(pipeline, OwnTrials):
            checked[name] = _check_classifier(name, pipeline, random_state)
            continue
        if not calibration:
            raise ValueError(f"pipelines[{name!r}]: OwnTrials is for cv='calibration'; give its classifier.")
        classifiers = [
            None if classifier is None else _check_classifier(name, classifier, random_state)
            for classifier in (pipeline.classifier, pipeline.before)
        ]
        checked[name] = OwnTrials(*classifiers)
    return checked


def _check_classifier(name, classifier, random_state):
    if isinstance(classifier, type) or not (hasattr(classifier, "fit") and hasattr(classifier, "predict")):
        raise ValueError(
            f"pipelines[{name!r}] must be a classifier with fit and predict, not {classifier!r}."
        )
    classifier = clone(classifier)
    unset = [
        key
        for key, value in classifier.get_params().items()
        if key.split("__")[-1] == "random_state" and value is None
    ]
    if unset:
        classifier.set_params(**dict.fromkeys(unset, random_state))
    return classifier


def _tell_warnings(done):
    """Give the warnings of the folds once each, with the pipeline's name."""
    counts = {}
    for (name, _), fold in done.items():
        for message in fold["warnings"]:
            counts[name, message] = counts.get((name, message), 0) + 1
    for (name, message), n_folds in counts.items():
        warnings.warn(f"{name} ({counted(n_folds, 'fold')}): {message}", stacklevel=3)
