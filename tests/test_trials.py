"""The one way in for data: what an EEGArray knows, and what becomes of what users hand over."""

import copy
import pickle
import re
import tracemalloc
import types
import warnings
from pathlib import Path

import joblib
import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from skeeg import AttentionBaseNetClassifier, EEGArray, EuclideanAlignment, Scaler, find_faults
from skeeg.baselines import make_csp_lda, make_fbcsp_lda, make_mdm, make_tangent_space_lr
from skeeg.preprocessing import BandPass, Crop
from skeeg.trials import as_trials, epochs_labels, open_trials, same_rate

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


# Containers -----------------------------------------------------------------------------------------------

DATA = np.random.default_rng(0).standard_normal((4, 3, 50)).astype(np.float32)
CODES = [7, 8, 7, 8]


def make_epochs(n_trials=4, seed=0, sfreq=100.0, preload=True, **options):
    rng = np.random.default_rng(seed)
    raw = mne.io.RawArray(
        1e-5 * rng.standard_normal((4, 100 * n_trials + 100)),
        mne.create_info(["C3", "Cz", "C4", "EOG"], sfreq, ["eeg"] * 3 + ["eog"]),
        verbose="error",
    )
    events = np.column_stack([100 * np.arange(n_trials) + 20, np.zeros(n_trials, int), CODES[:n_trials]])
    event_id = {"left": 7, "right": 8}
    return mne.Epochs(
        raw, events, event_id, 0, 0.49, baseline=None, preload=preload, verbose="error", **options
    )


