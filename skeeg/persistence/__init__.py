"""Save fitted estimators, load and share them: one safetensors file, no pickle.

A file holds everything that predicts, and that training goes on from: parameters, what ``fit`` learned,
weights, the state of loss and optimiser, the history, and the versions that wrote it. It is a safetensors
file whose metadata hold one string, ``skeeg``: a checksum of the whole file and, after a space, a description
in JSON that refers to the tensors by name. One file, because it can be replaced atomically and handed on as
it is, in a format that other tools read; the same estimator gives the same bytes.

Loading executes nothing: the description names classes, and only those that are listed here (of skeeg,
torch.nn, torch.optim, scikit-learn's splitters) or handed over by the caller are made.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import safetensors
import sklearn
import sklearn.model_selection
import skorch
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch.history import History

from skeeg.files import fetch, upload, write_atomically

FORMAT = 1
HUB_FILE = "estimator.safetensors"

_NO_SUM = "0" * 64  # in the place of the checksum while it is computed
_ARRAY_KINDS = "biufcUS"
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
_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeavePGroupsOut",
    "PredefinedSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)


def save(estimator, path):
    """Save a fitted estimator, or a Pipeline of skeeg's steps, to one file.

    Parameters
    ----------
    estimator : EEGClassifier, transformer of skeeg, or sklearn.pipeline.Pipeline of these
        Fitted.
    path : str or os.PathLike
        The file; replaced where it exists, atomically: a crash leaves the old one. Any name will do;
        ".safetensors" tells other tools what it is.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        When the estimator is not fitted.
    ValueError
        When a part of it cannot be kept without pickle, such as a step of another library; nothing is
        written then.

    Notes
    -----
    Pipelines with steps of other libraries can be kept with skops, which asks the reader what to trust: for
    skeeg's estimators, their own names, such as ``skops.io.load(path,
    trusted=["skeeg.preprocessing.scaling.Scaler", "skeeg.estimators.sstdpn.SSTDPNClassifier"])``.

    Examples
    --------
    >>> import os, tempfile, numpy as np, skeeg
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = np.random.default_rng(0).standard_normal((20, 3, 250)), np.repeat(["left", "right"], 10)
    >>> pipe = make_pipeline(skeeg.Scaler(), skeeg.SSTDPNClassifier(max_epochs=1)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "left_right.safetensors")
    ...     skeeg.save(pipe, path)
    ...     same = skeeg.load(path)
    >>> bool((same.predict_proba(X) == pipe.predict_proba(X)).all())
    True
    """
    _check_savable(estimator)
    write_atomically(path, to_bytes(estimator))


def load(path, classes=()):
    """Load what :func:`save` wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    classes : sequence of class, default=()
        Classes of your own that the file names: subclasses of :class:`skeeg.EEGClassifier`, activations,
        losses.

    Returns
    -------
    estimator
        Fitted; it predicts to the bit what the saved one did, on the same machine and versions.

    Raises
    ------
    ValueError
        When the file is broken, was changed, is of another kind or of a newer skeeg, or names a class that
        is neither skeeg's nor in ``classes``.
    """
    return from_bytes(Path(path).read_bytes(), classes, os.fspath(path))


def push_to_hub(estimator, repo_id, *, data=None, score=None, private=None, token=None, commit_message=None):
    """Share a fitted estimator, with a model card, in a repository of the Hugging Face Hub.

    Parameters
    ----------
    estimator : EEGClassifier, transformer of skeeg, or sklearn.pipeline.Pipeline of these
        Fitted.
    repo_id : str
        Name of the repository, "user/name"; made when it does not exist.
    data : str, optional
        For the card: what the estimator was trained on.
    score : str or dict of str to float, optional
        For the card: how good it is, and on which data.
    private : bool, optional
        Whether a new repository is private; the Hub's default when not given.
    token : str, optional
        Access token; the one of ``hf auth login`` when not given.
    commit_message : str, optional
        What the commit says.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    ImportError
        When huggingface_hub is missing (``pip install 'skeeg[hub]'``).
    PermissionError
        When the token is missing or may not write there.
    ValueError
        As :func:`save`.
    """
    _check_savable(estimator)
    files = {
        HUB_FILE: to_bytes(estimator),
        "README.md": model_card(estimator, repo_id, data=data, score=score).encode(),
    }
    message = commit_message or f"Upload {type(classifier_of(estimator)).__name__}"
    return upload(repo_id, files, private=private, token=token, commit_message=message)


def from_pretrained(source, classes=(), *, revision=None, token=None, cache_dir=None):
    """Load an estimator that :func:`push_to_hub` shared.

    Parameters
    ----------
    source : str or os.PathLike
        Name of the repository, "user/name", or a local copy of it.
    classes : sequence of class, default=()
        As in :func:`load`.
    revision, token, cache_dir : str, optional
        See ``huggingface_hub.hf_hub_download``.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    FileNotFoundError
        When ``source`` is neither a repository nor a directory with an estimator.
    ImportError
        When huggingface_hub is missing (``pip install 'skeeg[hub]'``).
    PermissionError
        When the Hub refuses the token, or asks for one, as it does for repositories that do not exist.
    ValueError
        As :func:`load`.
    """
    return load(fetch(source, HUB_FILE, revision=revision, token=token, cache_dir=cache_dir), classes)


def _check_savable(estimator):
    from skeeg.estimators.base import EEGClassifier

    check_is_fitted(estimator)
    classifier = classifier_of(estimator)
    if isinstance(classifier, EEGClassifier):
        classifier.check_params_unchanged()


def classifier_of(estimator):
    """Get the classifier at the end of a Pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


