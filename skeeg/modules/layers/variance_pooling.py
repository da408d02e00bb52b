"""Variance pooling over time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.compute import (
    ByHand,
    apply,
    joined,
    keep,
    n_samples,
)
from skeeg.modules.layers.activation import elu_plus_one


class _SegmentMoments(ByHand):
    """`segment_moments`, with its gradients."""

    @staticmethod
    def plain(x, shift, gain, elu, kernels):
        if shift is not None:
            x = (x if gain is None else x * gain.unsqueeze(-1)) + shift.unsqueeze(-1)
        if elu:
            x = F.elu(x) + 1
        means, squares, last = [], [], []
        for group, (length, count, odd) in zip(x.chunk(len(kernels), 1), kernels, strict=True):
            parts = segments(group, length, count)
            means.append(parts.mean(-1))
            squares.append((parts - means[-1].unsqueeze(-1)).square().sum(-1))
            if odd:
                last.append(_last_samples(group, length, count))
        return *means, *squares, *last

    @staticmethod
    def forward(x, shift, gain, elu, kernels):
        if shift is not None:
            shift = shift.unsqueeze(-1)
            x = x + shift if gain is None else x * gain.unsqueeze(-1) + shift
        if elu:
            x, _ = elu_plus_one(x if shift is not None else x.clone())
        means, squares, last = [], [], []
        for group, (length, count, odd) in zip(x.chunk(len(kernels), 1), kernels, strict=True):
            parts = segments(group, length, count)
            mean = parts.mean(-1)
            means.append(mean)
            squares.append(torch.linalg.vector_norm(parts - mean.unsqueeze(-1), dim=-1).square())
            if odd:
                last.append(_last_samples(group, length, count).clone())
        return *means, *squares, *last, None if shift is None and not elu else x

    @staticmethod
    def setup_context(ctx, inputs, output):
        *_, kernels = inputs
        keep(ctx, inputs, output[-1:], output[: len(kernels)])

    @staticmethod
    def gradient(ctx, inputs, kept, *grads):
        (x, _, gain, elu, kernels), (active, *means) = inputs, kept
        active = x if active is None else active
        n = len(means)
        by_means, by_squares, by_last = grads[:n], grads[n : 2 * n], iter(grads[2 * n :])
        groups = []
        for (length, count, odd), group, mean, by_mean, by_square in zip(
            kernels, active.chunk(n, 1), means, by_means, by_squares, strict=True
        ):
            # of the mean, grad / length; of the squared deviations, 2 grad * deviation
            grad = segments(group, length, count) - mean.unsqueeze(-1)
            grad = grad * (0 if by_square is None else (2 * by_square).unsqueeze(-1))
            if by_mean is not None:
                grad += (by_mean / length).unsqueeze(-1)
            rest = x.shape[-1] - count * length
            grad = F.pad(grad.flatten(-2), (0, rest)) if rest else grad.flatten(-2)
            if odd and (by_samples := next(by_last)) is not None:
                _last_samples(grad, length, count).add_(by_samples)
            groups.append(grad)
        grad = joined(groups, dim=1)
        if elu:
            grad *= active.clamp(max=1)  # where ELU plus 1 is less than 1, it is the slope
        need_x, need_shift, need_gain, *_ = ctx.needs_input_grad
        grad_shift = grad.sum(-1) if need_shift else None
        grad_gain = (grad * x).sum(-1).sum(0) if need_gain else None
        if need_x and gain is not None:
            grad *= gain.unsqueeze(-1)
        return grad if need_x else None, grad_shift, grad_gain, None, None


def segments(x, length, count=None):
    """(..., n_times) -> (..., count, length), without samples that are left over; all that fit by default."""
    count = int(x.shape[-1]) // length if count is None else count
    return x[..., : count * length].unflatten(-1, (count, length))


def _last_samples(x, length, count):
    """Samples that follow two segments, as far as these go: the last ones of odd windows."""
    return x[..., 2 * length :: length][..., : count - 1]


def segment_moments(x, kernels, shift=None, gain=None, elu=False):
    """Mean and sum of squared deviations of consecutive segments of signals.

    Signals may be scaled, shifted and activated on the way, in one pass through the processor's cache.
    Deviations are taken from each segment's own mean, so that an offset of the signal costs no digits.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, rows, n_times)
        Signals.
    kernels : list of (int, int, bool)
        Length and number of the segments, and whether the sample after each two neighbours is asked for.
        Rows are split evenly over the kernels.
    shift : torch.Tensor, shape (batch, rows), optional
        What to add to the signals; nothing when not given.
    gain : torch.Tensor, shape (rows,), optional
        What to multiply them by before; not read without ``shift``.
    elu : bool, default=False
        Whether an ELU follows; 1 is added to it, which changes no deviation.

    Returns
    -------
    tuple of torch.Tensor
        Means for each kernel, (batch, rows of the kernel, segments); as many squares, of the same shapes; for
        kernels that ask for them, the samples after two segments, (batch, rows of the kernel, segments - 1).

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([[[0.0, 2.0, 0.0, 2.0, 5.0, 5.0, 5.0, 5.0]]])
    >>> segment_moments(x, [(4, 2, False)])
    (tensor([[[1., 5.]]]), tensor([[[4., 0.]]]))
    """
    n_asked = sum(odd for _, _, odd in kernels)
    return apply(_SegmentMoments, x, shift, gain, elu, kernels)[: 2 * len(kernels) + n_asked]


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
    >>> from skeeg.modules.layers.variance_pooling import MultiScaleVariancePool
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

    def forward(self, x, shift=None, gain=None, elu=False):
        """Pool a signal.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_channels, n_times)
            Signal; ``n_channels`` a multiple of the number of scales, ``n_times`` at least the longest
            window.
        shift, gain, elu : optional
            What happens to the signal before, see `segment_moments`.

        Returns
        -------
        torch.Tensor, shape (batch, n_channels / n_scales * sum of the numbers of windows)
            Variances, ordered by scale, channel, window.
        """
        n_scales = len(self.kernel_sizes)
        windows = zip(self.kernel_sizes, self.n_windows(n_samples(x)), strict=True)
        kernels = [(k // 2, n + 1, k % 2 == 1) for k, n in windows]
        moments = segment_moments(x, kernels, shift, gain, elu)
        means, squares, last = (
            moments[:n_scales],
            moments[n_scales : 2 * n_scales],
            iter(moments[2 * n_scales :]),
        )
        variances = []
        for k, mean, square in zip(self.kernel_sizes, means, squares, strict=True):
            half, first, second = k // 2, mean[..., :-1], mean[..., 1:]
            total = square[..., :-1] + square[..., 1:] + (first - second).square() * (half / 2)
            if k % 2:
                total = total + (next(last) - (first + second) / 2).square() * (2 * half / k)
            variances.append((total / k).flatten(1))  # (batch, channels * n_windows)
        return torch.cat(variances, dim=1)
