"""Make the decoders of skeeg/pretrained, and measure them on people they have not seen.

    python benchmarks/pretrain.py [--trials DIR] [--only 3 21 64]        # the files
    python benchmarks/pretrain.py [--trials DIR] [--only ...] --evaluate | --calibrate   # tables of folds

Recordings: PhysioNet eegmmidb, imagined left against right fist, people 1-80 (--people), through
``fetch_eegbci`` (``MNE_DATASETS_EEGBCI_PATH`` names the folder), or, where DIR holds ``S021.npz`` and so on
(``X`` in µV, ``y``, ``ch_names``, 0 to 4.1 s after the cue at 160 Hz), from there. People 1-10 are the sample
in the wheel and train no shipped decoder; ``--evaluate`` leaves out a fifth of all people at a time.

Every network is kept in --cache under a hash of what it is trained on and how, as soon as it is trained: the
same command goes on where it stopped. The same trials give the same bytes, with the same versions of
skeeg and its libraries.
"""

import argparse
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import signal
from sklearn import set_config
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from skorch.history import History

import skeeg
from skeeg import AttentionBaseNetClassifier, EEGArray, EuclideanAlignment
from skeeg.augmentation import MirrorLeftRight
from skeeg.baselines import make_csp_lda, make_tangent_space_lr
from skeeg.datasets import fetch_eegbci
from skeeg.preprocessing import BandPass

SFREQ, N_TIMES = 160.0, 480
BAND, NARROW_BAND = (4.0, 38.0), (6.0, 25.0)
CENTRAL = ("C3", "Cz", "C4")
MOTOR = tuple(f"{row}{column}" for row in ("FC", "C", "CP") for column in "531z246")
BIPOLAR = {"C3": ("FC3", "CP3"), "Cz": ("FCz", "CPz"), "C4": ("FC4", "CP4")}
CLASSES = np.array(["left_hand", "right_hand"])
SAMPLE = range(1, 11)  # people of skeeg.datasets.load_motor_imagery
SEEDS = (0, 1)
# Two of these and their mirror images, side by side, are a network of the default shape.
MEMBER = {"n_temporal_filters": 10, "ch_dim": 4, "verbose": 0, "device": "cpu"}


class View(NamedTuple):
    """How trials are looked at: start of the 3 s window after the cue, derivation, band beyond 4-38 Hz."""

    start: float = 0.0
    bipolar: bool = False
    band: tuple | None = None


FROM_CUE = View()


class Decoder(NamedTuple):
    """Channels (None: all), views of a trial to learn from, and how often each trial is seen in all."""

    channels: tuple | None
    views: tuple
    passes: int


