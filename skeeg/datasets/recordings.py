"""Continuous recordings, filtered as a whole and then cut into trials."""

from __future__ import annotations

import re
import warnings

import numpy as np

from skeeg.datasets.kinds import ending_of, saying_what_it_is
from skeeg.datasets.matlab import raw_of_mat
from skeeg.trials import MICROVOLTS_PER_VOLT, Trials, warn_user

# Formats without types of channels tell by name what is no EEG.
_OTHER_TYPES = (
    ("eog", r"[hv]?eog"),
    ("ecg", r"ecg|ekg"),
    ("emg", r"emg"),
    ("stim", r"status|trig|sti ?\d|event"),
)


def check_band(band, sfreq):
    """Check a pass band against the sampling rate; give it as two floats, or None."""
    if band is None:
        return None
    try:
        low, high = map(float, band)
    except (TypeError, ValueError):  # not two, or no numbers
        low = high = 0.0
    if not 0 < low < high < sfreq / 2:
        raise ValueError(
            f"band={band} must be two frequencies in Hz, 0 < low < high < {sfreq / 2:g} (half of sfreq)"
        )
    return low, high


def cut(raw, events, labels, tmin, tmax, *, band=None, sfreq=None):
    """Filter a recording, resample it, cut it into trials.

    Parameters
    ----------
    raw : mne.io.Raw
        The recording, loaded; it is changed.
    events : dict of str -> int
        Code of each annotation that marks a trial.
    labels : dict of int -> str
        Label of each code.
    tmin, tmax : float
        Window in seconds after the event; tmax itself is left out.
    band : (float, float), optional
        Pass band in Hz.
    sfreq : float, optional
        Sampling rate wanted in Hz; that of the recording by default.

    Returns
    -------
    trials : Trials
        In µV.
    lost : int
        How many events gave no trial: their window runs past an end, or into a stretch that is marked bad.
    """
    import mne

    if band is not None:
        raw.filter(*band, verbose="error")
    if sfreq is not None and raw.info["sfreq"] != sfreq:
        raw.resample(sfreq, verbose="error")
    sfreq = raw.info["sfreq"]
    n_times = round((tmax - tmin) * sfreq)
    marks, _ = mne.events_from_annotations(raw, event_id=events, verbose="error")
    epochs = mne.Epochs(
        raw,
        marks,
        tmin=tmin,
        tmax=tmin + (n_times - 1) / sfreq,
        baseline=None,
        picks=mne.pick_types(raw.info, eeg=True, exclude="bads"),
        preload=True,
        verbose="error",
    )
    data = epochs.get_data(copy=False)
    data *= MICROVOLTS_PER_VOLT
    # a width of all labels, so that files agree
    names = np.array(
        [labels[code] for code in epochs.events[:, 2]], dtype=f"U{max(map(len, labels.values()))}"
    )
    trials = Trials(data.astype(np.float32), float(sfreq), tuple(epochs.ch_names), names)
    return trials, len(marks) - len(epochs)


def read_recording(path, events, tmin, tmax, band):
    """Cut a recording of any format that MNE reads into trials.

    Parameters
    ----------
    path : path-like
        The file.
    events : dict of str -> str, int or sequence of them
        Label -> annotations, or values of the trigger channel, that mark its trials.
    tmin, tmax : float
        Window in seconds after the event; tmax itself is left out.
    band : (float, float) or None
        Pass band in Hz.

    Returns
    -------
    Trials
        In µV, of the good EEG channels.

    Raises
    ------
    ValueError
        When no event of the recording has such a name, or the window or band is impossible.
    """
    raw = raw_of_mat(path) if ending_of(path) == ".mat" else _read_raw(path)
    others = {}
    for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True):
        for other, pattern in _OTHER_TYPES:
            if kind == "eeg" and re.match(rf"(eeg[-_ ]?)?({pattern})(?![a-z])", name, flags=re.IGNORECASE):
                others[name] = other
    if others:
        raw.set_channel_types(others, on_unit_change="ignore", verbose="error")
        warn_user(f"{path}: channels {list(others)} are left out: by their names they are no EEG")
    _annotate_triggers(raw)
    if round((tmax - tmin) * raw.info["sfreq"]) < 1:
        raise ValueError(f"the window from tmin={tmin} to tmax={tmax} s holds no sample")

    wanted = {str(name): label for label, names in events.items() for name in np.atleast_1d(names).tolist()}
    found = {
        description: wanted[name]
        for description in dict.fromkeys(raw.annotations.description.tolist())
        for name in _spellings(description)
        if name in wanted
    }
    if not found:
        names, counts = np.unique(raw.annotations.description, return_counts=True)
        there = ", ".join(f"{name} ({count})" for name, count in zip(names[:30], counts, strict=False))
        raise ValueError(f"holds no event of events={events}; it holds {there or 'none at all'}")
    labels = list(dict.fromkeys(found.values()))
    codes = {name: 1 + labels.index(label) for name, label in found.items()}
    trials, lost = cut(
        raw, codes, dict(enumerate(labels, start=1)), tmin, tmax, band=check_band(band, raw.info["sfreq"])
    )
    if lost:
        warn_user(
            f"{path}: {lost} of {lost + len(trials.data)} trials are left out: their window runs past an end "
            "of the recording, or into a stretch marked bad"
        )
    return trials


def _read_raw(path):
    import mne

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with saying_what_it_is(path, "raw" if ending_of(path) == ".fif" else ending_of(path)):
            raw = mne.io.read_raw(path, preload=True, verbose="warning")
    for warning in caught:  # a file that is shorter than its header says
        if "naming conventions" not in str(warning.message):
            warn_user(f"{path}: {warning.message}")
    return raw


def _spellings(description):
    """An annotation's name as people write it: BrainVision's "Stimulus/S  1" is "S1", or "1"."""
    spellings = {description}
    if found := re.fullmatch(r"(?:Stimulus|Response)/\s*([A-Z]?)\s*(\d+)", description):
        spellings |= {found[1] + found[2], found[2]}
    return spellings


def _annotate_triggers(raw):
    """Turn a trigger channel into annotations, where there is one and no annotation."""
    import mne

    if len(raw.annotations) or "stim" not in raw.get_channel_types():
        return
    marks = mne.find_events(raw, shortest_event=1, verbose="error")
    names = {code: str(code) for code in np.unique(marks[:, 2]).tolist()}
    if len(marks):
        raw.set_annotations(
            mne.annotations_from_events(
                marks, raw.info["sfreq"], names, first_samp=raw.first_samp, verbose="error"
            )
        )
