"""How the cost of a comparison grows: with people, with folds side by side, with data on disk.

    python benchmarks/scale.py people    # seconds a fold by number of people, for each pipeline
    python benchmarks/scale.py jobs      # throughput of two processes of one thread, as a ratio to one
    python benchmarks/scale.py memory    # peak memory of compare while a memory-mapped array grows tenfold

Simulated motor imagery, cross-subject, five folds. Tables are Markdown, as in scale.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread a process: what a cluster's worker has

import numpy as np
import pandas as pd

from skeeg import EEGArray
from skeeg.datasets import make_motor_imagery
from skeeg.evaluation import compare, make_pipelines

PIPELINES = ("csp-lda+ea", "tangent-space-lr+ea", "attentionbasenet+ea", "sincshallownet+ea")
TRIALS, CHANNELS, SFREQ = 40, 22, 125  # of a person, of 3 s
EPOCHS = 10


def data(n_people):
    return make_motor_imagery(n_people, TRIALS, n_chans=CHANNELS, duration=3, n_sessions=1, random_state=0)


def run(n_people, names=PIPELINES, **options):
    X, y, metadata = data(n_people)
    pipelines = make_pipelines(names, sfreq=X.sfreq, max_epochs=EPOCHS)
    return compare(pipelines, X, y, metadata, progress=False, **options)


def people():
    """Seconds of a fit, by people and pipeline, and what they grow with."""
    numbers = (5, 10, 20, 40)
    seconds = {n: run(n).scores.drop_duplicates(["pipeline", "fold"]).groupby("pipeline")["fit_time"].median()
               for n in numbers}  # fmt: skip
    table = pd.DataFrame(seconds).loc[list(PIPELINES)]
    print("| fit of a fold, s | " + " | ".join(f"{n} people" for n in numbers) + " | exponent |")
    print("|---|" + "---|" * (len(numbers) + 1))
    for name, row in table.iterrows():
        exponent = np.polyfit(np.log(numbers), np.log(row), 1)[0]
        cells = " | ".join(f"{value:.2f} ({value / row[numbers[0]]:.1f})" for value in row)
        print(f"| {name} | {cells} | {exponent:.2f} |")


def jobs(repeats=3):
    """Folds a second with two processes, as a ratio to one, alternating."""
    names = ("attentionbasenet+ea",)
    for n in (1, 2):
        run(5, names, n_jobs=n)  # processes are there, and warm
    took = {1: [], 2: []}
    for _ in range(repeats):
        for n, seconds in took.items():
            start = time.perf_counter()
            run(20, names, n_jobs=n)
            seconds.append(time.perf_counter() - start)
    ratios = [one / two for one, two in zip(took[1], took[2], strict=True)]
    print(f"throughput of n_jobs=2: {np.median(ratios):.2f} times that of n_jobs=1 "
          f"({', '.join(f'{ratio:.2f}' for ratio in ratios)})")  # fmt: skip


def memory_of(n_trials, folder):
    """Peak memory of a comparison of a memory-mapped array, in MB, and what it was before."""
    path = Path(folder, "X.npy")
    rng = np.random.default_rng(0)
    X = np.lib.format.open_memmap(path, "w+", np.float32, (n_trials, CHANNELS, 375))
    for i in range(0, n_trials, 500):
        X[i : i + 500] = 10 * rng.standard_normal(X[i : i + 500].shape, dtype=np.float32)
    X.flush()
    del X
    y = np.tile(["left", "right"], n_trials // 2)
    metadata = pd.DataFrame({"subject": np.repeat(np.arange(5), n_trials // 5)})
    X = EEGArray(np.load(path, mmap_mode="r"), SFREQ, [f"E{i}" for i in range(CHANNELS)])
    pipelines = make_pipelines(["attentionbasenet"], sfreq=SFREQ, max_epochs=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    compare(pipelines, X, y, metadata, progress=False)
    print(
        f"{X.nbytes / 2**20:.0f} {before:.0f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"
    )


def memory():
    print("| data on disk, MB | before, MB | peak, MB |\n|---|---|---|")
    for n_trials in (1000, 2000, 5000, 10000):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "memory", str(n_trials), folder]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
        size, before, peak = map(float, answer.stdout.split())
        print(f"| {size:.0f} | {before:.0f} | {peak:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("people", "jobs", "memory"))
    parser.add_argument("one", nargs="*", help=argparse.SUPPRESS)  # a size and a folder, in this process
    arguments = parser.parse_args()
    if arguments.one:
        return memory_of(int(arguments.one[0]), arguments.one[1])
    return {"people": people, "jobs": jobs, "memory": memory}[arguments.part]()


if __name__ == "__main__":
    main()
