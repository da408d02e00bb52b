"""Estimators out of files, whoever wrote them: what is there is checked before it is used."""

from __future__ import annotations

import copy
import math
import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils._metadata_requests import SIMPLE_METHODS

from skeeg.devices import threads_for_operations
from skeeg.persistence import learned, others, steps
from skeeg.persistence.format import unpack
from skeeg.persistence.registry import Kept, find_later, known_classes
from skeeg.persistence.restoring import restore
from skeeg.persistence.writing import ARRAY_KINDS, NOT_LEARNED, is_loaders_choice

_LARGEST = 2**63  # whole numbers beyond are no parameter of anything
_LARGEST_TRIAL = 2**20  # numbers in a trial that an estimator is tried with


@threads_for_operations()
def from_bytes(data, classes=(), name="the file", device="auto"):
    """Get the estimator back from the content of its file."""
    description, tensors = unpack(data, name)
    try:
        estimator = Reader(tensors, classes, device).decode(description)
        _try_out(estimator)
    except Exception as error:  # whatever a file made by hand brings about
        raise ValueError(f"{name} cannot be loaded: {error or type(error).__name__}") from error
    return estimator


class Reader:
    """Make an estimator from JSON and tensors."""

    def __init__(self, tensors, classes, device):
        self.tensors = tensors
        self.handed_over = {cls.__name__: cls for cls in classes}
        self.classes = known_classes() | self.handed_over
        self.device = device

    def decode(self, entry):
        if isinstance(entry, list):
            return [self.decode(e) for e in entry]
        if not isinstance(entry, dict):
            return _plain(entry)
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
        if kind == "RandomState":
            return _random_state(*self.decode(content))
        if kind == "class":
            return self._class(content)
        raise ValueError(f"it holds a {kind!r}, which this version of skeeg does not know")

    def _class(self, name):
        if name not in self.classes:
            found = find_later(name)
            if found is not None:
                return found
            raise ValueError(
                f"it names the class {name!r}, which is not skeeg's; hand it over: classes=[{name}]"
            )
        return self.classes[name]

    def _array(self, content):
        shape = content["shape"]
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError(f"it holds an array of the shape {shape}")
        if "objects" in content:
            entries = self.decode(content["objects"])
            if not all(entry is None or isinstance(entry, (str, bool, int, float)) for entry in entries):
                raise ValueError("it holds an array of objects that are neither text nor numbers")
            array = np.empty(len(entries), dtype=object)
            array[:] = entries
            return array.reshape(shape)
        dtype = np.dtype(content["dtype"])
        if dtype.kind not in ARRAY_KINDS or dtype.itemsize == 0:
            raise ValueError(f"it holds an array of {dtype}")
        data = self.tensors[content["tensor"]].numpy().tobytes()
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"it holds {len(data)} bytes for an array of {dtype} of the shape {shape}")
        if dtype.kind == "b" and max(data, default=0) > 1:
            raise ValueError("it holds truth values that are neither true nor false")
        if dtype.kind == "U":  # NumPy does not ask
            points = np.frombuffer(data, dtype.byteorder + "u4")
            if points.size and points.max() > 0x10FFFF:
                raise ValueError("it holds text of characters that there are not")
        order = "F" if content.get("columns") else "C"
        return np.frombuffer(data, dtype).reshape(shape, order=order).copy(order)

    def _object(self, entry):
        cls = self._class(entry["object"])
        if cls in others.splitters():
            return others.make_splitter(cls, self._values(entry["params"]))
        if issubclass(cls, Kept):
            made = self._kept(cls, entry)
        elif cls is Pipeline:
            made = self._pipeline(entry["params"])
        elif cls is FrozenEstimator:
            made = FrozenEstimator(self.decode(entry["params"]["estimator"]))
            if not hasattr(made.estimator, "fit"):
                raise ValueError("a FrozenEstimator holds what is no estimator")
        elif cls is FeatureUnion:
            made = self._union(self._values(entry["params"]))
        elif entry["object"] in steps.LEARNED:
            made = self._other(cls, entry)
        else:
            raise ValueError(f"it makes an object of {cls.__name__}, of which it may only name the class")
        if "requests" in entry:
            _request(made, entry["requests"])
        return made

    def _values(self, entries):
        return {name: self.decode(value) for name, value in entries.items()}

    def _pipeline(self, params):
        if params.get("memory") is not None:
            raise ValueError("it sets a Pipeline's memory, a folder of pickles")
        steps = self.decode(params["steps"])
        others.check_steps(steps)
        made = Pipeline(steps)
        wanted = self.decode(params.get("transform_input"))
        if wanted is not None:
            if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
                raise ValueError("a Pipeline's transform_input is a list of names")
            made.transform_input = wanted
        return made

    def _union(self, params):
        parts = params.pop("transformer_list")
        others.check_steps(parts, last=("fit", "transform"), without="drop")
        weights = params.get("transformer_weights")
        if weights is not None:
            names = [name for name, _ in parts]
            if not isinstance(weights, dict) or not set(weights) <= set(names):
                raise ValueError(f"a FeatureUnion's transformer_weights are numbers for {names}")
            for value in weights.values():
                learned.number()(value, {})
        learned.boolean(params["verbose_feature_names_out"], {})
        return FeatureUnion(parts, **params)

    def _other(self, cls, entry):
        params = self._values({k: v for k, v in entry["params"].items() if k not in steps.RUNNING})
        steps.check_params(entry["object"], params)
        made = cls(**params)
        if hasattr(made, "_parameter_constraints"):
            made._validate_params()
        found = self._values(entry["learned"])
        if found:
            steps.check(entry["object"], found)
        vars(made).update(found)
        _set_output(made, entry)
        return made

    def _kept(self, cls, entry):
        params = {k: v for k, v in entry["params"].items() if not is_loaders_choice(cls, k)}
        params = self._values(params)
        self._check_network(params.get("module"))
        made = cls(**params)
        if "device" in cls._loaders_choice:
            made.device = self.device
        if hasattr(made, "_parameter_constraints"):
            made._validate_params()
        # format 1 held some of what is made anew, too
        found = self._values({k: v for k, v in entry["learned"].items() if k not in NOT_LEARNED})
        if found:
            learned.check(cls, found)
        if "state" in entry:
            restore(made, found, self._values(entry["state"]), self.decode(entry["history"]))
        else:
            vars(made).update(found)
        if found:
            made._check_loaded()
        _set_output(made, entry)
        return made

    def _check_network(self, network):
        """Refuse a network that the caller did not hand over: its code runs."""
        if network is None:
            return
        name = network if isinstance(network, str) else network.__name__
        if name not in self.handed_over or network not in (name, self.handed_over[name]):
            raise ValueError(f"it names the network {name!r}; hand its class over: classes=[{name}]")


