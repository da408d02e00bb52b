"""What is asked of trials before anything is made of them."""

from __future__ import annotations

import math
import sys
import warnings

import numpy as np
from sklearn.utils import column_or_1d

OTHER_SCALE = 1e3  # between trials of fit and others, more than electrodes and people differ by
SAME_RATE = 1e-5  # rates closer than this are one: files keep 200.1 Hz as 200.10000610351562
LARGEST_VALUE = 1e15  # of a trial, in any unit: squares of float32 overflow from 1e19
_BETWEEN = ("skeeg", "sklearn", "skorch", "joblib", "contextlib")  # packages between a user and a warning
_MISSING = ("None", "nan", "NaT", "<NA>")  # as NumPy and pandas print what is missing


def same_rate(one, other):
    """Tell whether two sampling rates are one, but for rounding; None, not known, agrees with any.

    Examples
    --------
    >>> same_rate(200.1, np.float32(200.1)), same_rate(250, 256), same_rate(None, 100)
    (True, False, True)
    """
    return one is None or other is None or math.isclose(one, other, rel_tol=SAME_RATE)


def warn_user(message):
    """Give a UserWarning at the user's line: the one that called skeeg, be it by way of scikit-learn.

    A pipeline whose steps all find the same says it once, as Python shows a warning once a line.
    """
    frame, level = sys._getframe(1), 2
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)


def order_of_channels(own, wanted):
    """Get the indices that put channels named ``own`` in the order of ``wanted``.

    Parameters
    ----------
    own, wanted : sequence of str or None
        Channel names.

    Returns
    -------
    list of int or None
        None where the order is right, or the names of one of them are not known.

    Raises
    ------
    ValueError
        When a name is missing or not wanted.
    """
    if own is None or wanted is None or tuple(own) == tuple(wanted):
        return None
    missing = [name for name in wanted if name not in own]
    unknown = [name for name in own if name not in wanted]
    if missing or unknown:
        raise ValueError(
            f"X has other channels than the data of fit: {missing} are missing, {unknown} are unknown. "
            "Pick the same channels"
        )
    return [own.index(name) for name in wanted]


def check_values(read, shape, ch_names=None):
    """Say which trials hold values that are not finite, or too large.

    Parameters
    ----------
    read : callable
        Gives an array, (n, n_chans, n_times), of the trials from ``start`` to ``stop``.
    shape : tuple of int
        (n_trials, n_chans, n_times).
    ch_names : sequence of str, optional
        Channel names.

    Raises
    ------
    ValueError
        Naming the first trial, channel and value of the kind.
    """
    n_trials = shape[0]
    affected, worst, place = [], 0.0, None
    for trial in range(n_trials):
        values = np.asarray(read(trial, trial + 1)[0], dtype=np.float64)
        wrong = ~(np.abs(values) <= LARGEST_VALUE)  # true for NaN
        if wrong.any():
            affected.append(trial)
            if place is None:
                place = np.argwhere(wrong)[0]
                worst = values[tuple(place)]
    if not affected:
        return
    channel, sample = place.tolist()
    name = "" if ch_names is None else f" ({ch_names[channel]})"
    if np.isnan(worst):
        what = "Input X contains NaN"
    elif np.isinf(worst):
        what = "Input X contains infinity or a value too large for dtype('float64')"
    else:
        what = f"Input X contains a value too large to be squared, {worst:.4g}"
    raise ValueError(
        f"{what}. {len(affected)} of {n_trials} trials are affected, the first at index {affected[0]}: there "
        f"channel {channel}{name}, sample {sample}. Drop or repair them"
    )


def people(groups, subjects):
    """Get what tells the people of trials: scikit-learn calls it groups, MOABB subjects."""
    if groups is not None and subjects is not None:
        raise ValueError(
            "groups and subjects are two names for who trials are from: give one of them; in a Pipeline, "
            "set_fit_request(subjects=False) of a step turns one away"
        )
    return subjects if groups is None else groups


def check_groups(groups, trials):
    """Check that there is a group for each trial; give them as an array."""
    given = np.asarray(groups, dtype=object)
    if given.shape != (len(trials),):
        raise ValueError(
            f"groups has shape {given.shape}, but X has {len(trials)} trials; give each its group"
        )
    if any(not isinstance(group, str) and str(group) in _MISSING for group in given):
        raise ValueError("groups has missing values; give every trial its group")
    return column_or_1d(groups)


def warn_of_other_units(data, scale):
    """Point out trials whose scale is not that of the trials of fit.

    Parameters
    ----------
    data : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    scale : float
        Median standard deviation of a channel in fit.
    """
    typical = typical_scale(data)
    lower, higher = sorted((typical, scale))
    if 0 < lower < higher / OTHER_SCALE:
        warn_user(
            f"the median standard deviation of a channel is {typical:.1e}, it was {scale:.1e} in fit: X "
            "seems to have another unit; give both in µV"
        )


def typical_scale(data):
    """Get the median standard deviation of a channel in a trial, by a quick look at some trials and times."""
    some = data[:: max(1, len(data) // 8), :, :: max(1, data.shape[2] // 64)]
    deviations = np.sort(some.std(axis=2), axis=None)
    return float(deviations[len(deviations) // 2])  # np.median takes longer than small networks do
