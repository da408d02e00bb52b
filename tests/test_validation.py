"""Which trials are held out."""

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
