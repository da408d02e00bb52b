"""FBLightConvNet against the authors' figures and against the plain composition of its layers."""

import copy
import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skeeg.modules.fb_light_conv_net import FBLightConvNet
from skeeg.modules.layers.filter_bank import FilterBankDesign

SMALL = {"n_bands": [(4, 8), (8, 12), (12, 30)], "n_filters_spat": 8, "heads": 4, "win_len": 50, "sfreq": 128}
BANKS = {
    "fir": None,
    "causal": "chebyshev2",
    "zero-phase iir": {"method": "iir"},
}
all_banks = pytest.mark.parametrize("bank", BANKS.values(), ids=BANKS.keys())
DATA = Path(__file__).parent / "data"


def make(n_chans=3, n_outputs=4, n_times=230, dtype=torch.float64, **options):
    """A network all of whose parameters and running statistics are random."""
    torch.manual_seed(0)
    net = FBLightConvNet(n_chans, n_outputs, n_times, **{**SMALL, **options}).to(dtype)
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.add_(0.2 * torch.rand_like(value))
    return net


def trials(n=5, n_chans=3, n_times=230, dtype=torch.float64):
    return torch.randn(n, n_chans, n_times, dtype=dtype, generator=torch.Generator().manual_seed(1)) + 2


def plain_features(net, banded, state):
    """The network layer by layer, as published, from band-passed trials."""
    x = F.conv2d(banded, state["spatial_conv.0.weight"], state["spatial_conv.0.bias"])
    x = F.batch_norm(
        x,
        state["spatial_conv.1.running_mean"],
        state["spatial_conv.1.running_var"],
        state["spatial_conv.1.weight"],
        state["spatial_conv.1.bias"],
        net.training,
    )
    x = F.elu(x).squeeze(2)
    windows = x.split(net._window, dim=-1)[: net.n_windows]
    x = torch.stack([window.var(-1).clamp(1e-6, 1e6).log() for window in windows], -1)
    weight = state["attn_conv.weight"]
    weight = weight.softmax(-1) if net.weight_softmax else weight
    heads, n_filters = len(weight), x.shape[1]
    grouped = torch.stack([x[:, c] @ weight[c % heads, 0] for c in range(n_filters)], 1)
    return grouped + state["attn_conv.bias"] if "attn_conv.bias" in state else grouped


def plain_logits(net, banded, state):
    features = plain_features(net, banded, state)
    return F.linear(features, state["final_layer.weight"], state["final_layer.bias"])


def test_golden():
    golden = dict(np.load(DATA / "lightconvnet_9x22x1000x4.npz"))
    meta = json.loads(str(golden["meta"]))
    names = ("n_chans", "n_outputs", "n_times", "n_bands", "n_filters_spat", "win_len", "heads", "bias")
    net = FBLightConvNet(
        **{name: meta[name] for name in names}, weight_softmax=meta["weight_softmax"]
    ).double()
    net.load_state_dict(
        {key.removeprefix("state/"): torch.tensor(v) for key, v in golden.items() if key.startswith("state/")}
    )
    x = torch.tensor(10 * np.random.RandomState(meta["x_seed"]).standard_normal(meta["x_shape"]))
    np.testing.assert_allclose(net.eval()(x).detach(), golden["logits_eval"], rtol=0, atol=1e-9)
    logits = net.train()(x)
    np.testing.assert_allclose(logits.detach(), golden["logits_train"], rtol=0, atol=1e-9)
    loss = F.cross_entropy(logits, torch.tensor(golden["y"]))
    np.testing.assert_allclose(loss.item(), golden["loss"], rtol=0, atol=1e-9)
    loss.backward()
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(parameter.grad, golden[f"grad/{name}"], rtol=0, atol=1e-9, err_msg=name)
    assert not net.spatial_conv[0].bias.grad.any()  # it cancels: exactly 0, not rounding noise


def test_golden_in_single_precision():
    golden = dict(np.load(DATA / "lightconvnet_9x22x1000x4.npz"))
    meta = json.loads(str(golden["meta"]))
    net = FBLightConvNet(22, 4, 1000, n_filters_spat=64)
    net.load_state_dict(
        {key.removeprefix("state/"): torch.tensor(v) for key, v in golden.items() if key.startswith("state/")}
    )
    x = torch.tensor(10 * np.random.RandomState(meta["x_seed"]).standard_normal(meta["x_shape"]))
    np.testing.assert_allclose(net(x.float()).detach(), golden["logits_train"], rtol=1e-4, atol=1e-4)