def of_objects(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


class DataArray:
    """What as_trials asks of an xarray.DataArray."""

    def __init__(self, data, dims, coords):
        self.data, self.dims, self.coords = data, dims, coords
        self.shape, self.dtype = data.shape, data.dtype

    def transpose(self, *dims):
        return DataArray(self.data.transpose([self.dims.index(d) for d in dims]), dims, self.coords)

    def __getitem__(self, key):
        return self.data[key]


class Windows(torch.utils.data.Dataset):
    """What as_trials asks of a data set of braindecode's: windows of a recording, and its info."""

    def __init__(self, data, y, names=NAMES, sfreq=100.0):
        self.data, self.y = data, y
        self.raw = types.SimpleNamespace(info=mne.create_info(list(names), sfreq, "eeg"))

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return self.data[i], self.y[i], [0, 10 * i, 10 * i + 50]


class Slices:
    """What as_trials asks of a data set of h5py or zarr."""

    def __init__(self, data):
        self.data, self.shape, self.dtype = data, data.shape, data.dtype

    def __getitem__(self, key):
        assert isinstance(key, slice)
        return self.data[key]


TENSORS = torch.utils.data.TensorDataset(torch.from_numpy(DATA), torch.tensor(CODES))
WINDOWS = torch.utils.data.ConcatDataset([Windows(DATA[:2], "ab"), Windows(DATA[2:], "ba")])
SAME = {
    "list of arrays": (list(DATA), None),
    "tuple of arrays": (tuple(DATA), None),
    "list of tensors": (list(torch.from_numpy(DATA)), None),
    "nested lists": (DATA.tolist(), None),
    "Series": (pd.Series(list(DATA), index=[3, 1, 2, 0]), None),
    "object array of trials": (of_objects(list(DATA)), None),
    "object array of numbers": (DATA.astype(object), None),
    "object array of channels": (np.array([of_objects(list(trial)) for trial in DATA]), None),
    "float64": (DATA.astype(np.float64), None),
    "other byte order": (DATA.astype(">f4"), None),
    "Fortran order": (np.asfortranarray(DATA), None),
    "reversed": (DATA[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1], None),
    "nothing masked": (np.ma.masked_invalid(DATA), None),
    "tensor": (torch.from_numpy(DATA), None),
    "TensorDataset": (TENSORS, CODES),
    "TensorDataset without labels": (torch.utils.data.TensorDataset(torch.from_numpy(DATA)), None),
    "Subset": (torch.utils.data.Subset(TENSORS, [0, 1, 2, 3]), CODES),
    "windows": (WINDOWS, list("abba")),
    "part of windows": (torch.utils.data.Subset(WINDOWS, range(4)), list("abba")),
    "DataArray": (DataArray(DATA, ("trial", "channel", "time"), {}), None),
    "axes of other names": (DataArray(DATA, ("dim_0", "dim_1", "dim_2"), {}), None),
    "h5py": (Slices(DATA), None),
}


@pytest.mark.parametrize(("X", "labels"), SAME.values(), ids=SAME)
def test_trials_in_any_container(X, labels):
    trials = as_trials(X)
    np.testing.assert_array_equal(trials.data, DATA)
    assert trials.data.dtype == np.float32 and trials.data.flags.c_contiguous
    assert (None if trials.labels is None else trials.labels.tolist()) == labels


def test_windows_know_their_recording():
    assert (as_trials(WINDOWS).sfreq, as_trials(WINDOWS).ch_names) == (100.0, NAMES)
    part = torch.utils.data.Subset(WINDOWS, [3, 0])
    assert as_trials(part).ch_names == NAMES and as_trials(part).labels.tolist() == ["a", "a"]
    np.testing.assert_array_equal(as_trials(part).data, DATA[[3, 0]])
    other = Windows(DATA, "abab", ("C4", "Cz", "C3"))
    with pytest.raises(ValueError, match="the recordings of X differ"):
        as_trials(torch.utils.data.ConcatDataset([Windows(DATA, "abab"), other]))


def test_axes_of_a_data_array_are_found_by_their_names():
    coords = {"ch": np.array(NAMES), "time": np.arange(50) / 250}
    trials = as_trials(DataArray(DATA.transpose(2, 0, 1), ("time", "epoch", "ch"), coords))
    np.testing.assert_array_equal(trials.data, DATA)
    assert trials.ch_names == NAMES and trials.sfreq == pytest.approx(250, rel=1e-9)
    samples = DataArray(DATA, ("trial", "channel", "time"), {"time": np.arange(50)})
    assert as_trials(samples).sfreq is None  # sample numbers, of which the rate is not known
    with pytest.raises(ValueError, match=r"axes .*: transpose it to \(trial, channel, time\)"):
        as_trials(DataArray(DATA, ("time", "x", "y"), {}))


def test_epochs_may_be_given_other_labels():
    epochs = make_epochs()
    epochs.events[:, 2] = [1, 2, 3, 4]
    assert as_trials(epochs).labels is None
    np.testing.assert_array_equal(as_trials(epochs).data, as_trials(make_epochs()).data)
    with pytest.raises(ValueError, match=r"codes \[1, 2, 3, 4\] that event_id=.*give y"):
        epochs_labels(epochs)
    epochs.events[:, 2] = [8, 8, 7, 7]
    assert as_trials(epochs).labels.tolist() == ["right", "right", "left", "left"]
    clf = AttentionBaseNetClassifier(max_epochs=1)
    with pytest.raises(ValueError, match="requires y"):
        epochs.events[:, 2] = 1
        clf.fit(epochs)
    assert clf.fit(epochs, [0, 1, 0, 1]).classes_.tolist() == [0, 1]


def spectrum():
    return make_epochs().compute_psd(verbose="error")


def maps():
    return make_epochs().compute_tfr("morlet", [10.0, 20.0], n_cycles=2, verbose="error")


def masked():
    X = np.ma.array(DATA, mask=False)
    X[2, 1, 5:9] = np.ma.masked
    return X


TABLE = pd.DataFrame({"C3": np.arange(6.0), "Cz": np.arange(6.0)})
TIMES = pd.MultiIndex.from_product([[0, 1], [0.0, 0.1, 0.2]], names=["trial", "time"])
REFUSED = {
    "generator": (lambda: (t for t in DATA), TypeError, r"X is a generator.*give np.stack\(list\(X\)\)"),
    "map": (lambda: map(np.asarray, DATA), TypeError, r"X is a map, .* np.stack\(list\(X\)\)"),
    "set": (lambda: {1, 2}, TypeError, "X is a set, which has no order"),
    "values": (lambda: {"a": DATA}.values(), TypeError, "X is a dict_values: expected an array"),
    "object": (object, TypeError, "X is a object: expected an array"),
    "dict": (
        lambda: {"X": DATA, "y": CODES},
        TypeError,
        r"a dict with the keys \['X', 'y'\]: give the array",
    ),
    "loader": (lambda: torch.utils.data.DataLoader(TENSORS), TypeError, "X is a DataLoader.*give X.dataset"),
    "dicts": (lambda: [{"X": DATA[0]}] * 2, TypeError, r"X gives dicts with the keys \['X'\]"),
    "table": (lambda: TABLE, TypeError, r"X is a DataFrame of shape \(6, 2\).*X.to_numpy\(\).reshape"),
    "levels": (lambda: TABLE.set_index(TIMES), TypeError, r"a DataFrame .*X.groupby\(level=0\)"),
    "tables": (lambda: [TABLE, TABLE], TypeError, "X is a list of DataFrames.*table.to_numpy"),
    "masked": (masked, ValueError, r"X has 4 masked values, the first in trial 2, in 1 trials: .*X.filled"),
    "spectrum": (
        spectrum,
        TypeError,
        "X is an mne EpochsSpectrum: .* power at frequencies.*give the mne.Epochs",
    ),
    "maps": (maps, TypeError, "X is an mne EpochsTFR.* power at frequencies"),
    "average": (lambda: make_epochs().average(), TypeError, "X is an mne Evoked.*: an average of trials"),
    "averages": (lambda: [make_epochs().average()], TypeError, "X is a list of mne Evoked.*: an average"),
    "montage": (
        lambda: mne.create_info(2, 100.0),
        TypeError,
        "X is an mne Info: give mne.Epochs, or an array",
    ),
    "path": (lambda: Path("a-epo.fif"), ValueError, "X holds text, .*a-epo.fif.*load_epochs"),
    "bool": (lambda: DATA > 0, ValueError, "X holds True and False"),
    "complex": (lambda: DATA + 0j, ValueError, "Complex data not supported: .*X.real"),
    "complex tensor": (lambda: torch.zeros(2, 3, 4, dtype=torch.cfloat), ValueError, "Complex data"),
    "dates": (lambda: DATA.astype("M8[s]"), ValueError, r"text or dates \(dtype datetime64"),
    "text among numbers": (lambda: [[[1.0, "a"]]], ValueError, "X holds text"),
    "nothing among numbers": (lambda: [[[1.0, None]]], ValueError, "Input X contains NaN"),
    "records": (lambda: np.zeros((2, 3, 4), [("v", float)]), ValueError, r"with the fields \('v',\)"),
    "sparse tensor": (lambda: torch.zeros(2, 3, 4).to_sparse(), TypeError, "Sparse data.*to_dense"),
    "meta tensor": (lambda: torch.zeros(2, 3, 4, device="meta"), TypeError, "without plain numbers"),
    "ragged Series": (
        lambda: pd.Series([DATA[0], DATA[0, :, 1:]]),
        ValueError,
        "unequal shapes: .*at index 1",
    ),
    "ragged tensors": (lambda: list(map(torch.zeros, [(2, 3), (3, 3)])), ValueError, "unequal shapes"),
    "X and y": (lambda: (DATA, CODES), ValueError, "X is a tuple of trials of unequal shapes"),
    "empty list": (list, ValueError, r"X is 1-dimensional"),
    "empty data set": (
        lambda: torch.utils.data.Subset(TENSORS, []),
        ValueError,
        r"Found array with 0 sample",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_holds_no_trials_is_named(make, error, message):
    with pytest.raises(error, match=message) as caught:
        as_trials(make())
    assert "\n" not in str(caught.value)


def test_complex_epochs_are_refused():
    with pytest.raises(ValueError, match="Complex data not supported"):
        as_trials(make_epochs().apply_hilbert())


# Reading --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 4, 9])
@pytest.mark.parametrize(
    "kind", ["float32", "float64", "lazy", "Epochs", "splits", "map", "windows", "order"]
)
def test_batches_are_the_whole(kind, size, monkeypatch, tmp_path):
    monkeypatch.setattr("skeeg.trials.reading._PIECE", 1000)  # two trials
    np.save(tmp_path / "X.npy", DATA)
    epochs = make_epochs()
    X = {
        "float32": DATA,
        "float64": DATA.astype(float),
        "lazy": make_epochs(preload=False),
        "Epochs": epochs,
        "splits": [epochs[3], epochs[0:2]],
        "map": np.load(tmp_path / "X.npy", mmap_mode="r"),
        "windows": WINDOWS,
        "order": EEGArray(DATA, ch_names=NAMES),
    }[kind]
    reader = open_trials(X)
    expected = as_trials(X).data
    if kind == "order":
        reader, expected = reader.in_order_of(["C4", "C3", "Cz"]), DATA[:, [2, 0, 1]]
        assert reader.ch_names == ("C4", "C3", "Cz")
    assert reader.shape == expected.shape and len(reader) == len(expected)
    batches = list(reader.batches(size))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), expected)
    np.testing.assert_array_equal(reader.read(1, 3), expected[1:3])
    assert all(batch.flags.c_contiguous and batch.dtype == np.float32 for batch in batches)


def test_epochs_are_read_as_they_are_loaded():
    lazy, loaded = make_epochs(preload=False, reject={"eeg": 5.4e-5}), make_epochs(reject={"eeg": 5.4e-5})
    assert 0 < len(loaded) < 4
    trials = as_trials(lazy)
    np.testing.assert_allclose(trials.data, 1e6 * loaded.get_data("eeg"), rtol=1e-6)
    assert trials.labels.tolist() == epochs_labels(loaded).tolist()
    assert not lazy.preload and len(lazy.events) == 4
    before = loaded.get_data().copy()
    as_trials(loaded)
    np.testing.assert_array_equal(loaded.get_data(), before)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("f2", "f4"), ("i2", "f4"), ("u1", "f4"), ("i4", "f8"), ("i8", "f8"), ("f4", "f4"), ("f8", "f8")],
)
def test_transformers_get_the_smallest_type_that_holds_the_numbers(given, expected):
    X = (100 * DATA).astype(given)
    trials = as_trials(X, [np.float64, np.float32])
    assert trials.data.dtype == expected
    np.testing.assert_array_equal(trials.data, X.astype(expected))


