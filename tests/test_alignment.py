"""Alignment trial by trial: order, state, limit, artefacts, changes of electrodes; Riemannian means."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from pyriemann.estimation import Covariances
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skeeg
from skeeg.export import to_torch
from skeeg.preprocessing import EuclideanAlignment, RiemannianAlignment
from skeeg.preprocessing.references import Riemannian, Seen, take_in, whitening

N_CHANS, N_TIMES = 4, 120
both = pytest.mark.parametrize("cls", [EuclideanAlignment, RiemannianAlignment])
live_modes = pytest.mark.parametrize("mode", ["causal", "single"])


def trials_of_a_person(seed, n_trials=30, scale=1.0):
    """Trials of noise, mixed as this person mixes."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(N_CHANS) + 0.4 * rng.standard_normal((N_CHANS, N_CHANS))
    return scale * mixing @ rng.standard_normal((n_trials, N_CHANS, N_TIMES))


@pytest.fixture
def people():
    X = np.concatenate([trials_of_a_person(seed) for seed in (1, 2)])
    return X, np.repeat(["anna", "ben"], 30)


def fitted(people, cls=EuclideanAlignment, **parameters):
    X, groups = people
    return cls(**parameters).fit(X, groups=groups)


def one_by_one(alignment, X, **groups):
    return np.concatenate([alignment.transform(trial[np.newaxis], **groups) for trial in X])


def covariances(X):
    return np.array([trial @ trial.T / trial.shape[1] for trial in X])


def distance_from_identity(X):
    return np.linalg.norm(covariances(X).mean(axis=0) - np.eye(X.shape[1]))


# What a trial is aligned by ------------------------------------------------------------------------------


@both
def test_a_causal_trial_depends_on_itself_and_those_before_alone(people, cls):
    X = trials_of_a_person(3)
    alignment = fitted(people, cls, mode="causal")
    before = alignment.transform(X)
    for k in (1, 7, 29):
        changed = X.copy()
        changed[k:] *= [[[2.0], [0.5], [1.0], [1.5]]]
        after = alignment.transform(changed)
        assert_array_equal(before[:k], after[:k])
        assert not np.allclose(before[k:], after[k:])


@both
def test_a_single_trial_depends_on_itself_alone(people, cls):
    X = trials_of_a_person(3)
    alignment = fitted(people, cls, mode="single")
    together = alignment.transform(X)
    assert_array_equal(together, one_by_one(alignment, X))
    assert_array_equal(alignment.transform(X[::-1])[::-1], together)
    assert_array_equal(fitted(people, cls, mode="causal").transform(X[:1]), together[:1])


@pytest.mark.parametrize("prior_weight", [0.0, 0.5, 2.0, 7])
def test_the_reference_is_the_mean_seen_drawn_towards_the_prior_in_its_power(people, prior_weight):
    X = trials_of_a_person(3, scale=25)
    alignment = fitted(people, mode="causal", prior_weight=prior_weight, outlier_ratio=None)
    aligned, seen = alignment.transform(X), covariances(X)
    for k in (0, 1, 11):
        mean, prior = seen[: k + 1].mean(axis=0), alignment.reference_
        power = np.exp(np.median(np.log(np.diag(mean) / np.diag(prior))))
        reference = (prior_weight * power * prior + (k + 1) * mean) / (prior_weight + k + 1)
        values, vectors = np.linalg.eigh(reference)
        assert_allclose(aligned[k], vectors @ np.diag(values**-0.5) @ vectors.T @ X[k], rtol=1e-8, atol=1e-9)


@both
def test_gain_and_unit_of_a_new_person_do_not_matter(people, cls):
    X = trials_of_a_person(3)
    alignment = fitted(people, cls, mode="causal")
    assert_allclose(alignment.transform(1e-6 * X), alignment.transform(X), rtol=1e-6, atol=1e-8)


@both
def test_in_the_limit_causal_is_batch(people, cls):
    X = trials_of_a_person(3, 150)
    causal = fitted(people, cls, mode="causal").transform(X, groups=["carl"] * 150)
    batch = fitted(people, cls).transform(X, groups=["carl"] * 150)
    difference = np.abs(causal - batch).max(axis=(1, 2))
    assert 5 * difference[-20:].max() < difference[:2].max()
    assert np.sqrt(np.mean((causal[-20:] - batch[-20:]) ** 2)) < 0.03
    # without a prior and without outliers, the last trial has seen what batch sees
    bare = fitted(people, cls, mode="causal", prior_weight=0, outlier_ratio=None)
    tolerance = 1e-9 if cls is EuclideanAlignment else 0.02  # steps along geodesics are no exact mean
    assert_allclose(bare.transform(X)[-1], batch[-1], atol=tolerance)


