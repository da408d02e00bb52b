"""Decoders that come with the wheel: what each takes, and which one fits a montage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skeeg.trials import absent_channels, enough_channels

_FOLDER = Path(__file__).parents[1] / "pretrained"
_HANDS = ("C3", "C4")  # the electrodes over the hands' motor cortex, which nothing else makes up for

_MOTOR = tuple(f"{row}{column}" for row in ("FC", "C", "CP") for column in "531z246")
_ALL = (
    *_MOTOR,
    *("Fp1", "Fpz", "Fp2", "AF7", "AF3", "AFz", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4"),
    *("F6", "F8", "FT7", "FT8", "T7", "T8", "T9", "T10", "TP7", "TP8", "P7", "P5", "P3", "P1", "Pz", "P2"),
    *("P4", "P6", "P8", "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "Iz"),
)


@dataclass(frozen=True)
class Decoder:
    """A decoder in the wheel.

    Attributes
    ----------
    name : str
        Its name, "<task>-<number of channels>".
    task : str
        What it tells apart.
    channels : tuple of str
        Channels that it takes, in its order.
    start, duration : float
        Its window: start after the cue, and length, in seconds.
    band : tuple of float
        Edges of its band in Hz.
    sfreq : float
        Its sampling rate in Hz.
    accuracy : float
        Share of trials in % that it labels right in its window, of people left out: five folds, aligned
        trial by trial.
    licence : str
        Of the recordings that it learned from, and of itself.
    mirrored : tuple of str
        Its labels, which change places when the hemispheres do.
    by_name : bool
        Whether it is taken by its own name alone, never by that of its task.
    """

    name: str
    task: str
    channels: tuple[str, ...]
    accuracy: float
    start: float = 0.0
    duration: float = 3.0
    band: tuple[float, float] = (4.0, 38.0)
    sfreq: float = 160.0
    licence: str = "ODC-BY 1.0"
    mirrored: tuple[str, str] = ("left_hand", "right_hand")
    by_name: bool = False

    @property
    def path(self):
        """The file that holds it."""
        return _FOLDER / f"{self.name}.safetensors"

    @property
    def card(self):
        """The file that tells of it: people, measurements, licence."""
        return _FOLDER / f"{self.name}.md"

    def fits(self, ch_names):
        """Tell whether a montage has enough of the channels."""
        return enough_channels(ch_names, self.channels) and not absent_channels(ch_names, _HANDS)


# The first that fits a montage is taken: channels over the motor strip before a few of them. With all 64 the
# eyes speak as well, so that one has to be asked for.
DECODERS = {
    decoder.name: decoder
    for decoder in (
        Decoder("left-right-hand-21", "left-right-hand", _MOTOR, 73.8),
        Decoder("left-right-hand-3", "left-right-hand", ("C3", "Cz", "C4"), 64.3, start=0.5),
        Decoder("left-right-hand-64", "left-right-hand", _ALL, 80.6, by_name=True),
    )
}


def is_shipped(name):
    """Tell whether a name is that of a decoder in the wheel, or of a task that there are decoders for."""
    return name in DECODERS or name in tasks()


def find_decoder(name, ch_names=None):
    """Find a decoder by its name, or by its task and a montage.

    Parameters
    ----------
    name : str
        Name of a decoder or of a task.
    ch_names : sequence of str or None, default=None
        Channels of the recording; where not known, the first decoder of the task is taken.

    Returns
    -------
    Decoder

    Raises
    ------
    ValueError
        When there is none of that name, or none for these channels.
    """
    if name in DECODERS:
        return DECODERS[name]
    candidates = [d for d in DECODERS.values() if d.task == name and not d.by_name]
    if not candidates:
        raise ValueError(
            f"no decoder is called {name!r}; there are the tasks {sorted(tasks())} and the decoders "
            f"{sorted(DECODERS)}"
        )
    if ch_names is None:
        return candidates[0]
    for decoder in candidates:
        if decoder.fits(ch_names):
            return decoder
    needed = "; or ".join(f"{d.name}: {', '.join(d.channels)}" for d in candidates)
    raise ValueError(
        f"no decoder for {name!r} fits the channels {list(ch_names)}. Needed are C3, C4 and in all two "
        f"thirds of {needed}"
    )


def tasks():
    """Get the names of the tasks that there are decoders for."""
    return {decoder.task for decoder in DECODERS.values()}
