"""How well a pipeline does on a stream: recordings fed to it as if live, held against their cues."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import numpy as np

from skeeg.evaluation.scoring import information
from skeeg.live.decoder import LiveDecoder
from skeeg.trials import MICROVOLTS_PER_VOLT

_GAP = 10.0  # seconds of nothing between two recordings of a person
_AT_ONCE = 1e-6  # s


def evaluate_live(
    pipelines, raws, events, *, resting=None, persons=None, tmin=0.0, tmax=4.0, cued=True, **settings
):
    """Feed recordings to fitted pipelines as streams, and hold their decisions against the cues.

    Parameters
    ----------
    pipelines : Pipeline, classifier, or dict of str -> them
        Fitted, on other recordings than these.
    raws : mne.io.Raw or list of them
        Continuous recordings, unfiltered; their good EEG channels are the stream.
    events : dict of str -> str
        Class, as the pipelines know it -> description of the annotations that mark its cue.
    resting : str, optional
        Description of the annotations that mark rest.
    persons : sequence, optional
        Whose each recording is; what alignments have seen goes from one recording of a person to the next.
        By default each is of another.
    tmin, tmax : float, default=0.0, 4.0
        Seconds after the cue between which a decision counts; a trial ends where the next annotation is.
    cued : bool, default=True
        Let smoothing begin anew at each annotation, as a BCI does that knows of its cues.
    **settings
        Of :class:`skeeg.live.LiveDecoder`; ``rest`` is for the pipelines that have such a class.

    Returns
    -------
    LiveResult

    Raises
    ------
    ValueError
        When recordings have no such annotations, a class is none of a pipeline's, or as :class:`LiveDecoder`.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.live import evaluate_live
    >>> X, y, _ = make_motor_imagery(1, 80, n_chans=5, difficulty=0.0, random_state=0)
    >>> info = mne.create_info(list(X.ch_names), X.sfreq, "eeg")
    >>> raw = mne.io.RawArray(np.concatenate(np.asarray(X[60:]), axis=1) * 1e-6, info, verbose="error")
    >>> raw = raw.set_annotations(mne.Annotations(4.0 * np.arange(20), 4.0, y[60:]))
    >>> pipeline = make_csp_lda().fit(X[:60], y[:60])
    >>> events = {"left_hand": "left_hand", "right_hand": "right_hand"}
    >>> result = evaluate_live(pipeline, raw, events, step=0.5)
    >>> bool(result.summary()["accuracy (%)"].iloc[0] > 80)
    True
    """
    import pandas as pd

    if not isinstance(pipelines, dict):
        pipelines = {"pipeline": pipelines}
    raws = raws if isinstance(raws, (list, tuple)) else [raws]
    persons = list(range(len(raws))) if persons is None else list(persons)
    if len(persons) != len(raws) or not raws:
        raise ValueError(f"{len(persons)} persons for {len(raws)} recordings; give each its person")
    if resting is not None and resting in events.values():
        raise ValueError(f"resting={resting!r} marks a class too; rest is what is none")
    classes = list(events)
    for name, pipeline in pipelines.items():
        unknown = [label for label in classes if label not in np.asarray(pipeline.classes_)]
        if unknown:
            raise ValueError(f"{name}: {unknown} of events are none of its classes {list(pipeline.classes_)}")
    names = {description: label for label, description in events.items()} | {resting: None}
    rest = settings.pop("rest", None)
    windows, latencies = [], []
    for name, pipeline in pipelines.items():
        decoders, n_pushed = {}, {}
        settings["rest"] = rest if rest in np.asarray(pipeline.classes_).tolist() else None
        for recording, (raw, person) in enumerate(zip(raws, persons, strict=True)):
            stream = _Stream.of(raw, names, tmax)
            if person not in decoders:
                decoders[person] = LiveDecoder(
                    pipeline, sfreq=stream.sfreq, ch_names=stream.ch_names, **settings
                )
                n_pushed[person] = 0
            else:
                nothing = np.full((len(stream.ch_names), round(_GAP * stream.sfreq)), np.nan)
                decoders[person].push(nothing)
                n_pushed[person] += nothing.shape[1]
            rows, taken = stream.fed_to(decoders[person], n_pushed[person] / stream.sfreq, cued)
            n_pushed[person] += stream.samples.shape[1]
            known = {"pipeline": name, "person": person, "recording": recording}
            windows += [known | row for row in rows]
            latencies += [{"pipeline": name, "ms": 1e3 * seconds} for seconds in taken]
        lengths = {d.n_times_ / d.sfreq_ for d in decoders.values()}
        step = next(iter(decoders.values())).step
        for row in windows:
            if row["pipeline"] == name:
                row["window"] = max(lengths)
    return LiveResult(pd.DataFrame(windows), pd.DataFrame(latencies), classes, step, float(tmin), float(tmax))


@dataclass
class _Stream:
    """A recording and its events: (begin, end, class or None for rest) in seconds."""

    samples: np.ndarray
    sfreq: float
    ch_names: list
    events: list

    @classmethod
    def of(cls, raw, names, tmax):
        onsets = raw.annotations.onset - raw.first_time
        marks = sorted(zip(onsets.tolist(), raw.annotations.description.tolist(), strict=True))
        if not any(description in names for _, description in marks):
            there = sorted({description for _, description in marks})
            raise ValueError(f"a recording has no annotation of events; it has {there or 'none'}")
        end = len(raw.times) / raw.info["sfreq"]
        ends = [begin for begin, _ in marks[1:]] + [end]
        events = [
            (begin, min(stop, begin + tmax), names[description])
            for (begin, description), stop in zip(marks, ends, strict=True)
            if description in names
        ]
        raw = raw.copy().pick("eeg", exclude="bads")
        samples = raw.get_data() * MICROVOLTS_PER_VOLT
        return cls(samples, float(raw.info["sfreq"]), raw.ch_names, events)

    def fed_to(self, decoder, before, cued):
        """What is decided within events, and the seconds that each window took; `before` came earlier."""
        bounds = set(range(0, self.samples.shape[1], max(1, round(decoder.step * self.sfreq))))
        cues = {round(begin * self.sfreq) for begin, _, _ in self.events}
        bounds = sorted(bounds | cues | {self.samples.shape[1]})
        rows, taken = [], []
        for start, stop in itertools.pairwise(bounds):
            if cued and start in cues:
                decoder.forget_evidence()
            begin = time.perf_counter()
            decisions = decoder.push(self.samples[:, start:stop])
            if len(decisions) == 1 and decisions[0].of_window is not None:
                taken.append(time.perf_counter() - begin)
            rows += [row for d in decisions if (row := self._row(d, d.time - before, decoder)) is not None]
        return rows, taken

    def _row(self, decision, now, decoder):
        event = next(
            (i for i, (begin, end, _) in enumerate(self.events) if begin < now <= end + _AT_ONCE), None
        )
        if event is None or (decision.probabilities is None and not decision.said.startswith("left out")):
            return None
        begin, _, cue = self.events[event]
        p = decision.probabilities
        among = [label != decoder.rest for label in decoder.classes_.tolist()]
        best = None if p is None else decoder.classes_[np.flatnonzero(among)[p[among].argmax()]]
        return {
            "event": event,
            "cue": cue,
            "since": round(now - begin, 6),
            "best": best.item() if isinstance(best, np.generic) else best,
            "label": decision.label,
            "said": decision.said,
        }


@dataclass
class LiveResult:
    """What pipelines decided on streams.

    Attributes
    ----------
    windows : DataFrame
        A row a window: ``pipeline``, ``person``, ``recording``, ``event``, ``cue`` (None: rest), ``since``
        (seconds from the cue to the window's end), ``best`` (most probable class but rest; None where the
        window was left out), ``label`` (what was decided, or None), ``said``, ``window`` (its length in s).
    latencies : DataFrame
        Milliseconds from the last sample of a window to its decision: ``pipeline``, ``ms``.
    classes : list
        Classes of the cues.
    step : float
        Seconds from window to window.
    tmin, tmax : float
        Seconds after a cue between which a decision counts.
    """

    windows: object
    latencies: object
    classes: list
    step: float
    tmin: float
    tmax: float

    def over_time(self):
        """Get the accuracy of the most probable class over the time since the cue.

        Windows that were left out have none.

        Returns
        -------
        DataFrame
            ``pipeline``, ``person``, ``since`` (s, cut to whole steps), ``accuracy`` (0 to 1), ``n_trials``.
        """
        trials = self.windows[self.windows["cue"].notna() & self.windows["best"].notna()]
        since = np.floor(trials["since"] / self.step + _AT_ONCE) * self.step
        right = trials["cue"] == trials["best"]
        groups = right.groupby([trials["pipeline"], trials["person"], since.round(6)], sort=False)
        table = groups.agg(accuracy="mean", n_trials="size").reset_index()
        order = table.groupby(["pipeline", "person"], sort=False).ngroup()
        return (
            table.assign(order=order).sort_values(["order", "since"], ignore_index=True).drop(columns="order")
        )

    def persons(self):
        """Get what each person's stream came to.

        Returns
        -------
        DataFrame
            ``pipeline``, ``person``; ``accuracy (%)`` at the end of the trials (most probable class; a window
            that was left out is wrong); ``decided (%)`` of trials; ``right (%)`` of those; ``time (s)`` to
            the first decision (median); ``false/min``: activations a minute of rest, over windows that lie in
            rest as a whole; and ``ITR (bits/min)``.

        Notes
        -----
        ITR is Wolpaw's: bits of a decision, at the share that is right, over the mean time that a trial takes
        (``tmax`` where nothing is decided), times the share that is decided; 0 at chance and below. An
        activation is a decision that was not already there one window before.
        """
        import pandas as pd

        rows = []
        for (name, person), of_person in self.windows.groupby(["pipeline", "person"], sort=False):
            trials = of_person[of_person["cue"].notna()]
            by_trial = [trial for _, trial in trials.groupby(["recording", "event"], sort=False)]
            counts = [trial[trial["label"].notna() & (trial["since"] >= self.tmin)] for trial in by_trial]
            firsts = [trial.head(1) for trial in counts]
            decided = [first.iloc[0] for first in firsts if len(first)]
            last = [trial.iloc[-1] for trial in by_trial]
            share = len(decided) / len(by_trial) if by_trial else np.nan
            right = np.mean([row["label"] == row["cue"] for row in decided]) if decided else np.nan
            times = [row["since"] for row in decided]
            mean_time = np.mean(times + [self.tmax] * (len(by_trial) - len(decided))) if by_trial else np.nan
            rows.append(
                {
                    "pipeline": name,
                    "person": person,
                    "accuracy (%)": 100 * np.mean([row["best"] == row["cue"] for row in last])
                    if last
                    else np.nan,
                    "decided (%)": 100 * share,
                    "right (%)": 100 * right,
                    "time (s)": np.median(times) if times else np.nan,
                    "false/min": self._false_activations(of_person[of_person["cue"].isna()]),
                    "ITR (bits/min)": 60 * share * information(right, len(self.classes)) / mean_time
                    if decided
                    else 0.0,
                }
            )
        return pd.DataFrame(rows)

    def _false_activations(self, rest):
        rest = rest[rest["since"] >= rest["window"] - _AT_ONCE]
        if rest.empty:
            return np.nan
        n_activations = 0
        for _, stretch in rest.groupby(["recording", "event"], sort=False):
            labels = [
                None,
                *(
                    None if missing else label
                    for label, missing in zip(stretch["label"], stretch["label"].isna(), strict=True)
                ),
            ]
            n_activations += sum(now not in (None, was) for was, now in itertools.pairwise(labels))
        return n_activations / (len(rest) * self.step / 60)

    def summary(self):
        """Get a row a pipeline: means over persons, and the latency of a window.

        Returns
        -------
        DataFrame
            Indexed by pipeline; columns of :meth:`persons`, and ``p50 (ms)``, ``p99 (ms)``.
        """
        persons = self.persons().drop(columns="person")
        table = persons.groupby("pipeline", sort=False).mean()
        taken = self.latencies.groupby("pipeline", sort=False)["ms"]
        return table.assign(**{"p50 (ms)": taken.quantile(0.5), "p99 (ms)": taken.quantile(0.99)})

    def __str__(self):
        table, n = self.summary(), self.windows["person"].nunique()
        digits = {"time (s)": 2, "false/min": 2, "p50 (ms)": 2, "p99 (ms)": 2}
        formats = {column: f"{{:.{digits.get(column, 1)}f}}".format for column in table}
        head = f"{n} people, {len(self.classes)} classes, a window each {self.step:g} s"
        return f"{head}\n\n{table.to_string(formatters=formats, index_names=False)}"
