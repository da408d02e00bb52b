"""Batches of trials from memory."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from skeeg.estimators.iterators import TrialDataset, TrialIterator
from skeeg.modules.layers.window_sums import carried_sums


def make_dataset(n=7, y=None):
    X = torch.arange(n, dtype=torch.float32)[:, None, None].expand(n, 2, 4).contiguous()
    return TrialDataset(X, torch.arange(n) % 3, torch.arange(n) + 0.5, y)


def numbers(batch):
    """The trials of a batch, by the number that each of them holds."""
    return batch[0][:, 0, 0].int().tolist()


def test_dataset_item_is_trial_code_and_weight():
    X, (code, weight) = make_dataset()[4]
    assert X.tolist() == [[4.0] * 4] * 2
    assert (code.item(), weight.item()) == (1, 4.5)


def test_dataset_keeps_labels_or_takes_codes():
    assert make_dataset(3, ["a", "b", "c"]).y == ["a", "b", "c"]
    np.testing.assert_array_equal(make_dataset(4).y, [0, 1, 2, 0])


def test_without_shuffling_trials_come_in_order():
    iterator = TrialIterator(make_dataset(), batch_size=3)
    assert [numbers(batch) for batch in iterator] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(iterator) == 3


def test_trials_keep_their_codes_and_weights_when_shuffled():
    for batch in TrialIterator(make_dataset(), batch_size=3, shuffle=True):
        X, (codes, weights) = batch
        assert codes.tolist() == [number % 3 for number in numbers(batch)]
        assert weights.tolist() == [number + 0.5 for number in numbers(batch)]
        assert X.dtype == torch.float32


def test_each_pass_has_every_trial_once_in_an_order_of_its_own():
    iterator = TrialIterator(make_dataset(50), batch_size=8, shuffle=True)
    passes = [[number for batch in iterator for number in numbers(batch)] for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(50))
    assert passes[0] != passes[1]


def test_order_follows_the_generator_of_torch():
    def order():
        torch.manual_seed(3)
        return [
            number for batch in TrialIterator(make_dataset(50), shuffle=True) for number in numbers(batch)
        ]

    assert order() == order()


@pytest.mark.parametrize(
    "n, batch_size, sizes", [(7, 3, [3, 4]), (8, 3, [3, 3, 2]), (1, 3, [1]), (6, 3, [3, 3]), (7, -1, [7])]
)
def test_training_has_no_last_batch_of_one(n, batch_size, sizes):
    iterator = TrialIterator(make_dataset(n), batch_size=batch_size, shuffle=True)
    assert [len(batch[0]) for batch in iterator] == sizes
    assert len(iterator) == len(sizes)


def test_prediction_takes_all_trials_at_once():
    assert [numbers(batch) for batch in TrialIterator(make_dataset(), batch_size=-1)] == [list(range(7))]


def test_loader_of_torch_gives_the_same_batches():
    ours = TrialIterator(make_dataset(), batch_size=3)
    for (X, (codes, weights)), (X_, (codes_, weights_)) in zip(
        ours, DataLoader(make_dataset(), batch_size=3), strict=True
    ):
        for a, b in ((X, X_), (codes, codes_), (weights, weights_)):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_are_on_the_gpu():
    X, (codes, weights) = next(iter(TrialIterator(make_dataset(), device="cuda")))
    assert {X.device.type, codes.device.type, weights.device.type} == {"cuda"}


def test_a_subset_gives_its_trials_in_its_order_without_a_copy():
    whole = make_dataset(6, np.array(list("abcdef")))
    subset = whole.subset(np.array([4, 0, 4]))
    assert subset.whole is whole.whole
    assert subset.X[:, 0, 0].tolist() == [4, 0, 4]
    assert subset.y.tolist() == ["e", "a", "e"]
    for make in (TrialIterator, DataLoader):
        (batch,) = make(subset, batch_size=3)
        codes, weights = batch[1]
        assert (numbers(batch), codes.tolist(), weights.tolist()) == ([4, 0, 4], [1, 0, 1], [4.5, 0.5, 4.5])
    order = [n for batch in TrialIterator(subset, batch_size=1, shuffle=True) for n in numbers(batch)]
    assert sorted(order) == [0, 4, 4]


@pytest.mark.parametrize(
    "n_trials, n_sums, kept", [(40, 1, True), (40, 2, False), (4, 8, True), (4, 9, False)]
)
def test_sums_are_kept_where_they_take_little_memory(n_trials, n_sums, kept, monkeypatch):
    """Trials of 8 numbers: an eighth of that for many trials, for few all of it."""
    monkeypatch.setattr("skeeg.estimators.iterators._SMALL", 4 * 4 * 8)
    iterator = TrialIterator(make_dataset(n_trials), batch_size=8)
    iterator.find_sums(lambda trials: trials.flatten(1)[:, :1].repeat(1, n_sums))
    for batch in iterator:
        sums = carried_sums(batch[0])
        assert (sums is not None) == kept
        if kept:
            assert sums[:, 0].tolist() == numbers(batch)
