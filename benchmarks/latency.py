"""How long a decision takes: one window of 22 channels x 1000 samples, end to end, on one core.

python benchmarks/latency.py [--windows 300]

Of each network, in alternating calls: LiveDecoder from the last sample of a window to the decision (filter,
window, artefacts, causal alignment, network, smoothing), skeeg's ``predict_proba`` of the ready window, and
braindecode's; then, windows a second of LiveDecoder against calling the whole Pipeline on each window. Wall
time on a machine that is not idle counts the neighbours too; "CPU" is the process's own time.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from speed import CASES, HAS_PEER, MAIN_CASE, NETWORKS, NO_PEER, make_data, make_ours, make_peer

from skeeg import EuclideanAlignment
from skeeg.live import LiveDecoder
from skeeg.preprocessing import BandPass

STEP = 25  # samples: 0.1 s


def timed(function, *arguments):
    """Wall and CPU time of a call, in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def percentiles(times):
    """p50 and p99 of wall time, p99 of CPU time."""
    wall, cpu = np.array(times).T
    return np.percentile(wall, 50), np.percentile(wall, 99), np.percentile(cpu, 99)


def measure(network, n_windows):
    """Times of each way, in alternating calls, and of the whole Pipeline on each window."""
    X, y = make_data(MAIN_CASE, 32)
    sfreq, n_times = CASES[MAIN_CASE][2], X.shape[2]
    peer = make_peer(network, MAIN_CASE).fit(X, y) if HAS_PEER else None
    filtered = BandPass(4, 38, sfreq)
    alignment = EuclideanAlignment(mode="causal", update=True)
    pipeline = make_pipeline(filtered, alignment, make_ours(network, MAIN_CASE)).fit(X, y)
    decoder = LiveDecoder(pipeline, sfreq=sfreq, n_chans=X.shape[1], step=STEP / sfreq)
    stream = np.concatenate(make_data(MAIN_CASE, n_windows * STEP // n_times + 8)[0], axis=1).astype(float)
    window = np.ascontiguousarray(X[:1])
    decoder.push(stream[:, : n_times + 10 * STEP])  # warm
    start = n_times + 10 * STEP
    ways = {"live": [], "ours": [], "peer": [], "whole": []}
    for _ in range(10):
        (
            pipeline[-1].predict_proba(window),
            pipeline.predict_proba(window),
            peer and peer.predict_proba(window),
        )
    for _ in range(n_windows):
        ways["live"].append(timed(decoder.push, stream[:, start : start + STEP]))
        start += STEP
        ways["ours"].append(timed(pipeline[-1].predict_proba, window))
        whole = np.ascontiguousarray(stream[np.newaxis, :, start - n_times : start].astype(np.float32))
        ways["whole"].append(timed(pipeline.predict_proba, whole))
        if peer:
            ways["peer"].append(timed(peer.predict_proba, window))
    return ways


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--windows", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if not HAS_PEER:
        print(NO_PEER)
    print(f"{'ms: p50 / p99 (CPU p99)':20}{'samples to decision':>26}{'predict_proba':>26}", end="")
    print(f"{'braindecode':>26}{'its p50 / ours':>16}{'windows/s, live / predict':>34}", flush=True)
    for network in NETWORKS:
        ways = measure(network, arguments.windows)
        cells = ["{:.2f} / {:.2f} ({:.2f})".format(*percentiles(ways[way])) for way in ("live", "ours")]
        cells.append("{:.2f} / {:.2f} ({:.2f})".format(*percentiles(ways["peer"])) if ways["peer"] else "-")
        p50 = {way: percentiles(times)[0] for way, times in ways.items() if times}
        ratio = f"{p50['peer'] / p50['ours']:.1f}x" if "peer" in p50 else "-"
        rates = 1e3 / p50["live"], 1e3 / p50["whole"]
        print(f"{network:24}{cells[0]:>26}{cells[1]:>26}{cells[2]:>26}{ratio:>12}", end="")
        print(f"{rates[0]:>16.0f} / {rates[1]:.0f} ({rates[0] / rates[1]:.1f}x)", flush=True)


if __name__ == "__main__":
    main()
