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
import torch
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
# Mean over the people held out, with its 95 % confidence interval (Student's t, which ends at 100 %).
folds = [f"split{k}_test_score" for k in range(search.n_splits_)]
scores = 100 * pd.DataFrame(search.cv_results_)[folds].to_numpy(dtype=float)
modes = [mode or "none" for mode in search.cv_results_[f"param_{parameter}"]]
mean = scores.mean(axis=1)
half_width = t.ppf(0.975, scores.shape[1] - 1) * scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
order = np.argsort(mean)
whiskers = np.array([np.minimum(half_width, mean), np.minimum(half_width, 100 - mean)])
for row in order[::-1]:
    print(f"{modes[row]:8s} {mean[row]:5.1f} % ± {half_width[row]:4.1f}")

# %%
# What did squeeze-and-excitation learn? It multiplies each feature channel by a gate between 0 and 1, from
# the channel's own mean over the trial: near 0 it is not heard, and before training all gates are near 0.5.
# Hands whose gates differ are told apart by the gate alone; where they lie on each other, the gate weighs a
# channel for all trials alike.
excited = make_pipeline(Scaler(), network.set_params(attention_mode="se")).fit(X, y)
kept: list[torch.Tensor] = []


def keep(block, given, gated):
    kept.append((gated.square().sum((2, 3)) / given[0].square().sum((2, 3))).sqrt())


block = excited[-1].module_.channel_attention_block.attention_block
with torch.inference_mode(), block.register_forward_hook(keep):
    excited.predict(X)
gates = torch.cat(kept)[: len(X)].numpy()  # (n_trials, n_channels)

figure, (ax, learned) = plt.subplots(1, 2, figsize=(10.5, 5), layout="constrained")
rows = np.arange(len(modes))
dots = ax.plot(scores[order], rows, "o", color="0.7", ms=3, zorder=0)
bars = ax.errorbar(mean[order], rows, xerr=whiskers[:, order], fmt="D", color="#0072B2", capsize=3)
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
ax.set(xlabel="Accuracy on people held out (%)", ylabel="attention_mode", xlim=(None, 101))

rows = np.argsort(gates.mean(axis=0))
for hand, color, marker in (("left_hand", "#0072B2", "o"), ("right_hand", "#D55E00", "s")):
    of_hand = gates[y == hand][:, rows]
    learned.errorbar(
        of_hand.mean(axis=0),
        np.arange(len(rows)) + (0.15 if hand == "left_hand" else -0.15),
        xerr=of_hand.std(axis=0),
        fmt=marker,
        color=color,
        ms=4,
        lw=1,
        label=hand.replace("_", " "),
    )
learned.axvline(0.5, color="0.6", lw=1, ls=":", label="before training")
learned.set(xlabel="Gate of squeeze-and-excitation, mean ± sd over trials", ylabel="Feature channel, sorted")
learned.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "attention_modes.png", dpi=150)
else:
    plt.show()