# Other laboratories have their own window, derivation and band for three channels: learn from several.
# Within this data base the time right after the cue tells most: the larger montages learn from it alone.
DECODERS = {
    "3": Decoder(
        CENTRAL,
        tuple(
            View(start, bipolar, band)
            for bipolar in (False, True)
            for band in (None, NARROW_BAND)
            for start in (0.0, 0.5, 1.0)
        ),
        48,
    ),
    "21": Decoder(MOTOR, (FROM_CUE,), 36),
    "64": Decoder(None, (FROM_CUE,), 36),
}
# What the eyes could tell of: measured with --evaluate, never shipped.
FRONTAL = ("Fp1", "Fpz", "Fp2", "AF7", "AF3", "AFz", "AF4", "AF8", *(f"F{column}" for column in "7531z2468"))
TEMPORAL = ("FT7", "FT8", "T7", "T8", "T9", "T10", "TP7", "TP8")
PARIETAL = ("P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "PO7", "PO3", "POz", "PO4", "PO8")
OCCIPITAL = ("O1", "Oz", "O2", "Iz")
PROBES = {
    "frontal": Decoder(FRONTAL, (FROM_CUE,), 36),
    "neither frontal nor temporal": Decoder((*MOTOR, *PARIETAL, *OCCIPITAL), (FROM_CUE,), 36),
}


class Trials(NamedTuple):
    """Trials of some people, 0 to 4.1 s after the cue, 4-38 Hz."""

    X: np.ndarray
    y: np.ndarray
    subjects: np.ndarray
    ch_names: tuple

    def of(self, chosen):
        """Some of the trials."""
        return self._replace(X=self.X[chosen], y=self.y[chosen], subjects=self.subjects[chosen])


def read(people, folder=None):
    """Read and filter the trials of people."""
    X, y, subjects, ch_names = [], [], [], None
    for subject in people:
        path = Path(folder or ".") / f"S{subject:03d}.npz"
        if folder and path.exists():
            stored = np.load(path)
            trials, labels, names = stored["X"], stored["y"], tuple(stored["ch_names"].tolist())
        else:
            trials, labels, _ = fetch_eegbci([subject], tmax=4.1)
            names = trials.ch_names
        if ch_names not in (None, names):
            raise ValueError(f"subject {subject} has the channels {names}, those before {ch_names}")
        ch_names = names
        X.append(band_pass(np.asarray(trials, dtype=np.float64), BAND))
        y.append(labels)
        subjects.append(np.full(len(labels), subject))
    return Trials(np.concatenate(X), np.concatenate(y), np.concatenate(subjects), ch_names)


def band_pass(X, band):
    """Filter trials that go on beyond their ends as their mirror image.

    Recordings are not there for everybody; filtered before they are cut, they are decoded 0.4 points better.
    """
    n = 320
    sos = signal.butter(4, band, "bandpass", output="sos", fs=SFREQ)
    padded = np.pad(X, ((0, 0), (0, 0), (n, n)), mode="reflect")
    return signal.sosfiltfilt(sos, padded)[..., n:-n].astype(np.float32)


def look(trials, channels, view=FROM_CUE):
    """Get windows of 3 s of some channels, as they would be recorded: an EEGArray in µV."""
    at = {name: i for i, name in enumerate(trials.ch_names)}
    if view.bipolar:
        front, back = zip(*(BIPOLAR[name] for name in channels), strict=True)
        X = trials.X[:, [at[name] for name in front]] - trials.X[:, [at[name] for name in back]]
    else:
        X = trials.X[:, [at[name] for name in channels]]
    if view.band:
        X = band_pass(X, view.band)
    start = round(view.start * SFREQ)
    return EEGArray(np.ascontiguousarray(X[..., start : start + N_TIMES]), SFREQ, channels)


def training_set(trials, decoder):
    """Every view of every trial, each person aligned, and the mirror image of each."""
    channels = decoder.channels or trials.ch_names
    X, y = [], []
    for view in decoder.views:
        aligned = EuclideanAlignment().fit_transform(look(trials, channels, view), groups=trials.subjects)
        mirrored, labels = mirror(np.asarray(aligned), trials.y, channels)
        X += [np.asarray(aligned), mirrored]
        y += [trials.y, labels]
    return EEGArray(np.concatenate(X), SFREQ, channels), np.concatenate(y)


def mirror(X, y, channels):
    """Swap the hemispheres and the hands."""
    swap = MirrorLeftRight(list(channels), probability=1.0)
    X, codes = swap.augment(
        torch.from_numpy(X), torch.from_numpy(np.searchsorted(CLASSES, y)), torch.Generator()
    )
    return X.numpy(), CLASSES[codes.numpy()]


def train(trials, decoder, cache):
    """Train a decoder: small networks of several seeds, joined with their mirror images."""
    X, y = training_set(trials, decoder)
    epochs = max(1, round(decoder.passes / (2 * len(decoder.views))))
    digest = hashlib.sha256(np.asarray(X).tobytes() + "".join(y).encode()).hexdigest()
    members = []
    for seed in SEEDS:
        member = AttentionBaseNetClassifier(max_epochs=epochs, random_state=seed, **MEMBER)
        key = hashlib.sha256(f"{digest} {member!r}".encode()).hexdigest()[:20]
        path = cache / f"{key}.safetensors"
        if not path.exists():
            skeeg.save(member.fit(X, y), path)
            print(f"trained a network: {path.name}", flush=True)
        members.append(skeeg.load(path))
    return join(members, X, y)


def join(members, X, y):
    """Join networks and their mirror images into one of the default shape: the mean of their logits.

    Each is a block of filters that meets the others' in the last layer alone; mirrored electrodes give the
    classes' probabilities swapped, exactly.
    """
    states = []
    turned = [X.ch_names.index(name) for name in mirrored_names(X.ch_names)]
    for member in members:
        state = member.module_.state_dict()
        image = dict(state)
        image["input_block.spatial_conv.weight"] = state["input_block.spatial_conv.weight"][:, :, turned]
        image |= {k: v.flip(0) for k, v in state.items() if k.startswith("final_layer")}
        states += [state, image]
    n = len(states)
    n_filters, ch_dim = n * MEMBER["n_temporal_filters"], n * MEMBER["ch_dim"]
    joined = AttentionBaseNetClassifier(
        n_temporal_filters=n_filters, ch_dim=ch_dim, max_epochs=1, random_state=0, verbose=0, device="cpu"
    )
    joined.fit(X[: len(X) : 50], y[: len(X) : 50])  # for its shape; nothing that it learns is kept
    weights = {}
    for name in states[0]:
        parts = [state[name] for state in states]
        if name.startswith("final_layer") and parts[0].ndim == 2:  # (classes, channels x times)
            parts = [part.reshape(len(CLASSES), MEMBER["ch_dim"], -1) for part in parts]
            weights[name] = torch.cat(parts, dim=1).flatten(1) / n
        elif name.startswith("final_layer"):
            weights[name] = torch.stack(parts).mean(0)
        elif name in ("channel_expansion.0.weight", "channel_attention_block.conv.1.weight"):
            weights[name] = torch.block_diag(*(part[:, :, 0, 0] for part in parts))[:, :, None, None]
        else:
            weights[name] = torch.cat(parts) if parts[0].ndim else parts[0]
    joined.module_.load_state_dict(weights)
    joined.optimizer_.state.clear()
    joined.history = History()
    return joined.set_params(max_epochs=50, random_state=None, device="auto")


def mirrored_names(channels):
    """The channel across the midline of each."""
    images, _ = mirror(np.arange(len(channels), dtype=np.float32)[None, :, None], CLASSES[:1], channels)
    return [channels[int(i)] for i in images[0, :, 0]]


def pipeline(trials, decoder, cache):
    """A fitted Pipeline: band, alignment trial by trial, network."""
    classifier = train(trials, decoder, cache)
    X = look(trials, classifier.ch_names_)
    band_passed = BandPass(*BAND).fit(X)
    # One reference, which every new person starts from; people count alike, whatever their amplitude.
    power = {s: np.square(X[trials.subjects == s]).mean() for s in np.unique(trials.subjects)}
    gain = np.sqrt(np.median(list(power.values())) / [power[s] for s in trials.subjects])
    alignment = EuclideanAlignment(mode="causal", prior_weight=1.0).fit(
        X * gain[:, None, None].astype(np.float32)
    )
    return Pipeline(
        [("bandpass", band_passed), ("euclideanalignment", alignment), ("attentionbasenet", classifier)]
    )


def folds(trials):
    """Five fifths of the people, every fifth person each: (number, training trials, test trials)."""
    for fold in range(5):
        test = (trials.subjects - 1) % 5 == fold
        yield fold, trials.of(~test), trials.of(test)


def rows(name, how, test, predicted, fold):
    """A row a person: accuracy in %."""
    right = pd.Series(np.asarray(predicted) == test.y).groupby(test.subjects).mean() * 100
    return [
        {"montage": name, "decoder": how, "fold": fold, "subject": s, "accuracy": a} for s, a in right.items()
    ]


def evaluate(name, decoder, trials, cache):
    """Zero calibration on people left out: re-centred baselines, and the decoder by kind of alignment."""
    found = []
    set_config(enable_metadata_routing=True)
    for fold, training, test in folds(trials):
        channels = decoder.channels or trials.ch_names
        before, X = look(training, channels), look(test, channels)
        for how, make in {"CSP+LDA": make_csp_lda, "tangent space+LR": make_tangent_space_lr}.items():
            baseline = make(recenter=True).fit(before, training.y, groups=training.subjects)
            found += rows(name, how, test, baseline.predict(X, groups=test.subjects), fold)
        _, alignment, classifier = pipeline(training, decoder, cache).named_steps.values()
        for mode in ("batch", "causal", "single"):
            aligned = alignment.set_params(mode=mode).transform(X, groups=test.subjects)
            found += rows(name, f"pretrained, {mode}", test, classifier.predict(aligned), fold)
    return pd.DataFrame(found)


def calibrate(name, decoder, trials, cache, sizes=(0, 4, 8, 16, 40)):
    """Calibration curves: learn from a person's first trials, test on the last five."""
    found = []
    for fold, training, test in folds(trials):
        _, _, pretrained = pipeline(training, decoder, cache).named_steps.values()
        channels = pretrained.ch_names_
        # All trials of the person, without labels, align them: what is compared is what labels add.
        aligned = EuclideanAlignment().fit_transform(look(test, channels), groups=test.subjects)
        for subject in np.unique(test.subjects):
            X, y = aligned[test.subjects == subject], test.y[test.subjects == subject]
            for n in sizes:
                for how, fitted in calibrated(pretrained, X[:-5][:n], y[:-5][:n], channels):
                    accuracy = 100 * np.mean(fitted.predict(X[-5:]) == y[-5:])
                    found.append((name, how, n, fold, subject, accuracy))
    return pd.DataFrame(found, columns=["montage", "decoder", "own trials", "fold", "subject", "accuracy"])


def calibrated(pretrained, X, y, channels):
    """What a person's own trials make of each approach: (name, fitted)."""
    if len(np.unique(y)) < 2:  # nothing to learn from
        yield "pretrained, fine-tuned", pretrained
        return
    both, labels = mirror(np.asarray(X), y, channels)
    both = EEGArray(np.concatenate([X, both]), SFREQ, channels), np.concatenate([y, labels])
    yield "pretrained, fine-tuned", fine_tuned(pretrained).fit(*both)
    scratch = AttentionBaseNetClassifier(random_state=0, verbose=0, device="cpu")
    yield "from scratch", scratch.fit(*both)
    yield "CSP+LDA", make_csp_lda().fit(X, y)
    yield "tangent space+LR", make_tangent_space_lr().fit(X, y)


def fine_tuned(pretrained):
    """The network to fine-tune, unfitted."""
    return AttentionBaseNetClassifier(
        pretrained=FrozenEstimator(pretrained),
        max_epochs=20,
        lr=1e-3,
        random_state=0,
        verbose=0,
        device="cpu",
    )


def summary(table, by):
    """Mean over people, and of each fold."""
    per_fold = table.groupby([*by, "fold"], sort=False)["accuracy"].mean().unstack()
    return per_fold.assign(mean=table.groupby(by, sort=False)["accuracy"].mean()).round(1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=Path, help="folder of SNNN.npz, read where they are")
    parser.add_argument("--people", type=int, default=80, help="people 1 to this number")
    parser.add_argument("--only", nargs="+", default=list(DECODERS), choices=[*DECODERS, *PROBES])
    parser.add_argument("--evaluate", action="store_true", help="measure on people left out")
    parser.add_argument("--calibrate", action="store_true", help="calibration curves on people left out")
    parser.add_argument("--cache", type=Path, default=Path("results/pretrain"))
    parser.add_argument("--out", type=Path, default=Path(skeeg.__file__).parent / "pretrained")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the same sums in the same order
    trials = read(range(1, args.people + 1), args.trials)
    for name in args.only:
        decoder = (DECODERS | PROBES)[name]
        if args.evaluate:
            table = evaluate(name, decoder, trials, args.cache)
            table.to_csv(args.cache / f"folds-{name}.csv", index=False)
            print(summary(table, ["montage", "decoder"]), flush=True)
        elif args.calibrate:
            table = calibrate(name, decoder, trials, args.cache)
            table.to_csv(args.cache / f"calibration-{name}.csv", index=False)
            print(summary(table, ["montage", "own trials", "decoder"]), flush=True)
        elif name in DECODERS:
            made = pipeline(trials.of(~np.isin(trials.subjects, SAMPLE)), decoder, args.cache)
            skeeg.save(made, args.out / f"left-right-hand-{name}.safetensors")


if __name__ == "__main__":
    main()
