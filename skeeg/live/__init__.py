"""From a stream to decisions: a fitted pipeline fed by an amplifier, or by a recording as if it were one.

>>> from skeeg.live import LiveDecoder
>>> from skeeg.pretrained import load_pretrained
>>> names = ["C3", "Cz", "C4"]
>>> decoder = LiveDecoder(load_pretrained("left-right-hand-3", verbose=False), sfreq=160, ch_names=names)
"""

from skeeg.live.decoder import Decision, LiveDecoder
from skeeg.live.evaluation import LiveResult, evaluate_live

__all__ = ["Decision", "LiveDecoder", "LiveResult", "evaluate_live"]
