"""Doubt: sets that hold the right label as often as they say, abstention, temperatures, and their figures."""

import numpy as np
import pytest
import sklearn
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.utils.fixes import parse_version

from skeeg import EuclideanAlignment, SSTDPNClassifier
from skeeg.baselines import make_csp_lda
from skeeg.confidence import ConformalClassifier
from skeeg.datasets import load_motor_imagery, make_motor_imagery
from skeeg.inspection import AccuracyRejectionDisplay, ReliabilityDisplay


class Known(ClassifierMixin, BaseEstimator):
    """Says what X holds: the probability of "a" in its first sample."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        p = np.asarray(X)[:, 0, 0]
        return np.column_stack([p, 1 - p])


def people(rng, n_people, n_trials):
    """Trials of people of whom some are decoded better: labels are as probable as X says, or the opposite."""
    X, y, groups = [], [], []
    for person in range(n_people):
        p = rng.uniform(0.05, 0.95, n_trials)
        skill = rng.uniform(0, 1)
        y.append(np.where(rng.uniform(size=n_trials) < skill * p + (1 - skill) * 0.5, "a", "b"))
        X.append(p[:, None, None])
        groups.append(np.full(n_trials, person))
    return np.concatenate(X), np.concatenate(y), np.concatenate(groups)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_cover_trials_of_people_never_seen(coverage):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(150):
        X, y, groups = people(rng, 21, 20)
        known = groups < 20
        frozen = FrozenEstimator(Known().fit(X, y))
        conformal = ConformalClassifier(frozen, coverage=coverage).fit(X[known], y[known], groups[known])
        sets = conformal.predict_set(X[~known])
        covered.append(sets[np.arange(20), (y[~known] == "b").astype(int)].mean())
    # promised: coverage at least, and at most one person's weight more
    assert coverage - 0.02 < np.mean(covered) < coverage + 1 / 21 + 0.02


def test_the_quantile_is_that_of_the_formula():
    X = np.array([0.9, 0.6, 0.3, 0.8, 0.2])[:, None, None]
    y, groups = np.array(["a", "a", "a", "b", "b"]), np.array(["u", "u", "v", "v", "w"])
    frozen = FrozenEstimator(Known().fit(X, y))
    # scores 1 - p(y): u 0.1, 0.4; v 0.7, 0.8; w 0.2; each person weighs 1/4, one 1/4 at infinity
    for coverage, score in ((0.1, 0.1), (0.3, 0.2), (0.45, 0.4), (0.6, 0.7), (0.74, 0.8)):
        conformal = ConformalClassifier(frozen, coverage=coverage).fit(X, y, groups=groups)
        assert conformal.least_ == pytest.approx(1 - score)
        assert conformal.n_groups_ == 3
    with pytest.warns(UserWarning, match="3 people cannot promise a coverage of 0.9.*At least 9 are needed"):
        full = ConformalClassifier(frozen, coverage=0.9).fit(X, y, groups=groups)
    assert full.predict_set(X).all()
    alone = ConformalClassifier(frozen, coverage=0.5).fit(X, y)  # trials instead: 5 of them, and infinity
    assert alone.least_ == pytest.approx(1 - 0.4)


def test_people_are_held_out_as_a_whole_and_groups_reach_the_alignment():
    X, y, metadata = make_motor_imagery(5, 12, n_chans=4, duration=2.0, difficulty=0.3, random_state=0)
    groups = metadata["subject"].to_numpy()
    pipeline = make_csp_lda(recenter=True).set_params(euclideanalignment__mode="causal")
    with sklearn.config_context(enable_metadata_routing=True):
        conformal = ConformalClassifier(pipeline, coverage=0.5, held_out=0.4, random_state=0)
        fitted = clone(conformal).fit(X, y, groups=groups)
        again = clone(conformal).fit(X, y, groups=groups)
    trained_on = set(fitted.estimator_["euclideanalignment"].references_)
    assert len(trained_on) == 3 and fitted.n_groups_ == 2
    assert fitted.least_ == again.least_
    held_out = ~np.isin(groups, list(trained_on))
    right = []
    for person in np.unique(groups[held_out]):  # each aligned for itself, a person counting as one
        p = fitted.estimator_.predict_proba(X[groups == person])
        right.append(np.sort(p[np.arange(12), np.searchsorted(fitted.classes_, y[groups == person])])[::-1])
    weights = np.repeat(1 / 12 / 3, 24)
    both = np.sort(np.concatenate(right))[::-1]
    assert fitted.least_ == pytest.approx(both[np.flatnonzero(np.cumsum(weights) >= 0.5 - 1e-12)[0]])
    with sklearn.config_context(enable_metadata_routing=True):
        apart = fitted.predict_proba(X[held_out], groups=groups[held_out])
    first = np.flatnonzero(held_out)[:12]
    np.testing.assert_allclose(apart[:12], fitted.estimator_.predict_proba(X[first]))
    assert fitted.predict_set(X[held_out]).shape == (24, 2)
    assert fitted.score(X, y) == np.mean(fitted.predict(X) == y)


def test_classes_may_stand_in_any_order():
    class Turned(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.array(["right", "left"])
            return self

        def predict_proba(self, X):
            return np.column_stack([np.ravel(X), 1 - np.ravel(X)])

    X = np.array([0.9, 0.8, 0.7, 0.1])[:, None, None]
    fitted = FrozenEstimator(Turned().fit(None, None))
    y = ["right", "right", "right", "left"]
    assert ConformalClassifier(fitted, coverage=0.5).fit(X, y).least_ == pytest.approx(0.8)


def test_abstention():
    X = np.array([0.9, 0.6, 0.3])[:, None, None]
    y = np.array(["a", "a", "b"])
    conformal = ConformalClassifier(FrozenEstimator(Known().fit(X, y)), coverage=0.5).fit(X, y)
    assert conformal.predict(X).tolist() == ["a", "a", "b"]
    assert conformal.predict(X, reject=0.65).tolist() == ["a", None, "b"]
    assert conformal.predict(X, reject=1.0).tolist() == [None] * 3
    for wrong in (True, 7, -0.1):
        with pytest.raises(ValueError, match="must be a probability"):
            conformal.predict(X, reject=wrong)


def test_what_cannot_be_promised_is_refused():
    X, y, groups = people(np.random.default_rng(0), 4, 6)
    with pytest.raises(ValueError, match="coverage"):
        ConformalClassifier(Known(), coverage=1.0).fit(X, y)
    with pytest.raises(ValueError, match="groups has shape"):
        ConformalClassifier(Known()).fit(X, y, groups=groups[:-1])
    y = y.astype("U4")
    y[groups == 0] = "new"
    frozen = FrozenEstimator(Known().fit(X[groups > 0], y[groups > 0]))
    with pytest.raises(ValueError, match=r"labels \['new'\] of held-out trials"):
        ConformalClassifier(frozen).fit(X, y, groups)


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.8"), reason="came with 1.8")
@pytest.mark.parametrize(
    "pipeline",
    [
        make_csp_lda(sfreq=80, recenter=True).set_params(euclideanalignment__mode="causal"),
        make_pipeline(EuclideanAlignment(mode="causal"), SSTDPNClassifier(max_epochs=2, random_state=0)),
    ],
    ids=["csp", "network"],
)
def test_temperatures_by_people_make_probabilities_honest(pipeline):
    """scikit-learn's own: folds of people, one temperature; on people never seen it is less wrong."""
    X, y, metadata = load_motor_imagery([1, 3, 7, 9])
    subject = metadata["subject"].to_numpy()
    X = np.asarray(X)[:, 7:14, ::2].copy()
    known = subject < 9
    with sklearn.config_context(enable_metadata_routing=True):
        plain = clone(pipeline).fit(X[known], y[known], groups=subject[known])
        calibrated = CalibratedClassifierCV(
            clone(pipeline), method="temperature", cv=LeaveOneGroupOut(), ensemble=False
        ).fit(X[known], y[known], groups=subject[known])
    assert (calibrated.predict(X[~known]) == plain.predict(X[~known])).all()
    if "lda" in pipeline.named_steps:  # two epochs leave a network unsure
        before, after = (
            log_loss(y[~known], fitted.predict_proba(X[~known])) for fitted in (plain, calibrated)
        )
        assert after < before


