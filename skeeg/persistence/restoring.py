"""Networks out of files: no larger than the tensors that are there, which fit them one by one."""

from __future__ import annotations

import math
import warnings
from numbers import Real

import torch
from skorch.history import History

from skeeg.allowance import Allowance, check_sizes
from skeeg.devices import resolve_device

_LARGEST_NUMBER = 1e15  # in a state; products of two are still finite in float32


def restore(net, learned, state, history):
    """Make a skorch net what it was when it was saved.

    Parameters
    ----------
    net : Savable
        Of the parameters that it had.
    learned : dict
        Attributes.
    state : dict of dict
        State of "module", "criterion" and "optimizer".
    history : list of dict
        One row an epoch.

    Raises
    ------
    ValueError
        When these do not fit the parameters, or each other.
    """
    vars(net).update(learned)
    net.device_ = resolve_device(net.device)
    check_sizes(net._module_params())
    held = sum(value.numel() for part in state.values() for value in part.values() if _is_tensor(value))
    gathered = state["optimizer"]["state"] or not isinstance(net.optimizer, str)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), Allowance(held):
        warnings.simplefilter("ignore")  # fit has said it
        # Initial weights are drawn, and replaced. Where the optimiser has gathered nothing, one made when
        # training goes on is the same, and loading is a second quicker.
        net.initialize(optimizer=bool(gathered))
    if gathered:
        _load_optimizer(net.optimizer_, state["optimizer"])  # before the weights, which its step may change
    for name in ("module", "criterion"):
        _load_tensors(getattr(net, f"{name}_"), state[name], name)
    net._history = _history(history)
    net.module_.eval()


def _is_tensor(value):
    return isinstance(value, torch.Tensor)


def _load_tensors(part, found, where):
    expected = part.state_dict()
    if found.keys() != expected.keys():
        differing = sorted(found.keys() ^ expected.keys(), key=str)
        raise ValueError(f"the {where} that its parameters describe does not have the same {differing}")
    for name, wanted in expected.items():
        if _is_tensor(wanted):
            _check_tensor(found[name], wanted, name)
            if name.endswith("running_var") and (found[name] < 0).any():
                raise ValueError(f"{name} holds variances below 0")
    part.load_state_dict(found)


def _check_tensor(found, wanted, where):
    if not _is_tensor(found) or found.shape != wanted.shape:
        shape = tuple(found.shape) if _is_tensor(found) else type(found).__name__
        raise ValueError(f"{where} is {shape}, where the parameters want {tuple(wanted.shape)}")
    if found.dtype != wanted.dtype and not (found.is_floating_point() and wanted.is_floating_point()):
        raise ValueError(f"{where} holds {found.dtype}, not {wanted.dtype}")
    if found.dtype != torch.bool and not (found.abs() < _LARGEST_NUMBER).all():  # nor NaN
        raise ValueError(f"{where} holds numbers that nothing learns")


def _load_optimizer(optimizer, found):
    """Give an optimiser the state of a file, where it is one that a step of this optimiser leaves."""
    fresh = optimizer.state_dict()["param_groups"]
    groups = found["param_groups"]
    if found.keys() != {"state", "param_groups"} or len(groups) != len(fresh):
        raise ValueError("the state of the optimizer is that of another one")
    for group, like in zip(groups, fresh, strict=True):
        if not like.keys() <= group.keys() or group["params"] != like["params"]:
            raise ValueError("the state of the optimizer is that of another one")
        for name, value in group.items():
            # a schedule keeps numbers of its own there
            if name != "params" and not _is_like(value, like.get(name, 0.0)):
                raise ValueError(f"{name}={value!r} is no option of {type(optimizer).__name__}")
    made = _state_after_a_step(optimizer)
    for index, values in found["state"].items():
        if values.keys() != made[index].keys():
            raise ValueError(f"the state of the optimizer holds {sorted(values, key=str)}")
        for name, value in values.items():
            if _is_tensor(made[index][name]):
                _check_tensor(value, made[index][name], f"the optimizer's {name}")
            elif not _is_like(value, made[index][name]):
                raise ValueError(f"the optimizer's {name} is {value!r}")
    optimizer.load_state_dict(found)


def _state_after_a_step(optimizer):
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return optimizer.state_dict()["state"]


def _is_like(value, like):
    if isinstance(like, tuple):
        return (
            isinstance(value, tuple)
            and len(value) == len(like)
            and all(_is_like(v, w) for v, w in zip(value, like, strict=True))
        )
    if like is None or isinstance(like, bool):
        return value is None or isinstance(value, bool) or (like is None and _is_number(value))
    return _is_number(value) if _is_number(like) else type(value) is type(like) and value == like


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _history(rows):
    """Make a history of what a file says: rows of plain values, and of batches that are such rows."""
    for row in rows:
        batches = row.get("batches", [])
        for values in (row, *batches):
            if not all(isinstance(name, str) for name in values):
                raise ValueError("its history has columns without a name")
            for name, value in values.items():
                if name != "batches" and not (value is None or isinstance(value, (str, bool, Real))):
                    raise ValueError(f"its history holds {value!r}")
        if "train_loss" not in row or not _is_number(row.get("epoch")):
            raise ValueError("its history has epochs without number or loss")
    return History(rows)
