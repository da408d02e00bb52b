"""The network of an estimator: what its parameter ``module`` stands for, and how it is made."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from torch import nn

from skeeg.estimators.names import close

_OWN = ("AttentionBaseNet", "FBLightConvNet", "SSTDPN", "SincShallowNet")


def find_network(module, owner):
    """Get the class, or function, that makes the network.

    Parameters
    ----------
    module : torch.nn.Module class, callable, str or None
        The parameter.
    owner : str
        Name of the estimator, for errors.

    Returns
    -------
    callable

    Raises
    ------
    ImportError
        When it names a network of braindecode, which cannot be imported.
    TypeError, ValueError
        When it is nothing that makes networks.
    """
    if isinstance(module, str):
        return _of_braindecode(module)
    if isinstance(module, nn.Module):
        name = type(module).__name__
        raise ValueError(
            f"module is a network that was made already, but each fit makes one of its own: give the class, "
            f"{owner}({name}, module__...=...) with the arguments that the data do not say. To start from "
            "its weights: torch.save(module.state_dict(), path), then pretrained=path"
        )
    if (
        module is None
        or not callable(module)
        or (isinstance(module, type) and not issubclass(module, nn.Module))
    ):
        raise TypeError(
            f"{owner} has no network{'' if module is None else f' in module={module!r}'}: give "
            'module=YourModule, a class of torch.nn.Module, or the name of one of braindecode ("EEGNet"), or '
            "write a subclass that sets the class attribute `module`"
        )
    return module


def _of_braindecode(name):
    if name in _OWN:
        raise ValueError(
            f"module={name!r} is skeeg's own: {name}Classifier(). For braindecode's, give the class, "
            f"braindecode.models.{name}"
        )
    try:
        from braindecode import models
    except (ImportError, OSError) as error:  # OSError: torchaudio's libraries are for another torch
        raise ImportError(
            f"module={name!r} names a network of braindecode, which cannot be imported ({error}): pip "
            "install braindecode, or give the class of a network, module=YourModule"
        ) from error
    known = {
        key: value
        for key, value in vars(models).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and not key.startswith("_")
    }
    if name not in known:
        meant = close(name, known)
        raise ValueError(
            f"braindecode has no network {name!r}{f'; did you mean {meant[0]!r}?' if meant else '.'} It has "
            f"{sorted(known)}"
        )
    return known[name]


def arguments_of(make):
    """Get the arguments that make a network, by name; empty where they are not known."""
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):
        return {}


def check_arguments(make, options, own):
    """Refuse arguments that a network does not take, before there are data.

    Parameters
    ----------
    make : callable
        Makes the network.
    options : dict
        Arguments given as ``module__name``.
    own : sequence of str
        Parameters of the estimator, which hands them to the network itself.

    Raises
    ------
    ValueError
        When a name is unknown, or is the estimator's own.
    """
    accepted = arguments_of(make)
    names = [name for name, p in accepted.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    anything = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name in options:
        if name in own and name in accepted:
            raise ValueError(f"module__{name} is a parameter of the estimator itself: give {name}")
        if name not in names and (not anything or close(name, names)):
            meant = close(name, names)
            raise ValueError(
                f"{_name(make)} takes no argument {name!r} (module__{name})"
                f"{f'; did you mean module__{meant[0]}?' if meant else '.'} It takes {sorted(names)}"
            )


def make_network(make, params, options, learned):
    """Make a network.

    Parameters
    ----------
    make : callable
        The network's class, or a function that makes it.
    params : dict
        Arguments that are parameters of the estimator.
    options : dict
        Arguments given as ``module__name``.
    learned : dict
        What the data say; the network gets those that it names.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    TypeError, ValueError
        When an argument is missing, or given otherwise than the data say, or no network is made.
    """
    accepted = arguments_of(make)
    said = {name: value for name, value in learned.items() if name in accepted}
    for name in options.keys() & said.keys():
        _check_agreement(name, options[name], said[name])
        said[name] = options[name]
    given = params | options | said
    missing = [
        name
        for name, p in accepted.items()
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in given
    ]
    if missing:
        raise TypeError(
            f"{_name(make)} wants {', '.join(missing)}, which nobody gave: set "
            f"{', '.join(f'module__{name}' for name in missing)}, or call what the data say "
            f"{', '.join(learned)} in its __init__"
        )
    made = make(**given)
    if not isinstance(made, nn.Module):
        raise TypeError(f"{_name(make)} made a {type(made).__name__}, no torch.nn.Module")
    return made


def _check_agreement(name, given, said):
    """Refuse an argument that the data contradict."""
    if said is None:
        return
    shown, wanted = given, said
    if name == "chs_info" and all(isinstance(info, Mapping) for info in given or ()):
        shown, wanted = ([info.get("ch_name") for info in infos] for infos in (given or (), said))
    if shown != wanted:
        raise ValueError(f"module__{name} says {shown!r}, but X and y say {wanted!r}: leave it out")


def _name(make):
    return getattr(make, "__name__", repr(make))
