"""
A deep network beside CSP and Riemannian geometry, on real recordings
=====================================================================

Left against right fist imagery of the PhysioNet motor imagery database, tested on people that no pipeline
was trained on. Euclidean alignment (``+ea``) takes away, without labels, how people differ from each other.
Where the recordings are not there and cannot be downloaded, simulated ones take their place.

Run it with the name of a folder to write the figure there: ``python plot_compare_with_riemann.py figures``.
"""

# %%
# Eight people, twelve channels over the sensorimotor strip.
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from skeeg.datasets import fetch_eegbci, make_motor_imagery
from skeeg.evaluation import compare
from skeeg.evaluation.pipelines import make_pipelines
from skeeg.inspection import PairedScoresDisplay

try:
    channels = ["FC3", "FCz", "FC4", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "CP3", "CP4"]
    X, y, metadata = fetch_eegbci(range(1, 9), channels=channels)
    source = "PhysioNet EEGBCI"
except FileNotFoundError as error:
    print(f"simulated data instead of recordings: {error}")
    X, y, metadata = make_motor_imagery(n_subjects=8, n_trials=45, n_chans=12, random_state=0)
    source = "simulated"

# %%
# Every pipeline sees the same folds; two of the eight people are tested at a time.
names = ["csp-lda", "tangent-space-lr", "tangent-space-lr+ea", "attentionbasenet", "attentionbasenet+ea"]
pipelines = make_pipelines(names, sfreq=X.sfreq, max_epochs=25)
comparison = compare(pipelines, X, y, metadata, cv="cross-subject", n_splits=4)
print(comparison)

# %%
# Each grey line is one person.
display = PairedScoresDisplay.from_comparison(comparison)
display.ax_.set_title(f"{source}, people not trained on", pad=28)

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(folder / "compare_with_riemann.png", dpi=150)
else:
    plt.show()
