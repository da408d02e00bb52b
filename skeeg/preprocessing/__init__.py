"""Transformers of trials: arrays (n_trials, n_chans, n_times) or ``mne.Epochs`` in, arrays out.

What is known about the trials (sampling rate, channel names, labels) travels along: a transformer that gets
``mne.Epochs`` gives an :class:`skeeg.EEGArray`, in µV where it does not change the unit.
"""

from skeeg.preprocessing.alignment import EuclideanAlignment, RiemannianAlignment
from skeeg.preprocessing.filtering import BandPass, FilterBank
from skeeg.preprocessing.flattening import Flatten, Unflatten
from skeeg.preprocessing.matching import MatchRecording
from skeeg.preprocessing.resampling import Crop, Resampler
from skeeg.preprocessing.scaling import Scaler
from skeeg.preprocessing.standardisation import ExponentialMovingStandardizer
from skeeg.preprocessing.targets import with_target_trials

__all__ = [
    "BandPass",
    "Crop",
    "EuclideanAlignment",
    "ExponentialMovingStandardizer",
    "FilterBank",
    "Flatten",
    "MatchRecording",
    "Resampler",
    "RiemannianAlignment",
    "Scaler",
    "Unflatten",
    "with_target_trials",
]
