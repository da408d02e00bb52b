"""Ends of what is allowed: the smallest and largest values that are right, and the next that are not."""

import sys
from collections import namedtuple
from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from evaluating import make_lda, six_people
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    KFold,
    LeavePGroupsOut,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    TimeSeriesSplit,
    cross_validate,
)
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline

import skeeg
from skeeg import EEGArray
from skeeg.estimators.training import inside_search, progress_bar
from skeeg.evaluation import compare
from skeeg.evaluation.checks import check_data
from skeeg.persistence.hashing import held_by
from skeeg.persistence.others import make_splitter
from skeeg.preprocessing import EuclideanAlignment, FilterBank
from skeeg.preprocessing.matching import MatchRecording


def arguments(cls, **changed):
    """Get a splitter's arguments as a file holds them, some of them others."""
    given = {
        KFold: {"n_splits": 5, "shuffle": True, "random_state": None},
        StratifiedKFold: {"n_splits": 5, "shuffle": True, "random_state": None},
        ShuffleSplit: {"n_splits": 1, "test_size": 0.2, "train_size": None, "random_state": None},
        StratifiedShuffleSplit: {"n_splits": 1, "test_size": 0.2, "train_size": None, "random_state": None},
        TimeSeriesSplit: {"n_splits": 5, "max_train_size": None, "test_size": None, "gap": 0},
        LeavePGroupsOut: {"n_groups": 2},
        RepeatedStratifiedKFold: {"n_splits": 5, "n_repeats": 10, "random_state": None},
    }
    return given[cls] | changed


@pytest.mark.parametrize(
    "cls, name, right, wrong",
    [
        (KFold, "random_state", [0, 1, 2**32 - 1, None], [-1, 2**32, 0.5, True]),
        (ShuffleSplit, "test_size", [0.001, 0.999, 1, 2, None], [0.0, 1.0, 1.5, -0.1, 0, -1]),
        (StratifiedShuffleSplit, "train_size", [0.5, 1], [0.0, 1.0, 0]),
        (ShuffleSplit, "n_splits", [1, 2], [0, -1]),
        (TimeSeriesSplit, "max_train_size", [1, 2, None], [0, 0.5]),
        (TimeSeriesSplit, "gap", [0, 1], [-1, None]),
        (LeavePGroupsOut, "n_groups", [1, 2], [0]),
        (RepeatedStratifiedKFold, "n_repeats", [1, 2], [0]),
        (StratifiedKFold, "shuffle", [True], [2, "yes"]),
    ],
)
def test_splitters_of_files(cls, name, right, wrong):
    for value in right:
        splitter = make_splitter(cls, arguments(cls, **{name: value}))
        assert isinstance(splitter, cls)
        kept = vars(splitter) | vars(splitter).get("cvargs", {})
        assert kept[name] == value
    for value in wrong:
        with pytest.raises(ValueError, match=f"^{cls.__name__}.{name} is {value!r}, "):
            make_splitter(cls, arguments(cls, **{name: value}))


class Terminal:
    """A stream that is one, or not."""

    def __init__(self, is_one):
        self.isatty = lambda: is_one
        self.write = self.flush = lambda *text: None


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_progress_bars_by_verbose(monkeypatch, verbose, is_terminal):
    monkeypatch.setattr(sys, "stderr", Terminal(is_terminal))
    bar = progress_bar(7, "net", verbose)
    assert bar.disable == (verbose == 0 or (verbose == 1 and not is_terminal))
    if not bar.disable:
        assert (bar.delay, bar.leave, bar.total) == ((0, True, 7) if verbose == 2 else (3, False, 7))
    bar.close()


class AsksWhoCalls(ClassifierMixin, BaseEstimator):
    """Notes whether a search seems to call fit."""

    heard = []

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.heard.append(inside_search())
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], len(X))


def test_searches_and_meta_estimators_are_told_from_pipelines():
    X, y, heard = np.zeros((8, 2)), np.tile([0, 1], 4), AsksWhoCalls.heard
    heard.clear()
    AsksWhoCalls().fit(X, y)
    make_pipeline(AsksWhoCalls()).fit(X, y)
    assert heard == [False, False], "the user's own fit, which scikit-learn's wrappers pass on"
    cross_validate(AsksWhoCalls(), X, y, cv=2)
    assert heard[2:] == [True, True]
    ClassifierChain(make_pipeline(AsksWhoCalls())).fit(X, y[:, np.newaxis])
    assert heard[4:] == [True], "a meta-estimator that calls no joblib"


Pair = namedtuple("Pair", "a b")


def test_hashes_look_into_lists_and_leave_named_tuples():
    pair = Pair(1, 2)
    several = [[torch.ones(2), torch.zeros(3)], (torch.ones(1),)]
    held = held_by(SimpleNamespace(several=several, pair=pair))
    assert held["pair"] is pair
    assert [[each[0] for each in some] for some in held["several"]] == [["tensor", "tensor"], ["tensor"]]
    copy = held_by(SimpleNamespace(several=[[torch.ones(2), torch.zeros(3)], (torch.ones(1),)], pair=pair))
    assert joblib.hash(held) == joblib.hash(copy)
    other = held_by(SimpleNamespace(several=[[torch.ones(2), torch.zeros(3)], (torch.zeros(1),)], pair=pair))
    assert joblib.hash(held) != joblib.hash(other)


