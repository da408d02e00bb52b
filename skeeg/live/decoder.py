"""LiveDecoder: samples in, decisions out."""

from __future__ import annotations

import itertools
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from skeeg.live.plan import MICROVOLTS, make_plan
from skeeg.live.processing import Artefacts, Smoothing, StreamFilter, StreamResampler
from skeeg.live.state import restore_state, state_of
from skeeg.preprocessing.base import NOT_NEGATIVE, POSITIVE

_PLAUSIBLE = 0.05, 5e3  # µV, standard deviation of a channel: EEG has 1 to 100


class Decision(NamedTuple):
    """What a decoder says at one moment.

    Attributes
    ----------
    time : float
        Seconds of stream from its first sample to the end of the window.
    label : label or None
        What is decided; None while no class passes the threshold, or it is that of rest.
    probabilities : ndarray of float64, shape (n_classes,), or None
        Of the classes, smoothed over windows; None where the window was left out.
    of_window : ndarray of float64, shape (n_classes,), or None
        What the pipeline says of this window alone.
    said : str
        Why the window was left out, or what else is to be known; mostly empty.
    stamp : float or None
        Time stamp of the window's last sample, where the stream has any.
    """

    time: float
    label: object
    probabilities: np.ndarray | None
    of_window: np.ndarray | None
    said: str = ""
    stamp: float | None = None


