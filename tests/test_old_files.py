"""Files that earlier versions wrote load, and predict what they predicted then."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import skeeg
from skeeg import EEGArray

DATA = Path(__file__).parent / "data"
EXPECTED = np.load(DATA / "format1_expected.npz")
X = EEGArray(EXPECTED["X"], 100.0, ["C3", "Cz", "C4"])
LABELS = {
    "fblightconvnet": EXPECTED["y"].astype(object),
    "sincshallownet": np.where(EXPECTED["y"] == "left", 4, -3),
}
CLASSIFIERS = [
    "sstdpn",
    "attentionbasenet",
    "sincshallownet",
    "fblightconvnet",
    "pipeline",
    "recipe_attentionbasenet",
    "recipe_lightconvnet",
    "recipe_sstdpn",
    "adapted",
]
TRAINED_ON = [name for name in CLASSIFIERS if f"{name}_trained_on" in EXPECTED]


def load(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what fit warned of is not said again
        return skeeg.load(DATA / f"format1_{name}.safetensors")


@pytest.mark.filterwarnings("ignore:fit had groups")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_predictions(name):
    estimator = load(name)
    np.testing.assert_allclose(estimator.predict_proba(X), EXPECTED[name], atol=1e-6)
    classes = np.unique(LABELS.get(name, EXPECTED["y"]))
    assert estimator.classes_.tolist() == classes.tolist()
    assert estimator.classes_.dtype == classes.dtype
    np.testing.assert_array_equal(estimator.predict(X), classes[EXPECTED[name].argmax(axis=1)])


@pytest.mark.parametrize("name", TRAINED_ON)
def test_training_goes_on(name):
    estimator = load(name).partial_fit(X, LABELS.get(name, EXPECTED["y"]))
    np.testing.assert_allclose(estimator.predict_proba(X), EXPECTED[f"{name}_trained_on"], atol=1e-5)
    assert len(TRAINED_ON) == 6


def test_transformers():
    np.testing.assert_allclose(
        load("transformers").transform(X[:2]), EXPECTED["transformers"], rtol=1e-5, atol=1e-5
    )


def test_parameters():
    import torch

    clf = load("sstdpn")
    assert clf.optimizer is torch.optim.NAdam
    assert clf.optimizer__betas == (0.8, 0.99)
    assert clf.activation is torch.nn.GELU
    assert type(clf.lr) is np.float32
    assert clf.lr == np.float32(0.002)
    assert clf.class_weight == {"left": 2.0, "right": 1.0}
    split = clf.train_split
    assert type(split).__name__ == "StratifiedShuffleSplit"
    assert (split.n_splits, split.random_state, split.test_size) == (1, 3, 0.25)
    assert [type(a).__name__ for a in clf.augmentation] == ["MirrorLeftRight", "TimeShift"]
    assert clf.augmentation[0].swapped_classes == ("left", "right")
    again = np.random.RandomState(5)
    again.randint(2**31 - 1)
    assert clf.random_state.randint(10**6) == again.randint(10**6)
    assert len(clf.history) == 2
    assert set(load("pipeline")[1].references_) == {"anna", "ben"}
    assert load("adapted").channel_map_.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
