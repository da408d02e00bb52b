"""Baselines: they decode, on every montage, rank and label, quietly."""

import warnings

import mne
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.covariance import OAS
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.utils import _safe_indexing

from skeeg import EEGArray
from skeeg.baselines import Covariances, make_csp_lda, make_fbcsp_lda, make_mdm, make_tangent_space_lr
from skeeg.datasets import load_motor_imagery, make_motor_imagery
from skeeg.preprocessing import EuclideanAlignment, RiemannianAlignment, Scaler

BANDS = [(8, 13), (16, 26)]


def make_small_fbcsp_lda(sfreq=None, **parameters):
    return make_fbcsp_lda(sfreq, BANDS, n_features=2, **parameters)


MAKERS = [make_csp_lda, make_small_fbcsp_lda, make_mdm, make_tangent_space_lr]
all_baselines = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


@pytest.fixture(scope="module")
def recording():
    X, y, _ = make_motor_imagery(1, 120, n_chans=8, difficulty=0.0, random_state=0)
    return X, y


@all_baselines
def test_baselines_decode_and_print_nothing(make, recording, capfd, recwarn):
    X, y = recording
    pipe = make()
    assert pipe.fit(X[:80], y[:80]).score(X[80:], y[80:]) > 0.75
    assert set(pipe.predict(X[:5])) <= {"left_hand", "right_hand"}
    assert capfd.readouterr() == ("", "") and not recwarn.list


@all_baselines
@pytest.mark.parametrize("n_chans", [1, 2, 3])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_few_channels_and_many_classes(make, n_chans, n_classes, recwarn):
    X, y, _ = make_motor_imagery(1, 40, n_classes, n_chans, difficulty=0.0, random_state=0)
    pipe = make().fit(X, y)
    assert pipe.predict_proba(X).shape == (40, n_classes)
    assert pipe.score(X, y) > 1.2 / n_classes
    assert not recwarn.list


@all_baselines
@pytest.mark.parametrize("recenter, covariance", [(False, "oas"), (True, "oas"), (True, "sign")])
def test_rank_deficient_data_decode_as_well(make, recenter, covariance, recording):
    X, y = np.array(recording[0]), recording[1]
    X[:, 7] = (X[:, 5] + X[:, 6]) / 2  # interpolated
    X -= X.mean(axis=1, keepdims=True)  # average reference
    pipe = make(125.0, recenter=recenter, covariance=covariance)
    assert pipe.fit(X[:80], y[:80]).score(X[80:], y[80:]) > 0.7


@all_baselines
def test_the_unit_does_not_matter(make, recording):
    X, y = np.asarray(recording[0], dtype=np.float64), recording[1]
    pipe = make(125.0)
    microvolts = pipe.fit(X[:80], y[:80]).predict(X[80:])
    assert np.mean(clone(pipe).fit(1e-6 * X[:80], y[:80]).predict(1e-6 * X[80:]) == microvolts) > 0.95


@all_baselines
def test_epochs_and_labels_in_any_container(make, recording):
    X, y = recording
    info = mne.create_info(list(X.ch_names), X.sfreq, "eeg")
    codes = np.where(y == "left_hand", 1, 2)
    events = np.column_stack([np.arange(len(y)), np.zeros(len(y), int), codes])
    epochs = mne.EpochsArray(1e-6 * np.asarray(X), info, events, verbose="error")
    expected = make().fit(X[:80], codes[:80]).predict(X[80:])
    train, test = (_safe_indexing(epochs, np.arange(*rows)) for rows in ((0, 80), (80, 120)))
    assert np.mean(make().fit(train, pd.Series(codes[:80])).predict(test) == expected) > 0.95
    assert np.array_equal(
        make(X.sfreq).fit(np.asarray(X)[:80], codes[:80]).predict(np.asarray(X)[80:]), expected
    )


@all_baselines
def test_plain_arrays_need_the_sampling_rate(make):
    with pytest.raises(ValueError, match="BandPass needs the sampling rate"):
        make().fit(np.zeros((4, 2, 100)), [0, 1, 0, 1])


@all_baselines
def test_recentering_gets_subjects_by_metadata_routing(make, recording):
    """Two people whose channels have other gains: what holds for one holds for the other once aligned."""
    X, y = recording
    gains = np.random.default_rng(0).uniform(0.1, 10, (8, 1))
    both = EEGArray(np.concatenate([X[:60], gains * X[60:]]), X.sfreq)
    subjects = np.repeat(["anna", "ben"], 60)
    with sklearn.config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            make(recenter=True), both, y, cv=LeaveOneGroupOut(), params={"groups": subjects}
        )
    assert np.mean(scores) > 0.7
    steps = [name for name in make(recenter=True).get_params() if name.endswith("euclideanalignment")]
    assert steps and isinstance(make(recenter=True).get_params()[steps[0]], EuclideanAlignment)


@all_baselines
@pytest.mark.parametrize("mode", ["batch", "causal"])
def test_any_alignment_recenters_filtered_trials(make, mode, recording):
    X, y = recording
    gains = np.random.default_rng(0).uniform(0.1, 10, (8, 1))
    both = EEGArray(np.concatenate([X[:60], gains * X[60:]]), X.sfreq)
    given = RiemannianAlignment(mode=mode)
    pipe = make(recenter=given)
    steps = [step for name, step in pipe.get_params().items() if name.endswith("riemannianalignment")]
    assert steps and all(step.mode == mode and step is not given for step in steps)
    with sklearn.config_context(enable_metadata_routing=True):
        pipe.fit(both[:60], y[:60], groups=np.repeat("anna", 60))
        predicted = pipe.predict(both[60:], groups=np.repeat("ben", 60))
        few = pipe.predict(both[60:90], groups=np.repeat("ben", 30))
    assert np.mean(predicted == y[60:]) > 0.7
    if mode == "causal":  # what comes later does not matter
        np.testing.assert_array_equal(few, predicted[:30])


