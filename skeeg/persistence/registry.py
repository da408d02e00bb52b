"""Classes that files may name: those of skeeg enter when they are defined, others are listed here."""

from __future__ import annotations

from functools import cache

import sklearn.frozen
import sklearn.model_selection
import sklearn.pipeline
import torch

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

_entered = {}  # by the names that files give them


def register(cls):
    """Let files name a class of skeeg, as the value of a parameter; a decorator.

    Parameters
    ----------
    cls : class
        Public, and of a name that no other registered class has: moving it between modules changes no file.

    Returns
    -------
    class
        The same.
    """
    if cls.__module__.partition(".")[0] == "skeeg" and not cls.__name__.startswith("_"):
        _entered[f"skeeg.{cls.__name__}"] = cls
    return cls


class Kept:
    """Base of estimators that files hold: their parameters and what they learned are all there is to them.

    Subclasses that belong to skeeg may be named in files from their definition on; a base class that is no
    estimator yet says ``registered=False``.
    """

    def __init_subclass__(cls, *, registered=True, **kwargs):
        super().__init_subclass__(**kwargs)
        if registered:
            register(cls)


@cache
def _others():
    known = {
        f"torch.{room.__name__.split('.')[1]}.{name}": cls
        for room, base in ((torch.nn, torch.nn.Module), (torch.optim, torch.optim.Optimizer))
        for name, cls in vars(room).items()
        if isinstance(cls, type) and issubclass(cls, base)
    }
    known["torch.utils.data.DataLoader"] = torch.utils.data.DataLoader
    known |= {
        f"sklearn.model_selection.{name}": getattr(sklearn.model_selection, name) for name in _SPLITTERS
    }
    known["sklearn.pipeline.Pipeline"] = sklearn.pipeline.Pipeline
    known["sklearn.frozen.FrozenEstimator"] = sklearn.frozen.FrozenEstimator
    return known


def known_classes():
    """Get the classes that a file may name.

    Returns
    -------
    dict of str to class
    """
    return _others() | _entered


def name_of(cls):
    """Get the name that a file gives a class.

    Parameters
    ----------
    cls : class
        Of skeeg, of others that are listed, or the user's own, whom ``load`` asks for it.

    Returns
    -------
    str
    """
    return next((name for name, known in known_classes().items() if known is cls), cls.__name__)


def is_kept(cls):
    """Tell whether files hold objects of a class, and do not merely name it."""
    return issubclass(cls, Kept) or name_of(cls).startswith("sklearn.")