def test_a_known_group_starts_from_its_own_reference(people):
    X = trials_of_a_person(1, 35)[30:]  # more of anna
    alignment = fitted(people, mode="causal")
    own, new = (alignment.transform(X, groups=[name] * 5) for name in ("anna", "carl"))
    assert distance_from_identity(own) < distance_from_identity(new)
    assert_array_equal(new, alignment.transform(X))  # without groups: one new person


def test_together_all_trials_of_a_call_and_the_prior_make_the_reference(people):
    X = trials_of_a_person(3)
    together = fitted(people, mode="together")
    aligned = together.transform(X)
    assert_allclose(together.transform(X[::-1])[::-1], aligned, rtol=1e-9, atol=1e-12)
    causal = fitted(people, mode="causal", outlier_ratio=None).transform(X)
    assert_allclose(aligned[-1], causal[-1], rtol=1e-6)  # whose last trial has seen all
    assert together.seen_ == {}


def test_groups_in_one_call_do_not_mix(people):
    first, second = trials_of_a_person(3), trials_of_a_person(4)
    alignment = fitted(people, mode="causal")
    interleaved = np.stack([first, second], axis=1).reshape(-1, N_CHANS, N_TIMES)
    aligned = alignment.transform(interleaved, groups=["carl", "dora"] * 30)
    assert_array_equal(aligned[::2], alignment.transform(first))
    assert_array_equal(aligned[1::2], alignment.transform(second))


def test_labels_play_no_part(people):
    X, groups = people
    alignments = [
        EuclideanAlignment(mode="causal").fit(X, y, groups=groups).partial_fit(X[:9], y[:9])
        for y in (np.zeros(60), np.arange(60))
    ]
    assert_array_equal(*(alignment.transform(X[:5]) for alignment in alignments))


# State ---------------------------------------------------------------------------------------------------


@both
@live_modes
def test_transform_keeps_nothing_unless_asked_to(people, cls, mode):
    X = trials_of_a_person(3)
    alignment = fitted(people, cls, mode=mode)
    first = alignment.transform(X)
    assert alignment.seen_ == {}
    assert_array_equal(alignment.transform(X), first)


@both
def test_with_update_trials_may_come_one_by_one_or_in_blocks(people, cls):
    X = trials_of_a_person(3)
    alignment = fitted(people, cls, mode="causal")
    together = alignment.transform(X, groups=["carl"] * 30)
    alone, in_blocks = (clone(alignment).set_params(update=True) for _ in range(2))
    for one in (alone, in_blocks):
        one.fit(people[0], groups=people[1])
    assert_array_equal(one_by_one(alone, X, groups=["carl"]), together)
    blocks = [in_blocks.transform(X[i : i + 7], groups=["carl"] * len(X[i : i + 7])) for i in range(0, 30, 7)]
    assert_array_equal(np.concatenate(blocks), together)
    assert alone.seen_["carl"][0] == 30
    for kept, other in zip(alone.seen_["carl"], in_blocks.seen_["carl"], strict=True):
        assert_array_equal(kept, other)


@both
@live_modes
def test_partial_fit_is_what_update_would_have_kept(people, cls, mode):
    X = trials_of_a_person(3)
    given = fitted(people, cls, mode=mode).partial_fit(X[:20])
    updated = fitted(people, cls, mode="causal", update=True)
    updated.transform(X[:20])
    for kept, other in zip(given.seen_[None], updated.seen_[None], strict=True):
        assert_array_equal(kept, other)
    assert_array_equal(given.transform(X[20:21]), updated.transform(X[20:21]))
    assert distance_from_identity(given.transform(X[20:])) < distance_from_identity(
        fitted(people, cls, mode="single").transform(X[20:])
    )


