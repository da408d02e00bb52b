"""scikit-learn compatible deep networks that decode EEG."""

from skeeg._epochs import EEGArray
from skeeg.base import EEGClassifier

__version__ = "0.1.0"

__all__ = ["EEGArray", "EEGClassifier"]
