"""SSTDPN against the authors' figures and against the network written out as published."""

import copy
import json
import pathlib
import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.losses import DualPrototypeLoss
from skeeg.modules.sstdpn import SSTDPN

GOLDEN = sorted((pathlib.Path(__file__).parent / "data").glob("sstdpn_*.npz"))
SMALL = {
    "n_chans": 4,
    "n_outputs": 3,
    "n_times": 200,
    "n_spectral_filters_temporal": 3,
    "n_fused_filters": 6,
    "temporal_conv_kernel_size": 15,
    "mvp_kernel_sizes": [20, 40],
    "spt_attn_global_context_kernel": 60,
}


def make(seed=0, dtype=torch.float64, **arguments):
    """A small network with gates that do something."""
    torch.manual_seed(seed)
    network = SSTDPN(**{**SMALL, **arguments}).to(dtype)
    attention = network.encoder.spt_attn
    for parameter in (attention.alpha, attention.gamma, attention.beta, network.encoder.temporal_conv.bias):
        nn.init.normal_(parameter)
    return network


def trials(network, n=5, seed=1):
    torch.manual_seed(seed)
    return 10 * torch.randn(n, network.n_chans, network.n_times, dtype=network.proto_sep.dtype)


def as_published(network, x, training):
    """Features by the plain composition: convolution, gate, 1 x 1 convolution, BatchNorm, variances."""
    encoder = network.encoder
    conv, attention = encoder.temporal_conv, encoder.spt_attn
    z = F.conv1d(x.flatten(0, 1).unsqueeze(1), conv.weight, conv.bias, padding="same")
    z = z.unflatten(0, x.shape[:2]).transpose(1, 2).flatten(1, 2)  # (batch, filters * channels, times)
    epsilon = network.spt_attn_epsilon
    if network.spt_attn_mode == "var":
        k = network.spt_attn_global_context_kernel
        e = (
            attention.alpha
            * (z.unfold(-1, k, k).var(-1, correction=0).mean(-1, keepdim=True) + epsilon).sqrt()
        )
        level = (e.square().mean(1, keepdim=True) + epsilon).sqrt()
    elif network.spt_attn_mode == "l2":
        e = (z.square().sum(-1, keepdim=True) + epsilon).sqrt()
        level = (e.square().mean(1, keepdim=True) + epsilon).sqrt()
    else:
        e = z.abs().sum(-1, keepdim=True)
        level = e.mean(1, keepdim=True) + epsilon
    z = z * (1 + torch.tanh(e * attention.gamma / level + attention.beta))
    fusion, norm, activation = encoder.chan_conv
    z = fusion(z)
    z = F.batch_norm(z, norm.running_mean, norm.running_var, norm.weight, norm.bias, training, norm.momentum)
    z = activation(z)
    kernels = network.mvp_kernel_sizes
    pooled = [
        group.unfold(-1, k, k // 2).var(-1, correction=0).flatten(1)
        for group, k in zip(z.chunk(len(kernels), 1), kernels, strict=True)
    ]
    return torch.cat(pooled, 1)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_golden(path, dtype, tolerance):
    golden = np.load(path)
    meta = json.loads(str(golden["meta"]))
    other = ("architecture", "x", "x_seed", "x_shape", "compactness_weight", "explicit_force_weight")
    network = SSTDPN(**{key: value for key, value in meta.items() if key not in other}).to(dtype)
    state = {key[6:]: torch.as_tensor(golden[key]) for key in golden if key.startswith("state/")}
    assert list(network.state_dict()) == list(state)
    network.load_state_dict(state)
    x = 10 * np.random.RandomState(meta["x_seed"]).standard_normal(meta["x_shape"])
    x, y = torch.as_tensor(x).to(dtype), torch.as_tensor(golden["y"])

    def check(name, value):
        expected = golden[name]
        scale = max(
            1e-3, np.abs(expected).max()
        )  # a gradient that is 0 but for rounding has no relative error
        np.testing.assert_allclose(
            value.detach().numpy() / scale, expected / scale, atol=tolerance, err_msg=name
        )

    outputs = network.eval()(x, return_features=True)
    check("logits_eval", outputs["logits"])
    check("features_eval", outputs["features"])
    np.testing.assert_array_equal(
        network.proto_sep.detach(), torch.as_tensor(golden["state/proto_sep"]).to(dtype)
    )

    outputs = network.train()(x, return_features=True)
    check("logits_train", outputs["logits"])
    check("features_train", outputs["features"])
    loss = DualPrototypeLoss(meta["compactness_weight"], meta["explicit_force_weight"])(outputs, y)
    check("loss_total", loss)
    loss.backward()
    for name, parameter in network.named_parameters():
        check(f"grad/{name}", parameter.grad)
    check("proto_sep_after_forward", network.proto_sep)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"spt_attn_mode": "l2"},
        {"spt_attn_mode": "l1"},
        {"temporal_conv_kernel_size": 16},  # even: one more zero after the signal than before
        {"temporal_conv_kernel_size": 1},
        {"temporal_conv_kernel_size": 2},
        {"temporal_conv_kernel_size": 200},
        {"spt_attn_global_context_kernel": 50},  # windows without a tail
        {"spt_attn_global_context_kernel": 65},  # a tail shorter than the filters reach
        {"spt_attn_global_context_kernel": 101, "temporal_conv_kernel_size": 41},  # a longer one
        {"mvp_kernel_sizes": [21, 40, 7], "activation": nn.Tanh},
        {"activation": nn.PReLU},  # with a parameter
        {"n_chans": 1, "n_spectral_filters_temporal": 1},
        {"n_times": 207, "spt_attn_epsilon": 10.0},
    ],
    ids=str,
)
def test_equals_the_network_as_published(arguments, training):
    """Features, gradients by every parameter and by the input, running statistics."""
    fast = make(**arguments).train(training)
    nn.init.normal_(fast.encoder.chan_conv[1].running_mean)
    nn.init.uniform_(fast.encoder.chan_conv[1].running_var, 1, 2)
    plain = copy.deepcopy(fast)
    x = trials(fast).requires_grad_()
    features, expected = fast.forward_features(x), as_published(plain, x, training)
    torch.testing.assert_close(features, expected, rtol=1e-9, atol=1e-9)

    weight = torch.randn_like(expected)
    (by_x,) = torch.autograd.grad((features * weight).sum(), x, retain_graph=True)
    (expected_by_x,) = torch.autograd.grad((expected * weight).sum(), x, retain_graph=True)
    torch.testing.assert_close(by_x, expected_by_x, rtol=1e-7, atol=1e-9)
    (features * weight).sum().backward()
    (expected * weight).sum().backward()
    expected_gradients = dict(plain.encoder.named_parameters())
    for name, parameter in fast.encoder.named_parameters():
        gradient = expected_gradients[name].grad
        gradient = torch.zeros_like(parameter) if gradient is None else gradient
        torch.testing.assert_close(
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad,
            gradient,
            rtol=1e-7,
            atol=1e-8,
            msg=lambda message, name=name: f"{name}: {message}",
        )
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(
            getattr(fast.encoder.chan_conv[1], name),
            getattr(plain.encoder.chan_conv[1], name),
            rtol=1e-9,
            atol=1e-9,
        )


