"""SincShallowNet: filters against a formula, the network against plain layers, limits of the cut-offs."""

import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skeeg.modules.sinc_shallow_net import SincFilters, SincShallowNet


def bank_by_formula(lows, highs, n_taps, sfreq):
    """Differences of ideal low-pass responses over the bandwidth, Hamming window, common scale."""
    n = np.arange(n_taps) - n_taps // 2
    bank = np.array(
        [
            2
            * (high * np.sinc(2 * high * n / sfreq) - low * np.sinc(2 * low * n / sfreq))
            / (2 * (high - low))
            for low, high in zip(lows, highs, strict=True)
        ]
    ) * np.hamming(n_taps)
    return bank / bank.std(ddof=1)


@pytest.mark.parametrize("sfreq", [100.0, 250.0, 1000.0])
def test_filters_are_windowed_ideal_band_passes(sfreq):
    layer = SincFilters(32, 33, sfreq)
    lows = 5.0 + np.arange(32)
    np.testing.assert_allclose(layer.bands().numpy(), np.stack([lows, lows + 4], 1), rtol=1e-6)
    expected = bank_by_formula(lows, lows + 4, 33, sfreq)
    np.testing.assert_allclose(layer().detach().numpy(), expected, rtol=0, atol=2e-5)


def test_filters_follow_their_parameters_whatever_their_sign():
    layer = SincFilters(2, 33, 250.0)
    with torch.no_grad():
        layer.low_freqs.copy_(torch.tensor([[-9.0, 20.0]]))
        layer.bandwidths.copy_(torch.tensor([[-3.0, 7.5]]))
    torch.testing.assert_close(layer.bands(), torch.tensor([[10.0, 13.0], [21.0, 28.5]]))
    expected = bank_by_formula([10.0, 21.0], [13.0, 28.5], 33, 250.0)
    np.testing.assert_allclose(layer().detach().numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("sfreq", [40, 64, 100, 128, 250, 512, 1000])
@pytest.mark.filterwarnings("ignore:.*bands reach half:UserWarning")
def test_cut_offs_stay_inside_whatever_training_does(sfreq):
    torch.manual_seed(0)
    net = SincShallowNet(2, 2, 120, sfreq=sfreq)
    layer = net.sinc_filter_layer
    for scale in (0.0, 1e-6, 1.0, sfreq, 1e6, float("inf")):
        with torch.no_grad():
            if scale:  # zero keeps the initial bands
                layer.low_freqs.copy_(torch.randn(1, 32) * scale)
                layer.bandwidths.copy_(torch.randn(1, 32) * scale)
        bands = net.bands()
        assert bands.shape == (32, 2)
        assert (bands > 0).all() and (bands < sfreq / 2).all() and (bands[:, 0] <= bands[:, 1]).all()
        net.zero_grad()
        F.cross_entropy(net(torch.randn(4, 2, 120)), torch.tensor([0, 1, 0, 1])).backward()
        for name, parameter in net.named_parameters():
            assert torch.isfinite(parameter.grad).all(), (scale, name)


def test_bands_without_width_are_finite():
    layer = SincFilters(4, 33, 100.0)
    with torch.no_grad():
        layer.bandwidths.zero_()
    bank = layer()
    bank.square().sum().backward()
    assert torch.isfinite(bank).all() and torch.isfinite(layer.low_freqs.grad).all()


def test_bands_above_nyquist_start_below_it_with_a_warning():
    with pytest.warns(UserWarning, match="21 of 32 bands reach half .* sfreq=40 Hz"):
        net = SincShallowNet(2, 2, 200, sfreq=40)
    bands = net.bands()
    torch.testing.assert_close(bands[11], torch.tensor([16.0, 20.0]), rtol=0, atol=1e-4)
    torch.testing.assert_close(bands[31], bands[12])


def plain_forward(net, x):
    """The network as a chain of PyTorch's own layers."""
    norm, conv = net.depthwiseconv
    aggregate_norm, activation, pool = net.temporal_aggregation[:3]
    pad = net.time_filter_len // 2 if net.padding == "same" else 0
    x = F.conv2d(F.pad(x.unsqueeze(1), (pad, pad)), net.sinc_filter_layer()[:, None, None])
    x = activation(aggregate_norm(conv(norm(x)))).squeeze(2)
    return net.final_layer(F.avg_pool1d(x, pool.length, pool.stride).flatten(1))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("training", [True, False])
def test_network_is_the_plain_composition(padding, training):
    torch.manual_seed(0)
    arguments = {"num_time_filters": 6, "padding": padding, "drop_prob": 0.0}
    fast = SincShallowNet(4, 3, 300, sfreq=128, **arguments).double().train(training)
    plain = copy.deepcopy(fast)
    x = 10 * torch.randn(5, 4, 300, dtype=torch.double) + 50
    y = torch.tensor([0, 1, 2, 0, 1])
    outputs = fast(x), plain_forward(plain, x)
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
    for out in outputs:
        F.cross_entropy(out, y).backward()
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad, theirs.grad, rtol=1e-8, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )
    torch.testing.assert_close(fast.state_dict(), plain.state_dict(), rtol=1e-9, atol=1e-9)