def test_what_is_no_alignment_is_refused():
    for wrong in ("riemannian", 1, EuclideanAlignment, Scaler()):
        with pytest.raises(TypeError, match=r"recenter=.*give True, False, or an alignment"):
            make_mdm(recenter=wrong)


def test_bands_fit_the_sampling_rate():
    def names(pipe):
        return [name for name, _ in pipe.named_steps["bands"].transformer_list]

    assert names(make_fbcsp_lda(250))[0] == "4-8 Hz" and names(make_fbcsp_lda(250))[-1] == "36-40 Hz"
    assert names(make_fbcsp_lda(64))[-1] == "24-28 Hz"
    assert names(make_fbcsp_lda(80))[-1] == "32-36 Hz"


def test_filter_bank_fits_are_repeatable(recording):
    X, y = recording
    first, second = (make_small_fbcsp_lda().fit(X[:80], y[:80]).predict_proba(X[80:]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@all_baselines
def test_trials_of_another_unit_are_pointed_out(make):
    X, y, _ = make_motor_imagery(1, 40, n_chans=5, difficulty=0.0, random_state=0)
    pipeline = make().fit(X, y)
    with pytest.warns(UserWarning, match="another unit"):
        pipeline.predict(1e-6 * X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pipeline.predict(3 * X)


@all_baselines
@pytest.mark.parametrize("recenter", [False, True])
def test_flat_trials_are_named(make, recenter, recording):
    X, y = np.array(recording[0]), recording[1]
    flat = X.copy()
    flat[[3, 40]] = 0
    flat[7] = 1234.5
    pipe = make(125.0, recenter=recenter)
    message = r"trials \[3, 7, 40\] of 80 are flat, .*np.delete\(X, faults.trials, axis=0\), and of y"
    with (
        pytest.warns(UserWarning, match=r"in trials \[3, 7, 40\] of 80, all channels are flat"),
        pytest.raises(ValueError, match=message),
    ):
        pipe.fit(flat[:80], y[:80])
    pipe.fit(X[:80], y[:80])
    with pytest.raises(ValueError, match=message):
        pipe.predict(flat[:80])
    assert pipe.predict(np.delete(flat, [3, 7, 40], axis=0)).shape == (117,)


@all_baselines
def test_a_flat_channel_in_a_trial_is_named_and_does_no_harm(make, recording):
    X, y = np.array(recording[0]), recording[1]
    X[7, 2] = 0
    with pytest.warns(UserWarning, match=r"in trials \[7\] of 80, channels \[2\] are flat"):
        pipe = make(125.0).fit(X[:80], y[:80])
    assert pipe.score(X[80:], y[80:]) > 0.75
    assert pipe.predict(X[7:8]).shape == (1,)


@all_baselines
def test_loud_trials_do_no_harm_under_a_robust_covariance(make, recording):
    X, y = np.array(recording[0]), recording[1]
    pipe = make(125.0, covariance="sign").fit(X[:80], y[:80])
    loud = X.copy()
    loud[[3, 40]] *= 1e4
    loud[7, :, : X.shape[2] // 2] *= 300
    with pytest.warns(UserWarning, match=r'may keep loud and clipped trials, with covariance="sign"'):
        robust = make(125.0, covariance="sign").fit(loud[:80], y[:80])
    assert abs(robust.score(X[80:], y[80:]) - pipe.score(X[80:], y[80:])) <= 0.05
    assert np.array_equal(pipe.predict(np.float32(1e3) * X[80:]), pipe.predict(X[80:]))


@pytest.mark.filterwarnings("ignore:in trials")
def test_one_loud_trial_costs_csp_nothing_on_real_recordings():
    X, y, metadata = load_motor_imagery()
    train = (metadata["subject"] % 2 == 0).to_numpy()
    loud = EEGArray(np.array(X[train]), X.sfreq)
    loud[11] *= 100

    def score(trials, covariance):
        return make_csp_lda(covariance=covariance).fit(trials, y[train]).score(X[~train], y[~train])

    assert score(loud, "sign") > score(X[train], "sign") - 0.01
    assert score(loud, "oas") < score(X[train], "oas") - 0.03


def test_sign_covariance_is_that_of_samples_of_one_length():
    X = np.random.default_rng(0).standard_normal((3, 4, 60))
    X[1, 2] = X[1, 0] - X[1, 1]  # no inverse
    X[2, :, ::5] *= 100
    X[2, :, 7] = 0
    for trial, found in zip(X, Covariances("sign").fit_transform(X), strict=True):
        samples = [2 * sample / max(np.linalg.norm(sample), 1e-9) for sample in trial.T]
        np.testing.assert_allclose(found, OAS().fit(samples).covariance_)


def test_one_channel_has_no_robust_covariance():
    X, y, _ = make_motor_imagery(1, 20, n_chans=1, random_state=0)
    with pytest.raises(ValueError, match='covariance="sign" compares channels, but trials have one'):
        make_csp_lda(covariance="sign").fit(X, y)
    with pytest.raises(ValueError, match="oas"):
        make_mdm(covariance="robust").fit(*make_motor_imagery(1, 20, random_state=0)[:2])
