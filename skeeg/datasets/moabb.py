"""The data sets of MOABB, cut and filtered as its paradigms do."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

import numpy as np

from skeeg.plain import listed
from skeeg.trials import EEGArray

if TYPE_CHECKING:
    import pandas as pd


# What MOABB calls the kind of a data set -> the paradigm for it.
_PARADIGMS = {
    "imagery": "MotorImagery",
    "p300": "P300",
    "ssvep": "SSVEP",
    "cvep": "CVEP",
    "rstate": "RestingStateToP300Adapter",
}


def load_moabb(
    dataset, paradigm=None, *, subjects=None, tmin=None, tmax=None, band=None
) -> tuple[EEGArray, np.ndarray, pd.DataFrame]:
    """Load a data set of MOABB.

    Recordings that are not there yet are downloaded by MOABB. Needs MOABB: ``pip install "skeeg[moabb]"``.

    Parameters
    ----------
    dataset : str or moabb.datasets.base.BaseDataset
        Name of a class of ``moabb.datasets``, such as "BNCI2014_001"; the class of a module of your own with
        a dot, "my_module.MyDataset"; or a data set.
    paradigm : str or moabb.paradigms.base.BaseParadigm, optional
        Name of a class of ``moabb.paradigms``, such as "LeftRightImagery", or a paradigm. By default the
        one for this kind of data set, with all its classes: MotorImagery, P300, SSVEP, CVEP or
        RestingStateToP300Adapter.
    subjects : int or sequence of int, optional
        People to load; all by default.
    tmin, tmax : float, optional
        Window in seconds, counted from where the trials of this data set begin; MOABB's by default, which
        is the whole trial. As in MOABB, the sample at tmax is part of the trial.
    band : (float, float), optional
        Pass band in Hz; that of the paradigm by default (8 to 32 Hz for motor imagery). Recordings are
        filtered before they are cut.

    Returns
    -------
    X : EEGArray of float32, shape (n_trials, n_chans, n_times)
        Trials in µV.
    y : ndarray of str, shape (n_trials,)
        Names of the events.
    metadata : DataFrame
        Columns ``subject``, ``session`` and ``run``.

    Raises
    ------
    ImportError
        When MOABB is not installed.
    ValueError
        When there is no such data set, paradigm or subject, the paradigm is not for this data set or makes
        several copies of each trial (filter banks), people were recorded with other channels or rates, or
        ``tmin``, ``tmax`` or ``band`` are given beside a paradigm that is made already.
    OSError
        When recordings are not there and cannot be downloaded.

    Notes
    -----
    Chevallier et al. (2024), "The largest EEG-based BCI reproducibility study for open science: the MOABB
    benchmark", arXiv:2404.15319. Data are those that MOABB hands to pipelines, in float32.

    Examples
    --------
    >>> from skeeg.datasets import load_moabb
    >>> X, y, metadata = load_moabb("BNCI2014_001", "LeftRightImagery", subjects=[1, 2])  # doctest: +SKIP
    """
    import mne
    import pandas as pd

    try:
        import moabb.datasets
        import moabb.paradigms
        from moabb.datasets.base import BaseDataset
        from moabb.paradigms.base import BaseParadigm
    except ImportError as error:
        raise ImportError(f'MOABB is not there ({error}); pip install "skeeg[moabb]"') from error

    if isinstance(dataset, str):
        dataset = _class_of(dataset, moabb.datasets, BaseDataset, "data set")()
    window = {"tmin": tmin, "tmax": tmax}
    window |= {} if band is None else dict(zip(("fmin", "fmax"), _two_frequencies(band), strict=True))
    window = {name: value for name, value in window.items() if value is not None}
    if paradigm is None:
        paradigm = _PARADIGMS.get(dataset.paradigm)
        if paradigm is None:
            raise ValueError(f"{dataset.code} is of the kind {dataset.paradigm!r}: name a paradigm for it")
    if isinstance(paradigm, str):
        with mne.utils.use_log_level("error"):
            paradigm = _made(_class_of(paradigm, moabb.paradigms, BaseParadigm, "paradigm"), window)
    elif window:
        raise ValueError(f"{', '.join(window)} are the paradigm's own: make it with them, or give its name")
    name = type(paradigm).__name__
    if len(paradigm.filters) != 1:
        raise ValueError(
            f"{name} makes {len(paradigm.filters)} copies of each trial, one a band; give a paradigm of one "
            "band: estimators and pipelines of skeeg hold their filter banks"
        )
    if not paradigm.is_valid(dataset):
        raise ValueError(
            f"{name} is not for {dataset.code}, of the kind {dataset.paradigm!r} with the events "
            f"{', '.join(dataset.event_id)}"
        )

    X, y, parts, known = [], [], [], None
    for subject in _subjects_of(dataset, subjects):  # one by one: MNE holds trials in float64
        with mne.utils.use_log_level("error"):
            trials, labels, metadata = _data_of(dataset, paradigm, subject)
        recording = (tuple(trials.ch_names), float(trials.info["sfreq"]), len(trials.times))
        known = known or recording
        if recording != known:
            raise ValueError(
                f"{dataset.code}: subject {subject} was recorded with {_described(recording)}, those before "
                f"with {_described(known)}; give a paradigm with channels=[...] and resample="
            )
        X.append((trials.get_data(copy=False) * dataset.unit_factor).astype(np.float32))
        y.append(np.asarray(labels, dtype=str))
        parts.append(metadata)
    names, sfreq, _ = known
    return (
        EEGArray(np.concatenate(X), sfreq, names, tmin=float(trials.tmin)),
        np.concatenate(y),
        pd.concat(parts, ignore_index=True)[["subject", "session", "run"]],
    )


def _class_of(name, room, base, what):
    """The class that a name stands for."""
    there = {key: value for key, value in vars(room).items() if isinstance(value, type)}
    there = {key: value for key, value in there.items() if issubclass(value, base)}
    module, dot, last = name.rpartition(".")
    if dot:
        try:
            found = getattr(importlib.import_module(module), last)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{name!r} is no {what} that can be imported: {error}") from error
        if not (isinstance(found, type) and issubclass(found, base)):
            raise ValueError(f"{name!r} is {found!r}, no class of a {what} of MOABB ({base.__name__})")
        return found
    if name not in there:
        near = difflib.get_close_matches(name, there, 5, 0.4)
        near = f"; do you mean {', '.join(near)}?" if near else ""
        raise ValueError(f"MOABB has no {what} {name!r}{near}")
    return there[name]


def _made(cls, window):
    try:
        return cls(**window)
    except TypeError as error:
        raise ValueError(f"{cls.__name__} cannot be made with {window} ({error}); give a paradigm") from error


def _two_frequencies(band):
    try:
        low, high = map(float, band)
    except (TypeError, ValueError):
        low = high = 0.0
    if not 0 < low < high < np.inf:
        raise ValueError(f"band={band} must be two frequencies in Hz, 0 < low < high")
    return low, high


def _subjects_of(dataset, subjects):
    there = list(dataset.subject_list)
    if subjects is None:
        return there
    subjects = np.atleast_1d(subjects).tolist()
    if not subjects:
        raise ValueError(f"subjects is empty; {dataset.code} has {listed(there)}")
    if unknown := [subject for subject in subjects if subject not in there]:
        raise ValueError(f"subjects={unknown} are not in {dataset.code}; it has {listed(there)}")
    if len(set(subjects)) < len(subjects):
        raise ValueError(f"subjects={subjects} names some twice; the same trials would train and test")
    return subjects


def _data_of(dataset, paradigm, subject):
    import requests

    try:
        return paradigm.get_data(dataset, [subject], return_epochs=True)
    except (OSError, requests.RequestException) as error:  # what was not downloaded yet, and cannot be
        raise OSError(
            f"{dataset.code}: the recordings of subject {subject} could not be had ({error}); MOABB looks "
            "for them in the folder of MNE's configuration MNE_DATA, and downloads what is not there"
        ) from error


def _described(recording):
    names, sfreq, n_times = recording
    return f"{len(names)} channels ({listed(names)}), {n_times} samples at {sfreq:g} Hz"
