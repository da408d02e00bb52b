"""Accuracy of every network, baseline and training choice, on real and simulated recordings.

    python benchmarks/accuracy.py [--parts networks choices ...] [--seeds 1] [--n-jobs 2] [--out DIR]

Writes ``accuracy.csv`` (a row a part, pipeline, seed and subject), ``summary.csv`` and ``accuracy.png`` into
DIR, with what earlier runs wrote there. Finished folds are kept: the same command goes on where it stopped.
Baselines draw no random numbers, and have one seed. Recordings come through MNE
(set ``MNE_DATASETS_EEGBCI_PATH`` where they lie already); without them only the simulated parts run.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skeeg import (
    AttentionBaseNetClassifier,
    EuclideanAlignment,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.augmentation import (
    ChannelDropout,
    FourierSurrogate,
    MirrorLeftRight,
    SegmentRecombination,
    TimeShift,
)
from skeeg.baselines import make_csp_lda, make_fbcsp_lda, make_mdm, make_tangent_space_lr
from skeeg.datasets import fetch_eegbci, make_motor_imagery
from skeeg.evaluation import compare
from skeeg.preprocessing import BandPass

MOTOR = [f"{row}{column}" for row in ("FC", "C", "CP") for column in ("5", "3", "1", "z", "2", "4", "6")]
NETWORKS = {
    "SSTDPN": SSTDPNClassifier,
    "AttentionBaseNet": AttentionBaseNetClassifier,
    "SincShallowNet": SincShallowNetClassifier,
    "FBLightConvNet": FBLightConvNetClassifier,
}


def networks(seed, *before, **params):
    """Every network with its defaults, behind some transformers and a Scaler."""
    return {
        name: make_pipeline(*before, Scaler(), cls(random_state=seed, verbose=0, **params))
        for name, cls in NETWORKS.items()
    }


def baselines(seed):
    """Every baseline, as it is and with subjects re-centred."""
    made = {
        "CSP+LDA": make_csp_lda,
        "FBCSP+LDA": make_fbcsp_lda,
        "MDM": make_mdm,
        "tangent space+LR": make_tangent_space_lr,
    }
    plain = {name: make() for name, make in made.items()}
    return plain | {f"{name}, re-centred": make(recenter=True) for name, make in made.items()}


def without_slow_waves(seed, **params):
    """Networks on 4-38 Hz, where eye movements say little, each subject aligned."""
    return networks(seed, BandPass(4.0, 38.0), EuclideanAlignment(), **params)


class AverageWeights(Callback):
    """Give the network, after training, the exponential moving average of its weights over batches."""

    def __init__(self, decay):
        self.decay = decay

    def on_train_begin(self, net, **_):
        self.average_ = AveragedModel(
            net.module_, multi_avg_fn=get_ema_multi_avg_fn(self.decay), use_buffers=True
        )

    def on_batch_end(self, net, training, **_):
        if training:
            self.average_.update_parameters(net.module_)

    def on_train_end(self, net, **_):
        net.module_.load_state_dict(self.average_.module.state_dict())


def choices(seed, ch_names):
    """One choice at a time away from the defaults, where eye movements say little."""
    every_network = {
        "default": {},
        "lr 1e-3": {"lr": 1e-3},
        "lr 1e-2": {"lr": 1e-2},
        "25 epochs": {"max_epochs": 25},
        "100 epochs": {"max_epochs": 100},
        "cross-entropy": {"loss": "cross_entropy"},
        "dual prototypes": {"loss": "dual_prototype"},
    }
    attention_base_net = {
        "constant rate": {"lr_schedule": "constant"},
        "cosine": {"lr_schedule": "cosine"},
        "weights averaged": {"callbacks": [AverageWeights(0.99)]},
        "constant rate, weights averaged": {
            "lr_schedule": "constant",
            "callbacks": [AverageWeights(0.99)],
        },
        "Adam": {"optimizer": "adam"},
        "NAdam": {"optimizer": "nadam"},
        "no weight decay": {"weight_decay": 0.0},
        "weight decay 0.1": {"weight_decay": 0.1},
        "batches of 16": {"batch_size": 16},
        "batches of 64": {"batch_size": 64},
        "label smoothing 0.1": {"label_smoothing": 0.1},
        "validation 20 %, best weights": {"train_split": 0.2},
        "validation 20 %, patience 10": {"train_split": 0.2, "patience": 10},
        "validation 20 %, refit 25": {"train_split": 0.2, "max_epochs": 25, "refit_epochs": 25},
        "time shift": {"augmentation": TimeShift()},
        "channel dropout": {"augmentation": ChannelDropout()},
        "segments recombined": {"augmentation": SegmentRecombination()},
        "Fourier surrogates": {"augmentation": FourierSurrogate()},
        "mirroring": {"augmentation": MirrorLeftRight(list(ch_names))},
    }
    made = {}
    for choice, params in every_network.items():
        for name, pipe in without_slow_waves(seed, **params).items():
            if choice != default_loss(name):
                made[f"{name}, {choice}"] = pipe
    for choice, params in attention_base_net.items():
        made[f"AttentionBaseNet, {choice}"] = without_slow_waves(seed, **params)["AttentionBaseNet"]
    made["AttentionBaseNet, not aligned"] = networks(seed, BandPass(4.0, 38.0))["AttentionBaseNet"]
    return made


def default_loss(name):
    """What the choice is called that is the default of a network."""
    return {"cross_entropy": "cross-entropy", "dual_prototype": "dual prototypes"}[NETWORKS[name]().loss]


def parts(n_subjects):
    """What is measured: name -> (data, question, pipelines)."""
    found = {}
    try:
        X, y, metadata = fetch_eegbci(subjects=range(1, n_subjects + 1))
    except Exception as error:
        print(f"no real recordings ({error}); simulated data only")
    else:
        real, motor, central = (
            (X[:, [X.ch_names.index(name) for name in chosen]], y, metadata)
            for chosen in (X.ch_names, MOTOR, ("C3", "Cz", "C4"))
        )
        found = {
            "networks, broadband, cross-subject": (real, "cross-subject", networks),
            "networks, 4-38 Hz, cross-subject": (real, "cross-subject", without_slow_waves),
            "networks, broadband, 21 channels, cross-subject": (motor, "cross-subject", networks),
            "networks, 4-38 Hz, 3 channels, cross-subject": (central, "cross-subject", without_slow_waves),
            "baselines, 8-30 Hz, cross-subject": (real, "cross-subject", baselines),
            "baselines, 21 channels, cross-subject": (motor, "cross-subject", baselines),
            "baselines, 3 channels, cross-subject": (central, "cross-subject", baselines),
            "networks, broadband, within-subject": (real, "within-subject", networks),
            "baselines, 8-30 Hz, within-subject": (real, "within-subject", baselines),
            "choices, 4-38 Hz, 21 channels, cross-subject": (
                motor,
                "cross-subject",
                lambda seed: choices(seed, MOTOR),
            ),
        }
    simulated = make_motor_imagery(n_subjects=6, n_trials=80, random_state=0)
    found["networks, simulated, cross-subject"] = (simulated, "cross-subject", networks)
    found["baselines, simulated, cross-subject"] = (simulated, "cross-subject", baselines)
    return found


def with_earlier(rows, path):
    """Rows, and those of other parts and seeds that earlier runs wrote."""
    if not path.exists():
        return rows
    run = ["part", "seed"]
    earlier = pd.read_csv(path)
    others = ~pd.MultiIndex.from_frame(earlier[run]).isin(pd.MultiIndex.from_frame(rows[run]))
    return pd.concat([earlier[others], rows])


def summarize(rows):
    """Mean and standard error over subjects, of accuracies averaged over seeds."""
    by_subject = rows.groupby(["part", "pipeline", "subject"], sort=False)[["accuracy", "fit_time"]].mean()
    by_pipeline = by_subject.groupby(["part", "pipeline"], sort=False)
    summary = by_pipeline["accuracy"].agg(["mean", "sem"]).mul(100)
    seeds = rows.groupby(["part", "pipeline", "seed"], sort=False)["accuracy"].mean().mul(100)
    summary["sd over seeds"] = seeds.groupby(["part", "pipeline"], sort=False).std()
    summary["fit time (s)"] = by_pipeline["fit_time"].median()
    return summary.round(1)


def draw(summary, path):
    """Draw every part's pipelines with their standard errors."""
    names = summary.index.get_level_values("part").unique()
    sizes = [len(summary.loc[name]) for name in names]
    figure, axes = plt.subplots(
        len(names),
        1,
        figsize=(7, 0.28 * sum(sizes) + 0.7 * len(names)),
        sharex=True,
        squeeze=False,
        gridspec_kw={"height_ratios": sizes},
        layout="constrained",
    )
    for ax, name in zip(axes[:, 0], names, strict=True):
        part = summary.loc[name][::-1]
        ax.errorbar(part["mean"], np.arange(len(part)), xerr=part["sem"], fmt="o", color="#0072B2", ms=4)
        ax.set(yticks=np.arange(len(part)), yticklabels=part.index, title=name, ylim=(-0.6, len(part) - 0.4))
        ax.axvline(50, color="0.6", linestyle=":", linewidth=1)
        ax.title.set_size(10)
    axes[-1, 0].set_xlabel("accuracy (%) ± standard error\nover subjects; dotted: chance")
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--parts", nargs="*", default=[""], help="run the parts whose name holds any of these"
    )
    parser.add_argument("--subjects", type=int, default=20, help="EEGBCI subjects, from the first")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/accuracy"))
    arguments = parser.parse_args()
    rows = []
    for name, ((X, y, metadata), cv, make) in parts(arguments.subjects).items():
        if not any(word in name for word in arguments.parts):
            continue
        for seed in range(1 if make is baselines else arguments.seeds):
            print(f"{name}, seed {seed}", flush=True)
            folder = arguments.out / name.replace(", ", "_").replace(" ", "-") / str(seed)
            result = compare(
                make(seed), X, y, metadata, cv=cv, n_jobs=arguments.n_jobs, out=folder, random_state=0
            )
            if result.interrupted:
                raise SystemExit("interrupted; the same command goes on from here")
            rows.append(result.scores.assign(part=name, seed=seed))
    rows = with_earlier(pd.concat(rows), arguments.out / "accuracy.csv")
    rows.to_csv(arguments.out / "accuracy.csv", index=False)
    summary = summarize(rows)
    summary.to_csv(arguments.out / "summary.csv")
    draw(summary, arguments.out / "accuracy.png")
    print(summary.to_string())


if __name__ == "__main__":
    main()
