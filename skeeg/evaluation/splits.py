"""The questions a comparison can ask, each as a list of (train, test) trial indices."""

from __future__ import annotations

import warnings
from functools import partial
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedKFold, check_cv

from skeeg.evaluation.checks import check_folds, check_metadata

#: Numbers of own trials that "calibration" asks about.
OWN_TRIALS = (0, 4, 8, 16, 40, "all")
#: Numbers of people, or of trials, that "learning-people" and "learning-trials" ask about.
SIZES = {"learning-people": (1, 2, 4, 8, 16, 32, 64, "all"), "learning-trials": (8, 16, 32, 64, 128, "all")}


class Fold(NamedTuple):
    """Row numbers of the trials of a fold.

    Attributes
    ----------
    train : ndarray
        Trials that train: with "calibration" those of other people.
    test : ndarray
        Trials that test.
    own : ndarray
        With "calibration", trials of the person tested that train as well.
    step : str
        Of a curve, how many own trials, people or trials were to train: "0", "4", ..., "all".
    size : int
        How many they are.
    batches : tuple of ndarray
        Test trials that are predicted together, where these are not all: what a pipeline learns from the
        trials that it predicts (alignment does) must not depend on the number of own trials.
    """

    train: np.ndarray
    test: np.ndarray
    own: np.ndarray = np.array([], dtype=int)
    step: str = ""
    size: int = 0
    batches: tuple = ()


def _within_subject(y, metadata, n_splits, random_state):
    """Stratified folds inside each subject.

    The folds are not shuffled: neighbouring trials share slow drifts, so a test trial between two training
    trials would flatter every pipeline. With several sessions, every fold holds its share of each.
    """
    for subject, trials in _trials_of(metadata["subject"]):
        classes, y_of_subject = np.unique(y[trials], return_inverse=True)
        n_rarest = np.bincount(y_of_subject).min()
        if n_rarest < 2:
            raise ValueError(
                f"cv='within-subject' needs at least 2 trials of each class from every subject; subject "
                f"{subject} has a class with {n_rarest}. Leave that subject out."
            )
        if len(classes) < 2:
            raise ValueError(
                f"cv='within-subject' needs at least 2 classes from every subject; subject {subject} has "
                f"only {classes.tolist()}. Leave that subject out."
            )
        n_folds = min(n_splits, n_rarest)
        strata = y_of_subject
        if "session" in metadata:
            _, session = np.unique(metadata["session"].to_numpy()[trials].astype(str), return_inverse=True)
            session_and_class = session * len(classes) + y_of_subject
            if np.unique(session_and_class, return_counts=True)[1].min() >= n_folds:
                strata = session_and_class
        for train, test in StratifiedKFold(n_folds).split(trials, strata):
            yield trials[train], trials[test]


def _cross_subject(y, metadata, n_splits, random_state):
    """Whole subjects held out: one at a time up to `n_splits` subjects, in `n_splits` groups beyond."""
    subjects = metadata["subject"].unique()
    if len(subjects) < 2:
        raise ValueError(
            f"cv='cross-subject' needs at least 2 subjects, the data hold {len(subjects)} "
            f"({subjects[0]}). Use cv='within-subject' or add subjects."
        )
    splitter = GroupKFold(min(n_splits, len(subjects)), shuffle=True, random_state=random_state)
    folds = splitter.split(y, y, metadata["subject"])
    yield from sorted(folds, key=lambda fold: fold[1][0])  # in the order of the subjects tested


def _cross_session(y, metadata, n_splits, random_state):
    """Each session of a subject is tested once, after training on that subject's other sessions."""
    if "session" not in metadata:
        raise ValueError("cv='cross-session' needs a column 'session' in metadata.")
    if n_missing := metadata["session"].isna().sum():
        raise ValueError(
            f"cv='cross-session': metadata['session'] is missing for {n_missing} of {len(metadata)} trials; "
            "give every trial its session."
        )
    n_sessions = metadata.groupby("subject", sort=False)["session"].nunique()
    if (n_sessions < 2).any():
        lacking = ", ".join(map(str, n_sessions.index[n_sessions < 2][:10]))
        raise ValueError(
            f"cv='cross-session' needs at least 2 sessions from every subject; these have one: {lacking}. "
            f"Leave them out or use cv='within-subject'."
        )
    for _, trials in _trials_of(metadata["subject"]):
        sessions = metadata["session"].to_numpy()[trials]
        for train, test in LeaveOneGroupOut().split(trials, groups=sessions):
            yield trials[train], trials[test]


