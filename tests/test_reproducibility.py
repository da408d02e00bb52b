"""The same seed gives the same network, whatever the number of threads and the process."""

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed

import skeeg

NAMES = ("SSTDPN", "AttentionBaseNet", "SincShallowNet", "FBLightConvNet")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def fit(name, shape, batch_size, n_threads):
    """Train on 38 trials, the last batch smaller than the others; give weights and predictions."""
    torch.set_num_threads(n_threads)
    X = 10 * np.random.default_rng(0).standard_normal((38, *shape)).astype(np.float32)
    y = np.arange(38) % 2
    estimator = getattr(skeeg, f"{name}Classifier")(
        sfreq=250.0, max_epochs=2, batch_size=batch_size, device="cpu", random_state=0, verbose=0
    )
    estimator.fit(X, y)
    weights = {key: value.numpy() for key, value in estimator.module_.state_dict().items()}
    return weights, estimator.decision_function(X)


def assert_same(first, second):
    for key, value in first[0].items():
        np.testing.assert_array_equal(value, second[0][key], err_msg=key, strict=True)
    np.testing.assert_array_equal(first[1], second[1], strict=True)


@pytest.mark.parametrize("shape, batch_size", [((22, 1000), 64), ((3, 480), 32)])
@pytest.mark.parametrize("name", NAMES)
def test_threads_change_no_bit(name, shape, batch_size, two_threads):
    assert_same(fit(name, shape, batch_size, 1), fit(name, shape, batch_size, 2))


def test_processes_change_no_bit(two_threads):
    elsewhere = Parallel(n_jobs=2)(delayed(fit)(name, (3, 480), 32, 1) for name in NAMES)
    for name, result in zip(NAMES, elsewhere, strict=True):
        assert_same(fit(name, (3, 480), 32, 2), result)
