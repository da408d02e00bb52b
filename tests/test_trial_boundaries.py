"""Where what is known, found and read of trials begins and ends."""

import numpy as np
import pytest
import torch

from skeeg import EEGArray, find_faults
from skeeg.trials import channel_map, open_trials, typical_scale
from skeeg.trials.checks import order_of_channels

RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((20, 4, 60))


@pytest.mark.parametrize("kind", ["float64", "int16", "order"])
@pytest.mark.parametrize("piece", [1, 3])
def test_trials_in_the_middle_are_read_in_pieces(kind, piece, monkeypatch):
    data = (100 * DATA).astype(kind) if kind != "order" else DATA.astype(np.float32)
    monkeypatch.setattr("skeeg.trials.reading._PIECE", piece * 4 * 4 * 60)
    reader = open_trials(EEGArray(data, ch_names=list("abcd")))
    if kind == "order":
        reader, data = reader.in_order_of("dcba"), data[:, ::-1]
    np.testing.assert_array_equal(reader.read(7, 15), data[7:15].astype(np.float32))
    np.testing.assert_array_equal(np.concatenate(list(reader.batches(9))), data.astype(np.float32))


@pytest.mark.parametrize(
    "own, missing, unknown",
    [("abcd", [], ["d"]), ("ab", ["c"], []), ("abd", ["c"], ["d"])],
)
def test_one_channel_too_many_or_too_few_is_named(own, missing, unknown):
    with pytest.raises(ValueError) as error:
        order_of_channels(own, "abc")
    assert f"{missing} are missing, {unknown} are unknown" in str(error.value)
    assert order_of_channels("cab", "abc") == [1, 2, 0]
    assert order_of_channels("abc", "abc") is None


def test_channel_names_alone_notice_a_change_in_place():
    X = EEGArray(DATA, 100.0, list("abcd"))
    X[:] = np.array(X[:, ::-1])
    with pytest.warns(UserWarning, match="changed in place"):
        assert X.ch_names is None
    unnamed = EEGArray(DATA, 100.0)
    unnamed[:] = np.array(unnamed[:, ::-1])
    assert unnamed.sfreq == 100.0


def test_large_whole_numbers_below_zero_are_no_trigger():
    """From 1024 on, numbers of half precision have no fractions."""
    X = np.random.default_rng(0).standard_normal((20, 4, 200))
    X[:, 1] = np.rint(20 * X[:, 1]) - 1500
    assert not find_faults(X).trigger.any()
    X[:, 1] += 1000
    assert find_faults(X).trigger.tolist() == [False, True, False, False]


def test_channels_of_short_trials_are_flat_where_they_are_constant_and_nothing_else():
    X = np.random.default_rng(0).standard_normal((20, 4, 15))
    assert not find_faults(X)
    X[:, 2] = 7
    faults = find_faults(X)
    assert faults.flat.any(axis=0).tolist() == [False, False, True, False]
    assert not (faults.trigger | faults.another_kind).any() and not (faults.clipped | faults.loud).any()


def test_the_typical_scale_is_a_median():
    scales = np.array([1, 2, 3, 100, 1000])[:, np.newaxis]
    X = scales * np.random.default_rng(0).standard_normal((8, 5, 4000))
    assert typical_scale(X) == pytest.approx(3, rel=0.2)


def test_up_to_eight_names_may_look_like_plugs():
    names = [f"{letter}{i}" for letter in "AB" for i in range(1, 5)]
    assert channel_map(names, names) is None
    assert channel_map(names, names[::-1]).shape == (8, 8)
    with pytest.raises(ValueError, match="called by their plugs"):
        channel_map([*names, "D9"], names[::-1])


def test_a_part_of_a_data_set_of_torch_is_looked_through():
    class Windows(torch.utils.data.Dataset):
        indices = range(3)  # its own, and no data set inside

        def __len__(self):
            return 3

        def __getitem__(self, i):
            return DATA[i], i % 2

    reader = open_trials(torch.utils.data.Subset(Windows(), [2, 0]))
    np.testing.assert_array_equal(reader.read(), DATA[[2, 0]].astype(np.float32))
    assert reader.labels.tolist() == [0, 0]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_nested_tensors_are_refused():
    nested = torch.nested.nested_tensor([torch.zeros(3, 50), torch.zeros(3, 50)])
    with pytest.raises(TypeError, match=r"nested tensor.*torch\.stack\(X\.unbind\(\)\)"):
        open_trials(nested)