@both
def test_partial_fit_in_batch_counts_like_fit(people, cls):
    X, groups = people
    order = np.random.default_rng(0).permutation(len(X))
    X, groups = X[order], groups[order]
    whole = cls().fit(X, groups=groups)
    parts = cls().partial_fit(X[:25], groups=groups[:25]).partial_fit(X[25:], groups=groups[25:])
    tolerance = 1e-12 if cls is EuclideanAlignment else 0.05
    assert_allclose(parts.reference_, whole.reference_, rtol=tolerance, atol=tolerance)
    for name in ("anna", "ben"):
        assert_allclose(parts.references_[name], whole.references_[name], rtol=tolerance, atol=tolerance)
    assert parts.group_sizes_ == whole.group_sizes_ == {"anna": 30, "ben": 30}
    assert parts.n_trials_ == whole.n_trials_ == 60


def test_fit_starts_afresh_and_training_trials_are_not_what_is_seen_live(people):
    X, groups = people
    alignment = EuclideanAlignment(mode="causal", update=True)
    alignment.fit_transform(X, groups=groups)
    assert alignment.seen_ == {}
    alignment.transform(X[:5])
    assert alignment.seen_[None][0] == 5
    assert alignment.fit(X).seen_ == {} and alignment.references_ == {}


@both
def test_the_state_is_saved_and_pickled(people, cls, tmp_path):
    X = trials_of_a_person(3)
    alignment = fitted(people, cls, mode="causal", update=True)
    alignment.transform(X[:12])
    alignment.partial_fit(X[12:15], groups=["carl"] * 3)
    skeeg.save(alignment, tmp_path / "state.safetensors")
    copies = [skeeg.load(tmp_path / "state.safetensors"), pickle.loads(pickle.dumps(alignment))]
    expected = [alignment.transform(X[15:]), alignment.transform(X[15:], groups=["carl"] * 15)]
    for copy in copies:
        assert copy.get_params() == alignment.get_params()
        assert_array_equal(copy.transform(X[15:]), expected[0])
        assert_array_equal(copy.transform(X[15:], groups=["carl"] * 15), expected[1])


@pytest.mark.parametrize(
    "seen",
    [
        (3, np.eye(4), np.zeros(4)),
        (-1, np.eye(4), np.zeros(4), np.zeros((0, 4, 4))),
        (3, np.eye(3), np.zeros(4), np.zeros((0, 4, 4))),
        (3, -np.eye(4), np.zeros(4), np.zeros((0, 4, 4))),
        (3, np.eye(4), np.full(4, np.nan), np.zeros((0, 4, 4))),
        (3, np.eye(4), np.zeros(4), np.zeros((6, 4, 4))),
        (3, np.eye(4), np.zeros(4), -np.eye(4)[np.newaxis]),
    ],
    ids=["too few", "count", "channels", "no covariance", "levels", "too many recent", "recent"],
)
def test_a_file_cannot_hold_a_state_that_was_never_seen(people, seen, tmp_path):
    alignment = fitted(people, mode="causal")
    alignment.seen_ = {None: seen}
    with pytest.raises(ValueError, match="seen_"):
        skeeg.save(alignment, tmp_path / "state.safetensors")


def test_a_refused_call_leaves_the_state_as_it_was(people):
    X = trials_of_a_person(3)
    alignment = fitted(people, mode="causal", update=True)
    alignment.transform(X[:3])
    before = alignment.seen_
    for wrong in (X[:, :2], np.full_like(X, np.nan)):
        for method in (alignment.transform, alignment.partial_fit):
            with pytest.raises(ValueError, match=r"3 channels|2 channels|NaN"):
                method(wrong)
    with pytest.raises(ValueError, match="groups has shape"):
        alignment.transform(X, groups=["carl"])
    assert alignment.seen_ is before


@pytest.mark.parametrize("mode", ["batch", "single"])
def test_update_needs_a_mode_that_keeps(people, mode):
    with pytest.raises(ValueError, match=f"update=True, but mode='{mode}' keeps nothing"):
        fitted(people, mode=mode, update=True)
    alignment = fitted(people, mode=mode).set_params(update=True)
    with pytest.raises(ValueError, match="keeps nothing"):
        alignment.transform(people[0])


@pytest.mark.parametrize(
    "wrong", [{"mode": "online"}, {"prior_weight": -1}, {"prior_weight": np.inf}, {"outlier_ratio": 1}]
)
def test_parameters_are_checked_by_name(people, wrong):
    with pytest.raises(ValueError, match=f"'{next(iter(wrong))}' parameter of EuclideanAlignment"):
        fitted(people, **wrong)


