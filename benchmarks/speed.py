"""Time skeeg's networks beside braindecode's: the same architectures, settings and data, in alternating runs.

python benchmarks/speed.py [--quick] [--threads 2] [--out results/speed]

See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
import skorch
import torch
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

import skeeg

HAS_PEER = importlib.util.find_spec("braindecode") is not None
NO_PEER = """braindecode is not installed: skeeg is measured alone, without ratios. To install it:
    pip install -c constraints.txt ".[benchmark]"
With a CPU build of torch, the compiled library of torchaudio does not load, and braindecode does not import
until it is removed: delete lib/*.so in the folder of the package torchaudio.
"""

#: name: (channels, samples, sampling rate in Hz, classes)
CASES = {
    "22 x 1000": (22, 1000, 250.0, 4),
    "64 x 480": (64, 480, 160.0, 2),
    "3 x 1000": (3, 1000, 250.0, 2),
}
MAIN_CASE = "22 x 1000"
NETWORKS = {
    "SSTDPN": {},
    "AttentionBaseNet": {"attention_mode": "se"},
    "SincShallowNet": {},
    "FBLightConvNet": {},
}
#: Ratios aimed at in the main case: fit, predict 288 trials, predict 1 trial.
TARGETS = {
    "SSTDPN": (6, 6, 5),
    "AttentionBaseNet": (20, 15, 5),
    "SincShallowNet": (15, 15, 5),
    "FBLightConvNet": (6, 5, 5),
}
N_TRIALS, BATCH, LR = 288, 32, 1e-3


# ----- what is compared ----------------------------------------------------------------------------------


def make_ours(network, case, device="cpu", max_epochs=1, **options):
    """Make skeeg's estimator, with the settings that the peer has too."""
    estimator = getattr(skeeg, f"{network}Classifier")
    settings = NETWORKS[network] | {"loss": "cross_entropy"} | options
    return estimator(
        sfreq=CASES[case][2],
        max_epochs=max_epochs,
        batch_size=BATCH,
        lr=LR,
        weight_decay=0.0,
        optimizer="adam",
        lr_schedule="constant",
        random_state=0,
        device=device,
        verbose=0,
        **settings,
    )


def make_peer(network, case, device="cpu", max_epochs=1):
    """Make braindecode's estimator of the same architecture."""
    from braindecode import EEGClassifier, models

    n_chans, n_times, sfreq, n_classes = CASES[case]
    torch.manual_seed(0)
    return EEGClassifier(
        getattr(models, network),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LR,
        batch_size=BATCH,
        iterator_train__drop_last=False,
        train_split=None,
        max_epochs=max_epochs,
        device=device,
        verbose=0,
        classes=list(range(n_classes)),
        module__n_chans=n_chans,
        module__n_times=n_times,
        module__n_outputs=n_classes,
        module__sfreq=sfreq,
        **{f"module__{name}": value for name, value in NETWORKS[network].items()},
    )


def make_data(case, n_trials=N_TRIALS):
    """Make trials of noise, in µV: how long training takes does not depend on what is in them."""
    n_chans, n_times, _, n_classes = CASES[case]
    X = 10 * np.random.default_rng(0).standard_normal((n_trials, n_chans, n_times), dtype=np.float32)
    return X, np.arange(n_trials) % n_classes


def macs(network, case):
    """Count the multiply-accumulates of a trial, forward, as the architecture is usually written.

    Filter banks without trainable parameters, normalisation, activations and pooling are left out.
    """
    n_chans, n_times, _, n_classes = CASES[case]
    net = make_network(network, case)
    head = n_classes * net.n_features
    if network == "SSTDPN":  # 9 temporal filters of 75 taps, fusion of 9 x channels into 48
        return n_chans * n_times * 9 * (75 + 48) + head
    if network == "AttentionBaseNet":  # 40 filters of 25 taps, 40 spatial filters, a block of 16 channels
        pooled = (n_times - 75) // 15 + 1
        return n_chans * n_times * 40 * (25 + 1) + pooled * 16 * (40 + 15 + 16) + head
    if network == "SincShallowNet":  # 32 filters of 33 taps, 64 spatial filters
        return n_chans * n_times * (32 * 33 + 64) + head
    return n_chans * n_times * 9 * 32 + head  # FBLightConvNet: 32 spatial filters over 9 bands


def make_network(network, case):
    n_chans, n_times, sfreq, n_classes = CASES[case]
    return getattr(skeeg.modules, network)(n_chans, n_classes, n_times, sfreq=sfreq, **NETWORKS[network])


# ----- measuring -----------------------------------------------------------------------------------------


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def alternate(ours, peer, rounds):
    """Call both in turns; each gives a figure. Medians, and the median of the ratios of the rounds."""
    pairs = [(ours(), peer() if peer else None) for _ in range(rounds)]
    result = {"ours": statistics.median(a for a, _ in pairs)}
    if peer:
        result["peer"] = statistics.median(b for _, b in pairs)
        result["ratio"] = statistics.median(b / a for a, b in pairs)
    return result


def epoch_of_fit(estimator, X, y, n_epochs):
    """Fit, and give the median of the durations of the epochs after the first, by skorch's EpochTimer."""
    estimator.set_params(max_epochs=1 + n_epochs).fit(X, y)
    return statistics.median(row["dur"] for row in estimator.history[1:])


def per_call(predict, X, at_least=0.05):
    """Seconds a call, of as many calls as take a while."""
    n_calls, took = 0, 0.0
    while took < at_least:
        took += seconds(predict, X)
        n_calls += 1
    return took / n_calls


def measure_case(network, case, device, rounds, **options):
    """Epochs after the first, and predictions."""
    X, y = make_data(case)
    ours = make_ours(network, case, device, **options).fit(X, y)
    peer = make_peer(network, case, device).fit(X, y) if HAS_PEER else None
    for estimator in filter(None, (ours, peer)):
        estimator.predict(X), estimator.predict(X[:1])
    return {
        "fit, s/epoch": alternate(
            lambda: epoch_of_fit(ours, X, y, 5), peer and (lambda: epoch_of_fit(peer, X, y, 1)), rounds
        ),
        "predict 288, s": alternate(
            lambda: per_call(ours.predict, X), peer and (lambda: seconds(peer.predict, X)), rounds
        ),
        "predict 1, s": alternate(
            lambda: per_call(ours.predict, X[:1]),
            peer and (lambda: per_call(peer.predict, X[:1])),
            2 * rounds,
        ),
    }


def measure_fit(network, case, device, n_trials=96, n_epochs=30):
    """A whole fit from arrays: everything that an epoch's duration leaves out."""
    X, y = make_data(case, n_trials)
    return alternate(
        lambda: seconds(make_ours(network, case, device, n_epochs).fit, X, y),
        (lambda: seconds(make_peer(network, case, device, n_epochs).fit, X, y)) if HAS_PEER else None,
        1,
    )


def measure_cross_validation(network, case, n_subjects=9, n_trials=16, n_epochs=2):
    """Leave one of nine subjects out, in two processes."""
    X, y = make_data(case, n_subjects * n_trials)
    groups = np.repeat(np.arange(n_subjects), n_trials)

    def run(estimator):
        return seconds(
            lambda: cross_val_score(
                estimator, X, y, groups=groups, cv=LeaveOneGroupOut(), n_jobs=2, error_score="raise"
            )
        )

    run(make_ours(network, case))  # starts the processes and lets them import
    return alternate(
        lambda: run(make_ours(network, case, max_epochs=n_epochs)),
        (lambda: run(make_peer(network, case, max_epochs=n_epochs))) if HAS_PEER else None,
        1,
    )


def memory_of_fit(whose, network, case, device):
    """Peak of this process's memory in a fit, beyond what libraries and data took before, in MB."""
    X, y = make_data(case)
    estimator = {"ours": make_ours, "peer": make_peer}[whose](network, case, device, max_epochs=2)
    estimator_of_few = {"ours": make_ours, "peer": make_peer}[whose](network, case, device)
    estimator_of_few.fit(X[:8], y[:8])  # what libraries allocate once
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        estimator.fit(X, y)
        return torch.cuda.max_memory_allocated() / 2**20
    before = resident_memory("VmRSS")
    estimator.fit(X, y)
    return (resident_memory("VmHWM") - before) / 1024


def resident_memory(name):
    """Memory of this process, now (VmRSS) or at its peak (VmHWM), in kB.

    Linux hands ru_maxrss down from the parent to a new process; these figures are the process's own.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def measure_memory(network, case, device, threads):
    def run(whose):
        command = [sys.executable, __file__, "--threads", str(threads)]
        command += ["--memory", whose, network, case, device]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])

    return alternate(lambda: run("ours"), (lambda: run("peer")) if HAS_PEER else None, 1)


def measure_import(rounds):
    """`import skeeg` against the libraries that it cannot do without, in fresh processes."""

    def run(code):
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    run("import skeeg")
    return alternate(lambda: run("import skeeg"), lambda: run("import torch, skorch, sklearn"), rounds)


def measure_compile(network, case, device, rounds):
    """Seconds an epoch with and without torch.compile, and how long compiling took."""
    X, y = make_data(case)
    plain = make_ours(network, case, device).fit(X, y)
    compiled = make_ours(network, case, device, compile=True)
    first = seconds(compiled.fit, X, y)
    result = alternate(lambda: epoch_of_fit(compiled, X, y, 5), lambda: epoch_of_fit(plain, X, y, 5), rounds)
    return {
        "first epoch": first,
        "compiled": result["ours"],
        "plain": result["peer"],
        "ratio": result["ratio"],
    }


def matrix_rate(device, size=2048):
    """GFLOP/s of a float32 matrix product, the best of several."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))

    def product():
        c = a @ b
        return float(c[0, 0])  # waits for the device

    product()
    return 2 * size**3 / min(seconds(product) for _ in range(7)) / 1e9


def describe_machine(device, threads):
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    description = {
        "processor": name,
        "cores": os.cpu_count(),
        "threads": threads,
        "load before": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "skeeg": skeeg.__version__,
        "torch": torch.__version__,
        "skorch": skorch.__version__,
        "scikit-learn": sklearn.__version__,
        "GFLOP/s of a 2048^3 float32 product": round(matrix_rate("cpu"), 1),
    }
    if HAS_PEER:
        description["braindecode"] = importlib.metadata.version("braindecode")
    if device == "cuda":
        description["GPU"] = torch.cuda.get_device_name()
        description["GFLOP/s on the GPU"] = round(matrix_rate("cuda"), 1)
    return description


# ----- reporting -----------------------------------------------------------------------------------------


def add_shares(measures, network, case, gflops):
    """What share of the time the arithmetic alone would take at the rate of a matrix product."""
    forward = 2 * macs(network, case) * N_TRIALS / (gflops * 1e9)
    for measure, passes in (("fit, s/epoch", 3), ("predict 288, s", 1)):  # backward is two products a product
        for whose in {"ours", "peer"} & measures[measure].keys():
            measures[measure][f"share {whose}"] = passes * forward / measures[measure][whose]


def cell(figures, digits=3):
    """A cell of the table: ours, the ratio to the peer's where there is one."""
    text = f"{figures['ours']:.{digits}g}"
    if "ratio" in figures:
        text += f" ({figures['ratio']:.1f}x)"
    if "share ours" in figures:
        text += f" {figures['share ours']:.0%}"
    return text


def format_table(rows):
    """Lay out a table in Markdown."""
    measures = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    lines = [["case", "network", *measures]]
    for row in rows:
        cells = [cell(row["measures"][name]) if name in row["measures"] else "" for name in measures]
        lines.append([f"{row['device']} {row['case']}", row["network"], *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def draw(rows, path):
    """Draw the ratios peer / ours as bars; lines mark what was aimed at."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    measures = ("fit, s/epoch", "predict 288, s", "predict 1, s")
    panels = list(dict.fromkeys((row["device"], row["case"]) for row in rows))
    fig, axes = plt.subplots(
        1, len(panels), figsize=(1 + 4 * len(panels), 4), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (device, case) in zip(axes[0], panels, strict=True):
        shown = [row for row in rows if (row["device"], row["case"]) == (device, case)]
        for i, measure in enumerate(measures):
            places = np.arange(len(shown)) + (i - 1) * 0.27
            ratios = [row["measures"][measure].get("ratio", np.nan) for row in shown]
            bars = ax.bar(places, ratios, 0.25, label=measure.split(",")[0])
            ax.bar_label(bars, fmt="%.0f", fontsize=7)
            if (device, case) == ("cpu", MAIN_CASE):
                targets = [TARGETS[row["network"]][i] for row in shown]
                ax.hlines(targets, places - 0.12, places + 0.12, color="black", linewidth=1)
        ax.axhline(1, color="grey", linewidth=0.5)
        ax.set_xticks(
            range(len(shown)), [row["network"] for row in shown], rotation=20, ha="right", fontsize=8
        )
        ax.set_title(f"{case}, {device}")
    axes[0, 0].set_ylabel("times as fast as braindecode")
    axes[0, 0].legend(fontsize=8)
    fig.savefig(path, dpi=150)


def run_all(args):
    warnings.filterwarnings("ignore")
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    machine = describe_machine(devices[-1], args.threads)
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), flush=True)
    if not HAS_PEER:
        print(NO_PEER)
    gflops = {
        "cpu": machine["GFLOP/s of a 2048^3 float32 product"],
        "cuda": machine.get("GFLOP/s on the GPU"),
    }
    rounds = 2 if args.quick else 3
    rows, compiled, start = [], {}, time.perf_counter()

    def say(what):
        print(f"[{time.perf_counter() - start:4.0f} s] {what}", file=sys.stderr, flush=True)

    for device in devices:
        for case in [MAIN_CASE] if args.quick else CASES:
            for network in NETWORKS:
                say(f"{device} {case} {network}")
                measures = measure_case(network, case, device, rounds)
                add_shares(measures, network, case, gflops[device])
                if case == MAIN_CASE:
                    measures["memory of a fit, MB"] = measure_memory(network, case, device, args.threads)
                    if not args.quick:
                        measures["whole fit, s"] = measure_fit(network, case, device)
                        if device == "cpu":
                            measures["9-subject CV, s"] = measure_cross_validation(network, case)
                rows.append({"device": device, "case": case, "network": network, "measures": measures})
        if not args.quick:
            for network in NETWORKS:
                say(f"{device} compile {network}")
                try:
                    compiled[f"{device} {network}"] = measure_compile(network, MAIN_CASE, device, 3)
                except Exception as error:  # such as no C++ compiler on the machine
                    compiled[f"{device} {network}"] = {"failed": str(error).strip().splitlines()[0]}
    say("import")
    imports = measure_import(2 if args.quick else 5)

    print(f"\nours (times the peer's speed) share of the matrix-product rate\n\n{format_table(rows)}\n")
    print(
        f"import skeeg: {imports['ours']:.2f} s; import torch, skorch, sklearn: {imports['peer']:.2f} s "
        f"({1 / imports['ratio'] - 1:+.0%})"
    )
    for name, figures in compiled.items():
        print(
            f"compile=True, {name}: "
            + ", ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else value for key, value in figures.items()
            )
        )
    args.out.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine, "rows": rows, "import": imports, "compile": compiled}
    (args.out / "speed.json").write_text(json.dumps(results, indent=1) + "\n")
    if HAS_PEER:
        draw(rows, args.out / "speed.png")
    say(f"written to {args.out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one case, few rounds, no whole fits")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()), help="threads of torch")
    parser.add_argument("--out", type=Path, default=Path("results", "speed"), help="folder of the results")
    parser.add_argument("--memory", nargs=4, metavar="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.memory:
        warnings.filterwarnings("ignore")
        print(memory_of_fit(*args.memory))
    else:
        run_all(args)
