"""Classes that files may name: those of skeeg enter when they are defined, the others are in others.py."""

from __future__ import annotations

import importlib

from skeeg.persistence import others, steps

# rooms that are imported when a file names something in them
_LATER = ("baselines", "evaluation.pipelines", "recipes")

_entered = {}  # by the names that files give them


def register(cls):
    """Let files name a class or a function of skeeg, as the value of a parameter; a decorator.

    Parameters
    ----------
    cls : class or function
        Public, and of a name that no other registered class has: moving it between modules changes no file.

    Returns
    -------
    class
        The same.
    """
    room, _, rest = cls.__module__.partition(".")
    if room == "skeeg" and not cls.__name__.startswith("_"):
        _entered[f"{cls.__module__ if rest in _LATER else 'skeeg'}.{cls.__name__}"] = cls
    return cls


class Kept:
    """Base of estimators that files hold: parameters, and what ``_learned`` lists, are all there is to them.

    Subclasses that belong to skeeg may be named in files from their definition on; a base class that is no
    estimator yet says ``registered=False``. A class that learns something of its own says what, see
    :mod:`skeeg.persistence.learned`.
    """

    _learned: dict = {}

    #: Parameters (and names routed to them) that say how an object is run, not what it is. Whoever loads a
    #: file chooses them; they are not in it, and where one holds them nevertheless, they are left there.
    _loaders_choice: tuple = ()

    def __init_subclass__(cls, *, registered=True, **kwargs):
        super().__init_subclass__(**kwargs)
        if registered:
            register(cls)

    def _check_loaded(self):
        """Raise ValueError where parameters or what was learned, each right in itself, do not go together."""


def find_later(name):
    """Get a class that is imported when a file names it, of skeeg or of others; None for any other."""
    if name in steps.LEARNED:
        return steps.find(name)
    room, _, _ = name.rpartition(".")
    if room in {f"skeeg.{later}" for later in _LATER}:
        importlib.import_module(room)
        return _entered.get(name)
    return None


def known_classes():
    """Get the classes that a file may name.

    Returns
    -------
    dict of str to class
    """
    return others.classes() | steps.functions() | _entered


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
    known = next((name for name, known in known_classes().items() if known is cls), None)
    return known or (isinstance(cls, type) and steps.name_of(cls)) or cls.__name__


def is_kept(cls):
    """Tell whether files hold objects of a class, and do not merely name it."""
    return issubclass(cls, Kept) or name_of(cls).startswith(("sklearn.", "pyriemann.", "mne."))
