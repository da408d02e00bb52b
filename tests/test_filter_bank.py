"""Filter banks against MNE and SciPy themselves."""

import copy
import pickle

import mne
import numpy as np
import pytest
import scipy.signal
import torch

from skeeg.modules.layers.filter_bank import FilterBankDesign, make_bands

SFREQ = 250.0
BANDS = [(4.0, 8.0), (8.0, 12.0), (12.0, 30.0), (36.0, 40.0)]
BUTTERWORTH = {"order": 3, "ftype": "butter"}
PARAMETERS = {
    "MNE's defaults": {},
    "zero-double": {"phase": "zero-double"},
    "minimum": {"phase": "minimum"},
    "minimum-half": {"phase": "minimum-half"},
    "hann, firwin2": {"fir_window": "hann", "fir_design": "firwin2"},
    "short": {"filter_length": "900ms", "l_trans_bandwidth": 4.0, "h_trans_bandwidth": 4.0},
    "iir": {"method": "iir"},
    "iir, order 3": {"method": "iir", "iir_params": BUTTERWORTH},
    "iir, b and a": {"method": "iir", "iir_params": {**BUTTERWORTH, "output": "ba"}},
    "iir, causal": {"method": "iir", "iir_params": BUTTERWORTH, "phase": "forward"},
    "iir, b and a, causal": {
        "method": "iir",
        "iir_params": {**BUTTERWORTH, "output": "ba"},
        "phase": "forward",
    },
    "iir, gain at 0 Hz": {"method": "iir", "iir_params": {"ftype": "cheby2", "order": 2, "rs": 20}},
}
all_parameters = pytest.mark.parametrize("parameters", PARAMETERS.values(), ids=PARAMETERS.keys())


def trials(n_times, dtype=torch.float64, n_trials=3, n_chans=2):
    # an offset and a slow drift, so that what happens at the edges counts
    x = np.random.default_rng(0).standard_normal((n_trials, n_chans, n_times)) + 5 + np.arange(n_times) / 100
    return torch.tensor(x, dtype=dtype)


def filtered_by_mne(x, parameters, bands=BANDS):
    return np.stack(
        [mne.filter.filter_data(x.numpy(), SFREQ, *band, verbose="ERROR", **parameters) for band in bands], 1
    )


@pytest.mark.filterwarnings("ignore:filter_length")  # MNE's warning about the shortest trials
@all_parameters
@pytest.mark.parametrize("n_times", [1000, 501, 300, 100])
def test_equals_mne(parameters, n_times):
    x = trials(n_times)
    expected = filtered_by_mne(x, parameters)
    actual = FilterBankDesign(BANDS, SFREQ, parameters)(x).numpy()
    assert actual.shape == (3, len(BANDS), 2, n_times)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-9)


@all_parameters
def test_float32(parameters):
    x = trials(400)
    actual = FilterBankDesign(BANDS, SFREQ, parameters)(x.float())
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual.numpy(), filtered_by_mne(x, parameters), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [None, "fir"])
def test_default_is_mne_fir(name):
    x = trials(600)
    np.testing.assert_allclose(
        FilterBankDesign(BANDS, SFREQ, name)(x).numpy(), filtered_by_mne(x, {}), rtol=0, atol=1e-9
    )


def authors_filter(low, high, x):
    """FBCNet's design: passband 3 dB, stop band 2 Hz beyond 30 dB, applied once, forward."""
    order, _ = scipy.signal.cheb2ord([low, high], [low - 2, high + 2], 3, 30, fs=SFREQ)
    b, a = scipy.signal.cheby2(order, 30, [low - 2, high + 2], "bandpass", fs=SFREQ)
    return scipy.signal.lfilter(b, a, x), order


def test_chebyshev2_is_the_authors_bank():
    x = trials(1000)
    actual = FilterBankDesign(9, SFREQ, "chebyshev2")(x).numpy()
    for band, (low, high) in enumerate(make_bands(9)):
        expected, order = authors_filter(low, high, x.numpy())
        assert order == 4
        np.testing.assert_allclose(actual[:, band], expected, rtol=0, atol=1e-6)  # b, a round worse than sos
        sos = scipy.signal.cheby2(4, 30, [low - 2, high + 2], "bandpass", output="sos", fs=SFREQ)
        np.testing.assert_allclose(actual[:, band], scipy.signal.sosfilt(sos, x.numpy()), rtol=0, atol=1e-9)


def test_chebyshev2_by_mne_arguments():
    x = trials(500)
    parameters = {
        "method": "iir",
        "iir_params": {"ftype": "cheby2", "order": 4, "rs": 30},
        "phase": "forward",
    }
    wider = [(low - 2, high + 2) for low, high in BANDS]
    torch.testing.assert_close(
        FilterBankDesign(wider, SFREQ, parameters)(x), FilterBankDesign(BANDS, SFREQ, "chebyshev2")(x)
    )


def test_chebyshev2_is_causal():
    bank = FilterBankDesign(BANDS, SFREQ, "chebyshev2")
    x = trials(500)
    later = x.clone()
    later[..., 300:] += 100
    torch.testing.assert_close(bank(x)[..., :300], bank(later)[..., :300], rtol=0, atol=1e-9)


@pytest.mark.parametrize("parameters", [None, "chebyshev2"])
def test_many_trials_equal_each_alone(parameters):
    """More trials than are filtered at a time."""
    bank = FilterBankDesign(9, SFREQ, parameters)
    x = trials(400, torch.float32, n_trials=30, n_chans=20)
    together = bank(x)
    for i in (0, 17, 29):
        torch.testing.assert_close(together[i], bank(x[i : i + 1])[0], rtol=1e-5, atol=1e-5)


