"""Estimators into files."""

from __future__ import annotations

import math

import numpy as np
import sklearn
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from skeeg.persistence.format import pack
from skeeg.persistence.registry import is_kept, name_of

ARRAY_KINDS = "biufcUS"
# what skorch keeps of its own and makes anew, and what is saved in a form of its own
_NOT_LEARNED = {
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
    "_compiled",
    "_criteria",
    "_history",
    "_metadata_request",
    "_modules",
    "_optimizers",
}


def to_bytes(estimator):
    """Get the content of the file of an estimator."""
    writer = Writer()
    return pack(writer.encode(estimator, type(estimator).__name__), writer.tensors)


class Writer:
    """Turn an estimator into JSON and tensors."""

    def __init__(self):
        self.tensors = {}

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
        if isinstance(value, torch.device):
            return {"device": str(value)}
        if isinstance(value, np.random.RandomState):
            return {"RandomState": self.encode(value.get_state(), where)}
        if isinstance(value, type):
            return {"class": name_of(value)}
        if isinstance(value, Pipeline):
            return self._pipeline(value, where)
        if is_kept(type(value)):
            return self._object(value, where)
        raise ValueError(
            f"{where} is {value!r} of {type(value)}; skeeg.save keeps skeeg's own estimators, plain values "
            "and arrays alone. Set another value before saving (set_params); an estimator of another library "
            "can be saved around skeeg's with skops"
        )

    def _pipeline(self, pipeline, where):
        if pipeline.memory is not None:
            raise ValueError(
                f"{where}.memory is set: a cache is a folder of pickles; set memory=None to save"
            )
        for name, step in pipeline.steps:
            if (
                step is not None
                and step != "passthrough"
                and not (isinstance(step, Pipeline) or is_kept(type(step)))
            ):
                raise ValueError(
                    f"step {name!r} of {where} is a {type(step).__name__}, which is not skeeg's: "
                    "skeeg.save keeps skeeg's own steps alone. Use skops: skops.io.dump(estimator, path)"
                )
        return self._object(pipeline, where)

    def _object(self, value, where):
        if isinstance(value, BaseEstimator):
            params = value.get_params(deep=False)
        else:
            params = vars(value)  # of scikit-learn's splitters
        entry = {
            "object": name_of(type(value)),
            "params": {name: self.encode(v, f"{where}.{name}") for name, v in params.items()},
        }
        if isinstance(value, BaseEstimator):
            learned = {k: v for k, v in vars(value).items() if k not in params and k not in _NOT_LEARNED}
            entry["learned"] = {name: self.encode(v, f"{where}.{name}") for name, v in learned.items()}
            if "_metadata_request" in vars(value):
                entry["requests"] = {
                    method: getattr(value._metadata_request, method).requests
                    for method in sklearn.utils._metadata_requests.SIMPLE_METHODS
                }
        if getattr(value, "initialized_", False):
            entry["state"] = {
                name: self.encode(dict(getattr(value, f"{name}_").state_dict()), f"{where}.{name}_")
                for name in ("module", "criterion", "optimizer")
            }
            entry["history"] = self.encode([dict(row) for row in value.history], f"{where}.history")
        return entry

    def _array(self, array, where):
        if array.dtype.kind == "O":
            entries = array.ravel().tolist()
            if not all(entry is None or isinstance(entry, (str, bool, int, float)) for entry in entries):
                raise ValueError(f"{where} is an array of objects that are neither text nor numbers")
            return {"shape": list(array.shape), "objects": self.encode(entries, where)}
        if array.dtype.kind not in ARRAY_KINDS:
            raise ValueError(f"{where} is an array of {array.dtype}, which skeeg.save does not keep")
        data = torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())
        return {"shape": list(array.shape), "dtype": array.dtype.str, "tensor": self._tensor(data)}

    def _tensor(self, tensor):
        name = f"{len(self.tensors)}"
        self.tensors[name] = tensor
        return name
