"""The one policy for windows that are shorter than a network's kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping

Lengths = Mapping[str, "int | list[int]"]


def _scale(lengths: Lengths, factor: float, minimum: Mapping[str, int], odd: Collection[str]):
    def one(name, length):
        low = min(length, minimum.get(name, 1))
        scaled = max(low, round(length * factor))
        if name in odd and length % 2 and scaled % 2 == 0:
            scaled -= 1
        return scaled

    return {
        name: [one(name, v) for v in value] if isinstance(value, list) else one(name, value)
        for name, value in lengths.items()
    }


def fit_lengths(
    n_times: int,
    lengths: Lengths,
    shortest: Callable[[Lengths], int],
    *,
    minimum: Mapping[str, int] = {},
    odd: Collection[str] = (),
) -> dict:
    """Scale temporal lengths down together until they fit a window.

    Parameters
    ----------
    n_times : int
        Samples in a window.
    lengths : dict of str to int or list of int
        The lengths as asked for, in samples, by parameter name.
    shortest : callable
        ``shortest(lengths)`` is the number of samples that these lengths need; it must not grow when
        lengths shrink.
    minimum : dict of str to int, default={}
        Smallest useful value of a length, by name; 1 where not given.
    odd : collection of str, default=()
        Names whose odd values stay odd.

    Returns
    -------
    dict
        ``lengths`` itself where they fit, else the largest common scaling of them that does.

    Raises
    ------
    ValueError
        When not even the smallest lengths fit.

    Warns
    -----
    UserWarning
        When lengths were scaled, with the old and new values.

    Examples
    --------
    >>> fit_lengths(1000, {"pool": 75}, lambda lengths: lengths["pool"])
    {'pool': 75}
    """
    if n_times >= shortest(lengths):
        return dict(lengths)
    smallest = _scale(lengths, 0.0, minimum, odd)
    if n_times < shortest(smallest):
        raise ValueError(
            f"n_times={n_times} is too short for this network; give windows of at least "
            f"{shortest(smallest)} samples"
        )
    steps = 4096  # the largest factor of the form i / steps that fits, by bisection
    fits, fails = 0, steps
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if shortest(_scale(lengths, middle / steps, minimum, odd)) <= n_times:
            fits = middle
        else:
            fails = middle
    scaled = _scale(lengths, fits / steps, minimum, odd)
    changes = ", ".join(
        f"{name} {lengths[name]} -> {scaled[name]}" for name in lengths if lengths[name] != scaled[name]
    )
    warnings.warn(
        f"n_times={n_times} is shorter than the {shortest(lengths)} samples this network needs as "
        f"configured; temporal lengths were scaled down: {changes}",
        UserWarning,
        stacklevel=3,
    )
    return scaled