def test_numbers_of_numpy_are_numbers(people):
    X = trials_of_a_person(3)
    plain = fitted(people, mode="causal", prior_weight=2.5, outlier_ratio=9.0)
    numpy = fitted(people, mode="causal", prior_weight=np.float32(2.5), outlier_ratio=np.float16(9))
    assert_array_equal(numpy.transform(X), plain.transform(X))


def test_files_of_before_predict_and_refuse_to_count_on(people):
    alignment = fitted(people)
    expected = alignment.transform(people[0], groups=people[1])
    del alignment.seen_, alignment.n_trials_, alignment.group_sizes_  # as skeeg 0.1 saved it
    assert_array_equal(alignment.transform(people[0], groups=people[1]), expected)
    with pytest.raises(ValueError, match="fit afresh"):
        alignment.partial_fit(*people)


# Artefacts, electrodes, classes --------------------------------------------------------------------------


@both
@pytest.mark.parametrize("place", [0, 1, 2, 12])
def test_an_artefact_does_not_outlast_its_trial(people, cls, place):
    clean = trials_of_a_person(3)
    X = clean.copy()
    X[place] *= [[1.0], [1.0], [300.0], [1.0]]
    alignment = fitted(people, cls, mode="causal")
    with_artefact, without = alignment.transform(X), alignment.transform(np.delete(clean, place, axis=0))
    start = max(place, 3)  # an artefact at the start is known as one when there are three trials
    assert_allclose(with_artefact[start + 1 :], without[start:], atol=0.35)
    assert distance_from_identity(with_artefact[start + 1 :]) < 0.6
    everything = fitted(people, cls, mode="causal", outlier_ratio=None).transform(X)
    assert distance_from_identity(everything[start + 1 :]) > distance_from_identity(
        with_artefact[start + 1 :]
    )


@both
@pytest.mark.parametrize("gain", [0.02, 0.3, 3.0, 50.0])
def test_alignment_recovers_after_electrodes_change(people, cls, gain):
    X = trials_of_a_person(3, 60)
    X[30:, 1] *= gain
    alignment = fitted(people, cls, mode="causal", update=True)
    aligned = one_by_one(alignment, X)
    # three trials tell a change from artefacts; after it, all is as at the start
    assert distance_from_identity(aligned[33:]) < 1.3 * distance_from_identity(aligned[3:30])
    assert alignment.seen_[None][0] <= 33  # what was seen before the change is forgotten
    stubborn = fitted(people, cls, mode="causal", outlier_ratio=None).transform(X)
    assert distance_from_identity(stubborn[33:]) > 1.2 * distance_from_identity(aligned[33:])


def test_ordinary_trials_are_no_outliers():
    rng = np.random.default_rng(0)
    seen = Seen.nothing(N_CHANS)
    for covariance in covariances(trials_of_a_person(3, 100) * rng.uniform(0.7, 1.4, (100, 1, 1))):
        seen, *_ = take_in(seen, covariance, EuclideanAlignment._geometry, 10.0)
    assert seen.n_trials == 100 and len(seen.recent) == 5


@pytest.mark.parametrize(("ratio", "left_out"), [(8.9, True), (9.1, False)])
def test_outlier_ratio_is_of_power_up_and_down(ratio, left_out):
    seen = Seen.nothing(2)
    for _ in range(6):
        seen, *_ = take_in(seen, np.eye(2), EuclideanAlignment._geometry, ratio)
    for power in (9.0, 1 / 9.0):
        after, n_trials, mean = take_in(seen, np.diag([power, 1]), EuclideanAlignment._geometry, ratio)
        assert after.n_trials == (6 if left_out else 7)
        assert (n_trials, mean[0, 0]) == (1, power) if left_out else n_trials == 7


def test_three_of_the_last_five_make_a_change():
    geometry, seen = EuclideanAlignment._geometry, Seen.nothing(2)
    for _ in range(8):
        seen, *_ = take_in(seen, np.eye(2), geometry, 10.0)
    far = np.diag([100.0, 1.0])
    counts = []
    for covariance in (far, np.eye(2), far, np.eye(2), far):
        seen, *_ = take_in(seen, covariance, geometry, 10.0)
        counts.append(seen.n_trials)
    assert counts == [8, 9, 9, 10, 3]
    assert_array_equal(seen.mean, far)


