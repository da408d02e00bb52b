"""The frequency-domain stem, batch normalisation and pooling against PyTorch's plain composition."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.layers.average_pooling import AveragePool
from skeeg.modules.layers.batch_norm import batch_norm
from skeeg.modules.layers.constraints import renorm_rows
from skeeg.modules.layers.dropout import Dropout
from skeeg.modules.layers.spectral import fft_length, filter_and_mix
from skeeg.modules.layers.stem import filter_norm_mix_norm
from skeeg.modules.layers.window_sums import window_moments, window_sums

PADDINGS = [(9, 4, 4), (9, 0, 0), (8, 4, 4), (8, 4, 3), (8, 0, 0), (1, 0, 0), (33, 16, 16)]


def moments(x, n_taps, left, right):
    """Mean and covariance of windows, the same from the sums of each trial and of all."""
    count = x.shape[0] * x.shape[1] * (x.shape[2] + left + right - n_taps + 1)
    got = window_moments(window_sums(x, n_taps, left, right), count)
    together = window_moments(window_sums(x, n_taps, left, right, of_each=False), count)
    for one, other in zip(got, together, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6 * float(other.abs().max()))
    return got


def filtered(x, taps, left, right):
    return F.conv2d(F.pad(x.unsqueeze(1), (left, right)), taps[:, None, None])


class Plain(nn.Module):
    """Convolution, BatchNorm, depthwise convolution, BatchNorm, as everyone writes them."""

    def __init__(self, n_filters, depth, n_chans, n_taps, left, right, **norm):
        super().__init__()
        self.left, self.right = left, right
        self.taps = nn.Parameter(torch.randn(n_filters, n_taps))
        self.mix = nn.Parameter(torch.randn(n_filters * depth, n_chans))
        self.temporal_norm = nn.BatchNorm2d(n_filters, **norm)
        self.spatial_norm = nn.BatchNorm2d(n_filters * depth, **norm)
        for bn in (self.temporal_norm, self.spatial_norm):
            if bn.affine:
                nn.init.normal_(bn.weight)
                nn.init.normal_(bn.bias)
            if bn.track_running_stats:
                nn.init.normal_(bn.running_mean)
                nn.init.uniform_(bn.running_var, 0.5, 3)

    def forward(self, x):
        z = self.temporal_norm(filtered(x, self.taps, self.left, self.right))
        y = F.conv2d(z, self.mix[:, None, :, None], groups=len(self.taps))
        return self.spatial_norm(y).squeeze(2)


class Fast(Plain):
    def forward(self, x):
        return filter_norm_mix_norm(
            x, self.taps, self.temporal_norm, self.mix, self.spatial_norm, self.left, self.right
        )


def pair(*args, **norm):
    torch.manual_seed(0)
    plain, fast = Plain(*args, **norm).double(), Fast(*args, **norm).double()
    fast.load_state_dict(plain.state_dict())
    return plain, fast


def assert_same_function(plain, fast, x, **tolerance):
    weights = None
    results = []
    for net in (plain, fast):
        x_net = x.detach().clone().requires_grad_()
        y = net(x_net)
        if weights is None:
            weights = torch.randn_like(y)
        (y * weights).sum().backward()
        gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
        results.append({"output": y.detach(), "gradient of x": x_net.grad, **gradients, **net.state_dict()})
    for name, expected in results[0].items():
        torch.testing.assert_close(results[1][name], expected, **tolerance, msg=lambda m, n=name: f"{n}: {m}")


def test_fft_length_is_the_next_length_with_small_prime_factors():
    for n in range(1, 3000, 7):
        length = fft_length(n)
        assert length >= n and length % 16 == 0
        rest = length
        for prime in (2, 3, 5, 7, 11):
            while rest % prime == 0:
                rest //= prime
        assert rest == 1
    assert fft_length(1024) == 1024


@pytest.mark.parametrize(("n_taps", "left", "right"), PADDINGS)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("batch", [1, 70])  # 70 trials are several pieces
def test_filter_and_mix_is_two_convolutions(n_taps, left, right, depth, batch):
    torch.manual_seed(0)
    x = torch.randn(batch, 4, 500 if batch > 1 else 40, dtype=torch.double, requires_grad=True)
    taps = torch.randn(8, n_taps, dtype=torch.double, requires_grad=True)
    mix = torch.randn(8 * depth, 4, dtype=torch.double, requires_grad=True)
    expected = F.conv2d(filtered(x, taps, left, right), mix[:, None, :, None], groups=8).squeeze(2)
    y = filter_and_mix(x, taps, mix, left, right)
    torch.testing.assert_close(y, expected)
    weights = torch.randn_like(y)
    torch.testing.assert_close(
        torch.autograd.grad(y, (x, taps, mix), weights),
        torch.autograd.grad(expected, (x, taps, mix), weights),
    )


@pytest.mark.parametrize(("n_taps", "left", "right"), PADDINGS)
@pytest.mark.parametrize("n_times", [33, 34, 100])
def test_window_moments_are_those_of_the_filtered_signals(n_taps, left, right, n_times):
    torch.manual_seed(0)
    x = torch.randn(3, 4, n_times, dtype=torch.double) + 5 * torch.randn(3, 4, 1)
    taps = torch.randn(6, n_taps, dtype=torch.double)
    z = filtered(x, taps, left, right)
    mean, covariance = moments(x, n_taps, left, right)
    torch.testing.assert_close(taps @ mean, z.mean((0, 2, 3)))
    torch.testing.assert_close((taps @ covariance * taps).sum(1), z.var((0, 2, 3), correction=0))


@pytest.mark.parametrize("offset", ["same everywhere", "of its own for each electrode", "drift"])
@pytest.mark.parametrize("pad", [0, 12])
def test_window_moments_do_not_cancel_in_float32(offset, pad):
    """Microvolts of signal on millivolts of offset: the variance keeps its digits."""
    torch.manual_seed(0)
    x = 10 * torch.randn(8, 6, 500)
    x += {
        "same everywhere": torch.tensor(3000.0),
        "of its own for each electrode": 3000 * torch.randn(8, 6, 1),
        "drift": torch.linspace(-1000, 1000, 500),
    }[offset]
    taps = torch.randn(4, 25)
    taps[1] -= taps[1].mean()  # high-pass: blind to the offset
    taps[2] = F.one_hot(torch.tensor(12), 25)  # leaves the signal as it is
    taps = taps.double()
    _, covariance = moments(x, 25, pad, pad)
    variance = (taps @ covariance * taps).sum(1)
    expected = filtered(x.double(), taps, pad, pad).var((0, 2, 3), correction=0)
    torch.testing.assert_close(variance, expected, rtol=2e-5, atol=0)


@pytest.mark.parametrize(("n_taps", "left", "right"), PADDINGS)
@pytest.mark.parametrize("depth", [1, 2])
def test_stem_trains_like_the_plain_composition(n_taps, left, right, depth):
    plain, fast = pair(5, depth, 4, n_taps, left, right)
    x = torch.randn(6, 4, 60, dtype=torch.double) + 3
    for _ in range(2):  # twice: the second step starts from updated statistics
        plain.zero_grad()
        fast.zero_grad()
        assert_same_function(plain, fast, x, rtol=1e-9, atol=1e-9)
    assert fast.spatial_norm.num_batches_tracked == fast.temporal_norm.num_batches_tracked == 2


@pytest.mark.parametrize(
    "norm",
    [{"momentum": None}, {"momentum": 0.3, "eps": 0.5}, {"track_running_stats": False}, {"affine": False}],
)
@pytest.mark.parametrize("temporal_trains", [True, False])
@pytest.mark.parametrize("spatial_trains", [True, False])
def test_stem_honours_every_setting_of_its_norms(norm, temporal_trains, spatial_trains):
    plain, fast = pair(5, 2, 4, 9, 4, 4, **norm)
    for net in (plain, fast):
        net.temporal_norm.train(temporal_trains)
        net.spatial_norm.train(spatial_trains)
    x = torch.randn(6, 4, 60, dtype=torch.double) + 3
    for _ in range(2):
        plain.zero_grad()
        fast.zero_grad()
        assert_same_function(plain, fast, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_stem_in_float32(training):
    plain, fast = pair(40, 1, 22, 25, 12, 12)
    fast.float().train(training)
    plain.train(training)
    x = 10 * torch.randn(4, 22, 1000) + 500
    torch.testing.assert_close(fast(x).double(), plain(x.double()), rtol=1e-4, atol=2e-3)


def test_stem_takes_any_memory_layout_and_a_batch_of_one():
    _, fast = pair(5, 2, 4, 9, 4, 4)
    x = torch.randn(3, 60, 8, dtype=torch.double).transpose(1, 2)[:, ::2]
    torch.testing.assert_close(fast(x), fast(x.contiguous()))
    assert torch.isfinite(fast(x[:1])).all()


def test_evaluation_changes_nothing_and_computes_no_gradient():
    _, fast = pair(5, 2, 4, 9, 4, 4)
    fast.eval()
    before = copy.deepcopy(fast.state_dict())
    x = torch.randn(3, 4, 60, dtype=torch.double)
    with torch.no_grad():
        assert not fast(x).requires_grad
    torch.testing.assert_close(fast.state_dict(), before, rtol=0, atol=0)


def test_results_do_not_depend_on_the_number_of_threads():
    _, fast = pair(40, 1, 22, 25, 12, 12)
    fast.float()
    x = 10 * torch.randn(32, 22, 500)
    pool = AveragePool(75, 15)
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            fast.zero_grad()
            y = pool(fast(x))
            y.square().sum(2).sum(0).sum().backward()
            results.append([y.detach(), *(p.grad for p in fast.parameters())])
    finally:
        torch.set_num_threads(threads)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)


def test_vmap_and_gradients_per_trial():
    _, fast = pair(5, 2, 4, 9, 4, 4)
    fast.eval()
    x = torch.randn(3, 4, 60, dtype=torch.double)
    torch.testing.assert_close(torch.func.vmap(lambda trial: fast(trial[None])[0])(x), fast(x))

    def loss(taps, trial):
        return torch.func.functional_call(fast, {"taps": taps}, trial[None]).square().sum()

    per_trial = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(fast.taps, x)
    torch.testing.assert_close(per_trial[1], torch.func.grad(loss)(fast.taps, x[1]))


def test_stem_under_autocast_keeps_its_precision():
    _, fast = pair(5, 2, 4, 9, 4, 4)
    fast.float()
    x = torch.randn(3, 4, 60)
    expected = fast(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = fast(x)
        (weight_gradient,) = torch.autograd.grad(y.square().sum(), fast.mix)
    torch.testing.assert_close(y.float(), expected, rtol=1e-4, atol=1e-4)
    assert weight_gradient.dtype == torch.float32


@pytest.mark.parametrize("momentum", [None, 1.0, 0.5])
def test_running_statistics_keep_their_digits(momentum):
    """Also those of small data, whose variance is nothing beside the 1 that they start from."""
    y = 1e-5 * torch.randn(8, 5, 100)
    ours, plain = nn.BatchNorm1d(5, momentum=momentum), nn.BatchNorm1d(5, momentum=momentum)
    for _ in range(2):
        batch_norm(y, ours)
        plain(y)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(plain, name), rtol=1e-4, atol=0)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_the_layer(momentum, training):
    torch.manual_seed(0)
    plain = nn.BatchNorm1d(5, momentum=momentum).double().train(training)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    fast = copy.deepcopy(plain)
    x = torch.randn(6, 5, 30, dtype=torch.double) * 3 + 100
    weights = torch.randn_like(x)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = plain(inputs[0]), batch_norm(inputs[1], fast)
    torch.testing.assert_close(*outputs)
    for net, x_net, y in zip((plain, fast), inputs, outputs, strict=True):
        (y * weights).sum().backward()
        torch.testing.assert_close(x_net.grad, inputs[0].grad)
        torch.testing.assert_close(net.weight.grad, plain.weight.grad)
        torch.testing.assert_close(net.bias.grad, plain.bias.grad)
    torch.testing.assert_close(fast.state_dict(), plain.state_dict())


def test_gradients_of_many_trials_by_one_gradient_of_the_output():
    """By vmap, to which that gradient is the same for all trials."""
    torch.manual_seed(0)
    trials, grad = torch.randn(5, 3, 40, dtype=torch.double), torch.randn(1, 4, 40, dtype=torch.double)
    taps, mix = torch.randn(2, 7, dtype=torch.double), torch.randn(4, 3, dtype=torch.double)

    def gradients(trial):
        function = partial(filter_and_mix, trial[None], left=3, right=3)
        return torch.func.vjp(lambda taps, mix: function(taps=taps, mix=mix), taps, mix)[1](grad)

    one_by_one = zip(*map(gradients, trials), strict=True)
    torch.testing.assert_close(torch.vmap(gradients)(trials), tuple(map(torch.stack, one_by_one)))


@pytest.mark.parametrize(
    ("length", "stride", "n_times"),
    [(75, 15, 1000), (55, 12, 480), (3, 5, 32), (8, 8, 64), (8, 8, 62), (7, 3, 7), (1, 1, 40)],
)
def test_average_pool(length, stride, n_times):
    torch.manual_seed(0)
    x = torch.randn(3, 4, n_times, dtype=torch.double, requires_grad=True)
    y, expected = AveragePool(length, stride).double()(x), F.avg_pool1d(x, length, stride)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous()
    weights = torch.randn_like(y)
    torch.testing.assert_close(torch.autograd.grad(y, x, weights), torch.autograd.grad(expected, x, weights))


def test_renorm_rows():
    weight = torch.tensor([[[3.0], [4.0]], [[0.3], [0.4]], [[0.0], [0.0]]], requires_grad=True)
    renormed = renorm_rows(weight, 1.0)
    torch.testing.assert_close(renormed[0, :, 0], torch.tensor([0.6, 0.8]))
    assert torch.equal(renormed[1:], weight[1:])
    renormed.sum().backward()
    # a step along the row leaves the projected row where it is
    assert abs((weight.grad[0] * weight[0]).sum()) < 1e-6
    assert torch.equal(weight.grad[1:], torch.ones(2, 2, 1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch", [1, 9, 40])
@pytest.mark.parametrize("activation", [nn.ELU(), nn.ELU(alpha=0.5), nn.ReLU(), nn.Identity()])
def test_activation_and_pooling_with_the_stem(training, batch, activation):
    plain, fast = pair(5, 2, 4, 9, 4, 4)
    plain.train(training)
    fast.train(training)
    pool = AveragePool(7, 3).double()
    x = torch.randn(batch, 4, 60, dtype=torch.double) + 3
    arguments = fast.taps, fast.temporal_norm, fast.mix, fast.spatial_norm, 4, 4, activation, pool
    expected = F.avg_pool1d(activation(plain(x)), 7, 3)
    y = filter_norm_mix_norm(x, *arguments)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    weights = torch.randn_like(y)
    (expected * weights).sum().backward()
    (y * weights).sum().backward(retain_graph=True)
    (y * weights).sum().backward()  # a second time through the same graph
    for (name, ours), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(
            ours.grad, 2 * theirs.grad, rtol=1e-8, atol=1e-8, msg=lambda m, n=name: f"{n}: {m}"
        )
    with torch.no_grad():
        plain.load_state_dict(fast.state_dict())
        expected = F.avg_pool1d(activation(plain(x)), 7, 3)
        torch.testing.assert_close(filter_norm_mix_norm(x, *arguments), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_stem_with_elu_and_pooling_does_not_depend_on_the_number_of_threads(scale):
    _, fast = pair(40, 1, 22, 25, 12, 12)
    fast.float()
    nn.init.constant_(fast.spatial_norm.weight, scale)  # with 0 its gradient is still right
    x = 10 * torch.randn(31, 22, 500)
    pool, activation = AveragePool(75, 15), nn.ELU()
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            fast.zero_grad()
            y = filter_norm_mix_norm(
                x, fast.taps, fast.temporal_norm, fast.mix, fast.spatial_norm, 12, 12, activation, pool
            )
            y.square().sum(2).sum(0).sum().backward()
            results.append([y.detach(), *(p.grad for p in fast.parameters())])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)
    y = pool(activation(fast(x)))
    fast.zero_grad()
    y.square().sum(2).sum(0).sum().backward()
    for ours, expected in zip(results[0][1:], fast.parameters(), strict=True):
        torch.testing.assert_close(
            ours, expected.grad, rtol=2e-3, atol=2e-3 * float(expected.grad.abs().max())
        )


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_dropout(p):
    torch.manual_seed(0)
    x = torch.full((200, 200), 3.0, requires_grad=True)
    layer = Dropout(p)
    y = layer(x)
    kept = y != 0
    assert abs(kept.double().mean() - (1 - p)) < 0.01
    torch.testing.assert_close(y, torch.where(kept, 3 / max(1 - p, 1e-9), 0.0))
    y.sum().backward()
    torch.testing.assert_close(3 * x.grad, y)
    assert torch.equal(layer.eval()(x), x)
    assert layer.train()(x.bfloat16()).dtype == torch.bfloat16
