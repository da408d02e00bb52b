"""Augmentations: what each must preserve, and that chance comes from the generator alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch.testing import assert_close

from skeeg import AttentionBaseNetClassifier, EEGArray
from skeeg.augmentation import (
    Augmentation,
    ChannelDropout,
    FourierSurrogate,
    MirrorLeftRight,
    SegmentRecombination,
    SmoothTimeMask,
    TimeShift,
)

NAMES = ("FC3", "C3", "Cz", "C4", "FC4")
AUGMENTATIONS = [
    SegmentRecombination(),
    TimeShift(),
    ChannelDropout(),
    MirrorLeftRight(NAMES),
    FourierSurrogate(),
    SmoothTimeMask(),
]
all_augmentations = pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda a: type(a).__name__)


def batch(n_trials=40, n_times=100, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(n_trials, len(NAMES), n_times, generator=generator, dtype=dtype)
    return X, torch.arange(n_trials) % 3


def augmented(augmentation, X, y, seed=0, **parameters):
    changed = clone(augmentation).set_params(**parameters)
    return changed.augment(X, y, torch.Generator().manual_seed(seed))


@all_augmentations
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_generator_decides_and_the_batch_is_left_alone(augmentation, dtype):
    X, y = batch(dtype=dtype)
    X_before, y_before, state = X.clone(), y.clone(), torch.get_rng_state()
    Z, codes = augmented(augmentation, X, y)
    again, codes_again = augmented(augmentation, X, y)
    assert torch.equal(Z, again) and torch.equal(codes, codes_again)
    assert not torch.equal(Z, augmented(augmentation, X, y, seed=1)[0])
    assert Z.shape == X.shape and Z.dtype == dtype and codes.dtype == y.dtype
    assert torch.equal(X, X_before) and torch.equal(y, y_before)
    assert torch.equal(torch.get_rng_state(), state)


@all_augmentations
def test_probability_is_the_share_of_changed_trials(augmentation):
    X, y = batch(600)
    for probability, low, high in ((0.0, 0, 0), (0.3, 0.2, 0.4), (1.0, 0.6, 1)):
        Z, _ = augmented(augmentation, X, y, probability=probability)
        changed = (Z != X).any(dim=(1, 2)).float().mean()
        assert low <= changed <= high


@all_augmentations
def test_odd_shapes_pass(augmentation):
    for n_trials, n_times in ((1, 100), (7, 33)):
        Z, codes = augmented(augmentation, *batch(n_trials, n_times), probability=1.0)
        assert Z.shape == (n_trials, 5, n_times) and torch.isfinite(Z).all() and len(codes) == n_trials


@all_augmentations
def test_parameters_out_of_range_are_named(augmentation):
    with pytest.raises(ValueError, match=f"'probability' parameter of {type(augmentation).__name__}"):
        augmented(augmentation, *batch(), probability=1.5)


def test_recombination_takes_each_segment_from_one_trial_of_the_class_and_from_its_place():
    X, y = batch(30, 100)
    place = torch.arange(100)
    X[:] = (1000 * torch.arange(30)[:, None] + place)[:, None]  # every sample tells its trial and its time
    Z, codes = augmented(SegmentRecombination(8), X, y, probability=1.0)
    assert torch.equal(codes, y)
    donor, time = Z[:, 0].long() // 1000, Z[:, 0].long() % 1000
    assert torch.equal(time, place.expand_as(time))
    assert torch.equal(y[donor], y[:, None].expand_as(donor))
    assert (Z[:, :1] == Z).all()  # all channels from the same donors
    bounds = [100 * segment // 8 for segment in range(9)]
    for start, stop in pairwise(bounds):
        assert (donor[:, start:stop] == donor[:, start : start + 1]).all()
    assert len(donor[0].unique()) > 2


def test_recombination_of_a_lone_trial_of_its_class_is_that_trial():
    X, _ = batch(3)
    Z, _ = augmented(SegmentRecombination(), X, torch.tensor([0, 1, 2]), probability=1.0)
    assert torch.equal(Z, X)
    with pytest.raises(ValueError, match="n_segments=8 do not fit trials of 7 samples"):
        augmented(SegmentRecombination(), *batch(n_times=7))


def test_time_shift_rolls_all_channels_alike_by_no_more_than_allowed():
    X, y = batch(200)
    Z, codes = augmented(TimeShift(0.05), X, y, probability=1.0)
    assert torch.equal(codes, y)
    shifts = set()
    for before, after in zip(X, Z, strict=True):
        found = [k for k in range(-50, 50) if torch.equal(before.roll(k, dims=1), after)]
        assert len(found) == 1
        shifts.add(found[0])
    assert shifts == set(range(-5, 6))


def test_channel_dropout_silences_whole_channels_and_leaves_one():
    X, y = batch(400)
    Z, codes = augmented(ChannelDropout(0.3), X, y, probability=1.0)
    assert torch.equal(codes, y)
    silent = (Z == 0).all(dim=2)
    assert torch.equal(Z[~silent], X[~silent])
    assert 0.25 < silent.float().mean() < 0.35
    Z, _ = augmented(ChannelDropout(1.0), X, y, probability=1.0)
    assert ((Z != 0).any(dim=2).sum(dim=1) == 1).all()


def test_mirroring_swaps_hemispheres_and_hands_and_twice_is_nothing():
    X, y = batch()
    Z, codes = augmented(MirrorLeftRight(NAMES), X, y, probability=1.0)
    assert torch.equal(Z, X[:, [4, 3, 2, 1, 0]])
    assert torch.equal(codes, torch.tensor([1, 0, 2])[y])
    back, codes_back = augmented(MirrorLeftRight(NAMES), Z, codes, probability=1.0)
    assert torch.equal(back, X) and torch.equal(codes_back, y)
    _, kept = augmented(MirrorLeftRight(NAMES, swapped_classes=None), X, y, probability=1.0)
    assert torch.equal(kept, y)
    Z, codes = augmented(MirrorLeftRight(NAMES), X, y, probability=0.5)
    mirrored = (Z != X).any(dim=(1, 2))
    assert torch.equal(codes != y, mirrored & (y != 2))


def test_mirroring_needs_both_sides():
    X, y = batch()
    with pytest.raises(ValueError, match=r"Channels \['C4'\] have no counterpart"):
        augmented(MirrorLeftRight(["C4", "Cz", "Fz", "Pz", "Oz"]), X, y)
    with pytest.raises(ValueError, match="names 3 channels, but X has 5"):
        augmented(MirrorLeftRight(["C3", "Cz", "C4"]), X, y)


@pytest.mark.parametrize("n_times", [100, 101])
def test_surrogates_keep_spectrum_and_covariance_of_every_frequency(n_times):
    X, y = batch(n_times=n_times, dtype=torch.float64)
    Z, codes = augmented(FourierSurrogate(), X, y, probability=1.0)
    assert torch.equal(codes, y)
    before, after = torch.fft.rfft(X), torch.fft.rfft(Z)
    assert_close(after.abs(), before.abs(), rtol=1e-9, atol=1e-9)
    cross = [torch.einsum("bcf,bdf->bcdf", spectrum, spectrum.conj()) for spectrum in (before, after)]
    assert_close(cross[1], cross[0], rtol=1e-9, atol=1e-9)
    assert_close(Z.mean(dim=2), X.mean(dim=2), rtol=1e-9, atol=1e-12)
    assert np.corrcoef(X.flatten(), Z.flatten())[0, 1] < 0.3
    near, _ = augmented(FourierSurrogate(0.05), X, y, probability=1.0)
    assert np.corrcoef(X.flatten(), near.flatten())[0, 1] > 0.9
    assert_close(torch.fft.rfft(near).abs(), before.abs(), rtol=1e-9, atol=1e-9)


def test_time_mask_fades_one_stretch_and_leaves_the_rest():
    X, y = batch(50, 200)
    Z, codes = augmented(SmoothTimeMask(0.3), X, y, probability=1.0)
    assert torch.equal(codes, y)
    gain = Z / X
    assert_close(gain, gain[:, :1].expand_as(gain), rtol=1e-3, atol=1e-3)
    gain = gain[:, 0]
    assert (gain.amin(dim=1) < 1e-6).all() and (gain > -1e-6).all() and (gain < 1 + 1e-6).all()
    touched = (gain < 0.999).sum(dim=1)
    assert (touched <= 60).all() and (touched >= 55).all()
    assert gain.diff(dim=1).abs().amax() < 0.15  # smooth
    assert len(gain.argmin(dim=1).unique()) > 10


def made(augmentation, labels, **params):
    X = EEGArray(np.random.default_rng(0).standard_normal((24, 5, 300)), 100, NAMES)
    y = np.array(labels)[np.arange(24) % len(labels)]
    return AttentionBaseNetClassifier(max_epochs=1, verbose=0, augmentation=augmentation, **params).fit(X, y)


HANDS_AND_FEET = ["left_hand", "right_hand", "feet"]


def test_mirroring_swaps_the_classes_that_are_named():
    names, numbers = ["left_hand", "right_hand", "feet"], [7, 4, 9]  # the same classes, sorted otherwise
    by_name = MirrorLeftRight(NAMES, ("left_hand", "right_hand")).for_data(NAMES, np.unique(names))
    by_number = MirrorLeftRight(NAMES, (7, 4)).for_data(NAMES, np.unique(numbers))
    assert sorted(by_name.swapped_classes) == [1, 2]
    assert sorted(by_number.swapped_classes) == [0, 1]
    both = MirrorLeftRight(NAMES).for_data(NAMES, np.array([769, 770]))
    assert sorted(both.swapped_classes) == [0, 1]
    made(MirrorLeftRight(NAMES, ("right_hand", "left_hand")), HANDS_AND_FEET)
    with pytest.raises(ValueError, match="do not say left and right"):
        made(MirrorLeftRight(NAMES), ["feet", "rest"])
    made(MirrorLeftRight(NAMES, ("feet", "rest")), ["feet", "rest"])


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        (MirrorLeftRight(NAMES), "swapped_classes='both' must be two of the classes"),
        (MirrorLeftRight(NAMES, ("left_hand", "feet")), "not each other's mirror image"),
        (MirrorLeftRight(NAMES, (0, 1)), "must be two of the classes"),
        (MirrorLeftRight(NAMES, ("left", "right")), "must be two of the classes"),
        (MirrorLeftRight(NAMES, ("feet", "feet")), "must be two of the classes"),
        (MirrorLeftRight(sorted(NAMES), None), "but the channels of X are"),
    ],
)
def test_mirroring_of_other_classes_or_channels_is_refused(mirror, message):
    with pytest.raises(ValueError, match=message):
        made(mirror, HANDS_AND_FEET)


@pytest.mark.parametrize("names", [("C3..", "Cz..", "C4.."), ("E1", "E2", "E3")])
def test_mirroring_needs_names_that_tell_the_side(names):
    with pytest.raises(ValueError, match="no names of the 10-05 system"):
        augmented(MirrorLeftRight(names), torch.zeros(4, 3, 10), torch.tensor([0, 1, 0, 1]))


def test_mirroring_knows_the_10_05_system():
    X = torch.arange(4.0)[None, :, None].expand(1, 4, 10)
    mirror = MirrorLeftRight(["FCC3h", "fcc4H", "CPz", "oz"])
    Z, _ = augmented(mirror, X, torch.tensor([0]), probability=1.0)
    assert Z[0, :, 0].tolist() == [1, 0, 2, 3]


class Watching(Augmentation):
    """Changes nothing, keeps what it is given."""

    def __init__(self, seen=None):
        self.seen = seen

    def augment(self, X, y, generator):
        self.seen.append(X)
        return X, y


def test_augmentations_see_the_channels_of_the_data_not_of_a_pretrained_network():
    source = made(None, ["left", "right"], random_state=0)
    X = EEGArray(np.random.default_rng(1).standard_normal((24, 6, 300)), 100, ["Pz", *NAMES[::-1]])
    y = np.array(["left", "right"] * 12)
    params = {"max_epochs": 1, "verbose": 0, "random_state": 0, "batch_size": 24}
    params["pretrained"] = FrozenEstimator(source)
    watching = Watching([])
    plain = AttentionBaseNetClassifier(**params).fit(X, y)
    changed = AttentionBaseNetClassifier(**params, augmentation=watching).fit(X, y)
    assert watching.seen[0].shape == (24, 6, 300)
    np.testing.assert_allclose(changed.history_["train_loss"], plain.history_["train_loss"], rtol=1e-5)
    sides = ("left", "right")
    AttentionBaseNetClassifier(**params, augmentation=MirrorLeftRight(X.ch_names, sides)).fit(X, y)
    with pytest.raises(ValueError, match="but the channels of X are"):
        AttentionBaseNetClassifier(**params, augmentation=MirrorLeftRight(NAMES, sides)).fit(X, y)


def test_names_of_classes_need_an_estimator():
    mirror = MirrorLeftRight(NAMES, ("left_hand", "right_hand"))
    with pytest.raises(ValueError, match="names, and codes have none"):
        augmented(mirror, torch.zeros(2, 5, 10), torch.tensor([0, 1]))
