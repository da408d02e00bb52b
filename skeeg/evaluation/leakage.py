"""Leakage: what testing shares with training, looked for before anything trains."""

from __future__ import annotations

import textwrap

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skeeg.datasets import duplicate_trials
from skeeg.evaluation.pipelines import PretrainedClassifier
from skeeg.plain import counted
from skeeg.preprocessing import EuclideanAlignment
from skeeg.trials import warn_user

#: Questions that train on other trials of the people tested.
KNOWN_PEOPLE = ("within-subject", "cross-session", "calibration", "learning-trials")
CROSS = ("cross-subject", "cross-dataset", "learning-people")
_SHORTEST = 8  # samples that two trials must share to be found; fewer may be alike by chance
_AT_ONCE = 64  # trials, so that little memory is needed
_EXACT = 1e-3  # of a mean and a variance: nearer to 0 and 1 than trials come that were not made so


def audit(folds, X, metadata, cv, pipelines):
    """Look for what test trials may have in common with those that train, and warn of what is wrong.

    Parameters
    ----------
    folds : list of (train, test)
        Row numbers.
    X : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    metadata : DataFrame, n_trials rows
        Column ``subject``; ``session`` where there are any.
    cv : str
        Name of the question, which may ask about people or sessions that are known.
    pipelines : dict of str -> classifier
        Looked through for what learned before, or learns from trials that it predicts.

    Returns
    -------
    tuple of str
        What a reader of the results must know, a line each.

    Warns
    -----
    UserWarning
        Of what makes scores too good: the same trial, or a part of it, on both sides, people or sessions on
        both sides though the question keeps them apart, trials that were standardised or aligned together.

    Notes
    -----
    Overlap is found where samples of two trials of a person are equal to the bit: where trials were filtered
    after they were cut, it cannot be seen.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeeg.evaluation.leakage import audit
    >>> X = np.random.default_rng(0).standard_normal((8, 2, 50))
    >>> metadata = pd.DataFrame({"subject": np.repeat([1, 2], 4)})
    >>> folds = [(np.arange(4), np.arange(4, 8)), (np.arange(4, 8), np.arange(4))]
    >>> print(*audit(folds, X, metadata, "cross-subject", {}))
    leakage audit of 2 folds: no person, trial or part of a trial is on both sides
    """
    X = np.asarray(X).reshape(len(X), -1, X.shape[-1])
    findings = [*_people(folds, metadata, cv), *_sessions(folds, metadata, cv)]
    findings += _duplicates(folds, X, metadata)
    findings += _overlaps(folds, X, metadata)
    findings += _together(X, metadata)
    for finding in findings:
        warn_user(f"leakage: {finding}")
    nobody = [] if cv in KNOWN_PEOPLE else ["person"]
    sessions = ["session"] if "session" in metadata and cv in ("cross-session", *CROSS) else []
    what = ", ".join([*nobody, *sessions, "trial"])
    first = f"leakage audit of {len(folds)} folds: "
    first += (
        counted(len(findings), "finding") if findings else f"no {what} or part of a trial is on both sides"
    )
    known = ["; people are, as the question asks"] if cv in KNOWN_PEOPLE and not findings else []
    lines = ["".join([first, *known]), *findings, *_of_pipelines(pipelines)]
    return tuple(textwrap.fill(line, 100, subsequent_indent="   ") for line in lines)


def on_both_sides(folds, values):
    """Values that train and test in a fold, and the number of folds with any."""
    shared = [np.intersect1d(values[train], values[test]) for train, test in folds]
    found = np.unique(np.concatenate(shared)) if shared else np.array([])
    return found.tolist(), sum(len(each) > 0 for each in shared)


def _people(folds, metadata, cv):
    if cv in KNOWN_PEOPLE:
        return
    people, n_folds = on_both_sides(folds, metadata["subject"].astype(str).to_numpy(dtype=str))
    if people:
        yield (
            f"people are on both sides in {n_folds} of {len(folds)} folds ({_some(people)}): scores tell "
            "nothing about people that were not trained on"
        )


