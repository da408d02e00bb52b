"""Leakage that was put in is found, and what is clean is called so."""

import warnings

import numpy as np
import pandas as pd
import pytest
from evaluating import make_lda, six_people
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold, ShuffleSplit, StratifiedKFold
from sklearn.pipeline import make_pipeline

from skeeg import EuclideanAlignment, Scaler
from skeeg.evaluation import compare
from skeeg.evaluation.leakage import audit, overlapping_trials


@pytest.fixture
def data():
    return six_people()


def findings_of(X, y, metadata, *, match=None, **options):
    pipelines = options.pop("pipelines", {"dummy": DummyClassifier()})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = compare(pipelines, X, y, metadata, progress=False, **options)
    said = " ".join(" ".join(result.findings).split())
    assert "\n".join(result.findings) in str(result)
    warned = [str(w.message) for w in caught if "leakage" in str(w.message)]
    return said, warned


@pytest.mark.parametrize(
    ("cv", "said"),
    [
        ("cross-subject", "no person, session, trial or part of a trial is on both sides"),
        (
            "cross-session",
            "no session, trial or part of a trial is on both sides; people are, as the question",
        ),
        ("within-subject", "no trial or part of a trial is on both sides; people are, as the question asks"),
        ("learning-people", "no person, session, trial or part of a trial is on both sides"),
        (GroupKFold(3), "no person, trial or part of a trial is on both sides"),
    ],
)
def test_clean_splits_are_called_clean(data, cv, said):
    findings, warned = findings_of(*data, cv=cv)
    assert said in findings and warned == []


def test_a_splitter_that_mixes_people_is_found(data):
    findings, warned = findings_of(*data, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    assert "people are on both sides in 5 of 5 folds (1, 2, 3, 4, 5 and 1 more)" in findings
    assert "sessions are on both sides in 5 of 5 folds (1, session a, 1, session b" in findings
    assert len(warned) == 2


def test_a_trial_that_is_there_twice_is_found(data):
    X, y, metadata = data
    X[20] = 3 * X[1]  # of another person, in another unit
    findings, warned = findings_of(X, y, metadata, n_splits=6)
    assert "2 test trials are the same as a trial that trains, in 2 of 6 folds" in findings
    assert len(warned) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_trials_that_overlap_in_time_are_found(dtype):
    recording = np.random.default_rng(0).standard_normal((2, 3, 60 * 40 + 100)).astype(dtype)
    starts = 60 * np.arange(40)  # trials of 100 samples every 60
    X = np.concatenate([[person[:, s : s + 100] for s in starts] for person in recording])
    y, metadata = np.tile(["a", "b"], 40), pd.DataFrame({"subject": np.repeat([1, 2], 40)})
    pairs = overlapping_trials(X, metadata["subject"])
    expected = [[k, k + 1] for k in range(79) if k != 39]
    assert pairs.tolist() == expected
    findings, warned = findings_of(X, y, metadata, cv="within-subject")
    assert "test trials overlap in time with a trial that trains, in 10 of 10 folds" in findings
    assert len(warned) == 1
    assert "overlap" not in findings_of(X, y, metadata)[0], "across people, they do not"


def test_trials_that_do_not_overlap_are_left_in_peace():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 4, (20, 2, 100)).astype(float)  # of few values: samples are alike by chance
    flat = np.zeros((4, 2, 100))
    X = np.concatenate([whole, flat])
    assert overlapping_trials(X, np.ones(24)).tolist() == []
    assert overlapping_trials(X[:, :, :10], np.ones(24)).tolist() == []
    padded = np.concatenate([np.zeros((20, 2, 50)), whole], axis=2)  # each begins with rest
    assert overlapping_trials(padded, np.ones(20)).tolist() == []


@pytest.mark.parametrize("how", ["standardised", "aligned"])
def test_preprocessing_that_saw_the_test_trials_is_found(data, how):
    X, y, metadata = data
    for subject in (2, 5):
        own = (metadata["subject"] == subject).to_numpy()
        if how == "standardised":
            X[own] = Scaler().fit_transform(7 * X[own] + 3)
        else:
            X[own] = EuclideanAlignment().fit_transform(X[own], groups=np.ones(own.sum()))
    findings, warned = findings_of(X, y, metadata)
    assert f"the trials of 2, 5 were {how}" in findings and "those that test among them" in findings
    assert len(warned) == 1


def test_trials_that_were_standardised_one_by_one_are_left_in_peace(data):
    X, y, metadata = data
    X = (X - X.mean(axis=2, keepdims=True)) / X.std(axis=2, keepdims=True)
    assert "no person, session, trial" in findings_of(X, y, metadata)[0]


def test_what_pipelines_know_or_use_is_said(data):
    X, y, _ = data
    pipelines = {
        "frozen": FrozenEstimator(make_lda().fit(X, y)),
        "aligned": make_pipeline(EuclideanAlignment(), make_lda()),
        "plain": make_lda(),
    }
    findings, warned = findings_of(*data, pipelines=pipelines)
    assert "frozen: learned before, from recordings that are not here" in findings
    assert "aligned: each new person is aligned by all of the test trials together" in findings
    assert warned == [] and "plain" not in findings


def test_nothing_trains_before_the_audit_is_through(data):
    X, _, metadata = data
    folds = list(ShuffleSplit(2, random_state=0).split(X))
    with pytest.warns(UserWarning, match="leakage: people are on both sides in 2 of 2 folds"):
        lines = audit(folds, X, metadata.drop(columns="session"), "given folds", {})
    assert lines[0] == "leakage audit of 2 folds: 1 finding"
