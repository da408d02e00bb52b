"""How far probabilities can be trusted, on people whom no pipeline has seen.

python benchmarks/confidence.py [--subjects 20] [--out results/confidence]

PhysioNet's EEGBCI, imagined left and right fist, 21 channels, 3 s, 4-38 Hz, folds of people. Each pipeline as
it is, and with a temperature learned on folds of the training people (scikit-learn's CalibratedClassifierCV):
log loss, calibration error, accuracy; and sets of labels (skeeg.confidence.ConformalClassifier): how often
they hold the right one. Draws reliability.png and rejection.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sklearn
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from skeeg import AttentionBaseNetClassifier, EuclideanAlignment
from skeeg.baselines import make_csp_lda, make_tangent_space_lr
from skeeg.confidence import ConformalClassifier
from skeeg.datasets import fetch_eegbci
from skeeg.estimators.shipped import DECODERS
from skeeg.inspection import AccuracyRejectionDisplay, ReliabilityDisplay


def pipelines():
    """Pipelines by name; each aligns trial by trial, as live."""
    network = AttentionBaseNetClassifier(max_epochs=20, random_state=0)
    made = {
        "csp-lda": make_csp_lda(recenter=True),
        "tangent-space-lr": make_tangent_space_lr(recenter=True),
        "attentionbasenet": make_pipeline(EuclideanAlignment(), network),
    }
    return {name: p.set_params(euclideanalignment__mode="causal") for name, p in made.items()}


def main():
    """Fit, predict, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--coverage", type=float, default=0.8)
    parser.add_argument("--pipelines", nargs="+", default=list(pipelines()))
    parser.add_argument("--out", type=Path, default=Path("results/confidence"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    sklearn.set_config(enable_metadata_routing=True)
    channels = DECODERS["left-right-hand-21"].channels
    X, y, metadata = fetch_eegbci(range(1, arguments.subjects + 1), channels=channels, band=(4, 38))
    groups, classes = metadata["subject"].to_numpy(), np.unique(y)
    said, covered, sizes = {}, {}, {}
    for train, test in GroupKFold(5).split(X, y, groups):
        order = [test[groups[test] == person] for person in np.unique(groups[test])]
        for name, pipeline in pipelines().items():
            if name not in arguments.pipelines:
                continue
            fitted = {
                name: clone(pipeline),
                f"{name}, temperature": CalibratedClassifierCV(
                    clone(pipeline), method="temperature", cv=GroupKFold(4), ensemble=False
                ),
                "sets": ConformalClassifier(
                    clone(pipeline), coverage=arguments.coverage, held_out=0.4, random_state=0
                ),
            }
            for key, classifier in fitted.items():
                classifier.fit(X[train], y[train], groups=groups[train])
                for rows in order:  # a person at a time: the alignment is causal
                    if key == "sets":
                        sets = classifier.predict_set(X[rows])
                        right = sets[np.arange(len(rows)), np.searchsorted(classes, y[rows])]
                        covered.setdefault(name, []).append(right.mean())
                        sizes.setdefault(name, []).append(sets.sum(axis=1).mean())
                    else:
                        p = said.setdefault(key, np.zeros((len(y), len(classes))))
                        p[rows] = classifier.predict_proba(X[rows])
    reliability = ReliabilityDisplay.from_predictions(
        y, said, classes=classes, ax=(figure := Figure((8, 4.6), layout="constrained")).subplots()
    )
    figure.savefig(arguments.out / "reliability.png", dpi=150)
    figure = Figure((8, 4.6), layout="constrained")
    plain = {name: p for name, p in said.items() if "," not in name}
    AccuracyRejectionDisplay.from_predictions(y, plain, classes=classes, ax=figure.subplots())
    figure.savefig(arguments.out / "rejection.png", dpi=150)
    print(f"{arguments.subjects} people, {len(y)} trials, folds of people\n")
    print(f"{'':32}accuracy (%)  log loss  off by (%)")
    for name, p in said.items():
        accuracy = 100 * np.mean(classes[p.argmax(axis=1)] == y)
        off = 100 * reliability.errors[name]
        print(f"{name:32}{accuracy:12.1f}{log_loss(y, p / p.sum(axis=1, keepdims=True)):10.3f}{off:12.1f}")
    print(f"\n{'sets':32}promised (%)  held (%), mean and range over people   labels in a set")
    for name, shares in covered.items():
        held = 100 * np.array(shares)
        spread = f"{held.mean():.1f} ({held.min():.0f} to {held.max():.0f})"
        print(f"{name:32}{100 * arguments.coverage:12.0f}  {spread:40} {np.mean(sizes[name]):.2f}")


if __name__ == "__main__":
    main()
