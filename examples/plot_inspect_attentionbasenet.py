"""
Looking inside AttentionBaseNet: what a decoder of the wheel uses
=================================================================

The decoders that come with skeeg are AttentionBaseNets, trained on seventy people. Nothing is trained here:
one of them is looked at in ten people whom it has never seen. What does its accuracy lose without each
channel, and without each band at each time? That can be asked of any classifier; here, of the network and of
CSP.

Run it with the name of a folder to write the figures there: ``python plot_inspect_attentionbasenet.py
figures``."""

# %%
# The decoder takes electrodes as they are: it resamples, filters and aligns them itself.
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from skeeg import AttentionBaseNetClassifier
from skeeg.datasets import load_motor_imagery
from skeeg.inspection import AttentionDisplay, ImportanceDisplay, PatternsDisplay
from skeeg.pretrained import load_pretrained

X, y, metadata = load_motor_imagery()
people = metadata["subject"].to_numpy()
decoder = load_pretrained("left-right-hand", ch_names=X.ch_names, sfreq=X.sfreq)

# %%
# Its patterns, through alignment, resampling and filtering: the hand areas, in mu and beta.
title = "Decoder of the wheel, ten people it has not seen"
patterns = PatternsDisplay.from_estimator(decoder, X, y, groups=people, title=title)

# %%
# What is lost when a channel, or a band, is taken from another trial of the same person, with its interval
# over people. Neighbouring channels stand in for each other: what is lost without one says little of what it
# tells.
channels = ImportanceDisplay.from_estimator(decoder, X, y, people, by="channel", n_repeats=2, title=title)
bands = ImportanceDisplay.from_estimator(decoder, X, y, people, by="band", n_repeats=2, title=title)
print(bands.importance)

# %%
# The decoder has no attention block. One that has: the gates of eleven modes are found in the same way.
own = AttentionBaseNetClassifier(attention_mode="cbam", max_epochs=15, random_state=0, verbose=0)
own.fit(X[people > 5], y[people > 5])
rest = people <= 5
attention = AttentionDisplay.from_estimator(
    own, X[rest], y[rest], title='AttentionBaseNet, attention_mode="cbam"'
)

# %%
if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"patterns": patterns, "channels": channels, "bands": bands, "attention": attention}
    for name, display in figures.items():
        display.figure_.savefig(folder / f"inspect_attentionbasenet_{name}.png", dpi=150)
else:
    plt.show()
