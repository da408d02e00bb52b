"""Multi-scale variance pooling against variances taken window by window."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from skeeg.modules.layers.variance_pooling import MultiScaleVariancePool, segment_moments


def variances(x, kernel_sizes):
    """The definition: numpy's variance of every window."""
    features = []
    for group, k in zip(np.split(x, len(kernel_sizes), axis=1), kernel_sizes, strict=True):
        starts = range(0, x.shape[-1] - k + 1, k // 2)
        features.append(np.stack([group[..., i : i + k].var(-1) for i in starts], -1).reshape(len(x), -1))
    return np.concatenate(features, axis=1)


@pytest.mark.parametrize(
    ("kernel_sizes", "n_times"),
    [([50, 100, 200], 1000), ([50, 100, 200], 1037), ([2], 2), ([3, 2], 9), ([25, 51], 130), ([7], 100)],
)
def test_equals_the_variance_of_every_window(kernel_sizes, n_times):
    x = np.random.RandomState(0).standard_normal((3, 2 * len(kernel_sizes), n_times))
    pool = MultiScaleVariancePool(kernel_sizes)
    pooled = pool(torch.as_tensor(x))
    np.testing.assert_allclose(pooled.numpy(), variances(x, kernel_sizes), rtol=1e-12)
    assert pooled.shape[1] == 2 * sum(pool.n_windows(n_times))


@pytest.mark.parametrize("kernel_sizes", [[4, 8], [5, 3], [6, 7]])
def test_gradient(kernel_sizes):
    x = torch.randn(2, 4, 21, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MultiScaleVariancePool(kernel_sizes), (x,))


@pytest.mark.parametrize("kernel_sizes", [[50, 100], [25, 51]])
def test_offset_costs_no_digits_in_float32(kernel_sizes):
    """E[x^2] - E[x]^2 in float32 would be wrong by the offset squared times 1e-7: here 10 000 %."""
    offset = torch.randn(2, 4, 200) + 10_000.0
    expected = variances(offset.double().numpy(), kernel_sizes)
    np.testing.assert_allclose(MultiScaleVariancePool(kernel_sizes)(offset).numpy(), expected, rtol=1e-3)


@pytest.mark.parametrize("elu", [False, True])
@pytest.mark.parametrize("given", ["nothing", "shift", "shift and gain"])
@pytest.mark.parametrize("kernel_sizes", [[20, 31], [7]])
def test_scaled_shifted_and_activated_on_the_way(kernel_sizes, given, elu):
    """Values and all gradients against the plain composition."""
    torch.manual_seed(0)
    x, shift, gain = torch.randn(3, 4, 90), torch.randn(3, 4), torch.randn(4)
    tensors = [t.double().requires_grad_() for t in (x, shift, gain)]
    tensors = tensors[: {"nothing": 1, "shift": 2, "shift and gain": 3}[given]]

    def plain(x, shift=None, gain=None):
        x = x if gain is None else x * gain[:, None]
        x = x if shift is None else x + shift[..., None]
        x = F.elu(x) if elu else x
        groups = x.chunk(len(kernel_sizes), 1)
        pairs = zip(groups, kernel_sizes, strict=True)
        windows = [group.unfold(-1, k, k // 2).var(-1, correction=0) for group, k in pairs]
        return torch.cat([variance.flatten(1) for variance in windows], 1)

    pooled, expected = MultiScaleVariancePool(kernel_sizes)(*tensors, elu=elu), plain(*tensors)
    torch.testing.assert_close(pooled, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(expected)
    got, wanted = (torch.autograd.grad((y * weights).sum(), tensors) for y in (pooled, expected))
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


def test_moments_of_segments():
    x = torch.randn(2, 6, 50, dtype=torch.float64, requires_grad=True)
    kernels = [(10, 4, False), (7, 5, True)]
    first, second = x[:, :3, :40].unflatten(-1, (4, 10)), x[:, 3:, :35].unflatten(-1, (5, 7))
    moments = segment_moments(x, kernels)
    expected = [first.mean(-1), second.mean(-1)]
    expected += [first.var(-1, correction=0) * 10, second.var(-1, correction=0) * 7]
    expected += [x[:, 3:, 14:42:7]]  # the sample after each two neighbours
    torch.testing.assert_close(list(moments), expected)
    for some in ([0, 3], [2, 3], [4]):  # where others are not used
        torch.testing.assert_close(
            torch.autograd.grad(sum(moments[i].square().sum() for i in some), x, retain_graph=True),
            torch.autograd.grad(sum(expected[i].square().sum() for i in some), x, retain_graph=True),
        )


def test_non_contiguous_input():
    x = torch.randn(3, 4, 260, dtype=torch.float64)
    pool = MultiScaleVariancePool([20, 31])
    sliced = x[..., ::2].transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(pool(sliced), pool(x[..., ::2].contiguous()), rtol=1e-14, atol=0)


def test_vmap():
    x = torch.randn(5, 3, 4, 60, dtype=torch.float64)
    pool = MultiScaleVariancePool([20, 31])
    torch.testing.assert_close(torch.func.vmap(pool)(x), torch.stack([pool(trial) for trial in x]))


@pytest.mark.parametrize("kernel_sizes", [[], [1], [50, 0], [2.5]])
def test_windows_without_a_variance_are_refused(kernel_sizes):
    with pytest.raises(ValueError, match=r"kernel_sizes=.*at least 2"):
        MultiScaleVariancePool(kernel_sizes)
