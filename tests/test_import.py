"""Importing skeeg stays light."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import skeeg

HEAVY = ("mne", "pyriemann", "matplotlib", "huggingface_hub", "onnx", "skops")


def test_import_leaves_what_is_heavy_to_those_who_use_it():
    code = f"import sys, skeeg; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_rooms_load_when_they_are_asked_for():
    code = (
        "import sys, skeeg; skeeg.datasets.make_motor_imagery; skeeg.evaluation.compare; "
        f"print(*[name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_decoder_of_the_wheel_predicts_without_what_trains_compiles_or_exports():
    code = (
        "import sys, numpy as np; from skeeg.pretrained import load_pretrained; "
        "decoder = load_pretrained('left-right-hand-3', ch_names=['C3', 'Cz', 'C4'], sfreq=160); "
        "decoder.predict(np.random.default_rng(0).standard_normal((1, 3, 640))); "
        "print(*[name for name in ('torch._dynamo', 'torch.onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "left-right-hand-3: 3 of 3 channels are there\n\n"


def test_every_public_room_is_in_dir_and_is_what_import_gives():
    rooms = {module.name for module in pkgutil.iter_modules(skeeg.__path__) if module.name[0] != "_"}
    rooms -= {"cli", "typed"}  # the command, and what its users type
    assert rooms <= set(dir(skeeg))
    for room in sorted(rooms):
        assert getattr(skeeg, room) is importlib.import_module(f"skeeg.{room}")


def test_what_is_no_room_is_said():
    with pytest.raises(AttributeError, match="module 'skeeg' has no attribute 'dataset'"):
        skeeg.dataset  # noqa: B018
