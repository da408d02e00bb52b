"""Measure how soon a decoder of the wheel has a label for its first trial.

    python benchmarks/first_trial.py [--rounds 5]

Each measurement is a fresh process, which first imports skeeg and what it loads when used (MNE, pandas,
SciPy). Then the clock runs over ``load_pretrained`` and ``predict`` of one trial, and once more over the
same. By turns with it, the same decoder is loaded out of a file that it was saved to after training, whose
optimiser goes on where it was: making one imports a part of PyTorch, once in every process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import skeeg
from skeeg.datasets import load_motor_imagery
from skeeg.pretrained import load_pretrained

TASK = "left-right-hand"
ONE = """
import json, sys, time
began = time.perf_counter()
import skeeg
imported = time.perf_counter() - began
import mne, pandas, scipy.signal
from skeeg.datasets import load_motor_imagery
from skeeg.pretrained import load_pretrained

X, _, _ = load_motor_imagery([1])
name, path = sys.argv[1:]


def first_trial():
    began = time.perf_counter()
    if path:
        decoder = skeeg.load(path)
    else:
        decoder = load_pretrained(name, ch_names=X.ch_names, sfreq=X.sfreq, verbose=False)
    loaded = time.perf_counter()
    decoder.predict(X[:1])
    return loaded - began, time.perf_counter() - loaded


print(json.dumps([imported, *first_trial(), *first_trial()]))
"""


def measure(name, path=""):
    """Seconds of one fresh process: import, load, predict, load again, predict again."""
    run = subprocess.run([sys.executable, "-c", ONE, name, path], check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    X, y, _ = load_motor_imagery([1])
    with tempfile.TemporaryDirectory() as folder:
        saved = str(Path(folder) / "trained_on.safetensors")
        trained_on = load_pretrained(TASK, ch_names=X.ch_names, sfreq=X.sfreq, verbose=False)
        skeeg.save(trained_on.set_params(network__max_epochs=1, network__verbose=0).fit(X, y), saved)
        cases = {f"{TASK}-21": "", f"{TASK}-3": "", "trained on, saved": saved}
        runs = {name: [] for name in cases}
        for _ in range(rounds):
            for name, path in cases.items():
                runs[name].append(measure(name, path))
    print("ms, medians of fresh processes:           import  load  predict  both  load again  predict again")
    for name, found in runs.items():
        columns = zip(*found, strict=True)
        imported, load, predict, again, then = (1e3 * statistics.median(column) for column in columns)
        both = 1e3 * statistics.median(row[1] + row[2] for row in found)
        print(f"{name:40} {imported:7.0f} {load:5.0f} {predict:8.0f} {both:5.0f} {again:11.0f} {then:14.0f}")


if __name__ == "__main__":
    main()
