"""Data sets joined: what is the same electrode and moment stays so; what cannot be joined is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import resample_poly

from skeeg import EEGArray
from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.evaluation import compare, join_datasets


def dataset(names, sfreq, seconds, tmin=None, n=8, seed=0, **columns):
    """Trials of two people, whose channels carry their number."""
    rng = np.random.default_rng(seed)
    n_times = round(seconds * sfreq)
    time = (0.0 if tmin is None else tmin) + np.arange(n_times) / sfreq
    number = np.array([ord(name.lower().strip("eg ").replace("-ref", "")[-1]) for name in names])
    X = number[:, np.newaxis] * np.sin(2 * np.pi * 3 * time) + 1e-3 * rng.standard_normal(
        (n, len(names), n_times)
    )
    y = np.tile(["left", "right"], n // 2)
    metadata = pd.DataFrame({"subject": np.repeat([1, 2], n // 2), **columns})
    return EEGArray(X.astype(np.float32), sfreq, names, y, tmin), y, metadata


@pytest.fixture
def two():
    return {
        "a": dataset(["C3", "Cz", "C4", "Pz"], 200.0, 2.0, tmin=-0.5, run=1),
        "b": dataset(["EEG C4-Ref", "EEG C3-Ref", "EEG Fz-Ref"], 100.0, 2.0, tmin=0.0, run=2, session="x"),
    }


def test_channels_rates_and_windows_are_matched(two):
    with pytest.warns(UserWarning, match="channels that the others lack are left out") as caught:
        X, y, metadata = join_datasets(two)
    assert [str(w.message).rpartition(": ")[2] for w in caught] == ["Cz, Pz", "EEG Fz-Ref"]
    assert X.ch_names == ("C3", "C4") and X.sfreq == 100 and X.tmin == 0
    assert X.shape == (16, 2, 150)  # 0 to 1.5 s: where a ends
    time = np.arange(150) / 100
    expected = np.array([[ord("3")], [ord("4")]]) * np.sin(2 * np.pi * 3 * time)
    inner = slice(10, -10)  # resampling sees the ends
    for trials in (X[:8], X[8:]):
        np.testing.assert_allclose(np.asarray(trials).mean(axis=0)[:, inner], expected[:, inner], atol=0.3)
    assert metadata["subject"].unique().tolist() == ["a/1", "a/2", "b/1", "b/2"]
    assert metadata["run"].tolist() == [1] * 8 + [2] * 8 and "session" not in metadata
    assert y.tolist() == ["left", "right"] * 8
    direct = resample_poly(np.asarray(two["a"][0]), 1, 2, axis=2, padtype="line")[:, [0, 2], 50:]
    np.testing.assert_allclose(np.asarray(X[:8]), direct, rtol=1e-5, atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*channels that the others lack")
def test_each_data_set_is_tested_by_what_learned_from_the_other(tmp_path):
    one = make_motor_imagery(2, 24, n_chans=5, sfreq=125, difficulty=0.1, random_state=0)
    other = make_motor_imagery(2, 24, n_chans=11, sfreq=100, difficulty=0.1, random_state=1)
    X, y, metadata = join_datasets({"one": one, "other": other})
    result = compare({"csp": make_csp_lda()}, X, y, metadata, cv="cross-dataset", progress=False)
    assert (result.scores["error"] == "").all()
    by_hand = {}
    for name, rows in metadata.groupby("dataset").groups.items():
        train = np.setdiff1d(np.arange(len(y)), rows)
        by_hand[name] = make_csp_lda().fit(X[train], y[train]).predict(X[rows])
    for name, trials in result.predictions.groupby(result.predictions["subject"].str.partition("/")[0]):
        assert trials["y_pred"].tolist() == by_hand[name].tolist()
    assert "no person, session, trial or part of a trial is on both sides" in " ".join(str(result).split())
    assert result.subject_accuracies()["csp"].mean() > 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda two: {"a": two["a"]}, "at least two data sets"),
        (lambda two: {**two, "b": two["b"][:2]}, r"datasets\['b'\] must be \(X, y, metadata\)"),
        (
            lambda two: {**two, "b": (np.asarray(two["b"][0]), *two["b"][1:])},
            "b: X does not know its",
        ),
        (lambda two: {**two, "b": (two["b"][0], two["b"][1] == "left", two["b"][2])}, "same labels"),
        (lambda two: {**two, "b": dataset(["C3", "O1"], 100.0, 2.0)}, r"1 channels in common \(\['C3'\]\)"),
        (lambda two: {**two, "b": dataset(["C3", "C4"], 100.0, 2.0, tmin=1.45)}, "no window in common"),
        (lambda two: {**two, "b": (two["b"][0], two["b"][1][:-1], two["b"][2])}, "b: X, y and metadata must"),
    ],
)
def test_what_cannot_be_joined_is_refused(two, change, message):
    with pytest.raises(ValueError, match=message):
        join_datasets(change(two))


@pytest.mark.filterwarnings("ignore:.*channels that the others lack")
def test_volts_beside_microvolts_are_told(two):
    X, y, metadata = two["b"]
    two["b"] = (EEGArray(1e-6 * np.asarray(X), X.sfreq, X.ch_names, y, X.tmin), y, metadata)
    with pytest.warns(UserWarning, match="perhaps one is in volts"):
        join_datasets(two)


@pytest.mark.filterwarnings("ignore:.*channels that the others lack")
def test_starts_that_are_known_of_some_alone_are_told(two):
    X, y, metadata = two["b"]
    two["b"] = (EEGArray(np.asarray(X), X.sfreq, X.ch_names, y), y, metadata)
    with pytest.warns(UserWarning, match="^b: when trials begin is not known"):
        assert join_datasets(two)[0].tmin == 0


def test_data_sets_have_to_be_named(two):
    _, y, metadata = two["a"]
    with pytest.raises(ValueError, match="needs a column 'dataset' in metadata; `join_datasets` makes it"):
        compare({"csp": make_csp_lda()}, *two["a"], cv="cross-dataset", progress=False)
    with pytest.raises(ValueError, match="at least 2 data sets"):
        compare({"it": make_csp_lda()}, two["a"][0], y, metadata.assign(dataset="a"), cv="cross-dataset")