def test_parameter_count_and_names():
    net = SincShallowNet(22, 4, 1000, sfreq=250)
    assert sum(p.numel() for p in net.parameters()) == 21892
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    norms = {
        f"{norm}.{name}": (n,)
        for norm, n in (("depthwiseconv.0", 32), ("temporal_aggregation.0", 64))
        for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert shapes == {
        **norms,
        "depthwiseconv.0.num_batches_tracked": (),
        "temporal_aggregation.0.num_batches_tracked": (),
        "sinc_filter_layer.low_freqs": (1, 32),
        "sinc_filter_layer.bandwidths": (1, 32),
        "sinc_filter_layer.window": (16, 1),
        "sinc_filter_layer.n_pi": (16, 1),
        "sinc_filter_layer.ones": (1, 1, 1, 32),
        "depthwiseconv.1.weight": (64, 1, 22, 1),
        "final_layer.weight": (4, 64 * 79),
        "final_layer.bias": (4,),
    }
    for norm in (net.depthwiseconv[0], net.temporal_aggregation[0]):
        assert (norm.momentum, norm.eps) == (0.01, 1e-3)


def test_max_norms_limit_what_is_computed_and_not_the_parameters():
    torch.manual_seed(0)
    limited = SincShallowNet(4, 3, 300, sfreq=128, max_norm_spatial=1.0, max_norm_dense=0.25).eval()
    with torch.no_grad():
        limited.depthwiseconv[1].weight.mul_(10)
        limited.final_layer.weight.mul_(10)
    before = copy.deepcopy(limited.state_dict())
    free = SincShallowNet(4, 3, 300, sfreq=128).eval()
    free.load_state_dict(before)
    x = torch.randn(2, 4, 300)
    out = limited(x)
    torch.testing.assert_close(limited.state_dict(), before, rtol=0, atol=0)
    assert not torch.allclose(out, free(x))
    with torch.no_grad():
        for weight, limit in ((free.depthwiseconv[1].weight, 1.0), (free.final_layer.weight, 0.25)):
            weight.copy_(torch.renorm(weight, 2, 0, limit))
    torch.testing.assert_close(out, free(x), rtol=1e-4, atol=1e-5)


def test_no_activation_is_linear():
    net = SincShallowNet(2, 2, 200, sfreq=128, activation=None).eval()
    x = torch.randn(3, 2, 200)
    zero = net(torch.zeros(1, 2, 200))
    torch.testing.assert_close(net(3 * x) - zero, 3 * (net(x) - zero), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("freq_stride", [0.3, 0.1, 1 / 3])
def test_fractional_stride_gives_the_number_of_filters_asked_for(freq_stride):
    bands = SincShallowNet(2, 2, 200, sfreq=250, freq_stride=freq_stride).bands().numpy()
    np.testing.assert_allclose(bands[:, 0], 5 + freq_stride * np.arange(32), rtol=1e-5)


@pytest.mark.parametrize("n_chans", [1, 128])
@pytest.mark.parametrize(("seconds", "sfreq"), [(0.5, 100), (0.5, 512), (3, 128), (10, 250)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.filterwarnings("ignore:n_times=.*scaled down")
def test_windows_of_any_size(n_chans, seconds, sfreq, padding):
    n_times = int(seconds * sfreq)
    net = SincShallowNet(n_chans, 3, n_times, sfreq=sfreq, padding=padding, num_time_filters=8)
    out = net(torch.randn(1, n_chans, n_times), return_features=True)  # a batch of one, in training
    assert out["logits"].shape == (1, 3) and torch.isfinite(out["logits"]).all()
    assert out["features"].shape == (1, net.n_features)


def test_a_window_that_just_fits_keeps_its_lengths():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SincShallowNet(2, 2, 55 + 32, sfreq=250, padding="valid").n_features == 64
    with pytest.warns(UserWarning, match="pool_size 55 -> "):
        SincShallowNet(2, 2, 55 + 31, sfreq=250, padding="valid")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sfreq": None}, "needs the sampling rate: sfreq=None"),
        ({"sfreq": -1}, "sfreq=-1"),
        ({"time_filter_len": 32}, "time_filter_len=32 must be an odd"),
        ({"time_filter_len": 1}, "time_filter_len=1 must be an odd"),
        ({"padding": "full"}, "padding='full' must be 'same' or 'valid'"),
        ({"min_freq": 0.0}, "min_freq=0.0"),
        ({"first_freq": 0.5}, "first_freq=0.5"),
        ({"first_freq": 130.0}, "130.0 to 134.0 Hz, does not fit"),
        ({"bandwidth": 0}, "bandwidth=0"),
        ({"freq_stride": -1.0}, "freq_stride=-1.0"),
        ({"num_time_filters": 0}, "num_time_filters=0"),
        ({"pool_stride": 1.5}, "pool_stride=1.5"),
        ({"drop_prob": -0.1}, "drop_prob=-0.1"),
        ({"max_norm_spatial": 0}, "max_norm_spatial=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SincShallowNet(2, 2, 400, **{"sfreq": 250, **arguments})


def test_reset_head_keeps_the_encoder():
    net = SincShallowNet(3, 2, 400, sfreq=250).eval()
    x = torch.randn(2, 3, 400)
    features = net(x, return_features=True)["features"]
    net.reset_head(5)
    out = net(x, return_features=True)
    assert net.n_outputs == 5 and out["logits"].shape == (2, 5)
    assert torch.equal(out["features"], features)


@pytest.mark.parametrize("through", ["data", "in place", "state dict", "buffer", "setting"])
def test_evaluation_follows_weights_however_they_change(through):
    """What is kept of the weights between evaluations must not outlive them."""
    torch.manual_seed(0)
    net = SincShallowNet(3, 2, 200, sfreq=128).eval()
    x = torch.randn(4, 3, 200)
    with torch.no_grad():
        before = net(x)
        assert torch.equal(net(x), before)
        state = {
            name: value + 0.1 if value.is_floating_point() else value
            for name, value in net.state_dict().items()
        }
        if through == "data":
            net.sinc_filter_layer.low_freqs.data.add_(3)
        elif through == "in place":
            net.depthwiseconv[1].weight.mul_(1.1)
        elif through == "state dict":
            net.load_state_dict(state)
        elif through == "buffer":
            net.depthwiseconv[0].running_var.mul_(2)
        else:
            net.temporal_aggregation[0].eps = 0.5
        after = net(x)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, net(x).detach(), rtol=1e-4, atol=1e-5)  # with gradients nothing is kept
    assert torch.equal(copy.deepcopy(net)(x), net(x))
    wider = net.double()
    with torch.no_grad():
        assert wider(x.double()).dtype == torch.double


@pytest.mark.parametrize("training", [True, False])
def test_hooks_on_the_activation_and_the_pooling_are_called(training):
    torch.manual_seed(0)
    net = SincShallowNet(3, 2, 200, sfreq=128, drop_prob=0.0).train(training)
    x = torch.randn(4, 3, 200)
    seen = []
    with torch.no_grad():
        expected = net(x)
        for layer in net.temporal_aggregation[1:3]:
            layer.register_forward_hook(lambda _, given, out: seen.append(out.shape))
        torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)
    assert seen == [(4, 64, 200), (4, 64, 13)]
