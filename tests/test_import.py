"""Importing skeeg stays light."""

import subprocess
import sys

HEAVY = ("mne", "pyriemann", "matplotlib", "huggingface_hub", "onnx", "skops")


def test_import_leaves_what_is_heavy_to_those_who_use_it():
    code = f"import sys, skeeg; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
