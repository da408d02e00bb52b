"""What fit learns of trials, labels and weights: the values at which it changes its mind."""

import warnings

import numpy as np
import pytest
import torch

from skeeg.estimators.data import (
    check_weights,
    class_weights,
    copies_and_weights,
    filled,
    learn_recording,
    order_and_weights,
    typical_scale,
    warn_of_another_scale,
)
from skeeg.trials import open_trials

NOISE = np.random.default_rng(0).standard_normal((70, 3, 400))
NOISE -= NOISE.mean(axis=2, keepdims=True)
NOISE /= NOISE.std(axis=2, keepdims=True)


@pytest.mark.parametrize(
    "scale, level, message",
    [
        (0.5e-3, 0, "looks like volts"),
        (2e-3, 0, None),
        (0.9e5, 0, None),
        (1.1e5, 0, "too much for EEG in µV"),
        (1, 9, None),
        (1, 11, "means of 1.1e[+]01 beside a standard deviation of 1.0e[+]00"),
        (20, -250, "under such an offset"),
        (0, 5, None),
        (0, 0, None),
    ],
)
def test_scales_that_are_no_eeg_are_pointed_out(scale, level, message):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert typical_scale(scale * NOISE + level) == pytest.approx(scale, abs=1e-9)
    assert [str(w.message) for w in told] == ([] if message is None else [str(told[0].message)])
    if message is not None:
        with pytest.warns(UserWarning, match=message):
            typical_scale(scale * NOISE + level)


@pytest.mark.parametrize(
    "own, pretrained, warns", [(1, 4.9, False), (4.9, 1, False), (1, 5.1, True), (5.1, 1, True)]
)
@pytest.mark.parametrize("unit", [0.1, 10])
def test_another_scale_is_more_than_five_times_as_much(own, pretrained, warns, unit):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        warn_of_another_scale(unit * own, unit * pretrained)
    assert bool(told) is warns


def test_trials_hold_at_least_two_samples():
    assert learn_recording(open_trials(NOISE[:, :1, :2]), None)[:3] == (1, 2, None)
    with pytest.raises(ValueError, match="n_times=1 sample hold no signal"):
        learn_recording(open_trials(NOISE[:, :1, :1]), None)
    assert learn_recording(open_trials(NOISE[:, :, :3]), 250).sfreq == 250  # as many channels as samples
    with pytest.warns(UserWarning, match="more channels, 3, than samples, 2"):
        learn_recording(open_trials(NOISE[:, :, :2]), None)


@pytest.mark.parametrize(
    "weights, copies, left",
    [
        ([1, 19], [1, 19], [1, 1]),  # ten times as many trials as there are
        ([1, 20], [1, 1], [1, 20]),
        ([100, 300, 0], [1, 3, 0], [1, 1, 1]),
        ([0.5, 1, 0], [1, 1, 0], [0.5, 1, 0]),
        ([2.0**31, 2.0**31], [1, 1], [2.0**31, 2.0**31]),
        ([2.0**31 - 1, 2.0**31 - 1], [1, 1], [1, 1]),
    ],
)
def test_whole_weights_are_copies_where_few_more_trials_come_of_them(weights, copies, left):
    found = copies_and_weights(np.array(weights, dtype=float))
    assert found[0].tolist() == copies and found[1].tolist() == left


@pytest.mark.parametrize("weights", [[1, -0.1], [0, 0]])
def test_weights_that_weigh_nothing_are_refused(weights):
    with pytest.raises(
        ValueError, match=r"must not be negative, and not all zero|at least one non-zero number"
    ):
        check_weights(weights, np.zeros(2))
    assert check_weights([0, 2], np.zeros(2)).tolist() == [0, 2]
    assert check_weights(None, np.zeros(2)).tolist() == [1, 1]


def test_class_weights_of_classes_that_are_there():
    codes, classes = np.array([0, 0, 0, 2]), np.array(["a", "b", "c"])
    assert class_weights("balanced", codes, classes).tolist() == [4 / 6, 1, 2]
    assert class_weights({"a": 5}, codes, classes).tolist() == [5, 1, 1]
    with pytest.raises(ValueError, match=r"names \['d'\], which are not in"):
        class_weights({"d": 1}, codes, classes)
    assert class_weights({"a": 0}, codes, classes).tolist() == [0, 1, 1]
    for weight in (np.nan, np.inf, -1, "much", None):
        with pytest.raises(ValueError, match="weights are numbers that are not negative"):
            class_weights({"a": 1, "b": weight}, codes, classes)
    with pytest.raises(ValueError, match="leaves no trial to train on: all weigh 0"):
        class_weights({"a": 0, "b": 1, "c": 0}, codes, classes)


def test_training_trials_weigh_one_in_the_mean_and_stand_in_an_order_of_their_own():
    data, codes = NOISE[:6].astype(np.float32), np.array([0, 1, 0, 1, 0, 1])
    weights, train = np.array([1, 2, 1, 1, 0, 1.0]), np.array([0, 1, 2, 4, 5])
    arguments = None, np.array([0, 1])
    order, scaled = order_and_weights(data, codes, weights, train, *arguments)
    assert sorted(order) == [0, 1, 1, 2, 5] and scaled[order].tolist() == [1] * 5
    back, _ = order_and_weights(data[::-1], codes[::-1], weights[::-1], 5 - train, *arguments)
    assert (5 - back).tolist() == order.tolist()
    order, scaled = order_and_weights(data, codes, weights, train, *arguments, in_order=True)
    assert order.tolist() == [0, 1, 2, 5] and scaled[order].tolist() == [0.8, 1.6, 0.8, 0.8]
    order, scaled = order_and_weights(data, codes, weights / 2.5, train, {0: 3}, arguments[1])
    assert scaled[order].mean() == pytest.approx(1)
    assert scaled[0] == pytest.approx(3 * scaled[5]) and scaled[1] == pytest.approx(2 * scaled[5])


@pytest.mark.parametrize("n, expected", [(1, 1), (2, 8), (7, 8), (8, 8), (9, 16), (0, 0)])
def test_batches_are_filled_up_to_eights(n, expected):
    batch = torch.ones(n, 2, 3)
    full = filled(batch)
    assert full.shape == (expected, 2, 3) and full.sum() == 6 * n
    assert (full is batch) is (n in (0, 1, 8))
    assert len(filled(batch, 4)) == {1: 1}.get(n, -(-n // 4) * 4)
