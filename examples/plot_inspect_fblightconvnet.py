"""
Looking inside FBLightConvNet, and asking for shortcuts
=======================================================

FBLightConvNet has fixed bands, spatial filters over all of them, and weights for windows of time. And
whatever a network shows: would something else do? The audit trains the same pipeline on what is not meant,
other people again held out.

Run it with the name of a folder to write the figures there: ``python plot_inspect_fblightconvnet.py
figures``."""

# %%
# Trained on seven people of the sample recordings, looked at in three others.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import sklearn
from sklearn.pipeline import make_pipeline

from skeeg import EuclideanAlignment, FBLightConvNetClassifier
from skeeg.baselines import make_csp_lda
from skeeg.datasets import load_motor_imagery
from skeeg.inspection import AttentionDisplay, AuditDisplay, PatternsDisplay, SpectraDisplay

X, y, metadata = load_motor_imagery()
people = metadata["subject"].to_numpy()
train, test = people > 3, people <= 3
network = FBLightConvNetClassifier(win_len=80, max_epochs=20, random_state=0, verbose=0)
pipeline = make_pipeline(EuclideanAlignment(), network)
with sklearn.config_context(enable_metadata_routing=True):  # each person is aligned
    pipeline.fit(X[train], y[train], groups=people[train])
    answers = pipeline.predict(X[test], groups=people[test])
print(f"accuracy in the others: {(answers == y[test]).mean():.2f}")

# %%
# Each component is a spatial filter in one band.
patterns = PatternsDisplay.from_estimator(
    pipeline, X[test], y[test], groups=people[test], title="FBLightConvNet"
)
spectra = SpectraDisplay.from_estimator(pipeline, title="FBLightConvNet's filter bank")

# %%
# Its eight heads weigh the windows of every trial alike.
windows = AttentionDisplay.from_estimator(pipeline, title="FBLightConvNet's windows")

# %%
# The audit, here of CSP: these recordings are filtered from 4 Hz on and hold no frontal channels, so neither
# eyes nor drifts should speak. On unfiltered recordings of 64 channels, they do.
audit = AuditDisplay.from_estimator(make_csp_lda(), X, y, metadata=metadata, ocular=["FC5", "FC6"])
print(audit.audit)

# %%
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"patterns": patterns, "spectra": spectra, "windows": windows, "audit": audit}
    for name, display in figures.items():
        display.figure_.savefig(folder / f"inspect_fblightconvnet_{name}.png", dpi=150)
else:
    plt.show()
