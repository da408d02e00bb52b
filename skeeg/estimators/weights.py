"""Bare weights as a start: the ``state_dict`` of a network, in a file of torch or of safetensors."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from skeeg.trials import warn_user

_NESTED = ("state_dict", "model_state_dict", "model")  # where training scripts put it


class BareWeights(NamedTuple):
    """Weights of a network, without what it was trained on.

    Attributes
    ----------
    name : str
        The file.
    state : dict of str to torch.Tensor
        The weights.
    """

    name: str
    state: dict
    scale_: None = None  # of the trials it was trained on: not known


def read_weights(path):
    """Read the ``state_dict`` of a network.

    Parameters
    ----------
    path : pathlib.Path
        A file that ``torch.save(module.state_dict(), path)`` or ``safetensors.torch.save_file`` wrote.

    Returns
    -------
    BareWeights or None
        None where it is a file of another kind, that of :func:`skeeg.save` perhaps.

    Raises
    ------
    ValueError
        When it is a file of torch that holds no ``state_dict``.
    """
    try:  # first, since the length of a header, with which it begins, may look like a pickle
        with safe_open(path, "pt") as file:
            if "skeeg" in (file.metadata() or {}):
                return None
            return BareWeights(str(path), {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except SafetensorError:
        pass
    with Path(path).open("rb") as file:
        start = file.read(2)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return BareWeights(str(path), _of_torch(path))
    return None


def _of_torch(path):
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"pretrained={str(path)!r} holds more than weights, or is damaged, and nothing that a pickle "
            "says is run here: write the weights alone, torch.save(module.state_dict(), path)"
        ) from error
    for name in _NESTED:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not found or not all(map(torch.is_tensor, found.values())):
        raise ValueError(
            f"pretrained={str(path)!r} holds no state_dict, a dict of tensors: write it by "
            "torch.save(module.state_dict(), path)"
        )
    return found


def head_of(module):
    """Get the names of the parts of a network that are its head: those it names, or braindecode's."""
    named = getattr(module, "head_names", ())
    return named or (("final_layer",) if hasattr(module, "final_layer") else ())


def start_from_weights(module, weights, classes):
    """Give a new network bare weights; a head for another number of classes stays as it is.

    Parameters
    ----------
    module : torch.nn.Module
        The new network.
    weights : BareWeights
        The weights.
    classes : ndarray
        Labels, for the warning.

    Raises
    ------
    ValueError
        When the weights are of another network, or not finite.

    Warns
    -----
    UserWarning
        Of what the weights do not say.
    """
    own, head = module.state_dict(), head_of(module)
    renamed = getattr(module, "mapping", None) or {}  # braindecode's names of old
    state = {renamed.get(name, name): value for name, value in weights.state.items()}
    unlike = {name for name in own.keys() & state.keys() if own[name].shape != state[name].shape}
    new_head = {name for name in unlike if name.split(".")[0] in head}
    if unlike - new_head or own.keys() != state.keys():
        examples = [
            f"{name} {_shape(state, name)}, not {_shape(own, name)}"
            for name in sorted((unlike - new_head) | (own.keys() ^ state.keys()))
        ]
        raise ValueError(
            f"pretrained={weights.name!r} holds the weights of another network than {type(module).__name__} "
            "with these parameters, channels and samples: "
            f"{', '.join(examples[:3])}{', ...' * (len(examples) > 3)}"
        )
    broken = sorted(name for name, value in state.items() if not torch.isfinite(value).all())
    if broken:
        raise ValueError(f"pretrained={weights.name!r} holds numbers that are not finite, in {broken[:5]}")
    kept = "its head is new" if new_head else f"the order of its classes to be {classes.tolist()}"
    warn_user(
        f"pretrained={weights.name!r} holds weights alone: its channels are taken to be those of X, in their "
        f"order and unit, and {kept}"
    )
    dropped = {name for name in state if name.split(".")[0] in head} if new_head else set()
    module.load_state_dict(own | {name: value for name, value in state.items() if name not in dropped})


def _shape(state, name):
    return tuple(state[name].shape) if name in state else "missing"
