"""Finished folds on disk: named by all that decides them, and believed only when they hold."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import uuid
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from joblib.hashing import NumpyHasher

from skeeg import persistence
from skeeg._version import __version__
from skeeg.evaluation.calibration import OwnTrials
from skeeg.evaluation.results import TABLES
from skeeg.evaluation.running import check_probabilities
from skeeg.files import write_atomically

FORMAT = 2
_PACKAGES = ("torch", "skorch", "scikit-learn", "numpy", "scipy", "mne", "pyriemann")


def folder_of(out):
    """Make the folder of the kept folds, and see that all that will be written to `out` can be."""
    out = Path(out)
    folder = out / "folds"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (out, folder):
            tempfile.TemporaryFile(dir=place).close()
        for table in TABLES:
            if (out / table).is_dir():
                raise IsADirectoryError(f"{out / table} is a folder")
    except OSError as error:
        raise type(error)(
            f"out={str(out)!r} cannot be written to ({error}); choose another folder"
        ) from error
    return folder


# ----- names ----------------------------------------------------------------------------------------------


def name_files(folder, tasks, pipelines, folds, data):
    """Name one file a task by a hash of all that decides its content.

    Parameters
    ----------
    folder : Path
        Folder of the kept folds.
    tasks : dict of (str, int) -> ndarray
        Rows that train, by pipeline and fold number.
    pipelines : dict of str -> classifier
        Unfitted classifiers.
    folds : list of Fold
        The test trials.
    data : object
        What the tasks are given: trials, labels, groups.

    Returns
    -------
    dict of (str, int) -> Path
        Paths by pipeline and fold number.
    """
    common = _hash([FORMAT, data, __version__, [version(package) for package in _PACKAGES]])
    keys = {}
    for name, pipeline in pipelines.items():
        try:
            parts = (pipeline.classifier, pipeline.before) if isinstance(pipeline, OwnTrials) else (pipeline,)
            keys[name] = _hash([common, parts, [_pretrained_files(part) for part in parts]])
        except Exception:  # what cannot be pickled (a lambda) has no hash: always computed anew
            keys[name] = uuid.uuid4().hex
    files = {}
    for (name, k), train in tasks.items():
        short = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60]
        key = _hash([keys[name], train, folds[k].test, folds[k].batches])
        files[name, k] = folder / f"{short}-fold{k}-{key}.json"
    return files


def _hash(content):
    return _Hasher().hash(content)


class _Hasher(NumpyHasher):
    """joblib's hash, which is the same in every process for tensors too."""

    def reducer_override(self, obj):
        if isinstance(obj, torch.Tensor):  # torch pickles where a tensor lies in memory
            values = obj.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            return torch.Tensor, (str(obj.dtype), tuple(obj.shape), values)
        return NotImplemented


def _pretrained_files(pipeline):
    """Content of the files that weights come from, which may change under their names."""
    if pipeline is None:
        return []
    values = (v for k, v in pipeline.get_params().items() if k.split("__")[-1] == "pretrained")
    paths = [Path(v) for v in values if isinstance(v, (str, os.PathLike))]
    paths = [path / persistence.HUB_FILE if path.is_dir() else path for path in paths]
    return [path.read_bytes() for path in paths if path.is_file()]


# ----- content --------------------------------------------------------------------------------------------


def write_fold(path, fold):
    """Keep a fold: its content, the name of its file and a checksum, all at once or not at all."""
    write_atomically(path, _to_bytes(path.name, fold))


def write_failure(path, fold):
    """Write the traceback of a fold that failed, to the folder ``failures`` beside that of the kept folds."""
    path = failure_of(path)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, f"{fold.get('traceback') or fold['error']}\n".encode())


def failure_of(path):
    """The file that a fold's traceback is written to."""
    return path.parent.parent / "failures" / f"{path.stem}.txt"


def read_fold(path, n_test, n_classes):
    """Read a kept fold.

    Parameters
    ----------
    path : Path
        A file of `write_fold`.
    n_test : int
        Number of test trials.
    n_classes : int
        Number of classes.

    Returns
    -------
    dict or None
        The fold; None, with a warning that names the file, where it does not hold and is to be computed
        again.
    """
    try:
        data = path.read_bytes()
        fold = json.loads(data)["fold"]
        if _to_bytes(path.name, fold) != data:
            raise ValueError("its checksum or its name does not fit its content")
        _check(fold, n_test, n_classes)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        warnings.warn(
            f"{path} does not hold ({type(error).__name__}: {error}); this fold is computed again",
            UserWarning,
            stacklevel=3,
        )
        return None
    return fold


def _to_bytes(name, fold):
    text = json.dumps(fold, allow_nan=False)
    checksum = hashlib.sha256(f"{FORMAT} {name} {text}".encode()).hexdigest()
    return f'{{"format": {FORMAT}, "sha256": "{checksum}", "fold": {text}}}'.encode()


def _check(fold, n_test, n_classes):
    """A checksum says that a fold is as it was written, not that it was written right."""
    fields = {"y_pred", "proba", "fit_time", "error", "warnings"}
    if set(fold) != fields:
        raise ValueError(f"it holds {sorted(fold)}, not {sorted(fields)}")
    y_pred, seconds = fold["y_pred"], fold["fit_time"]
    if not isinstance(y_pred, list) or len(y_pred) != n_test:
        raise ValueError(f"it does not hold predictions of {n_test} trials")
    if not all(type(number) is int and 0 <= number < n_classes for number in y_pred):
        raise ValueError(f"its predictions are not all class numbers from 0 to {n_classes - 1}")
    if fold["proba"] is not None:
        check_probabilities(np.array(fold["proba"], dtype=float), n_test, n_classes)
    if type(seconds) is not float or not 0 <= seconds < math.inf:
        raise ValueError(f"its fit took {seconds!r} seconds")
    if fold["error"] != "" or not all(isinstance(text, str) for text in fold["warnings"]):
        raise ValueError("its error or warnings are not those of a fold that was kept")