def _cross_dataset(y, metadata, n_splits, random_state):
    """Each data set is tested once, after training on the others."""
    if "dataset" not in metadata:
        raise ValueError("cv='cross-dataset' needs a column 'dataset' in metadata; `join_datasets` makes it.")
    if metadata["dataset"].isna().any() or metadata["dataset"].nunique() < 2:
        raise ValueError(
            "cv='cross-dataset' needs at least 2 data sets, and every trial's; metadata['dataset'] holds "
            f"{metadata['dataset'].unique().tolist()[:10]}."
        )
    for _, test in _trials_of(metadata["dataset"]):
        yield np.setdiff1d(np.arange(len(y)), test), test


def _calibration(y, metadata, n_splits, random_state):
    """Training on others and on the person's own trials, see `calibration_folds`."""
    for fold in calibration_folds(y, metadata, n_splits=n_splits, random_state=random_state):
        yield np.concatenate([fold.train, fold.own]), fold.test


def _learning(cv, y, metadata, n_splits, random_state):
    """Training on more and more people or trials, see `learning_folds`."""
    for fold in learning_folds(cv, y, metadata, n_splits=n_splits, random_state=random_state):
        yield fold.train, fold.test


def _trials_of(column):
    """Pairs of a value of `column`, in order of appearance, and the row numbers that hold it."""
    values = column.to_numpy()
    for value in column.unique():
        yield value, np.flatnonzero(values == value)


#: Name of a cross-validation -> generator of its (train, test) folds.
CV = {
    "within-subject": _within_subject,
    "cross-subject": _cross_subject,
    "cross-session": _cross_session,
    "cross-dataset": _cross_dataset,
    "calibration": _calibration,
    "learning-people": partial(_learning, "learning-people"),
    "learning-trials": partial(_learning, "learning-trials"),
}


def make_folds(cv, y, metadata, *, n_splits=5, random_state=0) -> list[tuple[np.ndarray, np.ndarray]]:
    """List the folds of a cross-validation.

    Parameters
    ----------
    cv : {"within-subject", "cross-subject", "cross-session", "cross-dataset", "calibration", \
            "learning-people", "learning-trials"} or splitter
        - "within-subject": stratified folds inside each subject, in the order of the trials.
        - "cross-subject": whole subjects are held out, one at a time where there are at most `n_splits`.
        - "cross-session": each session of a subject is held out, the others of that subject train.
        - "cross-dataset": each data set is held out, the others train, see `join_datasets`.
        - "calibration": as "cross-subject", and again with 4, 8, 16, 40 and all of the person's own trials
          that the folds of "within-subject" train on, tested on the same trials; see `compare`.
        - "learning-people": as "cross-subject", on the same trials, with 1, 2, 4, ... of the people that
          train there; "learning-trials": as "within-subject", with 8, 16, 32, ... of the trials.
        - a scikit-learn splitter, or an iterable of (train, test); the splitter gets the subjects as groups.
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame, n_trials rows
        Columns ``subject`` and, for "cross-session", ``session``.
    n_splits : int, default=5
        The largest number of folds, for "within-subject" (of each subject), "cross-subject" and
        "calibration" (both).
    random_state : int, default=0
        Decides which subjects share a fold in "cross-subject", and which trials calibrate.

    Returns
    -------
    list of (train, test)
        Row numbers of the trials.

    Raises
    ------
    ValueError
        The data cannot answer the question (too few subjects, sessions, classes or trials), a fold trains on
        its test trials or on one class, or `cv` is unknown.

    See Also
    --------
    compare : Pipelines on these folds.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeeg.evaluation import make_folds
    >>> metadata = pd.DataFrame({"subject": np.repeat([1, 2], 4), "session": [*"aabb", *"aabb"]})
    >>> for train, test in make_folds("cross-session", np.array([0, 1] * 4), metadata):
    ...     print(train, test)
    [2 3] [0 1]
    [0 1] [2 3]
    [6 7] [4 5]
    [4 5] [6 7]
    """
    y, metadata = np.asarray(y), check_metadata(metadata)
    if isinstance(cv, str):
        if cv not in CV:
            raise ValueError(f"cv={cv!r} is unknown; allowed: {', '.join(CV)}, or a scikit-learn splitter.")
        _check_n_splits(n_splits)
        folds = list(CV[cv](y, metadata, n_splits, random_state))
    else:
        with warnings.catch_warnings():  # splitters that take no groups say so
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            splitter = check_cv(cv, y, classifier=True)
            folds = list(splitter.split(np.zeros(len(y)), y, metadata["subject"]))
    return check_folds(folds, y, metadata)


