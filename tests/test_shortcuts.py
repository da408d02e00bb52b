"""The audit finds what was put in, and is quiet where nothing was."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skeeg import EEGArray
from skeeg.baselines import make_csp_lda
from skeeg.datasets import fetch_eegbci, make_motor_imagery
from skeeg.inspection import AuditDisplay, audit

CHANNELS = ["Fp1", "Fp2", "C3", "Cz", "C4"]


class Levels(BaseEstimator):
    """Means and log-variances of each channel: what looks at levels and rhythms alike."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        X = np.asarray(X)
        return np.concatenate([X.mean(axis=2) / 5, np.log(1 + np.diff(X, axis=2).var(axis=2))], axis=1)


def decoder():
    return make_pipeline(Levels(), LogisticRegression(C=10))


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    n_people, n_trials = 6, 30
    y = np.concatenate([rng.permutation(np.tile(["left", "right"], n_trials // 2)) for _ in range(n_people)])
    X = rng.standard_normal((len(y), 5, 300)) * 3
    metadata = pd.DataFrame({
        "subject": np.repeat(np.arange(n_people), n_trials),
        "session": 1,
        "run": np.tile(np.repeat([1, 2, 3], n_trials // 3), n_people),
    })  # fmt: skip
    return X, y, metadata


def with_gaze(X, y):
    side = np.where(y == "left", 1.0, -1.0)[:, None]
    X = X.copy()
    X[:, 0] += 6 * side
    X[:, 1] -= 6 * side
    return EEGArray(X, 100.0, CHANNELS)


def with_rhythm(X, y):
    X, time = X.copy(), np.arange(300) / 100
    burst = 9 * np.hanning(300) * np.sin(2 * np.pi * 20 * time)
    X[y == "left", 4] += burst
    X[y == "right", 2] += burst
    return EEGArray(X, 100.0, CHANNELS)


def test_gaze_is_found(people):
    X, y, metadata = people
    found = audit(decoder(), with_gaze(X, y), y, metadata=metadata)
    table = found.table.set_index("shortcut")
    for name in ("ocular channels", "under 4 Hz"):
        assert table.loc[name, "speaks"]
        assert table.loc[name, "alone"] > 0.9 and table.loc[name, "lost"] > 0.3
    assert not table.loc[["the best person", "labels by run", "the label before"], "speaks"].any()
    assert "ocular channels" in repr(found) and "yes" in repr(found)


def test_a_rhythm_over_the_motor_strip_is_no_shortcut(people):
    X, y, metadata = people
    found = audit(decoder(), with_rhythm(X, y), y, metadata=metadata)
    assert found.score > 0.9 and found.chance == 0.5
    assert not found.table["speaks"].any(), found


def test_what_comes_after_the_response(people):
    X, y, metadata = people
    X = X.copy()
    X[:, 3, 200:] += np.where(y == "left", 6, -6)[:, None]
    X = EEGArray(X, 100.0, CHANNELS, tmin=-0.5)
    table = audit(decoder(), X, y, metadata=metadata, response=1.5).table.set_index("shortcut")
    assert table.loc["after the response", "speaks"] and table.loc["after the response", "alone"] > 0.9
    with pytest.raises(ValueError, match="not within the trials"):
        audit(decoder(), X, y, metadata=metadata, response=2.6)


def test_one_person_and_the_order(people):
    X, y, metadata = people
    one = (metadata["subject"] == 4).to_numpy()
    only_one = EEGArray(np.where(one[:, None, None], with_gaze(X, y), X), 100.0, CHANNELS)
    always = pd.Series(y).map({"left": 0, "right": 1}).to_numpy()

    class Knows(BaseEstimator):
        """Right for the loud person alone."""

        _estimator_type = "classifier"

        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            level = np.asarray(X)[:, 0].mean(axis=1)
            return np.where(
                level > 3,
                "left",
                np.where(level < -3, "right", np.where(np.arange(len(X)) % 2, "left", "right")),
            )

    table = audit(Knows(), only_one, y, metadata=metadata, ocular=[]).table.set_index("shortcut")
    assert table.loc["the best person", "alone"] == 1.0
    assert "person 4" in table.loc["the best person", "meant"]
    assert always.mean() == 0.5

    blocks = np.sort(y.reshape(6, 30), axis=1).ravel()  # one class after the other
    table = audit(decoder(), with_rhythm(X, blocks), blocks, metadata=metadata).table.set_index("shortcut")
    assert table.loc["labels by run", "speaks"] and table.loc["labels by run", "alone"] > 0.6
    assert table.loc["the label before", "speaks"] and table.loc["the label before", "alone"] > 0.9


def test_what_cannot_be_asked_is_said(people):
    X, y, metadata = people
    groups = metadata["subject"].to_numpy()
    found = audit(decoder(), X, y, groups)
    assert "ocular channels were not asked about: no names of channels are known" in found.notes
    assert any("sampling rate" in note for note in found.notes)
    fixed = make_csp_lda(8, 30)
    simulated, labels, about = make_motor_imagery(3, n_trials=20, n_chans=5, random_state=0)
    found = audit(make_csp_lda(), simulated, labels, metadata=about)
    assert "ocular channels were not asked about: there are none" in found.notes
    with pytest.raises(ValueError, match="two people"):
        audit(fixed, simulated[:20], labels[:20], about["subject"][:20])
    with pytest.raises(ValueError, match="give groups"):
        audit(fixed, simulated, labels)
    with pytest.raises(ValueError, match=r"no channels .'Fp9'"):
        audit(fixed, simulated, labels, metadata=about, ocular=["Fp9"])


def test_nothing_trains_before_labels_people_and_metadata_fit(people):
    X, y, metadata = people

    class Never(BaseEstimator):
        def fit(self, X, y):
            raise AssertionError("trained")

    groups = metadata["subject"].to_numpy()
    one, few = y == "left", np.r_[0:30, 30]
    with pytest.raises(ValueError, match=r"y has trials of .'left'. alone"):
        audit(Never(), X[one], y[one], groups[one])
    with pytest.raises(ValueError, match=r"people .1. have one trial each"):
        audit(Never(), X[few], y[few], groups[few])
    with pytest.raises(ValueError, match="metadata has 90 rows, X has 180 trials"):
        audit(Never(), X, y, groups, metadata=metadata[:90])


def test_what_is_to_be_read_with_care_is_said(people):
    X, y, metadata = people
    X = with_rhythm(X, y)
    shuffled = StratifiedKFold(2, shuffle=True, random_state=0)
    found = audit(decoder(), X, y, metadata=metadata, cv=shuffled)
    assert "cv trains and tests on the same people, 6 of 6: scores say less" in found.notes
    assert any("ends of trials" in note for note in found.notes)
    assert not any("same people" in note for note in audit(decoder(), X, y, metadata=metadata).notes)


def test_figure_shows_the_table(people):
    X, y, metadata = people
    display = AuditDisplay.from_estimator(decoder(), with_gaze(X, y), y, metadata=metadata, figure=Figure())
    for ax, column in zip(display.axes_, ("alone", "lost"), strict=True):
        drawn = sorted(line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1)
        np.testing.assert_allclose(drawn, sorted(100 * display.audit.table[column].dropna()))
    display.figure_.canvas.draw()


def steps(X):
    """How far each channel is from where it began, in ten pieces of the trial."""
    X = np.asarray(X)
    length = X.shape[2] // 10
    pieces = X[:, :, : 10 * length].reshape(*X.shape[:2], 10, length).mean(axis=3)
    return (pieces - pieces[:, :, :1]).reshape(len(X), -1)


def test_gaze_of_eegmmidb():
    try:
        X, y, metadata = fetch_eegbci(range(1, 6), channels=["Fp1", "Fp2", "AF7", "AF8", "C3", "Cz", "C4"])
    except FileNotFoundError as error:
        pytest.skip(f"no recordings: {error}")
    slow = make_pipeline(FunctionTransformer(steps), StandardScaler(), LogisticRegression(C=0.01))
    found = audit(slow, X, y, metadata=metadata)
    table = found.table.set_index("shortcut")
    assert table.loc["ocular channels", "alone"] > 0.65, found
    assert table.loc["ocular channels", "lost"] > 0.05 and table.loc["under 4 Hz", "lost"] > 0.05, found
