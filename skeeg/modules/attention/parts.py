"""What attention blocks are made of."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from skeeg.modules.layers.linear import mix_rows


def reduced(ch_dim: int, reduction_rate: int) -> int:
    if not 1 <= reduction_rate <= ch_dim or int(reduction_rate) != reduction_rate:
        raise ValueError(
            f"reduction_rate={reduction_rate} must be a whole number from 1 to {ch_dim}, "
            "the number of channels that are gated (ch_dim)"
        )
    return ch_dim // int(reduction_rate)


def check_kernel_size(kernel_size: int) -> None:
    if kernel_size < 1 or kernel_size % 2 != 1:
        raise ValueError(
            f"kernel_size={kernel_size} must be an odd whole number of at least 1, so that the output of "
            "the convolution is as long as its input"
        )


def bottleneck(ch_dim: int, reduction_rate: int, bias: bool = False) -> nn.Sequential:
    hidden = reduced(ch_dim, reduction_rate)
    return nn.Sequential(
        nn.Conv2d(ch_dim, hidden, 1, bias=bias), nn.ReLU(), nn.Conv2d(hidden, ch_dim, 1, bias=bias)
    )


def excite(squeezed, down, up):
    """Two 1 x 1 convolutions around a ReLU, on single values (batch, ch_dim): matrix products."""
    hidden = F.relu(F.linear(squeezed, down.weight.flatten(1), down.bias))
    return F.linear(hidden, up.weight.flatten(1), up.bias)


class Gate(nn.Module):
    """A block that multiplies its input by what ``gate`` makes of it: a factor a channel, or a sample too."""

    def gate(self, x):
        """Get the gate: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1 or times)."""
        raise NotImplementedError

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        return x * self.gate(x)


def of_channels(gate):
    return gate[:, :, None, None]


def batch_norm(norm, x):
    """Batch normalisation of (batch, ch_dim, ...), by running statistics where a channel has one value.

    Statistics are taken over the last axis of (1, ch_dim, values), whose sums PyTorch does not split
    among threads.
    """
    values = x.transpose(0, 1).reshape(1, x.shape[1], -1)
    if norm.training and values.shape[-1] == 1:
        values = F.batch_norm(
            values, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    else:
        values = norm(values)
    return values.reshape(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1)


def convolve_same(x, weight):
    """Cross-correlate (batch, in, times) with (out, in, odd kernel size), zero padding, same length."""
    size = weight.shape[-1]
    patches = F.pad(x, (size // 2, size // 2)).unfold(2, size, 1)  # (batch, in, times, kernel size)
    return mix_rows(rearrange(weight, "o c k -> o (c k)"), rearrange(patches, "b c t k -> b (c k) t"))


def softmax_entropy(x, dim):
    # p * log p with log p from log_softmax: both it and its gradient are 0 where p underflows to 0.
    log_p = torch.log_softmax(x, dim)
    return -(log_p.exp() * log_p).sum(dim, keepdim=True)


def min_max(x, dim):
    """Rescale x to 0 ... 1 along dim; where all values are equal (to rounding) the result is 0."""
    low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
    spread = high - low
    differ = spread > 16 * torch.finfo(x.dtype).eps
    return torch.where(differ, (x - low) / torch.where(differ, spread, 1.0), 0.0)
