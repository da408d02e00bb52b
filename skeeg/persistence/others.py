"""Classes of other libraries that files may name, and what objects of them consist of."""

from __future__ import annotations

import inspect
from functools import cache
from numbers import Integral, Real

import numpy as np
import sklearn.frozen
import sklearn.model_selection
import sklearn.pipeline
import torch

from skeeg.persistence.learned import array, boolean, maybe, whole

_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeavePGroupsOut",
    "PredefinedSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)


def _seed(value, values):
    if not isinstance(value, np.random.RandomState):
        maybe(whole(0, 2**32 - 1))(value, values)


def _size(value, values):
    if isinstance(value, Real) and not isinstance(value, Integral):
        if not 0 < value < 1:
            raise ValueError(f"is {value!r}, not a share between 0 and 1")
    else:
        maybe(whole(1))(value, values)


# arguments of splitters mean the same in all of them
_ARGUMENTS = {
    "gap": whole(),
    "max_train_size": maybe(whole(1)),
    "n_groups": whole(1),
    "n_repeats": whole(1),
    "n_splits": whole(1),
    "random_state": _seed,
    "shuffle": boolean,
    "test_fold": array(np.int64, None),
    "test_size": _size,
    "train_size": _size,
}


@cache
def classes():
    """Get the classes of other libraries that a file may name.

    Returns
    -------
    dict of str to class
        By their public names.
    """
    known = {
        f"torch.{room.__name__.split('.')[1]}.{name}": cls
        for room, base in ((torch.nn, torch.nn.Module), (torch.optim, torch.optim.Optimizer))
        for name, cls in vars(room).items()
        if isinstance(cls, type) and issubclass(cls, base)
    }
    known["torch.utils.data.DataLoader"] = torch.utils.data.DataLoader
    known |= {f"sklearn.model_selection.{cls.__name__}": cls for cls in splitters()}
    known["sklearn.pipeline.FeatureUnion"] = sklearn.pipeline.FeatureUnion
    known["sklearn.pipeline.Pipeline"] = sklearn.pipeline.Pipeline
    known["sklearn.frozen.FrozenEstimator"] = sklearn.frozen.FrozenEstimator
    return known


@cache
def splitters():
    """Get the splitters of scikit-learn that ``train_split`` may be."""
    return frozenset(getattr(sklearn.model_selection, name) for name in _SPLITTERS)


def splitter_arguments(splitter):
    """Get the arguments that a splitter was made with.

    Parameters
    ----------
    splitter : object
        Of a class in ``splitters()``.

    Returns
    -------
    dict
    """
    kept = vars(splitter) | vars(splitter).get("cvargs", {})  # where those that repeat keep n_splits
    return {name: kept[name] for name in inspect.signature(type(splitter)).parameters}


def make_splitter(cls, arguments):
    """Make a splitter of arguments that a file holds.

    Parameters
    ----------
    cls : class
        In ``splitters()``.
    arguments : dict
        As ``splitter_arguments`` gives them, or all attributes of the splitter (in format 1).

    Returns
    -------
    object

    Raises
    ------
    ValueError
        When an argument is not one that the splitter takes.
    """
    kept = arguments | arguments.get("cvargs", {})
    chosen = {name: kept[name] for name in inspect.signature(cls).parameters}
    for name, value in chosen.items():
        try:
            _ARGUMENTS[name](value, chosen)
        except ValueError as error:
            raise ValueError(f"{cls.__name__}.{name} {error}") from error
    return cls(**chosen)


def check_steps(steps, last=("fit",), without="passthrough"):
    """Check the steps of a Pipeline or the parts of a FeatureUnion, as scikit-learn does in ``fit``.

    Parameters
    ----------
    steps : object
        What a file says they are.
    last : tuple of str, default=("fit",)
        Methods that the last one has; the others transform.
    without : str, default="passthrough"
        What may stand in the place of an estimator, besides None and "passthrough".

    Raises
    ------
    ValueError
        When they are no list of pairs of different names and estimators.
    """
    if not isinstance(steps, list) or not all(isinstance(s, tuple) and len(s) == 2 for s in steps):
        raise ValueError("the steps of a Pipeline are pairs of a name and an estimator")
    names = [name for name, _ in steps]
    if not names or not all(isinstance(name, str) and "__" not in name for name in names):
        raise ValueError(f"the steps of a Pipeline have names without '__', not {names}")
    if len(set(names)) != len(names):
        raise ValueError(f"the steps of a Pipeline have different names, not {names}")
    for name, step in steps:
        wanted = last if name == names[-1] else ("fit", "transform")
        if step not in (None, "passthrough", without) and not all(hasattr(step, method) for method in wanted):
            raise ValueError(f"step {name!r} of a Pipeline is {step!r}, no {' and '.join(wanted)} in it")
