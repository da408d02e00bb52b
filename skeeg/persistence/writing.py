"""Estimators into files."""

from __future__ import annotations

import math
import types

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils._metadata_requests import SIMPLE_METHODS

from skeeg.devices import threads_for_operations
from skeeg.persistence import others, steps
from skeeg.persistence.format import pack
from skeeg.persistence.registry import Kept, is_kept, name_of

ARRAY_KINDS = "biufcUS"
#: What skorch keeps of its own and makes anew, and what is saved in a form of its own.
NOT_LEARNED = {
    "callbacks_",
    "criterion_",
    "cuda_dependent_attributes_",
    "device_",
    "init_context_",
    "initialized_",
    "module_",
    "optimizer_",
    "prefixes_",
    "virtual_params_",
    "_began_with",
    "_began_with_callbacks",
    "_compiled",
    "_criteria",
    "_history",
    "_metadata_request",
    "_modules",
    "_optimizers",
}
#: Options of iterators that say how they run.
RUNNING = (
    "device",
    "in_order",
    "num_workers",
    "persistent_workers",
    "pin_memory",
    "pin_memory_device",
    "prefetch_factor",
    "timeout",
)


def is_loaders_choice(cls, name):
    """Tell whether a parameter says how an object of a class is run, and is not in files therefore."""
    prefix, _, option = name.partition("__")
    return prefix in cls._loaders_choice or (prefix.startswith("iterator_") and option in RUNNING)


def to_bytes(estimator):
    """Get the content of the file of an estimator."""
    return Writer().file_of(estimator)


def _refusal(value, where):
    return ValueError(
        f"{where} is {value!r} of {type(value)}; skeeg.save keeps skeeg's own estimators, plain values and "
        "arrays alone. Set another value before saving (set_params); an estimator of another library can be "
        "saved around skeeg's with skops"
    )


