"""How figures look: colours for any eye, names as they are, intervals that stay where values can be."""

from __future__ import annotations

import numpy as np

#: The Okabe-Ito palette without its yellow: told apart with any colour vision; the first two also in grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, VERMILION, GREEN = PALETTE[:3]
MARKERS = ("o", "s", "D", "^", "v", "P", "X")  # a second way to tell them apart, in print and in grey
LINES = ("-", "--", ":")

#: Where a legend leaves the axes their width, as narrow pages need.
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.2), "ncols": 2, "frameon": False, "fontsize": 8}

_LONGEST = 28  # letters of a name in a figure


def axes_or_new(ax, width, height):
    """Axes to draw on: those that were given, or new ones of so many inches."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def figure_or_new(figure):
    """An empty figure to draw on: the one that was given, or a new one."""
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure()
    return figure


def color_of(i):
    """Colour of the i-th thing that is drawn."""
    return PALETTE[i % len(PALETTE)]


def marker_of(i):
    """Marker of the i-th thing that is drawn."""
    return MARKERS[i % len(MARKERS)]


def line_of(i):
    """How the line of the i-th thing is broken, where colours are used up."""
    return LINES[i // len(PALETTE) % len(LINES)]


def open_frame(ax):
    """Leave away the upper and the right side of the frame."""
    ax.spines[["top", "right"]].set_visible(False)


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


def half_interval(values):
    """Get half of the 95 % confidence interval of means over people, Student's t.

    Parameters
    ----------
    values : ndarray, shape (n_people, ...)
        Values of each person.

    Returns
    -------
    ndarray, shape (...)
        NaN for one person.
    """
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return np.full(np.shape(values)[1:], np.nan)
    return t.ppf(0.975, n - 1) * np.std(values, axis=0, ddof=1) / np.sqrt(n)


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
    n = len(percent)
    if n == 0:
        return np.full(percent.shape[1], np.nan), np.zeros((2, percent.shape[1]))
    means = percent.mean(axis=0)
    half = half_interval(percent) if n > 1 else np.zeros(len(means))
    if not bounded:
        return means, np.array([half, half])
    return means, np.array([np.minimum(half, means), np.minimum(half, 100 - means)])
