"""How figures look: colours for any eye, names as they are, intervals that stay where values can be."""

from __future__ import annotations

import numpy as np

#: The Okabe-Ito palette without its yellow: told apart with any colour vision; the first two also in grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, VERMILION = PALETTE[:2]
MARKERS = ("o", "s", "D", "^", "v", "P", "X")  # a second way to tell them apart, in print and in grey
LINES = ("-", "--", ":")

#: Where a legend leaves the axes their width, as narrow pages need.
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.2), "ncols": 2, "frameon": False, "fontsize": 8}

_LONGEST = 28  # letters of a name in a figure


def names_of(values):
    """Names to be drawn: on one line, in the middle shortened where they are long.

    Parameters
    ----------
    values : iterable
        Labels or names.

    Returns
    -------
    list of str
        Draw them with ``parse_math=False``: "$" is a letter.

    Examples
    --------
    >>> from skeeg.inspection.style import names_of
    >>> names_of(["left", 2, "imagined opening and closing of the left fist"])
    ['left', '2', 'imagined openi…the left fist']
    """
    names = [" ".join(str(value).split()) for value in values]
    half = _LONGEST // 2
    return [
        name if len(name) <= _LONGEST else f"{name[:half].strip()}…{name[1 - half :].strip()}"
        for name in names
    ]


def draw_legend(target, handles, names, **where):
    """Draw a legend of names as they are: Matplotlib would leave out "_left" and typeset "$left$"."""
    legend = target.legend(handles, [str(i) for i in range(len(handles))], **where)
    for text, name in zip(legend.get_texts(), names_of(names), strict=True):
        text.set(text=name, parse_math=False)
    return legend


def means_and_whiskers(percent, *, bounded=True):
    """Get means over subjects and the lengths of whiskers to their 95 % confidence interval, Student's t.

    Parameters
    ----------
    percent : ndarray, shape (n_subjects, n_columns)
        Values from 0 to 100, without NaN but for columns that are NaN throughout.
    bounded : bool, default=True
        Whether the values end at 0 and 100.

    Returns
    -------
    means : ndarray, shape (n_columns,)
        Means.
    whiskers : ndarray, shape (2, n_columns)
        Down and up from the mean; they end at 0 and 100, which no accuracy passes. 0 for one subject.
    """
    from scipy.stats import t

    n = len(percent)
    if n == 0:
        return np.full(percent.shape[1], np.nan), np.zeros((2, percent.shape[1]))
    means = percent.mean(axis=0)
    half = t.ppf(0.975, n - 1) * percent.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(means))
    if not bounded:
        return means, np.array([half, half])
    return means, np.array([np.minimum(half, means), np.minimum(half, 100 - means)])
