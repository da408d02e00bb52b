"""examples/serve.py: decisions over HTTP, of several workers that keep nothing."""

import io
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from skeeg.datasets import load_motor_imagery
from skeeg.live import LiveDecoder
from skeeg.pretrained import load_pretrained

ROOT = Path(__file__).parents[1]


@pytest.fixture
def server(tmp_path):
    pytest.importorskip("flask", reason="flask is not installed")
    pytest.importorskip("gunicorn", reason="gunicorn is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--chdir",
        "examples",
        "--pythonpath",
        str(ROOT),
        "--preload",
    ]
    command += ["--workers", "2", "--bind", address, "serve:app"]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
                    json.load(answer)
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail((tmp_path / "log").read_text())
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def ask(server, **arrays):
    sent = io.BytesIO()
    np.savez(sent, **arrays)
    with urllib.request.urlopen(f"{server}/decide", data=sent.getvalue(), timeout=30) as answer:
        return dict(np.load(io.BytesIO(answer.read())))


def test_workers_that_keep_nothing_decide_as_one_decoder(server):
    X, _, _ = load_motor_imagery([3])
    with urllib.request.urlopen(f"{server}/", timeout=5) as answer:
        about = json.load(answer)
    assert about["channels"] == list(X.ch_names) and about["classes"] == ["left_hand", "right_hand"]
    samples = np.concatenate(np.asarray(X[:2], np.float64), axis=1)
    state, said = {}, []
    for chunk in np.array_split(samples, 12, axis=1):
        answer = ask(server, samples=chunk, **state)
        state = {name: value for name, value in answer.items() if name.startswith("state_")}
        said += list(
            zip(answer["time"].tolist(), answer["label"].tolist(), answer["probabilities"], strict=True)
        )
    decoder = LiveDecoder(load_pretrained("left-right-hand", verbose=False), sfreq=160, ch_names=X.ch_names)
    expected = decoder.push(samples)
    assert len(said) == len(expected) > 40
    for (moment, label, probabilities), decision in zip(said, expected, strict=True):
        assert (moment, label) == (decision.time, decision.label or "")
        np.testing.assert_allclose(probabilities, decision.probabilities, atol=1e-6)

    damaged = {"samples": samples, "state_window": np.zeros(2)}
    for wrong in ({"samples": np.zeros((3, 10))}, {"nothing": np.zeros(3)}, damaged):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(server, **wrong)
        assert refused.value.code == 400
        assert refused.value.read().strip()
