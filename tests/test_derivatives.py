"""Derivatives of every kind: second ones, forward ones, in batches, by the input, against differences."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call

from skeeg.modules import SSTDPN, AttentionBaseNet, FBLightConvNet, SincShallowNet
from skeeg.modules.attention import ATTENTION_BLOCKS

N_CHANS, N_OUTPUTS, N_TIMES, N_TRIALS = 3, 2, 64, 5

NETWORKS = {
    "sstdpn": (
        SSTDPN,
        {
            "n_spectral_filters_temporal": 2,
            "n_fused_filters": 4,
            "temporal_conv_kernel_size": 9,
            "mvp_kernel_sizes": [16, 21],
            "spt_attn_global_context_kernel": 24,
            "proto_sep_maxnorm": 10.0,  # training projects prototypes, a step that is no part of the function
        },
    ),
    "attentionbasenet": (
        AttentionBaseNet,
        {
            "n_temporal_filters": 4,
            "temp_filter_length_inp": 7,
            "pool_length_inp": 9,
            "pool_stride_inp": 4,
            "ch_dim": 8,
            "temp_filter_length": 3,
            "pool_length": 3,
            "pool_stride": 2,
        },
    ),
    "sincshallownet": (
        SincShallowNet,
        {"num_time_filters": 3, "time_filter_len": 9, "pool_size": 9, "pool_stride": 4},
    ),
    "fblightconvnet": (
        FBLightConvNet,
        {"n_bands": [(4, 12), (12, 30)], "n_filters_spat": 4, "heads": 2, "win_len": 20},
    ),
}
VARIANTS = {
    "sstdpn-l2": ("sstdpn", {"spt_attn_mode": "l2"}),
    "sstdpn-l1-gelu": ("sstdpn", {"spt_attn_mode": "l1", "activation": nn.GELU}),
    "sstdpn-linear": ("sstdpn", {"activation": None}),
    "sincshallownet-valid": (
        "sincshallownet",
        {"padding": "valid", "max_norm_spatial": 0.5, "max_norm_dense": 0.25},
    ),
    "sincshallownet-gelu": ("sincshallownet", {"activation": nn.GELU}),
    "fblightconvnet-causal": ("fblightconvnet", {"filter_parameters": "chebyshev2", "bias": True}),
    "fblightconvnet-iir": ("fblightconvnet", {"filter_parameters": {"method": "iir"}}),
    "fblightconvnet-gelu": ("fblightconvnet", {"activation": nn.GELU}),
    **{f"attention-{mode}": ("attentionbasenet", {"attention_mode": mode}) for mode in ATTENTION_BLOCKS},
}
MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


def make(name, training, **arguments):
    name, variant = VARIANTS.get(name, (name, {}))
    cls, small = NETWORKS[name]
    torch.manual_seed(0)
    net = cls(N_CHANS, N_OUTPUTS, N_TIMES, sfreq=128.0, **{**small, **variant, **arguments}).double()
    with torch.no_grad():
        for parameter in net.parameters():  # nothing is at a place where derivatives vanish by design
            parameter += 0.1 * torch.randn_like(parameter)
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                # torch.func allows no change of buffers
                module.track_running_stats = not training
    return net.train(training)


def trials(n=N_TRIALS, seed=1):
    return 2 * torch.randn(
        n, N_CHANS, N_TIMES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def from_few_numbers(net, n_trials=2):
    """The network as a function of three numbers that its trials depend on."""
    x = trials(n_trials + 3)
    return (lambda z: net(x[:n_trials] + torch.einsum("i,ict->ct", z, x[n_trials:]))), torch.tensor(
        [0.3, -0.2, 0.5], dtype=torch.float64
    )


def inputs_and_function(net):
    """Trials and parameters, and the loss as a function of them."""
    names = [name for name, _ in net.named_parameters()]

    def loss(x, *parameters):
        logits = functional_call(net, dict(zip(names, parameters, strict=True)), (x,))
        return (logits.sin() * torch.arange(1.0, 1 + N_OUTPUTS)).sum()

    return (trials(), *(p.detach().clone() for p in net.parameters())), loss


def first_gradients(loss, inputs):
    inputs = [t.detach().requires_grad_() for t in inputs]
    return torch.autograd.grad(loss(*inputs), inputs, allow_unused=True, materialize_grads=True)


def directions(inputs):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in inputs]


def by_differences(function, inputs, direction, step=1e-6):
    """Directional derivative of a function that gives several tensors."""

    def shifted(sign):
        return function([t + sign * step * v for t, v in zip(inputs, direction, strict=True)])

    return [(a - b) / (2 * step) for a, b in zip(shifted(1), shifted(-1), strict=True)]


def assert_equal_to_differences(got, expected):
    scale = max(e.abs().max() for e in expected)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(scale))


@MODES
@pytest.mark.parametrize("name", [*NETWORKS, *VARIANTS])
def test_hessian_vector_products_of_recorded_gradients(name, training):
    net = make(name, training)
    inputs, loss = inputs_and_function(net)
    direction = directions(inputs)
    expected = by_differences(lambda inputs: first_gradients(loss, inputs), inputs, direction)
    inputs = [t.requires_grad_() for t in inputs]
    grads = torch.autograd.grad(
        loss(*inputs), inputs, create_graph=True, allow_unused=True, materialize_grads=True
    )
    product = sum((g * v).sum() for g, v in zip(grads, direction, strict=True))
    got = torch.autograd.grad(product, inputs, allow_unused=True, materialize_grads=True)
    assert_equal_to_differences(got, expected)


def hessian_vector_product(loss, inputs, direction):
    inputs = [t.detach().requires_grad_() for t in inputs]
    grads = torch.autograd.grad(
        loss(*inputs), inputs, create_graph=True, allow_unused=True, materialize_grads=True
    )
    product = sum((g * v).sum() for g, v in zip(grads, direction, strict=True))
    return torch.autograd.grad(product, inputs, allow_unused=True, materialize_grads=True)


def func_grad_of_grad(loss, inputs, direction):
    every = tuple(range(len(inputs)))

    def product(*inputs):
        grads = torch.func.grad(loss, every)(*inputs)
        return sum((g * v).sum() for g, v in zip(grads, direction, strict=True))

    return torch.func.grad(product, every)(*inputs)


def func_jvp_of_grad(loss, inputs, direction):
    gradient = torch.func.grad(loss, tuple(range(len(inputs))))
    return torch.func.jvp(gradient, tuple(inputs), tuple(direction))[1]


def func_grad_of_jvp(loss, inputs, direction):
    def product(*inputs):
        return torch.func.jvp(loss, inputs, tuple(direction))[1]

    return torch.func.grad(product, tuple(range(len(inputs))))(*inputs)


def func_vjp_of_grad(loss, inputs, direction):
    gradient = torch.func.grad(loss, tuple(range(len(inputs))))
    return torch.func.vjp(gradient, *inputs)[1](tuple(direction))


def autograd_hvp(loss, inputs, direction):
    return torch.autograd.functional.hvp(loss, tuple(inputs), tuple(direction))[1]


def dual_numbers_in_a_recorded_gradient(loss, inputs, direction):
    with forward_ad.dual_level():
        duals = [
            forward_ad.make_dual(t.detach().requires_grad_(), v)
            for t, v in zip(inputs, direction, strict=True)
        ]
        grads = torch.autograd.grad(loss(*duals), duals, allow_unused=True, materialize_grads=True)
        tangents = [forward_ad.unpack_dual(g).tangent for g in grads]
    return [torch.zeros_like(t) if v is None else v for t, v in zip(inputs, tangents, strict=True)]


@MODES
@pytest.mark.parametrize(
    "product",
    [
        func_grad_of_grad,
        func_jvp_of_grad,
        func_grad_of_jvp,
        func_vjp_of_grad,
        autograd_hvp,
        dual_numbers_in_a_recorded_gradient,
    ],
)
def test_every_route_to_a_hessian_vector_product(name, product, training):
    inputs, loss = inputs_and_function(make(name, training))
    direction = directions(inputs)
    expected = hessian_vector_product(loss, inputs, direction)
    torch.testing.assert_close(tuple(product(loss, inputs, direction)), expected, rtol=1e-7, atol=1e-9)


@MODES
@pytest.mark.parametrize(
    "hessian",
    [
        torch.func.hessian,
        lambda f: torch.func.jacrev(torch.func.jacfwd(f)),
        lambda f: torch.func.jacrev(torch.func.jacrev(f)),
        lambda f: lambda x: torch.autograd.functional.hessian(f, x, vectorize=True),
        lambda f: (
            lambda x: torch.autograd.functional.hessian(
                f, x, vectorize=True, outer_jacobian_strategy="forward-mode"
            )
        ),
    ],
    ids=["func", "rev-fwd", "rev-rev", "autograd", "autograd-forward"],
)
def test_hessians(name, hessian, training):
    network, z = from_few_numbers(make(name, training))

    def loss(z):
        return network(z).sin().sum()

    got = hessian(loss)(z)
    expected = [hessian_vector_product(loss, [z], [unit])[0] for unit in torch.eye(3, dtype=z.dtype)]
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-7, atol=1e-9)


@MODES
@pytest.mark.parametrize(
    "jacobian",
    [
        lambda f, x: torch.func.jacrev(f)(x),
        lambda f, x: torch.func.jacfwd(f)(x),
        lambda f, x: torch.autograd.functional.jacobian(f, x),
        lambda f, x: torch.autograd.functional.jacobian(f, x, vectorize=True),
        lambda f, x: torch.autograd.functional.jacobian(f, x, vectorize=True, strategy="forward-mode"),
        lambda f, x: in_one_backward_pass(f, x),
        lambda f, x: by_linearizing(f, x),
    ],
    ids=["rev", "fwd", "autograd", "vectorize", "forward-mode", "batched", "linearize"],
)
def test_jacobians(name, jacobian, training):
    network, z = from_few_numbers(make(name, training))
    got = jacobian(network, z)
    units = torch.eye(3, dtype=z.dtype)
    expected = [by_differences(lambda inputs: [network(*inputs).detach()], [z], [unit])[0] for unit in units]
    torch.testing.assert_close(got, torch.stack(expected, -1), rtol=1e-5, atol=1e-7)


def in_one_backward_pass(function, x):
    x = x.clone().requires_grad_()
    y = function(x)
    units = torch.eye(y.numel(), dtype=y.dtype).reshape(-1, *y.shape)
    (rows,) = torch.autograd.grad(y, x, units, is_grads_batched=True)
    return rows.reshape(*y.shape, *x.shape)


def by_linearizing(function, x):
    _, jvp = torch.func.linearize(function, x)
    return torch.stack([jvp(unit) for unit in torch.eye(len(x), dtype=x.dtype)], -1)


@MODES
def test_derivatives_along_a_direction_of_everything(name, training):
    """Forward mode, by trials and parameters at once, without and with gradients recorded."""
    inputs, loss = inputs_and_function(make(name, training))
    direction = directions(inputs)
    (expected,) = by_differences(lambda inputs: [loss(*inputs)], inputs, direction)
    assert torch.func.jvp(loss, inputs, tuple(direction))[1] == pytest.approx(expected.item(), rel=1e-5)
    for recording in (True, False):
        with forward_ad.dual_level(), torch.set_grad_enabled(recording):
            duals = [forward_ad.make_dual(t, v) for t, v in zip(inputs, direction, strict=True)]
            tangent = forward_ad.unpack_dual(loss(*duals)).tangent
        assert tangent.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_frozen_network_penalises_gradients_by_its_input(name):
    """As a critic does, whose generator is trained by gradients of gradients."""
    net = make(name, training=False).requires_grad_(False)
    weight = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def penalty(weight):
        x = weight * trials()
        (gradient,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().sum()

    (got,) = torch.autograd.grad(penalty(weight), weight)
    step = 1e-6
    expected = (penalty(weight + step) - penalty(weight - step)) / (2 * step)
    assert got.item() == pytest.approx(expected.item(), rel=1e-4)


def test_third_derivatives(name):
    net = make(name, training=False, activation=nn.Softplus)
    x, (direction,) = trials(2), directions([trials(2)])

    def along(x, order):
        x = x.detach().requires_grad_()
        y = net(x).sin().sum()
        for _ in range(order):
            (gradient,) = torch.autograd.grad(y, x, create_graph=True)
            y = (gradient * direction).sum()
        return y.detach()

    step = 1e-5
    expected = (along(x + step * direction, 2) - along(x - step * direction, 2)) / (2 * step)
    assert along(x, 3).item() == pytest.approx(expected.item(), rel=1e-4)


@MODES
def test_gradients_of_each_trial(name, training):
    """By vmap of grad; training takes each trial for a batch."""
    net = make(name, training)
    inputs, loss = inputs_and_function(net)
    x, *parameters = inputs
    gradient = torch.func.grad(lambda trial, *parameters: loss(trial[None], *parameters), (1, 2, 3))
    each = torch.func.vmap(gradient, (0, *[None] * len(parameters)))(x, *parameters)
    for i in (0, 3):
        expected = first_gradients(loss, [x[i : i + 1], *parameters])[1:4]
        torch.testing.assert_close(tuple(g[i] for g in each), expected, rtol=1e-7, atol=1e-9)
