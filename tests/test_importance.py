"""Importance finds what a classifier uses, of whatever kind, and intervals are over people."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import t
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score

from skeeg import EEGArray
from skeeg.baselines import make_csp_lda
from skeeg.inspection import ImportanceDisplay, find_importance
from skeeg.inspection.importance import BANDS, band_part

SFREQ = 100.0


class Loudness(ClassifierMixin, BaseEstimator):
    """Says "b" where the power of one channel at 10 Hz in the second second is large; knows nothing else."""

    def fit(self, X, y):
        self.classes_ = np.array(["a", "b"])
        return self

    def predict(self, X):
        time = np.arange(100, 200) / SFREQ
        power = np.abs(np.asarray(X)[:, 1, 100:200] @ np.exp(-20j * np.pi * time))
        return self.classes_[(power > 25).astype(int)]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y, people = np.tile(["a", "b"], 40), np.repeat(["eva", "jo", "kim", "lee"], 20)
    X = 0.3 * rng.standard_normal((80, 3, 300))
    time = np.arange(300) / SFREQ
    course = np.exp(-(((time - 1.5) / 0.25) ** 2)) * np.sin(2 * np.pi * 10 * time)
    X[y == "b", 1] += 2 * course
    return EEGArray(X, SFREQ, ["C3", "Cz", "C4"]), y, people


@pytest.fixture(scope="module")
def loudness(data):
    X, y, _ = data
    assert accuracy_score(y, Loudness().fit(X, y).predict(X)) == 1
    return Loudness().fit(X, y)


@pytest.mark.parametrize("method", ["permutation", "occlusion"])
@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("channel", "Cz"),
        ("band", "mu 8–13 Hz"),
        ("time", "1.00–2.00 s"),
        ("band-time", "mu 8–13 Hz, 1.00–2.00 s"),
    ],
)
def test_the_part_that_is_used_is_named(loudness, data, method, by, expected):
    found = find_importance(loudness, *data, by=by, method=method, n_windows=3)
    table = found.table.set_index("part")
    assert table["lost"].idxmax() == expected
    # permuting makes half of the answers wrong, at most all; occluding makes all "a", half of them right
    assert table.loc[expected, "lost"] > 0.35
    others = table.drop(expected)["lost"]
    assert others.abs().max() < 0.15
    np.testing.assert_allclose(table["score"] + table["lost"], 1)


def test_intervals_are_students_over_people(loudness, data):
    found = find_importance(loudness, *data, n_repeats=2)
    lost = found.of_people["Cz"].to_numpy()
    assert found.of_people.index.tolist() == ["eva", "jo", "kim", "lee"]
    half = t.ppf(0.975, 3) * lost.std(ddof=1) / 2
    row = found.table.set_index("part").loc["Cz"]
    np.testing.assert_allclose(
        row[["lost", "ci_low", "ci_high"]].astype(float),
        [lost.mean(), lost.mean() - half, lost.mean() + half],
    )
    again = find_importance(loudness, *data, n_repeats=2)
    assert found.table.equals(again.table)  # seeded
    one = find_importance(loudness, data[0], data[1])
    assert one.table["ci_low"].isna().all() and one.table["n_people"].eq(1).all()


def test_parts_add_up_to_the_whole(data):
    X = np.asarray(data[0])
    bands = [*BANDS.values(), (45.0, SFREQ / 2)]
    np.testing.assert_allclose(sum(band_part(X, band, SFREQ) for band in bands), X, atol=1e-9)
    time = np.arange(300) / SFREQ
    tone = np.sin(2 * np.pi * 10 * time)[None, None]
    assert np.std(band_part(tone, (8, 13), SFREQ)) > 0.98 * np.std(tone)
    assert np.std(band_part(tone, (13, 30), SFREQ)[..., 50:-50]) < 0.02


def test_groups_of_channels_other_scores_and_plain_arrays(loudness, data):
    X, y, people = data
    pairs = {"sides": ["C3", "C4"], "middle": [1]}
    found = find_importance(loudness, X, y, people, channels=pairs, scoring="balanced_accuracy")
    assert found.table.set_index("part")["lost"].idxmax() == "middle"
    plain = find_importance(loudness, np.asarray(X), y, people)
    assert plain.table.set_index("part")["lost"].idxmax() == 1
    with pytest.raises(ValueError, match="sampling rate is not known"):
        find_importance(loudness, np.asarray(X), y, people, by="band")
    assert len(find_importance(loudness, np.asarray(X), y, by="band", bands=[(8, 12)], sfreq=100).table) == 1


def test_what_cannot_be_asked_is_refused(loudness, data):
    X, y, _ = data
    with pytest.raises(ValueError, match="one trial each"):
        find_importance(loudness, X, y, np.arange(len(y)))
    with pytest.raises(ValueError, match="no band"):
        find_importance(loudness, X, y, by="band", bands=[(8, 80)])
    with pytest.raises(ValueError, match="Fz"):
        find_importance(loudness, X, y, channels={"front": ["Fz"]})
    with pytest.raises(ValueError, match="give y"):
        find_importance(loudness, X)
    with pytest.raises(ValueError, match="'by'"):
        find_importance(loudness, X, y, by="channels")
    with pytest.raises(ValueError, match='read by by="channel"'):
        find_importance(loudness, X, y, by="band", channels={"a": [0]})
    with pytest.raises(ValueError, match=r"labels .'left', 'right'. that are not in .'a', 'b'"):
        find_importance(loudness, X, np.where(y == "a", "left", "right"))
    with pytest.raises(ValueError, match=r"'back'.*3"):
        find_importance(loudness, X, y, channels={"back": [3]})


def test_trials_are_left_as_they_were(loudness, data):
    X, y, people = data
    before = np.array(X)
    find_importance(loudness, X, y, people)
    np.testing.assert_array_equal(X, before)
    assert X.ch_names == ("C3", "Cz", "C4")


@pytest.mark.parametrize("by", ["channel", "band", "band-time"])
def test_figure_shows_the_numbers(data, by):
    X, y, people = data
    csp = make_csp_lda().fit(X, y)
    display = ImportanceDisplay.from_estimator(
        csp, X, y, people, by=by, n_windows=2, n_repeats=1, figure=Figure()
    )
    lost = 100 * display.importance.table["lost"].to_numpy()
    if by == "band-time":
        mesh = display.axes_[0].collections[0].get_array()
        np.testing.assert_allclose(mesh.data.ravel(), lost)
    else:
        widths = [bar.get_width() for bar in display.axes_[-1].patches]
        np.testing.assert_allclose(sorted(widths), sorted(lost))
    display.figure_.canvas.draw()
