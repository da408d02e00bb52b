"""Activations as the networks make and recognise them."""

from __future__ import annotations

import copy
import math

from torch import nn

from skeeg.modules.compute import computes_plainly, is_compiling

LOG2_E = 1 / math.log(2)


def is_plain(module, *classes):
    """Whether its formula may stand for it: of one of the classes, no subclass, and seen by no hook."""
    return type(module) in classes and not has_hooks(module)


def is_plain_elu(module):
    """Whether it is the ELU of slope 1 at 0 on both sides, and seen by no hook."""
    return is_plain(module, nn.ELU) and module.alpha == 1


def elu_plus_one(z):
    """Overwrite z with its ELU plus 1, max(z, 0) + exp(min(z, 0)); give it, and the slope, the second term.

    By powers of 2: MKL's exponential, which PyTorch takes, took three times as long on an AMD processor.
    """
    slope = z.clamp(max=0).mul_(LOG2_E).exp2_()
    return z.relu_().add_(slope), slope


def has_hooks(module):
    """Whether somebody wants to see the module being called."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def in_place(activation):
    """Make an activation from its class, one that overwrites its input where the class can do that.

    Parameters
    ----------
    activation : type of torch.nn.Module or None
        None is no activation.

    Returns
    -------
    torch.nn.Module
    """
    module = nn.Identity() if activation is None else activation()
    if hasattr(module, "inplace"):
        module.inplace = True
    return module


def activate(activation, x):
    """Apply an activation, which may overwrite x; not so where somebody follows what becomes of x."""
    if getattr(activation, "inplace", False) and computes_plainly() and not is_compiling():
        activation = copy.copy(activation)
        activation.inplace = False
    return activation(x)