def test_a_flood_of_one_class_moves_the_reference_less_than_a_person_does(people):
    """Two classes that differ in the power of two channels; first thirty trials of one of them."""
    y = np.r_[np.zeros(30, int), np.arange(60) % 2]
    X = trials_of_a_person(3, 90)
    X[y == 0, 0] *= 1.25
    X[y == 1, 1] *= 1.25
    alignment = fitted(people, mode="causal")
    flooded = alignment.transform(X)
    batch = fitted(people).transform(X[30:], groups=["carl"] * 60)
    own = whitening(alignment.reference_) @ X[30:]
    assert np.abs(flooded[30:] - batch).mean() < 0.5 * np.abs(own - batch).mean()
    late = np.abs(flooded[-10:] - batch[-10:]).mean()
    assert late < 0.05 < np.abs(flooded[30:40] - batch[:10]).mean()


@both
@live_modes
def test_silent_trials_stay_silent_and_tell_nothing(people, cls, mode):
    X = trials_of_a_person(3, 6)
    alignment = fitted(people, cls, mode=mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = alignment.transform(X)
        with_silence = alignment.transform(np.insert(X, [0, 3], 0.0, axis=0))
        flat = X.copy()
        flat[:, 2] = 0.0
        assert np.isfinite(alignment.transform(flat)).all()
    assert_array_equal(with_silence[[0, 4]], 0)
    assert_array_equal(np.delete(with_silence, [0, 4], axis=0), expected)


@both
def test_rank_deficient_trials_are_aligned_trial_by_trial(people, cls):
    X = people[0] - people[0].mean(axis=1, keepdims=True)  # average reference
    for mode in ("batch", "causal", "single"):
        aligned = cls(mode=mode).fit_transform(X)
        assert np.isfinite(aligned).all() and aligned.std() < 2


# Riemannian means ----------------------------------------------------------------------------------------


def test_riemannian_alignment_brings_the_riemannian_mean_to_the_identity(people):
    X, groups = people
    alignment = RiemannianAlignment().fit(X, groups=groups)
    for name in ("anna", "ben"):
        whitened = whitening(alignment.references_[name])
        centred = whitened @ Riemannian.covariances(X[groups == name]) @ whitened
        values, vectors = np.linalg.eigh(centred)
        logarithms = vectors * np.log(values)[:, np.newaxis] @ vectors.transpose(0, 2, 1)
        assert_allclose(logarithms.mean(axis=0), 0, atol=1e-6)  # what defines this mean


def test_riemannian_covariances_are_shrunk_in_their_correlations(people):
    trial = people[0][:1]
    gains = np.array([[1.0], [10.0], [1e-3], [5.0]])
    covariance = Riemannian.covariances(trial * gains)[0]
    assert_allclose(covariance, gains * Riemannian.covariances(trial)[0] * gains.T, rtol=1e-9)
    standardised = trial / trial.std(axis=2, keepdims=True)
    assert_allclose(
        Riemannian.covariances(standardised)[0], Covariances("oas").transform(standardised)[0], rtol=1e-9
    )


# In pipelines --------------------------------------------------------------------------------------------


def test_predict_on_one_trial_uses_the_state_and_moves_it_only_when_asked_to(people):
    X, groups = people
    y = np.arange(60) % 2
    flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    new = trials_of_a_person(3, 10)
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(EuclideanAlignment(mode="causal"), flatten, LinearDiscriminantAnalysis())
        pipe.fit(X, y, groups=groups)
        for trial in new:
            pipe.predict(trial[np.newaxis])
        assert pipe[0].seen_ == {}
        expected = pipe.predict_proba(new)
        pipe.set_params(euclideanalignment__update=True)
        live = np.concatenate([pipe.predict_proba(trial[np.newaxis]) for trial in new])
        assert_allclose(live, expected, rtol=1e-12)
        assert pipe[0].seen_[None][0] == 10


@pytest.mark.parametrize("mode", ["causal", "single"])
def test_what_depends_on_what_was_seen_is_not_exported_as_if_it_did_not(people, mode):
    X, _ = people
    net = skeeg.AttentionBaseNetClassifier(max_epochs=1, verbose=0, random_state=0)
    pipe = make_pipeline(EuclideanAlignment(mode=mode), net).fit(X.astype(np.float32), np.arange(60) % 2)
    with pytest.raises(ValueError, match=f"mode='{mode}', which has no plain form"):
        to_torch(pipe)
