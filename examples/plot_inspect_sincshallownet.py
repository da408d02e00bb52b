"""
Looking inside SincShallowNet: bands and patterns
=================================================

SincShallowNet's temporal filters are band-pass filters whose edges are learned, so it says in Hz what it
listens to. Each of them has two spatial filters; their patterns say where.

Run it with the name of a folder to write the figures there: ``python plot_inspect_sincshallownet.py
figures``."""

# %%
# Trained on seven people of the sample recordings, looked at in three others.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import sklearn
from sklearn.pipeline import make_pipeline

from skeeg import EuclideanAlignment, SincShallowNetClassifier
from skeeg.datasets import load_motor_imagery
from skeeg.inspection import ImportanceDisplay, PatternsDisplay, SpectraDisplay

X, y, metadata = load_motor_imagery()
people = metadata["subject"].to_numpy()
train, test = people > 3, people <= 3
network = SincShallowNetClassifier(max_epochs=15, random_state=0, verbose=0)
pipeline = make_pipeline(EuclideanAlignment(), network)
with sklearn.config_context(enable_metadata_routing=True):  # each person is aligned
    pipeline.fit(X[train], y[train], groups=people[train])
    answers = pipeline.predict(X[test], groups=people[test])
print(f"accuracy in the others: {(answers == y[test]).mean():.2f}")

# %%
# The magnitude response of every filter, with the band in which at least half of the amplitude passes,
# before and after training. Short filters have soft edges: the band is wider than the two cut-offs say.
spectra = SpectraDisplay.from_estimator(pipeline, title="SincShallowNet")
print(spectra.bands.head().round(1))

# %%
# The network sees aligned trials, without unit. Its patterns are carried back through the alignment, into µV.
patterns = PatternsDisplay.from_estimator(
    pipeline, X[test], y[test], groups=people[test], title="SincShallowNet"
)

# %%
# When does it listen? Windows of time are taken from other trials of the same person.
times = ImportanceDisplay.from_estimator(
    pipeline, X[test], y[test], people[test], by="band-time", n_windows=6, n_repeats=2, title="SincShallowNet"
)

# %%
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, display in {"spectra": spectra, "patterns": patterns, "times": times}.items():
        display.figure_.savefig(folder / f"inspect_sincshallownet_{name}.png", dpi=150)
else:
    plt.show()