def _check_n_splits(n_splits):
    if not isinstance(n_splits, Integral) or isinstance(n_splits, bool) or n_splits < 2:
        raise ValueError(f"n_splits={n_splits!r} must be an integer of at least 2.")


def calibration_folds(y, metadata, *, own_trials=OWN_TRIALS, n_splits=5, random_state=0):
    """List the folds of a calibration curve: how accuracy grows with a person's own trials.

    Each person is tested in the folds of "within-subject". Of the trials that train there, the first so many
    of a random order that alternates between the classes are taken: 8 trials hold the 4 before. The other
    people are those who train for this person in "cross-subject"; without own trials, people who share these
    are one fold. Each number of trials is thus tested on the same trials, in the same batches.

    Parameters
    ----------
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame, n_trials rows
        Column ``subject``; a single subject has no other people, and no fold without own trials: a
        0 among `own_trials` is then left out with a warning.
    own_trials : sequence of int or "all", default=(0, 4, 8, 16, 40, "all")
        Numbers of own trials. What is more than every fold has is left out with a warning.
    n_splits : int, default=5
        The largest number of folds, of subjects and of the trials of each.
    random_state : int, default=0
        Decides which subjects share a fold, and the order of the trials.

    Returns
    -------
    list of Fold
        Other people's trials, test trials and own trials.

    Raises
    ------
    ValueError
        `own_trials` holds what is no number of trials, or as make_folds.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeeg.evaluation.splits import calibration_folds
    >>> y, metadata = np.array([0, 1] * 8), pd.DataFrame({"subject": np.repeat([1, 2], 8)})
    >>> for fold in calibration_folds(y, metadata, own_trials=[0, 2, "all"], n_splits=2)[:4]:
    ...     print(fold.step, fold.train, fold.own, fold.test)
    0 [ 8  9 10 11 12 13 14 15] [] [0 1 2 3 4 5 6 7]
    0 [0 1 2 3 4 5 6 7] [] [ 8  9 10 11 12 13 14 15]
    2 [ 8  9 10 11 12 13 14 15] [5 6] [0 1 2 3]
    all [ 8  9 10 11 12 13 14 15] [4 5 6 7] [0 1 2 3]
    """
    y, metadata = np.asarray(y), check_metadata(metadata)
    _check_n_splits(n_splits)
    numbers = sorted({n for n in own_trials if n != "all"}, key=_number_of_trials)
    within = list(_within_subject(y, metadata, n_splits, random_state))
    shortest = min(len(pool) for pool, _ in within)
    if too_many := [n for n in numbers if n > shortest]:
        warnings.warn(
            f"{', '.join(map(str, too_many))} own trials are left out: folds leave as few as {shortest} "
            "trials of a person to train on",
            UserWarning,
            stacklevel=3,
        )
    subjects = metadata["subject"].to_numpy()
    batches = {}
    for _, test in within:
        batches.setdefault(subjects[test[0]], []).append(test)
    others = {subject: np.array([], dtype=int) for subject in np.unique(subjects)}
    folds = []
    if len(others) == 1 and 0 in numbers:
        warnings.warn(
            f"0 own trials are left out: subject {subjects[0]} is the only one, and nobody else trains",
            UserWarning,
            stacklevel=3,
        )
    if len(others) > 1:
        across = list(_cross_subject(y, metadata, n_splits, random_state))
        others = {subject: train for train, test in across for subject in np.unique(subjects[test])}
        for train, test in across if 0 in numbers else ():
            of_fold = tuple(batch for subject in np.unique(subjects[test]) for batch in batches[subject])
            folds.append(Fold(train, np.concatenate(of_fold), step="0", batches=of_fold))
    for k, (pool, test) in enumerate(within):
        order = _alternating(y[pool], np.random.default_rng([random_state, k]))
        steps = {str(n): n for n in numbers if 0 < n <= shortest}
        if "all" in own_trials:
            steps["all"] = len(pool)
        for step, n in steps.items():
            own = np.sort(pool[order[:n]])
            folds.append(Fold(others[subjects[test[0]]], test, own, step, len(own)))
    if not folds:
        needed = "" if len(others) > 1 else ", and 0 needs a second subject"
        raise ValueError(
            f"own_trials={list(own_trials)} leaves no fold; every fold has {shortest} own trials to train on"
            f"{needed}"
        )
    check_folds([(np.concatenate([fold.train, fold.own]), fold.test) for fold in folds], y, metadata)
    return folds


