"""
Looking inside SST-DPN: patterns, gates and prototypes
======================================================

What does a network use that tells imagined left from right hand movements apart? SST-DPN is trained on seven
people of the sample recordings that come with skeeg, and looked at in three others: where on the scalp its
virtual electrodes collect, what its attention opens, and how its prototypes part the classes.

Run it with the name of a folder to write the figures there: ``python plot_inspect_sstdpn.py figures``.
"""

# %%
# Train on some people, look at others: what holds for these is what was learned, not remembered.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import sklearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skeeg import EuclideanAlignment, SSTDPNClassifier
from skeeg.datasets import load_motor_imagery
from skeeg.inspection import (
    AttentionDisplay,
    PatternsDisplay,
    PrototypesDisplay,
    SpectraDisplay,
    find_prototypes,
)

X, y, metadata = load_motor_imagery()
people = metadata["subject"].to_numpy()
train, test = people > 3, people <= 3
network = SSTDPNClassifier(max_epochs=12, random_state=0, verbose=0)
pipeline = make_pipeline(EuclideanAlignment(), network)
with sklearn.config_context(enable_metadata_routing=True):  # each person is aligned
    pipeline.fit(X[train], y[train], groups=people[train])
    answers = pipeline.predict(X[test], groups=people[test])
print(f"accuracy in the others: {(answers == y[test]).mean():.2f}")

# %%
# Patterns are carried back through the network's gates and the alignment to the electrodes: what each of them
# shows, in µV, of a virtual electrode. Those that tell the classes apart best lie over the motor strip, left
# and right.
patterns = PatternsDisplay.from_estimator(pipeline, X[test], y[test], groups=people[test], title="SST-DPN")
numbers = patterns.patterns.to_frame().loc[patterns.chosen]
print(numbers[["filter", "row", "low", "high", "effect", "C3", "C4"]].round(2).to_string(index=False))

# %%
# Its nine temporal filters are shared by all electrodes.
spectra = SpectraDisplay.from_estimator(pipeline, title="SST-DPN's temporal filters")

# %%
# A gate multiplies each filter's signal at each electrode by a factor from 0 to 2, anew in every trial. What
# differs between the classes is shown below them.
gates = AttentionDisplay.from_estimator(
    pipeline, X[test], y[test], groups=people[test], title="SST-DPN's gates"
)

# %%
# Features are classified along the separation prototypes (arrows), and drawn to the compactness prototype of
# their class. After so few epochs the two compactness prototypes still lie at one place, beside the trials,
# and distances to them tell no class from another.
prototypes = PrototypesDisplay.from_estimator(
    pipeline, X[test], y[test], groups=people[test], title="SST-DPN, people not trained on"
)
print(prototypes.prototypes.distances.round(2))

# %%
# The same network trained without the dual-prototype loss has separation prototypes alone. How far features
# spread within classes, by how far classes lie apart, is the least that the loss should change: so briefly
# trained, it does so by little.
without = clone(pipeline).set_params(sstdpnclassifier__loss="cross_entropy")
with sklearn.config_context(enable_metadata_routing=True):
    without.fit(X[train], y[train], groups=people[train])
plain = PrototypesDisplay.from_estimator(
    without, X[test], y[test], groups=people[test], title="SST-DPN without the dual-prototype loss"
)
for name, decoder in (("with", pipeline), ("without", without)):
    ratios = [find_prototypes(decoder, X[some], y[some], groups=people[some]).ratio for some in (train, test)]
    print(f"within / between, {name} the loss: {ratios[0]:.1f} trained on, {ratios[1]:.1f} others")

# %%
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "patterns": patterns,
        "spectra": spectra,
        "gates": gates,
        "prototypes": prototypes,
        "plain": plain,
    }
    for name, display in figures.items():
        display.figure_.savefig(folder / f"inspect_sstdpn_{name}.png", dpi=150)
else:
    plt.show()