class Writer:
    """Turn an estimator into JSON and tensors.

    Attributes
    ----------
    tensors : dict of str to torch.Tensor
        What the JSON refers to.
    own : set of class
        Classes of the user's that it names.
    """

    def __init__(self):
        self.tensors, self.own = {}, set()

    @threads_for_operations()
    def file_of(self, estimator):
        """Get the content of the file of an estimator."""
        return pack(self.encode(estimator, type(estimator).__name__), self.tensors)

    def encode(self, value, where):
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value), where)}
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, list):
            return [self.encode(entry, f"{where}[{i}]") for i, entry in enumerate(value)]
        if isinstance(value, tuple):
            return {"tuple": self.encode(list(value), where)}
        if isinstance(value, dict):
            pairs = [[self.encode(k, where), self.encode(v, f"{where}[{k!r}]")] for k, v in value.items()]
            return {"dict": pairs}
        if isinstance(value, np.ndarray):
            return {"array": self._array(value, where)}
        if isinstance(value, torch.Tensor):
            return {"tensor": self._tensor(value.detach().cpu().clone().contiguous())}
        if isinstance(value, np.random.RandomState):
            return {"RandomState": self.encode(value.get_state(), where)}
        if isinstance(value, type) or (
            isinstance(value, types.FunctionType) and name_of(value).startswith(("skeeg.", "sklearn."))
        ):
            return {"class": self._name(value)}
        if isinstance(value, Pipeline):
            return self._pipeline(value, where)
        if isinstance(value, FrozenEstimator):
            return self._object(value, {"estimator": value.estimator}, {}, where)
        if type(value) in others.splitters():
            return self._object(value, others.splitter_arguments(value), {}, where)
        if isinstance(value, FeatureUnion):
            return self._union(value, where)
        if isinstance(value, Kept):
            return self._kept(value, where)
        if steps.name_of(type(value)):
            return self._other(value, where)
        raise _refusal(value, where)

    def _pipeline(self, pipeline, where):
        if pipeline.memory is not None:
            raise ValueError(
                f"{where}.memory is set: a cache is a folder of pickles; set memory=None to save"
            )
        for name, step in pipeline.steps:
            if step not in (None, "passthrough") and not is_kept(type(step)):
                raise ValueError(
                    f"step {name!r} of {where} is a {type(step).__name__}, which is not skeeg's, nor one of "
                    "those of scikit-learn, pyRiemann and MNE in skeeg.persistence.steps. Use skops: "
                    "skops.io.dump(estimator, path)"
                )
        params = {"steps": pipeline.steps, "transform_input": getattr(pipeline, "transform_input", None)}
        return self._object(pipeline, params, {}, where)

    def _union(self, union, where):
        for name, part in union.transformer_list:
            if part not in ("drop", "passthrough") and not is_kept(type(part)):
                raise _refusal(part, f"{where}.{name}")
        names = ("transformer_list", "transformer_weights", "verbose_feature_names_out")
        return self._object(union, {name: getattr(union, name) for name in names}, {}, where)

    def _other(self, value, where):
        """Encode an estimator of another library, all of whose attributes are listed."""
        params = value.get_params(deep=False)
        kept = {name: v for name, v in params.items() if name not in steps.RUNNING}
        learned = {
            name: v
            for name, v in vars(value).items()
            if name not in (*params, *steps.MADE_ANEW, "_metadata_request", "_sklearn_output_config")
        }
        if learned.get("kwds") == {}:  # of pyRiemann's Covariances
            del learned["kwds"]
        unknown = sorted(set(learned) - set(steps.LEARNED[steps.name_of(type(value))]))
        if unknown:
            raise _refusal(learned[unknown[0]], f"{where}.{unknown[0]}")
        entry = self._object(value, kept, learned, where)
        if "_sklearn_output_config" in vars(value):
            entry["output"] = value._sklearn_output_config
        return entry

    def _kept(self, value, where):
        params = value.get_params(deep=False)
        if params.get("callbacks") not in (None, "disable", []):
            raise _refusal(params["callbacks"], f"{where}.callbacks")
        if isinstance(params.get("module"), str):  # a network by name, which readers hand over
            self.own.add(type(value.module_))
        learned = {k: v for k, v in vars(value).items() if k not in params and k not in NOT_LEARNED}
        config = learned.pop("_sklearn_output_config", None)
        unknown = sorted(set(learned) - set(value._learned))
        if unknown:
            raise ValueError(
                f"{where} has {', '.join(unknown)}, which {type(value).__name__} does not list among what it "
                "learns, in _learned; see skeeg.persistence.learned"
            )
        entry = self._object(
            value, {k: v for k, v in params.items() if not is_loaders_choice(type(value), k)}, learned, where
        )
        if config is not None:
            entry["output"] = config
        if getattr(value, "initialized_", False):
            entry["state"] = {
                name: self.encode(dict(getattr(value, f"{name}_").state_dict()), f"{where}.{name}_")
                for name in ("module", "criterion", "optimizer")
            }
            entry["history"] = self.encode([dict(row) for row in value.history], f"{where}.history")
        return entry

    def _object(self, value, params, learned, where):
        entry = {
            "object": self._name(type(value)),
            "params": {name: self.encode(v, f"{where}.{name}") for name, v in params.items()},
            "learned": {name: self.encode(v, f"{where}.{name}") for name, v in learned.items()},
        }
        if isinstance(value, BaseEstimator) and "_metadata_request" in vars(value):
            entry["requests"] = {
                method: getattr(value._metadata_request, method).requests for method in SIMPLE_METHODS
            }
        return entry

    def _name(self, cls):
        name = name_of(cls)
        if name == cls.__name__:
            self.own.add(cls)
        return name

    def _array(self, array, where):
        if array.dtype.kind == "O":
            entries = array.ravel().tolist()
            if not all(entry is None or isinstance(entry, (str, bool, int, float)) for entry in entries):
                raise ValueError(f"{where} is an array of objects that are neither text nor numbers")
            return {"shape": list(array.shape), "objects": self.encode(entries, where)}
        if array.dtype.kind not in ARRAY_KINDS:
            raise ValueError(f"{where} is an array of {array.dtype}, which skeeg.save does not keep")
        # products of matrices round as these lie in memory
        columns = array.flags.f_contiguous and not array.flags.c_contiguous
        data = torch.from_numpy(np.frombuffer(array.tobytes("F" if columns else "C"), np.uint8).copy())
        entry = {"shape": list(array.shape), "dtype": array.dtype.str, "tensor": self._tensor(data)}
        return entry | ({"columns": True} if columns else {})

    def _tensor(self, tensor):
        name = f"{len(self.tensors)}"
        self.tensors[name] = tensor
        return name