def test_reliability_and_rejection_are_what_they_draw():
    rng = np.random.default_rng(0)
    p = rng.uniform(1 / 3, 1, 900)
    probabilities = np.column_stack([p, (1 - p) / 2, (1 - p) / 2])
    y = np.where(rng.uniform(size=900) < p, "x", rng.choice(["y", "z"], 900))
    said = {"honest": probabilities, "too sure": probabilities**3 / (probabilities**3).sum(axis=1)[:, None]}
    display = ReliabilityDisplay.from_predictions(
        y, said, classes=["x", "y", "z"], n_bins=6, ax=Figure().subplots()
    )
    assert display.bins["honest"][:, 2].tolist() == [150] * 6
    assert display.errors["honest"] < 0.06 < 0.1 < display.errors["too sure"]
    assert np.all(np.diff(display.bins["honest"][:, 0]) > 0)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts[0].startswith("honest, off by") and texts[-1] == "as sure as right"

    y = np.array(["x", "y", "x", "z"])
    four = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6], [0.5, 0.2, 0.3]])
    curves = AccuracyRejectionDisplay.from_predictions(
        y, {"one": four}, classes=["x", "y", "z"], ax=Figure().subplots()
    ).curves
    # two are equally sure, and answered together
    np.testing.assert_allclose(curves["one"], [[0, 0.5], [0.25, 2 / 3], [0.75, 1.0]])


def test_figures_refuse_what_is_no_probability():
    y = ["x", "y"]
    wrong = {
        "do not add up": np.eye(2) * 3,
        "expected": np.ones((2, 3)),
        "not finite": np.full((2, 2), np.nan),
    }
    for message, p in wrong.items():
        for display in (ReliabilityDisplay, AccuracyRejectionDisplay):
            with pytest.raises(ValueError, match=message):
                display.from_predictions(y, {"one": p}, classes=["x", "y"], ax=Figure().subplots())
