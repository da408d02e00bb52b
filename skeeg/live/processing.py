"""What is done to a stream once per sample, and what is remembered from window to window."""

from __future__ import annotations

import numpy as np
from scipy import signal

_LOBES = 10  # zero crossings of the filter against aliasing to each side, as in scipy.signal.resample_poly
_USUAL = 20  # windows of which the median says how loud a channel usually is
_FEW = 3  # of them are needed
_SILENT = 1e-4  # power of a channel as a share of what is usual


class StreamResampler:
    """Another sampling rate, sample by sample: SciPy's polyphase filter, delayed by half its length.

    Parameters
    ----------
    up, down : int
        The new rate as a fraction of the old.
    """

    def __init__(self, up, down):
        self.up, self.down = up, down
        if up == down:
            self.delay = 0
            return
        half = _LOBES * max(up, down)
        taps = up * signal.firwin(2 * half + 1, 1 / max(up, down), window=("kaiser", 5.0))
        self.length = -(-len(taps) // up)  # of each phase
        # a row a phase, in the order of time
        self.phases = np.pad(taps, (0, self.length * up - len(taps))).reshape(self.length, up).T[:, ::-1]
        self.delay = half / up  # in samples of the old rate
        self.begin()

    def begin(self):
        """Forget the past."""
        self.past, self.n_out = None, 0

    def needed(self, n_out):
        """How many samples are needed for so many of the new rate."""
        return (n_out - 1) * self.down // self.up + 1

    def __call__(self, block, n_in, n_out):
        """Get the samples of the new rate up to n_out, of the next samples; n_in came before them."""
        if self.up == self.down:
            return block
        if self.past is None:
            self.past = np.repeat(block[:, :1], self.length, axis=1)
        known = np.concatenate([self.past, block], axis=1)
        outputs = np.arange(self.n_out, n_out) * self.down  # on the grid of both rates
        segments = np.lib.stride_tricks.sliding_window_view(known, self.length, axis=1)
        segments = segments[:, outputs // self.up - n_in + 1]
        self.past, self.n_out = known[:, block.shape[1] :], n_out
        return np.einsum("ckt,kt->ck", segments, self.phases[outputs % self.up])


class StreamFilter:
    """Second-order sections run forward, that begin as if the first sample had always been there.

    Parameters
    ----------
    sos : ndarray, shape (n_sections, 6), or None
        The filter; None leaves the stream as it is.
    """

    def __init__(self, sos):
        self.sos = sos
        self.begin()

    def begin(self):
        """Forget the past."""
        self.state = None

    def __call__(self, block):
        """Filter the next samples."""
        if self.sos is None:
            return block
        if self.state is None:
            self.state = signal.sosfilt_zi(self.sos)[:, np.newaxis] * block[np.newaxis, :, :1]
        filtered, self.state = signal.sosfilt(self.sos, block, zi=self.state)
        return filtered


class Smoothing:
    """Probabilities of one window after the other, made into one opinion.

    Parameters
    ----------
    kind : {"exponential", "evidence"} or None
        See :class:`skeeg.live.LiveDecoder`.
    step, window : float
        Seconds from window to window, and of each.
    time_constant : float
        Seconds in which the past fades to 1/e.
    """

    def __init__(self, kind, step, window, time_constant):
        self.kind = kind
        self.fading = np.exp(-step / time_constant)
        self.share = min(1.0, step / window)  # of a window that was not in the one before
        self.begin()

    def begin(self):
        """Forget the past."""
        self.past = None

    def __call__(self, probabilities):
        """Take in the probabilities of a window; get those that all windows give."""
        if self.kind is None:
            return probabilities
        if self.kind == "exponential":
            past = probabilities if self.past is None else self.past
            self.past = probabilities + self.fading * (past - probabilities)
            return self.past
        evidence = self.share * np.log(np.maximum(probabilities, 1e-6))
        self.past = evidence if self.past is None else self.fading * self.past + evidence
        shares = np.exp(self.past - self.past.max())
        return shares / shares.sum()


class Artefacts:
    """Windows of which a channel has far more, or no, power.

    Parameters
    ----------
    ratio : float or None
        How many times the usual power is too much; None lets every window pass.
    names : sequence of str
        Names of the channels.
    """

    def __init__(self, ratio, names):
        self.ratio, self.names = ratio, names
        self.begin()

    def begin(self):
        """Forget the past."""
        self.recall(np.zeros((0, len(self.names))))

    def recall(self, powers):
        """Remember windows: what is usual is their median, so that what lasts becomes usual."""
        self.powers = powers
        self.usual = np.median(powers, axis=0) if len(powers) >= _FEW else None

    def take(self, power):
        """Let a window count in what is usual."""
        self.recall(np.concatenate([self.powers, power[np.newaxis]])[-_USUAL:])

    def found(self, power):
        """Say what is wrong with a window; empty where nothing is."""
        if not power.any():
            return "all channels are flat"
        if self.ratio is None or self.usual is None:
            return ""
        compared = power / np.where(self.usual > 0, self.usual, np.inf)
        worst = int(compared.argmax())
        if compared[worst] > self.ratio:
            return f"{self.names[worst]} has {compared[worst]:.3g} times its usual power"
        silent = np.flatnonzero((compared < _SILENT) & (self.usual > 0))
        return f"{self.names[silent[0]]} went flat" if len(silent) else ""
