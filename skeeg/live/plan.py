"""What a fitted pipeline asks of a stream: what is done once per sample, and what once per window."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from scipy import signal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skeeg.preprocessing import BandPass, EuclideanAlignment, MatchRecording
from skeeg.preprocessing.resampling import rational
from skeeg.trials import absent_channels, channel_map, same_rate

#: What a stream's unit is multiplied by to have µV.
MICROVOLTS = {"V": 1e6, "mV": 1e3, "µV": 1.0, "uV": 1.0, "nV": 1e-3}


@dataclass
class Plan:
    """The way from samples of a stream to probabilities.

    Attributes
    ----------
    used : ndarray of int
        Channels of the stream that are read.
    matrix : ndarray of float64, shape (n_chans, n_used), or None
        What makes the decoder's channels of them; None where they are the channels.
    ch_names : tuple of str or None
        The decoder's channels.
    up, down : int
        The decoder's sampling rate as a fraction of the stream's.
    sfreq : float
        The decoder's sampling rate in Hz.
    sos : ndarray, shape (n_sections, 6), or None
        Filter, run forward over the stream.
    n_times : int
        Samples of a window.
    steps : list of estimators
        What is done with each window; the last one has ``predict_proba``.
    classes : ndarray
        Labels.
    """

    used: np.ndarray
    matrix: np.ndarray | None
    ch_names: tuple | None
    up: int
    down: int
    sfreq: float
    sos: np.ndarray | None
    n_times: int
    steps: list
    classes: np.ndarray

    @property
    def alignments(self):
        """Steps that go on learning, without labels, from what they see."""
        return [s for s in _alignments(self.steps) if s.mode == "causal"]


def make_plan(pipeline, *, sfreq, ch_names, n_chans, window, band, alignment):
    """Take a fitted pipeline apart: see :class:`skeeg.live.LiveDecoder` for the parameters.

    The pipeline itself stays as it is; the plan has a copy of its steps.

    Raises
    ------
    ValueError
        When the stream lacks what the pipeline needs.
    """
    check_is_fitted(pipeline)
    steps = _flat(copy.deepcopy(pipeline))
    if not hasattr(steps[-1], "predict_proba"):
        raise ValueError(
            f"{type(steps[-1]).__name__} has no predict_proba, and decisions are made by probabilities; "
            "sklearn.calibration.CalibratedClassifierCV gives a classifier some"
        )
    matching = steps.pop(0) if isinstance(steps[0], MatchRecording) else None
    filtering = steps.pop(0) if matching is None and isinstance(steps[0], BandPass) else None
    own_sfreq = float(matching.new_sfreq) if matching is not None else _known(filtering, steps, "sfreq_")
    own_sfreq = sfreq if own_sfreq is None else own_sfreq
    if matching is None and not same_rate(own_sfreq, sfreq):
        raise ValueError(
            f"the stream has {sfreq:g} Hz, and the pipeline was trained at {own_sfreq:g} Hz: train it at the "
            "stream's rate, or let a skeeg.preprocessing.MatchRecording be its first step"
        )
    sos = _filter(matching, filtering, band, min(own_sfreq, sfreq), own_sfreq)
    own_names = tuple(matching.channels) if matching is not None else _known(filtering, steps, "ch_names_")
    used, matrix = _channels(matching, own_names, ch_names, n_chans, _known(filtering, steps, "n_chans_"))
    if alignment is not None:
        _refuse_hidden_alignments(steps)
        for step in _alignments(steps):
            step.set_params(mode=alignment)
    up, down = (1, 1) if same_rate(own_sfreq, sfreq) else rational(own_sfreq, sfreq)
    n_times = _samples(matching, filtering, steps, window, own_sfreq)
    return Plan(used, matrix, own_names, up, down, own_sfreq, sos, n_times, steps, pipeline.classes_)


def _flat(estimator):
    """Steps of a pipeline, and of the pipelines in it, and in what is wrapped around it."""
    estimator = getattr(estimator, "best_estimator_", estimator)  # of a search
    if isinstance(estimator, FrozenEstimator):
        return _flat(estimator.estimator)
    if isinstance(estimator, CalibratedClassifierCV):
        if len(estimator.calibrated_classifiers_) > 1:
            raise ValueError(
                "CalibratedClassifierCV(ensemble=True) averages several pipelines, and a stream has one; fit "
                "it with ensemble=False"
            )
        (calibrated,) = estimator.calibrated_classifiers_
        *before, calibrated.estimator = _flat(calibrated.estimator)
        return [*before, calibrated]
    if not isinstance(estimator, Pipeline):
        return [estimator]
    return [s for _, step in estimator.steps if step not in (None, "passthrough") for s in _flat(step)]


def _known(filtering, steps, name):
    """What the first step that knows it has learned of the data, or None."""
    values = (getattr(step, name, None) for step in _leaves([filtering, *steps]))
    return next((value for value in values if value is not None), None)


def _alignments(steps):
    return [step for step in _leaves(steps) if isinstance(step, EuclideanAlignment)]


def _refuse_hidden_alignments(steps):
    """Refuse alignments that cannot be reached: they would take the stream's person for the trained ones."""
    for step in _leaves(steps):
        parts = step.get_params().values() if hasattr(step, "get_params") else ()
        if any(isinstance(part, EuclideanAlignment) for part in parts):
            raise ValueError(
                f"{type(step).__name__} holds an alignment of its own, which cannot follow the stream: put "
                "it into a step before, or give alignment=None to leave it as it is"
            )


