"""Networks in scikit-learn's meta-estimators: those that want tables, and ensembles of seeds."""

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils.metadata_routing import get_routing_for_object
from torch import nn

import skeeg
from skeeg import EEGArray, EEGClassifier, EuclideanAlignment, Flatten, Scaler, SeedEnsemble, Unflatten
from skeeg.evaluation import compare

NAMES = ["C3", "Cz", "C4"]


class Powers(nn.Module):
    def __init__(self, n_chans, n_outputs):
        super().__init__()
        self.head = nn.Linear(n_chans, n_outputs)

    def forward(self, x):
        return self.head(x.square().mean(dim=-1).clamp(1e-6).log())


def data(n_classes=2, n=36):
    codes = np.resize(np.arange(n_classes), n)
    X = np.random.default_rng(0).standard_normal((n, 3, 50)).astype(np.float32)
    for code in range(n_classes):
        X[codes == code, code] *= 4
    return EEGArray(X, 100.0, NAMES), np.array(["a", "b", "c"])[codes]


def network(**params):
    return EEGClassifier(Powers, **{"max_epochs": 30, "lr": 0.1, "random_state": 0, "verbose": 0, **params})


def of_rows():
    return make_pipeline(Unflatten(ch_names=NAMES, sfreq=100.0), network())


def test_rows_are_trials():
    X, y = data()
    table = Flatten().fit_transform(X)
    assert (type(table), table.shape, table.dtype) == (np.ndarray, (36, 150), np.float32)
    trials = Unflatten(ch_names=NAMES, sfreq=100.0).fit_transform(table)
    np.testing.assert_array_equal(trials, X)
    assert (trials.ch_names, trials.sfreq) == (tuple(NAMES), 100.0)
    frame = Flatten().set_output(transform="pandas").fit_transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns[[0, 149]].tolist() == ["C3_0", "C4_49"]
    np.testing.assert_array_equal(Unflatten(3).fit_transform(frame), X)
    np.testing.assert_array_equal(Unflatten(ch_names=np.array(NAMES)).fit_transform(frame), X)
    with pytest.raises(
        ValueError, match=r"columns of X are of \['C3', 'Cz', 'C4'\]: give names in that order"
    ):
        Unflatten(ch_names=["C4", "Cz", "C3"]).fit(frame)
    direct = network().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(of_rows().fit(table, y).predict_proba(table), direct)


@pytest.mark.parametrize(
    ("make", "n_classes"),
    [
        (lambda: BaggingClassifier(of_rows(), n_estimators=3, random_state=0), 2),
        (lambda: OneVsOneClassifier(of_rows()), 3),
        (lambda: SelfTrainingClassifier(of_rows(), threshold=0.8), 2),
    ],
    ids=["bagging", "one against one", "self-training"],
)
def test_meta_estimators_of_tables_train_networks(make, n_classes):
    X, y = data(n_classes)
    if isinstance(make(), SelfTrainingClassifier):
        codes = np.unique(y, return_inverse=True)[1]
        partly = np.where(np.arange(len(y)) % 3 == 0, codes, -1)  # two thirds without a label
        pipe = make_pipeline(Flatten(), make()).fit(X, partly)
        assert (pipe[-1].transduction_ != -1).sum() > (partly != -1).sum()
        assert np.mean(pipe.predict(X) == codes) > 0.9
    else:
        assert make_pipeline(Flatten(), make()).fit(X, y).score(X, y) > 0.9


def test_selection_of_columns_takes_features_and_no_trials():
    X, y = data()
    features = network().fit(X, y).transform(X)
    assert RFECV(LogisticRegression(), cv=3).fit(features, y).score(features, y) > 0.9
    on_samples = make_pipeline(Scaler(), Flatten(), RFECV(LogisticRegression(), cv=3, step=30)).fit(X, y)
    assert on_samples.predict(X).shape == y.shape
    bagging = BaggingClassifier(of_rows(), n_estimators=2, max_features=0.33, random_state=0)
    with pytest.raises(ValueError, match=r"49 columns.*no trials of 3 channels.*max_features=1.0"):
        make_pipeline(Flatten(), bagging).fit(X, y)