def test_float32_with_many_trials():
    """More trials than are filtered at a time, float32."""
    network = make(dtype=torch.float32, n_chans=32, n_times=480, n_spectral_filters_temporal=9)
    x = trials(network, n=20).requires_grad_()
    weight = torch.randn(20, network.n_features)
    (gradient,) = torch.autograd.grad((network.forward_features(x) * weight).sum(), x)
    exact = network.double()
    x64 = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad((as_published(exact, x64, True) * weight).sum(), x64)
    torch.testing.assert_close(gradient.double(), expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_a_trial_is_encoded_the_same_in_any_batch():
    network = make().eval()
    x = trials(network, n=70)
    alone = torch.cat([network(trial.unsqueeze(0)) for trial in x])
    torch.testing.assert_close(network(x), alone, rtol=1e-12, atol=1e-12)


def test_gates():
    network = make()
    x = trials(network)
    gates = network.gates(x)
    assert gates.shape == (5, 3, 4)
    # gates are what the filtered channels are multiplied by: with them in the weights, none are needed
    fixed = copy.deepcopy(network).eval()
    fusion, attention = fixed.encoder.chan_conv[0], fixed.encoder.spt_attn
    with torch.no_grad():
        fusion.weight *= gates[0].flatten().view(1, -1, 1)
        attention.gamma.zero_()
        attention.beta.zero_()
        torch.testing.assert_close(fixed.forward_features(x[:1]), network.eval().forward_features(x[:1]))


def test_constant_and_silent_channels_give_finite_gradients():
    network = make(dtype=torch.float32)
    x = trials(network)
    x[:, 0] = 0
    x[:, 1] = 1000.0
    network(x).sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_initial_values():
    torch.manual_seed(0)
    network = SSTDPN(n_chans=22, n_outputs=4, n_times=1000)
    encoder = network.encoder
    assert network.n_features == 1072
    limit = (6 / (75 + 9 * 75)) ** 0.5  # Xavier: fan in 75, fan out 9 * 75
    assert 0.95 * limit < encoder.temporal_conv.weight.abs().max() <= limit
    assert not encoder.temporal_conv.bias.any()
    assert torch.equal(network.gates(torch.randn(2, 22, 1000)), torch.ones(2, 9, 22))
    assert network.proto_cpt.std().item() == pytest.approx(0.01, rel=0.1)
    assert network.proto_sep.std().item() == pytest.approx((2 / 1072) ** 0.5, rel=0.1)


@pytest.mark.parametrize(("n_chans", "n_outputs"), [(1, 2), (3, 10), (128, 2)])
def test_sizes(n_chans, n_outputs):
    network = SSTDPN(n_chans=n_chans, n_outputs=n_outputs, n_times=250)
    x = trials(network, n=1)
    network(x).sum().backward()  # a batch of one, in training mode
    assert network.eval()(x).shape == (1, n_outputs)


def test_training_keeps_prototypes_in_the_ball():
    network = make(proto_sep_maxnorm=0.5)
    with torch.no_grad():
        network.proto_sep[0] *= 100  # along its row: the other classes' prototypes stay as they are
        network.proto_sep[1:] *= 0.1
    before = network.proto_sep.detach().clone()
    network(trials(network))
    norms = network.proto_sep.detach().norm(dim=1)
    assert norms[0].item() == pytest.approx(0.5)
    assert torch.equal(network.proto_sep[1:], before[1:])


def test_evaluation_changes_nothing_and_agrees_with_the_saved_state():
    network = make()
    x, y = trials(network), torch.tensor([0, 1, 2, 0, 1])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
    assert network.proto_sep.norm(dim=1).max() > 1  # the last step left the ball
    network.eval()
    state = copy.deepcopy(network.state_dict())
    logits = network(x)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())
    other = make(seed=7).eval()
    other.load_state_dict(state)
    assert torch.equal(other(x), logits)
    projected = network.proto_sep / network.proto_sep.norm(dim=1, keepdim=True).clamp(min=1)
    projected = F.linear(network.forward_features(x), projected)
    torch.testing.assert_close(logits, projected, rtol=1e-6, atol=1e-6)


