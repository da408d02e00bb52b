"""Loss and optimiser: made from parameters and from what the data say."""

from __future__ import annotations

import copy
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


def takes(make, name):
    """Tell whether a class, or what makes its objects, takes an argument of a name."""
    parameters = inspect.signature(make).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def make_criterion(loss, options, *, label_smoothing, weights, prototype_shape):
    """Make a loss of one value a trial.

    Parameters
    ----------
    loss : {"cross_entropy", "dual_prototype"}, torch.nn.Module class, or torch.nn.Module
        Which. A module is copied, and where it has a ``reduction``, it does without.
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

    Raises
    ------
    ValueError
        When a module is given, and options for it.
    """
    if isinstance(loss, nn.Module):
        if options:
            names = ", ".join(f"criterion__{name}" for name in options)
            raise ValueError(f"{names} cannot be set on loss={loss}, which is made: give its class")
        criterion = copy.deepcopy(loss)
        if hasattr(criterion, "reduction"):
            criterion.reduction = "none"
        return criterion
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
    optimizer : str, torch.optim.Optimizer class or functools.partial of one
        A name in ``optimizers``, or what makes an optimiser.
    groups : list of dict
        Groups of network parameters, as torch's optimisers take them.
    options : dict
        The optimiser's arguments.
    device : torch.device
        Where the network is.

    Returns
    -------
    torch.optim.Optimizer

    Raises
    ------
    ValueError
        When it is an optimiser of sparse gradients, or one that trains all parameters alike where some are to
        be trained otherwise.
    """
    make = optimizer_class(optimizer)
    name = getattr(make, "__name__", str(make))
    if make is torch.optim.SparseAdam:
        raise ValueError(
            'optimizer=SparseAdam is for sparse gradients, which no layer of the network has: give "adam"'
        )
    if not takes(make, "weight_decay"):
        groups = [{k: v for k, v in group.items() if k != "weight_decay"} for group in groups]
    if isinstance(make, type) and issubclass(make, torch.optim.LBFGS):
        own = {k: v for group in groups for k, v in group.items() if k != "params" and options.get(k) != v}
        if own:
            raise ValueError(
                f"optimizer={name} trains all parameters alike, but some are to be trained with {own}, as "
                "the network's estimator says (cutoff_lr of SincShallowNet): set it to the same as the others"
            )
        groups = [{"params": [p for group in groups for p in group["params"]]}]
    if optimizer in ("adam", "adamw") and device.type in ("cpu", "cuda"):
        options = {"fused": True, **options}
    return make(groups, **options)


def optimizer_class(optimizer):
    """Get the class that a name stands for; a class, or a partial of one, stands for itself."""
    return optimizers[optimizer] if isinstance(optimizer, str) else optimizer


class OptimizerOnDemand:
    """Attribute of a network that holds its optimiser, and makes it where a loaded network has none yet.

    To make one imports PyTorch's compiler, which takes a second in each process and prediction does without.
    """

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, net, owner=None):
        if net is None:
            return self
        if self.name not in vars(net):
            if not net.initialized_:
                raise AttributeError(f"{type(net).__name__} has no {self.name} before fit")
            with net._current_init_context(self.name.rstrip("_")):
                net.initialize_optimizer()
        return vars(net)[self.name]

    def __set__(self, net, optimizer):
        vars(net)[self.name] = optimizer


def refresh_criterion(criterion, **options):
    """Give a named loss its options as they are set now; what it has learned stays."""
    for name, value in options.items():
        if hasattr(criterion, name):
            setattr(criterion, name, value)


def refresh_optimizer(optimizer, anew):
    """Give an optimiser the options of one made anew; what it has gathered stays."""
    for group, options in zip(optimizer.param_groups, anew.param_groups, strict=True):
        group.update({name: value for name, value in options.items() if name != "params"})


def check_losses(losses, weights, criterion):
    """Refuse losses that are not one number a trial.

    Parameters
    ----------
    losses : torch.Tensor
        What the loss gave.
    weights : torch.Tensor, shape (n_trials,)
        Weights of the trials. Where they are all the same, a single number will do.
    criterion : torch.nn.Module
        The loss.

    Raises
    ------
    ValueError
        When there is another number of them.
    """
    if losses.shape == weights.shape or (losses.dim() == 0 and bool((weights == weights[0]).all())):
        return
    what = "a single number" if losses.dim() == 0 else f"losses of shape {tuple(losses.shape)}"
    raise ValueError(
        f"{type(criterion).__name__} gave {what} for {len(weights)} trials of different weights: a "
        "loss takes logits and class codes, and gives a number for each trial, as torch's do with "
        "reduction='none'"
    )


def check_log_probabilities(outputs):
    """Refuse logits where the loss takes logarithms of probabilities."""
    off = float(outputs.detach().logsumexp(dim=1).abs().max())
    if off > 1e-2:
        raise ValueError(
            "loss=NLLLoss takes logarithms of probabilities, but exponentials of what the network gives do "
            'not sum to 1: these are logits, of which loss="cross_entropy" is the same'
        )
