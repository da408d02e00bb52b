"""What a comparison must know of its data before anything trains: one check each, with what to do."""

from __future__ import annotations

from numbers import Integral, Number

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from skeeg.datasets import warn_of_one_person_as_several
from skeeg.plain import listed
from skeeg.trials import as_trials, holds_epochs, warn_user


def check_data(X, y, metadata):
    """Get arrays and a DataFrame of one length, or say what does not fit."""
    if holds_epochs(X):  # their EEG channels in µV, which know their names and rate
        trials = as_trials(X)
        X = trials.wrap(trials.data)
    if y is None:
        y = getattr(X, "labels", None)
    if y is None:
        raise ValueError("y is None, and X knows no labels; give y")
    X = np.asanyarray(X)  # an EEGArray stays one
    index = getattr(y, "index", None) if hasattr(y, "iloc") else None
    y = _check_labels(y)
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
    _check_order(index, metadata.index)
    if len(np.unique(y)) < 2:
        raise ValueError(f"y needs at least 2 classes; it holds only {np.unique(y).tolist()}.")
    return X, y, check_metadata(metadata)


def _check_order(index, other):
    """Rows are counted, not looked up: two indexes of the same trials in another order belie each other."""
    if index is None or index.equals(other) or not (index.is_unique and other.is_unique):
        return
    if index.isin(other).all():
        raise ValueError(
            "y and metadata have the same index in another order: trials are taken in the order of X. Bring "
            "all three into it (metadata.loc[y.index] if y is), or reset_index(drop=True) where they are."
        )


def _check_labels(y):
    """Labels of one type: strings, integers or booleans."""
    import pandas as pd

    y = np.asarray(y)
    if y.dtype.kind == "O" and y.ndim == 1:
        if n_missing := int(pd.isna(y).sum()):
            raise ValueError(f"y is missing for {n_missing} of {len(y)} trials; leave these trials out.")
        kinds = sorted({str if isinstance(label, str) else type(label) for label in y}, key=str)
        if len(kinds) > 1:
            raise ValueError(
                f"y holds labels of several types, {', '.join(kind.__name__ for kind in kinds)}; "
                "give strings or integers alone."
            )
        y = np.array(y.tolist())
    if y.ndim == 1:
        check_classification_targets(y)
    return y


def check_metadata(metadata):
    """Copy metadata with plain columns, rows counted from 0.

    Subjects and sessions become values of one type: categories are let go, and where numbers stand beside
    text, all are text.
    """
    if twice := metadata.columns[metadata.columns.duplicated()].tolist():
        raise ValueError(f"metadata has the columns {twice} twice; keep one of each.")
    if "subject" not in metadata:
        raise ValueError(f"metadata needs a column 'subject'; it has {list(metadata.columns)}.")
    if metadata["subject"].isna().any():
        raise ValueError("metadata['subject'] has missing values; give every trial its subject.")
    metadata = metadata.reset_index(drop=True)
    columns = [name for name in ("subject", "session", "run") if name in metadata]
    return metadata.assign(**{name: _of_one_type(metadata[name], name) for name in columns})


def _of_one_type(column, name):
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    values = column.dropna().unique()
    is_text = {value: isinstance(value, str) for value in values}
    if len(set(is_text.values())) < 2:
        return column
    meanings = {}
    for value in values:
        other = meanings.setdefault(_meaning(value), value)
        if other is not value and name != "run":
            raise ValueError(
                f"metadata[{name!r}] holds {other!r} and {value!r}, which may be the same; write them alike."
            )
    return column.map(lambda value: value if is_text.get(value, True) else _text(value))


def _text(value):
    """Number as text, 1.0 like 1."""
    whole = isinstance(value, Number) and not isinstance(value, Integral) and value == round(value)
    return str(int(value)) if whole else str(value)


def _meaning(value):
    """The same for 1, 1.0, "1" and "01"."""
    text = _text(value)
    return text.lstrip("0") if text.isdigit() else text


def check_folds(folds, y, metadata):
    """Get folds as pairs of row numbers, or say which cannot teach or test anything."""
    checked = []
    for k, (train, test) in enumerate(folds):
        train, test = (_rows(rows, len(y), k) for rows in (train, test))
        if both := np.intersect1d(train, test).tolist():
            raise ValueError(
                f"fold {k + 1} trains on {len(both)} of its test trials, the first is {both[0]}."
            )
        classes = np.unique(y[train])
        if len(classes) == 1:
            subjects = metadata["subject"].iloc[np.r_[train, test]].unique().tolist()
            raise ValueError(
                f"fold {k + 1} trains on one class, {classes.tolist()}: nothing can be learned. Leave these "
                f"subjects or sessions out: {listed(subjects)}."
            )
        checked.append((train, test))
    if not checked:
        raise ValueError("cv makes no fold.")
    return checked


def _rows(rows, n_trials, k):
    rows = np.asarray(rows)
    if rows.dtype == bool:
        rows = np.flatnonzero(rows) if rows.shape == (n_trials,) else rows
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
        raise ValueError(
            f"fold {k + 1} must have at least one row number to train and to test on, not {rows!r:.60}."
        )
    if rows.min() < 0 or rows.max() >= n_trials:
        raise ValueError(
            f"fold {k + 1} names the trials {rows.min()} to {rows.max()}, the data hold 0 to {n_trials - 1}."
        )
    return rows


def warn_of_folds(folds, y, metadata, cv):
    """Say what makes scores of these folds mean something else than they seem to."""
    if cv not in ("within-subject", "cross-session", "learning-trials"):
        warn_of_one_person_as_several(metadata["subject"])
    _warn_of_unseen_classes(folds, y, metadata)
    _warn_of_one_class(y, metadata)


def _warn_of_unseen_classes(folds, y, metadata):
    """Files that name a class differently cannot be told apart from classes that only some people have."""
    for k, (train, test) in enumerate(folds):
        unseen = np.setdiff1d(y[test], y[train])
        if len(unseen):
            subjects = metadata["subject"].iloc[test][np.isin(y[test], unseen)].unique()
            warn_user(
                f"fold {k + 1} tests classes {unseen.tolist()} of subjects {subjects.tolist()}, trains on "
                f"{np.unique(y[train]).tolist()}: those trials cannot be right. Name the classes alike"
            )


def _warn_of_one_class(y, metadata):
    n_classes = metadata.assign(y=y).groupby("subject", sort=False)["y"].nunique()
    if len(single := n_classes.index[n_classes == 1].tolist()):
        warn_user(
            f"subjects {listed(single)} have trials of one class: their accuracy tells how often it is "
            "answered, not how well classes are told apart. Leave them out"
        )
