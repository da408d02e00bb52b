"""Average pooling over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.compute import (
    apply,
    full_precision,
    joined,
    threads_for_pieces,
)

GROUP = 8  # windows a matrix product: enough for its speed, and few enough for zeros in the band to be few


class _AveragePool(torch.autograd.Function):
    """`pooled`, which is linear: its gradient is differentiable as it is written."""

    @staticmethod
    def plain(x, band, length, stride):
        return F.avg_pool1d(x, length, stride)

    @staticmethod
    def forward(x, band, length, stride):
        with threads_for_pieces():  # those that share a product round differently
            return pooled(x, band, length, stride)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, band, ctx.length, ctx.stride = inputs
        ctx.n_times = x.shape[-1]
        ctx.save_for_backward(band)

    @staticmethod
    def backward(ctx, grad):
        (band,) = ctx.saved_tensors
        with threads_for_pieces():
            return spread(grad, ctx.n_times, band, ctx.length, ctx.stride), None, None, None


def pooled(x, band, length, stride):
    """Means over windows: products of a narrow banded matrix with the samples of a group of windows."""
    n_windows = (x.shape[-1] - length) // stride + 1
    n_groups, n_left = divmod(n_windows, GROUP)
    rows, sums = x.flatten(0, -2), []
    # windows first: products with few rows take a fraction of the time of products with few columns
    if n_groups:
        n_samples = (GROUP - 1) * stride + length
        groups = rows.unfold(1, n_samples, GROUP * stride)[:, :n_groups].permute(1, 2, 0)
        sums.append(torch.bmm(band[:n_samples, :GROUP].T.expand(n_groups, -1, -1), groups).flatten(0, 1))
    if n_left:
        start = n_groups * GROUP * stride
        last = rows[:, start : start + (n_left - 1) * stride + length]
        sums.append(band[: last.shape[1], :n_left].T @ last.T)
    return (joined(sums).T / length).unflatten(0, x.shape[:-1]).contiguous()


def spread(grad, n_times, band, length, stride):
    """Transpose of `pooled`: what each sample gets from the windows that it is in, (..., n_times)."""
    before = (length - 1) // stride  # windows that start before a segment of samples and reach into it
    n_strides = -(-n_times // stride)
    n_segments = -(-n_strides // GROUP)
    group = -(-n_strides // n_segments)  # strides in a segment, as even as can be
    grad = F.pad(grad / length, (before, n_segments * group - grad.shape[-1]))
    windows = grad.unfold(-1, before + group, group)  # (..., n_segments, windows)
    band = band[before * stride : (before + group) * stride, : before + group]
    samples = windows.reshape(-1, windows.shape[-1]) @ band.T  # one product, not one a row
    return samples.view(*grad.shape[:-1], -1).narrow(-1, 0, n_times)


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
        self.register_buffer("band", self._band().to(torch.get_default_dtype()), persistent=False)

    def _band(self):
        n_windows = GROUP + (self.length - 1) // self.stride  # of a group, and those before that overlap it
        sample = torch.arange(n_windows * self.stride + self.length).unsqueeze(1)
        start = torch.arange(n_windows) * self.stride
        return (sample >= start) & (sample < start + self.length)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.band.copy_(self._band())  # `to_empty` leaves it without values, and no state dict brings them
        return self

    def forward(self, x):
        """Pool (batch, rows, n_times) -> (batch, rows, (n_times - length) // stride + 1)."""
        with full_precision(x):
            return apply(_AveragePool, x, self.band.to(x.dtype), self.length, self.stride)
