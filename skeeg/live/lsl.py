"""Lab Streaming Layer: samples of an amplifier's stream, and decisions as a stream of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from skeeg.live.decoder import Decision

# LSL names units as it likes; MNE-LSL's player gives the power of ten, of volts.
_UNITS = {"microvolts": "µV", "microvolt": "µV", "µv": "µV", "uv": "µV", "-6": "µV", "-3": "mV", "mv": "mV"}
_UNITS |= {"millivolts": "mV", "volts": "V", "volt": "V", "v": "V", "0": "V", "nv": "nV", "nanovolts": "nV"}
_POLLED = 0.005  # seconds between looks for samples
_COUNTED = 10.0  # seconds over which samples are counted
_RATE_OFF = 0.1  # share by which the rate may be another than the stream says


def _lsl():
    try:
        from mne_lsl import lsl
    except ImportError as error:
        raise ImportError("streams of Lab Streaming Layer need mne-lsl: pip install 'skeeg[live]'") from error
    return lsl


class LSLSource:
    """Samples of a stream of Lab Streaming Layer, by MNE-LSL.

    Parameters
    ----------
    name : str
        Name of the stream.
    timeout : float, default=5.0
        Seconds to look for it.

    Attributes
    ----------
    sfreq : float
        Rate that the stream says it has, in Hz.
    ch_names : list of str
        Channels.
    unit : {"V", "mV", "µV", "nV"} or None
        Unit of its channels, where it says one that is known.

    Raises
    ------
    ImportError
        When mne-lsl is missing.
    ValueError
        When there is no such stream, several, or it has no rate or no names.
    """

    def __init__(self, name, *, timeout=5.0):
        lsl = _lsl()
        found = lsl.resolve_streams(timeout=timeout, name=name)
        if not found:
            others = sorted({info.name for info in lsl.resolve_streams(timeout=1.0)})
            raise ValueError(f"no LSL stream is called {name!r}; there are {others or 'none'}")
        if len(found) > 1:
            raise ValueError(f"{len(found)} LSL streams are called {name!r}; give them names of their own")
        self.sfreq = float(found[0].sfreq)
        if not self.sfreq:
            raise ValueError(f"the LSL stream {name!r} has no sampling rate: its samples come when they like")
        if found[0].dtype is str:
            raise ValueError(f"the LSL stream {name!r} is one of texts, not of samples")
        self._inlet = lsl.StreamInlet(found[0], processing_flags=["clocksync"])
        self._inlet.open_stream(timeout=timeout)
        info = self._inlet.get_sinfo(timeout=timeout)
        names = info.get_channel_names()
        if not names or any(not n for n in names):
            raise ValueError(
                f"the LSL stream {name!r} does not name its channels, and a decoder goes by names"
            )
        self.ch_names = list(names)
        units = {_UNITS.get(str(unit).strip().casefold()) for unit in info.get_channel_units() or [None]}
        self.unit = units.pop() if len(units) == 1 else None

    def pull(self):
        """Get what has come since, (n_chans, n_samples) and time stamps; nothing while a stream is away."""
        # a stream that is away and comes back is found again by LSL
        samples, stamps = self._inlet.pull_chunk(timeout=0.0, max_samples=4096)
        if len(stamps) == 0:
            return np.zeros((len(self.ch_names), 0)), np.zeros(0)
        return np.array(samples, dtype=np.float64).T, np.maximum.accumulate(stamps)

    def close(self):
        """Let go of the stream."""
        self._inlet.close_stream()


class LSLOutlet:
    """Decisions as a stream of Lab Streaming Layer.

    A sample a window, stamped as the last sample of the window: channel ``label`` (index of the class, -1
    where nothing is decided), then the smoothed probability of each class (NaN where the window was left
    out).

    Parameters
    ----------
    name : str
        Name of the stream.
    classes : sequence
        Labels of the decoder.
    """

    def __init__(self, name, classes):
        lsl = _lsl()
        self.classes = list(classes)
        n_channels = 1 + len(self.classes)
        info = lsl.StreamInfo(name, "Decisions", n_channels, 0, "float32", f"skeeg-{name}")
        info.set_channel_names(["label", *(f"p_{label}" for label in self.classes)])
        self._outlet = lsl.StreamOutlet(info)
        self._clock = lsl.local_clock

    def push(self, decision):
        """Publish a decision; what is said of gaps is no sample."""
        if decision.stamp is None:
            return
        p = decision.probabilities
        p = np.full(len(self.classes), np.nan) if p is None else p
        index = -1 if decision.label is None else self.classes.index(decision.label)
        self._outlet.push_sample(np.array([index, *p], dtype=np.float32), timestamp=decision.stamp)


def follow(decoder, source, *, seconds=None, stalled=1.0, give_up=30.0) -> Iterator[Decision]:
    """Decode a source as its samples come.

    Parameters
    ----------
    decoder : LiveDecoder
        For the source's rate and channels.
    source : LSLSource, or an object with ``sfreq`` and ``pull``
        Where samples come from.
    seconds : float, optional
        Seconds of samples, by their stamps, after which to end.
    stalled : float, default=1.0
        Seconds without a sample that are said.
    give_up : float, default=30.0
        Seconds without a sample that end it.

    Yields
    ------
    Decision
        Those of the decoder, and what is said of the stream: that it stalls, or keeps another rate.
    """
    first, now, heard, told = None, 0.0, time.monotonic(), False
    since, counted = None, 0
    while True:
        samples, stamps = source.pull()
        if not len(stamps):
            silence = time.monotonic() - heard
            if silence > stalled and not told:
                told = True
                said = f"no samples for {stalled:g} s: waiting up to {give_up:g} s for the stream to go on"
                yield Decision(now, None, None, None, said)
            if silence > give_up:
                yield Decision(now, None, None, None, f"the stream is gone: no samples for {give_up:g} s")
                return
            time.sleep(_POLLED)
            continue
        heard, told = time.monotonic(), False
        first = stamps[0] if first is None else first
        since = stamps[0] if since is None else since
        for decision in decoder.push(samples, stamps):
            now = decision.time
            if "begins anew" in decision.said:
                since, counted = None, 0
            yield decision
        if since is not None:
            counted += len(stamps)
            if stamps[-1] - since >= _COUNTED:
                rate = (counted - 1) / (stamps[-1] - since)
                if abs(rate / source.sfreq - 1) > _RATE_OFF:
                    said = f"{rate:.4g} samples come a second, and the stream says {source.sfreq:g}"
                    yield Decision(now, None, None, None, said)
                since, counted = None, 0
        if seconds is not None and stamps[-1] - first >= seconds:
            return
