"""Measure the memory that fit and predict take beyond the data, for each way in which trials may come.

python benchmarks/memory.py [--network SSTDPNClassifier] [--n-trials 3000]

Each case runs in a process of its own, on Linux; see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import mne
import numpy as np
from sklearn.pipeline import make_pipeline

import skeeg

N_CHANS, N_TIMES, SFREQ = 22, 500, 250.0
INPUTS = (
    "float32",
    "float64",
    "int16",
    "Fortran order",
    "memory map",
    "Epochs",
    "Epochs, not loaded",
    "float32, Pipeline(Scaler(), net)",
    "float32, Pipeline(Scaler(lazy=True), net)",
    "memory map, Pipeline(Scaler(lazy=True), net)",
)


def make_trials(n_trials, dtype):
    """Noise of 10 µV, made in pieces, so that the peak of memory is that of fit and not of this."""
    rng = np.random.default_rng(0)
    X = np.empty((n_trials, N_CHANS, N_TIMES), dtype)
    for trial in X:
        trial[...] = 10 * rng.standard_normal(trial.shape)
    return X


def make_input(kind, n_trials, folder):
    """Trials of a kind, of which what is not held in memory lies in a folder."""
    if kind.startswith("memory map"):
        return np.load(folder / "X.npy", mmap_mode="r")
    if kind.startswith("Epochs"):
        raw = mne.io.read_raw_fif(folder / "trials_raw.fif", preload=False, verbose="error")
        events = np.column_stack([N_TIMES * np.arange(n_trials), np.zeros((n_trials, 2), int)])
        events[:, 2] = 1 + np.arange(n_trials) % 2
        window = {"tmin": 0, "tmax": (N_TIMES - 1) / SFREQ, "baseline": None}
        return mne.Epochs(raw, events, preload=kind == "Epochs", **window, verbose="error")
    X = make_trials(n_trials, kind if kind in ("float64", "int16") else "float32")
    return np.asfortranarray(X) if kind == "Fortran order" else X


def write_files(n_trials, folder):
    """Write the trials that a memory map and Epochs read."""
    X = make_trials(n_trials, "float32")
    np.save(folder / "X.npy", X)
    info = mne.create_info(N_CHANS, SFREQ, "eeg")
    data = 1e-6 * X.transpose(1, 0, 2).reshape(N_CHANS, -1)
    mne.io.RawArray(data, info, verbose="error").save(folder / "trials_raw.fif", verbose="error")


def status(field):
    """Bytes that the kernel gives for a field of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def peak_of(call):
    """Bytes by which a call raises the resident memory of this process at most, mapped files included."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def measure(kind, network, n_trials, folder):
    """Print the peaks of fit and predict, in shares of the data in float32."""
    warnings.simplefilter("ignore")
    net = getattr(skeeg, network)(max_epochs=2, verbose=0, random_state=0, sfreq=SFREQ)
    if "Scaler" in kind:
        net = make_pipeline(skeeg.Scaler(lazy="lazy" in kind), net)
    y = np.arange(n_trials) % 2
    few = make_trials(64, "float32")
    net.fit(few, y[:64]).predict(few)  # libraries, threads and their buffers are there now
    X = make_input(kind, n_trials, folder)
    size = 4 * n_trials * N_CHANS * N_TIMES
    fit = peak_of(lambda: net.fit(X, y))
    predict = peak_of(lambda: net.predict(X))
    print(f"| {kind} | {fit / size:.2f} | {predict / size:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="AttentionBaseNetClassifier", help="a class of skeeg")
    parser.add_argument("--n-trials", type=int, default=3000)
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one kind, in this process
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure(args.only, args.network, args.n_trials, args.folder)
        return
    megabytes = 4 * args.n_trials * N_CHANS * N_TIMES / 2**20
    print(f"{args.network}, {args.n_trials} x {N_CHANS} x {N_TIMES}: {megabytes:.0f} MB in float32\n")
    print("| X | fit | predict |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_files(args.n_trials, Path(folder))
        for kind in INPUTS:
            command = [sys.executable, __file__, *sys.argv[1:], "--only", kind, "--folder", folder]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
