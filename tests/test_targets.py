"""What estimators make of subjects, and of trials of the person to be decoded, that are handed to fit."""

import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skeeg
from skeeg import AttentionBaseNetClassifier, EuclideanAlignment, Scaler, SincShallowNetClassifier
from skeeg.baselines import make_csp_lda, make_fbcsp_lda
from skeeg.datasets import make_motor_imagery
from skeeg.preprocessing import BandPass, RiemannianAlignment, with_target_trials


@pytest.fixture(scope="module")
def data():
    """Two people to train on, and one to be decoded: half of whose trials are known beforehand."""
    X, y, metadata = make_motor_imagery(
        3, 24, n_chans=5, duration=2, difficulty=0.1, n_sessions=1, random_state=0
    )
    subjects = metadata["subject"].to_numpy()
    train, target = subjects < 3, np.flatnonzero(subjects == 3)
    known, new = target[:12], target[12:]
    return (X[train], y[train], subjects[train]), (X[known], y[known]), (X[new], y[new])


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# ----- alignment -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alignment", [EuclideanAlignment, RiemannianAlignment])
@pytest.mark.parametrize("option", ["X_target_unlabeled", "X_target_labeled"])
def test_whoever_comes_without_groups_has_the_reference_of_the_target(data, alignment, option):
    (X, _, subjects), (known, _), (new, _) = data
    fitted = alignment().fit(X, subjects=subjects, **{option: known})
    by_itself = alignment().fit(known)
    assert_allclose(fitted.transform(new), by_itself.transform(new), rtol=1e-5, atol=1e-6)
    plain = alignment().fit(X, groups=subjects)
    assert_array_equal(fitted.reference_, plain.reference_)  # the target counts in no other
    assert_array_equal(fitted.transform(X, groups=subjects), plain.transform(X, groups=subjects))


def test_together_and_trial_by_trial_begin_with_the_target(data):
    (X, _, subjects), (known, _), (new, _) = data
    for mode in ("causal", "single"):
        fitted = EuclideanAlignment(mode=mode).fit(X, subjects=subjects, X_target_unlabeled=known)
        later = EuclideanAlignment(mode=mode).fit(X, groups=subjects).partial_fit(known)
        assert_array_equal(fitted.transform(new), later.transform(new))
    fitted = EuclideanAlignment(mode="together", prior_weight=1e9)
    fitted.fit(X, subjects=subjects, X_target_unlabeled=known)
    aligned = fitted.transform(new)
    expected = EuclideanAlignment().fit(known).transform(new)
    power = aligned.std() / expected.std()  # of a prior the shape counts
    assert_allclose(aligned, expected * power, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("groups", [True, False])
def test_training_trials_are_not_the_targets(data, groups):
    (X, _, subjects), (known, _), _ = data
    subjects = subjects if groups else None
    aligned = EuclideanAlignment().fit_transform(X, subjects=subjects, X_target_unlabeled=known)
    assert_array_equal(aligned, EuclideanAlignment().fit_transform(X, groups=subjects))


def test_too_few_trials_of_the_target_are_said(data):
    (X, _, subjects), (known, _), (new, _) = data
    with pytest.warns(UserWarning, match="4 trials of the person to be decoded are fewer than min_trials=5"):
        fitted = EuclideanAlignment().fit(X, subjects=subjects, X_target_unlabeled=known[:4])
    with pytest.warns(UserWarning, match="fit had groups, transform has none"):
        aligned = fitted.transform(new)
    assert_array_equal(aligned, EuclideanAlignment().fit(X).transform(new))


def test_a_target_that_does_not_fit_leaves_alignment_as_it_was(data):
    (X, _, subjects), (known, _), _ = data
    alignment = EuclideanAlignment()
    for wrong in (np.asarray(known)[:, :3], np.full((6, 5, X.shape[2]), np.nan)):
        with pytest.raises(ValueError, match=r"3 channels|NaN"):
            alignment.fit(X, subjects=subjects, X_target_unlabeled=wrong)
        assert not hasattr(alignment, "reference_")


def test_the_reference_of_the_target_is_saved(data, tmp_path):
    (X, _, subjects), (known, _), (new, _) = data
    for mode in ("batch", "causal"):
        fitted = EuclideanAlignment(mode=mode).fit(X, subjects=subjects, X_target_unlabeled=known)
        skeeg.save(fitted, tmp_path / mode)
        assert_array_equal(skeeg.load(tmp_path / mode).transform(new), fitted.transform(new))


def test_subjects_and_groups_are_one_thing(data):
    (X, y, subjects), _, _ = data
    for estimator in (EuclideanAlignment(), AttentionBaseNetClassifier(max_epochs=1, verbose=0)):
        with pytest.raises(ValueError, match="two names for who trials are from"):
            estimator.fit(X, y, groups=subjects, subjects=subjects)


# ----- networks ------------------------------------------------------------------------------------------


def weights(network):
    return {name: value.clone() for name, value in network.module_.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_validation_is_by_subject(data):
    (X, y, subjects), _, _ = data
    networks = [
        AttentionBaseNetClassifier(max_epochs=2, train_split=0.5, random_state=0, verbose=0).fit(X, y, **who)
        for who in ({"subjects": subjects}, {"groups": subjects}, {})
    ]
    first, second, without = (network.history_["valid_loss"].tolist() for network in networks)
    assert first == second != without


def test_fine_tuning_is_a_second_shorter_fit(data):
    (X, y, subjects), (known, labels), _ = data
    common = {"random_state": 0, "verbose": 0, "sfreq": 125}
    network = SincShallowNetClassifier(max_epochs=10, lr=3e-3, train_split=0.5, patience=8, **common)
    params = network.get_params()
    network.fit(X, y, subjects=subjects, X_target_labeled=known, y_target_labeled=labels)
    assert network.get_params() == params

    by_hand = SincShallowNetClassifier(max_epochs=10, lr=3e-3, train_split=0.5, patience=8, **common)
    by_hand.fit(X, y, groups=subjects)
    n_epochs = len(by_hand.history_)
    by_hand.set_params(max_epochs=4, lr=1e-3, train_split=None, patience=None, warm_start=True)
    by_hand.fit(known, labels)
    assert_same(weights(network), weights(by_hand))
    assert network.history_["epoch"].tolist() == [*range(1, n_epochs + 5)]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"y_target_labeled": np.array(["left_hand", "right_hand"])}, "X"),
        ({"X_target_labeled": True}, "y"),
        ({"X_target_labeled": True, "y_target_labeled": np.array(["feet"] * 12)}, r"labels \['feet'\]"),
    ],
)
def test_a_target_without_sense_leaves_a_network_as_it_was(data, target, words):
    (X, y, _), (known, _), _ = data
    target = {name: known if value is True else value for name, value in target.items()}
    network = AttentionBaseNetClassifier(max_epochs=1, verbose=0)
    with pytest.raises((ValueError, TypeError), match=words):
        network.fit(np.asarray(X), y, **{k: np.asarray(v) for k, v in target.items()})
    assert not network.__sklearn_is_fitted__() and network.max_epochs == 1