def test_parameters_in_the_papers_configuration():
    net = FBLightConvNet(22, 4, 1000, sfreq=250, n_filters_spat=64)
    assert sum(p.numel() for p in net.parameters()) == 13_156
    assert all(p.requires_grad for p in net.parameters())


@all_banks
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("n_times", "n_trials"), [(230, 19), (151, 5), (64, 1)])
def test_equals_plain_composition(bank, training, n_times, n_trials):
    """Outputs, all gradients and running statistics, with samples left over behind the last window.

    Nineteen trials are more than are computed at a time.
    """
    net = make(n_times=n_times, filter_parameters=bank, bias=True, weight_softmax=n_times != 151).train(
        training
    )
    state = {name: v.detach().clone() for name, v in net.state_dict().items()}
    names = [name for name, _ in net.named_parameters()]
    for name in names:
        state[name].requires_grad_()
    x, x_plain = (trials(n_trials, n_times=n_times).requires_grad_() for _ in range(2))
    banded = FilterBankDesign(SMALL["n_bands"], SMALL["sfreq"], bank)(x_plain)

    logits, expected = net(x), plain_logits(net, banded, state)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    weights = torch.randn_like(logits)
    (logits * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad, x_plain.grad, rtol=1e-8, atol=1e-9)
    for name in names:
        torch.testing.assert_close(
            net.get_parameter(name).grad,
            state[name].grad,
            rtol=1e-8,
            atol=1e-9,
            msg=lambda m, n=name: f"{n}: {m}",
        )
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(net.spatial_conv[1], name), state[f"spatial_conv.1.{name}"])
    assert net.spatial_conv[1].num_batches_tracked == training


@all_banks
def test_prepared_filtered_and_raw_trials_give_the_same(bank):
    net = make(filter_parameters=bank).eval()
    x = trials(100)  # more than are prepared at a time
    expected = net(x)
    torch.testing.assert_close(net(net.prepare(x)), expected)
    torch.testing.assert_close(net(net.prepare(x)[[3, 70]]), expected[[3, 70]])
    torch.testing.assert_close(net(FilterBankDesign(SMALL["n_bands"], SMALL["sfreq"], bank)(x)), expected)


@pytest.mark.parametrize("bank", [None, "chebyshev2"])
def test_convolutions_need_no_copy_of_the_data(bank):
    x = trials()
    assert make(filter_parameters=bank).prepare(x) is x


@all_banks
@pytest.mark.parametrize("training", [True, False])
def test_single_precision(bank, training):
    exact = make(filter_parameters=bank).train(training)
    net = copy.deepcopy(exact).float()
    logits, expected = net(trials().float()), exact(trials())
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits.double(), expected, rtol=1e-3, atol=1e-4)
    for model, out in ((net, logits), (exact, expected)):
        out.square().sum().backward()
        assert all(p.grad.dtype == p.dtype for p in model.parameters())
    a, b = net.spatial_conv[0].weight.grad.double(), exact.spatial_conv[0].weight.grad
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * b.abs().max().item())


@all_banks
def test_batch_of_one_and_eval_changes_nothing(bank):
    net = make(filter_parameters=bank)
    out = net(trials(1))
    out.sum().backward()
    assert out.isfinite().all()
    net.eval()
    before = copy.deepcopy(net.state_dict())
    together = net(trials())
    torch.testing.assert_close(torch.cat([net(trials()[i : i + 1]) for i in range(5)]), together)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@all_banks
def test_layouts_copies_pickles(bank):
    net = make(filter_parameters=bank).eval()
    x = trials()
    expected = net(x)
    torch.testing.assert_close(net(x.transpose(1, 2).contiguous().transpose(1, 2)), expected)
    assert torch.equal(copy.deepcopy(net)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(net))(x), expected)


