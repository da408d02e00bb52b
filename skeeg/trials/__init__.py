"""Where data become arrays: the one way in for estimators and transformers, and the array that remembers."""

from skeeg.trials.array import EEGArray
from skeeg.trials.checks import (
    check_groups,
    people,
    same_rate,
    typical_scale,
    warn_of_other_units,
    warn_user,
)
from skeeg.trials.containers import MICROVOLTS_PER_VOLT, LazyTrials, epochs_labels, holds_epochs
from skeeg.trials.faults import find_faults, warn_of_faults
from skeeg.trials.montage import absent_channels, channel_key, channel_map, enough_channels, standard_montage
from skeeg.trials.reading import TrialReader, Trials, as_trials, open_trials

__all__ = [
    "MICROVOLTS_PER_VOLT",
    "EEGArray",
    "LazyTrials",
    "TrialReader",
    "Trials",
    "absent_channels",
    "as_trials",
    "channel_key",
    "channel_map",
    "check_groups",
    "enough_channels",
    "epochs_labels",
    "find_faults",
    "holds_epochs",
    "open_trials",
    "people",
    "same_rate",
    "standard_montage",
    "typical_scale",
    "warn_of_faults",
    "warn_of_other_units",
    "warn_user",
]
