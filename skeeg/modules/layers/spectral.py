"""Filter electrodes in time and mix them, in the frequency domain.

The stem of every network here filters each electrode in time and then mixes electrodes linearly. Both are
linear, so they commute: with X = rfft(x), the mixed output is the inverse transform of
U[o, w] = sum_c mix[o, c] * H[f(o), w] * X[c, w]. The (filters x electrodes) signals between the two steps
are never formed.
"""

from __future__ import annotations

from functools import partial
from itertools import chain

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from skeeg.modules.compute.autograd import apply
from skeeg.modules.compute.folding import Folded
from skeeg.modules.compute.threads import few_trials, joined, map_in_threads
from skeeg.modules.layers.activation import elu_plus_one, is_plain, is_plain_elu
from skeeg.modules.layers.average_pooling import AveragePool, pooled, spread
from skeeg.modules.layers.batch_norm import (
    gain_and_shift,
    gradient_sums,
    moments,
    norm_backward,
    normalise,
    scale_and_bias,
    together,
    track,
    uses_batch_statistics,
)


def fft_length(n: int) -> int:
    """Smallest length of at least ``n`` samples whose real FFT is fast.

    A multiple of 16 without prime factors above 11: such transforms took half the time of others of the
    same size with the libraries behind PyTorch.

    Parameters
    ----------
    n : int
        Samples that have to fit: trial plus zero padding.

    Returns
    -------
    int

    Examples
    --------
    >>> [fft_length(n) for n in (100, 1000, 1012)]
    [112, 1008, 1024]
    """
    length = -(-n // 16) * 16
    while _without_small_primes(length) > 1:
        length += 16
    return length


def _without_small_primes(n: int) -> int:
    """What is left of ``n`` without its factors 2, 3, 5, 7 and 11."""
    for prime in (2, 3, 5, 7, 11):
        while n % prime == 0:
            n //= prime
    return n


def spectrum(x: torch.Tensor, n: int) -> torch.Tensor:
    """Spectrum of signals, zero-padded at their end to ``n`` samples.

    Parameters
    ----------
    x : torch.Tensor, shape (..., n_times)
        Signals.
    n : int
        Length of the transform, see `fft_length`.

    Returns
    -------
    torch.Tensor, shape (..., n // 2 + 1), complex
    """
    return torch.fft.rfft(x, n=n)


def fir_response(taps: torch.Tensor, n: int, left: int) -> torch.Tensor:
    """Frequency response of FIR taps as a convolution layer applies them.

    A convolution layer with ``left`` zeros of padding before the signal computes
    y[t] = sum_k taps[k] * x[t + k - left]. Then y = irfft(spectrum(x, n) * fir_response(taps, n, left), n),
    for t from 0 to n_times + left + right - n_taps, where ``right`` is the padding after the signal and n is
    at least n_times + max(left, right), so that the zeros at the end serve as padding on both sides.

    Parameters
    ----------
    taps : torch.Tensor, shape (..., n_taps)
        Taps, in the order of a convolution layer's weight.
    n : int
        Length of the transform.
    left : int
        Zeros before the signal: ``n_taps // 2`` for "same" (odd taps), 0 for "valid".

    Returns
    -------
    torch.Tensor, shape (..., n // 2 + 1), complex

    Examples
    --------
    >>> import torch
    >>> x, taps = torch.randn(2, 1, 50), torch.randn(1, 1, 5)
    >>> n = fft_length(50 + 2)
    >>> y = torch.fft.irfft(spectrum(x, n) * fir_response(taps, n, 2), n)[..., :50]
    >>> torch.allclose(y, torch.conv1d(x, taps, padding=2), atol=1e-5)
    True
    """
    n_taps = taps.shape[-1]
    impulse = F.pad(taps.flip(-1), (0, n - n_taps)).roll(left - n_taps + 1, dims=-1)
    return torch.fft.rfft(impulse)


class _FilterAndMix(torch.autograd.Function):
    """`filter_and_mix`, a few trials at a time, with its backward pass in the frequency domain too."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, taps, mix, left, right):
        n, n_out, response = _transform(x, taps, mix, left, right)
        y, kept = _filter_forward(lambda y: y, x, mix, n, n_out, response)
        return joined(y), response, *kept

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, taps, mix, left, _ = inputs
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(mix, *output[1:])
        ctx.left, ctx.taps_shape, ctx.n_times = left, taps.shape, x.shape[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        mix, response, *kept = ctx.saved_tensors
        grads = grad.split([len(part) for part in kept[::2]])
        with torch.autocast(grad.device.type, enabled=False):
            return *_filter_backward(lambda grad: grad, grads, ctx, mix, response, kept), None, None


def _transform(x, taps, mix, left, right):
    """Length of the transforms, length of the output, and frequency response of each mixed row."""
    n = fft_length(x.shape[-1] + max(left, right))
    response = fir_response(taps, n, left).repeat_interleave(len(mix) // len(taps), 0)
    return n, x.shape[-1] + left + right - taps.shape[-1] + 1, response


def _filtered(x, mix, n, n_out, response):
    """Output of `filter_and_mix`, and the spectra of input and mixed rows."""
    spectra = spectrum(x, n)  # (trials, n_chans, n_freqs)
    mixed = _mix(mix, spectra)
    return torch.fft.irfft(mixed * response, n)[..., :n_out], spectra, mixed


def _map_filtered(function, x, mix, n, n_out, response):
    """What a function gives for the output of `filter_and_mix`, a few trials at a time; nothing is kept."""

    def piece(trials):
        y, *_ = _filtered(x[trials], mix, n, n_out, response)
        return function(y)

    return joined(map_in_threads(piece, few_trials(x)))


def _filter_forward(function, x, mix, n, n_out, response):
    """What a function gives for the output of `filter_and_mix`, a few trials at a time, and what to keep.

    That is the spectra of input and mixed rows, in turns.
    """

    def piece(trials):
        y, *kept = _filtered(x[trials], mix, n, n_out, response)
        return function(y), kept

    results, kept = zip(*map_in_threads(piece, few_trials(x)), strict=True)
    return results, tuple(chain.from_iterable(kept))


def _filter_backward(function, pieces, ctx, mix, response, kept):
    """Gradients of x, taps and mix, where a function gives the gradient of a piece of the output.

    With X and V = mix X the spectra of input and mixed rows, H the responses and G the spectrum of the
    output's gradient, the gradients are products of spectra: of the mixing matrix conj(H) G with X, of the
    responses conj(V) G summed over trials, of the input mix' (conj(H) G).
    """
    n_filters, n_taps = ctx.taps_shape
    n = 2 * (response.shape[-1] - 1)
    weight = bin_weights(n, response)
    response = response.conj() * weight
    need_x, need_taps, need_mix = ctx.needs_input_grad[:3]

    def piece(given):
        piece, x_part, mixed = given
        grad_x, grad_response, grad_mix = None, 0, 0
        grad = spectrum(function(piece), n)
        if need_x or need_mix:
            filtered = grad * response
        if need_mix:
            grad_mix = torch.bmm(interleaved(x_part), interleaved(filtered).mT).sum(0).T
        if need_x:
            grad_x = torch.fft.irfft(_mix(mix.T, filtered) / weight, n)[..., : ctx.n_times]
        if need_taps:
            grad.imag.neg_()  # its conjugate, of which conj() would make a copy for the product
            grad_response = (grad * mixed).sum(0).conj()
        return grad_x, grad_response, grad_mix

    parts = map_in_threads(piece, list(zip(pieces, kept[::2], kept[1::2], strict=True)))
    grad_x, grad_response, grad_mix = zip(*parts, strict=True)
    grad_taps = None
    if need_taps:
        impulse = torch.fft.irfft(sum(grad_response).unflatten(0, (n_filters, -1)).sum(1), n)
        grad_taps = impulse.roll(n_taps - 1 - ctx.left, dims=-1)[:, :n_taps].flip(-1)
    return joined(grad_x) if need_x else None, grad_taps, sum(grad_mix) if need_mix else None


def bin_weights(n, like):
    """What a bin of a real transform of even length ``n`` counts for: itself and its mirror image, over n."""
    weight = torch.full(like.shape[-1:], 2 / n, dtype=like.real.dtype, device=like.device)
    weight[0] = weight[-1] = 1 / n
    return weight


def interleaved(spectra):
    """Complex (..., n_freqs) as real (..., 2 * n_freqs)."""
    return torch.view_as_real(spectra).flatten(-2)


def _mix(mix, spectra):
    """One real matrix product a trial, over interleaved real and imaginary parts."""
    mixed = torch.bmm(mix.expand(len(spectra), -1, -1), interleaved(spectra))
    return torch.view_as_complex(mixed.unflatten(-1, (-1, 2)))


def filter_and_mix(x, taps, mix, left, right):
    """Filter electrodes with FIR taps, then mix them, one filter a group of mixed rows.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_chans, n_times)
        Trials.
    taps : torch.Tensor, shape (n_filters, n_taps)
        Filters, in the order of a convolution layer's weight.
    mix : torch.Tensor, shape (n_filters * depth, n_chans)
        Spatial filters; rows ``f * depth`` to ``(f + 1) * depth - 1`` see the output of filter ``f``.
    left, right : int
        Zeros before and after each signal.

    Returns
    -------
    torch.Tensor, shape (batch, n_filters * depth, n_times + left + right - n_taps + 1)

    Notes
    -----
    Equals a (1, n_taps) convolution shared by the electrodes, followed by a depthwise (n_chans, 1)
    convolution.

    Examples
    --------
    >>> import torch
    >>> filter_and_mix(torch.randn(8, 22, 1000), torch.randn(40, 25), torch.randn(40, 22), 12, 12).shape
    torch.Size([8, 40, 1000])
    """
    if torch.is_grad_enabled():
        return apply(_FilterAndMix, x, taps, mix, left, right)[0]
    return _map_filtered(lambda y: y, x, mix, *_transform(x, taps, mix, left, right))


def window_sums(x, n_taps, left, right, of_each=True):
    """Sums and sums of products of what FIR taps see: all windows of ``n_taps`` samples of all electrodes.

    They depend on the trials alone, and serve however often these are trained on.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_chans, n_times)
        Trials.
    n_taps : int
        Length of a window in samples.
    left, right : int
        Zeros before and after each signal, fewer than ``n_taps``.
    of_each : bool, default=True
        Of each trial; False for sums over the batch, which take less time.

    Returns
    -------
    torch.Tensor, shape (batch or 1, n_taps, 1 + n_taps)
        For each sample of a window, its sum over electrodes and windows, and that of its products with all
        samples. In float64 where the device has it.

    Notes
    -----
    Over *all* shifts of a window across a zero-padded signal, the second moment of samples i and j of the
    window is the signal's autocorrelation at lag |i - j|. The windows that "same" or "valid" padding leaves
    out overlap the signal's first or last few samples alone; their moments are subtracted.

    EEG comes with offsets that dwarf the signal, and a variance is a difference of squares. Each electrode's
    mean is therefore taken out first and put back by algebra in float64: the window is (centred + level *
    ones), where the ones are padded with zeros like the signal.
    """
    exact = torch.float32 if x.device.type == "mps" else torch.float64
    n_times = x.shape[-1]
    n = fft_length(n_times + n_taps - 1)
    n_before, n_after = n_taps - 1 - left, n_taps - 1 - right  # samples whose windows are partly left out

    # Tap i sees a one, and not padding, in the windows from first[i] to last[i].
    n_windows = n_times + left + right - n_taps + 1
    index = torch.arange(n_taps, device=x.device)
    lag = (index[:, None] - index).abs()
    first = (left - index).clamp(0, n_windows)
    last = (left + n_times - index).clamp(0, n_windows)
    ones = (torch.minimum(last, last[:, None]) - torch.maximum(first, first[:, None])).clamp(min=0)

    def products(part):  # (groups, rows, n_times)
        level = part.mean(-1, keepdim=True)
        centred = part - level
        power = interleaved(spectrum(centred, n)).square().sum(1).unflatten(-1, (-1, 2)).sum(-1)
        sums = torch.stack([centred.sum(1), (level.mT @ centred).squeeze(1)])
        before, after = centred[..., :n_before].to(exact), centred[..., max(0, n_times - n_after) :].to(exact)
        level = level.to(exact)
        return power, sums, before.mT @ before, after.mT @ after, level.sum(1), level.square().sum(1)

    def summed(power, sums, before, after, level, energy):
        second = torch.fft.irfft(power.to(exact), n)[:, lag]
        if n_before:
            second = second - _over_windows(before, n_taps - 1, n_before - before.shape[-1], n_taps)
        if n_after:
            second = second - _over_windows(after, n_after - after.shape[-1], n_taps - 1, n_taps)
        plain, weighted = F.pad(sums.to(exact), (left + 1, right)).cumsum(-1)  # of the samples before each
        plain = plain[:, n_windows + index] - plain[:, index] + level * (last - first)
        cross = weighted[:, last[:, None] + index] - weighted[:, first[:, None] + index]
        second = second + cross + cross.mT + energy.unsqueeze(-1) * ones
        return torch.cat([plain.unsqueeze(-1), second], -1)

    if of_each:
        return joined(map_in_threads(lambda trials: summed(*products(x[trials])), few_trials(x)))
    parts = map_in_threads(lambda trials: products(x[trials].flatten(0, 1).unsqueeze(0)), few_trials(x))
    return summed(*map(sum, zip(*parts, strict=True)))


def carry_sums(x, sums):
    """Let trials carry their `window_sums` to `filter_norm_mix_norm`, which then takes them as found.

    What is computed of these trials carries nothing, and they carry nothing themselves once an operation of
    PyTorch has changed them, or where gradients by them are asked for.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_chans, n_times)
        Trials.
    sums : torch.Tensor, shape (batch, n_taps, 1 + n_taps)
        Of each trial, for the padding of the layer that they go to.
    """
    x.window_sums = sums, x._version


def _carried_sums(x):
    if torch.compiler.is_compiling() or not hasattr(x, "window_sums") or x.requires_grad:
        return None
    sums, version = x.window_sums
    return sums if version == x._version else None


def window_moments(sums, count):
    """Mean and covariance of windows of trials, from their `window_sums`.

    The output of taps h then has the mean h . mean and the variance h' covariance h, over trials, electrodes
    and times, without being computed.

    Parameters
    ----------
    sums : torch.Tensor, shape (batch or 1, n_taps, 1 + n_taps)
        Of each trial, or of all.
    count : int
        Number of windows: trials, electrodes and times.

    Returns
    -------
    mean : torch.Tensor, shape (n_taps,)
    covariance : torch.Tensor, shape (n_taps, n_taps)
        Biased.
    """
    mean, second = (sums.sum(0) / count).tensor_split([1], -1)
    return mean[:, 0], second - mean @ mean.T


def _over_windows(products, before, after, n_taps):
    """Products of pairs of samples, padded with zeros, summed over the windows that the pairs are in."""
    padded = F.pad(products, (before, after, before, after))
    return padded.unfold(1, n_taps, 1).unfold(2, n_taps, 1).diagonal(dim1=1, dim2=2).sum(-1)


class _FilterMixNormEluPool(torch.autograd.Function):
    """`filter_and_mix`, batch normalisation by the batch's own statistics, ELU and average pooling.

    A piece of the batch goes through as much as it can while it is in the processor's cache: up to the
    statistics of the whole batch forth, up to the sums over it back. Between these, pieces stay pieces: to
    join them is to copy them.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, taps, mix, left, right, scale, bias, eps, band, length, stride):
        n, n_out, response = _transform(x, taps, mix, left, right)
        parts, kept = _filter_forward(lambda y: (y, moments(y)), x, mix, n, n_out, response)
        y, parts = zip(*parts, strict=True)
        mean, variance = together(parts)
        gain, shift = gain_and_shift(scale, bias, eps, mean, variance)
        parts = map_in_threads(lambda part: _elu_pool(part * gain + shift, band, length, stride), y)
        z, slopes = zip(*parts, strict=True)
        return joined(z), mean, variance, response, *kept, *y, *slopes

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, taps, mix, ctx.left, _, scale, _, ctx.eps, band, ctx.length, ctx.stride = inputs
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(mix, scale, band, *output[1:])
        ctx.taps_shape, ctx.n_times = taps.shape, x.shape[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        mix, scale, band, mean, variance, response, *pieces = ctx.saved_tensors
        n_pieces = len(pieces) // 4
        kept, y, slopes = pieces[: 2 * n_pieces], pieces[2 * n_pieces : 3 * n_pieces], pieces[3 * n_pieces :]
        n_out = y[0].shape[2]

        def piece(given):
            y, slope, grad = given
            grad = spread(grad, n_out, band, ctx.length, ctx.stride) * slope
            return (y, grad), gradient_sums(y, grad, mean)

        with torch.autocast(grad.device.type, enabled=False):
            grads = grad.split([len(part) for part in y])
            parts = map_in_threads(piece, list(zip(y, slopes, grads, strict=True)))
            pieces, sums = zip(*parts, strict=True)
            gradient, *grads = norm_backward(sums, len(grad) * n_out, scale, mean, variance, ctx.eps)
            return (
                *_filter_backward(gradient, pieces, ctx, mix, response, kept),
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
    with torch.autocast(x.device.type, enabled=False):  # FFTs know no half precision
        in_batch = [uses_batch_statistics(norm) for norm in (temporal_norm, spatial_norm)]
        evaluates = not any(in_batch) and not torch.is_grad_enabled()
        plain = is_plain_elu(activation) and is_plain(pool, AveragePool)
        fused = plain and (in_batch[1] or evaluates)
        pooling = (pool.band.to(taps.dtype), pool.length, pool.stride) if fused else None
        function = partial(_filter_norm_mix_norm, sums=_carried_sums(x))
        if fused and evaluates:
            function = partial(_evaluate, folded=folded or Folded())
        z = function(x.to(taps.dtype), taps, temporal_norm, mix, spatial_norm, left, right, pooling)
    if fused:
        return z
    z = z if activation is None else activation(z)
    return z if pool is None else pool(z)


def _filter_norm_mix_norm(x, taps, temporal_norm, mix, spatial_norm, left, right, pooling, sums):
    """Normalised rows; with ``pooling`` and the batch's statistics, ELU and average pooling of them."""
    count = len(x) * (x.shape[2] + left + right - taps.shape[-1] + 1)
    if uses_batch_statistics(temporal_norm):
        if sums is None or sums.shape[1] != taps.shape[-1]:
            sums = window_sums(x, taps.shape[-1], left, right, of_each=False)
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
        return *_after_spatial_norm(rows, shift, spatial_norm), *_transform(x, taps, mix, left, right)

    norms = temporal_norm, spatial_norm
    names = "running_mean", "running_var", "weight", "bias"
    tensors = (getattr(norm, name) for norm in norms for name in (names if norm.affine else names[:2]))
    settings = {"shape": (x.shape[-1], left, right, mix.shape), "eps": [norm.eps for norm in norms]}
    rows, bias, *transform = folded(fold, taps, mix, *tensors, **settings)
    return _map_filtered(lambda y: _elu_pool(y + bias, *pooling)[0], x, rows, *transform)