@all_banks
def test_vmap_and_autocast(bank):
    net = make(filter_parameters=bank).eval()
    torch.testing.assert_close(torch.func.vmap(lambda trial: net(trial[None])[0])(trials()), net(trials()))
    with torch.no_grad():
        torch.testing.assert_close(
            torch.func.vmap(lambda trial: net(trial[None])[0])(trials()), net(trials())
        )
    net = net.float()
    x = trials(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net(x).float(), net(x.clone()).float())
        assert net(x.bfloat16()).isfinite().all()
        low = net(x).float()
    torch.testing.assert_close(low, net(x), rtol=0.05, atol=0.1)


@all_banks
def test_without_gradients_nothing_changes(bank):
    """Few trials at a time, start to end, in a single step for one trial, or layer after layer."""
    net = make(filter_parameters=bank).eval()
    for x in (trials(19), trials(1)):
        with torch.no_grad():
            alone = net(x)
        torch.testing.assert_close(alone, net(x).detach())


@pytest.mark.parametrize("n_trials", [1, 9])
@pytest.mark.parametrize("banded", [False, True])
@pytest.mark.parametrize(
    "name",
    ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"],
)
def test_evaluation_follows_weights(name, banded, n_trials, assert_evaluation_follows):
    net, x = make().eval(), trials(n_trials)
    x = FilterBankDesign(SMALL["n_bands"], SMALL["sfreq"])(x) if banded else x
    assert_evaluation_follows(net, x, net.spatial_conv.state_dict()[name])


