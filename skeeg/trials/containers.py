"""What users hand over as trials, and how it is read."""

from __future__ import annotations

import sys

import numpy as np

from skeeg.trials.checks import same_rate

MICROVOLTS_PER_VOLT = 1e6


def is_epochs(X):
    """Tell whether X is an ``mne.Epochs`` of any kind; imports MNE only where it is loaded already."""
    return "mne" in sys.modules and isinstance(X, sys.modules["mne"].BaseEpochs)


def holds_epochs(X):
    """Tell whether X is Epochs or a list of them, as scikit-learn's splits of Epochs are."""
    return is_epochs(X) or (isinstance(X, (list, tuple)) and len(X) > 0 and all(map(is_epochs, X)))


def epochs_to_array(epochs):
    """Take the good EEG channels out of Epochs, in µV.

    Parameters
    ----------
    epochs : mne.Epochs
        Epochs of any kind, loaded or not; left as they are.

    Returns
    -------
    data : ndarray of float64, shape (n_trials, n_chans, n_times)
        Trials in µV: MNE keeps volts, of which networks see nothing but zeros.
    sfreq : float
        Sampling rate in Hz.
    ch_names : tuple of str
        Names of the channels taken.

    Raises
    ------
    ValueError
        When no channel is a good EEG channel.

    Notes
    -----
    As in ``mne.decoding``, channels marked bad and those of another type (EOG, stimulus, ...) are left out.
    """
    import mne

    picks = mne.pick_types(epochs.info, eeg=True, exclude="bads")
    if len(picks) == 0:
        raise ValueError(
            f"Epochs have no good EEG channel: types {sorted(set(epochs.get_channel_types()))}, "
            f"bads {epochs.info['bads']}. Set types with set_channel_types, or pass an array"
        )
    data = epochs.get_data(picks=picks, copy=True)
    data *= MICROVOLTS_PER_VOLT
    return data, float(epochs.info["sfreq"]), tuple(epochs.ch_names[pick] for pick in picks)


def epochs_labels(epochs):
    """Name the class of each epoch: its key in ``event_id``, "left/hand" kept whole.

    Parameters
    ----------
    epochs : mne.Epochs
        Epochs whose bad ones have been dropped (loading them does).

    Returns
    -------
    ndarray of str, shape (n_trials,)
        Labels.
    """
    names = {code: name for name, code in epochs.event_id.items()}
    return np.array([names[code] for code in epochs.events[:, 2]], dtype=str)


def read_epochs(epochs_list):
    """Read Epochs of one kind: data (n_trials, n_chans, n_times) in µV, rate, channel names, labels."""
    parts = []
    for epochs in epochs_list:
        if not epochs.preload:  # loading drops the bad ones, without which events and data differ in length
            epochs = epochs.copy().load_data()
        parts.append((*epochs_to_array(epochs), epochs_labels(epochs)))
    data, sfreqs, ch_names, labels = zip(*parts, strict=True)
    kinds = [
        (sfreq, array.shape[2], names) for array, sfreq, names in zip(data, sfreqs, ch_names, strict=True)
    ]
    if any(kind[1:] != kinds[0][1:] or not same_rate(kind[0], kinds[0][0]) for kind in kinds):
        described = sorted({(sfreq, n_times, len(names)) for sfreq, n_times, names in kinds})
        raise ValueError(
            "Epochs differ in channel names or order, sampling rate or length; (sfreq, n_times, n_chans): "
            f"{described}. Pick, re-order or resample them to agree"
        )
    return np.concatenate(data), sfreqs[0], ch_names[0], np.concatenate(labels)