def test_return_features():
    network = make(return_features=True).eval()
    x = trials(network)
    outputs = network(x)
    assert list(outputs) == ["features", "logits", "proto_cpt"]
    assert outputs["proto_cpt"] is network.proto_cpt
    assert torch.equal(network(x, return_features=False), outputs["logits"])
    assert torch.equal(network.forward_head(network.forward_features(x)), outputs["logits"])


def test_no_activation_is_the_identity():
    network, identity, elu = (make(activation=activation) for activation in (None, nn.Identity, nn.ELU))
    x = trials(network)
    for training in (True, False):
        assert torch.equal(network.train(training)(x), identity.train(training)(x))
    elu.load_state_dict(network.state_dict())
    assert not torch.allclose(network(x), elu.eval()(x))


def test_reset_head():
    network = make()
    x = trials(network)
    features = network.eval().forward_features(x)
    network.reset_head(7)
    assert network.n_outputs == 7
    assert network(x).shape == (5, 7)
    assert network.proto_cpt.shape == (7, network.n_features)
    assert network.proto_sep.dtype == torch.float64
    assert torch.equal(network.forward_features(x), features)


def test_arguments_are_kept_as_given():
    network = SSTDPN(n_chans=2, n_outputs=2, n_times=1000, mvp_kernel_sizes=None)
    assert network.mvp_kernel_sizes is None
    with pytest.warns(UserWarning):
        network = SSTDPN(n_chans=2, n_outputs=2, n_times=100, temporal_conv_kernel_size=75)
    assert network.temporal_conv_kernel_size == 75
    assert network.encoder.temporal_conv.weight.shape[-1] == 29


@pytest.mark.parametrize("n_times", [2, 3, 7, 30, 64, 199, 249])
def test_short_windows_scale_all_lengths_with_one_warning(n_times):
    with pytest.warns(
        UserWarning, match=f"n_times={n_times} is shorter than the 250 .*kernel.* -> "
    ) as caught:
        network = SSTDPN(n_chans=2, n_outputs=2, n_times=n_times)
    assert len(caught) == 1
    assert network.encoder.temporal_conv.weight.shape[-1] % 2 == 1
    x = trials(network)
    network(x).sum().backward()
    assert torch.isfinite(network.proto_sep.grad).all()
    assert network.proto_sep.grad.abs().sum() > 0


def test_context_windows_do_not_matter_to_modes_without_them():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SSTDPN(n_chans=2, n_outputs=2, n_times=220, spt_attn_mode="l2")


