"""
Which frequencies does a sinc network listen to?
================================================

SincShallowNet learns band-pass filters, each given by two cut-off frequencies in Hz. Here are its bands
before and after training on real recordings: left against right fist imagery of the PhysioNet database.
Where the recordings are not there and cannot be downloaded, simulated ones take their place.

Run it with the name of a folder to write the figure there: ``python plot_sinc_bands.py figures``.
"""

# %%
# Six people, five channels.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skeeg import Scaler, SincShallowNetClassifier
from skeeg.datasets import fetch_eegbci, make_motor_imagery
from skeeg.modules import SincShallowNet

try:
    X, y, metadata = fetch_eegbci(range(1, 7), channels=["C3", "C1", "Cz", "C2", "C4"])
    source = "PhysioNet EEGBCI, 6 people"
except FileNotFoundError as error:
    print(f"simulated data instead of recordings: {error}")
    X, y, metadata = make_motor_imagery(n_subjects=6, n_trials=45, n_chans=5, random_state=0)
    source = "simulated, 6 people"

# %%
# The network knows its bands before it has seen any data; the classifier, after ``fit``.
before = SincShallowNet(X.shape[1], n_outputs=2, n_times=X.shape[2], sfreq=X.sfreq).bands().detach().numpy()
pipeline = make_pipeline(Scaler(), SincShallowNetClassifier(max_epochs=30, random_state=0))
after = pipeline.fit(X, y)[-1].bands_
print(f"cut-offs moved by {np.abs(after - before).mean():.2f} Hz on average")

# %%
# One row a filter, in the order of where it ended. Some bands have all but collapsed: nothing in the training
# keeps them wide. Such a filter is not silent. It lasts only a fraction of a second, and passes no less than
# the reciprocal of that, whatever its cut-offs say: read it as a band of this width around its dot.
length = pipeline[-1].time_filter_len / X.sfreq
print(f"filters last {length:.2f} s and tell frequencies apart to about {1 / length:.0f} Hz")
order = np.argsort(after.mean(axis=1))
rows = np.arange(len(order))
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for low, high, label in ((8, 13, "mu"), (13, 30, "beta")):
    ax.axvspan(low, high, color="0.93" if label == "mu" else "0.97", lw=0)
    ax.annotate(label, ((low + high) / 2, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom")
ax.hlines(rows + 0.15, *before[order].T, color="0.6", lw=2, label="before training")
ax.hlines(rows - 0.15, *after[order].T, color="#0072B2", lw=2, label="after training")
ax.plot(after[order].mean(axis=1), rows - 0.15, ".", color="#0072B2", ms=4)
narrow = int(np.argmin(np.diff(after[order], axis=1)))
ax.annotate(
    f"collapsed to {np.ptp(after[order][narrow]):.1f} Hz: passes a band of about {1 / length:.0f} Hz",
    (after[order][narrow].mean(), narrow - 0.15),
    xytext=(after[order][narrow].mean() + 14, narrow - 0.15),
    va="center",
    fontsize="small",
    arrowprops={"arrowstyle": "-", "color": "0.4"},
)
ax.set(xlabel="Frequency (Hz)", ylabel="Filter", xlim=(0, None), yticks=rows[::4])
ax.set_title(source, pad=20)
ax.legend(frameon=False, loc="upper left")

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "sinc_bands.png", dpi=150)
else:
    plt.show()