def _sessions(folds, metadata, cv):
    if "session" not in metadata or cv in ("within-subject", "calibration", "learning-trials"):
        return
    pairs = (metadata["subject"].astype(str) + ", session " + metadata["session"].astype(str)).to_numpy(str)
    sessions, n_folds = on_both_sides(folds, pairs)
    if sessions:
        yield (
            f"sessions are on both sides in {n_folds} of {len(folds)} folds ({_some(sessions, 3)}): what "
            "drifts within a day helps to tell its trials"
        )


def _duplicates(folds, X, metadata):
    """The same trial in training and test: a file read twice, or cut twice."""
    with np.errstate(invalid="ignore"):  # what is not finite is the pipelines' to refuse
        pairs = duplicate_trials(X)
    if len(pairs) == 0:
        return
    same = np.arange(len(X))
    same[pairs[:, 1]] = pairs[:, 0]
    twins, n_folds = {}, 0
    for train, test in folds:
        found = test[np.isin(same[test], same[train])]
        n_folds += len(found) > 0
        for trial in found:
            twins.setdefault(trial, train[same[train] == same[trial]][0])
    if twins:
        trial, twin = next(iter(twins.items()))
        subjects = metadata["subject"].iloc[[trial, twin]].tolist()
        yield (
            f"{len(twins)} test trials are the same as a trial that trains, in {n_folds} of {len(folds)} "
            f"folds: their scores are too good. The first are trial {trial} of subject {subjects[0]} and "
            f"{twin} of {subjects[1]}; was a recording read twice?"
        )


def overlapping_trials(X, subjects):
    """Find trials of a person that were cut from the same stretch of the recording.

    Parameters
    ----------
    X : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    subjects : array-like, shape (n_trials,)
        Person of each trial.

    Returns
    -------
    ndarray of int, shape (n_pairs, 2)
        Trial, and a trial whose first samples are samples of that one, equal to the bit.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.evaluation.leakage import overlapping_trials
    >>> recording = np.random.default_rng(0).standard_normal((2, 300))
    >>> X = np.stack([recording[:, start : start + 100] for start in (0, 60, 200)])
    >>> overlapping_trials(X, [1, 1, 1]).tolist()
    [[0, 1]]
    """
    X, subjects = np.asarray(X), np.asarray(subjects)
    n_times = X.shape[2]
    if n_times < 2 * _SHORTEST:
        return np.empty((0, 2), dtype=int)
    rng = np.random.default_rng(0)
    factors, of_samples = (
        rng.integers(1, 2**63, n, dtype=np.uint64) | np.uint64(1) for n in (X.shape[1], _SHORTEST)
    )
    found = []
    for subject in np.unique(subjects):
        rows = np.flatnonzero(subjects == subject)
        marks = np.zeros((len(rows), n_times), dtype=np.uint64)  # of all channels at a time, exact
        for chan, factor in enumerate(factors):
            marks += np.ascontiguousarray(X[rows, chan], dtype=np.float64).view(np.uint64) * factor
        changing = np.flatnonzero((marks[:, :_SHORTEST] != marks[:, :1]).any(axis=1))
        if len(changing) == 0:
            continue
        n_windows = n_times - _SHORTEST + 1  # of several samples, which rest alone does not make alike
        windows = sum(marks[:, k : n_windows + k] * factor for k, factor in enumerate(of_samples))
        starts, which = np.unique(windows[changing, 0], return_index=True)
        which = changing[which]
        later = windows[:, 1:]
        place = np.searchsorted(starts, later).clip(max=len(starts) - 1)
        for one, shift in np.argwhere(starts[place] == later):
            other = which[place[one, shift]]
            a, b = X[rows[one], :, shift + 1 :], X[rows[other], :, : n_times - shift - 1]
            if one != other and np.array_equal(a, b):
                found.append((rows[one], rows[other]))
    return np.array(sorted(set(found)), dtype=int).reshape(-1, 2)


