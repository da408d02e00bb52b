"""
Eleven kinds of channel attention under one grid search
=======================================================

AttentionBaseNet takes its attention block by name. ``GridSearchCV`` tries all of them, as it would try the
kernels of a support vector machine. Whole people are held out, so that the scores speak of new people.

Run it with the name of a folder to write the figure there: ``python plot_attention_modes.py figures``.
"""

# %%
# Simulated imagery of five people, and a short training: this shows the tool, not which block is best.
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline

from skeeg import AttentionBaseNetClassifier, Scaler
from skeeg.datasets import make_motor_imagery
from skeeg.modules.attention import ATTENTION_BLOCKS

X, y, metadata = make_motor_imagery(n_subjects=5, n_trials=40, n_chans=5, difficulty=0.1, random_state=0)

# %%
# One parameter, twelve values: no attention, and the eleven blocks.
parameter = "attentionbasenetclassifier__attention_mode"
network = AttentionBaseNetClassifier(max_epochs=15, lr=0.01, batch_size=32, random_state=0)
search = GridSearchCV(
    make_pipeline(Scaler(), network),
    {parameter: [None, *ATTENTION_BLOCKS]},
    cv=GroupKFold(n_splits=5),
    refit=False,
    n_jobs=-1,
)
search.fit(X, y, groups=metadata["subject"])

# %%
# Mean over the people held out, with its 95 % confidence interval (Student's t).
folds = [f"split{k}_test_score" for k in range(search.n_splits_)]
scores = 100 * pd.DataFrame(search.cv_results_)[folds].to_numpy(dtype=float)
modes = [mode or "none" for mode in search.cv_results_[f"param_{parameter}"]]
mean = scores.mean(axis=1)
half_width = t.ppf(0.975, scores.shape[1] - 1) * scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
order = np.argsort(mean)

figure, ax = plt.subplots(figsize=(6, 5), layout="constrained")
rows = np.arange(len(modes))
dots = ax.plot(scores[order], rows, "o", color="0.7", ms=3, zorder=0)
bars = ax.errorbar(mean[order], rows, xerr=half_width[order], fmt="D", color="#0072B2", capsize=3)
chance = ax.axvline(50, color="#D55E00", ls="--", lw=1.2)
ax.legend(
    [dots[0], bars, chance],
    ["one person", "mean, 95 % CI", "chance"],
    loc="lower center",
    bbox_to_anchor=(0.5, 1),
    ncols=3,
    frameon=False,
)
ax.set_yticks(rows, np.array(modes)[order])
ax.set(xlabel="Accuracy on people held out (%)", ylabel="attention_mode")

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "attention_modes.png", dpi=150)
else:
    plt.show()