def test_a_bank_of_one_band():
    X = np.random.default_rng(0).standard_normal((3, 2, 500))
    bank = FilterBank(1, sfreq=250)
    assert bank.fit_transform(X).shape == (3, 1, 2, 500)
    with pytest.raises(ValueError, match=r"'n_bands' parameter of FilterBank must be .* Got 0 instead"):
        FilterBank(0, sfreq=250).fit(X)


def test_a_decoder_of_one_channel_comes_back(tmp_path):
    y = np.tile(["a", "b"], 12)
    X = np.random.default_rng(0).standard_normal((24, 1, 50)) * np.where(y == "a", 1.0, 3.0)[:, None, None]
    decoder = make_pipeline(Covariances("scm"), TangentSpace(), LogisticRegression()).fit(X, y)
    assert decoder[-1].n_features_in_ == 1
    skeeg.save(decoder, tmp_path / "one.skeeg")
    loaded = skeeg.load(tmp_path / "one.skeeg")
    np.testing.assert_array_equal(loaded.predict_proba(X), decoder.predict_proba(X))


def test_an_alignment_that_has_seen_silence_alone_comes_back(tmp_path):
    X = np.random.default_rng(0).standard_normal((12, 3, 100))
    live = EuclideanAlignment(mode="causal", update=True).fit(X, groups=np.repeat(["a", "b"], 6))
    live.transform(np.zeros((1, 3, 100)))
    assert [seen[0] for seen in live.seen_.values()] == [0]
    skeeg.save(live, tmp_path / "live.skeeg")
    loaded = skeeg.load(tmp_path / "live.skeeg")
    np.testing.assert_array_equal(loaded.transform(X[:3]), live.transform(X[:3]))
    assert [seen[0] for seen in loaded.seen_.values()] == [3]


def matched(n_times, tmin=0.0, start=0.0):
    """Match trials of three channels at 100 Hz to one second from ``start``."""
    X = np.random.default_rng(0).standard_normal((2, 3, n_times)).cumsum(axis=2)
    matching = MatchRecording(["C3", "Cz", "C4"], sfreq=100.0, new_sfreq=100.0, low=4, high=30)
    matching.set_params(start=start, duration=1.0, tmin=tmin, ch_names=["C3", "Cz", "C4"])
    return np.asarray(matching.transform(EEGArray(X, 100.0, ["C3", "Cz", "C4"])))


@pytest.mark.parametrize("short", [0, 1, 2])
def test_windows_may_be_two_samples_short(short):
    got = matched(100 - short)
    assert got.shape == (2, 3, 100) and np.isfinite(got).all()


def test_windows_three_samples_short_are_refused():
    with pytest.raises(ValueError, match=r"trials of 97 samples at 100 Hz last 0.97 s, and 1 s are needed"):
        matched(97)


def test_a_window_in_the_middle_of_trials_is_that_window(recwarn):
    assert matched(200, tmin=-0.2, start=0.3).shape == (2, 3, 100)
    assert not recwarn.list
    assert not np.array_equal(matched(200, tmin=-0.2, start=0.3), matched(200, tmin=-0.2, start=0.2))


def test_comparisons_take_tables_and_labels_alone():
    X, y, metadata = six_people()
    table = X[:, :, 0]
    got, labels, _ = check_data(table, y, metadata)
    assert got.shape == (96, 3) and labels.tolist() == y.tolist()
    result = compare(
        {"lda": LinearDiscriminantAnalysis()}, table, y, metadata, cv="within-subject", progress=False
    )
    assert (result.scores["error"] == "").all() and len(result.predictions) == 96
    for wrong, given in ((X[:, 0, 0], y), (X, y[:, np.newaxis])):
        with pytest.raises(
            ValueError, match=r"X must be .n_trials, n_chans, n_times. and y .n_trials,., not"
        ):
            check_data(wrong, given, metadata)
    with pytest.raises(ValueError, match="continuous"):
        check_data(X, np.linspace(0, 1, 96), metadata)


class FailingWithTheSecond(DummyClassifier):
    """Fails where the second of six people trains."""

    def fit(self, X, y):
        if (six_people()[0][16] == X).all(axis=(1, 2)).any():
            raise ZeroDivisionError("what a pity")
        return super().fit(X, y)


def test_predictions_are_numbered_and_remarks_in_the_order_of_pipelines():
    X, y, metadata = six_people()
    pipelines = {"z": FailingWithTheSecond(), "lda": make_lda(), "a": FailingWithTheSecond()}
    result = compare(pipelines, X, y, metadata, n_splits=6, progress=False)
    assert result.predictions.index.tolist() == list(range(16 + 96 + 16))
    assert isinstance(result.predictions, pd.DataFrame)
    text = str(result)
    assert -1 < text.index("z failed in 5 of 6 folds") < text.index("a failed in 5 of 6 folds")
