"""What every skeeg network shares: the shape of its input, its head and its features."""

from __future__ import annotations

import inspect
import json
import math
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from skeeg._version import __version__
from skeeg.allowance import Allowance, check_sizes
from skeeg.files import fetch, upload, write_atomically
from skeeg.modules.layers.batch_norm import uses_batch_statistics

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


class EEGModule(nn.Module):
    """Base of skeeg's networks.

    A network is two functions: ``forward_features`` (an encoder) and ``forward_head`` (a classifier
    on top of the encoder's features). Subclasses write those two; they store every ``__init__`` argument
    unchanged under its own name, as scikit-learn estimators do, so that the configuration of a network can
    be read back. ``str(network)`` is a table of its layers, which they list in ``_layers``. What belongs to
    the head is named in ``head_names`` and made in ``_make_head``, for ``n_outputs`` classes; all else is
    the encoder.

    Parameters
    ----------
    n_chans : int, optional
        Number of channels (electrodes); from ``chs_info`` when not given.
    n_outputs : int
        Number of classes.
    n_times : int, optional
        Number of samples in a window; ``input_window_seconds * sfreq`` when not given.
    input_window_seconds : float, optional
        Length of a window in seconds.
    sfreq : float, optional
        Sampling rate in Hz.
    chs_info : list of dict, optional
        ``mne.Info["chs"]`` of the recording, one entry a channel.

    Raises
    ------
    ValueError
        When the shape of the input does not follow from the arguments, or they contradict each other.

    Notes
    -----
    Layers are computed with their neighbours where that is cheaper: hooks on the network, activations and
    pooling are called; hooks on convolutions, normalisations and ``final_layer`` are not. For features call
    ``forward_features``. In a forked process, where PyTorch's threads are not, call
    ``torch.set_num_threads(1)`` first, as estimators do by themselves.
    """

    head_names = ("final_layer", "proto_sep", "proto_cpt")

    def __init__(
        self,
        n_chans=None,
        n_outputs=None,
        n_times=None,
        *,
        input_window_seconds=None,
        sfreq=None,
        chs_info=None,
    ):
        super().__init__()
        if n_chans is None and chs_info is not None:
            n_chans = len(chs_info)
        if n_times is None and input_window_seconds is not None and sfreq is not None:
            n_times = round(input_window_seconds * sfreq)
        for name, value, remedy in (
            ("n_chans", n_chans, "n_chans or chs_info"),
            ("n_times", n_times, "n_times, or input_window_seconds and sfreq"),
            ("n_outputs", n_outputs, "n_outputs"),
        ):
            if value is None:
                raise ValueError(f"{type(self).__name__} needs {name}; give {remedy}")
            setattr(self, name, _count(name, value))
        if chs_info is not None and len(chs_info) != n_chans:
            raise ValueError(f"n_chans={n_chans} but chs_info describes {len(chs_info)} channels")
        if (
            input_window_seconds is not None
            and sfreq is not None
            and round(input_window_seconds * sfreq) != n_times
        ):
            raise ValueError(
                f"n_times={n_times} but input_window_seconds={input_window_seconds} at "
                f"sfreq={sfreq} is {round(input_window_seconds * sfreq)} samples"
            )
        self.input_window_seconds = input_window_seconds
        self.sfreq = sfreq
        self.chs_info = chs_info

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Encode trials: (batch, n_chans, n_times) -> (batch, n_features)."""
        raise NotImplementedError("a network defines forward_features")

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        """Classify features: (batch, n_features) -> logits (batch, n_outputs)."""
        raise NotImplementedError("a network defines forward_head")

    def forward(self, x: torch.Tensor, return_features: bool = False):
        """Classify trials.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_chans, n_times)
            Trials, in the unit the network was trained on.
        return_features : bool, default=False
            Give the features as well.

        Returns
        -------
        torch.Tensor, shape (batch, n_outputs), or dict
            Logits; with ``return_features`` the dict ``{"features": (batch, n_features),
            "logits": (batch, n_outputs)}``.
        """
        features = self.forward_features(x)
        logits = self.forward_head(features)
        return {"features": features, "logits": logits} if return_features else logits

    def _checked(self, x, *shape):
        """Trials that the encoder can compute, of (n_chans, n_times) or another shape; or an error."""
        shape = shape or (self.n_chans, self.n_times)
        if x.shape[1:] != shape:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; this network takes (batch, {', '.join(map(str, shape))})"
            )
        if x.is_complex():
            raise TypeError(f"x holds complex numbers, {x.dtype}; give real ones, such as float32")
        if x.shape[0] == 0 and any(
            isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and uses_batch_statistics(module)
            for module in self.modules()
        ):
            raise ValueError(
                "x holds no trials, and this network takes statistics of a batch; give at least one trial, "
                "or call network.eval() first"
            )
        return x

    def _no_features(self, x):
        """Features of no trials, which all gradients go through."""
        zero = 0 * sum(parameter.sum() for parameter in self.parameters())
        return (zero + 0 * x.sum().to(zero.dtype)).expand(0, self.n_features)

    def _linear(self, like):
        """A layer from features to classes, of the type and on the device of a tensor."""
        layer = nn.Linear(self.n_features, self.n_outputs)
        same = (layer.weight.dtype, layer.weight.device) == (like.dtype, like.device)
        return layer if same else layer.to(like)

    def _layers(self):
        """List the layers of the plain formulation: (name, output shape without batch, multiply-accumulates).

        A name is the prefix of the names of the parameters that the layer holds.
        """
        return [(name, None, None) for name, _ in self.named_children()]

    def __str__(self):
        """Table of layers: shapes, parameters, and multiply-accumulates of the plain formulation."""
        return _table(type(self).__name__, self._layers(), dict(self.named_parameters()))

    # ----- shape, configuration -----------------------------------------------------------------------

    @property
    def input_shape(self):
        """Shape of a batch of one trial, (1, n_chans, n_times)."""
        return (1, self.n_chans, self.n_times)

    def get_output_shape(self):
        """Get the shape of the logits of one trial.

        Returns
        -------
        tuple of int
            (1, n_outputs).
        """
        return (1, self.n_outputs)

    def get_config(self):
        """Get every argument of ``__init__``, as JSON can hold it.

        Returns
        -------
        dict
            Arguments by name. Activations are named ("torch.nn.ELU"), arrays are lists, NaN (the position of
            a channel without one) is None.

        Raises
        ------
        ValueError
            When an argument has no such form, such as an activation that is not part of torch.nn.

        Examples
        --------
        >>> from skeeg.modules import SSTDPN
        >>> config = SSTDPN(n_chans=22, n_outputs=4, n_times=1000).get_config()
        >>> config["n_chans"], config["activation"]
        (22, 'torch.nn.ELU')
        """
        names = inspect.signature(type(self)).parameters
        return {name: _plain(getattr(self, name), name) for name in names}

    @classmethod
    def from_config(cls, config):
        """Make a network, with new weights, from what ``get_config`` gave.

        Parameters
        ----------
        config : dict
            Arguments of ``__init__``; those left out take their defaults.

        Returns
        -------
        EEGModule
            A network of this class.

        Raises
        ------
        ValueError
            When the configuration names an argument that this class does not have, or an activation that is
            not part of torch.nn.
        """
        unknown = sorted(set(config) - set(inspect.signature(cls).parameters))
        if unknown:
            raise ValueError(f"{cls.__name__} has no argument {', '.join(unknown)}")
        arguments = dict(config)
        if isinstance(arguments.get("activation"), str):
            arguments["activation"] = _activation(arguments["activation"])
        if arguments.get("chs_info") is not None:
            arguments["chs_info"] = [
                entry | {"loc": np.array(entry["loc"], dtype=float)}
                if entry.get("loc") is not None
                else entry
                for entry in arguments["chs_info"]
            ]
        return cls(**arguments)

    # ----- files, the Hub -----------------------------------------------------------------------------

    def save_pretrained(self, directory):
        """Write weights and configuration, ``model.safetensors`` and ``config.json``.

        Parameters
        ----------
        directory : str or os.PathLike
            Where to; made when it does not exist.

        Raises
        ------
        ValueError
            As ``get_config``; nothing is written then.
        """
        files = self._files()
        Path(directory).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomically(Path(directory, name), data)

    def push_to_hub(self, repo_id, *, private=None, token=None, commit_message="Upload network"):
        """Put weights and configuration into a repository of the Hugging Face Hub.

        Parameters
        ----------
        repo_id : str
            Name of the repository, "user/name"; made when it does not exist.
        private : bool, optional
            Whether a new repository is private; the Hub's default when not given.
        token : str, optional
            Access token; the one of ``hf auth login`` when not given.
        commit_message : str, default="Upload network"
            What the commit says.

        Returns
        -------
        str
            Address of the commit.

        Raises
        ------
        ImportError
            When huggingface_hub is missing.
        PermissionError
            When the token is missing or may not write there.
        """
        return upload(repo_id, self._files(), private=private, token=token, commit_message=commit_message)

    def _files(self):
        config = {"architecture": type(self).__name__, "skeeg_version": __version__, **self.get_config()}
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        return {
            CONFIG_FILE: (json.dumps(config, indent=2, allow_nan=False) + "\n").encode(),
            WEIGHTS_FILE: save_tensors(weights, {"format": "pt"}),
        }

    @classmethod
    def from_pretrained(cls, source, n_outputs=None, *, revision=None, token=None, cache_dir=None):
        """Load a network that ``save_pretrained`` or ``push_to_hub`` wrote.

        Parameters
        ----------
        source : str or os.PathLike
            A directory, or the name of a repository on the Hugging Face Hub, "user/name".
        n_outputs : int, optional
            Number of classes. Where it differs from the saved network's, the head is made anew.
        revision, token, cache_dir : str, optional
            For the Hub, see ``huggingface_hub.hf_hub_download``.

        Returns
        -------
        EEGModule
            A network of this class, in eval mode.

        Raises
        ------
        FileNotFoundError
            When there is no such directory, file or repository.
        ImportError
            When a repository is named and huggingface_hub is missing.
        PermissionError
            When the Hub refuses the token, or asks for one, as it does for repositories that do not exist.
        ValueError
            When the files are broken, of another architecture, or do not fit each other.

        Notes
        -----
        Nothing in the files is executed. Directories that braindecode 1.8 wrote load where the arguments of
        both classes have the same names.

        Examples
        --------
        >>> import tempfile, torch
        >>> from skeeg.modules import SSTDPN
        >>> net = SSTDPN(n_chans=3, n_outputs=2, n_times=250).eval()
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     net.save_pretrained(directory)
        ...     same = SSTDPN.from_pretrained(directory)
        ...     other = SSTDPN.from_pretrained(directory, n_outputs=4)
        >>> x = torch.randn(5, 3, 250)
        >>> torch.equal(net(x), same(x)), other(x).shape
        (True, torch.Size([5, 4]))
        """
        hub = {"revision": revision, "token": token, "cache_dir": cache_dir}
        config_path, weights_path = (fetch(source, name, **hub) for name in (CONFIG_FILE, WEIGHTS_FILE))
        architecture, config = _read_config(config_path)
        if architecture not in (None, cls.__name__):
            raise ValueError(
                f"{source} holds a network {architecture}; load it with {architecture}.from_pretrained"
            )
        with open(weights_path, "rb") as file:
            data = file.read()
        try:
            net = _made_of(cls, config, load_tensors(data))
        except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise ValueError(f"{source} does not hold a {cls.__name__} that can be used: {error}") from error
        if n_outputs is not None and n_outputs != net.n_outputs:
            net.reset_head(n_outputs)
        return net.eval()

    # ----- adapting ---------------------------------------------------------------------------------------

    def reset_head(self, n_outputs):
        """Replace the head by a new one.

        Parameters
        ----------
        n_outputs : int
            Number of classes from now on.

        Raises
        ------
        ValueError
            When ``n_outputs`` is not a whole number of at least 1; the head stays as it is then.
        """
        self.n_outputs = _count("n_outputs", n_outputs)
        self._make_head()

    def _make_head(self):
        """Make a head for ``n_outputs`` classes, with new weights of the encoder's type and device."""
        raise NotImplementedError("a network defines _make_head")

    def freeze_encoder(self):
        """Let training change the head alone.

        The encoder's parameters need no gradient from here on, and it stays in eval mode: batch
        normalisation keeps its statistics, dropout is off.

        Returns
        -------
        EEGModule
            Itself.

        Raises
        ------
        ValueError
            When the network has no parameter under the names in ``head_names``.
        """
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.split(".")[0] in self.head_names)
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise ValueError(
                f"{type(self).__name__} has no parameter in any of {self.head_names}; name the parts of its "
                "head in the class attribute head_names"
            )
        self._frozen = True
        return self.train(self.training)

    def train(self, mode=True):
        """Switch to training mode; a frozen encoder stays in eval mode."""
        super().train(mode)
        if getattr(self, "_frozen", False):
            for name, child in self.named_children():
                if name not in self.head_names:
                    child.eval()
        return self