class LiveDecoder:
    """Feed a fitted pipeline from a stream.

    What the pipeline does to single samples (picking channels, another sampling rate, its band) is done once
    per sample, causally; the rest, once per window. The pipeline itself is copied, and stays as it is.

    Parameters
    ----------
    pipeline : Pipeline or classifier
        Fitted, with ``predict_proba``. A :class:`skeeg.preprocessing.MatchRecording` (as decoders of
        :func:`skeeg.pretrained.load_pretrained` have) or :class:`skeeg.preprocessing.BandPass` that comes
        first is run over the stream.
    sfreq : float
        Sampling rate of the stream in Hz.
    ch_names : sequence of str, optional
        Channels of the stream, in its order. Where the pipeline knows names, they are picked by them.
    n_chans : int, optional
        Number of channels of a stream without names.
    unit : {"V", "mV", "µV", "uV", "nV"} or None, default="µV"
        Unit of the stream. Windows that cannot be EEG in it are left out; None, not known, lets all pass.
    step : float, default=0.1
        Seconds from one decision to the next.
    window : float, optional
        Length of a window in seconds, where the pipeline does not know it.
    band : (float, float), optional
        Band in Hz of a pipeline that was trained on trials filtered before: Butterworth of order 4.
    smoothing : {"exponential", "evidence"} or None, default="exponential"
        "exponential" averages the probabilities of windows, the past fading. "evidence" adds up their
        logarithms, the past fading, each window weighing as much as it has new samples. None takes each
        window by itself.
    time_constant : float, default=1.0
        Seconds in which the past fades to 1/e.
    threshold : float, default=0.7
        Least probability of a decision.
    rest : label, optional
        Class that means that nothing is to be decided.
    alignment : {"causal", "single"} or None, default="causal"
        Mode that alignments of the pipeline get, see :class:`skeeg.EuclideanAlignment`: what they see of
        this person without labels, a window after the other that do not overlap, counts. None leaves them
        as they are.
    artefact_ratio : float or None, default=10.0
        A window is left out where a channel has so many times the power that it had in most of the last 20
        windows that do not overlap; None leaves none out.
    max_gap : float, default=0.1
        Seconds without samples (NaN, or missing by their time stamps) that are bridged, by holding the last
        sample. After a longer gap everything begins anew but what alignments have seen.

    Attributes
    ----------
    classes_ : ndarray
        Labels.
    ch_names_ : tuple of str or None
        Channels that are decoded.
    sfreq_ : float
        Sampling rate of windows in Hz.
    n_times_ : int
        Samples of a window.
    delay_ : float
        Seconds by which resampling delays the stream; 0 where there is none. The filter's delay comes on top.

    Raises
    ------
    ValueError
        When a parameter is wrong, or the stream lacks what the pipeline was trained on: channels, the rate.

    Notes
    -----
    The same samples give the same decisions to the bit, in whatever chunks they come: they are processed in
    blocks that end where windows end. Without resampling and interpolation, windows are those of
    ``scipy.signal.sosfilt`` over the whole recording, as float32.

    A pipeline trained on trials that were filtered forward and backward sees here what a forward filter
    leaves: it is later by the filter's delay. Trained with ``BandPass(causal=True)``, it has seen such.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.live import LiveDecoder
    >>> X, y, _ = make_motor_imagery(1, 80, n_chans=5, difficulty=0.0, random_state=0)
    >>> pipeline = make_csp_lda().fit(X[:60], y[:60])
    >>> decoder = LiveDecoder(pipeline, sfreq=X.sfreq, ch_names=X.ch_names, step=0.5, smoothing=None)
    >>> decisions = decoder.push(np.concatenate(X[60:], axis=1))  # twenty trials as if they were a stream
    >>> len(decisions) > 100, decisions[0].time == X.shape[2] / X.sfreq
    (True, True)
    """

    @validate_params(
        {
            "sfreq": [POSITIVE],
            "ch_names": ["array-like", None],
            "n_chans": [Interval(Real, 1, None, closed="left"), None],
            "unit": [StrOptions(set(MICROVOLTS)), None],
            "step": [POSITIVE],
            "window": [POSITIVE, None],
            "band": ["array-like", None],
            "smoothing": [StrOptions({"exponential", "evidence"}), None],
            "time_constant": [POSITIVE],
            "threshold": [Interval(Real, 0, 1, closed="both")],
            "alignment": [StrOptions({"causal", "single"}), None],
            "artefact_ratio": [Interval(Real, 1, np.inf, closed="neither"), None],
            "max_gap": [NOT_NEGATIVE],
        },
        prefer_skip_nested_validation=True,
    )
    def __init__(
        self,
        pipeline,
        *,
        sfreq,
        ch_names=None,
        n_chans=None,
        unit="µV",
        step=0.1,
        window=None,
        band=None,
        smoothing="exponential",
        time_constant=1.0,
        threshold=0.7,
        rest=None,
        alignment="causal",
        artefact_ratio=10.0,
        max_gap=0.1,
    ):
        if ch_names is not None and n_chans not in (None, len(ch_names)):
            raise ValueError(f"n_chans={n_chans}, but ch_names has {len(ch_names)}")
        n_chans = len(ch_names) if ch_names is not None else n_chans
        if n_chans is None:
            raise ValueError("give ch_names of the stream, or n_chans where it has no names")
        self.sfreq, self.unit, self.n_chans = float(sfreq), unit, int(n_chans)
        self.threshold, self.rest = float(threshold), rest
        self._plan = plan = make_plan(
            pipeline,
            sfreq=self.sfreq,
            ch_names=None if ch_names is None else [str(name) for name in ch_names],
            n_chans=self.n_chans,
            window=window,
            band=band,
            alignment=alignment,
        )
        self.classes_, self.ch_names_ = np.asarray(plan.classes), plan.ch_names
        self.sfreq_, self.n_times_ = plan.sfreq, plan.n_times
        if rest is not None and rest not in self.classes_:
            raise ValueError(f"rest={rest!r} is none of the classes {self.classes_.tolist()}")
        self._step = round(step * plan.sfreq)
        if self._step < 1:
            raise ValueError(f"step={step} s is less than a sample at {plan.sfreq:g} Hz")
        self.step = self._step / plan.sfreq
        self._longest_gap = round(max_gap * self.sfreq)
        self._alignments = plan.alignments
        self._resampler, self._filter = StreamResampler(plan.up, plan.down), StreamFilter(plan.sos)
        self.delay_ = self._resampler.delay / self.sfreq
        window = plan.n_times / plan.sfreq
        self._smoothing = Smoothing(smoothing, self.step, window, float(time_constant))
        n_decoded = len(plan.used) if plan.matrix is None else len(plan.matrix)
        names = plan.ch_names or [f"channel {i}" for i in range(n_decoded)]
        self._artefacts = Artefacts(artefact_ratio, names)
        self._n_seen, self._stamp = 0, None
        self._n_missing = self._n_held = 0
        self._begin()

    def _begin(self):
        """Begin anew with the next sample; what is known of the person stays."""
        self._pieces, self._stamps, self._n_waiting = [], [], 0
        self._n_in = self._n_windows = 0
        self._window = self._last = None
        self._due = 0  # the window from which alignments learn next
        self._resampler.begin()
        self._filter.begin()
        self._smoothing.begin()

    def forget_evidence(self):
        """Begin smoothing anew, as at a cue; the stream goes on."""
        self._smoothing.begin()

    def state(self):
        """Get all that the decoder remembers of its stream and person.

        Returns
        -------
        dict of str -> ndarray
            ``numpy.savez(path, **decoder.state())`` keeps it in a file.

        Examples
        --------
        >>> from skeeg.live import LiveDecoder
        >>> from skeeg.pretrained import load_pretrained
        >>> pipeline = load_pretrained("left-right-hand-3", verbose=False)
        >>> decoder = LiveDecoder(pipeline, sfreq=160, ch_names=["C3", "Cz", "C4"])
        >>> same = LiveDecoder(pipeline, sfreq=160, ch_names=["C3", "Cz", "C4"]).restore(decoder.state())
        """
        return state_of(self)

    def restore(self, state):
        """Go on where a decoder of the same pipeline and settings was.

        Parameters
        ----------
        state : mapping of str -> ndarray
            What ``state`` gave, or ``numpy.load`` of it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            When it is of another pipeline, stream or window; the decoder then is as before.
        """
        restore_state(self, state)
        return self

    # ----- samples ----------------------------------------------------------------------------------------

    def push(self, samples, timestamps=None):
        """Take in the next samples.

        Parameters
        ----------
        samples : array-like, shape (n_chans, n_samples)
            Of all channels of the stream, in its unit; as many or few as there are. NaN is what was lost.
        timestamps : array-like, shape (n_samples,), optional
            When each was taken, in seconds; a jump tells of lost ones.

        Returns
        -------
        list of Decision
            Those that the samples complete: one for each window, and one for each gap.

        Raises
        ------
        ValueError
            When shapes are wrong or time runs backwards; the decoder then is as before.
        """
        samples, timestamps = self._checked(samples, timestamps)
        lost, missing = self._lost(timestamps), ~np.isfinite(samples).all(axis=0)
        decisions = []
        begins = (lost > 0) | (missing != np.roll(missing, 1))
        starts = np.flatnonzero(begins[1:]) + 1 if len(begins) else np.zeros(0, int)
        bounds = [0, *starts.tolist(), samples.shape[1]]
        for first, stop in itertools.pairwise(bounds):
            if first == stop:
                continue
            self._miss(int(lost[first]), decisions)
            if missing[first]:
                self._miss(stop - first, decisions)
            else:
                self._n_missing = 0
                self._take(samples[:, first:stop], timestamps[first:stop], decisions)
        return decisions

    def _checked(self, samples, timestamps):
        try:
            samples = np.asarray(samples, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError("samples are no numbers: expected an array (n_chans, n_samples)") from None
        if samples.ndim != 2 or len(samples) != self.n_chans:
            turned = samples.ndim == 2 and samples.shape[1] == self.n_chans
            raise ValueError(
                f"samples have the shape {samples.shape}, and the stream has {self.n_chans} channels: give "
                f"(n_chans, n_samples){', samples.T' if turned else ''}"
            )
        if timestamps is None:
            timestamps = np.full(samples.shape[1], np.nan)
        else:
            timestamps = np.asarray(timestamps, dtype=np.float64)
            if timestamps.shape != samples.shape[1:]:
                raise ValueError(
                    f"{samples.shape[1]} samples came with timestamps of shape {timestamps.shape}"
                )
            before = timestamps[:1] if self._stamp is None else [self._stamp]
            if not (np.diff(timestamps, prepend=before) >= 0).all():
                raise ValueError("timestamps run backwards, or are not finite; give them in seconds")
        return samples[self._plan.used] * MICROVOLTS.get(self.unit, 1.0), timestamps

    def _lost(self, timestamps):
        """How many samples are missing before each, as far as more than jitter tells."""
        lost = np.zeros(len(timestamps), dtype=int)
        if len(timestamps) and not np.isnan(timestamps[0]):
            before = timestamps[0] - 1 / self.sfreq if self._stamp is None else self._stamp
            beyond = np.diff(timestamps, prepend=before) * self.sfreq - 1
            lost = np.where(beyond >= max(1, self._longest_gap / 2), np.rint(beyond), 0).astype(int)
            self._stamp = float(timestamps[-1])
        return lost

    def _miss(self, n_samples, decisions):
        """Go over missing samples: hold the last one, until that is too long."""
        if not n_samples:
            return
        before, self._n_missing = self._n_missing, self._n_missing + n_samples
        if self._last is None:  # nothing to go on with
            self._n_seen += n_samples
            return
        n_held = min(n_samples, max(0, self._longest_gap - before))
        if n_held:
            self._n_held += n_held
            held = np.repeat(self._last[:, np.newaxis], n_held, axis=1)
            self._take(held, np.full(n_held, np.nan), decisions)
        if n_held < n_samples:
            said = (
                f"over {self._longest_gap / self.sfreq:.3g} s of samples are missing: the decoder begins "
                f"anew, {self.n_times_ / self.sfreq_:g} s after they go on"
            )
            decisions.append(Decision((self._n_seen + 1) / self.sfreq, None, None, None, said))
            self._n_held = 0
            self._begin()
            self._n_seen += n_samples - n_held

    def _take(self, samples, timestamps, decisions):
        """Process whole blocks: a block ends where a window does, however samples come."""
        self._last = samples[:, -1].copy()
        while samples.shape[1]:
            n_out = self.n_times_ + self._n_windows * self._step
            missing = self._resampler.needed(n_out) - self._n_in - self._n_waiting
            piece, samples = samples[:, :missing], samples[:, missing:]
            self._pieces.append(piece)
            self._stamps, timestamps = timestamps[:missing], timestamps[missing:]
            self._n_waiting += piece.shape[1]
            self._n_seen += piece.shape[1]
            if piece.shape[1] == missing:
                decisions.append(self._decide())

    # ----- windows ----------------------------------------------------------------------------------------

    def _decide(self):
        """Make the waiting samples a block, the block the end of a window, and the window a decision."""
        block = np.concatenate(self._pieces, axis=1)
        stamp = float(self._stamps[-1])
        if self._plan.matrix is not None:
            block = self._plan.matrix @ block
        n_out = self.n_times_ + self._n_windows * self._step
        new = self._filter(self._resampler(block, self._n_in, n_out)).astype(np.float32)
        self._n_in += self._n_waiting
        self._pieces, self._n_waiting = [], 0
        if self._window is None:
            self._window = new
        elif new.shape[1] < self.n_times_:
            self._window = np.concatenate([self._window[:, new.shape[1] :], new], axis=1)
        else:
            self._window = np.ascontiguousarray(new[:, -self.n_times_ :])
        due = self._n_windows * self._step >= self._due
        if due:
            self._due = self._n_windows * self._step + self.n_times_
        self._n_windows += 1
        said = []
        if self._n_held:
            said.append(f"{self._n_held} missing samples were bridged")
            self._n_held = 0
        reason, of_window = self._decode(due)
        probabilities = label = None
        if reason:
            said.append(f"left out: {reason}")
        else:
            probabilities = np.array(self._smoothing(of_window))
            best = int(probabilities.argmax())
            label = self.classes_[best] if probabilities[best] >= self.threshold else None
            label = None if self.rest is not None and label == self.rest else label
            label = label.item() if isinstance(label, np.generic) else label
        stamp = None if np.isnan(stamp) else stamp
        return Decision(self._n_seen / self.sfreq, label, probabilities, of_window, "; ".join(said), stamp)

    def _decode(self, due):
        """Why the window is left out, or its probabilities."""
        power = self._window.var(axis=1, dtype=np.float64)
        reason = self._implausible(power) or self._artefacts.found(power)
        if due:
            self._artefacts.take(power)
        if reason and not due:
            return reason, None
        try:
            trial = self._window[np.newaxis]
            for alignment in self._alignments:
                alignment.update = due  # artefacts are left out there, too
            for step in self._plan.steps[:-1]:
                trial = step.transform(trial)
            if reason:
                return reason, None
            probabilities = np.asarray(self._plan.steps[-1].predict_proba(trial)[0], dtype=np.float64)
        except ValueError as wrong:  # this window's fault, the next may be sound
            return reason or str(wrong).partition(". ")[0], None
        if not np.isfinite(probabilities).all():
            return "the pipeline gave no probabilities", None
        return "", probabilities

    def _implausible(self, power):
        typical = float(np.sqrt(np.median(power)))
        low, high = _PLAUSIBLE
        if self.unit is None or not typical or low < typical < high:
            return ""
        return (
            f"channels vary by {typical:.2g} µV, EEG by 1 to 100: unit={self.unit!r} seems wrong (None where "
            "it is not known)"
        )
