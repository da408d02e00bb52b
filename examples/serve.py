"""
Serve a decoder over HTTP
=========================

Any number of workers, forked after the decoder is loaded, so that they share its memory::

    pip install flask gunicorn
    gunicorn --chdir examples --preload --workers 4 serve:app

Workers keep nothing: what a decoder remembers of a stream and of a person (filters, window, alignment)
travels with each request, so that any worker can answer the next. A request is a ``.npz`` file with
``samples``, (n_channels, n_samples) in µV, and the arrays of the last answer that begin with ``state_``; the
answer is one with ``time``, ``label`` ("" where nothing is decided), ``probabilities`` and ``said`` of each
decision, and the new state. ``GET /`` says which channels and rate are wanted.
"""

import io
import os

import numpy as np
import torch
from flask import Flask, Response, jsonify, request

from skeeg.live import LiveDecoder
from skeeg.pretrained import load_pretrained

SFREQ = float(os.environ.get("SKEEG_SFREQ", 160))
MODEL = os.environ.get("SKEEG_MODEL", "left-right-hand-21")
STATE = "state_"

torch.set_num_threads(1)  # a worker a core; threads do not survive a fork
pipeline = load_pretrained(MODEL, verbose=False)
CHANNELS = list(pipeline["recording"].channels)
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 2**25


@app.get("/")
def about():
    """What the decoder wants."""
    labels = pipeline.classes_.tolist()
    return jsonify(model=MODEL, channels=CHANNELS, sfreq=SFREQ, classes=labels, worker=os.getpid())


@app.post("/decide")
def decide():
    """Decisions that the samples complete."""
    decoder = LiveDecoder(pipeline, sfreq=SFREQ, ch_names=CHANNELS)
    try:
        with np.load(io.BytesIO(request.get_data()), allow_pickle=False) as sent:
            state = {name.removeprefix(STATE): sent[name] for name in sent if name.startswith(STATE)}
            samples = sent["samples"]
        if state:
            decoder.restore(state)
        decisions = decoder.push(samples)
    except (ValueError, KeyError, OSError) as wrong:
        return Response(f"{wrong}\n", status=400, mimetype="text/plain")
    n_classes = len(decoder.classes_)
    probabilities = [
        d.probabilities if d.probabilities is not None else [np.nan] * n_classes for d in decisions
    ]
    answer = io.BytesIO()
    np.savez(
        answer,
        time=np.array([d.time for d in decisions]),
        label=np.array(["" if d.label is None else d.label for d in decisions], dtype=str),
        probabilities=np.array(probabilities).reshape(-1, n_classes),
        said=np.array([d.said for d in decisions], dtype=str),
        worker=os.getpid(),
        **{STATE + name: value for name, value in decoder.state().items()},
    )
    return Response(answer.getvalue(), mimetype="application/octet-stream")