def _table(title, layers, parameters):
    """Layers as a table, with what they hold of the parameters."""

    def number(n):
        return "" if n is None else f"{n:,}"

    rows = [("layer", "output shape", "parameters", "multiply-accumulates")]
    for name, shape, macs in layers:
        held = [p.numel() for key, p in parameters.items() if f"{key}.".startswith(f"{name}.")]
        rows.append((name, "" if shape is None else str(shape), number(sum(held)), number(macs)))
    total = sum(macs or 0 for _, _, macs in layers)
    rows.append(("total", "", number(sum(p.numel() for p in parameters.values())), number(total or None)))
    name, shape, counts, macs = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = [f"{r[0]:{name}}  {r[1]:{shape}}  {r[2]:>{counts}}  {r[3]:>{macs}}".rstrip() for r in rows]
    rule = "-" * max(map(len, lines))
    note = "multiply-accumulates: convolutions and matrix products, of one trial, as layers are defined"
    return "\n".join([title, rule, lines[0], rule, *lines[1:-1], rule, lines[-1], note])


def _read_config(path):
    """Name of the architecture, where it is told, and arguments of the network."""
    try:
        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        architecture = config.pop("architecture", None)
        for name in ("skeeg_version", "braindecode_version"):
            config.pop(name, None)
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not a configuration in JSON: {error}") from error
    return architecture, config