def test_evaluation_follows_precision():
    net, x = make().eval(), trials(3)
    with torch.no_grad():
        double = net(x)
        single = net.float()(x.float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(net.double()(x), double, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", [nn.ELU, partial(nn.ELU, alpha=0.5), nn.ReLU, None])
def test_any_activation(activation):
    """In a training step, which knows the plain ELU's slope, but no other's, and in evaluation."""
    net, x = make(activation=activation), trials(11)
    state = dict(net.named_parameters())
    banded = FilterBankDesign(SMALL["n_bands"], SMALL["sfreq"])(x)
    mixed = F.conv2d(banded, state["spatial_conv.0.weight"], state["spatial_conv.0.bias"])
    norm = net.spatial_conv[1]

    def plain(*statistics, training):
        z = F.batch_norm(mixed, *statistics, norm.weight, norm.bias, training).squeeze(2)
        z = z if activation is None else activation()(z)
        variance = torch.stack([z[..., i : i + 50].var(-1) for i in range(0, 200, 50)], -1)
        return net.forward_head(net.attn_conv(variance.clamp(1e-6, 1e6).log()))

    logits, expected = net(x), plain(None, None, training=True)
    torch.testing.assert_close(logits, expected)
    with torch.no_grad():
        evaluated = net.eval()(x)
        torch.testing.assert_close(evaluated, plain(norm.running_mean, norm.running_var, training=False))
    weights = torch.randn_like(logits)
    parameters = [p for name, p in state.items() if name != "spatial_conv.0.bias"]
    for a, b in zip(
        *(torch.autograd.grad((out * weights).sum(), parameters) for out in (logits, expected)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@all_banks
def test_per_sample_gradients(bank):
    net = make(filter_parameters=bank).eval()
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def loss(parameters, trial):
        return torch.func.functional_call(net, parameters, (trial[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, trials())
    net(trials()).square().sum().backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(per_sample[name].sum(0), parameter.grad)


@pytest.mark.parametrize("bank", [None, "chebyshev2"])
def test_result_does_not_depend_on_the_number_of_threads(bank):
    def run():
        net = make(22, n_times=480, dtype=torch.float32, filter_parameters=bank, n_filters_spat=32)
        x = trials(32, 22, 480, torch.float32)
        out = net(net.prepare(x))
        out.square().sum().backward()
        return [out, *(p.grad for p in net.parameters()), *net.buffers()]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run()
        torch.set_num_threads(2)
        two = run()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_constant_and_huge_input_stay_finite():
    for x in (torch.zeros(3, 3, 230), torch.full((3, 3, 230), 5.0), 1000 * trials(dtype=torch.float32)):
        net = make(dtype=torch.float32)
        out = net(x)
        out.sum().backward()
        assert out.isfinite().all()
        assert all(p.grad.isfinite().all() for p in net.parameters())


def test_state_of_braindecode_loads():
    """Its state holds the taps of the filter bank too."""
    net, other = make(), make(n_filters_spat=8)
    state = dict(net.state_dict())
    with torch.no_grad():
        for value in state.values():
            if value.is_floating_point():
                value.add_(0.1)
    state["spectral_filtering.fir_list.0"] = torch.zeros(211)
    state["spectral_filtering.fir_a_list.0"] = torch.zeros(211)
    other.load_state_dict(state)
    torch.testing.assert_close(other(trials()), net(trials()))
    assert "spectral_filtering.fir_list.0" in state  # the caller's dict is as it was
    wrapped = nn.Sequential(other)
    wrapped.load_state_dict({f"0.{name}": value for name, value in state.items()})
    with pytest.raises(RuntimeError, match="spatial_conv"):
        other.load_state_dict({"spectral_filtering.fir_list.0": torch.zeros(211)})


def test_state_holds_no_taps():
    a, b = make(sfreq=128), make(sfreq=250)
    assert {k: v.shape for k, v in a.state_dict().items()} == {k: v.shape for k, v in b.state_dict().items()}


def test_features_and_new_head():
    net = make()
    out = net.eval()(trials(), return_features=True)
    assert out["features"].shape == (5, net.n_features) == (5, 8)
    torch.testing.assert_close(net.forward_head(out["features"]), out["logits"])
    net.reset_head(7)
    assert net.n_outputs == 7
    assert net(trials()).shape == (5, 7)
    torch.testing.assert_close(net.forward_features(trials()), out["features"])


@pytest.mark.parametrize(("stride_factor", "n_windows"), [(4, 4), (1, 1), (3, 3), (115, 115)])
def test_window_from_stride_factor(stride_factor, n_windows):
    net = make(win_len=None, stride_factor=stride_factor)
    assert net.n_windows == n_windows
    assert net.attn_conv.weight.shape == (4, 1, n_windows)
    assert net(trials()).isfinite().all()


def test_short_trials_shorten_the_window():
    with pytest.warns(UserWarning, match="win_len 50 -> 40"):
        net = make(n_times=40)
    assert net.n_windows == 1
    assert net(trials(n_times=40)).shape == (5, 4)


@pytest.mark.filterwarnings("ignore:n_times")
@pytest.mark.parametrize("n_chans", [1, 3, 128])
@pytest.mark.parametrize("sfreq", [100, 160, 512])
@pytest.mark.parametrize("seconds", [0.5, 10])
def test_any_shape(n_chans, sfreq, seconds):
    net = FBLightConvNet(n_chans, 2, input_window_seconds=seconds, sfreq=sfreq)
    out = net(torch.randn(2, n_chans, net.n_times))
    out.sum().backward()
    assert out.shape == (2, 2)
    assert out.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads=3 must divide n_filters_spat=8"),
        ({"heads": 0}, "heads=0 must divide"),
        ({"win_len": 0}, "win_len=0 must be at least 2"),
        ({"win_len": 1}, "win_len=1 must be at least 2"),
        ({"win_len": None, "stride_factor": 0}, "stride_factor=0 must be from 1 to 115"),
        ({"win_len": None, "stride_factor": 116}, "stride_factor=116 must be from 1 to 115"),
        ({"n_times": 1}, "n_times=1 is too short"),
        ({"n_dim": 2}, "n_dim=2 must be 3"),
        ({"n_bands": [(60, 70)]}, r"\(60, 70\) Hz is out of reach; .* below 64 Hz"),
        ({"n_bands": 20}, r"n_bands=20: the band \(60, 64\) Hz is out of reach; .* below 64 Hz"),
        ({"filter_parameters": "spam"}, "filter_parameters='spam' must be"),
        ({"filter_parameters": {"order": 3}}, "filter_parameters: order unknown"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_raw_trials_need_sfreq():
    net = make(sfreq=None)
    assert net(torch.randn(2, 3, 3, 230, dtype=torch.float64)).shape == (2, 4)
    with pytest.raises(ValueError, match="needs sfreq to filter trials"):
        net(trials())


def test_other_number_of_samples():
    with pytest.raises(ValueError, match="trials have 200 samples, this network was made for 230"):
        make()(trials(n_times=200))