# Values ---------------------------------------------------------------------------------------------------


def damaged(value, dtype=np.float64, known=True):
    X = np.ones((5, 3, 50), dtype)
    X[3, 1, 20] = X[4, 0, 0] = value
    return EEGArray(X, ch_names=NAMES) if known else X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3e38, r"a value too large to be squared, 3e\+38\."),
        (-1.1e15, r"a value too large to be squared, -1\.1e\+15\."),
        (np.nan, r"Input X contains NaN\."),
        (-np.inf, r"Input X contains infinity"),
    ],
)
def test_values_that_ruin_a_trial_are_located(value, message, dtype):
    with pytest.raises(
        ValueError, match=message + r".* 2 of 5 trials .* index 3: there channel 1 \(Cz\), sample 20"
    ):
        as_trials(damaged(value, dtype))
    with pytest.raises(ValueError, match="channel 1, sample 20"):
        as_trials(damaged(value, dtype, known=False), [np.float64, np.float32])


def test_values_beyond_float32_are_given_as_they_were():
    with pytest.raises(ValueError, match=r"too large to be squared, 1e\+39\. 2 of 5 trials"):
        as_trials(damaged(1e39))


def test_large_units_are_no_error():
    X = np.full((3, 2, 40), 9e14, np.float32)
    np.testing.assert_array_equal(as_trials(X).data, X)


