"""What a class may learn: a check for each name, in its attribute ``_learned``.

Files are written by anyone. What they say an estimator learned is taken where its class lists the name, and
the value is one that ``fit`` could have left; all names are there, or none. A class adds to what it inherits:

>>> from sklearn.base import BaseEstimator
>>> from skeeg.persistence import Kept, learned
>>> class Centre(Kept, BaseEstimator):
...     _learned = {"n_chans_": learned.whole(1), "center_": learned.array(np.float64, "n_chans_")}
>>> learned.check(Centre, {"n_chans_": 2, "center_": np.array([0.5, 1.5])})
>>> learned.check(Centre, {"n_chans_": 2, "center_": np.array([0.5])})
Traceback (most recent call last):
ValueError: Centre.center_ has the shape (1,), not (2,)

A check is called with the value and all that was learned, and raises ValueError.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np

_LARGEST = 2**31 - 1


def check(cls, values):
    """Check what a file says an object learned.

    Parameters
    ----------
    cls : class
        Class of the object.
    values : dict of str to object
        What it learned, by name.

    Raises
    ------
    ValueError
        When a name is missing or is not in the class's list, or a value could not have been learned.
    """
    for name in values:
        if name not in cls._learned:
            raise ValueError(f"{cls.__name__} does not learn {name!r}")
    for name, ask in cls._learned.items():
        if name not in values:
            if hasattr(cls, name):  # files of before it was learned; the class says what it is then
                continue
            raise ValueError(f"{cls.__name__} lacks {name!r}, which it learns")
        try:
            ask(values[name], values)
        except ValueError as error:
            raise ValueError(f"{cls.__name__}.{name} {error}") from error


def anything(value, values):
    """Take any value that a file can hold."""


def boolean(value, values):
    """Take True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"is {value!r}, not True or False")


def whole(least=0, most=_LARGEST):
    """Take a whole number from ``least`` to ``most``."""

    def ask(value, values):
        if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
            raise ValueError(f"is {value!r}, not a whole number from {least} to {most}")

    return ask


def product(*names):
    """Take the product of the whole numbers of these names."""

    def ask(value, values):
        expected = math.prod(values[name] for name in names)
        if isinstance(value, bool) or not isinstance(value, Integral) or value != expected:
            raise ValueError(f"is {value!r}, not {' * '.join(names)} = {expected}")

    return ask


def number(least=-math.inf, *, above=-math.inf, most=math.inf):
    """Take a finite number that is at least ``least``, above ``above`` and at most ``most``."""

    def ask(value, values):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(f"is {value!r}, not a number")
        if not (math.isfinite(value) and least <= value <= most and value > above):
            raise ValueError(f"is {value!r}, out of its range")

    return ask


#: A sampling rate in Hz, of anything that is worn on the head.
rate = number(above=0, most=1e6)


def one_of(*choices):
    """Take one of these plain values."""

    def ask(value, values):
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise ValueError(f"is {value!r}, none of {', '.join(map(repr, choices))}")

    return ask


def maybe(ask):
    """Take None, or what another check takes."""
    return lambda value, values: None if value is None else ask(value, values)


def names(count):
    """Take a tuple of distinct texts, as many as the whole number called ``count``."""

    def ask(value, values):
        if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
            raise ValueError("is no tuple of names")
        if len(value) != values[count] or len(set(value)) != len(value):
            raise ValueError(f"holds {len(set(value))} different names, not {values[count]}")

    return ask


def sequence(ask):
    """Take a list, each of whose entries another check takes."""

    def ask_all(value, values):
        if not isinstance(value, list):
            raise ValueError(f"is {value!r}, not a list")
        for entry in value:
            ask(entry, values)

    return ask_all


def band(value, values):
    """Take a pair (low, high) of frequencies in Hz."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"holds {value!r}, not a pair of frequencies")
    for edge in value:
        number(0)(edge, values)
    if not value[0] < value[1]:
        raise ValueError(f"holds {value!r}, an empty band")


def by_group(ask, *, none=False):
    """Take a dict from groups (texts or numbers, with ``none`` also None) to what another check takes."""
    kinds = (str, Real, type(None)) if none else (str, Real)

    def ask_all(value, values):
        if not isinstance(value, dict) or not all(isinstance(group, kinds) for group in value):
            raise ValueError("is no dict of groups")
        for entry in value.values():
            ask(entry, values)

    return ask_all


def array(dtype, *shape):
    """Take an array of finite numbers; a length is a number, the name of a learned one, or None for any."""
    dtype = np.dtype(dtype)

    def ask(value, values):
        if not isinstance(value, np.ndarray) or value.dtype != dtype or not value.dtype.isnative:
            raise ValueError(f"is no array of {dtype}")
        lengths = [values[length] if isinstance(length, str) else length for length in shape]
        if value.ndim != len(lengths) or any(
            length not in (None, given) for length, given in zip(lengths, value.shape, strict=True)
        ):
            expected = ", ".join("any" if length is None else str(length) for length in lengths)
            raise ValueError(f"has the shape {value.shape}, not ({expected}{',' * (len(lengths) == 1)})")
        if dtype.kind == "f" and not np.isfinite(value).all():
            raise ValueError("holds numbers that are not finite")

    return ask


def array_of_floats(*shape):
    """Take an array as ``array`` does, of float32 or float64."""

    def ask(value, values):
        if getattr(value, "dtype", None) not in (np.float32, np.float64):
            raise ValueError("is no array of float32 or float64")
        array(value.dtype, *shape)(value, values)

    return ask


def positive(ask):
    """Take an array that another check takes, of numbers above 0."""

    def ask_both(value, values):
        ask(value, values)
        if not (value > 0).all():
            raise ValueError("holds numbers that are not above 0")

    return ask_both


def covariance(count):
    """Take a covariance matrix of float64, of ``count`` channels."""
    square = array(np.float64, count, count)

    def ask(value, values):
        square(value, values)
        if not np.allclose(value, value.T, rtol=1e-6, atol=0):
            raise ValueError("is not symmetric")
        eigenvalues = np.linalg.eigvalsh(value)
        if eigenvalues[0] < -1e-6 * abs(eigenvalues[-1]):
            raise ValueError("has negative eigenvalues, as no covariance has")

    return ask


def labels(value, values):
    """Take the labels of at least two classes, sorted and different."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or len(value) < 2:
        raise ValueError("is no row of at least two labels")
    if value.dtype.kind == "O" and not (
        all(isinstance(label, str) for label in value)
        or all(isinstance(label, Real) and math.isfinite(label) for label in value)
    ):
        raise ValueError("holds labels that are neither all texts nor all numbers")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise ValueError("holds labels that are not finite")
    if not (value[:-1] < value[1:]).all():
        raise ValueError("holds labels that are not sorted, or twice the same")
