"""Filter electrodes in time and mix them, in the frequency domain.

The stem of every network here filters each electrode in time and then mixes electrodes linearly. Both are
linear, so they commute: with X = rfft(x), the mixed output is the inverse transform of
U[o, w] = sum_c mix[o, c] * H[f(o), w] * X[c, w]. The (filters x electrodes) signals between the two steps
are never formed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


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
