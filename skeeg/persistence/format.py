"""The format of files: one safetensors file, whose metadata hold a description in JSON and a checksum.

The metadata hold one string, ``skeeg``: a SHA-256 sum of the whole file (with zeros in its own place) and,
after a space, the description, which refers to the tensors by name. The description's ``format`` is the
number of the protocol that it follows; a reader knows every earlier one and refuses later ones.
"""

from __future__ import annotations

import hashlib
import json
import platform

import numpy as np
import safetensors
import sklearn
import skorch
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from skeeg._version import __version__

#: Number of the protocol. 1: all parameters and all that ``fit`` left. 2: no parameters that say how an
#: estimator is run, learned attributes that its class lists, splitters by their arguments.
FORMAT = 2

NO_SUM = "0" * 64  # in the place of the checksum while it is computed


def pack(estimator, tensors):
    """Make the content of a file.

    Parameters
    ----------
    estimator : dict
        Description of an estimator, as JSON can hold it.
    tensors : dict of str to torch.Tensor
        What it refers to.

    Returns
    -------
    bytes
        The same description and tensors give the same bytes.
    """
    document = {"format": FORMAT, "versions": versions(), "estimator": estimator}
    data = save_tensors(tensors, {"skeeg": f"{NO_SUM} {json.dumps(document, allow_nan=False)}"})
    start = place_of_sum(data)
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[start + len(NO_SUM) :]


def unpack(data, name):
    """Take the content of a file apart.

    Parameters
    ----------
    data : bytes
        The content.
    name : str
        What errors call it.

    Returns
    -------
    estimator : dict
        The description.
    tensors : dict of str to torch.Tensor
        What it refers to.

    Raises
    ------
    ValueError
        When it is not a file of skeeg, is damaged, or of a newer protocol.
    """
    try:
        checksum, _, document = _header(data)["__metadata__"]["skeeg"].partition(" ")
        start = place_of_sum(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{name} is not a file of skeeg.save, or is cut off or damaged at its start"
        ) from error
    blank = data[:start] + NO_SUM.encode() + data[start + len(NO_SUM) :]
    if hashlib.sha256(blank).hexdigest() != checksum:
        raise ValueError(f"{name} is damaged: its checksum does not fit its content; get a fresh copy")
    try:
        document = json.loads(document)
        version = document["format"]
        if type(version) is not int or version < 1:
            raise ValueError(f"it is of the format {version!r}, which there is not")
        if version > FORMAT:
            raise ValueError(
                f"it was written by skeeg {document['versions']['skeeg']} in format {version}, this skeeg "
                f"reads formats up to {FORMAT}; upgrade skeeg"
            )
        return document["estimator"], load_tensors(data)
    except Exception as error:  # whatever a file made by hand brings about
        raise ValueError(f"{name} cannot be loaded: {error}") from error


def _header(data):
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= len(data) - 8:
        raise ValueError("no header")
    return json.loads(data[8 : 8 + size])


def place_of_sum(data):
    """Find where in the content of a file its checksum begins."""
    key = b'"skeeg":"'
    return data.index(key, 8) + len(key)


def versions():
    """Get the versions of what writes a file, by name."""
    return {
        "skeeg": __version__,
        "torch": torch.__version__,
        "skorch": skorch.__version__,
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "python": platform.python_version(),
    }
