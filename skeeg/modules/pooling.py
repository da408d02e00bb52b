"""Pooling over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from skeeg.modules.autograd import apply


class _SegmentMoments(torch.autograd.Function):
    """Mean and sum of squared deviations of consecutive segments, one length a group of channels.

    One pass over the signal forward and one backward; the deviations are taken from each segment's own
    mean, so that an offset of the signal costs no digits. Channels are split evenly over the lengths.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, counts, lengths):
        means, squares = [], []
        for group, count, length in zip(x.chunk(len(lengths), dim=1), counts, lengths, strict=True):
            segments = group[..., : count * length].unflatten(-1, (count, length))
            mean = segments.mean(-1)
            means.append(mean)
            squares.append((segments - mean.unsqueeze(-1)).square().sum(-1))
        return (*means, *squares)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.counts, ctx.lengths = inputs
        ctx.save_for_backward(x, *output[: len(ctx.lengths)])

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        x, *means = ctx.saved_tensors
        n_groups = len(means)
        grad_x = []
        for i, group in enumerate(x.chunk(n_groups, dim=1)):
            count, length = ctx.counts[i], ctx.lengths[i]
            segments = group[..., : count * length].unflatten(-1, (count, length))
            # of the mean, grad / length; of the squared deviations, 2 grad (x - mean)
            grad = segments - means[i].unsqueeze(-1)
            grad = grad * (2 * grads[n_groups + i].unsqueeze(-1)) + (grads[i] / length).unsqueeze(-1)
            grad = grad.flatten(-2)
            rest = x.shape[-1] - count * length
            grad_x.append(F.pad(grad, (0, rest)) if rest else grad)
        return torch.cat(grad_x, dim=1), None, None


class MultiScaleVariancePool(nn.Module):
    r"""Variance of a signal in half-overlapping windows, at several time scales.

    The channels are split evenly over the scales; scale :math:`i` takes the (biased) variance of its
    channels in windows of ``kernel_sizes[i]`` samples that advance by half a window.

    Parameters
    ----------
    kernel_sizes : list of int
        Window length of each scale, in samples, at least 2.

    Raises
    ------
    ValueError
        When ``kernel_sizes`` is empty or holds anything but whole numbers of at least 2.

    Notes
    -----
    The multi-scale variance pooling of Han et al. (2025) [1]_. A window of :math:`k = 2s` or
    :math:`k = 2s + 1` samples and stride :math:`s = \lfloor k/2 \rfloor` consists of two segments of
    :math:`s` samples that it shares with its neighbours and, for odd :math:`k`, one more sample. Means
    :math:`m` and sums of squared deviations :math:`q` of the segments are computed once and joined,

    .. math:: k \sigma^2 = q_1 + q_2 + \tfrac{s}{2}(m_1 - m_2)^2
              \;\left[ + \tfrac{2s}{2s+1} \left(x - \tfrac{m_1 + m_2}{2}\right)^2 \right],

    which equals :math:`E[x^2] - E[x]^2` and, a sum of squares, does not cancel in float32 whatever
    the signal's offset.

    References
    ----------
    .. [1] Han, C., Liu, C., Wang, J., Wang, Y., Cai, C., Qian, D. (2025). A spatial-spectral and temporal
       dual prototype network for motor imagery brain-computer interface. Knowledge-Based Systems, 315,
       113315.

    Examples
    --------
    >>> import torch
    >>> from skeeg.modules.pooling import MultiScaleVariancePool
    >>> pool = MultiScaleVariancePool([50, 100])
    >>> pool(torch.randn(8, 4, 200)).shape  # 2 channels x 7 windows + 2 channels x 3 windows
    torch.Size([8, 20])
    """

    def __init__(self, kernel_sizes):
        super().__init__()
        if len(kernel_sizes) == 0 or any(int(k) != k or k < 2 for k in kernel_sizes):
            raise ValueError(
                f"kernel_sizes={list(kernel_sizes)} must hold one or more window lengths of at least 2 "
                "samples (the variance of a single sample is zero)"
            )
        self.kernel_sizes = [int(k) for k in kernel_sizes]

    def n_windows(self, n_times):
        """Number of windows of each scale in ``n_times`` samples."""
        return [(n_times - k) // (k // 2) + 1 for k in self.kernel_sizes]

    def forward(self, x):
        """Pool a signal.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_channels, n_times)
            Signal; ``n_channels`` a multiple of the number of scales, ``n_times`` at least the longest
            window.

        Returns
        -------
        torch.Tensor, shape (batch, n_channels / n_scales * sum of the numbers of windows)
            Variances, ordered by scale, channel, window.
        """
        n_scales = len(self.kernel_sizes)
        n_windows = self.n_windows(x.shape[-1])
        halves = [k // 2 for k in self.kernel_sizes]
        moments = apply(_SegmentMoments, x, [n + 1 for n in n_windows], halves)
        variances = []
        for i, (k, half) in enumerate(zip(self.kernel_sizes, halves, strict=True)):
            mean, square = moments[i], moments[n_scales + i]  # (batch, channels, n_windows + 1)
            first, second = mean[..., :-1], mean[..., 1:]
            total = square[..., :-1] + square[..., 1:] + (first - second).square() * (half / 2)
            if k % 2:  # the last sample of each window, beyond its two segments
                group = x.chunk(n_scales, dim=1)[i]
                last = group[..., 2 * half :: half][..., : n_windows[i]]
                total = total + (last - (first + second) / 2).square() * (2 * half / k)
            variances.append((total / k).flatten(1))  # (batch, channels * n_windows)
        return torch.cat(variances, dim=1)
