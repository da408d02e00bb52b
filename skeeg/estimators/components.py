"""Network, loss and optimiser: made from parameters and from what the data say."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from skeeg.modules.losses import DualPrototypeLoss

optimizers = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


def make_module(cls, params, learned):
    """Make a network.

    Parameters
    ----------
    cls : torch.nn.Module class
        The network's class.
    params : dict
        Arguments that are parameters of the estimator.
    learned : dict
        What the data say; the network gets those that its ``__init__`` names.

    Returns
    -------
    torch.nn.Module
    """
    accepted = inspect.signature(cls).parameters
    return cls(**(params | {name: value for name, value in learned.items() if name in accepted}))


def make_criterion(loss, options, *, label_smoothing, weights, prototype_shape):
    """Make a loss of one value a trial.

    Parameters
    ----------
    loss : {"cross_entropy", "dual_prototype"} or torch.nn.Module class
        Which.
    options : dict
        Arguments given by routed names.
    label_smoothing : float
        Of the named losses.
    weights : pair of float
        Compactness and explicit force, of "dual_prototype".
    prototype_shape : (int, int) or None
        Shape of the prototypes that "dual_prototype" is to hold, because the network has none.

    Returns
    -------
    torch.nn.Module
    """
    options = {"reduction": "none", **options}
    if loss == "cross_entropy":
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing, **options)
    if loss == "dual_prototype":
        if prototype_shape is not None:
            options["prototype_shape"] = prototype_shape
        return DualPrototypeLoss(*weights, label_smoothing=label_smoothing, **options)
    return loss(**options)


def make_optimizer(optimizer, groups, options, device):
    """Make an optimiser.

    Parameters
    ----------
    optimizer : str or torch.optim.Optimizer class
        A name in ``optimizers``, or a class.
    groups : list of dict
        Groups of network parameters, as torch's optimisers take them.
    options : dict
        The optimiser's arguments.
    device : torch.device
        Where the network is.

    Returns
    -------
    torch.optim.Optimizer
    """
    if optimizer in ("adam", "adamw") and device.type in ("cpu", "cuda"):
        options = {"fused": True, **options}
    make = optimizers.get(optimizer, optimizer) if isinstance(optimizer, str) else optimizer
    return make(groups, **options)


def refresh_criterion(criterion, **options):
    """Give a named loss its options as they are set now; what it has learned stays."""
    for name, value in options.items():
        if hasattr(criterion, name):
            setattr(criterion, name, value)


def refresh_optimizer(optimizer, anew):
    """Give an optimiser the options of one made anew; what it has gathered stays."""
    for group, options in zip(optimizer.param_groups, anew.param_groups, strict=True):
        group.update({name: value for name, value in options.items() if name != "params"})
