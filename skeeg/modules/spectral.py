"""Filter electrodes in time and mix them, in the frequency domain.

The stem of every network here filters each electrode in time and then mixes electrodes linearly. Both are
linear, so they commute: with X = rfft(x), the mixed output is the inverse transform of
U[o, w] = sum_c mix[o, c] * H[f(o), w] * X[c, w]. The (filters x electrodes) signals between the two steps
are never formed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from skeeg.modules.autograd import apply


def fft_length(n: int) -> int:
    """Smallest length of at least ``n`` samples whose real FFT is fast.

    A multiple of 16 without prime factors above 7: such transforms took half the time of others of the
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
    """What is left of ``n`` without its factors 2, 3, 5 and 7."""
    for prime in (2, 3, 5, 7):
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
    """`filter_and_mix`, a few trials at a time, with its backward pass in the frequency domain too.

    With X and V = mix X the spectra of input and mixed rows, H the responses and G the spectrum of the
    output's gradient, the gradients are products of spectra: of the mixing matrix conj(H) G with X, of the
    responses conj(V) G summed over trials, of the input mix' (conj(H) G). V is made again, in the
    processor's cache, rather than kept.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, taps, mix, left, right):
        n_times, n_out = x.shape[-1], x.shape[-1] + left + right - taps.shape[-1] + 1
        n = fft_length(n_times + max(left, right))
        x_spectrum = spectrum(x, n)  # (batch, n_chans, n_freqs)
        response = fir_response(taps, n, left).repeat_interleave(len(mix) // len(taps), 0)
        y = []
        for trials in _in_cache(x_spectrum):
            mixed = _mix(mix, x_spectrum[trials])  # (trials, n_rows, n_freqs)
            y.append(torch.fft.irfft(mixed * response, n)[..., :n_out])
        return torch.cat(y), x_spectrum, response

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
        mix, x_spectrum, response = ctx.saved_tensors
        n_filters, n_taps = ctx.taps_shape
        n_freqs = x_spectrum.shape[-1]
        n = 2 * (n_freqs - 1)
        # Positive frequencies stand for the negative ones too: all but 0 and Nyquist count twice.
        count = torch.full((n_freqs,), 2.0, dtype=grad.dtype, device=grad.device)
        count[0] = count[-1] = 1.0
        response = response.conj() * (count / n)
        need_x, need_taps, need_mix, *_ = ctx.needs_input_grad
        grad_x, grad_response, grad_mix = [], 0, 0
        for trials in _in_cache(x_spectrum):
            x_part, grad_part = x_spectrum[trials], spectrum(grad[trials], n)
            if need_taps:
                grad_response = grad_response + (grad_part * _mix(mix, x_part).conj()).sum(0)
            if need_x or need_mix:
                grad_part = grad_part * response
            if need_mix:
                grad_mix = grad_mix + torch.bmm(_interleaved(grad_part), _interleaved(x_part).mT).sum(0)
            if need_x:
                grad_x.append(torch.fft.irfft(_mix(mix.T, grad_part) * (n / count), n)[..., : ctx.n_times])
        if need_taps:
            impulse = torch.fft.irfft(grad_response.unflatten(0, (n_filters, -1)).sum(1), n)
            grad_taps = impulse.roll(n_taps - 1 - ctx.left, dims=-1)[:, :n_taps].flip(-1)
        return (
            torch.cat(grad_x) if need_x else None,
            grad_taps if need_taps else None,
            grad_mix if need_mix else None,
            None,
            None,
        )


TRIALS_IN_CACHE = 8


def _in_cache(trials):
    """Slices of a few trials, that stay in the cache between operations; on other devices all trials at once.

    Threads share a product of spectra, and the last numbers of a thread's share are multiplied by other
    instructions, with other rounding, than those before. Shares of eight trials, or of the single trials that
    remain, end where the processor's vectors do, so that results are the same for one thread and for two.
    """
    batch = len(trials)
    if trials.device.type != "cpu":
        return [slice(None)]
    whole = batch - batch % TRIALS_IN_CACHE
    pieces = [slice(start, start + TRIALS_IN_CACHE) for start in range(0, whole, TRIALS_IN_CACHE)]
    return pieces + [slice(start, start + 1) for start in range(whole, batch)]


def _interleaved(spectra):
    """Complex (..., n_freqs) as real (..., 2 * n_freqs)."""
    return torch.view_as_real(spectra).flatten(-2)


def _mix(mix, spectra):
    """One real matrix product a trial, over interleaved real and imaginary parts."""
    mixed = torch.bmm(mix.expand(len(spectra), -1, -1), _interleaved(spectra))
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
    return apply(_FilterAndMix, x, taps, mix, left, right)[0]


def window_moments(x, n_taps, left, right):
    """Mean and covariance of what FIR taps see: all windows of ``n_taps`` samples of all electrodes.

    The output of taps h then has the mean h . mean and the variance h' covariance h, over trials, electrodes
    and times, without being computed.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_chans, n_times)
        Trials.
    n_taps : int
        Length of a window in samples.
    left, right : int
        Zeros before and after each signal.

    Returns
    -------
    mean : torch.Tensor, shape (n_taps,)
    covariance : torch.Tensor, shape (n_taps, n_taps)
        Biased. Both in float64 where the device has it.

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
    x = x.flatten(0, 1)
    n_rows, n_times = x.shape
    count = n_rows * (n_times + left + right - n_taps + 1)
    level = x.mean(-1, keepdim=True)
    centred = x - level

    n = fft_length(n_times + n_taps - 1)
    power = _interleaved(spectrum(centred, n)).square().sum(0).unflatten(0, (-1, 2)).sum(-1)
    lags = torch.fft.irfft(power.to(exact), n)[:n_taps]
    index = torch.arange(n_taps, device=x.device)
    second = lags[(index[:, None] - index).abs()]
    for cut, samples, before in (
        (n_taps - 1 - left, centred[:, : n_taps - 1 - left], True),
        (n_taps - 1 - right, centred[:, max(0, n_times - (n_taps - 1 - right)) :], False),
    ):
        if cut == 0:
            continue
        samples = samples.to(exact)
        missing = cut - samples.shape[1]
        around = (n_taps - 1, missing) if before else (missing, n_taps - 1)
        products = F.pad(samples.T @ samples, around * 2)
        second = second - products.unfold(0, n_taps, 1).unfold(1, n_taps, 1).diagonal(dim1=0, dim2=1).sum(-1)

    rows = torch.stack([torch.ones_like(x[0]), centred.sum(0), level[:, 0] @ centred]).to(exact)
    level = level.to(exact)
    ones, plain, weighted = F.pad(rows, (left, right)).unfold(-1, n_taps, 1)
    cross = ones.T @ weighted
    mean = (plain.sum(0) + level.sum() * ones.sum(0)) / count
    second = second + cross + cross.T + level.square().sum() * (ones.T @ ones)
    return mean, second / count - mean.outer(mean)