# ----- pipelines -----------------------------------------------------------------------------------------


def test_target_trials_go_through_the_steps_before(data, routing):
    (X, y, subjects), (known, _), (new, _) = data
    pipeline = with_target_trials(make_csp_lda(recenter=True))
    pipeline.fit(X, y, subjects=subjects, X_target_unlabeled=known)
    band = BandPass(8, 30).fit(X)
    expected = EuclideanAlignment().fit(band.transform(known)).transform(band.transform(new))
    assert_allclose(pipeline[:2].transform(new), expected, rtol=1e-4, atol=1e-5)

    union = with_target_trials(make_fbcsp_lda(bands=[(8, 13), (16, 26)], recenter=True))
    union.fit(X, y, subjects=subjects, X_target_labeled=known)
    band = BandPass(16, 26).fit(X)
    expected = EuclideanAlignment().fit(band.transform(known)).transform(band.transform(new))
    of_band = union["bands"].transformer_list[1][1]
    assert_allclose(of_band[:2].transform(new), expected, rtol=1e-4, atol=1e-5)


def test_a_network_is_tuned_to_trials_as_the_steps_before_leave_them(data, routing):
    (X, y, subjects), (known, labels), (new, _) = data
    options = {"max_epochs": 5, "random_state": 0, "verbose": 0}
    steps = EuclideanAlignment(), Scaler(), AttentionBaseNetClassifier(sfreq=125, **options)
    pipeline = with_target_trials(make_pipeline(*steps))
    pipeline.fit(X, y, subjects=subjects, X_target_labeled=known, y_target_labeled=labels)

    aligned = EuclideanAlignment().fit_transform(X, groups=subjects)
    scaler = Scaler().fit(aligned)
    of_target = EuclideanAlignment().fit(known)
    network = AttentionBaseNetClassifier(sfreq=125, **options).fit(
        scaler.transform(aligned),
        y,
        groups=subjects,
        X_target_labeled=scaler.transform(of_target.transform(known)),
        y_target_labeled=labels,
    )
    expected = network.predict_proba(scaler.transform(of_target.transform(new)))
    assert_allclose(pipeline.predict_proba(new), expected, rtol=1e-4, atol=1e-5)


def test_without_asking_no_step_is_handed_what_it_was_not_fitted_to(data, routing):
    (X, y, subjects), (known, _), _ = data
    with pytest.raises(Exception, match="X_target_unlabeled"):
        make_csp_lda(recenter=True).fit(X, y, subjects=subjects, X_target_unlabeled=known)


def test_searches_ask_too(data, routing):
    (X, y, subjects), (known, _), (new, _) = data
    search = GridSearchCV(make_csp_lda(recenter=True), {"csp__nfilter": [2]}, cv=2)
    asking = with_target_trials(search)
    asking.fit(X, y, subjects=subjects, X_target_unlabeled=known)
    assert None in asking.best_estimator_["euclideanalignment"].references_
    assert len(asking.predict(new)) == len(new)


def test_who_cannot_use_target_trials_is_told():
    with pytest.raises(ValueError, match="no step can use trials of the person to be decoded"):
        with_target_trials(make_pipeline(Scaler(), LinearDiscriminantAnalysis()))
