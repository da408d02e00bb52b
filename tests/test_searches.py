"""Searches inside a comparison: inner folds keep apart whom the outer ones do."""

import warnings

import numpy as np
import pytest
from evaluating import make_lda, six_people
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
)
from sklearn.pipeline import make_pipeline

from skeeg.evaluation import compare
from skeeg.evaluation.searches import OptunaSearch, PeopleKFold, keep_groups_apart


@pytest.fixture
def data():
    """Each person's trials carry the person's number in their first sample."""
    X, y, metadata = six_people()
    X[:, 0, 0] = metadata["subject"] + 10 * (metadata["session"] == "b")
    return X, y, metadata


class Spy:
    """Counts inner folds that mix people; clones count together."""

    def __init__(self):
        self.mixed = []

    def __deepcopy__(self, memo):
        return self

    def __call__(self, estimator, X, y):
        trained = set(estimator.seen_.tolist())
        self.mixed.append(len(trained & set(X[:, 0, 0].tolist())))
        return float(estimator.score(X, y))


class SeeingLDA(type(make_lda())):
    """An LDA that remembers whom it was trained on."""

    def fit(self, X, y=None, **params):
        self.seen_ = np.unique(X[:, 0, 0])
        return super().fit(X, y, **params)


def seeing():
    return SeeingLDA(make_lda().steps)


GRID = {"lineardiscriminantanalysis__solver": ["svd", "lsqr"]}
SEARCHES = {
    "grid": lambda spy, **cv: GridSearchCV(seeing(), GRID, scoring=spy, **cv),
    "random": lambda spy, **cv: RandomizedSearchCV(seeing(), GRID, n_iter=2, scoring=spy, **cv),
    "halving": lambda spy, **cv: HalvingGridSearchCV(
        seeing(), GRID, scoring=spy, min_resources=40, factor=2, return_train_score=False, **cv
    ),
}


@pytest.mark.parametrize("kind", SEARCHES)
@pytest.mark.parametrize("cv", [{}, {"cv": 3}])
def test_a_search_left_at_its_default_gets_inner_folds_by_person_and_says_so(data, kind, cv):
    spy = Spy()
    result = compare({"it": SEARCHES[kind](spy, **cv)}, *data, progress=False)
    assert (result.scores["error"] == "").all(), result.scores["error"].iloc[0]
    name = type(SEARCHES[kind](spy)).__name__
    assert f"it: the inner folds of {name} keep people apart, as the outer ones do" in str(result)
    assert spy.mixed and not any(spy.mixed)


def test_a_search_in_a_pipeline_and_one_by_session(data):
    spy = Spy()
    pipeline = make_pipeline(SEARCHES["grid"](spy))
    result = compare({"it": pipeline}, *data, cv="cross-session", progress=False)
    assert (result.scores["error"] == "").all()
    assert "keep sessions apart" in str(result)


@pytest.mark.parametrize("cv", ["within-subject", StratifiedKFold(4, shuffle=True, random_state=0)])
def test_where_the_question_mixes_people_the_search_is_left_alone(data, cv):
    spy = Spy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = compare({"it": SEARCHES["grid"](spy)}, *data, cv=cv, progress=False)
    assert "inner folds" not in str(result) and all(spy.mixed)


def test_inner_folds_that_were_chosen_are_kept_and_those_that_mix_people_are_told(data):
    spy = Spy()
    with pytest.warns(UserWarning, match=r"it: the inner folds of GridSearchCV, KFold\(.*mix people"):
        compare({"it": SEARCHES["grid"](spy, cv=KFold(3, shuffle=True))}, *data, progress=False)
    assert any(spy.mixed)
    spy = Spy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare({"it": SEARCHES["grid"](spy, cv=GroupKFold(3))}, *data, progress=False)
    assert not any(spy.mixed)


def test_the_search_of_the_caller_is_not_changed(data):
    search = SEARCHES["grid"](Spy())
    compare({"it": search}, *data, progress=False)
    assert search.cv is None


def test_one_person_is_split_by_trials():
    y = np.tile([0, 1], 10)
    folds = list(PeopleKFold(4).split(np.zeros((20, 1)), y, np.ones(20)))
    assert len(folds) == 4 == PeopleKFold(4).get_n_splits(None, y, np.ones(20))
    assert len(list(PeopleKFold(5).split(None, y[:6], np.ones(6)))) == 3, "as few as the rarest class has"
    assert PeopleKFold(4).get_n_splits(groups=[1, 2, 3]) == 3
    with pytest.raises(ValueError, match="needs groups"):
        next(PeopleKFold().split(np.zeros((20, 1)), y))


def test_optunas_search_gets_inner_folds_by_person_and_finds_the_best(data):
    optuna = pytest.importorskip("optuna", reason="optuna is not installed")
    spy, name = Spy(), "lineardiscriminantanalysis__shrinkage"
    choices = {name: optuna.distributions.FloatDistribution(0.0, 1.0)}
    lda = seeing().set_params(lineardiscriminantanalysis__solver="lsqr")
    search = OptunaSearch(lda, choices, n_trials=4, scoring=spy, random_state=0)
    result = compare({"it": search}, *data, n_splits=3, progress=False)
    assert (result.scores["error"] == "").all(), result.scores["error"].iloc[0]
    assert "it: the inner folds of OptunaSearch keep people apart" in str(result)
    assert spy.mixed and not any(spy.mixed)

    X, y, _ = data
    search.fit(X, y)
    grid = GridSearchCV(lda, {name: [trial.params[name] for trial in search.study_.trials]}, scoring=spy)
    grid.fit(X, y)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], grid.cv_results_["mean_test_score"])
    assert search.best_params_ == grid.best_params_ and search.study_.best_value == grid.best_score_


def test_other_inner_folds_are_told_of():
    from sklearn.calibration import CalibratedClassifierCV

    with pytest.warns(UserWarning, match="the inner folds of CalibratedClassifierCV do not know people"):
        assert keep_groups_apart("it", CalibratedClassifierCV(make_lda())) == []
