"""What follows from weights alone, made once for many evaluations."""

from __future__ import annotations

import torch

from skeeg.modules.compute.pytorch import has_values, is_followed, records_gradients


class Folded:
    """Keep what a function made of weights, for as long as they stay what they were.

    A network that evaluates one trial after the other would spend more time on preparing its weights than on
    the trial. Weights may change in many ways, some of which PyTorch does not count, so that their values are
    compared with a copy each time. Nothing is kept where gradients are recorded, where something follows
    operations, or in copies and pickles.

    Examples
    --------
    >>> import torch
    >>> folded, weight = Folded(), torch.ones(3)
    >>> with torch.no_grad():
    ...     for _ in range(2):
    ...         print(folded(lambda: print("made") or 2 * weight, weight))
    made
    tensor([2., 2., 2.])
    tensor([2., 2., 2.])
    """

    def __init__(self):
        self._last = None

    def __reduce__(self):
        return Folded, ()

    def __call__(self, function, *weights, **settings):
        """Get ``function()``, which depends on ``weights``, tensors of one device, and ``settings`` alone."""
        if records_gradients() or is_followed():
            return function()
        values = torch.cat([weight.flatten() for weight in weights])
        if not has_values(values):
            return function()
        last = self._last  # read once: other threads may replace it
        if last is None or not _same(last[:2], (values, settings)):
            last = self._last = values, settings, function()
        return last[2]


def _same(one, other):
    return (
        one[1] == other[1]
        and one[0].dtype == other[0].dtype
        and one[0].device == other[0].device
        and torch.equal(one[0], other[0])
    )