@pytest.mark.parametrize(
    "estimator",
    [
        AttentionBaseNetClassifier(max_epochs=1, verbose=0),
        BandPass(8, 30, 100),
        EuclideanAlignment(),
        Scaler(),
        make_csp_lda(100),
        make_fbcsp_lda(100),
        make_mdm(100),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_everything_names_the_trial_of_a_huge_value(estimator):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3, 200)).astype(np.float32), np.arange(20) % 2
    bad = X.copy()
    bad[12, 2, 100] = 3e38
    message = r"3e\+38\. 1 of 20 trials are affected, the first at index 12: there channel 2, sample 100"
    with pytest.raises(ValueError, match=message):
        estimator.fit(bad, y)
    estimator.fit(X, y)
    for method in ("transform", "predict", "predict_proba"):
        if hasattr(estimator, method):
            with pytest.raises(ValueError, match=message):
                getattr(estimator, method)(bad)


# Faults ---------------------------------------------------------------------------------------------------

SAMPLES = np.arange(300)
TRIALS = np.arange(40)[:, np.newaxis]


def make_eeg(n_trials=40, n_chans=8, n_times=300, seed=0):
    """Noise like EEG in µV: power falls with frequency, channels and trials are of different loudness."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((n_trials, n_chans, n_times)))
    X = np.fft.irfft(spectrum / np.sqrt(1 + np.arange(spectrum.shape[2])), n_times)
    return 40 * X * rng.uniform(0.4, 2.5, (n_chans, 1)) * rng.uniform(0.5, 3, (n_trials, 1, 1))


def put(key, value):
    def change(X):
        X[key] = value
        return X

    return change


def clipped_trial(X):
    X[5] = np.clip(1000 * X[5], -3000, 3000)
    return X


def pulses(value, n_trials=40):
    def change(X):
        X[:, 6] = 0
        X[:n_trials, 6, 40:55] = value
        return X

    return change


EVERY = slice(None)
FAULTY_TRIALS = {
    "flat": (put(5, 0.0), r"in trials \[5\] of 40, all channels are flat"),
    "at the rail": (put(5, 32767.0), r"in trials \[5\] of 40, all channels are flat"),
    "one channel flat": (put((5, 3), 12.3), r"in trials \[5\] of 40, channels \[3\] are flat"),
    "clipped": (clipped_trial, r"in trials \[5\] of 40, all channels are clipped"),
    "half at the rail": (put((5, 3, SAMPLES > 150), 400), r"trials \[5\] of 40, channels \[3\] are clipped"),
    "spike": (put((5, 3, 100), 1e5), r"in trials \[5\] of 40, channels \[3\] are over 30 times as loud"),
    "drift": (
        lambda X: put(5, X[5] + 200 * SAMPLES)(X),
        r"trials \[5\] of 40, all channels are over 30 times",
    ),
}
FAULTY_CHANNELS = {
    "pulses": (pulses(769.0), "look like triggers"),
    "pulses in volts": (pulses(7.69e8), "look like triggers"),
    "pulses but in the last trial": (pulses(1.0, 39), "look like triggers"),
    "a code a trial": (put((EVERY, 6), 769.0 + TRIALS % 2), "look like triggers"),
    "codes on an offset": (put((EVERY, 6), 65280.0 + SAMPLES // 100 + TRIALS % 3), "look like triggers"),
    "samples": (put((EVERY, 6), SAMPLES + 700.0 * TRIALS), "look like triggers"),
    "samples backwards": (put((EVERY, 6), 700.0 * TRIALS - SAMPLES), "look like triggers"),
    "many samples": (put((EVERY, 6), 1e9 + SAMPLES + 700.0 * TRIALS), "look like triggers"),
    "seconds": (put((EVERY, 6), SAMPLES / 160 + 7.13 * TRIALS), "look like triggers"),
    "bytes": (put((EVERY, 6), (SAMPLES + 7.0 * TRIALS) % 256), "look like triggers"),
    "dead": (put((EVERY, 6), 0.0), "are constant"),
    "dead in most trials": (put((slice(0, 30), 6), 3.0), "are constant"),
    "another unit": (
        lambda X: put((EVERY, 6), 1e4 * X[:, 6])(X),
        "are over 1000 times as loud as the others",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTY_TRIALS.values(), ids=FAULTY_TRIALS)
def test_faulty_trials_are_found(change, message):
    X = change(make_eeg())
    faults = find_faults(X)
    assert faults.trials.tolist() == [5] and len(faults.channels) == 0
    assert re.search(message, str(faults))
    assert not find_faults(np.delete(X, faults.trials, axis=0))
    for scale in (1e-6, 1e3):  # in any unit
        assert find_faults(scale * X).trials.tolist() == [5]


@pytest.mark.parametrize(("change", "message"), FAULTY_CHANNELS.values(), ids=FAULTY_CHANNELS)
def test_faulty_channels_are_found(change, message):
    X = change(make_eeg())
    faults = find_faults(X)
    assert faults.channels.tolist() == [6] and len(faults.trials) == 0
    assert re.fullmatch(rf"channels \[6\] {message}.*", str(faults))
    names = [f"E{i}" for i in range(8)]
    assert str(find_faults(EEGArray(X, ch_names=names))).startswith("channels ['E6']")
    assert not find_faults(np.delete(X, faults.channels, axis=1))


def test_many_faults_are_told_in_few_words():
    X = make_eeg()
    X[:25] = 0
    X[30, [2, 4]] = X[31, 2] = 0
    assert str(find_faults(X)) == (
        "in trials [0, 1, 2, 3, 4] and 20 more of 40, all channels are flat; "
        "in trials [30, 31] of 40, channels [2, 4] are flat"
    )
    assert find_faults(X).trials.tolist() == [*range(25), 30, 31]
    assert find_faults(0 * X).trials.tolist() == list(range(40))


SOUND = {
    "as it is": lambda X: X,
    "volts": lambda X: 1e-6 * X,
    "tiny unit": lambda X: 1e-15 * X,
    "three channels": lambda X: X[:, :3],
    "one channel": lambda X: X[:, :1],
    "few trials": lambda X: X[:3],
    "two trials": lambda X: X[:2],
    "one trial": lambda X: X[:1],
    "few samples": lambda X: X[..., :20],
    "very few samples": lambda X: np.round(X[..., :15] / 5),
    "two samples": lambda X: X[..., :2],
    "one sample": lambda X: X[..., :1],
    "float16": lambda X: X.astype(np.float16),
    "float16 with an offset": lambda X: (X + 3000).astype(np.float16),
    "whole numbers": lambda X: np.round(X).astype(np.int16),
    "coarse numbers": lambda X: np.round(X / 5),
    "standardised": lambda X: Scaler().fit_transform(X),
    "z-scored": lambda X: (X - X.mean(axis=2, keepdims=True)) / X.std(axis=2, keepdims=True),
    "average reference": lambda X: X - X.mean(axis=1, keepdims=True),
    "filtered": lambda X: BandPass(8, 30, 100).fit_transform(X),
    "aligned": lambda X: EuclideanAlignment().fit_transform(X),
    "offsets": lambda X: X + np.linspace(-3e4, 3e4, 8)[:, np.newaxis],
    "padded": lambda X: np.pad(X, [(0, 0), (0, 0), (0, 40)]),
    "envelopes": lambda X: np.maximum(X, 0),
    "blinks": lambda X: put((slice(0, 40, 7), [0, 1]), X[::7, :2] + 300 * np.hanning(300))(X),
    "a loud trial": lambda X: put(5, 8 * X[5])(X),
    "a quiet channel": lambda X: put((EVERY, 3), 0.01 * X[:, 3])(X),
}


@pytest.mark.parametrize("kind", SOUND.values(), ids=SOUND)
def test_sound_trials_are_left_alone(kind):
    assert str(find_faults(kind(make_eeg()))) == ""


@pytest.mark.parametrize(
    ("what", "least"),
    [("flat", 1e-3), ("loud", 30), ("clipped", 0.15), ("another_kind", 1e3), ("trigger", 0.9)],
)
def test_where_faults_begin(what, least):
    """Just on either side of the bound."""
    for factor, found in ((0.97, False), (1.03, True)):
        X = make_eeg(n_times=1001)
        X /= np.ptp(X, axis=2, keepdims=True)
        if what == "flat":
            X[5, 3] *= least / factor
        elif what == "loud":
            X[5, 3] *= least * factor
        elif what == "clipped":
            X[5, 3, : round(least * factor * 1000)] = X[5, 3].max()
        elif what == "another_kind":
            X[:, 3] *= least * factor
        else:
            steps = np.cumsum(np.random.default_rng(0).standard_normal((40, 1001)), axis=1) / 100
            X[:, 3] = np.where(np.arange(1001) % 1000 < 1000 * (1 - least * factor), steps, steps[:, -1:])
        assert bool(getattr(find_faults(X), what).any()) is found


@pytest.mark.parametrize(
    "make",
    [
        lambda: AttentionBaseNetClassifier(max_epochs=1, verbose=0),
        lambda: make_pipeline(Scaler(), AttentionBaseNetClassifier(max_epochs=1, verbose=0)),
        Scaler,
        lambda: BandPass(8, 30, 100),
        EuclideanAlignment,
        lambda: make_csp_lda(100),
        lambda: make_fbcsp_lda(100, [(8, 12), (12, 16)], n_features=2),
        lambda: make_mdm(100),
        lambda: make_tangent_space_lr(100),
    ],
)
def test_faults_are_named_before_training(make):
    X, y = EEGArray(make_eeg(), 100, [f"E{i}" for i in range(8)]), np.arange(40) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "n_times=300 is shorter")
        make().fit(X, y)
    for change, words in (
        (
            clipped_trial,
            r"in trials \[5\] of 40, all channels are clipped.*np.delete\(X, faults.trials, axis=0\)",
        ),
        (pulses(769), r"channels \['E6'\] look like triggers.*np.delete\(X, faults.channels, axis=1\)"),
    ):
        bad = EEGArray(change(make_eeg()), 100, X.ch_names)
        with pytest.warns(UserWarning, match=words) as told:
            make().fit(bad, y)
        places = {(w.filename, w.lineno, str(w.message)) for w in told if "find_faults" in str(w.message)}
        assert {place[0] for place in places} == {__file__} and len(places) == 1  # shown once


# ----- the time of the first sample -------------------------------------------------------------------------


def test_the_time_after_the_event_travels():
    X = EEGArray(
        np.random.default_rng(0).standard_normal((4, 2, 300)), 100, ["C3", "C4"], list("abab"), tmin=-0.5
    )
    assert (
        X.tmin == X[:2].tmin == (2 * X).tmin == X.copy().tmin == X[:, :1].tmin == X.astype(int).tmin == -0.5
    )
    assert X[:, :, 50:].tmin == X[:, :, -250:].tmin == 0.0
    assert pickle.loads(pickle.dumps(X)).tmin == as_trials(X).tmin == open_trials(X).tmin == -0.5
    assert EEGArray(X, None, X.ch_names, tmin=1)[:, :, 10:].tmin is None  # no rate, no time
    assert (X + EEGArray(X, 100, tmin=0.5)).tmin is None
    assert joblib.hash(X) != joblib.hash(EEGArray(X, 100, X.ch_names, X.labels, tmin=0))
    assert Scaler().fit_transform(X).tmin == -0.5
    assert Crop(0.25, 1.25).fit_transform(X).tmin == -0.25
    info = mne.create_info(["C3", "C4"], 100, "eeg")
    assert as_trials(mne.EpochsArray(np.asarray(X), info, tmin=0.7, verbose="error")).tmin == 0.7
    with pytest.raises(ValueError, match="tmin=nan must be a time in s"):
        EEGArray(X, 100, tmin=np.nan)


# Memory ---------------------------------------------------------------------------------------------------


def traced_peak(call):
    """Bytes that a call holds at most in NumPy's arrays, its result included."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LARGE = (600, 8, 1000)  # 19 MB in float32


