"""Steps of scikit-learn, pyRiemann and MNE: saved without pickle, and their tables and names."""

import mne
import numpy as np
import pandas as pd
import pytest
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest, VarianceThreshold, mutual_info_classif
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

import skeeg
from skeeg import AttentionBaseNetClassifier, EEGArray, Scaler, baselines
from skeeg.persistence import steps

NAMES = ["C3", "Cz", "C4", "P3", "P4"]


def data(n_classes=2):
    y = np.resize(["a", "b", "c"][:n_classes], 36)
    X = 10 * np.random.default_rng(0).standard_normal((36, 5, 100))
    X[y == "a", 0] *= 2
    return EEGArray(X, 250.0, NAMES), y


def flat(*steps):
    return [mne.decoding.Scaler(scalings="mean"), mne.decoding.Vectorizer(), *steps]


def tangents(*steps):
    return [Covariances("oas"), TangentSpace(), *steps]


PIPELINES = {
    "mne csp, lda": lambda: [mne.decoding.CSP(4, reg="oas", log=True), LinearDiscriminantAnalysis()],
    "mne csp, svc": lambda: [Scaler(), mne.decoding.CSP(3), StandardScaler(), SVC()],
    "mne csp in time": lambda: [
        mne.decoding.CSP(3, transform_into="csp_space"),
        mne.decoding.Vectorizer(),
        LogisticRegression(),
    ],
    "pca, linear svc": lambda: flat(PCA(0.9), LinearSVC()),
    "robust, pca, svc": lambda: [
        mne.decoding.Scaler(scalings="median"),
        mne.decoding.Vectorizer(),
        PCA(4),
        SVC(kernel="linear"),
    ],
    "naive bayes": lambda: tangents(MinMaxScaler(), GaussianNB()),
    "normal": lambda: tangents(Normalizer(), LogisticRegression()),
    "selected": lambda: tangents(RobustScaler(), VarianceThreshold(), SelectKBest(k=4), LinearSVC()),
    "informative": lambda: tangents(SelectKBest(mutual_info_classif, k=4), SVC(C=3)),
}


@pytest.mark.filterwarnings("ignore:.*Liblinear")
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", PIPELINES)
def test_they_come_back_to_the_bit(name, n_classes, tmp_path):
    X, y = data(n_classes)
    with mne.use_log_level("ERROR"):
        pipe = make_pipeline(*PIPELINES[name]()).fit(X, y)
    skeeg.save(pipe, tmp_path / "pipe")
    same = skeeg.load(tmp_path / "pipe")
    assert repr(same) == repr(pipe)
    for method in ("predict", "decision_function", "predict_proba"):
        if hasattr(pipe, method):
            np.testing.assert_array_equal(getattr(same, method)(X), getattr(pipe, method)(X))


def test_tables_are_kept(tmp_path):
    X, y = data()
    scaler = StandardScaler().set_output(transform="pandas")
    pipe = make_pipeline(mne.decoding.Vectorizer(), scaler, PCA(2), GaussianNB()).fit(X, y)
    skeeg.save(pipe, tmp_path / "pipe")
    same = skeeg.load(tmp_path / "pipe")
    assert isinstance(same[:2].transform(X), pd.DataFrame)
    assert same[2].feature_names_in_.tolist() == pipe[2].feature_names_in_.tolist()
    pd.testing.assert_frame_equal(same[:2].transform(X), pipe[:2].transform(X))


@pytest.mark.parametrize(
    ("step", "change", "message"),
    [
        (-1, {"support_": np.full(36, 99, np.int32)}, "support_vectors_ has the shape"),
        (-1, {"shape_fit_": (3, 3)}, "support_vectors_ names trials that there are not among 3"),
        (-1, {"_n_support": np.zeros(2, np.int32)}, "rows, not 0"),
        (-1, {"_dual_coef_": np.ones((1, 1))}, "support_vectors_ has the shape"),
        (-1, {"_sparse": True}, "_sparse is True"),
        (-1, {"_probA": np.ones(2)}, "_probA holds 2 numbers for 2 classes"),
        (0, {"sorter_": np.zeros(5, np.int64)}, "sorter_ holds no different places"),
        (0, {"cov_callable": 1}, "does not learn"),
    ],
)
def test_what_libraries_do_not_learn_is_refused(step, change, message):
    X, y = data()
    with mne.use_log_level("ERROR"):
        found = make_pipeline(mne.decoding.CSP(3), SVC()).fit(X, y)[step]
    name = steps.name_of(type(found))
    values = {k: v for k, v in vars(found).items() if k not in (*found.get_params(), *steps.MADE_ANEW)}
    steps.check(name, values)
    with pytest.raises(ValueError, match=message):
        steps.check(name, values | change)


# ----- tables and names through pipelines -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: baselines.make_csp_lda(n_components=2)[:-1], ["csp0", "csp1"]),
        (
            lambda: baselines.make_fbcsp_lda(bands=[(8, 12), (12, 30)], n_components=1, n_features=1)[:-2],
            ["8-12 Hz__csp0", "12-30 Hz__csp0"],
        ),
        (baselines.make_mdm, ["mdm0", "mdm1"]),
        (lambda: baselines.make_tangent_space_lr()[:-1], [f"tangentspace{i}" for i in range(15)]),
        (
            lambda: make_pipeline(Scaler(), AttentionBaseNetClassifier(max_epochs=1, random_state=0)),
            None,
        ),
    ],
)
def test_pipelines_make_tables_with_names(make, names):
    X, y = data()
    pipe = make().set_output(transform="pandas").fit(X, y)
    table = pipe.transform(X)
    assert isinstance(table, pd.DataFrame)
    assert table.columns.tolist() == pipe.get_feature_names_out().tolist()
    assert names is None or table.columns.tolist() == names
    np.testing.assert_array_equal(table, make().fit(X, y).transform(X))


def test_trials_stay_trials_and_their_channels_have_names():
    X, y = data()
    scaler = Scaler().set_output(transform="pandas").fit(X, y)
    assert isinstance(scaler.transform(X), EEGArray)
    assert scaler.get_feature_names_out().tolist() == NAMES
    assert Scaler().fit(np.asarray(X)).get_feature_names_out().tolist()[:2] == ["channel0", "channel1"]
    import sklearn

    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(scaler.transform(X), EEGArray)
        assert isinstance(baselines.make_csp_lda().fit(X, y)[:-1].transform(X), pd.DataFrame)
