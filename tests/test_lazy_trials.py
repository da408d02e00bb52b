"""Trials that are computed when they are read: the same as those that are computed at once."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skeeg import AttentionBaseNetClassifier, EEGArray, EuclideanAlignment, Scaler, load, save
from skeeg.baselines import make_csp_lda
from skeeg.trials import LazyTrials

NAMES = ["C3", "Cz", "C4"]


@pytest.fixture
def recording():
    X = 5 + 20 * np.random.default_rng(0).standard_normal((37, 3, 120)).astype(np.float32)
    y = np.repeat(["left", "right"], [19, 18])
    X[y == "left", 0] *= 2
    return EEGArray(X, 100.0, NAMES, y, tmin=0.5), y


def make_net():
    return AttentionBaseNetClassifier(
        pool_length_inp=20, pool_length=4, max_epochs=2, verbose=0, random_state=0
    )


@pytest.mark.parametrize("method", ["standard", "robust", "microvolt"])
@pytest.mark.parametrize("kind", ["array", "EEGArray", "float64", "memory map", "Epochs"])
def test_lazy_trials_are_those_of_transform(method, kind, recording, tmp_path):
    X, _ = recording
    if kind == "array":
        X = np.array(X)
    elif kind == "float64":
        X = X.astype(np.float64)
    elif kind == "memory map":
        np.save(tmp_path / "X.npy", np.array(X))
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    elif kind == "Epochs":
        mne = pytest.importorskip("mne")
        X = mne.EpochsArray(1e-6 * np.array(X), mne.create_info(NAMES, 100.0, "eeg"), verbose="error")
    expected = Scaler(method).fit_transform(X)
    trials = Scaler(method, lazy=True).fit_transform(X)
    assert isinstance(trials, LazyTrials) and type(expected) in (np.ndarray, EEGArray)
    assert (trials.shape, trials.dtype, trials.ndim, len(trials)) == ((37, 3, 120), expected.dtype, 3, 37)
    np.testing.assert_array_equal(np.asarray(trials), expected)
    np.testing.assert_array_equal(trials[15:18, 1], np.asarray(expected)[15:18, 1])
    assert np.asarray(trials, dtype=np.float64).dtype == np.float64
    again = Scaler().fit_transform(trials)
    np.testing.assert_allclose(np.asarray(again), Scaler().fit_transform(expected), atol=1e-5)
    for name in ("sfreq", "ch_names", "tmin", "labels"):
        assert np.array_equal(getattr(again, name, None), getattr(expected, name, None))


def test_a_slice_computes_what_is_in_it(recording, monkeypatch):
    trials, asked = Scaler(lazy=True).fit_transform(recording[0]), []
    whole, read = np.asarray(trials), LazyTrials.read

    def remember(self, start, stop):
        asked.append((start, stop))
        return read(self, start, stop)

    monkeypatch.setattr(LazyTrials, "read", remember)
    for key in (slice(2, 20), slice(-3, None), slice(30, 99), slice(5, 5), slice(9, 3)):
        np.testing.assert_array_equal(trials[key], whole[key])
    assert asked == [(2, 18), (18, 20), (34, 37), (30, 37)]
    np.testing.assert_array_equal(trials[::2], whole[::2])


def test_pipelines_compute_the_same(recording):
    X, y = recording
    lazy, plain = (make_pipeline(Scaler(lazy=lazy), make_net()).fit(X, y) for lazy in (True, False))
    np.testing.assert_array_equal(lazy.predict_proba(X), plain.predict_proba(X))
    assert lazy[-1].ch_names_ == tuple(NAMES) and lazy[-1].sfreq_ == 100.0
    assert np.array_equal(cross_val_score(lazy, X, y, cv=2), cross_val_score(plain, X, y, cv=2))
    labels_come_along = clone(lazy).fit(X)
    np.testing.assert_array_equal(labels_come_along.predict_proba(X), plain.predict_proba(X))
    other = make_pipeline(Scaler(lazy=True), EuclideanAlignment(), make_csp_lda(low=8, high=30)).fit(X, y)
    assert other.predict(X).shape == (37,)


def test_prediction_reads_a_batch_at_a_time(recording):
    X, y = recording
    pipe = make_pipeline(Scaler(lazy=True), make_net().set_params(batch_size=8)).fit(np.array(X), y)
    trials, sizes = pipe[0].transform(X), []
    compute = trials.compute
    trials.compute = lambda data: sizes.append(len(data)) or compute(data)
    pipe[-1].predict(trials)
    assert sizes == [8, 8, 8, 8, 5]


def test_lazy_scalers_are_saved_and_pickled(recording, tmp_path):
    X, y = recording
    pipe = make_pipeline(Scaler(lazy=True), make_net()).fit(X, y)
    save(pipe, tmp_path / "pipe.safetensors")
    expected = pipe.predict_proba(X)
    for same in (load(tmp_path / "pipe.safetensors"), pickle.loads(pickle.dumps(pipe))):
        assert same[0].lazy
        np.testing.assert_array_equal(same.predict_proba(X), expected)
    trials = pipe[0].transform(np.array(X))
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(trials))), np.asarray(trials))


def test_what_is_wrong_is_said_where_it_is_read(recording):
    X, y = recording
    scaler, broken = Scaler(lazy=True).fit(X), np.array(X)
    broken[20, 1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        np.asarray(scaler.transform(broken))
    with pytest.raises(ValueError, match="NaN"):
        make_net().fit(scaler.transform(broken), y)
    with pytest.raises(ValueError, match="3 channels x 60 samples were given, fit saw 3 x 120"):
        scaler.transform(broken[:, :, :60])
    with pytest.raises(ValueError, match="an array of them is a new one"):
        np.array(scaler.transform(X), copy=False)
    with pytest.raises(ValueError, match="The 'lazy' parameter of Scaler must be"):
        Scaler(lazy="yes").fit(X)
