"""Decoders on streams: people whom no pipeline has seen, their recordings fed as if they were live.

python benchmarks/live.py [--step 0.2] [--pipelines ...] [--out results/live]

PhysioNet's EEGBCI, runs 4, 8, 12 (imagined left and right fist, with rest between them), 21 channels: trained
on people 11-20, tested on 1-10, whom the decoder of the wheel has not seen either. Prints, and writes, what
pipelines decide live: accuracy, time to decision, false activations at rest, ITR, latency; accuracy over the
time since the cue as a figure; what it costs to train on trials filtered forward and backward and to decode
what was filtered forward alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mne
import numpy as np
import sklearn
from matplotlib.figure import Figure
from sklearn.pipeline import make_pipeline

from skeeg import AttentionBaseNetClassifier, EEGArray, EuclideanAlignment
from skeeg.baselines import make_csp_lda, make_tangent_space_lr
from skeeg.datasets.eegbci import _path_of
from skeeg.estimators.shipped import DECODERS
from skeeg.inspection import LiveAccuracyDisplay
from skeeg.live import evaluate_live
from skeeg.preprocessing import BandPass
from skeeg.pretrained import load_pretrained

CHANNELS = DECODERS["left-right-hand-21"].channels
EVENTS = {"left_hand": "T1", "right_hand": "T2"}
WINDOW = 2.0  # s


def recordings(people):
    """Recordings of people, and whose each is."""
    raws, persons = [], []
    for person in people:
        for run in (4, 8, 12):
            raw = mne.io.read_raw_edf(_path_of(person, run), preload=True, verbose="error")
            mne.datasets.eegbci.standardize(raw)
            raws.append(raw.pick(list(CHANNELS)))
            persons.append(person)
    return raws, persons


def trials_of(raws, persons, with_rest):
    """Trials of WINDOW s, from 0.5, 1 and 1.5 s after each cue, for training."""
    X, y, groups = [], [], []
    labels = {"T1": "left_hand", "T2": "right_hand"} | ({"T0": "rest"} if with_rest else {})
    for raw, person in zip(raws, persons, strict=True):
        data = raw.get_data() * 1e6
        for onset, what in zip(raw.annotations.onset, raw.annotations.description, strict=True):
            for late in (0.5, 1.0, 1.5):
                first = round((onset + late) * 160)
                if what in labels and first + round(WINDOW * 160) <= data.shape[1]:
                    X.append(data[:, first : first + round(WINDOW * 160)])
                    y.append(labels[what])
                    groups.append(person)
    return EEGArray(np.array(X, dtype=np.float32), 160.0, CHANNELS), np.array(y), np.array(groups)


def pipelines():
    """Pipelines to fit, by name; True where they learn rest, too."""
    network = AttentionBaseNetClassifier(max_epochs=15, random_state=0)
    causal = make_csp_lda(recenter=True)
    causal.set_params(bandpass__causal=True)
    with_rest = make_csp_lda(recenter=True)
    with_rest.set_params(bandpass__causal=True)
    tangent = make_tangent_space_lr(recenter=True)
    tangent.set_params(bandpass__causal=True)
    return {
        "csp-lda, zero-phase": (make_csp_lda(recenter=True), False),
        "csp-lda": (causal, False),
        "csp-lda, rest learned": (with_rest, True),
        "tangent-space-lr": (tangent, False),
        "attentionbasenet": (
            make_pipeline(BandPass(4, 38, causal=True), EuclideanAlignment(), network),
            False,
        ),
    }


def main():
    """Train, feed, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--step", type=float, default=0.2)
    parser.add_argument("--train", type=int, nargs="+", default=list(range(11, 21)))
    parser.add_argument("--test", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--pipelines", nargs="+", default=["pretrained", *pipelines()])
    parser.add_argument("--smoothing", nargs="+", default=["exponential", "evidence"])
    parser.add_argument("--out", type=Path, default=Path("results/live"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    raws, persons = recordings(arguments.train)
    fitted = {"pretrained": load_pretrained("left-right-hand", ch_names=CHANNELS, sfreq=160, verbose=False)}
    with sklearn.config_context(enable_metadata_routing=True):
        for name, (pipeline, with_rest) in pipelines().items():
            if name not in arguments.pipelines:
                continue
            X, y, groups = trials_of(raws, persons, with_rest)
            fitted[name] = pipeline.fit(X, y, groups=groups)
    fitted = {name: fitted[name] for name in arguments.pipelines}
    raws, persons = recordings(arguments.test)
    for smoothing in arguments.smoothing:
        result = evaluate_live(
            fitted,
            raws,
            EVENTS,
            resting="T0",
            persons=persons,
            tmin=1.0,
            step=arguments.step,
            smoothing=smoothing,
            threshold=0.7,
            rest="rest",
        )
        print(f"\nsmoothing={smoothing!r}, threshold=0.7: {result}", flush=True)
        result.persons().to_csv(arguments.out / f"{smoothing}.csv", index=False)
        if smoothing == arguments.smoothing[0]:
            figure = Figure(figsize=(8.6, 4.4), layout="constrained")
            LiveAccuracyDisplay.from_result(result, ax=figure.subplots())
            figure.savefig(arguments.out / "live.png", dpi=150)


if __name__ == "__main__":
    main()
