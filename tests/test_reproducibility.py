"""The same seed gives the same network, whatever the number of threads and the process."""

import os
import subprocess
import sys

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


FORKS = """
import io, multiprocessing, sys, warnings
import numpy as np, torch
from torch import nn
import skeeg

class ConvNet(nn.Module):  # of another: its operations share PyTorch's threads
    def __init__(self, n_chans, n_outputs):
        super().__init__()
        self.conv, self.head = nn.Conv1d(n_chans, 2000, 5), nn.Linear(2000, n_outputs)

    def forward(self, x):
        return self.head(self.conv(x).square().mean(-1).log())

class ConvClassifier(skeeg.EEGClassifier):
    module = ConvNet

def outputs(clf, X, y):
    methods = clf.predict, clf.predict_proba, clf.predict_log_proba, clf.decision_function, clf.transform
    found = [method(X) for method in methods] + [clf.score(X, y), clf.fit(X, y).predict_proba(X)]
    found.append(clf.partial_fit(X, y).predict_proba(X))
    clf.save(sys.argv[1])
    return found + [skeeg.load(sys.argv[1], classes=[ConvClassifier]).predict_proba(X)]

def send(pipe, *args):
    pipe.send(outputs(*args))

warnings.simplefilter("ignore")
torch.set_num_threads(2)
X = np.random.default_rng(0).normal(0, 10, (40, 4, 250)).astype(np.float32)
y = np.arange(40) % 2
context = multiprocessing.get_context("fork")
for cls in (ConvClassifier, skeeg.SSTDPNClassifier):
    clf = cls(max_epochs=1, random_state=0, verbose=0).fit(X, y)
    torch.randn(2000, 2000).softmax(1)  # threads of PyTorch's are there, and will not be in the fork
    here, there = context.Pipe(False)
    process = context.Process(target=send, args=(there, clf, X, y))
    process.start()
    found = here.recv() if here.poll(60) else None
    process.kill()
    assert found is not None, f"{cls.__name__} hangs"
    for one, other in zip(found, outputs(clf, X, y), strict=True):
        np.testing.assert_array_equal(one, other)
print("survived")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_all_that_is_public_survives_a_fork(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "saved")], capture_output=True, text=True, timeout=200
    )
    assert done.stdout == "survived\n", done.stderr


HASHES = """
import joblib, numpy as np, pickle, skeeg, sys, warnings
from sklearn.frozen import FrozenEstimator
warnings.simplefilter("ignore")
elsewhere = [np.ones(1000) for _ in range(int(sys.argv[1]))]
X = np.random.default_rng(0).normal(0, 10, (12, 3, 250)).astype(np.float32)
params = {"max_epochs": 2, "random_state": 0, "verbose": 0, "train_split": 0.25}
fitted = skeeg.AttentionBaseNetClassifier(**params).fit(X, [0, 1] * 6)
unlike = skeeg.AttentionBaseNetClassifier(**params).fit(-X, [0, 1] * 6)
twin = pickle.loads(pickle.dumps(fitted))
kinds = skeeg.AttentionBaseNetClassifier(pretrained=FrozenEstimator(fitted)), fitted, unlike, twin
print(*map(joblib.hash, kinds))
"""


def test_an_estimator_has_one_hash_in_all_processes():
    runs = [
        subprocess.run(
            [sys.executable, "-c", HASHES, n],
            env=os.environ | {"PYTHONHASHSEED": n},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for n in ("1", "200")
    ]
    assert runs[0] == runs[1]
    starting, fitted, unlike, twin = runs[0]
    assert fitted == twin
    assert len({starting, fitted, unlike}) == 3
