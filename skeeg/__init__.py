"""scikit-learn compatible deep networks that decode EEG."""

import importlib

from skeeg._version import __version__
from skeeg.estimators.attention_base_net import AttentionBaseNetClassifier
from skeeg.estimators.base import EEGClassifier
from skeeg.estimators.ensemble import SeedEnsemble
from skeeg.estimators.fb_light_conv_net import FBLightConvNetClassifier
from skeeg.estimators.sinc_shallow_net import SincShallowNetClassifier
from skeeg.estimators.sstdpn import SSTDPNClassifier
from skeeg.persistence import from_pretrained, load, push_to_hub, save
from skeeg.preprocessing import EuclideanAlignment, Flatten, Scaler, Unflatten
from skeeg.trials import EEGArray, find_faults

__all__ = [
    "AttentionBaseNetClassifier",
    "EEGArray",
    "EEGClassifier",
    "EuclideanAlignment",
    "FBLightConvNetClassifier",
    "Flatten",
    "SSTDPNClassifier",
    "Scaler",
    "SeedEnsemble",
    "SincShallowNetClassifier",
    "Unflatten",
    "__version__",
    "find_faults",
    "from_pretrained",
    "load",
    "push_to_hub",
    "save",
]

# Rooms that load when they are first asked for, as in `skeeg.datasets.make_motor_imagery()`.
_ROOMS = (
    "augmentation",
    "baselines",
    "confidence",
    "datasets",
    "evaluation",
    "export",
    "inspection",
    "live",
    "pretrained",
    "recipes",
    "report",
    "testing",
)


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f"skeeg.{name}")
    raise AttributeError(f"module 'skeeg' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_ROOMS})
