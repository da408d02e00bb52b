"""What is asked of trials before anything is made of them."""

from __future__ import annotations

import math
import warnings

import numpy as np
from sklearn.utils import column_or_1d

OTHER_SCALE = 1e3  # between trials of fit and others, more than electrodes and people differ by
SAME_RATE = 1e-5  # rates closer than this are one: files keep 200.1 Hz as 200.10000610351562
_MISSING = ("None", "nan", "NaT", "<NA>")  # as NumPy and pandas print what is missing


def same_rate(one, other):
    """Tell whether two sampling rates are one, but for rounding; None, not known, agrees with any.

    Examples
    --------
    >>> same_rate(200.1, np.float32(200.1)), same_rate(250, 256), same_rate(None, 100)
    (True, False, True)
    """
    return one is None or other is None or math.isclose(one, other, rel_tol=SAME_RATE)


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
        warnings.warn(
            f"the median standard deviation of a channel is {typical:.1e}, it was {scale:.1e} in fit: X "
            "seems to have another unit; give both in µV",
            UserWarning,
            stacklevel=4,
        )


def typical_scale(data):
    """Get the median standard deviation of a channel in a trial, by a quick look at some trials and times."""
    some = data[:: max(1, len(data) // 8), :, :: max(1, data.shape[2] // 64)]
    deviations = np.sort(some.std(axis=2), axis=None)
    return float(deviations[len(deviations) // 2])  # np.median takes longer than small networks do
