"""Mean and covariance of what FIR taps see, for normalising their output before it is computed."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from skeeg.modules.compute import (
    few_trials,
    is_compiling,
    joined,
    map_in_threads,
    n_samples,
    version,
)
from skeeg.modules.layers.spectral import fft_length, interleaved, spectrum


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
    n_times = n_samples(x)
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
        second = torch.fft.irfft(power.to(exact), n).index_select(1, lag.flatten()).unflatten(1, lag.shape)
        if n_before:
            second = second - _over_windows(before, n_taps - 1, n_before - n_samples(before), n_taps)
        if n_after:
            second = second - _over_windows(after, n_after - n_samples(after), n_taps - 1, n_taps)
        plain, weighted = F.pad(sums.to(exact), (left + 1, right)).cumsum(-1)  # of the samples before each
        plain = plain[:, n_windows : n_windows + n_taps] - plain[:, :n_taps] + level * (last - first)
        weighted = weighted.unfold(1, n_taps, 1)
        cross = weighted.index_select(1, last) - weighted.index_select(1, first)
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
    x.window_sums = sums, version(x)


def carried_sums(x):
    """What `carry_sums` gave to trials, None where it is nothing or may not be true any more."""
    if is_compiling() or not hasattr(x, "window_sums") or x.requires_grad:
        return None
    sums, then = x.window_sums
    return sums if then == version(x) else None


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
