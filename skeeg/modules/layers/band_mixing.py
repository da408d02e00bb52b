"""Band-pass filters and spatial filters over bands and channels, one matrix product for each frequency."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from skeeg.modules.compute import (
    ByHand,
    apply,
    computes_plainly,
    few_trials,
    full_precision,
    joined,
    keep,
    map_in_threads,
    map_with_gradients,
    n_samples,
    threads_for_pieces,
)
from skeeg.modules.layers.activation import elu_plus_one
from skeeg.modules.layers.batch_norm import normalise_plainly
from skeeg.modules.layers.filter_bank import extend, extend_adjoint
from skeeg.modules.layers.spectral import bin_weights, spectrum
from skeeg.modules.layers.variance_pooling import segments


def mixing_matrices(weight, response):
    """M_c,o(w) = sum_b weight[o, b, c] response[b](w): (n_freqs, n_chans, n_filters)."""
    n_filters, n_bands, n_chans = weight.shape
    weight = weight.permute(1, 2, 0).reshape(n_bands, -1).to(response.dtype)
    with threads_for_pieces():  # those of a product that they share would wait, busily, where trials are due
        return (response.T @ weight).unflatten(1, (n_chans, n_filters))


def _pack(spectra, mixing):
    """(rows, batch, n_freqs) -> (n_freqs, rows, batch), or for real matrices (n_freqs, rows, 2 * batch)."""
    packed = spectra.permute(2, 0, 1).contiguous()
    return packed if mixing.is_complex() else torch.view_as_real(packed).flatten(2)


def _unpack(packed, mixing):
    """The inverse of _pack."""
    rows = packed.shape[1]
    packed = packed.flatten(1)
    if not mixing.is_complex():
        packed = torch.view_as_complex(packed.unflatten(1, (-1, 2)))
    return packed.T.contiguous().unflatten(0, (rows, -1))


def n_fft_of(response):
    return None if response is None else 2 * (n_samples(response) - 1)  # lengths of transforms are even


def mix_with(x, weight, mixing=None, left=0, right=0, n_fft=None):
    """Mix trials by matrices made before, and give what the gradient by the weights needs of the trials.

    The first is (batch, n_filters, n_times). Band-passed trials (batch, n_bands, n_chans, n_times) without
    ``mixing``, others (batch, n_chans, n_times) with it: in the frequency domain the output is M' X, with X
    the spectrum of the trial, extended at its ends, and M_c,o(w) = sum_b weight[o, b, c] response[b](w).
    Frequencies come first, so that M' X is one matrix product for each of them; for a real response it mixes
    real and imaginary parts alike.
    """
    if mixing is None:
        bands = x.flatten(1, 2)
        return torch.bmm(weight.flatten(1).expand(x.shape[0], -1, -1), bands), bands
    packed = _pack(spectrum(extend(x.transpose(0, 1), left, right, n_fft), n_fft), mixing)
    if x.shape[0] == 1 and not computes_plainly():  # one or two columns are better rows
        mixed = torch.bmm(packed.mT, mixing).permute(2, 1, 0)  # (n_filters, 1 or real and imaginary, n_freqs)
        mixed = mixed if mixing.is_complex() else torch.complex(*mixed.split(1, dim=1))
    else:
        mixed = _unpack(torch.bmm(mixing.mT, packed), mixing)  # (n_filters, batch, n_freqs)
    return torch.fft.irfft(mixed, n_fft)[..., : x.shape[-1]].transpose(0, 1), packed


def _weighted(response):
    return None if response is None else response * bin_weights(n_fft_of(response), response)


def _mix_back(grad, kept, weight, mixing, response, left, right, needs):
    """Gradients by trials and weights, of the output of `mix_with`, with a `_weighted` response.

    The adjoint of each step: with G the spectrum of the output's gradient, X gets conj(M) G and the weights
    conj(response) applied to G conj(X)', real part.
    """
    grad_x = grad_weight = None
    need_x, need_weight = needs
    if mixing is None:
        if need_weight:
            grad_weight = torch.bmm(grad, kept.mT).sum(0).view_as(weight)
        if need_x:
            grad_x = torch.bmm(weight.flatten(1).mT.expand(grad.shape[0], -1, -1), grad)
            grad_x = grad_x.unflatten(1, weight.shape[1:])
        return grad_x, grad_weight
    n_fft, n_times = n_fft_of(response), grad.shape[-1]
    part = _pack(torch.fft.rfft(grad.transpose(0, 1), n_fft), mixing)
    if need_weight:
        grad_mixing = torch.bmm(kept, part.mH)  # (n_freqs, n_chans, n_filters), conjugate
        # a product for each channel: threads that share one product round differently
        response = response.expand(grad_mixing.shape[1], -1, -1)
        grad_weight = torch.bmm(response, grad_mixing.transpose(0, 1)).real.permute(2, 1, 0)
    if need_x:
        part = torch.fft.irfft(_unpack(torch.bmm(mixing.conj(), part), mixing), n_fft)
        grad_x = extend_adjoint(part, left, right, n_times).transpose(0, 1)
    return grad_x, grad_weight


def _mix_plainly(x, weight, response, left, right):
    """`mix_bands`, in operations that PyTorch differentiates."""
    mixing = None if response is None else mixing_matrices(weight, response)
    return mix_with(x, weight, mixing, left, right, n_fft_of(response))[0]


class _Mix(ByHand):
    """`mix_with` with its gradients; those by the mixing matrices go to the weights that they are made of."""

    @staticmethod
    def plain(x, weight, _, response, left, right):
        return (_mix_plainly(x, weight, response, left, right),)

    @staticmethod
    def forward(x, weight, mixing, response, left, right):
        return mix_with(x, weight, mixing, left, right, n_fft_of(response))

    @staticmethod
    def setup_context(ctx, inputs, output):
        keep(ctx, inputs, output[1:])

    @staticmethod
    def gradient(ctx, inputs, kept, grad, _):
        _, weight, mixing, response, left, right = inputs
        needs = ctx.needs_input_grad[:2]
        with full_precision(grad):
            grads = _mix_back(grad, *kept, weight, mixing, _weighted(response), left, right, needs)
        return *grads, None, None, None, None


def mix_bands(x, weight, response, left, right):
    """Band-pass and mix trials.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_chans, n_times) or (batch, n_bands, n_chans, n_times)
        Trials, or band-passed trials.
    weight : torch.Tensor, shape (n_filters, n_bands, n_chans)
        Weight of each channel in each band.
    response : torch.Tensor, shape (n_bands, n_freqs), or None
        Of the bands; None for band-passed trials.
    left, right : int
        Samples by which the ends of a trial are extended, see `FilterBankDesign`.

    Returns
    -------
    torch.Tensor, shape (batch, n_filters, n_times)
    """
    if response is None:
        return mix_with(x, weight)[0]
    if computes_plainly():
        return _mix_plainly(x, weight, response, left, right)

    def mix(*tensors):
        return (apply(_Mix, *tensors, left, right)[0],)

    pieces = [(x[trials],) for trials in few_trials(x)]
    shared = [weight, mixing_matrices(weight.detach(), response), response]
    return joined([y for (y,) in map_with_gradients(mix, pieces, shared)])


class _MixNormEluVariance(ByHand):
    """`mix_with`, batch normalisation, ELU and the unbiased variance in windows, a few trials at a time.

    Trials -> (batch, n_filters, n_windows), and mean and biased variance of the batch. Statistics are those
    of each signal, put together: the energy about the common mean is that about the signal's own mean, which
    it loses at once, and its distance from the common one. ELU's slope follows from its output.
    """

    @staticmethod
    def plain(x, weight, response, left, right, scale, bias, eps, window):
        y = _mix_plainly(x, weight, response, left, right)
        y, mean, variance = normalise_plainly(y, scale, bias, eps)
        windows = segments(F.elu(y), window)
        deviations = windows - windows.mean(-1, keepdim=True)
        return deviations.square().sum(-1) / (window - 1), mean, variance

    @staticmethod
    def forward(x, weight, response, left, right, scale, bias, eps, window):
        mixing = None if response is None else mixing_matrices(weight, response)
        n_fft, n_times, pieces = n_fft_of(response), x.shape[-1], few_trials(x)
        centred = x.new_empty(x.shape[0], len(weight), n_times)
        active = torch.empty_like(centred)

        def mix(trials):
            mixed, kept = mix_with(x[trials], weight, mixing, left, right, n_fft)
            mean = mixed.mean(-1)
            part = torch.sub(mixed, mean.unsqueeze(-1), out=centred[trials])
            return mean, torch.linalg.vector_norm(part, dim=-1).square(), kept

        means, energies, kept = zip(*map_in_threads(mix, pieces), strict=True)
        means, energies = torch.cat(means), torch.cat(energies)
        mean = means.mean(0)
        means = means - mean
        variance = (energies / n_times + means.square()).mean(0)
        gain = scale * (variance + eps).rsqrt()
        shift = (bias + means * gain).unsqueeze(-1)

        def encode(trials):
            part = torch.mul(centred[trials], gain[:, None], out=active[trials]).add_(shift[trials])
            windows = segments(elu_plus_one(part)[0], window)
            level = windows.mean(-1, keepdim=True)
            return level, torch.linalg.vector_norm(windows - level, dim=-1).square() / (window - 1)

        level, variances = _in_threads(encode, pieces)
        return variances, mean, variance, mixing, centred, means, active, level, *kept

    @staticmethod
    def setup_context(ctx, inputs, output):
        keep(ctx, inputs, output[1:])

    @staticmethod
    def gradient(ctx, inputs, kept, grad, *_):
        _, weight, response, left, right, scale, _, eps, length = inputs
        _, variance, mixing, centred, means, active, level, *spectra = kept
        n_times, pieces = centred.shape[-1], few_trials(centred)
        factor = (grad * (2 / (length - 1))).unsqueeze(-1)
        grad_y = torch.empty_like(centred)
        grad_y[..., grad.shape[-1] * length :] = 0  # samples beyond the last whole window

        def deactivate(trials):
            part, windows = grad_y[trials], segments(active[trials], length)
            slope = windows.clamp(max=1)  # of the ELU, which is active - 1
            torch.mul(slope.mul_(windows - level[trials]), factor[trials], out=segments(part, length))
            return part.sum(-1), (centred[trials] * part).sum(-1)

        sums, along = _in_threads(deactivate, pieces)
        total, along = sums.sum(0), (along + means * sums).sum(0)
        precision = (variance + eps).rsqrt()
        # gain * (gradient - its mean - its projection on the normalised signals)
        count = centred.shape[0] * n_times
        gain, slope = scale * precision, precision.square() * along / count
        offset = (means * slope + total / count).unsqueeze(-1)

        response, needs = _weighted(response), ctx.needs_input_grad[:2]

        def mix_back(piece):
            trials, kept = piece
            part = grad_y[trials].sub_(centred[trials] * slope[:, None])
            part.sub_(offset[trials]).mul_(gain[:, None])
            return _mix_back(part, kept, weight, mixing, response, left, right, needs)

        with full_precision(grad):
            grad_x, grad_weight = zip(
                *map_in_threads(mix_back, list(zip(pieces, spectra, strict=True))), strict=True
            )
        return (
            joined(grad_x) if ctx.needs_input_grad[0] else None,
            sum(grad_weight) if ctx.needs_input_grad[1] else None,
            None,
            None,
            None,
            along * precision,
            total,
            None,
            None,
        )


def mix_norm_elu_variance(x, weight, response, left, right, scale, bias, eps, window):
    """`mix_bands`, batch normalisation by the batch's own statistics, ELU, unbiased variance in windows.

    Parameters
    ----------
    x, weight, response, left, right
        As for `mix_bands`.
    scale, bias : torch.Tensor, shape (n_filters,)
        Of the normalisation.
    eps : float
        Added to its variances.
    window : int
        Length of a window in samples.

    Returns
    -------
    variances : torch.Tensor, shape (batch, n_filters, n_windows)
    mean, variance : torch.Tensor, shape (n_filters,)
        Of the batch; biased.
    """
    return apply(_MixNormEluVariance, x, weight, response, left, right, scale, bias, eps, window)[:3]


def _in_threads(function, pieces):
    """What a function gives for the pieces of a batch, put together."""
    return [torch.cat(parts) for parts in zip(*map_in_threads(function, pieces), strict=True)]