def large(kind, folder):
    if kind == "map":
        np.save(folder / "X.npy", np.zeros(LARGE, np.float32))
        return np.load(folder / "X.npy", mmap_mode="r")
    if kind == "Epochs":
        info = mne.create_info(LARGE[1], 100.0, "eeg")
        return mne.EpochsArray(np.zeros(LARGE), info, verbose="error")
    X = np.zeros(LARGE, np.float32 if kind == "Fortran" else kind)
    return np.asfortranarray(X) if kind == "Fortran" else X


@pytest.mark.parametrize("kind", ["float64", "int16", "Fortran", "map", "Epochs"])
def test_trials_are_converted_once_and_batches_take_the_memory_of_batches(kind, tmp_path):
    X, size = large(kind, tmp_path), 4 * np.prod(LARGE)
    assert traced_peak(lambda: as_trials(X)) < 1.5 * size  # pieces of 4 MB are a fifth of it
    assert traced_peak(lambda: sum(len(batch) for batch in open_trials(X).batches(20))) < 0.2 * size


@pytest.mark.parametrize("kind", ["int16", "Fortran", "map"])
def test_scaled_trials_are_there_once(kind, tmp_path):
    X, size = large(kind, tmp_path), 4 * np.prod(LARGE)
    scaler = Scaler().fit(make_eeg(10, 8, 1000))
    assert traced_peak(lambda: scaler.transform(X)) < 1.3 * size


def test_prediction_holds_a_batch_and_not_the_data(tmp_path):
    clf = AttentionBaseNetClassifier(max_epochs=1, batch_size=8, verbose=0)
    clf.fit(make_eeg(16, 8, 1000).astype(np.float32), np.arange(16) % 2)
    X = large("map", tmp_path)
    assert traced_peak(lambda: clf.predict(X)) < 0.2 * X.nbytes


def test_training_shares_the_trials():
    X = make_eeg(16, 8, 300).astype(np.float32)
    seen = []

    class Seen(AttentionBaseNetClassifier):
        def get_iterator(self, dataset, training=False):
            seen.append(dataset.whole.data_ptr())
            return super().get_iterator(dataset, training)

    Seen(max_epochs=1, train_split=0.25, verbose=0).fit(X, np.arange(16) % 2)
    assert seen == [X.ctypes.data] * 2
