"""Batch normalisation of signals, in pieces that stay in the processor's cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from skeeg.modules.compute import apply, few_trials, joined, map_in_threads

SHARED_NUMBERS = 2**15  # fewer are left to one thread by PyTorch (at::internal::GRAIN_SIZE)


def _pieces(trials):
    """Slices of a few trials; all at once where PyTorch does not share an operation on them among threads."""
    return [slice(None)] if trials.numel() < SHARED_NUMBERS else few_trials(trials)


def moments(y):
    """Number, mean and sum of squares about the mean of each row of signals (trials, rows, times)."""
    count = y.shape[0] * y.shape[2]
    mean = y.sum(2).sum(0) / count
    return count, mean, torch.linalg.vector_norm(y - mean[:, None], dim=2).square().sum(0)


def together(parts):
    """Mean and biased variance of a batch from the `moments` of its pieces."""
    if len(parts) == 1:
        ((count, mean, energy),) = parts
        return mean, energy / count
    total = sum(count for count, _, _ in parts)
    mean = sum(mean * (count / total) for count, mean, _ in parts)
    squares = [energy + count * (part - mean).square() for count, part, energy in parts]
    return mean, sum(squares) / total


def gain_and_shift(scale, bias, eps, mean, variance):
    """Batch normalisation as y -> gain * y + shift, for (trials, rows, times)."""
    gain = scale * (variance + eps).rsqrt()
    return gain[:, None], (bias - mean * gain)[:, None]


def gradient_sums(y, grad, mean):
    """Sums of a piece of a gradient, and of its product with the centred rows."""
    return grad.sum(2).sum(0), (grad * (y - mean[:, None])).sum(2).sum(0)


def norm_backward(sums, count, scale, mean, variance, eps):
    """Gradients from the `gradient_sums` of pieces: that by y as a function of pieces, by scale, by bias.

    gain * (grad - its mean - its projection on the normalised rows)
    """
    total, along = (sum(part) for part in zip(*sums, strict=True))
    precision = 1 / (variance + eps)
    gain, slope = scale * precision.sqrt(), precision * along / count
    factor, constant = -(gain * slope)[:, None], (gain * (mean * slope - total / count))[:, None]
    gain = gain[:, None]

    def gradient(piece):
        y, grad = piece
        # where addcmul adds to something broadcast, it takes three times as long
        return torch.addcmul(y * factor, grad, gain).add_(constant)

    return gradient, along * precision.sqrt(), total


class _BatchNorm(torch.autograd.Function):
    """Normalise the rows of (batch, rows, times) by their own statistics, scale and shift them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(y, scale, bias, eps):
        pieces = [y[trials] for trials in _pieces(y)]
        mean, variance = together(map_in_threads(moments, pieces))
        gain, shift = gain_and_shift(scale, bias, eps, mean, variance)
        normalised = map_in_threads(lambda part: part * gain + shift, pieces)
        return joined(normalised), mean, variance

    @staticmethod
    def setup_context(ctx, inputs, output):
        y, scale, _, ctx.eps = inputs
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(y, scale, *output[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        y, scale, mean, variance = ctx.saved_tensors
        pieces = [(y[trials], grad[trials]) for trials in _pieces(y)]
        sums = map_in_threads(lambda piece: gradient_sums(*piece, mean), pieces)
        count = y.shape[0] * y.shape[2]
        gradient, grad_scale, grad_bias = norm_backward(sums, count, scale, mean, variance, ctx.eps)
        return joined(map_in_threads(gradient, pieces)), grad_scale, grad_bias, None


def normalise(y, scale, bias, eps):
    """Rows of (batch, rows, times) normalised by their own statistics; means and biased variances."""
    return apply(_BatchNorm, y, scale, bias, eps)


class Centre(torch.autograd.Function):
    """Signals less their means, the means, and the energies of what remains, for `normalise_centred`.

    To gradients, the means that the signals lost are constants: they come back with the shift.

    Shapes: signals (batch, rows, n_times), means and energies (batch, rows).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(y):
        mean = y.mean(-1)
        centred = y - mean.unsqueeze(-1)
        return centred, mean, torch.linalg.vector_norm(centred, dim=-1).square()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output[0])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, by_mean, by_energy):
        (centred,) = ctx.saved_tensors
        by_mean, by_energy = (by_mean / grad.shape[-1]).unsqueeze(-1), (2 * by_energy).unsqueeze(-1)
        return torch.addcmul(grad, centred, by_energy).add_(by_mean)


def normalise_centred(norm, n_times, means, energies, offsets):
    """Batch normalisation in training, of signals that `Centre` has taken apart, as gain * centred + shift.

    The energy about the mean of the batch is that about each signal's own mean and the distance of the two.

    Parameters
    ----------
    norm : torch.nn.BatchNorm1d or torch.nn.BatchNorm2d
        Its parameters, buffers and settings. Its running statistics are updated.
    n_times : int
        Length of the signals.
    means, energies : torch.Tensor, shape (batch, rows)
        Of the signals.
    offsets : torch.Tensor, shape (batch, rows)
        Constants that are still to be added to the signals.

    Returns
    -------
    gain : torch.Tensor, shape (rows,)
    shift : torch.Tensor, shape (batch, rows)
    """
    levels = means + offsets
    mean = levels.mean(0)
    variance = (energies / n_times + (levels - mean).square()).mean(0)
    track(norm, mean, variance, len(means) * n_times)
    gain = norm.weight * (variance + norm.eps).rsqrt()
    return gain, norm.bias + (means.detach() + offsets - mean) * gain


def uses_batch_statistics(norm):
    return norm.training or norm.running_mean is None


def track(norm, mean, variance, count):
    """Update running statistics as `torch.nn.BatchNorm2d` does in training."""
    if not (norm.training and norm.track_running_stats):
        return
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        unbiased = variance * (count / max(count - 1, 1))
        # Products, for `torch.compile` makes a new graph for each rate that it finds in `lerp_`.
        norm.running_mean.mul_(1 - rate).add_(rate * mean.to(norm.running_mean))
        norm.running_var.mul_(1 - rate).add_(rate * unbiased.to(norm.running_var))


def scale_and_bias(norm, like):
    """Weight and bias of a normalisation, also of one without (``affine=False``)."""
    if norm.affine:
        return norm.weight, norm.bias
    return like.new_ones(norm.num_features), like.new_zeros(norm.num_features)


def batch_norm(y, norm):
    """What a `torch.nn.BatchNorm1d` computes, and does to its running statistics, in half of the time.

    Parameters
    ----------
    y : torch.Tensor, shape (batch, n_rows, n_times)
        Signals.
    norm : torch.nn.BatchNorm1d or torch.nn.BatchNorm2d
        Its parameters, buffers, mode and settings.

    Returns
    -------
    torch.Tensor, shape (batch, n_rows, n_times)
    """
    if not uses_batch_statistics(norm):
        return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    normalised, mean, variance = normalise(y, *scale_and_bias(norm, y), norm.eps)
    track(norm, mean, variance, y.shape[0] * y.shape[2])
    return normalised
