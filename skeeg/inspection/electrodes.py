"""Where electrodes are on the head, and topographies, which MNE draws."""

from __future__ import annotations

import numpy as np

from skeeg.trials import channel_key, standard_montage

_MANY = 8  # electrodes, whose surroundings are a topography


def find_info(info, ch_names, n_chans=None):
    """Get an ``mne.Info`` of channels with positions, in their order.

    Parameters
    ----------
    info : mne.Info or None
        Positions of electrodes; None takes those of the standard 10-05 montage, by the channels' names.
    ch_names : sequence of str or None
        Channels; None takes those of ``info``, in its order.
    n_chans : int, default=None
        How many there are, where ``ch_names`` is None.

    Returns
    -------
    mne.Info
        One EEG channel for each of ``ch_names``, of the same names.

    Raises
    ------
    ValueError
        When no names are known, channels are not in ``info``, or have no place.

    Examples
    --------
    >>> from skeeg.inspection.electrodes import find_info
    >>> find_info(None, ["EEG C3-Ref", "Cz"])["ch_names"]
    ['EEG C3-Ref', 'Cz']
    """
    import mne

    if ch_names is None:
        if info is None:
            raise ValueError(
                "the names of the channels are not known, and so not where they are: give info, or X as "
                "mne.Epochs or skeeg.EEGArray(X, sfreq, ch_names)"
            )
        if n_chans is not None and len(info["ch_names"]) != n_chans:
            raise ValueError(
                f"info has {len(info['ch_names'])} channels, the trials have {n_chans} without names"
            )
        ch_names = info["ch_names"]
    places = _places_of(info) if info is not None else {}
    nowhere = [name for name in ch_names if channel_key(name) not in places] if info is not None else []
    if nowhere:
        raise ValueError(f"info has no channel of the names {nowhere[:10]}, or no positions of them")
    if info is None:
        standard = standard_montage().get_positions()["ch_pos"]
        places = {channel_key(name): place for name, place in standard.items()}
        if nowhere := [name for name in ch_names if channel_key(name) not in places]:
            raise ValueError(
                f"the standard 10-05 montage has no channels {nowhere[:10]}: give info, an mne.Info with the "
                "positions of the electrodes"
            )
    found = mne.create_info(list(ch_names), sfreq=1000.0, ch_types="eeg", verbose="ERROR")
    frame, fiducials = "head", {}
    if info is None:  # with the fiducials, by which MNE places the head around the electrodes
        positions = standard_montage().get_positions()
        frame, fiducials = "mri", {name: positions[name] for name in ("nasion", "lpa", "rpa")}
    own = {name: places[channel_key(name)] for name in ch_names}
    montage = mne.channels.make_dig_montage(own, coord_frame=frame, **fiducials)
    return found.set_montage(montage, verbose="ERROR")


def _places_of(info):
    """Positions of the channels of an info that have one, by what spellings of names have in common."""
    places = {}
    for channel in info["chs"]:
        place = np.asarray(channel["loc"][:3], dtype=float)
        if np.isfinite(place).all() and place.any():
            places[channel_key(channel["ch_name"])] = place
    return places


def draw_topography(values, info, ax, limit=None, cmap="RdBu_r", names=False, lowest=None):
    """Draw one number a channel on the head.

    Parameters
    ----------
    values : ndarray, shape (n_chans,)
        Numbers.
    info : mne.Info
        As of `find_info`.
    ax : matplotlib Axes
        Axes to draw on.
    limit : float, default=None
        The colours reach from minus to plus this number; the largest magnitude by default.
    cmap : str, default="RdBu_r"
        Colours.
    names : bool, default=False
        Write the channels' names.
    lowest : float, default=None
        Where colours begin instead of at minus ``limit``.

    Returns
    -------
    matplotlib image

    Raises
    ------
    ValueError
        When there is one electrode alone.
    """
    import mne

    if len(values) < 2:
        raise ValueError(f"a topography needs two electrodes or more, and there is {len(values)}")
    limit = float(np.abs(values).max()) if limit is None else limit
    limit = limit or 1.0
    image, _ = mne.viz.plot_topomap(
        np.asarray(values, dtype=float),
        info,
        axes=ax,
        cmap=cmap,
        vlim=(-limit if lowest is None else lowest, limit),
        contours=4,
        # no colours where no electrode is near; of a few that leaves nothing to see
        extrapolate="local" if len(values) >= _MANY else "head",
        names=info["ch_names"] if names else None,
        show=False,
    )
    return image