def test_a_single_sample_is_too_short():
    with pytest.raises(ValueError, match=r"n_times=1 .*at least 2 samples"):
        SSTDPN(n_chans=2, n_outputs=2, n_times=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_fused_filters": 7}, "n_fused_filters=7 must be a multiple"),
        ({"mvp_kernel_sizes": []}, "mvp_kernel_sizes"),
        ({"mvp_kernel_sizes": [50, 1]}, "mvp_kernel_sizes=1 must be .* at least 2"),
        ({"mvp_kernel_sizes": [50, 20.5]}, "mvp_kernel_sizes=20.5"),
        ({"temporal_conv_kernel_size": 0}, "temporal_conv_kernel_size=0"),
        ({"n_spectral_filters_temporal": 0}, "n_spectral_filters_temporal=0"),
        ({"n_fused_filters": -6}, "n_fused_filters=-6"),
        ({"spt_attn_global_context_kernel": 1}, "spt_attn_global_context_kernel=1"),
        ({"spt_attn_mode": "max"}, "spt_attn_mode='max' must be var, l2 or l1"),
        ({"spt_attn_epsilon": 0.0}, "spt_attn_epsilon=0.0"),
        ({"proto_sep_maxnorm": 0.0}, "proto_sep_maxnorm=0.0"),
        ({"proto_cpt_std": -1.0}, "proto_cpt_std=-1.0"),
        ({"activation": "elu"}, "activation='elu' must be a torch.nn.Module class or None"),
        ({"n_outputs": None}, "n_outputs"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SSTDPN(**{**SMALL, **arguments})


def test_input_of_another_shape_is_refused():
    network = make()
    with pytest.raises(ValueError, match=r"shape \(5, 3, 200\); this network takes \(batch, 4, 200\)"):
        network(torch.randn(5, 3, 200))


def test_input_gradient_only_when_asked_for():
    network = make()
    x = trials(network)
    network(x).sum().backward()
    assert x.grad is None
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    x.requires_grad_()
    network.eval()(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_one_network_used_twice():
    network = make()
    x = trials(network)
    (network(x[:3]).sum() + network(x[3:]).sum()).backward()
    twice = network.encoder.temporal_conv.weight.grad.clone()
    network.zero_grad()
    network(x[:3]).sum().backward()
    network(x[3:]).sum().backward()
    torch.testing.assert_close(network.encoder.temporal_conv.weight.grad, twice)


def test_copies_and_memory_order():
    network = make().eval()
    x = trials(network)
    logits = network(x)
    assert torch.equal(pickle.loads(pickle.dumps(network))(x), logits)
    assert torch.equal(copy.deepcopy(network)(x), logits)
    sliced = torch.stack([x, x], -1)[..., 0].transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(network(sliced), logits, rtol=1e-12, atol=1e-12)


def test_autocast_leaves_the_network_alone():
    network = make(dtype=torch.float32).eval()
    x = trials(network)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, logits = network.forward_features(x), network(x)
    assert torch.equal(features, network.forward_features(x))
    assert torch.equal(logits, network(x))
    assert network.forward_features(x.bfloat16()).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_gradients_of_every_trial_by_vmap():
    network = make().eval()
    x = trials(network)
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def logit(parameters, trial):
        return torch.func.functional_call(network, parameters, (trial.unsqueeze(0),))[0, 0]

    each = torch.func.vmap(torch.func.grad(logit), (None, 0))(parameters, x)
    for i, trial in enumerate(x):
        network.zero_grad()
        network(trial.unsqueeze(0))[0, 0].backward()
        for name, parameter in network.named_parameters():
            if name != "proto_cpt":
                torch.testing.assert_close(each[name][i], parameter.grad)


@pytest.mark.parametrize(("spt_attn_mode", "batch"), [("var", 32), ("var", 7), ("l1", 16)])
def test_results_do_not_depend_on_the_number_of_threads(spt_attn_mode, batch):
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            torch.manual_seed(0)
            network = SSTDPN(n_chans=22, n_outputs=4, n_times=520, spt_attn_mode=spt_attn_mode)
            nn.init.normal_(network.encoder.spt_attn.gamma)
            x = trials(network, n=batch).requires_grad_()
            logits = network(x)
            F.cross_entropy(logits, torch.arange(batch) % 4).backward()
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            results.append([logits, network.eval()(x), x.grad, *gradients, *network.buffers()])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "temporal_conv.weight",
        "temporal_conv.bias",
        "spt_attn.alpha",
        "spt_attn.gamma",
        "spt_attn.beta",
        "chan_conv.0.weight",
        "chan_conv.0.bias",
        "chan_conv.1.weight",
        "chan_conv.1.bias",
        "chan_conv.1.running_mean",
        "chan_conv.1.running_var",
    ],
)
def test_evaluation_follows_weights(name, assert_evaluation_follows):
    network = make().eval()
    assert_evaluation_follows(network, trials(network), network.encoder.state_dict()[name])
