"""Trials to learn from: simulated, of PhysioNet's EEG motor imagery data base, and of files of one's own.

Each function returns ``X, y, metadata``: trials in µV as an :class:`skeeg.EEGArray` (an ndarray that knows
its sampling rate and channel names), labels as strings, and a DataFrame with the columns ``subject``,
``session`` and ``run``, one row a trial.
"""

from skeeg.datasets.eegbci import fetch_eegbci
from skeeg.datasets.files import load_epochs
from skeeg.datasets.simulated import make_motor_imagery

__all__ = ["fetch_eegbci", "load_epochs", "make_motor_imagery"]
