"""Average pooling over time."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from skeeg.modules.autograd import apply

GROUP = 16  # windows a matrix product: enough to fill the processor's vector registers


class _AveragePool(torch.autograd.Function):
    """Windows in groups; the windows of a group are columns of one narrow banded matrix."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, band, length, stride):
        sums = [
            x[..., j * stride : j * stride + len(part)] @ part
            for j, part in _groups(x.shape[-1], band, length, stride)
        ]
        return torch.cat(sums, dim=-1) / length

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, ctx.length, ctx.stride = inputs
        ctx.save_for_backward(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors  # of which the shape alone matters
        grad_x = torch.ops.aten.avg_pool2d_backward(
            grad, x, (1, ctx.length), (1, ctx.stride), (0, 0), False, True, None
        )
        return grad_x, None, None, None


def _groups(n_times, band, length, stride):
    """First window of each group, and the part of the band that its windows need."""
    n_windows = (n_times - length) // stride + 1
    for j in range(0, n_windows, GROUP):
        n = min(GROUP, n_windows - j)
        yield j, band[: (n - 1) * stride + length, :n]


class AveragePool(nn.Module):
    """Average pooling over the last axis, in less time than `torch.nn.AvgPool1d` where windows overlap.

    Parameters
    ----------
    length : int
        Length of a window in samples.
    stride : int
        Distance between the starts of neighbouring windows, in samples.

    Notes
    -----
    Neighbouring windows are summed together, as a product with a banded matrix of ones.

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(2, 40, 1000)
    >>> torch.allclose(AveragePool(75, 15)(x), torch.nn.AvgPool1d(75, 15)(x), atol=1e-6)
    True
    """

    def __init__(self, length, stride):
        super().__init__()
        self.length, self.stride = length, stride
        sample = torch.arange((GROUP - 1) * stride + length).unsqueeze(1)
        start = torch.arange(GROUP) * stride
        band = (sample >= start) & (sample < start + length)
        self.register_buffer("band", band.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x):
        """Pool (batch, rows, n_times) -> (batch, rows, (n_times - length) // stride + 1)."""
        with torch.autocast(x.device.type, enabled=False):
            return apply(_AveragePool, x, self.band.to(x.dtype), self.length, self.stride)
