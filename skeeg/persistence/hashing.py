"""What ``joblib.hash`` sees of a network's estimator: what it holds, the same in every process."""

from __future__ import annotations

import sys

import torch
from joblib.hashing import Hasher

_NOT_HELD = {  # where it runs, and what skorch makes anew
    "_began_with_callbacks",
    "_compiled",
    "_history",
    "callbacks_",
    "cuda_dependent_attributes_",
    "device_",
    "init_context_",
    "prefixes_",
    "virtual_params_",
}


def is_hashing():
    """Tell whether joblib's hasher, which is a pickler, asks for the state of an object."""
    return isinstance(sys._getframe(2).f_locals.get("self"), Hasher)


def held_by(net):
    """Get all that decides what a skorch net is, without the times that its training took.

    Parameters
    ----------
    net : Savable
        Fitted or not.

    Returns
    -------
    dict
        By attribute, as values of which pickle makes the same bytes wherever they lie in memory.
    """
    held = {name: _described(value) for name, value in vars(net).items() if name not in _NOT_HELD}
    if "_history" in vars(net):
        rows = [{k: v for k, v in row.items() if k not in ("batches", "dur")} for row in net.history]
        held["_history"] = _described(rows)
    return held


def _described(value):
    if isinstance(value, torch.Tensor):  # torch pickles where a tensor lies in memory
        data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return "tensor", str(value.dtype), tuple(value.shape), data
    if isinstance(value, torch.nn.Module):
        return type(value), repr(value), _described(dict(value.state_dict()))
    if isinstance(value, torch.optim.Optimizer):
        return type(value), _described(value.state_dict())
    if isinstance(value, dict):
        return {_described(k): _described(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_described, value)) if type(value) in (list, tuple) else value
    return value