# ----- files ----------------------------------------------------------------------------------------------


def to_bytes(estimator):
    """Get the content of the file of an estimator."""
    writer = _Writer()
    document = {
        "format": FORMAT,
        "versions": _versions(),
        "estimator": writer.encode(estimator, type(estimator).__name__),
    }
    data = save_tensors(writer.tensors, {"skeeg": f"{_NO_SUM} {json.dumps(document, allow_nan=False)}"})
    start = _place_of_sum(data)
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[start + len(_NO_SUM) :]


def from_bytes(data, classes=(), name="the file"):
    """Get the estimator back from the content of its file."""
    try:
        checksum, _, document = _header(data)["__metadata__"]["skeeg"].partition(" ")
        start = _place_of_sum(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{name} is not a file of skeeg.save, or is cut off or damaged at its start"
        ) from error
    blank = data[:start] + _NO_SUM.encode() + data[start + len(_NO_SUM) :]
    if hashlib.sha256(blank).hexdigest() != checksum:
        raise ValueError(f"{name} is damaged: its checksum does not fit its content; get a fresh copy")
    try:
        document = json.loads(document)
        version = document["format"]
        if version > FORMAT:
            raise ValueError(
                f"it was written by skeeg {document['versions']['skeeg']} in format {version}, this skeeg "
                f"reads formats up to {FORMAT}; upgrade skeeg"
            )
        return _Reader(load_tensors(data), classes).decode(document["estimator"])
    except Exception as error:  # whatever a file made by hand brings about
        raise ValueError(f"{name} cannot be loaded: {error}") from error


def _header(data):
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= len(data) - 8:
        raise ValueError("no header")
    return json.loads(data[8 : 8 + size])


def _place_of_sum(data):
    key = b'"skeeg":"'
    return data.index(key, 8) + len(key)


def _versions():
    from skeeg import __version__

    return {
        "skeeg": __version__,
        "torch": torch.__version__,
        "skorch": skorch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
    }


# ----- the description ------------------------------------------------------------------------------------


@cache
def _known_classes():
    """Classes that a file may name."""
    import skeeg
    from skeeg import augmentation, preprocessing
    from skeeg.estimators import iterators
    from skeeg.modules import losses

    known = {
        f"torch.{room.__name__.split('.')[1]}.{name}": cls
        for room, base in ((torch.nn, torch.nn.Module), (torch.optim, torch.optim.Optimizer))
        for name, cls in vars(room).items()
        if isinstance(cls, type) and issubclass(cls, base)
    }
    known["torch.utils.data.DataLoader"] = torch.utils.data.DataLoader
    known |= {
        f"sklearn.model_selection.{name}": getattr(sklearn.model_selection, name) for name in _SPLITTERS
    }
    known |= {"sklearn.pipeline.Pipeline": Pipeline, "sklearn.frozen.FrozenEstimator": FrozenEstimator}
    for room in (skeeg, augmentation, iterators, losses, preprocessing):
        for name, cls in vars(room).items():
            if isinstance(cls, type) and cls.__module__.startswith("skeeg.") and not name.startswith("_"):
                known[f"skeeg.{name}"] = cls
    return known


def _name_of(cls):
    for name, known in _known_classes().items():
        if known is cls:
            return name
    return cls.__name__  # one of the user's own, whom `load` asks for it