def test_rows_that_say_too_little():
    table = np.zeros((4, 150))
    with pytest.raises(ValueError, match="how many channels a trial has"):
        Unflatten().fit(table)
    with pytest.raises(ValueError, match="n_chans=2 and ch_names"):
        Unflatten(2, ch_names=NAMES).fit(table)


def test_seeds_are_averaged(tmp_path):
    X, y = data()
    ensemble = SeedEnsemble(network(max_epochs=2), n_seeds=3, random_state=0).fit(X, y)
    each = [one.predict_proba(X) for one in ensemble.estimators_]
    assert len({p.tobytes() for p in each}) == 3
    np.testing.assert_allclose(ensemble.predict_proba(X), np.mean(each, axis=0))
    again = clone(ensemble).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), ensemble.predict_proba(X))
    skeeg.save(make_pipeline(Scaler(), ensemble).fit(X, y), tmp_path / "pipe")
    same = skeeg.load(tmp_path / "pipe", classes=[Powers])
    scaled = Scaler().fit_transform(X)
    np.testing.assert_array_equal(same.predict_proba(X), clone(ensemble).fit(scaled, y).predict_proba(scaled))
    search = GridSearchCV(
        SeedEnsemble(network(max_epochs=1)), {"n_seeds": [1, 2], "estimator__lr": [0.1]}, cv=2
    )
    assert search.fit(X, y).best_params_["estimator__lr"] == 0.1
    weighted = SeedEnsemble(network(), n_seeds=1).fit(X, y, sample_weight=np.ones(36), groups=y)
    assert weighted.score(X, y) > 0.9


def test_people_reach_what_is_in_an_ensemble():
    X, y = data()
    people = np.repeat(["anna", "ben"], 18)
    loud = EEGArray(np.asarray(X) * np.where(people == "ben", 5, 1)[:, None, None], X.sfreq, NAMES)
    pipeline = make_pipeline(EuclideanAlignment(), network(max_epochs=2))
    with sklearn.config_context(enable_metadata_routing=True):
        ensemble = SeedEnsemble(pipeline, n_seeds=2, random_state=0).fit(loud, y, groups=people)
        of_people = ensemble.predict_proba(loud, groups=people)
        each = [one.predict_proba(loud, groups=people) for one in ensemble.estimators_]
    assert set(ensemble.estimators_[0][0].references_) == {"anna", "ben"}
    np.testing.assert_allclose(of_people, np.mean(each, axis=0))
    metadata = pd.DataFrame({"subject": people})
    folds = [(np.arange(18), np.arange(18, 36))]
    kept = compare({"it": SeedEnsemble(pipeline, n_seeds=1)}, loud, y, metadata, cv=folds, progress=False)
    alone = compare({"it": pipeline}, loud, y, metadata, cv=folds, progress=False)
    assert kept.scores["error"].tolist() == alone.scores["error"].tolist() == [""]
    routing = get_routing_for_object(SeedEnsemble(pipeline))
    assert routing.consumes("fit", ["groups"]) and routing.consumes("predict", ["groups"])
    assert not get_routing_for_object(SeedEnsemble(GaussianNB())).consumes("fit", ["groups"])


def test_ensembles_of_what_no_seed_decides_are_refused():
    with pytest.raises(ValueError, match="has no random_state: trained 5 times"):
        SeedEnsemble(make_pipeline(Flatten(), GaussianNB())).fit(*data())


@pytest.mark.parametrize("wrap", [lambda clf: clf, lambda clf: SeedEnsemble(clf, n_seeds=1)])
def test_codes_are_not_held_against_names(wrap):
    X, y = data()
    codes = (y == "b").astype(int) + 1
    info = mne.create_info(NAMES, 100.0, "eeg")
    events = np.column_stack([np.arange(36), np.zeros(36, int), codes])
    epochs = mne.EpochsArray(np.asarray(X) * 1e-6, info, events, event_id={"a": 1, "b": 2}, verbose=False)
    clf = wrap(network(max_epochs=2)).fit(epochs)
    with pytest.raises(ValueError, match=r"y has the labels \[1, 2\].*\['a', 'b'\] apart: codes of events"):
        clf.score(epochs, epochs.events[:, 2])
    assert clf.score(epochs) == clf.score(X, y)
    with pytest.warns(UserWarning, match="none of its predictions can be right"):
        assert clf.score(X, np.char.upper(y)) == 0
