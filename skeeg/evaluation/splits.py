"""The questions a comparison can ask, each as a list of (train, test) trial indices."""

import warnings

import numpy as np
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedKFold, check_cv


def _within_subject(y, metadata, n_splits, random_state):
    """Stratified folds inside each subject.

    The folds are not shuffled: neighbouring trials share slow drifts, so a test trial between two training
    trials would flatter every pipeline. With several sessions, every fold holds its share of each.
    """
    for subject, trials in _trials_of(metadata["subject"]):
        _, y_of_subject = np.unique(y[trials], return_inverse=True)
        n_rarest = np.bincount(y_of_subject).min()
        if n_rarest < 2:
            raise ValueError(
                f"cv='within-subject' needs at least 2 trials of each class from every subject; subject "
                f"{subject} has a class with {n_rarest}. Leave that subject out."
            )
        n_folds = min(n_splits, n_rarest)
        strata = y_of_subject
        if "session" in metadata:
            _, session = np.unique(metadata["session"].to_numpy()[trials].astype(str), return_inverse=True)
            session_and_class = session * (y_of_subject.max() + 1) + y_of_subject
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


def _trials_of(column):
    """Pairs of a value of `column`, in order of appearance, and the row numbers that hold it."""
    values = column.to_numpy()
    for value in column.unique():
        yield value, np.flatnonzero(values == value)


#: Name of a cross-validation -> generator of its (train, test) folds.
CV = {"within-subject": _within_subject, "cross-subject": _cross_subject, "cross-session": _cross_session}


def make_folds(cv, y, metadata, *, n_splits=5, random_state=0):
    """List the folds of a cross-validation.

    Parameters
    ----------
    cv : {"within-subject", "cross-subject", "cross-session"} or splitter
        - "within-subject": stratified folds inside each subject, in the order of the trials.
        - "cross-subject": whole subjects are held out, one at a time where there are at most `n_splits`.
        - "cross-session": each session of a subject is held out, the others of that subject train.
        - a scikit-learn splitter, or an iterable of (train, test); the splitter gets the subjects as groups.
    y : ndarray, shape (n_trials,)
        Labels.
    metadata : DataFrame, n_trials rows
        Columns ``subject`` and, for "cross-session", ``session``.
    n_splits : int, default=5
        The largest number of folds, for "within-subject" (of each subject) and "cross-subject".
    random_state : int, default=0
        Decides which subjects share a fold in "cross-subject".

    Returns
    -------
    list of (train, test)
        Row numbers of the trials.

    Raises
    ------
    ValueError
        The data cannot answer the question (too few subjects, sessions or trials), or `cv` is unknown.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skeeg.evaluation import make_folds
    >>> metadata = pd.DataFrame({"subject": [1, 1, 2, 2], "session": ["a", "b", "a", "b"]})
    >>> for train, test in make_folds("cross-session", np.array([0, 1, 0, 1]), metadata):
    ...     print(train, test)
    [1] [0]
    [0] [1]
    [3] [2]
    [2] [3]
    """
    if isinstance(cv, str):
        if cv not in CV:
            raise ValueError(f"cv={cv!r} is unknown; allowed: {', '.join(CV)}, or a scikit-learn splitter.")
        if n_splits < 2:
            raise ValueError(f"n_splits={n_splits} must be at least 2.")
        return list(CV[cv](y, metadata, n_splits, random_state))
    with warnings.catch_warnings():  # splitters that take no groups say so
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        return list(check_cv(cv, y, classifier=True).split(np.zeros(len(y)), y, metadata["subject"]))