@all_parameters
def test_gradient_is_the_transposed_filter(parameters):
    """<filter(x), y> = <x, gradient>, for a linear map, whatever x."""
    bank = FilterBankDesign(BANDS, SFREQ, parameters)
    x = trials(200).requires_grad_()
    y = torch.randn(3, len(BANDS), 2, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (bank(x) * y).sum().backward()
    other = trials(200).flip(0) ** 2
    torch.testing.assert_close((bank(other) * y).sum(), (other * x.grad).sum())


def test_bank_can_be_copied_and_pickled():
    bank, x = FilterBankDesign(BANDS, SFREQ), trials(300)
    expected = bank(x)
    assert torch.equal(copy.deepcopy(bank)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(bank))(x), expected)


def test_one_bank_filters_trials_of_any_length_and_precision():
    bank = FilterBankDesign(BANDS, SFREQ)
    for x in (trials(300), trials(400, torch.float32), trials(300, torch.float32), trials(400)):
        torch.testing.assert_close(bank(x), FilterBankDesign(BANDS, SFREQ)(x))


def test_non_contiguous_input():
    bank, x = FilterBankDesign(BANDS, SFREQ), trials(300)
    torch.testing.assert_close(bank(x.transpose(1, 2).contiguous().transpose(1, 2)), bank(x))


def test_does_not_change_its_arguments():
    parameters = {"method": "iir", "iir_params": {"order": 3, "ftype": "butter"}}
    before = copy.deepcopy(parameters)
    FilterBankDesign(BANDS, SFREQ, parameters)
    assert parameters == before


def test_bands():
    assert make_bands(9, SFREQ) == [(4.0 * i, 4.0 * i + 4) for i in range(1, 10)]
    assert make_bands(None, SFREQ) == make_bands(9, SFREQ)
    assert make_bands(np.int64(2), SFREQ) == [(4.0, 8.0), (8.0, 12.0)]
    assert make_bands([(8, 12), [13, 30]], SFREQ) == [(8.0, 12.0), (13.0, 30.0)]


@pytest.mark.parametrize(
    ("n_bands", "sfreq", "message"),
    [
        (9, 80, r"\(36, 40\) Hz is out of reach; bands must lie above 0 Hz and below 40 Hz at .* 80 Hz"),
        ([(10, 60)], 100, r"\(10, 60\) Hz is out of reach; .* below 50 Hz"),
        ([(0, 4)], 100, r"\(0, 4\) Hz is out of reach; bands must lie above 0 Hz"),
        ([(12, 8)], 100, r"\(12, 8\) Hz is empty"),
        ([(8, 8)], 100, r"\(8, 8\) Hz is empty"),
        ([(float("nan"), 8)], 100, "is empty"),
        ([], 100, "holds no band"),
        (0, 100, "n_bands=0 holds no band"),
        (10**9, 1e12, "n_bands stands for more than 1000 bands"),
        ([(4, 8)] * 1001, 100, "n_bands stands for more than 1000 bands"),
        ([8, 12], 100, "must be a whole number, None or a list"),
        (2.5, 100, "n_bands=2.5 must be a whole number"),
        ("alpha", 100, "must be a whole number, None or a list"),
    ],
)
def test_bad_bands(n_bands, sfreq, message):
    with pytest.raises(ValueError, match=message):
        make_bands(n_bands, sfreq)
    with pytest.raises(ValueError, match=message):
        FilterBankDesign(n_bands, sfreq)


@pytest.mark.parametrize("band", [(2, 6), (36, 38)])
def test_chebyshev2_needs_room_for_its_stop_band(band):
    with pytest.raises(ValueError, match="must lie above 2 Hz and below 38 Hz at a sampling rate of 80 Hz"):
        FilterBankDesign([band], 80, "chebyshev2")


def test_unknown_names():
    with pytest.raises(ValueError, match=r"'butter' must be a dict .* or one of fir, chebyshev2"):
        FilterBankDesign(9, SFREQ, "butter")
    with pytest.raises(ValueError, match="filter_parameters: order unknown; choose from filter_length, "):
        FilterBankDesign(9, SFREQ, {"order": 4})


@pytest.mark.parametrize(
    ("bands", "sfreq", "parameters"),
    [
        ([(4, 8)], 1e9, None),
        ([(1e-6, 8)], 100, None),
        ([(4, 8)], 100, {"filter_length": 2**22 + 1}),
        ([(4, 8)], 100, {"filter_length": "50000s"}),
        ([(4, 8)], 100, {"filter_length": "50000000ms"}),
        ([(4, 8)], 100, {"l_trans_bandwidth": 1e-4}),
        ([(4, 8)], 100, {"h_trans_bandwidth": 1e-4}),
        ([(4, 8)] * 1000, 1000, None),
    ],
)
def test_banks_that_would_take_gigabytes_are_refused(bands, sfreq, parameters):
    with pytest.raises(ValueError, match="bands would have more than 4194304 taps"):
        FilterBankDesign(bands, sfreq, parameters)


def test_orders_that_would_take_hours_are_refused():
    def bank(order):
        return FilterBankDesign(
            [(4, 8)], 100, {"method": "iir", "iir_params": {"order": order, "ftype": "butter"}}
        )

    for order in (101, 10**6):
        with pytest.raises(ValueError, match=f"order={order} is more than 100"):
            bank(order)
    bank(20)


@pytest.mark.parametrize("length", ["auto", "3s", "2600ms", 301])
def test_lengths_of_filters_are_estimated_from_above(length):
    for window in ("hamming", "hann", "blackman"):
        arguments = {"filter_length": length, "fir_window": window}
        bank = FilterBankDesign([(4, 8), (8, 30)], 100, arguments)
        for (low, high), taps in zip(bank.bands, bank._filters, strict=True):
            assert len(taps) - 1 <= bank._most_taps(low, high, arguments)