def _leaves(steps):
    """Steps, and those within unions and pipelines."""
    for step in steps:
        parts = getattr(step, "transformer_list", None) or getattr(step, "steps", None)
        yield from [step] if parts is None else _leaves(part for _, part in parts)


def _filter(matching, filtering, band, usable, sfreq):
    own = matching if matching is not None else filtering
    if own is not None:
        if band is not None:
            raise ValueError(
                f"band={band}, but the pipeline has a filter of its own, {own.low}-{own.high} Hz, which is "
                "run over the stream; leave band out"
            )
        if filtering is not None:
            return np.array(filtering.sos_)
        band = own.low, own.high
    if band is None:
        return None
    low, high = band
    if not 0 < low < high < usable / 2:
        raise ValueError(
            f"a stream of {usable:g} Hz holds no band of {low:g}-{high:g} Hz: give 0 < low < high"
        )
    return signal.butter(4, [low, high], "bandpass", output="sos", fs=sfreq)


def _channels(matching, own_names, ch_names, n_chans, own_n_chans):
    """Indices of the stream's channels that are read, and the matrix that is applied to them."""
    if own_names is None:
        if own_n_chans not in (None, n_chans):
            raise ValueError(
                f"the stream has {n_chans} channels and the pipeline was trained on {own_n_chans}, without "
                "names: give ch_names to both, or the same channels"
            )
        return np.arange(n_chans), None
    if ch_names is None:
        if matching is None and own_n_chans == n_chans:
            return np.arange(n_chans), None
        raise ValueError(f"the pipeline needs the channels {list(own_names)}: give ch_names of the stream")
    if matching is not None:
        matrix = matching.channel_map(ch_names)
    else:
        if absent := absent_channels(ch_names, own_names):
            raise ValueError(
                f"the stream lacks the channels {absent}, which the pipeline was trained on; it has "
                f"{list(ch_names)}"
            )
        matrix = channel_map(ch_names, own_names)
    if matrix is None:
        return np.arange(n_chans), None
    used = np.flatnonzero(matrix.any(axis=0))
    if ((matrix != 0).sum(axis=1) == 1).all() and (matrix.max(axis=1) == 1).all():
        return matrix.argmax(axis=1), None  # channels are picked, not mixed
    return used, matrix[:, used].astype(np.float64)


def _samples(matching, filtering, steps, window, sfreq):
    if matching is not None:
        n_times = round(matching.duration * matching.new_sfreq)
    else:
        n_times = _known(filtering, steps, "n_times_")
    if window is None and n_times is None:
        raise ValueError(
            "how long a window the pipeline was trained on is not known: give window, in seconds"
        )
    wanted = n_times if window is None else round(window * sfreq)
    if n_times not in (None, wanted) or wanted < 1:
        raise ValueError(
            f"window={window} s is {wanted} samples, and the pipeline was trained on {n_times}: leave it out"
        )
    return wanted
