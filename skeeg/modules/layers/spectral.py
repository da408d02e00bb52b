"""Filter electrodes in time and mix them, in the frequency domain.

The stem of every network here filters each electrode in time and then mixes electrodes linearly. Both are
linear, so they commute: with X = rfft(x), the mixed output is the inverse transform of
U[o, w] = sum_c mix[o, c] * H[f(o), w] * X[c, w]. The (filters x electrodes) signals between the two steps
are never formed.
"""

from __future__ import annotations

import math
from itertools import chain

import torch
import torch.nn.functional as F

from skeeg.modules.compute import (
    ByHand,
    apply,
    computes_plainly,
    few_trials,
    full_precision,
    is_exported_to_onnx,
    joined,
    keep,
    map_in_threads,
    n_samples,
    only_evaluates,
)
from skeeg.modules.layers.linear import mix_rows

CACHED_BYTES = 2 * 2**20  # filtered spectra at a time: what a processor's cache holds


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
    """Spectrum of signals, in float32 or float64, zero-padded at their end to ``n`` samples.

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
    if x.dtype in (torch.float16, torch.bfloat16):
        raise TypeError(
            f"this network computes in its weights' {x.dtype}, for which there are no Fourier transforms; "
            "keep the weights in float32, network.float(), and take torch.autocast or trials in half "
            "precision, which both work"
        )
    if is_exported_to_onnx():
        raise RuntimeError(
            "ONNX knows no Fourier transforms as this network computes them; use "
            "skeeg.export.export_onnx(estimator, path), which writes the network in convolutions"
        )
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
    n_taps = n_samples(taps)
    impulse = F.pad(taps.flip(-1), (0, n - n_taps)).roll(left - n_taps + 1, dims=-1)
    return spectrum(impulse, n)


class _FilterAndMix(ByHand):
    """`filter_and_mix`, a few trials at a time, with its backward pass in the frequency domain too."""

    @staticmethod
    def forward(x, taps, mix, left, right):
        n, n_out, response = prepare_transform(x, taps, mix, left, right)
        y, kept = filter_forward(lambda y: y, x, mix, n, n_out, response)
        return joined(y), response, *kept

    plain = forward

    @staticmethod
    def setup_context(ctx, inputs, output):
        keep(ctx, inputs, output[1:])

    @staticmethod
    def gradient(ctx, inputs, kept, grad, *_):
        response, *spectra = kept
        grads = grad.split([len(part) for part in spectra[::2]])
        with full_precision(grad):
            needs = ctx.needs_input_grad[:3]
            return *filter_backward(lambda grad: grad, grads, needs, inputs, response, spectra), None, None


def prepare_transform(x, taps, mix, left, right):
    """Length of the transforms, length of the output, and frequency response of each mixed row."""
    n_times = n_samples(x)
    n = fft_length(n_times + max(left, right))
    response = fir_response(taps, n, left).repeat_interleave(len(mix) // len(taps), 0)
    return n, n_times + left + right - n_samples(taps) + 1, response


def _filtered(x, mix, n, n_out, response):
    """Output of `filter_and_mix`, and the spectra of input and mixed rows."""
    spectra = spectrum(x, n)  # (trials, n_chans, n_freqs)
    mixed = _mix(mix, spectra)
    return torch.fft.irfft(mixed * response, n)[..., :n_out], spectra, mixed


def map_filtered(function, x, mix, n, n_out, response):
    """What a function gives for the output of `filter_and_mix`, a few trials at a time; nothing is kept."""

    def piece(trials):
        y, *_ = _filtered(x[trials], mix, n, n_out, response)
        return function(y)

    return joined(map_in_threads(piece, few_trials(x)))


def filter_forward(function, x, mix, n, n_out, response):
    """What a function gives for the output of `filter_and_mix`, a few trials at a time, and what to keep.

    That is the spectra of input and mixed rows, in turns.
    """

    def piece(trials):
        y, *kept = _filtered(x[trials], mix, n, n_out, response)
        return function(y), kept

    results, kept = zip(*map_in_threads(piece, few_trials(x)), strict=True)
    return results, tuple(chain.from_iterable(kept))


def filter_backward(function, pieces, needs, inputs, response, kept):
    """Gradients by x, taps and mix, where a function gives the gradient by a piece of the output.

    With X and V = mix X the spectra of input and mixed rows, H the responses and G the spectrum of the
    output's gradient, the gradients are products of spectra: of the mixing matrix conj(H) G with X, of the
    responses conj(V) G summed over trials, of the input mix' (conj(H) G).
    """
    x, taps, mix, left, *_ = inputs
    n_filters, n_taps = taps.shape
    n = 2 * (response.shape[-1] - 1)
    weight = bin_weights(n, response)
    response = response.conj() * weight
    need_x, need_taps, need_mix = needs

    def piece(given):
        piece, x_part, mixed = given
        grad_x, grad_response, grad_mix = None, 0, 0
        grad = spectrum(function(piece), n)
        if need_x or need_mix:
            filtered = grad * response
        if need_mix:
            grad_mix = torch.bmm(interleaved(x_part), interleaved(filtered).mT).sum(0).T
        if need_x:
            grad_x = torch.fft.irfft(_mix(mix.T, filtered) / weight, n)[..., : x.shape[-1]]
        if need_taps:
            grad.imag.neg_()  # its conjugate, of which conj() would make a copy for the product
            grad_response = (grad * mixed).sum(0).conj()
        return grad_x, grad_response, grad_mix

    parts = map_in_threads(piece, list(zip(pieces, kept[::2], kept[1::2], strict=True)))
    grad_x, grad_response, grad_mix = zip(*parts, strict=True)
    grad_taps = None
    if need_taps:
        impulse = torch.fft.irfft(sum(grad_response).unflatten(0, (n_filters, -1)).sum(1), n)
        grad_taps = impulse.roll(n_taps - 1 - left, dims=-1)[:, :n_taps].flip(-1)
    return joined(grad_x) if need_x else None, grad_taps, sum(grad_mix) if need_mix else None


def bin_weights(n, like):
    """What a bin of a real transform of even length ``n`` counts for: itself and its mirror image, over n."""
    between = torch.full((n_samples(like) - 2,), 2 / n, dtype=like.real.dtype, device=like.device)
    return F.pad(between, (1, 1), value=1 / n)


def interleaved(spectra):
    """Complex (..., n_freqs) as real (..., 2 * n_freqs)."""
    return torch.view_as_real(spectra).flatten(-2)


def _mix(matrix, spectra):
    """One real matrix product a trial, over interleaved real and imaginary parts."""
    mixed = mix_rows(matrix, interleaved(spectra))
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
    if only_evaluates():
        return map_filtered(lambda y: y, x, mix, *prepare_transform(x, taps, mix, left, right))
    return apply(_FilterAndMix, x, taps, mix, left, right)[0]


class _FilterAndMixTrials(ByHand):
    r"""Filter electrodes in time, then mix them with a matrix of each trial's own.

    The result is the inverse transform of :math:`U_o = \sum_{f, c} M_{(f, c), o} Z_{f, c}`, cropped to
    ``n_times`` samples. The filtered spectra :math:`Z_{f, c} = H_f X_c` are made for a few trials at a time,
    so few that they are still in the processor's cache when the matrix product reads them, and are made again
    in the backward pass rather than kept.

    Shapes: spectra (batch, n_chans, n_bins) and responses (n_filters, n_bins), both complex; mixing
    (batch, n_filters * n_chans, n_mixed); result (batch, n_mixed, n_times).
    """

    @staticmethod
    def forward(spectra, responses, mixing, n_times):
        n = 2 * (n_samples(spectra) - 1)
        mixed = []
        for x, mix in _cached_parts(responses, spectra, mixing):
            z = x.unsqueeze(1) * responses.unsqueeze(1)  # (trials, F, C, n_bins)
            u = torch.bmm(mix.mT, interleaved(z).flatten(1, 2))
            u = torch.view_as_complex(u.unflatten(-1, (-1, 2)))
            mixed.append(torch.fft.irfft(u, n)[..., :n_times])
        return joined(mixed)

    plain = forward

    @staticmethod
    def setup_context(ctx, inputs, output):
        keep(ctx, inputs, ())

    @staticmethod
    def gradient(ctx, inputs, _, grad):
        spectra, responses, mixing, _ = inputs
        need_spectra, need_responses, *_ = ctx.needs_input_grad
        n = 2 * (spectra.shape[-1] - 1)
        weight = bin_weights(n, responses)
        responses = responses * weight
        grad_spectra, grad_responses, grad_mixing = [], 0, []
        for x, mix, y in _cached_parts(responses, spectra, mixing, grad):
            g = interleaved(spectrum(y, n))  # (trials, n_mixed, 2 n_bins)
            z = x.unsqueeze(1) * responses.unsqueeze(1)
            grad_mixing.append(torch.bmm(interleaved(z).flatten(1, 2), g.mT))
            if need_spectra or need_responses:
                z = torch.bmm(mix, g).unflatten(-1, (-1, 2))
                z = torch.view_as_complex(z).unflatten(1, (len(responses), -1))  # (trials, F, C, n_bins)
            if need_spectra:
                grad_spectra.append((z * responses.conj().unsqueeze(1)).sum(1))
            if need_responses:  # two sums of one axis each are much faster than one of two
                grad_responses = grad_responses + z.mul_(x.conj().unsqueeze(1)).sum(2).sum(0)
        return (
            joined(grad_spectra) if need_spectra else None,
            grad_responses * weight if need_responses else None,
            joined(grad_mixing),
            None,
        )


def _cached_parts(responses, spectra, *tensors):
    """Tensors in parts of as many trials as the cache holds filtered; of all where `few_trials` gives all."""
    if spectra.device.type != "cpu" or computes_plainly():
        return [(spectra, *tensors)]
    bytes_per_trial = math.prod(spectra.shape[1:]) * len(responses) * spectra.element_size()
    n_trials = max(1, CACHED_BYTES // bytes_per_trial)
    return zip(*(tensor.split(n_trials) for tensor in (spectra, *tensors)), strict=True)


def filter_and_mix_trials(spectra, responses, mixing, n_times):
    """Filter electrodes, then mix them with a matrix of each trial's own, in the frequency domain.

    Parameters
    ----------
    spectra : torch.Tensor, shape (batch, n_chans, n_freqs), complex
        Of the trials, see `spectrum`.
    responses : torch.Tensor, shape (n_filters, n_freqs), complex
        Of the filters, see `fir_response`.
    mixing : torch.Tensor, shape (batch, n_filters * n_chans, n_mixed)
        Weight of each filtered electrode in each mixed row; electrodes of a filter follow each other.
    n_times : int
        Length of the result.

    Returns
    -------
    torch.Tensor, shape (batch, n_mixed, n_times)
    """
    return apply(_FilterAndMixTrials, spectra, responses, mixing, n_times)
