"""Batch normalisation of signals, in pieces that stay in the processor's cache."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.compute import ByHand, apply, few_trials, joined, keep, map_in_threads, records_gradients

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


def normalise_plainly(y, scale, bias, eps):
    """`normalise`, in operations that PyTorch differentiates."""
    mean = y.mean((0, 2))
    centred = y - mean[:, None]
    variance = centred.square().mean((0, 2))
    return centred * (scale * (variance + eps).rsqrt())[:, None] + bias[:, None], mean, variance


class _BatchNorm(ByHand):
    """Normalise the rows of (batch, rows, times) by their own statistics, scale and shift them."""

    plain = staticmethod(normalise_plainly)

    @staticmethod
    def forward(y, scale, bias, eps):
        pieces = [y[trials] for trials in _pieces(y)]
        mean, variance = together(map_in_threads(moments, pieces))
        gain, shift = gain_and_shift(scale, bias, eps, mean, variance)
        normalised = map_in_threads(lambda part: part * gain + shift, pieces)
        return joined(normalised), mean, variance

    @staticmethod
    def setup_context(ctx, inputs, output):
        keep(ctx, inputs, output[1:])

    @staticmethod
    def gradient(ctx, inputs, kept, grad, *_):
        (y, scale, _, eps), (mean, variance) = inputs, kept
        pieces = [(y[trials], grad[trials]) for trials in _pieces(y)]
        sums = map_in_threads(lambda piece: gradient_sums(*piece, mean), pieces)
        count = y.shape[0] * y.shape[2]
        gradient, grad_scale, grad_bias = norm_backward(sums, count, scale, mean, variance, eps)
        return joined(map_in_threads(gradient, pieces)), grad_scale, grad_bias, None


def normalise(y, scale, bias, eps):
    """Rows of (batch, rows, times) normalised by their own statistics; means and biased variances."""
    return apply(_BatchNorm, y, scale, bias, eps)


class Centre(torch.autograd.Function):
    """Signals less their means, the means, and the energies of what remains, for `normalise_centred`.

    To gradients, the means that the signals lost are constants: they come back with the shift.

    Shapes: signals (batch, rows, n_times), means and energies (batch, rows).
    """

    @staticmethod
    def plain(y):
        mean = y.mean(-1)
        energy = (y - mean.unsqueeze(-1)).square().sum(-1)
        return y - mean.detach().unsqueeze(-1), mean, energy

    @staticmethod
    def forward(y):
        mean = y.mean(-1)
        centred = y - mean.unsqueeze(-1)
        return centred, mean, torch.linalg.vector_norm(centred, dim=-1).square()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output[0])

    @staticmethod
    def backward(ctx, grad, by_mean, by_energy):
        (centred,) = ctx.saved_tensors
        if records_gradients():  # the mean is 0 to rounding, its gradient is not
            centred = centred - centred.mean(-1, keepdim=True)
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
    track(norm, mean, variance, means.shape[0] * n_times)
    scale, bias = scale_and_bias(norm, means)
    gain = scale * (variance + norm.eps).rsqrt()
    return gain, bias + (means.detach() + offsets - mean) * gain


def uses_batch_statistics(norm):
    """Whether a normalisation takes its statistics from the batch, in training or for want of others."""
    if not isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
        raise TypeError(
            f"a {type(norm).__name__} stands in the place of a batch normalisation, which this network "
            "computes together with its filters: it calls no other layer there. Put back a BatchNorm1d or "
            "BatchNorm2d; without affine or track_running_stats will do"
        )
    return norm.training or norm.running_mean is None


def track(norm, mean, variance, count):
    """Update running statistics as `torch.nn.BatchNorm2d` does in training."""
    if not (norm.training and norm.track_running_stats):
        return
    mean, variance = mean.detach(), variance.detach()  # no_grad leaves no mark in a trace
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        unbiased = variance * (count / max(count - 1, 1))
        # Products, for `torch.compile` makes a new graph for each rate that it finds in `lerp_`.
        norm.running_mean.mul_(1 - rate).add_(rate * mean.to(norm.running_mean))
        norm.running_var.mul_(1 - rate).add_(rate * unbiased.to(norm.running_var))


def scale_and_bias(norm, like):
    """Weight and bias of a normalisation, also of one without (``affine=False``)."""
    if norm.weight is not None:
        return norm.weight, norm.bias
    return like.new_ones(norm.num_features), like.new_zeros(norm.num_features)


def norm_gain(norm, like):
    """What a normalisation multiplies each row by in evaluation, (n_rows,), without gradient.

    Without running statistics it is the batch's own, of which only the sign is known: that of the weight.
    """
    scale, _ = scale_and_bias(norm, like)
    if norm.running_var is None:
        return scale.detach().sign()
    return (scale * (norm.running_var + norm.eps).rsqrt()).detach()


def tensors_of(norm):
    """Parameters and statistics that evaluation uses, of those that a normalisation has."""
    tensors = norm.weight, norm.bias, norm.running_mean, norm.running_var
    return [tensor for tensor in tensors if tensor is not None]


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