class _BatchNorm(torch.autograd.Function):
    """Normalise the rows of (batch, rows, times) by their own statistics, scale and shift them.

    Sums of products are taken a few trials at a time: fresh memory for a whole product costs more than the
    arithmetic.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(y, scale, bias, eps):
        count = y.shape[0] * y.shape[2]
        mean = y.sum(2).sum(0) / count
        energy = [torch.linalg.vector_norm(y[trials] - mean[:, None], dim=2) for trials in _in_cache(y)]
        variance = torch.cat(energy).square().sum(0) / count
        gain = scale * (variance + eps).rsqrt()
        normalised = (y * gain[:, None]).add_((bias - mean * gain)[:, None])
        return normalised, mean, variance

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
        count = grad.shape[0] * grad.shape[2]
        precision = 1 / (variance + ctx.eps)
        total = grad.sum(2).sum(0)
        along = [(grad[trials] * (y[trials] - mean[:, None])).sum(2) for trials in _in_cache(y)]
        along = torch.cat(along).sum(0)
        # gain * (grad - its mean - its projection on the normalised rows)
        gain, slope = scale * precision.sqrt(), precision * along / count
        grad_y = y * -slope[:, None]
        grad_y += grad
        grad_y += (mean * slope - total / count)[:, None]
        grad_y *= gain[:, None]
        return grad_y, along * precision.sqrt(), total, None


def _uses_batch_statistics(norm):
    return norm.training or norm.running_mean is None


def _track(norm, mean, variance, count):
    """Update running statistics as `torch.nn.BatchNorm2d` does in training."""
    if not (norm.training and norm.track_running_stats):
        return
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean.to(norm.running_mean), rate)
        norm.running_var.lerp_((variance * (count / max(count - 1, 1))).to(norm.running_var), rate)


def _scale_and_bias(norm, like):
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
    if not _uses_batch_statistics(norm):
        return F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    normalised, mean, variance = apply(_BatchNorm, y, *_scale_and_bias(norm, y), norm.eps)
    _track(norm, mean, variance, y.shape[0] * y.shape[2])
    return normalised


def filter_norm_mix_norm(x, taps, temporal_norm, mix, spatial_norm, left, right):
    """Temporal convolution, BatchNorm, depthwise spatial convolution, BatchNorm.

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

    Returns
    -------
    torch.Tensor, shape (batch, n_filters * depth, n_times + left + right - n_taps + 1)

    Notes
    -----
    The first normalisation is z -> gain * z + offset for each filter. Its statistics come from
    `window_moments`; its gain scales the rows of the mixing matrix, and its offset adds
    shift = offset * (sum of the row) to a mixed row. The second normalisation folds into the mixing matrix
    too where it uses running statistics.
    """
    with torch.autocast(x.device.type, enabled=False):  # FFTs know no half precision
        return _filter_norm_mix_norm(x.to(taps.dtype), taps, temporal_norm, mix, spatial_norm, left, right)


def _filter_norm_mix_norm(x, taps, temporal_norm, mix, spatial_norm, left, right):
    depth = len(mix) // len(taps)
    if _uses_batch_statistics(temporal_norm):
        window_mean, covariance = window_moments(x, taps.shape[-1], left, right)
        exact = taps.to(covariance.dtype)
        mean = (exact @ window_mean).to(taps.dtype)
        variance = ((exact @ covariance) * exact).sum(-1).clamp(min=0).to(taps.dtype)
        _track(
            temporal_norm,
            mean,
            variance,
            len(x) * x.shape[1] * (x.shape[2] + left + right - taps.shape[-1] + 1),
        )
    else:
        mean, variance = temporal_norm.running_mean, temporal_norm.running_var
    scale, bias = _scale_and_bias(temporal_norm, taps)
    gain = scale * (variance + temporal_norm.eps).rsqrt()
    offset = bias - mean * gain
    shift = offset.repeat_interleave(depth) * mix.sum(1)
    mix = mix * gain.repeat_interleave(depth)[:, None]

    if _uses_batch_statistics(spatial_norm):
        y = filter_and_mix(x, taps, mix, left, right)
        scale, bias = _scale_and_bias(spatial_norm, mix)
        # The shift moves the mean, and nothing else: it cancels from the normalised rows.
        normalised, mean, variance = apply(_BatchNorm, y, scale, bias + 0 * shift, spatial_norm.eps)
        _track(spatial_norm, mean + shift, variance, y.shape[0] * y.shape[2])
        return normalised
    scale, bias = _scale_and_bias(spatial_norm, mix)
    gain = scale * (spatial_norm.running_var + spatial_norm.eps).rsqrt()
    y = filter_and_mix(x, taps, mix * gain[:, None], left, right)
    return y + (bias + (shift - spatial_norm.running_mean) * gain)[:, None]


def in_place(activation):
    """Make an activation from its class, one that overwrites its input where the class can do that.

    Parameters
    ----------
    activation : type of torch.nn.Module or None
        None is no activation.

    Returns
    -------
    torch.nn.Module
    """
    module = torch.nn.Identity() if activation is None else activation()
    if hasattr(module, "inplace"):
        module.inplace = True
    return module
