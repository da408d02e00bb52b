"""Gradients written by hand, where gradients are wanted."""

from __future__ import annotations

import torch


def apply(function, *args):
    """Apply an autograd function; where no gradients are recorded, its forward pass alone.

    What ``function.apply`` does around the forward pass takes as long as a layer does for one trial.

    Parameters
    ----------
    function : type of torch.autograd.Function
        One whose ``forward`` takes no context.
    *args
        Its arguments.

    Returns
    -------
    torch.Tensor or tuple of torch.Tensor
        Its outputs.
    """
    if not torch.is_grad_enabled():
        return function.forward(*args)
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
        return function.apply(*args)
    # what Function.apply itself calls once it has looked up the default arguments of ``forward``
    return super(torch.autograd.Function, function).apply(*args)