def learning_folds(cv, y, metadata, *, sizes=None, n_splits=5, random_state=0):
    """List the folds of a learning curve: how accuracy grows with the people, or the trials, that train.

    Each fold of "cross-subject" ("within-subject" for trials) is trained on more and more of what trains
    there, and tested on the same trials. What comes first is drawn once a fold: 4 people hold the 2 before.
    Trials are drawn as for "calibration", so that the classes take turns.

    Parameters
    ----------
    cv : {"learning-people", "learning-trials"}
        What grows.
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame, n_trials rows
        Column ``subject``.
    sizes : sequence of int or "all", default=None
        Numbers of people, or of trials. None: 1, 2, 4, ..., 64 people or 8, 16, ..., 128 trials, as far as
        every fold has them, and all. What was asked for and is more is left out with a warning.
    n_splits : int, default=5
        The largest number of folds, of subjects, or of the trials of each.
    random_state : int, default=0
        Decides which subjects share a fold, and the order of people or trials.

    Returns
    -------
    list of Fold
        Trials that train and test, fold by fold.

    Raises
    ------
    ValueError
        `sizes` holds what is no number of these, or as make_folds.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeeg.evaluation.splits import learning_folds
    >>> y, metadata = np.array([0, 1] * 6), pd.DataFrame({"subject": np.repeat([1, 2, 3], 4)})
    >>> for fold in learning_folds("learning-people", y, metadata, sizes=[1, "all"])[:2]:
    ...     print(fold.step, fold.size, fold.train, fold.test)
    1 1 [4 5 6 7] [0 1 2 3]
    all 2 [ 4  5  6  7  8  9 10 11] [0 1 2 3]
    """
    y, metadata = np.asarray(y), check_metadata(metadata)
    _check_n_splits(n_splits)
    of_people = cv == "learning-people"
    asked, smallest = SIZES[cv] if sizes is None else sizes, 1 if of_people else 2
    for n in asked:
        if n != "all" and (not isinstance(n, Integral) or isinstance(n, bool) or n < smallest):
            raise ValueError(f"sizes: {n!r} must be an integer of at least {smallest}, or 'all'")
    question = _cross_subject if of_people else _within_subject
    base = list(question(y, metadata, n_splits, random_state))
    subjects = metadata["subject"].to_numpy()
    orders = []
    for k, (train, _) in enumerate(base):
        rng = np.random.default_rng([random_state, k])
        if of_people:
            people = rng.permutation(metadata["subject"].iloc[train].unique())
            orders.append([train[subjects[train] == person] for person in people])
        else:
            orders.append([train[[i]] for i in _alternating(y[train], rng)])
    shortest = min(map(len, orders))
    numbers = sorted({int(n) for n in asked if n != "all"})
    if sizes is not None and (too_many := [n for n in numbers if n > shortest]):
        warnings.warn(
            f"{', '.join(map(str, too_many))} {'people' if of_people else 'trials'} are left out: folds "
            f"leave as few as {shortest} to train on",
            UserWarning,
            stacklevel=3,
        )
    folds = []
    for (_, test), order in zip(base, orders, strict=True):
        steps = {str(n): n for n in numbers if n <= shortest and not ("all" in asked and n == shortest)}
        if "all" in asked:
            steps["all"] = len(order)
        for step, n in steps.items():
            folds.append(Fold(np.sort(np.concatenate(order[:n])), test, step=step, size=n))
    if not folds:
        raise ValueError(f"sizes={list(asked)} leaves no fold; the data have {shortest} or more")
    check_folds([(fold.train, fold.test) for fold in folds], y, metadata)
    return folds


def _number_of_trials(n):
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 0 or n == 1:
        raise ValueError(f"own_trials: {n!r} cannot train two classes; give 0, at least 2, or 'all'.")
    return n


def _alternating(y, rng):
    """Random order of trials in which the classes take turns."""
    order = rng.permutation(len(y))
    turn = np.empty(len(y), dtype=int)  # how many trials of its class come before a trial
    for label in np.unique(y):
        of_class = y[order] == label
        turn[of_class] = np.arange(of_class.sum())
    return order[np.argsort(turn, kind="stable")]
