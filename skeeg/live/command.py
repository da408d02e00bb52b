"""`skeeg live`: decode a stream, or a recording as if it were one, from a shell."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from pathlib import Path

import numpy as np

from skeeg.live.decoder import LiveDecoder
from skeeg.live.lsl import LSLOutlet, LSLSource, follow
from skeeg.pretrained import open_decoder


def live(arguments, say, error):
    """Run `skeeg live`.

    Parameters
    ----------
    arguments : argparse.Namespace
        Those of the command.
    say : callable
        Prints a line.
    error : callable
        Ends the process with one line.

    Returns
    -------
    int
        0, or 1 where not one window was decoded.
    """
    try:
        source = _Recording(arguments.replay) if arguments.replay else LSLSource(arguments.stream)
        pipeline = open_decoder(arguments.model, source.ch_names)
        decoder = LiveDecoder(
            pipeline,
            sfreq=source.sfreq,
            ch_names=source.ch_names,
            unit=source.unit,
            step=arguments.step,
            smoothing=None if arguments.smoothing == "none" else arguments.smoothing,
            time_constant=arguments.time_constant,
            threshold=arguments.threshold,
            rest=arguments.rest,
        )
        outlet = LSLOutlet(arguments.outlet, decoder.classes_.tolist()) if arguments.outlet else None
    except (ValueError, TypeError, OSError, ImportError) as wrong:
        error(str(wrong))
    print(f"note: {_described(source, decoder)}", file=sys.stderr, flush=True)
    n_decoded = n_made = n_labels = 0
    with contextlib.ExitStack() as open_files:
        try:
            file = arguments.out and open_files.enter_context(
                open(arguments.out, "w", newline="", encoding="utf-8")
            )
        except OSError as wrong:
            error(f"argument --out: {wrong}")
        write = _writer(file, say)
        write(["time", "label", *(f"p_{label}" for label in decoder.classes_), "said"])
        decisions = (
            source.decisions(decoder, arguments.seconds)
            if arguments.replay
            else follow(decoder, source, seconds=arguments.seconds, give_up=arguments.give_up)
        )
        try:
            for decision in decisions:
                n_made += 1
                n_decoded += decision.probabilities is not None
                n_labels += decision.label is not None
                if outlet is not None:
                    outlet.push(decision)
                write(_row(decision, len(decoder.classes_)))
        finally:
            said = (
                f"{n_decoded} windows decoded, {n_labels} of them a decision; {n_made - n_decoded} left out"
            )
            print(f"note: {said}, or notes", file=sys.stderr)
    return 0 if n_decoded else 1


def _described(source, decoder):
    window = decoder.n_times_ / decoder.sfreq_
    unit = source.unit or "an unknown unit"
    there = f"{len(source.ch_names)} channels at {source.sfreq:g} Hz in {unit}"
    return f"{there}; windows of {window:g} s, a decision each {decoder.step:g} s"


class _Recording:
    """A recording of any format that MNE reads, as a source."""

    unit = "V"

    def __init__(self, path):
        import mne

        self._raw = mne.io.read_raw(path, verbose="error").pick("eeg", exclude=())
        self.sfreq, self.ch_names = float(self._raw.info["sfreq"]), self._raw.ch_names

    def decisions(self, decoder, seconds):
        """Decode it, a second at a time."""
        n_times = len(self._raw.times) if seconds is None else round(seconds * self.sfreq)
        piece = max(1, round(self.sfreq))
        for start in range(0, min(n_times, len(self._raw.times)), piece):
            yield from decoder.push(self._raw[:, start : min(start + piece, n_times)][0])


def _row(decision, n_classes):
    p = [""] * n_classes if decision.probabilities is None else np.round(decision.probabilities, 4)
    return [f"{decision.time:.3f}", "" if decision.label is None else decision.label, *p, decision.said]


def _writer(file, say):
    """What writes a row of CSV as soon as it is there: to a file, or to what is printed."""

    def write(values):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(values)
        if file is None:
            say(line.getvalue())
        else:
            file.write(line.getvalue() + "\n")
            file.flush()

    return write


def add_arguments(parser):
    """Add the arguments of `skeeg live` to a parser."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--stream", metavar="NAME", help="LSL stream to decode (pip install 'skeeg[live]')")
    source.add_argument(
        "--replay", metavar="FILE", help="recording of any format that MNE reads, as a stream"
    )
    parser.add_argument(
        "--model",
        default="left-right-hand",
        metavar="MODEL",
        help="file of skeeg.save, or a decoder that comes with skeeg (default left-right-hand)",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.7, metavar="P", help="least probability to decide (default 0.7)"
    )
    parser.add_argument(
        "--step", type=float, default=0.1, metavar="S", help="seconds from decision to decision (default 0.1)"
    )
    parser.add_argument(
        "--smoothing",
        choices=("exponential", "evidence", "none"),
        default="exponential",
        help="average the probabilities of windows (default), add up their evidence, or neither",
    )
    parser.add_argument(
        "--time-constant",
        type=float,
        default=1.0,
        metavar="S",
        help="seconds in which the past fades (default 1)",
    )
    parser.add_argument("--rest", metavar="LABEL", help="class that means that nothing is to be decided")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after so many seconds of samples")
    parser.add_argument(
        "--give-up",
        type=float,
        default=30.0,
        metavar="S",
        help="end when a stream is silent for so many seconds (default 30)",
    )
    parser.add_argument(
        "--outlet", metavar="NAME", help="publish the decisions as an LSL stream of this name"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="CSV to write (default: print it)")
