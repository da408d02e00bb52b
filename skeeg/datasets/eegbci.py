"""PhysioNet's EEG Motor Movement/Imagery data base, through MNE."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params

from skeeg.datasets.recordings import check_band, cut
from skeeg.trials import EEGArray

if TYPE_CHECKING:
    import pandas as pd


N_SUBJECTS = 109
_HANDS, _HANDS_OR_FEET = ("left_hand", "right_hand"), ("hands", "feet")
# What the annotations T1 and T2 of each run mean.
_MEANING = dict.fromkeys((3, 4, 7, 8, 11, 12), _HANDS) | dict.fromkeys((5, 6, 9, 10, 13, 14), _HANDS_OR_FEET)
_IMAGERY_RUNS = (4, 6, 8, 10, 12, 14)


@validate_params(
    {
        "subjects": ["array-like", Interval(Integral, 1, N_SUBJECTS, closed="both"), range],
        "classes": ["array-like"],
        "runs": ["array-like", Integral, None],
        "channels": ["array-like", None],
        "tmin": [Interval(Real, 0, None, closed="left")],
        "tmax": [Interval(Real, 0, None, closed="neither")],
        "sfreq": [Interval(Real, 0, None, closed="neither")],
        "band": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def fetch_eegbci(
    subjects,
    *,
    classes=("left_hand", "right_hand"),
    runs=None,
    channels=None,
    tmin=0.0,
    tmax=3.0,
    sfreq=160.0,
    band=None,
) -> tuple[EEGArray, np.ndarray, pd.DataFrame]:
    """Load imagined (or executed) movements of up to 109 people, 64 channels.

    Recordings that are not there yet are downloaded by MNE, to the folder that the environment variable
    ``MNE_DATASETS_EEGBCI_PATH`` or MNE's configuration names, else to ``~/mne_data``.

    Parameters
    ----------
    subjects : int or sequence of int
        People, of 1 to 109.
    classes : sequence of str, default=("left_hand", "right_hand")
        Movements, of "left_hand", "right_hand", "hands" (both at once) and "feet" (both).
    runs : int or sequence of int, optional
        Runs to read. Imagery of one hand: 4, 8, 12; of both hands or feet: 6, 10, 14; execution of one
        hand: 3, 7, 11; of both hands or feet: 5, 9, 13. By default all imagery runs that hold ``classes``.
    channels : sequence of str, optional
        Names of the 10-10 system, in the order wanted; all 64 by default.
    tmin, tmax : float, default=0.0, 3.0
        Window in seconds after the cue; tmax itself is left out: 3 s are 480 samples at 160 Hz. The
        movement lasts about 4 s.
    sfreq : float, default=160.0
        Sampling rate in Hz; recordings of another rate are resampled (subjects 88, 92 and 100 have 128 Hz).
    band : (float, float), optional
        Pass band in Hz. The whole recording is filtered, before it is cut into trials, so that trials have
        no edges of a filter; MNE's zero-phase FIR filter, with its defaults. Unfiltered by default.

    Returns
    -------
    X : EEGArray of float32, shape (n_trials, n_chans, round((tmax - tmin) * sfreq))
        Trials in µV.
    y : ndarray of str, shape (n_trials,)
        Movement.
    metadata : DataFrame
        Columns ``subject``, ``session`` (1: there is one), ``run``.

    Raises
    ------
    ValueError
        When a subject, run, class or channel does not exist, a subject or run is named twice, runs hold none
        of the classes, the window is empty, or the band is none below half the sampling rate.
    FileNotFoundError
        When recordings are not there and cannot be downloaded.

    See Also
    --------
    load_motor_imagery : Ten people, without a download.
    load_epochs : Your own files.

    Notes
    -----
    Schalk et al. (2004), "BCI2000: a general-purpose brain-computer interface (BCI) system", IEEE Trans.
    Biomed. Eng. 51(6). Trials whose window runs past the end of a recording are left out.

    Examples
    --------
    >>> from skeeg.datasets import fetch_eegbci
    >>> X, y, metadata = fetch_eegbci(range(1, 11), channels=["C3", "Cz", "C4"])  # doctest: +SKIP
    """
    import pandas as pd
    from tqdm.auto import tqdm

    subjects = whole_numbers("subjects", subjects, range(1, N_SUBJECTS + 1))
    classes = np.atleast_1d(classes).tolist()
    if unknown := [name for name in classes if name not in _HANDS + _HANDS_OR_FEET]:
        raise ValueError(f"classes={unknown} were not recorded; choose from {_HANDS + _HANDS_OR_FEET}")
    if runs is None:
        runs = [run for run in _IMAGERY_RUNS if set(_MEANING[run]) & set(classes)]
    runs = whole_numbers("runs", runs, sorted(_MEANING))
    if missing := [name for name in classes if not any(name in _MEANING[run] for run in runs)]:
        raise ValueError(f"runs={runs} hold no trials of {missing}")
    if round((tmax - tmin) * sfreq) < 1:
        raise ValueError(f"The window from tmin={tmin} to tmax={tmax} s holds no sample at sfreq={sfreq} Hz")
    band = check_band(band, sfreq)

    X, y, rows = [], [], []
    for subject in tqdm(subjects, desc="EEGBCI", unit="subject", disable=None):
        for run in runs:
            trials, labels, names = _read_run(subject, run, classes, channels, tmin, tmax, sfreq, band)
            X.append(trials)
            y.append(labels)
            rows += [(subject, 1, run)] * len(labels)
    metadata = pd.DataFrame(rows, columns=["subject", "session", "run"])
    return EEGArray(np.concatenate(X), sfreq, names, tmin=tmin), np.concatenate(y), metadata


def whole_numbers(name, values, allowed):
    """Check one or several numbers against those there are; give them as a list."""
    values = np.atleast_1d(values).tolist()
    if not values:
        raise ValueError(f"{name} is empty; choose from {allowed[0]} to {allowed[-1]}")
    if unknown := [value for value in values if value not in allowed]:
        raise ValueError(f"{name}={unknown} do not exist in this data base; choose from {list(allowed)}")
    if len(set(values)) < len(values):
        raise ValueError(f"{name}={values} names some twice; the same trials would train and test")
    return values


def _read_run(subject, run, classes, channels, tmin, tmax, sfreq, band):
    """Trials of one recording: (n_trials, n_chans, n_times) float32 in µV, labels, channel names."""
    import mne

    raw = mne.io.read_raw_edf(_path_of(subject, run), preload=True, verbose="error")
    mne.datasets.eegbci.standardize(raw)
    if channels is not None:
        if unknown := [name for name in channels if name not in raw.ch_names]:
            raise ValueError(f"channels={unknown} were not recorded; choose from {raw.ch_names}")
        raw.pick(list(channels))
    marked = {code: name for code, name in enumerate(_MEANING[run], start=1) if name in classes}
    trials, _ = cut(raw, {f"T{code}": code for code in marked}, marked, tmin, tmax, band=band, sfreq=sfreq)
    return trials.data, trials.labels, trials.ch_names


def _path_of(subject, run):
    import mne

    try:
        return mne.datasets.eegbci.load_data(subject, run, update_path=False, verbose="error")[0]
    except Exception as error:
        # pooch and requests raise a dozen kinds, none of which says where the file was looked for.
        raise FileNotFoundError(
            f"The recording of subject {subject}, run {run} is not in "
            f"{mne.get_config('MNE_DATASETS_EEGBCI_PATH') or '~/mne_data'} "
            f"and could not be downloaded ({error}). "
            "Set the environment variable MNE_DATASETS_EEGBCI_PATH to the folder that holds MNE-eegbci-data"
        ) from error
