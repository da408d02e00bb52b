"""The one way in for data: what an EEGArray knows, and what becomes of what users hand over."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from skeeg import EEGArray
from skeeg.trials import as_trials, same_rate

NAMES = ("C3", "Cz", "C4")


def make_array(n_trials=6, n_times=200, dtype=np.float32, **changes):
    data = np.random.default_rng(0).standard_normal((n_trials, 3, n_times)).astype(dtype)
    known = {"sfreq": 100, "ch_names": NAMES, "labels": np.array(list("abcdefghij"[:n_trials]))} | changes
    return EEGArray(data, **known)


# What an EEGArray knows is part of what it is -------------------------------------------------------------

OTHERWISE = {
    "sfreq": 128,
    "ch_names": ("C3", "Cz", "C2"),
    "labels": np.array(list("abcdeg")),
}


@pytest.mark.parametrize("coerce_mmap", [False, True])
def test_joblib_tells_arrays_apart_by_what_they_know(coerce_mmap):
    def hashed(**changes):
        return joblib.hash(make_array(**changes), coerce_mmap=coerce_mmap)

    hashes = [hashed()] + [hashed(**{name: value}) for name, value in OTHERWISE.items()]
    hashes += [hashed(**{name: None}) for name in OTHERWISE]
    hashes += [hashed(n_times=201), joblib.hash(np.asarray(make_array()), coerce_mmap=coerce_mmap)]
    assert len(set(hashes)) == len(hashes)
    assert hashed() == hashes[0]
    assert hashed(labels=list("abcdef"), sfreq=np.float64(100)) == hashes[0]  # the same, said otherwise


@pytest.mark.parametrize("layout", [lambda X: X[::2], lambda X: X[:, :, 3:90], lambda X: X[:, [2, 0]]])
def test_joblib_sees_what_parts_of_an_array_know(layout):
    X, other = make_array(), make_array(sfreq=128)
    assert joblib.hash(layout(X)) == joblib.hash(layout(make_array())) != joblib.hash(layout(other))
    fortran = EEGArray(np.asfortranarray(X), 100, NAMES)
    assert joblib.hash(fortran) != joblib.hash(EEGArray(np.asfortranarray(X), 128, NAMES))


def test_joblib_hashes_the_copies_of_an_array_alike():
    X = make_array()
    copies = [X.copy(), copy.deepcopy(X), pickle.loads(pickle.dumps(X)), X[:], X.astype(np.float32)]
    assert {joblib.hash(same) for same in copies} == {joblib.hash(X)}
    strides = pickle.loads(pickle.dumps(X.strides))
    assert type(strides) is tuple and strides == np.asarray(X).strides


class Rate(TransformerMixin, BaseEstimator):
    """Says at which rate it was fitted."""

    def fit(self, X, y=None):
        self.sfreq_ = X.sfreq
        return self

    def transform(self, X):
        return np.full((len(X), 1), self.sfreq_)


def test_a_pipeline_with_memory_learns_from_each_recording(tmp_path):
    y = np.arange(6) % 2
    for sfreq in (100, 128, 100):
        pipeline = Pipeline([("rate", Rate()), ("lr", LogisticRegression())], memory=str(tmp_path))
        assert pipeline.fit(make_array(sfreq=sfreq), y).named_steps["rate"].sfreq_ == sfreq


def known_in_worker(X):
    data = np.asarray(X)
    return X.sfreq, X.ch_names, X.labels.tolist(), data.flags.writeable, joblib.hash(X, coerce_mmap=True)


def test_workers_know_what_a_memory_mapped_array_knows():
    X = make_array(n_times=60_000)
    assert X.nbytes > 2**20  # which joblib maps
    (result,) = joblib.Parallel(n_jobs=2, backend="multiprocessing")([joblib.delayed(known_in_worker)(X)])
    assert result == (100.0, NAMES, list("abcdef"), False, joblib.hash(X, coerce_mmap=True))


def test_memory_maps_keep_what_they_know(tmp_path):
    joblib.dump(make_array(), tmp_path / "X.joblib")
    X = joblib.load(tmp_path / "X.joblib", mmap_mode="r")
    assert not X.flags.writeable
    for part in (X, X[:], X[[0, 1, 2, 3, 4, 5]], X.copy()):
        assert (part.sfreq, part.ch_names, part.labels.tolist()) == (100.0, NAMES, list("abcdef"))


# Changes in place -----------------------------------------------------------------------------------------

ORDER = [3, 0, 1, 5, 2, 4]


def swap_items(X):
    X[[0, 1]] = X[[1, 0]]


def roll_back(X):
    X.resize(X.shape, refcheck=False)
    X[:] = np.asarray(X)[::-1].copy()


def strided(X):
    view = np.lib.stride_tricks.as_strided(X, X.shape, X.strides, writeable=True)
    view[...] = view[ORDER].copy()


MOVES = {
    "numpy.random.shuffle": lambda X: np.random.RandomState(0).shuffle(X),
    "Generator.shuffle": lambda X: np.random.default_rng(0).shuffle(X),
    "Generator.permuted": lambda X: np.random.default_rng(0).permuted(X, axis=0, out=np.asarray(X)),
    "one trial over another": lambda X: X.__setitem__(0, X[1]),
    "two trials": swap_items,
    "all trials": lambda X: X.__setitem__(slice(None), np.asarray(X)[ORDER]),
    "two channels": lambda X: X.__setitem__((slice(None), [0, 1]), X[:, [1, 0]]),
    "sort": lambda X: X.sort(axis=0),
    "partition": lambda X: X.partition(3, axis=0),
    "put": lambda X: X.put(np.arange(X.size), X[ORDER]),
    "putmask": lambda X: np.putmask(X, np.ones(X.shape, dtype=bool), X[ORDER]),
    "place": lambda X: np.place(X, np.ones(X.shape, dtype=bool), np.asarray(X[ORDER])),
    "copyto": lambda X: np.copyto(X, X[ORDER]),
    "take into": lambda X: np.take(np.array(X), ORDER, axis=0, out=X, mode="clip"),
    "ufunc into": lambda X: np.multiply(np.array(X)[ORDER], 1, out=X),
    "ufunc of a part into": lambda X: np.add(X[::-1], 0, out=X),
    "ufunc at": lambda X: np.add.at(X, [0, 1], X[[1, 0]]),
    "matmul into": lambda X: np.matmul(np.eye(3, dtype=np.float32)[[1, 0, 2]], np.array(X), out=X),
    "cumulative": lambda X: np.add.accumulate(X, axis=0, out=X),
    "flat": lambda X: X.flat.__setitem__(slice(None), X[ORDER].ravel()),
    "a plain view": lambda X: np.asarray(X).__setitem__(slice(None), np.array(X)[ORDER]),
    "a tensor": lambda X: torch.from_numpy(np.asarray(X)).copy_(torch.from_numpy(np.array(X)[ORDER])),
    "strided": strided,
    "resized": roll_back,
    "a part": lambda X: X[1:4].sort(axis=0),
    "a part in time": lambda X: np.random.default_rng(0).shuffle(X[:, :, 50:]),
    "transposed": lambda X: np.random.default_rng(0).shuffle(X.transpose(1, 0, 2)),
    "another shape": lambda X: setattr(X, "shape", (3, 6, 200)),
    "another type": lambda X: setattr(X, "dtype", np.float16),
}


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_trials_moved_in_place_lose_labels_and_names(move):
    X = make_array()
    assert X.labels.tolist() == list("abcdef")
    move(X)
    with pytest.warns(UserWarning, match="changed in place") as told:
        assert X.labels is None
    assert X.ch_names is None and len(told) == 1  # said once
    assert told[0].filename == __file__


def test_views_of_moved_memory_know_no_more_where_theirs_was_moved():
    X = make_array()
    whole, part, window, elsewhere = X[:], X[1:5], X[2:4, :, 20:190], X[4:]
    np.random.default_rng(0).shuffle(X[1:4])
    for view in (whole, part, window):
        with pytest.warns(UserWarning, match="changed in place"):
            assert view.labels is None
    assert elsewhere.labels.tolist() == ["e", "f"]


def test_strides_cannot_be_set():
    X = make_array()
    with pytest.raises(AttributeError):
        X.strides = (4, 4, 4)


@pytest.mark.parametrize(
    "derive",
    [
        lambda X: X[[1, 0, 2]],
        lambda X: X[:, [2, 0]],
        lambda X: X[[1, 2], :, 5:80],
        lambda X: X[:, 1:],
        lambda X: X[2:, :, :50],
        lambda X: X.copy(),
        lambda X: X * 2,
        lambda X: X.astype(float),
        lambda X: pickle.loads(pickle.dumps(X)),
    ],
)
def test_what_is_derived_of_moved_trials_knows_no_more_than_they(derive):
    X = make_array()
    np.random.default_rng(0).shuffle(X)
    with pytest.warns(UserWarning, match="changed in place"):
        derived = derive(X)
        assert derived.labels is None and derived.ch_names is None
    assert derived.sfreq == 100.0


def test_the_data_that_an_array_was_made_of_may_move_too():
    data, labels = np.random.default_rng(0).standard_normal((6, 3, 50)), np.arange(6)
    X = EEGArray(data, 100, NAMES, labels)
    labels[:] = 0
    assert X.labels.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="read-only"):
        X.labels[0] = 3
    np.random.default_rng(0).shuffle(data)
    with pytest.warns(UserWarning, match="changed in place"):
        assert X.labels is None


@pytest.mark.parametrize("n_times", [1, 2, 31, 32, 33, 64, 1000])
def test_moves_are_noticed_at_every_length(n_times):
    X = make_array(n_times=n_times)
    swap_items(X)
    with pytest.warns(UserWarning, match="changed in place"):
        assert X.labels is None


@pytest.mark.filterwarnings("error")
def test_arithmetic_in_place_moves_nothing():
    X, before = make_array(), np.array(make_array())
    X *= 2
    X -= X.mean(axis=2, keepdims=True)
    np.clip(X, -1, 1, out=X)
    np.negative(X, out=X)
    expected = -np.clip(2 * before - (2 * before).mean(axis=2, keepdims=True), -1, 1)
    np.testing.assert_allclose(np.asarray(X), expected, atol=1e-6)
    assert (X.sfreq, X.ch_names, X.labels.tolist()) == (100.0, NAMES, list("abcdef"))
    again = X.copy()
    again += X
    assert again.labels.tolist() == list("abcdef")


def test_arithmetic_after_a_move_does_not_hide_it():
    X = make_array()
    np.random.default_rng(0).shuffle(X)
    with pytest.warns(UserWarning, match="changed in place"):
        X *= 2
    assert X.labels is None and X.ch_names is None


def test_arrays_that_know_different_things_have_sums_that_know_neither():
    X = make_array()
    mixed = X + X[::-1]
    assert mixed.labels is None and mixed.ch_names == NAMES and mixed.sfreq == 100.0
    assert (X + make_array(sfreq=128)).sfreq is None
    assert (X + make_array(sfreq=100.0000001)).sfreq == 100.0
    assert (X + make_array(labels=None)).labels.tolist() == list("abcdef")
    assert (X + make_array(ch_names=None)).ch_names == NAMES
    assert type(np.eye(3) @ X) is np.ndarray  # which mixes channels
    X += make_array(sfreq=128, labels=np.array(list("abcdeg")), ch_names=("a", "b", "c"))
    assert (X.sfreq, X.ch_names, X.labels) == (None, None, None)


def test_large_read_only_arrays_are_not_looked_at(monkeypatch, tmp_path):
    np.save(tmp_path / "X.npy", np.asarray(make_array()))
    monkeypatch.setattr("skeeg.trials.array._checksums", lambda data: pytest.fail("was read"))
    X = EEGArray(np.load(tmp_path / "X.npy", mmap_mode="r"), 100, NAMES, list("abcdef"))
    assert X[2:4].labels.tolist() == ["c", "d"] and X.ch_names == NAMES


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"sfreq": 0}, "sfreq=0 must be a positive number of Hz"),
        ({"sfreq": -1}, "sfreq=-1 must"),
        ({"sfreq": np.nan}, "sfreq=nan must"),
        ({"sfreq": np.inf}, "sfreq=inf must"),
        ({"sfreq": True}, "sfreq=True must"),
        ({"sfreq": b"100"}, "sfreq=b'100' must"),
        ({"ch_names": "Fpz"}, "ch_names='Fpz' is one text"),
        ({"ch_names": [1, "1", 2]}, "names a channel twice"),
    ],
)
def test_impossible_descriptions_are_refused(known, message):
    with pytest.raises(ValueError, match=message):
        EEGArray(np.zeros((2, 3, 4)), **known)


def test_names_in_bytes_are_text():
    assert EEGArray(np.zeros((2, 2, 4)), ch_names=np.array([b"C3", b"Cz"])).ch_names == ("C3", "Cz")
    assert EEGArray(np.zeros((2, 2, 4)), sfreq=1e-3).sfreq == 1e-3


# Sampling rates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (200.1, 200.10000610351562, True),
        (250, 250.0, True),
        (None, 250, True),
        (250, None, True),
        (1000, 1000.009, True),
        (1000, 1000.011, False),
        (250, 256, False),
    ],
)
def test_rates_are_one_but_for_rounding(one, other, same):
    assert same_rate(one, other) is same
    assert as_trials(make_array(sfreq=one or other)).sfreq == float(one or other)
