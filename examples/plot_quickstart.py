"""
Decode motor imagery with a deep network in scikit-learn's manner
=================================================================

Three simulated people imagine moving their left or right hand. A network is trained on two of them and
tested on the third, with the tools that a logistic regression would take: a pipeline,
:func:`~sklearn.model_selection.cross_val_score`, ``fit`` and ``score``.

Run it with the name of a folder to write the figure there: ``python plot_quickstart.py figures``.
"""

# %%
# The data: an array (trials, channels, samples) in µV, a label for each trial, and who it is from.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from skeeg import Scaler, SSTDPNClassifier
from skeeg.datasets import make_motor_imagery
from skeeg.inspection import TrainingDisplay

X, y, metadata = make_motor_imagery(n_subjects=3, n_trials=60, n_chans=11, difficulty=0.2, random_state=0)
print(f"{len(X)} trials of {X.shape[1]} channels and {X.shape[2]} samples at {X.sfreq:g} Hz")

# %%
# Each person is left out once: does the network work on somebody it has never seen?
pipeline = make_pipeline(Scaler(), SSTDPNClassifier(max_epochs=30, random_state=0))
scores = cross_val_score(pipeline, X, y, groups=metadata["subject"], cv=LeaveOneGroupOut())
print(f"accuracy on the person left out: {100 * scores.mean():.0f} ± {100 * scores.std(ddof=1):.0f} %")

# %%
# One training in detail, a quarter of its trials held out for validation.
unseen = metadata["subject"] == 3
pipeline.set_params(sstdpnclassifier__train_split=0.25)
pipeline.fit(X[~unseen], y[~unseen])

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
TrainingDisplay.from_estimator(pipeline, ax=left)
ConfusionMatrixDisplay.from_estimator(
    pipeline,
    X[unseen],
    y[unseen],
    normalize="true",
    values_format=".0%",
    cmap="Blues",
    colorbar=False,
    ax=right,
)
right.set_title("Person left out")

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "quickstart.png", dpi=150)
else:
    plt.show()
