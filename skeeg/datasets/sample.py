"""Real trials that come with skeeg: ten people of PhysioNet's EEG motor imagery data base."""

from __future__ import annotations

from importlib.resources import files
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params

from skeeg.datasets.eegbci import whole_numbers
from skeeg.trials import EEGArray

if TYPE_CHECKING:
    import pandas as pd


SUBJECTS = range(1, 11)
RESOLUTION = 0.25  # µV
LABELS = ("left_hand", "right_hand")
FILE = files("skeeg.datasets") / "data" / "motor_imagery.npz"


@validate_params(
    {"subjects": ["array-like", Interval(Integral, 1, len(SUBJECTS), closed="both"), range, None]},
    prefer_skip_nested_validation=True,
)
def load_motor_imagery(subjects=None) -> tuple[EEGArray, np.ndarray, pd.DataFrame]:
    """Load real motor imagery of ten people, which comes with skeeg.

    Imagined movements of the left or right fist: 45 trials of each person, in three runs of one session,
    21 channels over the sensorimotor cortex, 4 to 38 Hz, from the cue to 4.1 s after it. Nothing is
    downloaded.

    Parameters
    ----------
    subjects : int or sequence of int, optional
        People, of 1 to 10; all by default.

    Returns
    -------
    X : EEGArray of float32, shape (n_subjects * 45, 21, 656)
        Trials in µV at 160 Hz, in steps of 0.25 µV.
    y : ndarray of str, shape (n_subjects * 45,)
        "left_hand" or "right_hand".
    metadata : DataFrame
        Columns ``subject`` (as in the data base), ``session`` (1: there is one), ``run`` (4, 8 or 12).

    Raises
    ------
    ValueError
        When a subject is not among the ten, or is named twice.

    See Also
    --------
    fetch_eegbci : The recordings they are from, and 99 people more.
    skeeg.pretrained.load_pretrained : Decoders for them.

    Notes
    -----
    Contains information from the EEG Motor Movement/Imagery Dataset 1.0.0 of PhysioNet,
    https://physionet.org/content/eegmmidb/1.0.0/ (subjects 1 to 10, runs 4, 8 and 12), which is made
    available under the Open Data Commons Attribution License 1.0. Cite Schalk et al. (2004), "BCI2000: a
    general-purpose brain-computer interface (BCI) system", IEEE Trans. Biomed. Eng. 51(6):1034-1043, and
    Goldberger et al. (2000), "PhysioBank, PhysioToolkit, and PhysioNet", Circulation 101(23):e215-e220.

    These are the trials of ``fetch_eegbci(range(1, 11), channels=X.ch_names, tmax=4.1, band=(4, 38))``,
    rounded. ``benchmarks/make_sample.py`` makes them.

    Examples
    --------
    >>> from skeeg.datasets import load_motor_imagery
    >>> X, y, metadata = load_motor_imagery(subjects=[1, 2])
    >>> X.shape, X.sfreq, X.ch_names[7:10]
    ((90, 21, 656), 160.0, ('C5', 'C3', 'C1'))
    >>> metadata.drop_duplicates().to_numpy().tolist()
    [[1, 1, 4], [1, 1, 8], [1, 1, 12], [2, 1, 4], [2, 1, 8], [2, 1, 12]]
    """
    import pandas as pd

    subjects = whole_numbers("subjects", SUBJECTS if subjects is None else subjects, SUBJECTS)
    with FILE.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        rows = np.concatenate([np.flatnonzero(stored["subject"] == subject) for subject in subjects])
        X = RESOLUTION * _undone_differences(stored["low"][rows], stored["high"][rows])
        origin = {name: stored[name].astype(int) for name in ("subject", "run")}
        y = np.array(LABELS)[stored["y"][rows]]
        sfreq, ch_names = stored["sfreq"].item(), stored["ch_names"].tolist()
    metadata = pd.DataFrame({"subject": origin["subject"], "session": 1, "run": origin["run"]})
    return (
        EEGArray(X.astype(np.float32), sfreq, ch_names, tmin=0.0),
        y,
        metadata.iloc[rows].reset_index(drop=True),
    )


def differences(steps):
    """Take differences of channels and times, which deflate packs a third smaller than the signals.

    Parameters
    ----------
    steps : ndarray of int, shape (n_trials, n_chans, n_times)
        Voltages in steps of the resolution.

    Returns
    -------
    low, high : ndarray of uint8 and int8, shape (n_trials, n_chans, n_times)
        Two bytes of each difference, so split that the high one is 0 where the difference is small.
    """
    steps = np.diff(np.diff(steps, axis=1, prepend=0), axis=2, prepend=0) + 128
    return (steps & 255).astype(np.uint8), (steps >> 8).astype(np.int8)


def _undone_differences(low, high):
    return (256 * high.astype(np.int32) + low - 128).cumsum(axis=2).cumsum(axis=1)