def _is_kept(cls):
    """Tell whether parameters and attributes are all there is to objects of a class."""
    from skeeg.augmentation import Augmentation
    from skeeg.estimators.base import EEGClassifier

    if issubclass(cls, (EEGClassifier, Augmentation)):
        return True
    name = _name_of(cls)
    return name.startswith("sklearn.") or (name.startswith("skeeg.") and issubclass(cls, BaseEstimator))


class _Writer:
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
            return {"class": _name_of(value)}
        if isinstance(value, Pipeline):
            return self._pipeline(value, where)
        if _is_kept(type(value)):
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
                and not (isinstance(step, Pipeline) or _is_kept(type(step)))
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
            "object": _name_of(type(value)),
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
        if array.dtype.kind not in _ARRAY_KINDS:
            raise ValueError(f"{where} is an array of {array.dtype}, which skeeg.save does not keep")
        data = torch.from_numpy(np.frombuffer(array.tobytes(), np.uint8).copy())
        return {"shape": list(array.shape), "dtype": array.dtype.str, "tensor": self._tensor(data)}

    def _tensor(self, tensor):
        name = f"{len(self.tensors)}"
        self.tensors[name] = tensor
        return name


class _Reader:
    """Make an estimator from JSON and tensors."""

    def __init__(self, tensors, classes):
        self.tensors = tensors
        self.classes = _known_classes() | {cls.__name__: cls for cls in classes}

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
            if dtype.kind not in _ARRAY_KINDS:
                raise ValueError(f"it holds an array of {dtype}")
            array = np.frombuffer(self.tensors[content["tensor"]].numpy().tobytes(), dtype).copy()
        return array.reshape(content["shape"])

    def _object(self, entry):
        cls = self._class(entry["object"])
        if not _is_kept(cls):
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
    from skeeg.estimators.base import _resolve_device

    try:
        return _resolve_device(device)
    except ValueError:  # trained on a device that this machine does not have
        return _resolve_device("auto")


# ----- the model card -------------------------------------------------------------------------------------


def model_card(estimator, repo_id="user/name", *, data=None, score=None):
    """Describe a fitted estimator in Markdown: architecture, data, score, and how to load it.

    Parameters
    ----------
    estimator : EEGClassifier, or sklearn.pipeline.Pipeline that ends in one
        Fitted.
    repo_id : str, default="user/name"
        Name of the repository that the card is for.
    data : str, optional
        What the estimator was trained on.
    score : str or dict of str to float, optional
        How good it is, and on which data.

    Returns
    -------
    str
    """
    classifier = classifier_of(estimator)
    name = type(classifier).__name__
    lines = [
        "---",
        "library_name: skeeg",
        "tags: [eeg, brain-computer-interface, skeeg]",
        "---",
        "",
        f"# {repo_id.rpartition('/')[2]}",
        "",
        f"`{name}` of skeeg: {(type(classifier).__doc__ or name).strip().splitlines()[0]}",
        "",
        "## How to load it",
        "",
        "```python",
        "import skeeg",
        "",
        f'estimator = skeeg.from_pretrained("{repo_id}")',
        "estimator.predict(X)  # X: mne.Epochs, or an array (n_trials, n_chans, n_times)",
        "```",
        "",
        "## What it expects",
        "",
    ]
    if hasattr(classifier, "n_chans_"):
        rate = "" if classifier.sfreq_ is None else f" at {classifier.sfreq_:g} Hz"
        names = "" if classifier.ch_names_ is None else ": " + ", ".join(classifier.ch_names_)
        lines += [
            f"- trials of {classifier.n_times_} samples{rate}",
            f"- {classifier.n_chans_} channels{names}",
            f"- classes: {', '.join(map(str, classifier.classes_.tolist()))}",
        ]
    if isinstance(estimator, Pipeline):
        lines.append(f"- steps: {', '.join(type(step).__name__ for _, step in estimator.steps)}")
    lines += ["", "## Data", "", data or "Not described.", "", "## Score", ""]
    if isinstance(score, dict):
        lines += ["| measure | value |", "| --- | --- |", *(f"| {k} | {v:.4g} |" for k, v in score.items())]
    else:
        lines.append(score or "Not reported.")
    lines += ["", "## Architecture", "", "```", repr(classifier)]
    if hasattr(classifier, "module_"):
        lines += ["", str(classifier.module_)]
    lines += ["```", "", "## Versions", "", ", ".join(f"{k} {v}" for k, v in _versions().items()), ""]
    return "\n".join(lines)
