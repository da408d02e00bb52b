"""Numbers as Python has them, whichever library they were drawn from, and as people count."""

from __future__ import annotations

import numpy as np

_SEVERAL = {"person": "people"}


def counted(n, noun):
    """Count in words: 1 subject, 2 subjects; 1 person, 2 people.

    Parameters
    ----------
    n : int
        How many.
    noun : str
        What, one of them.

    Returns
    -------
    str
    """
    return f"{n} {noun if n == 1 else _SEVERAL.get(noun, f'{noun}s')}"


def listed(values, most=10):
    """List the first few values in words.

    Parameters
    ----------
    values : sequence
        What there is.
    most : int, default=10
        How many are told.

    Returns
    -------
    str
    """
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def plain(value):
    """Turn NumPy's numbers and texts into Python's, also within lists, tuples and dicts.

    Searches hand over what NumPy and SciPy draw, and PyTorch takes many of its options as Python's numbers
    alone.

    Parameters
    ----------
    value : object
        Whatever; what is no number of NumPy's stays as it is.

    Returns
    -------
    object
        A number of fewer digits than Python's is the one that it is printed as: ``float32(0.1)`` is 0.1.

    Examples
    --------
    >>> plain([np.int64(2), np.float32(0.1), np.str_("adam"), (None, {"decay": np.float64(0.5)})])
    [2, 0.1, 'adam', (None, {'decay': 0.5})]
    """
    if isinstance(value, np.floating) and not isinstance(value, float):
        return float(str(value))
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {key: plain(entry) for key, entry in value.items()}
    return value