def _overlaps(folds, X, metadata):
    pairs = overlapping_trials(X, metadata["subject"].astype(str).to_numpy(dtype=str))
    if len(pairs) == 0:
        return
    n_folds, trials, example = 0, set(), None
    for train, test in folds:
        trains, tests = (np.isin(pairs, rows) for rows in (train, test))
        crossing = (trains[:, 0] & tests[:, 1]) | (trains[:, 1] & tests[:, 0])
        n_folds += bool(crossing.any())
        trials |= set(pairs[crossing][tests[crossing]].tolist())
        if example is None and crossing.any():
            example = pairs[crossing][0].tolist()
    if trials:
        yield (
            f"{len(trials)} test trials overlap in time with a trial that trains, in {n_folds} of "
            f"{len(folds)} folds: their scores are too good. The first are trials {example[0]} and "
            f"{example[1]}; keep trials that overlap on one side (a splitter with groups), or cut shorter"
        )


def _together(X, metadata):
    """Trials that were standardised or aligned with all of their person: so were those that test."""
    subjects = metadata["subject"].astype(str).to_numpy(dtype=str)
    standardised, aligned = [], []
    for subject in np.unique(subjects):
        rows = np.flatnonzero(subjects == subject)
        one_by_one, total, covariance = True, 0.0, 0.0
        for batch in np.array_split(rows, max(1, len(rows) // _AT_ONCE)):
            own = X[batch].astype(float)
            if len(rows) < 2 or not np.isfinite(own).all():
                break
            one_by_one &= np.abs(own.mean(axis=2)).max() < _EXACT
            one_by_one &= np.abs(own.var(axis=2) - 1).max() < _EXACT
            total = total + own.mean(axis=2).sum(axis=0) / len(rows)
            covariance = covariance + np.einsum("tcs,tds->cd", own, own) / (len(rows) * own.shape[2])
        else:
            power = np.diag(covariance) - total**2
            scale = np.trace(covariance) / len(covariance)
            off = np.abs(covariance - scale * np.eye(len(covariance))).max()
            if np.abs(total).max() < _EXACT and np.abs(power - 1).max() < _EXACT:
                standardised += [] if one_by_one else [subject]
            elif len(covariance) > 1 and scale > 0 and off < _EXACT * scale:
                aligned.append(subject)
    for people, what in (
        (standardised, "standardised"),
        (aligned, "aligned (their mean covariance is white)"),
    ):
        if people:
            yield (
                f"the trials of {_some(people)} were {what} all together, those that test among them: "
                "put that step into the pipeline, which fits it on the trials that train"
            )


def _of_pipelines(pipelines):
    """What pipelines know or use besides the trials that train."""
    before, together = [], []
    for name, pipeline in pipelines.items():
        parts = list(parts_of(pipeline))
        if any(_learned_before(part) for part in parts):
            before.append(name)
        if any(isinstance(part, EuclideanAlignment) and part.mode in ("batch", "together") for part in parts):
            together.append(name)
    if before:
        yield (
            f"{', '.join(before)}: learned before, from recordings that are not here; scores are too good if "
            "these hold the people tested"
        )
    if together:
        yield (
            f"{_some(together)}: each new person is aligned by all of the test trials together, without "
            "their labels"
        )


def _learned_before(part):
    known = isinstance(part, (FrozenEstimator, PretrainedClassifier))
    return known or part.get_params(deep=False).get("pretrained") is not None


def parts_of(value):
    """All estimators that a pipeline is made of, itself first.

    Parameters
    ----------
    value : object
        Estimator, or a list or an object that holds some.

    Yields
    ------
    BaseEstimator
    """
    if isinstance(value, BaseEstimator):
        yield value
        for parameter in value.get_params(deep=False).values():
            yield from parts_of(parameter)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from parts_of(item)
    elif hasattr(value, "__dataclass_fields__"):  # OwnTrials
        for parameter in vars(value).values():
            yield from parts_of(parameter)


def _some(values, most=5):
    return ", ".join(map(str, values[:most])) + (
        f" and {len(values) - most} more" if len(values) > most else ""
    )
