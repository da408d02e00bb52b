"""Trials to learn from: a real sample, PhysioNet's motor imagery, MOABB's data sets, simulated, own files.

Each function returns ``X, y, metadata``: trials in µV as an :class:`skeeg.EEGArray` (an ndarray that knows
its sampling rate and channel names), labels as strings, and a DataFrame with the columns ``subject``,
``session`` and ``run``, one row a trial.
"""

from skeeg.datasets.duplicates import duplicate_trials
from skeeg.datasets.eegbci import fetch_eegbci
from skeeg.datasets.files import load_epochs
from skeeg.datasets.moabb import load_moabb
from skeeg.datasets.origin import one_person_as_several, warn_of_one_person_as_several
from skeeg.datasets.sample import load_motor_imagery
from skeeg.datasets.simulated import make_motor_imagery
from skeeg.datasets.summary import summary

__all__ = [
    "duplicate_trials",
    "fetch_eegbci",
    "load_epochs",
    "load_moabb",
    "load_motor_imagery",
    "make_motor_imagery",
    "one_person_as_several",
    "summary",
    "warn_of_one_person_as_several",
]
