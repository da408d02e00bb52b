"""How long a decision takes: one window of 22 channels x 1000 samples, end to end, on one core.

python benchmarks/latency.py [--windows 300]

Of each network, in alternating calls: LiveDecoder from the last sample of a window to the decision (filter,
window, artefacts, causal alignment, network, smoothing), skeeg's ``predict_proba`` of the ready window, and
braindecode's; then, windows a second of LiveDecoder against calling the whole Pipeline on each window. Times
are the process's own on its one core; wall time, in brackets, counts the neighbours on the machine too.
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
from skeeg.estimators.shipped import DECODERS
from skeeg.live import LiveDecoder
from skeeg.preprocessing import BandPass
from skeeg.pretrained import load_pretrained

STEP = 25  # samples: 0.1 s


def timed(function, *arguments):
    """Wall and CPU time of a call, in ms."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def percentiles(times):
    """p50 and p99 of CPU time, and of wall time."""
    wall, cpu = np.array(times).T
    return *np.percentile(cpu, [50, 99]), *np.percentile(wall, [50, 99])


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


def measure_wheel(n_windows):
    """Times of the decoder of the wheel, live and called on each window of the recording."""
    decoder = DECODERS["left-right-hand-21"]
    n_times, step = round(decoder.duration * decoder.sfreq), round(0.1 * decoder.sfreq)
    names = decoder.channels
    pipeline = load_pretrained(decoder.name, ch_names=names, sfreq=160, alignment="causal", verbose=False)
    live = LiveDecoder(pipeline, sfreq=160, ch_names=names, step=0.1)
    stream = 10 * np.random.default_rng(0).standard_normal((len(names), n_times + (n_windows + 10) * step))
    ways = {"live": [], "whole": []}
    for i in range(n_windows + 10):
        start, stop = (0 if i == 0 else n_times + (i - 1) * step), n_times + i * step
        ways["live"].append(timed(live.push, stream[:, start:stop]))
        ways["whole"].append(timed(pipeline.predict_proba, stream[np.newaxis, :, stop - n_times : stop]))
    return {way: times[10:] for way, times in ways.items()}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--windows", type=int, default=300)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if not HAS_PEER:
        print(NO_PEER)
    print(f"{'ms, CPU p50 / p99 (wall)':24}{'samples to decision':>31}{'predict_proba':>31}", end="")
    print(f"{'braindecode':>31}{'its / ours':>12}   windows/s, live / predict on each", flush=True)
    for network in NETWORKS:
        ways = measure(network, arguments.windows)
        p50 = {way: percentiles(times)[0] for way, times in ways.items() if times}
        ratio = f"{p50['peer'] / p50['ours']:.1f}x" if "peer" in p50 else "-"
        cells = "".join(cell(ways[way]) for way in ("live", "ours", "peer"))
        print(f"{network:24}{cells}{ratio:>12}   {rates(p50)}", flush=True)
    ways = measure_wheel(arguments.windows)
    p50 = {way: percentiles(times)[0] for way, times in ways.items()}
    print(f"{'left-right-hand-21':24}{cell(ways['live'])}{'':74}   {rates(p50)}")


def cell(times):
    """A cell of the table."""
    if not times:
        return f"{'-':>31}"
    cpu, cpu99, wall, wall99 = percentiles(times)
    return f"{f'{cpu:.2f} / {cpu99:.2f} ({wall:.1f} / {wall99:.1f})':>31}"


def rates(p50):
    """Windows a second, live and by calling predict on each."""
    live, whole = 1e3 / p50["live"], 1e3 / p50["whole"]
    return f"{live:.0f} / {whole:.0f} ({live / whole:.1f}x)"


if __name__ == "__main__":
    main()