def _plain(value):
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("it holds a whole number of more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number out of range")
    return value


def _set_output(made, entry):
    """Give an estimator the containers that a file says it makes."""
    if "output" in entry:
        made.set_output(transform=entry["output"].get("transform"))


def _random_state(kind, key, position, has_gauss, gauss):
    learned.one_of("MT19937")(kind, {})
    learned.array(np.uint32, 624)(key, {})
    learned.whole(0, 624)(position, {})
    learned.whole(0, 1)(has_gauss, {})
    learned.number()(gauss, {})
    random_state = np.random.RandomState(0)
    random_state.set_state((kind, key, position, has_gauss, gauss))
    return random_state


def _request(estimator, requests):
    """Give an estimator the metadata requests of a file."""
    request = estimator._get_metadata_request()
    for method, wanted in requests.items():
        if method not in SIMPLE_METHODS:
            raise ValueError(f"it requests metadata for {method!r}")
        for name, alias in wanted.items():
            getattr(request, method).add_request(param=name, alias=alias)
    estimator._metadata_request = request


def _try_out(estimator):
    """Let a loaded estimator compute, where its trials have a size that is known and not too large."""
    if isinstance(estimator, Pipeline):  # from the first step on that knows the size of trials
        sized = (i for i, (_, step) in enumerate(estimator.steps) if _first_of(step, "n_chans_") is not None)
        start = next(sized, None)
        if start is None:
            return
        estimator = estimator[start:]
    n_chans, n_times = _first_of(estimator, "n_chans_"), _first_of(estimator, "n_times_")
    if n_chans is None or n_chans * n_times > _LARGEST_TRIAL:
        return
    trials = 10 * np.random.default_rng(0).standard_normal((2, n_chans, n_times), dtype=np.float32)
    methods = ("predict_proba", "predict", "transform")
    estimator = copy.deepcopy(estimator)  # one that remembers what it sees is not to remember this
    compute = next(getattr(estimator, method) for method in methods if hasattr(estimator, method))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of noise
        result = np.asarray(compute(trials))
    if result.dtype.kind in "fc" and not np.isfinite(result).all():
        raise ValueError("it computes numbers that are not finite")


def _first_of(estimator, name):
    """Get an attribute of the estimator that sees trials first, however deep; None where it has none."""
    while isinstance(estimator, (Pipeline, FrozenEstimator, FeatureUnion)):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
            continue
        parts = estimator.steps if isinstance(estimator, Pipeline) else estimator.transformer_list
        chosen = [part for _, part in parts if part not in (None, "passthrough", "drop")]
        estimator = chosen[0] if chosen else None
    return getattr(estimator, name, None)
