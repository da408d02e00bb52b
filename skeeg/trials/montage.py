"""Channels by name: one electrode has many spellings, and one montage is made out of another."""

from __future__ import annotations

import functools
import re

import numpy as np

# names of the 10-20 system that the 10-10 system changed
_RENAMED = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
# what recorders put around a name: "EEG C3-Ref", "EEG:C3", "POL C3", "C3..", "C3-A2", "C3/M1+M2". Other names
# after a dash, as in "C3-Cz", are electrodes: a bipolar channel is none of the two.
_BEFORE = re.compile(r"^(eeg|pol)[\s:_-]+")
_AFTER = re.compile(
    r"(\.+|[\s_/-]+\(?(ref|reference|[am][12]|a1[+/]?a2|m1[+/]?m2|le|ar|avg|average|car|linked|lm|nose)\)?)$"
)
# Caps of 128 electrodes and more have names by their plugs, A1 to D32: their C3 is another electrode. Of the
# 10-10 system, A1, A2 and C1 to C6 look like that.
_PLUG = re.compile(r"[a-d]\d{1,2}")
_MOST_LIKE_PLUGS = 8


def channel_key(name):
    """Get what the spellings of a channel's name have in common.

    Parameters
    ----------
    name : str
        Name of a channel, as a recorder writes it.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        When it is no text.

    Examples
    --------
    >>> [channel_key(name) for name in ("C3", "EEG C3-Ref", "c3..", "C3/A2", "T3", "C3-Cz")]
    ['c3', 'c3', 'c3', 'c3', 't7', 'c3-cz']
    """
    if not isinstance(name, str):
        raise ValueError(f"{name!r} is no channel's name: names are text, such as 'C3'")
    key = _AFTER.sub("", _BEFORE.sub("", name.strip().casefold())).strip()
    return _RENAMED.get(key, key)


def absent_channels(ch_names, wanted):
    """List the channels that are wanted and that a recording does not have, by any spelling.

    Parameters
    ----------
    ch_names, wanted : sequence of str
        Channels of the recording, and those that are wanted.

    Returns
    -------
    list of str

    Examples
    --------
    >>> absent_channels(["EEG C3-Ref", "T3"], ["C3", "Cz", "T7"])
    ['Cz']
    """
    there = {channel_key(name) for name in ch_names}
    return [name for name in wanted if channel_key(name) not in there]


def enough_channels(ch_names, wanted):
    """Tell whether a recording has two thirds of the channels wanted: the others may be interpolated.

    Parameters
    ----------
    ch_names, wanted : sequence of str
        Channels of the recording, and those that are wanted.

    Returns
    -------
    bool
    """
    return 3 * len(absent_channels(ch_names, wanted)) <= len(wanted)


def channel_map(ch_names, wanted, missing="raise"):
    """Get the matrix that makes the channels a network wants out of those of a recording.

    Parameters
    ----------
    ch_names : sequence of str
        Channels of the recording.
    wanted : sequence of str
        Channels of the network.
    missing : {"raise", "interpolate"}, default="raise"
        What becomes of wanted channels that the recording does not have.

    Returns
    -------
    ndarray of float32, shape (n_wanted, n_channels), or None
        Each wanted channel is a row's weighted sum of the recording's channels; None where nothing changes.

    Raises
    ------
    ValueError
        When channels are missing and may not, or cannot, be interpolated, two channels of the recording
        are one electrode by their names, or the names are those of a cap's plugs.

    Notes
    -----
    Names match whatever their case and what recorders put around them (:func:`channel_key`), and T3, T4, T5,
    T6 are T7, T8, P7, P8. Channels that are not wanted serve interpolation, by MNE's spherical splines at the
    positions of the standard 10-05 montage, and are otherwise left out.

    Examples
    --------
    >>> channel_map(["Cz", "FZ", "C3"], ["C3", "Fz"])
    array([[0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    own = {channel_key(name): i for i, name in enumerate(ch_names)}
    if sum(_PLUG.fullmatch(key) is not None for key in own) > _MOST_LIKE_PLUGS:
        raise ValueError(
            f"the channels {list(ch_names)[:4]}, ... are called by their plugs, where C3 is not the C3 of "
            "the 10-10 system: rename them by their places on the head"
        )
    matrix = np.zeros((len(wanted), len(ch_names)), dtype=np.float32)
    absent = []
    for row, name in enumerate(wanted):
        key = channel_key(name)
        if key not in own:
            absent.append(row)
            continue
        spellings = [name for name in ch_names if channel_key(name) == key]
        if len(spellings) > 1:
            raise ValueError(f"channels {spellings} are one electrode by their names; drop all but one")
        matrix[row, own[key]] = 1
    if absent:
        names = [wanted[row] for row in absent]
        if missing == "raise":
            raise ValueError(
                f"the pretrained network wants the channels {names}, which X does not have (it has "
                f'{list(ch_names)}). missing_channels="interpolate" makes them out of the others'
            )
        matrix[absent] = _interpolation(tuple(ch_names), tuple(names))
    if len(ch_names) == len(wanted) and np.array_equal(matrix, np.eye(len(wanted))):
        return None
    return matrix


@functools.lru_cache(maxsize=16)
def _interpolation(ch_names, absent):
    """Weights of channels in absent ones: (n_absent, n_channels)."""
    import mne

    montage = standard_montage()
    known = {name.casefold(): name for name in montage.ch_names}
    nowhere = [name for name in absent if channel_key(name) not in known]
    placed = {channel_key(name): i for i, name in enumerate(ch_names) if channel_key(name) in known}
    if nowhere:
        raise ValueError(
            f"channels {nowhere} cannot be interpolated: the standard 10-05 montage has no such names"
        )
    if len(placed) < 4:
        raise ValueError(
            f"channels {list(absent)} cannot be interpolated: of the channels of X, {list(ch_names)}, at "
            "least 4 must have names of the standard 10-05 montage"
        )
    names = [known[key] for key in placed] + [known[channel_key(name)] for name in absent]
    # Interpolation is linear: what it makes of unit impulses are its weights.
    impulses = np.vstack([np.eye(len(placed)), np.zeros((len(absent), len(placed)))])
    info = mne.create_info(names, sfreq=1000.0, ch_types="eeg")
    raw = mne.io.RawArray(impulses, info, verbose="ERROR").set_montage(montage)
    raw.info["bads"] = names[len(placed) :]
    raw.interpolate_bads(verbose="ERROR")
    weights = np.zeros((len(absent), len(ch_names)))
    weights[:, list(placed.values())] = raw.get_data()[len(placed) :]
    return weights


@functools.cache
def standard_montage():
    """Get the positions and names of the 10-05 system."""
    import mne

    # MNE 1.13 renamed it
    name = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    return mne.channels.make_standard_montage(name)
