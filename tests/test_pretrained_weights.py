"""The decoders in the wheel: what they take and give, and what they do on people they have not seen."""

from pathlib import Path

import numpy as np
import pytest

import skeeg
from skeeg.preprocessing import EuclideanAlignment

FOLDER = Path(skeeg.__file__).parent / "pretrained"
N_CHANS = {"left-right-hand-3": 3, "left-right-hand-21": 21, "left-right-hand-64": 64}


@pytest.mark.parametrize("name", N_CHANS)
def test_files_hold_a_network_of_the_default_shape(name):
    classifier = skeeg.load(FOLDER / f"{name}.safetensors")[-1]
    assert (classifier.n_chans_, classifier.n_times_, classifier.sfreq_) == (N_CHANS[name], 480, 160.0)
    assert classifier.classes_.tolist() == ["left_hand", "right_hand"]
    fresh = skeeg.AttentionBaseNetClassifier(
        pretrained=FOLDER / f"{name}.safetensors", max_epochs=1, verbose=0
    )
    X = np.random.default_rng(0).standard_normal((8, N_CHANS[name], 480))
    fresh.fit(skeeg.EEGArray(X, 160.0, classifier.ch_names_), ["left_hand", "right_hand"] * 4)


@pytest.mark.parametrize("name", N_CHANS)
def test_mirrored_trials_swap_the_hands(name):
    classifier = skeeg.load(FOLDER / f"{name}.safetensors")[-1]
    number = {c: int("".join(filter(str.isdigit, c)) or 0) for c in classifier.ch_names_}
    other = [c if not n else c.replace(str(n), str(n + 1 if n % 2 else n - 1)) for c, n in number.items()]
    X = np.random.default_rng(0).standard_normal((20, N_CHANS[name], 480)).astype(np.float32)
    mirrored = X[:, [classifier.ch_names_.index(c) for c in other]]
    np.testing.assert_allclose(
        classifier.predict_proba(X), classifier.predict_proba(mirrored)[:, ::-1], atol=1e-5
    )


@pytest.mark.parametrize("name, least", [("left-right-hand-3", 0.62), ("left-right-hand-21", 0.62)])
def test_people_of_the_sample_are_decoded_without_their_labels(name, least):
    X, y, metadata = skeeg.datasets.load_motor_imagery()
    classifier = skeeg.load(FOLDER / f"{name}.safetensors")[-1]
    X = X[:, [X.ch_names.index(c) for c in classifier.ch_names_], :480]
    aligned = EuclideanAlignment().fit_transform(X, groups=metadata["subject"])
    assert classifier.score(aligned, y) > least
