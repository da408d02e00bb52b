"""The stem that networks share: filters, spatial filters and their normalisations, activation, pooling."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from skeeg.modules.compute import (
    ByHand,
    Folded,
    apply,
    full_precision,
    joined,
    keep,
    map_in_threads,
    n_samples,
    only_evaluates,
)
from skeeg.modules.layers.activation import activate, elu_plus_one, is_plain, is_plain_elu
from skeeg.modules.layers.average_pooling import AveragePool, pooled, spread
from skeeg.modules.layers.batch_norm import (
    gain_and_shift,
    gradient_sums,
    moments,
    norm_backward,
    norm_gain,
    normalise,
    normalise_plainly,
    scale_and_bias,
    tensors_of,
    together,
    track,
    uses_batch_statistics,
)
from skeeg.modules.layers.spectral import (
    filter_and_mix,
    filter_backward,
    filter_forward,
    map_filtered,
    prepare_transform,
)
from skeeg.modules.layers.window_sums import carried_sums, window_moments, window_sums


class _FilterMixNormEluPool(ByHand):
    """`filter_and_mix`, batch normalisation by the batch's own statistics, ELU and average pooling.

    A piece of the batch goes through as much as it can while it is in the processor's cache: up to the
    statistics of the whole batch forth, up to the sums over it back. Between these, pieces stay pieces: to
    join them is to copy them.
    """

    @staticmethod
    def plain(x, taps, mix, left, right, scale, bias, eps, band, length, stride):
        z, mean, variance = normalise_plainly(filter_and_mix(x, taps, mix, left, right), scale, bias, eps)
        return F.avg_pool1d(F.elu(z), length, stride), mean, variance

    @staticmethod
    def forward(x, taps, mix, left, right, scale, bias, eps, band, length, stride):
        n, n_out, response = prepare_transform(x, taps, mix, left, right)
        parts, kept = filter_forward(lambda y: (y, moments(y)), x, mix, n, n_out, response)
        y, parts = zip(*parts, strict=True)
        mean, variance = together(parts)
        gain, shift = gain_and_shift(scale, bias, eps, mean, variance)
        parts = map_in_threads(lambda part: _elu_pool(part * gain + shift, band, length, stride), y)
        z, slopes = zip(*parts, strict=True)
        return joined(z), mean, variance, response, *kept, *y, *slopes

    @staticmethod
    def setup_context(ctx, inputs, output):
        keep(ctx, inputs, output[1:])

    @staticmethod
    def gradient(ctx, inputs, kept, grad, *_):
        *_, scale, _, eps, band, length, stride = inputs
        mean, variance, response, *pieces = kept
        n_pieces = len(pieces) // 4
        spectra, pieces = pieces[: 2 * n_pieces], pieces[2 * n_pieces :]
        y, slopes = pieces[:n_pieces], pieces[n_pieces:]
        n_out = y[0].shape[2]

        def piece(given):
            y, slope, grad = given
            grad = spread(grad, n_out, band, length, stride) * slope
            return (y, grad), gradient_sums(y, grad, mean)

        with full_precision(grad):
            grads = grad.split([len(part) for part in y])
            parts = map_in_threads(piece, list(zip(y, slopes, grads, strict=True)))
            pieces, sums = zip(*parts, strict=True)
            gradient, *grads = norm_backward(sums, len(grad) * n_out, scale, mean, variance, eps)
            return (
                *filter_backward(gradient, pieces, ctx.needs_input_grad[:3], inputs, response, spectra),
                None,
                None,
                *grads,
                None,
                None,
                None,
                None,
            )


def _elu_pool(z, band, length, stride):
    """ELU and average pooling of z, which is overwritten, and the slope of the ELU."""
    z, slope = elu_plus_one(z)
    return pooled(z, band, length, stride) - 1, slope


def filter_norm_mix_norm(
    x, taps, temporal_norm, mix, spatial_norm, left, right, activation=None, pool=None, folded=None
):
    """Temporal convolution, BatchNorm, depthwise spatial convolution, BatchNorm; activation, average pooling.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_chans, n_times)
        Trials.
    taps : torch.Tensor, shape (n_filters, n_taps)
        Temporal filters, shared by the electrodes.
    temporal_norm : torch.nn.BatchNorm2d
        Normalises the ``n_filters`` outputs of the temporal convolution.
    mix : torch.Tensor, shape (n_filters * depth, n_chans)
        Spatial filters, ``depth`` for each temporal filter.
    spatial_norm : torch.nn.BatchNorm2d
        Normalises the ``n_filters * depth`` outputs of the spatial convolution.
    left, right : int
        Zeros before and after each signal.
    activation : torch.nn.Module, optional
        Applied to each number; none when not given.
    pool : AveragePool, optional
        Pooling over time; none when not given.
    folded : Folded, optional
        Keeps what evaluation makes of the weights, from one call to the next.

    Returns
    -------
    torch.Tensor, shape (batch, n_filters * depth, n_times + left + right - n_taps + 1 or pooled times)

    Notes
    -----
    The first normalisation is z -> gain * z + offset for each filter. Its statistics come from
    `window_moments`; its gain scales the rows of the mixing matrix, and its offset adds
    shift = offset * (sum of the row) to a mixed row. The second normalisation folds into the mixing matrix
    too where it uses running statistics.
    """
    with full_precision(x):  # FFTs know no half precision
        in_batch = [uses_batch_statistics(norm) for norm in (temporal_norm, spatial_norm)]
        evaluates = only_evaluates() and not any(in_batch)
        plain = is_plain_elu(activation) and is_plain(pool, AveragePool)
        fused = plain and (in_batch[1] or evaluates)
        pooling = (pool.band.to(taps.dtype), pool.length, pool.stride) if fused else None
        function = partial(_filter_norm_mix_norm, sums=carried_sums(x))
        if fused and evaluates:
            function = partial(_evaluate, folded=folded or Folded())
        z = function(x.to(taps.dtype), taps, temporal_norm, mix, spatial_norm, left, right, pooling)
    if fused:
        return z
    z = z if activation is None else activate(activation, z)
    return z if pool is None else pool(z)


def _filter_norm_mix_norm(x, taps, temporal_norm, mix, spatial_norm, left, right, pooling, sums):
    """Normalised rows; with ``pooling`` and the batch's statistics, ELU and average pooling of them."""
    n_taps = n_samples(taps)
    count = x.shape[0] * (n_samples(x) + left + right - n_taps + 1)
    if uses_batch_statistics(temporal_norm):
        if sums is None or sums.shape[1] != n_taps:
            sums = window_sums(x, n_taps, left, right, of_each=False)
        window_mean, covariance = window_moments(sums, count * x.shape[1])
        exact = taps.to(covariance.dtype)
        mean = (exact @ window_mean).to(taps.dtype)
        variance = ((exact @ covariance) * exact).sum(-1).clamp(min=0).to(taps.dtype)
        track(temporal_norm, mean, variance, count * x.shape[1])
    else:
        mean, variance = temporal_norm.running_mean, temporal_norm.running_var
    mix, shift = _after_temporal_norm(mix, taps, temporal_norm, mean, variance)

    if not uses_batch_statistics(spatial_norm):
        mix, bias = _after_spatial_norm(mix, shift, spatial_norm)
        return filter_and_mix(x, taps, mix, left, right) + bias
    if left == right == 0:  # without padding, a level that all trials share moves the mean alone too
        level = x.detach().mean((0, 2))
        shift = shift + (mix @ level) * taps.sum(1).repeat_interleave(len(mix) // len(taps))
        x = x - level[:, None]  # or single precision would be spent on it
    scale, bias = scale_and_bias(spatial_norm, mix)
    bias = bias + 0 * shift  # The shift moves the mean, and nothing else: it cancels from the rows.
    if pooling is None:
        y = filter_and_mix(x, taps, mix, left, right)
        z, mean, variance = normalise(y, scale, bias, spatial_norm.eps)
    else:
        z, mean, variance, *_ = apply(
            _FilterMixNormEluPool, x, taps, mix, left, right, scale, bias, spatial_norm.eps, *pooling
        )
    track(spatial_norm, mean + shift, variance, count)
    return z


def _after_temporal_norm(mix, taps, norm, mean, variance):
    """Mixing matrix with the gain of the first normalisation, and how much its offset shifts a mixed row."""
    depth = len(mix) // len(taps)
    scale, bias = scale_and_bias(norm, taps)
    gain = scale * (variance + norm.eps).rsqrt()
    offset = bias - mean * gain
    return mix * gain.repeat_interleave(depth)[:, None], offset.repeat_interleave(depth) * mix.sum(1)


def _after_spatial_norm(mix, shift, norm):
    """Mixing matrix and bias that the second normalisation makes of them, by its running statistics."""
    scale, bias = scale_and_bias(norm, mix)
    gain = scale * (norm.running_var + norm.eps).rsqrt()
    return mix * gain[:, None], (bias + (shift - norm.running_mean) * gain)[:, None]


def _evaluate(x, taps, temporal_norm, mix, spatial_norm, left, right, pooling, folded):
    """`_filter_norm_mix_norm` where both normalisations use running statistics, without gradients."""

    def fold():
        statistics = temporal_norm.running_mean, temporal_norm.running_var
        rows, shift = _after_temporal_norm(mix, taps, temporal_norm, *statistics)
        return *_after_spatial_norm(rows, shift, spatial_norm), *prepare_transform(x, taps, mix, left, right)

    settings = {"shape": (x.shape[-1], left, right, mix.shape), "eps": (temporal_norm.eps, spatial_norm.eps)}
    tensors = taps, mix, *tensors_of(temporal_norm), *tensors_of(spatial_norm)
    rows, bias, *transform = folded(fold, *tensors, **settings)
    return map_filtered(lambda y: _elu_pool(y + bias, *pooling)[0], x, rows, *transform)


def rows_of_filters(mix, temporal_norm, spatial_norm):
    """Spatial filters of the stem through both of its normalisations, as weights of all filtered channels.

    Parameters
    ----------
    mix : torch.Tensor, shape (n_filters * depth, n_chans)
        Spatial filters, ``depth`` for each temporal filter.
    temporal_norm, spatial_norm : torch.nn.BatchNorm2d
        Normalisations before and after them.

    Returns
    -------
    torch.Tensor, shape (n_filters * depth, n_filters, n_chans)
        Zero but for the temporal filter that a row takes.
    """
    n_filters = temporal_norm.num_features
    depth = len(mix) // n_filters
    gain = norm_gain(temporal_norm, mix).repeat_interleave(depth) * norm_gain(spatial_norm, mix)
    of_filter = torch.eye(n_filters, dtype=mix.dtype, device=mix.device).repeat_interleave(depth, 0)
    return of_filter.unsqueeze(-1) * (mix * gain[:, None]).unsqueeze(1)
