"""Pooling over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from skeeg.modules.autograd import apply


class _SegmentMoments(torch.autograd.Function):
    """Mean and sum of squared deviations of consecutive segments, one length a group of channels.

    Of a signal x; with a shift, of gain * x + shift; and with ``elu``, of the ELU of that, plus 1, as no
    constant changes a variance. Deviations are taken from each segment's own mean, so that an offset of the
    signal costs no digits. Channels are split evenly over the kernels; segments are half as long.

    Shapes: x (batch, n_channels, n_times), shift (batch, n_channels), gain (n_channels,); results for each
    kernel: means and squares (batch, channels, n_windows + 1), and the last samples of windows (batch,
    channels, n_windows), which odd ones have beyond their two segments.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, shift, gain, elu, kernel_sizes):
        slope = None
        if shift is not None:
            shift = shift.unsqueeze(-1)
            x = x + shift if gain is None else torch.addcmul(shift, x, gain.unsqueeze(-1))
        if elu:  # max(z, 0) + slope, where the slope is exp(min(z, 0))
            slope = x.clamp(max=0).exp_()
            x = x.relu().add_(slope)
        means, squares, last, deviations = [], [], [], []
        for group, k in zip(x.chunk(len(kernel_sizes), 1), kernel_sizes, strict=True):
            half, n_windows = k // 2, _n_windows(k, x.shape[-1])
            segments = group[..., : (n_windows + 1) * half].unflatten(-1, (-1, half))
            mean = segments.mean(-1, keepdim=True)
            deviations.append(segments - mean)
            means.append(mean.squeeze(-1))
            squares.append(torch.linalg.vector_norm(deviations[-1], dim=-1).square())
            last.append(_last_samples(group, k).clone())
        return *means, *squares, *last, *deviations, slope

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, _, gain, _, ctx.kernel_sizes = inputs
        n_moments = 3 * len(ctx.kernel_sizes)
        *deviations, slope = output[n_moments:]
        ctx.mark_non_differentiable(*deviations, *([] if slope is None else [slope]))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, gain, slope, *deviations)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        if grads[0] is None:  # the moments of all kernels have gradients, or none has
            return (None,) * 5
        x, gain, slope, *deviations = ctx.saved_tensors
        n = len(deviations)
        groups = []
        for k, deviation, by_mean, by_square, by_last in zip(
            ctx.kernel_sizes, deviations, grads[:n], grads[n : 2 * n], grads[2 * n : 3 * n], strict=True
        ):
            # of the mean, grad / length; of the squared deviations, 2 grad * deviation
            by_mean, by_square = (by_mean / deviation.shape[-1]).unsqueeze(-1), (2 * by_square).unsqueeze(-1)
            group = torch.addcmul(by_mean, deviation, by_square).flatten(-2)
            group = F.pad(group, (0, x.shape[-1] - group.shape[-1]))
            if k % 2:
                _last_samples(group, k).add_(by_last)
            groups.append(group)
        grad = torch.cat(groups, 1)
        if slope is not None:
            grad *= slope
        need_x, need_shift, need_gain, *_ = ctx.needs_input_grad
        grad_shift = grad.sum(-1) if need_shift else None
        grad_gain = (grad * x).sum(-1).sum(0) if need_gain else None
        if need_x and gain is not None:
            grad *= gain.unsqueeze(-1)
        return grad if need_x else None, grad_shift, grad_gain, None, None


def _n_windows(k, n_times):
    return (n_times - k) // (k // 2) + 1


def _last_samples(x, k):
    """Samples of odd windows beyond their two segments; none of even ones."""
    return x[..., k - 1 :: k // 2][..., : _n_windows(k, x.shape[-1]) if k % 2 else 0]


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
        return [_n_windows(k, n_times) for k in self.kernel_sizes]

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
        return self.activated(x)

    def activated(self, x, shift=None, gain=None, elu=False):
        """Pool a signal that is scaled, shifted and activated on the way, in one pass through the cache.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_channels, n_times)
            Signal.
        shift : torch.Tensor, shape (batch, n_channels), optional
            What to add to it; nothing when not given.
        gain : torch.Tensor, shape (n_channels,), optional
            What to multiply it by before; not read without ``shift``.
        elu : bool, default=False
            Whether an ELU follows.

        Returns
        -------
        torch.Tensor, shape (batch, n_channels / n_scales * sum of the numbers of windows)
            Variances, ordered by scale, channel, window.
        """
        n_scales = len(self.kernel_sizes)
        moments = apply(_SegmentMoments, x, shift, gain, elu, self.kernel_sizes)
        variances = []
        for i, k in enumerate(self.kernel_sizes):
            # means and squares (batch, channels, n_windows + 1), last (batch, channels, n_windows)
            mean, square, last = (moments[i + n_scales * j] for j in range(3))
            half, first, second = k // 2, mean[..., :-1], mean[..., 1:]
            total = square[..., :-1] + square[..., 1:] + (first - second).square() * (half / 2)
            if k % 2:
                total = total + (last - (first + second) / 2).square() * (2 * half / k)
            variances.append((total / k).flatten(1))  # (batch, channels * n_windows)
        return torch.cat(variances, dim=1)