def _made_of(cls, config, weights):
    """A network of these arguments and weights, no larger than the weights are."""
    check_sizes(config)
    held = sum(tensor.numel() for tensor in weights.values())
    with torch.random.fork_rng(devices=[]), Allowance(held):  # weights are drawn, and replaced
        net = cls.from_config(config)
        kinds = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
        if len(kinds) == 1:
            net.to(*kinds)
        net.load_state_dict(weights)
    return net


def _count(name, value):
    """A whole number of at least 1, as an int."""
    if not isinstance(value, Real) or not (value >= 1 and value % 1 == 0):
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return int(value)


def _plain(value, where):
    """An argument as JSON can hold it."""
    if isinstance(value, type) and getattr(nn, value.__name__, None) is value:
        return f"torch.nn.{value.__name__}"
    if isinstance(value, dict):
        return {str(key): _plain(entry, f"{where}[{key!r}]") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry, where) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist(), where)
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, (bool, str)):
        return value
    for kind in (int, float):  # also of subclasses, such as the named numbers of mne.Info
        if isinstance(value, kind):
            return kind(value)
    raise ValueError(
        f"{where}={value!r} cannot be written as JSON; give plain values, and activations from torch.nn"
    )


def _activation(name):
    """The class that "torch.nn.ELU" names; nothing but activations and other layers of torch.nn."""
    prefix, _, last = name.rpartition(".")
    found = (
        getattr(nn, last, None) if prefix == "torch.nn" or prefix.startswith("torch.nn.modules.") else None
    )
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(
            f"activation={name!r} is not the name of a class in torch.nn, such as 'torch.nn.ELU'"
        )
    return found
