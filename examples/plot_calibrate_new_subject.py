"""
A few trials of a new person: start from a network trained on others
====================================================================

A network trained on fifteen people is adapted to one that it has never seen, on the first *n* of their
trials, and tested on their last run. Beside it: the same network trained on these *n* trials alone, and
tangent space with logistic regression, trained on them or on the fifteen. Left against right fist imagery of
the PhysioNet motor imagery database; where the recordings are not there and cannot be downloaded, simulated
ones take their place.

Run it with the name of a folder to write the figure there: ``python plot_calibrate_new_subject.py figures``.
"""

# %%
# Fifteen people to train on, five to adapt to. Euclidean alignment takes away, without labels, how people
# differ from each other; fifteen people are aligned each by their own trials.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from skeeg import AttentionBaseNetClassifier, EuclideanAlignment
from skeeg.baselines import make_tangent_space_lr
from skeeg.datasets import fetch_eegbci, make_motor_imagery

try:
    columns = ("5", "3", "1", "z", "2", "4", "6")
    channels = [f"{row}{column}" for row in ("FC", "C", "CP") for column in columns]
    X, y, metadata = fetch_eegbci(range(1, 21), channels=channels)
    source = "PhysioNet EEGBCI"
except FileNotFoundError as error:
    print(f"simulated data instead of recordings: {error}")
    X, y, metadata = make_motor_imagery(n_subjects=20, n_trials=45, n_chans=12, random_state=0)
    source = "simulated"

people = metadata["subject"].to_numpy()
others = people <= 15
aligned = EuclideanAlignment().fit_transform(X[others], groups=people[others])
pretrained = AttentionBaseNetClassifier(max_epochs=30, random_state=0).fit(aligned, y[others])

# %%
# ``pretrained`` is a parameter like any other: a fitted estimator in a ``FrozenEstimator``, or the name of a
# file or of a repository on the Hub. The ways to a classifier, each behind an alignment of its own:
start = FrozenEstimator(pretrained)
gentle = {"max_epochs": 20, "lr": 3e-4, "batch_size": 16, "random_state": 0}
ways = {
    "network of the fifteen": start,
    "network adapted": AttentionBaseNetClassifier(pretrained=start, **gentle),
    "network adapted, encoder frozen": AttentionBaseNetClassifier(
        pretrained=start, freeze_encoder=True, **gentle
    ),
    "network from scratch": AttentionBaseNetClassifier(max_epochs=40, batch_size=16, random_state=0),
    "tangent space + LR from scratch": make_tangent_space_lr(),
    "tangent space + LR of the fifteen": FrozenEstimator(make_tangent_space_lr().fit(aligned, y[others])),
}
sizes = [4, 8, 16, 30]
accuracy = {way: np.zeros((5, len(sizes))) for way in ways}
for row, person in enumerate(range(16, 21)):
    theirs = np.flatnonzero(people == person)
    test = theirs[30:]
    for column, n in enumerate(sizes):
        calibration = theirs[:n]
        for way, classifier in ways.items():
            pipe = make_pipeline(EuclideanAlignment(), classifier)
            accuracy[way][row, column] = pipe.fit(X[calibration], y[calibration]).score(X[test], y[test])

# %%
# Means over the five people; the bars are standard errors, which end at 1. The ways stand a little beside
# each other, as two coincide: trained so gently, with its encoder frozen, the head goes on to say what the
# fifteen taught it.
figure, ax = plt.subplots(figsize=(7, 5.5), layout="constrained")
for i, (way, scores) in enumerate(accuracy.items()):
    mean, half = scores.mean(axis=0), scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    beside = np.array(sizes) + 0.25 * (i - (len(ways) - 1) / 2)
    bars = np.array([np.minimum(half, mean), np.minimum(half, 1 - mean)])
    ax.errorbar(beside, mean, bars, marker="osD^vP"[i], markersize=5, capsize=2, label=way)
    print(f"{way:34s}", " ".join(f"{score:.3f}" for score in scores.mean(axis=0)))
ax.axhline(0.5, color="0.7", linewidth=1, zorder=0)
ax.set(xlabel="trials of the new person", ylabel="accuracy on later trials", xticks=sizes)
ax.set_title(f"{source}: five new people, network trained on fifteen others")
figure.legend(loc="outside lower center", ncols=2, frameon=False)

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "calibrate_new_subject.png", dpi=150)
else:
    plt.show()
