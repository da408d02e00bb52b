"""
A network among MOABB's pipelines
=================================

MOABB compares pipelines over its data sets; estimators of skeeg run in its evaluations as they are. Here on
its fake data set, which needs no download, with a rhythm put in that is louder over one hemisphere, and for
each person a mixture of the channels of their own. How much does a decoder gain by what it is given of the
person it is to decode: nothing, trials without labels, trials with labels?

Run it with the name of a folder to write the figure there: ``python plot_moabb.py figures``.
"""

# %%
# MOABB is an extra: ``pip install "skeeg[moabb]"``.
import sys
import tempfile
from pathlib import Path

try:
    import moabb
except ImportError:
    print('This example needs MOABB: pip install "skeeg[moabb]"')
    sys.exit()

import matplotlib.pyplot as plt
import mne
import numpy as np
from moabb.datasets.fake import FakeDataset
from moabb.evaluations import CrossSubjectEvaluation
from moabb.paradigms import LeftRightImagery
from sklearn.pipeline import make_pipeline

from skeeg import EuclideanAlignment, Scaler, SincShallowNetClassifier
from skeeg.baselines import make_csp_lda, make_tangent_space_lr
from skeeg.preprocessing import with_target_trials

mne.set_log_level("error")
moabb.set_log_level("error")

CHANNELS = ("FC3", "FCz", "FC4", "C3", "Cz", "C4", "CP3", "CPz", "CP4")
SIDES = {"left_hand": ("C4", "CP4"), "right_hand": ("C3", "CP3")}


# %%
# The data: MOABB's fake people, with something to decode.
class People(FakeDataset):
    """Four people who imagine moving a hand, in noise."""

    def __init__(self):
        super().__init__(
            list(SIDES), n_sessions=1, n_runs=1, n_subjects=4, channels=CHANNELS, sfreq=100,
            duration=160, n_events=40, seed=0, code="People",
        )  # fmt: skip

    def _get_single_subject_data(self, subject):
        data = super()._get_single_subject_data(subject)
        rng = np.random.default_rng(subject)
        mixture = np.eye(len(CHANNELS)) + 0.4 * rng.standard_normal((len(CHANNELS), len(CHANNELS)))
        names = {code: name for name, code in self.event_id.items()}
        for raw in data["0"].values():
            *eeg, stim = raw.get_data()
            for onset in np.flatnonzero(stim):
                rhythm = 6e-6 * np.sin(2 * np.pi * (11 * np.arange(300) / 100 + rng.random()))
                for name in SIDES[names[int(stim[onset])]]:
                    eeg[CHANNELS.index(name)][onset : onset + 300] += rhythm
            raw[: len(CHANNELS)] = mixture @ np.array(eeg)
        return data


# %%
# The pipelines. ``with_target_trials`` lets alignment and network ask MOABB for trials of the person to be
# decoded; CSP and the Riemannian pipeline beside them have no use for these.
network = SincShallowNetClassifier(sfreq=100, max_epochs=25, random_state=0, verbose=0)
pipelines = {
    "CSP + LDA": make_csp_lda(sfreq=100),
    "tangent space + LR": make_tangent_space_lr(sfreq=100),
    "CSP + LDA, aligned": with_target_trials(make_csp_lda(sfreq=100, recenter=True)),
    "SincShallowNet, aligned": with_target_trials(make_pipeline(EuclideanAlignment(), Scaler(), network)),
}

# %%
# Each person is decoded by what was learned from the other three and, in MOABB's modes, from half of that
# person's own trials.
modes = {
    "half of the trials,\nwithout labels": "train_and_target_unlabeled_50p",
    "half of the trials,\nwith labels": "train_and_target_labeled_50p",
}
scores = {}
with tempfile.TemporaryDirectory() as cache:
    for label, mode in modes.items():
        evaluation = CrossSubjectEvaluation(
            paradigm=LeftRightImagery(fmin=4, fmax=38),
            datasets=[People()],
            hdf5_path=cache,
            suffix=mode,
            cs_mode=mode,
            random_state=0,
        )
        results = evaluation.process(pipelines)
        scores[label] = results.groupby("pipeline")["score"].agg(["mean", "std"]).loc[list(pipelines)]
        print(f"\n{label}\n{scores[label].round(3)}".replace(",\n", ", "))

figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
for i, (label, table) in enumerate(scores.items()):
    places = np.arange(len(table)) + 0.36 * (i - 0.5)
    axes.barh(places, table["mean"], height=0.32, label=label)
axes.set(
    yticks=range(len(pipelines)), yticklabels=list(pipelines), xlim=(0, 1), xlabel="ROC AUC, mean of 4 people"
)
axes.axvline(0.5, color="0.4", linestyle="--", linewidth=1, label="chance")
axes.invert_yaxis()
figure.legend(loc="outside right upper", frameon=False, title="known of the person")

if len(sys.argv) > 1:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "moabb.png", dpi=150)
else:
    plt.show()
