"""Which trials are held out."""

import warnings

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, KFold

from skeeg.estimators.validation import split_trials

Y = np.tile([0, 1, 2], 20)
GROUPS = np.arange(60) // 12


def test_a_fraction_is_stratified_and_seeded():
    train, valid = split_trials(0.2, Y, seed=1)
    assert sorted([*train, *valid]) == list(range(60))
    np.testing.assert_array_equal(np.bincount(Y[valid]), [4, 4, 4])
    np.testing.assert_array_equal(valid, split_trials(0.2, Y, seed=1)[1])
    assert not np.array_equal(valid, split_trials(0.2, Y, seed=2)[1])


def test_groups_are_held_out_whole():
    train, valid = split_trials(0.2, Y, GROUPS)
    assert len(valid) == 12
    assert not set(GROUPS[train]) & set(GROUPS[valid])


def test_splitters_and_indices():
    train, valid = split_trials(GroupKFold(5), Y, GROUPS)
    assert not set(GROUPS[train]) & set(GROUPS[valid])
    np.testing.assert_array_equal(split_trials(KFold(3), Y)[1], np.arange(20))
    train, valid = split_trials([3, 5, 59], Y)
    np.testing.assert_array_equal(valid, [3, 5, 59])
    assert len(train) == 57
    assert split_trials(None, Y)[1] is None


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([60], "60 trials"),
        ([1, 1], "distinct"),
        ([0.5], "whole numbers"),
        ((np.zeros((8, 3, 100)), np.zeros(8)), "the places of the validation trials in X"),
        (np.flatnonzero(Y == 0), "no trial"),
    ],
)
def test_indices_that_cannot_be(indices, message):
    with pytest.raises(ValueError, match=message):
        split_trials(indices, Y)


def test_too_few_trials_train_without_validation():
    with pytest.warns(UserWarning, match="3 trials, 1 in the smallest class, are too few"):
        train, valid = split_trials(0.2, np.array([0, 0, 1]))
    assert valid is None
    np.testing.assert_array_equal(train, [0, 1, 2])


def test_one_group_cannot_be_held_out():
    with pytest.warns(UserWarning, match=r"1 group\(s\) cannot be held out"):
        train, valid = split_trials(0.25, Y, np.zeros(60))
    assert len(valid) == 15
    assert set(Y[train]) == {0, 1, 2}


def test_groups_of_one_class_each_leave_every_class_to_train_on():
    y = np.repeat([0, 1], 20)
    with pytest.warns(UserWarning, match="every class left"):
        train, _ = split_trials(0.5, y, groups=y)
    assert set(y[train]) == {0, 1}


def held_out(n, fraction, **options):
    """How many of ``n`` trials of each class are held out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, valid = split_trials(fraction, np.repeat(np.arange(len(n)), n), **options)
    return len(valid)


@pytest.mark.parametrize(
    ("n", "fraction", "n_valid"),
    [
        ([2, 2], 0.5, 2),  # two trials of a class, and one each of two classes held out and left
        ([2, 10], 0.1, 2),
        ([5, 5], 0.11, 2),  # rounded up
        ([5, 5], 0.8, 8),
        ([3, 3, 3], 1 / 3, 3),
        ([3, 3, 3], 2 / 3, 6),
    ],
)
def test_as_few_trials_as_can_be_held_out(n, fraction, n_valid):
    assert held_out(n, fraction) == n_valid


@pytest.mark.parametrize(
    ("n", "fraction"),
    [
        ([1, 10], 0.2),  # one trial of a class cannot be on both sides
        ([5, 5], 0.1),  # one trial for two classes
        ([3, 3, 3], 0.2),
        ([5, 5], 0.81),  # one trial left for two classes
    ],
)
def test_too_few_trials_for_a_fraction(n, fraction):
    with pytest.warns(UserWarning, match=f"{sum(n)} trials, {min(n)} in the smallest class"):
        _, valid = split_trials(fraction, np.repeat(np.arange(len(n)), n))
    assert valid is None


@pytest.mark.parametrize(
    ("n_groups", "fraction", "n_valid"),
    [
        (10, 0.2, 2),  # one of five folds
        (10, 0.1, 1),
        (10, 0.35, 3.5),  # a third is the nearest
        (10, 0.28, 2.5),  # a quarter
        (4, 0.1, 1),  # no more folds than groups
        (2, 0.2, 1),
        (10, 0.9, 5),  # at most half
    ],
)
def test_the_nearest_fraction_that_whole_groups_allow(n_groups, fraction, n_valid):
    y = np.tile([0, 1], 2 * n_groups)
    groups = np.repeat(np.arange(n_groups), 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, valid = split_trials(fraction, y, groups)
    assert abs(len(valid) / 4 - n_valid) <= 0.5
    assert set(np.unique(groups[valid], return_counts=True)[1]) == {4}


def test_groups_are_shuffled_by_the_seed():
    y, groups = np.tile([0, 1], 20), np.repeat(np.arange(10), 4)
    splits = {tuple(split_trials(0.2, y, groups, seed=seed)[1]) for seed in range(4)}
    assert len(splits) > 1
    np.testing.assert_array_equal(split_trials(0.2, y, groups)[1], split_trials(0.2, y, groups, seed=0)[1])


@pytest.mark.parametrize("indices", [[-1], [0, 60], np.array([[1], [2]])])
def test_places_beyond_the_trials_are_refused(indices):
    with pytest.raises(ValueError, match=r"train_split"):
        split_trials(indices, Y)


def test_the_first_and_the_last_trial_may_be_held_out_and_none():
    train, valid = split_trials(np.array([0, 59], dtype=np.uint8), Y)
    assert valid.tolist() == [0, 59]
    assert len(train) == 58
    train, valid = split_trials(np.array([], dtype=int), Y)
    assert valid is None
    assert len(train) == 60
