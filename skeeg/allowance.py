"""How many numbers may be made: networks described by a file are no larger than what it holds of them."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch.overrides import TorchFunctionMode

_SPARE = 2**22  # numbers that a network may make beside those that a file holds of it
_MOST = 10**6  # of a network's arguments; no filter, window or number of filters is larger


def check_sizes(arguments):
    """Check that no argument of a network is larger than any size of one.

    Parameters
    ----------
    arguments : dict of str to object
        Arguments by name; those that are no numbers are left aside.

    Raises
    ------
    ValueError
        When one is larger than a million: networks count up to some of them before they make tensors.
    """
    for name, value in arguments.items():
        if isinstance(value, Real) and abs(value) > _MOST:
            raise ValueError(f"{name}={value} is larger than any size of a network")


class Allowance(TorchFunctionMode):
    """Let PyTorch make so many numbers, and refuse more before memory is taken for them.

    Parameters
    ----------
    held : int
        How many numbers a file holds of a network.

    Raises
    ------
    ValueError
        Within, when a network asks for more than eight times that, and a few million.

    Examples
    --------
    >>> import torch
    >>> from skeeg.allowance import Allowance
    >>> with Allowance(100):
    ...     layer = torch.nn.Linear(10, 10)
    >>> with Allowance(100):
    ...     layer = torch.nn.Linear(10**6, 10**6)
    Traceback (most recent call last):
    ValueError: it describes a network of more numbers than it holds
    """

    makers = frozenset(
        getattr(torch, name)
        for name in (
            "arange",
            "empty",
            "eye",
            "full",
            "linspace",
            "logspace",
            "normal",
            "ones",
            "rand",
            "randint",
            "randn",
            "randperm",
            "zeros",
        )
    ) | {getattr(torch.Tensor, f"new_{name}") for name in ("empty", "full", "ones", "zeros")}

    def __init__(self, held):
        super().__init__()
        self.left = _SPARE + 8 * held

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.makers:
            sizes = (kwargs or {}).get("size", [arg for arg in args if not isinstance(arg, torch.Tensor)])
            sizes = sizes[0] if len(sizes) and isinstance(sizes[0], (list, tuple)) else sizes
            self.left -= math.prod(max(1, abs(size)) for size in sizes if isinstance(size, int))
            if self.left < 0:
                raise ValueError("it describes a network of more numbers than it holds")
        return func(*args, **(kwargs or {}))
