"""What a decoder remembers, as plain arrays."""

from __future__ import annotations

import hashlib

import numpy as np

_COUNTS = ("_n_seen", "_n_missing", "_n_held", "_n_in", "_n_windows", "_due")
_MAYBE = {  # None before the first sample, or window
    "window": ("", "_window"),
    "last": ("", "_last"),
    "stamp": ("", "_stamp"),
    "filter": ("_filter", "state"),
    "past": ("_resampler", "past"),
    "evidence": ("_smoothing", "past"),
}
_SEEN = ("n_trials", "mean", "levels", "recent")


def state_of(decoder):
    """Get the state; see :meth:`skeeg.live.LiveDecoder.state`."""
    state = {"made_by": np.array(_fingerprint(decoder))}
    state["counts"] = np.array([getattr(decoder, name) for name in _COUNTS], dtype=np.int64)
    state["n_out"] = np.array(getattr(decoder._resampler, "n_out", 0))
    state["powers"] = decoder._artefacts.powers
    state["waiting"] = np.concatenate([np.zeros((len(decoder._plan.used), 0)), *decoder._pieces], axis=1)
    for name, (part, attribute) in _MAYBE.items():
        value = getattr(getattr(decoder, part) if part else decoder, attribute, None)
        if value is not None:
            state[name] = np.array(value)
    for i, alignment in enumerate(decoder._alignments):
        for name, value in zip(_SEEN, alignment.seen_.get(None, ()), strict=False):
            state[f"alignment{i}_{name}"] = np.array(value)
    return state


def restore_state(decoder, state):
    """Restore a state; see :meth:`skeeg.live.LiveDecoder.restore`."""
    try:
        state = {name: np.array(state[name]) for name in state}
        made_by, counts = str(state["made_by"]), state["counts"].tolist()
        n_out, powers, waiting = int(state["n_out"]), state["powers"], state["waiting"]
    except (TypeError, KeyError):
        raise ValueError("this is no state of a LiveDecoder: give what state() returned") from None
    if made_by != _fingerprint(decoder):
        raise ValueError(
            "the state is of another pipeline, stream or window: make the LiveDecoder with the same "
            "pipeline and settings"
        )
    wrong = [name for name, shape in _shapes(decoder).items() if not _fits(state.get(name), shape)]
    if wrong or len(counts) != len(_COUNTS):
        raise ValueError(f"the state is damaged: {wrong or ['counts']} are not what such a decoder keeps")
    for name, value in zip(_COUNTS, counts, strict=True):
        setattr(decoder, name, value)
    decoder._resampler.n_out = n_out
    decoder._artefacts.recall(powers)
    decoder._pieces, decoder._n_waiting = ([waiting] if waiting.shape[1] else []), waiting.shape[1]
    for name, (part, attribute) in _MAYBE.items():
        value = state.get(name)
        value = float(value) if name == "stamp" and value is not None else value
        setattr(getattr(decoder, part) if part else decoder, attribute, value)
    for i, alignment in enumerate(decoder._alignments):
        seen = tuple(state[f"alignment{i}_{name}"] for name in _SEEN if f"alignment{i}_{name}" in state)
        alignment.seen_ = {None: (int(seen[0]), *seen[1:])} if seen else {}


def _shapes(decoder):
    """Shapes of what a state holds, None where any length will do."""
    plan = decoder._plan
    n_used = len(plan.used)
    n_chans = n_used if plan.matrix is None else len(plan.matrix)
    shapes = {
        "powers": (None, n_chans),
        "waiting": (n_used, None),
        "window": (n_chans, plan.n_times),
        "last": (n_used,),
        "stamp": (),
        "evidence": (len(plan.classes),),
    }
    if plan.sos is not None:
        shapes["filter"] = (len(plan.sos), n_chans, 2)
    if plan.up != plan.down:
        shapes["past"] = (n_chans, decoder._resampler.length)
    for i, alignment in enumerate(decoder._alignments):
        n = alignment.n_chans_
        shapes |= dict(
            zip((f"alignment{i}_{name}" for name in _SEEN), ((), (n, n), (n,), (None, n, n)), strict=True)
        )
    return shapes


def _fits(value, shape):
    """Tell whether an array has a shape and holds finite numbers; what is not there fits."""
    if value is None:
        return True
    same = value.ndim == len(shape) and all(
        n in (None, own) for n, own in zip(shape, value.shape, strict=True)
    )
    return same and value.dtype.kind in "fi" and bool(np.isfinite(value).all())


def _fingerprint(decoder):
    """What two decoders have in common where one can go on for the other."""
    plan = decoder._plan
    settings = (
        decoder.sfreq,
        decoder.unit,
        decoder._step,
        decoder._longest_gap,
        decoder._smoothing.kind,
        plan.used.tolist(),
        plan.ch_names,
        (plan.up, plan.down, plan.n_times),
        None if plan.sos is None else plan.sos.tolist(),
        None if plan.matrix is None else plan.matrix.tolist(),
        [type(step).__name__ for step in plan.steps],
        plan.classes.tolist(),
    )
    return hashlib.sha256(repr(settings).encode()).hexdigest()
