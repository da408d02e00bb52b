"""Save fitted estimators, load and share them: one safetensors file, no pickle.

A file holds everything that predicts, and that training goes on from: parameters, what ``fit`` learned,
weights, the state of loss and optimiser, the history, and the versions that wrote it. It is a safetensors
file whose metadata hold one string, ``skeeg``: a checksum of the whole file and, after a space, a description
in JSON that refers to the tensors by name. One file, because it can be replaced atomically and handed on as
it is, in a format that other tools read; the same estimator gives the same bytes.

Loading executes nothing: the description names classes, and only those of skeeg, those of others that
``others.py`` lists, and those that the caller hands over are made. A file decides what an estimator is; how
it runs (``device``, ``compile``, ``verbose``, ``callbacks``), where it caches and what it started from
(``pretrained``) is its loader's choice. What a class may learn is listed with it (:mod:`.learned`),
parameters are validated as ``fit`` does, and a network is made no larger than the tensors that are there.
"""

from skeeg.persistence import learned
from skeeg.persistence.face import Savable
from skeeg.persistence.format import FORMAT
from skeeg.persistence.hub import HUB_FILE, from_pretrained, model_card, push_to_hub
from skeeg.persistence.reading import from_bytes
from skeeg.persistence.registry import Kept, register
from skeeg.persistence.saving import classifier_of, load, save
from skeeg.persistence.writing import to_bytes

__all__ = [
    "FORMAT",
    "HUB_FILE",
    "Kept",
    "Savable",
    "classifier_of",
    "from_bytes",
    "from_pretrained",
    "learned",
    "load",
    "model_card",
    "push_to_hub",
    "register",
    "save",
    "to_bytes",
]
