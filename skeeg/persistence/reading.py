"""Estimators out of files."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.history import History

from skeeg.devices import resolve_device
from skeeg.persistence.format import unpack
from skeeg.persistence.registry import is_kept, known_classes
from skeeg.persistence.writing import ARRAY_KINDS


def from_bytes(data, classes=(), name="the file"):
    """Get the estimator back from the content of its file."""
    description, tensors = unpack(data, name)
    try:
        return Reader(tensors, classes).decode(description)
    except Exception as error:  # whatever a file made by hand brings about
        raise ValueError(f"{name} cannot be loaded: {error}") from error


class Reader:
    """Make an estimator from JSON and tensors."""

    def __init__(self, tensors, classes):
        self.tensors = tensors
        self.classes = known_classes() | {cls.__name__: cls for cls in classes}

    def decode(self, entry):
        if isinstance(entry, list):
            return [self.decode(e) for e in entry]
        if not isinstance(entry, dict):
            return entry
        if "object" in entry:
            return self._object(entry)
        ((kind, content),) = entry.items()
        if kind == "float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
        if kind == "tuple":
            return tuple(self.decode(content))
        if kind == "dict":
            return {self.decode(key): self.decode(value) for key, value in content}
        if kind == "array":
            return self._array(content)
        if kind == "scalar":
            return self._array(content)[()]
        if kind == "tensor":
            return self.tensors[content].clone()
        if kind == "device":
            return torch.device(content)
        if kind == "RandomState":
            random_state = np.random.RandomState()
            random_state.set_state(self.decode(content))
            return random_state
        if kind == "class":
            return self._class(content)
        raise ValueError(f"it holds a {kind!r}, which this version of skeeg does not know")

    def _class(self, name):
        if name not in self.classes:
            raise ValueError(
                f"it names the class {name!r}, which is not skeeg's; hand it over: classes=[{name}]"
            )
        return self.classes[name]

    def _array(self, content):
        if "objects" in content:
            array = np.empty(len(content["objects"]), dtype=object)
            array[:] = self.decode(content["objects"])
        else:
            dtype = np.dtype(content["dtype"])
            if dtype.kind not in ARRAY_KINDS:
                raise ValueError(f"it holds an array of {dtype}")
            array = np.frombuffer(self.tensors[content["tensor"]].numpy().tobytes(), dtype).copy()
        return array.reshape(content["shape"])

    def _object(self, entry):
        cls = self._class(entry["object"])
        if not is_kept(cls):
            raise ValueError(f"it makes an object of {cls.__name__}, of which it may only name the class")
        params = {name: self.decode(value) for name, value in entry["params"].items()}
        if not issubclass(cls, BaseEstimator):
            made = cls.__new__(cls)
            vars(made).update(params)
            return made
        if params.get("memory") is not None:
            raise ValueError("it sets a Pipeline's memory, a folder of pickles")
        made = cls(**params)
        learned = {name: self.decode(value) for name, value in entry["learned"].items()}
        if "state" in entry:
            state = {name: self.decode(value) for name, value in entry["state"].items()}
            _restore(made, learned, state, History(self.decode(entry["history"])))
        else:
            vars(made).update(learned)
        if "requests" in entry:
            request = made._get_metadata_request()
            for method, wanted in entry["requests"].items():
                for name, alias in wanted.items():
                    getattr(request, method).add_request(param=name, alias=alias)
            made._metadata_request = request
        return made


def _restore(net, learned, state, history):
    """Make a classifier what it was when it was saved."""
    vars(net).update(learned)
    net.device_ = _present_device(net.device)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fit has said it
        net.initialize()  # initial weights are drawn, and replaced
    for name, values in state.items():
        getattr(net, f"{name}_").load_state_dict(values)
    net._history = history
    net.module_.eval()


def _present_device(device):
    try:
        return resolve_device(device)
    except ValueError:  # trained on a device that this machine does not have
        return resolve_device("auto")
