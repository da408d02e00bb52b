"""Frequency responses of filters at any frequency, to look at what a network has learned."""

from __future__ import annotations

import math

import torch


def tap_response(taps, frequencies, first=0):
    """Get the frequency response of cross-correlations, as convolutional layers compute them.

    Parameters
    ----------
    taps : torch.Tensor, shape (n_filters, n_taps)
        Taps; the first of them meets the earliest sample.
    frequencies : torch.Tensor, shape (n_freqs,)
        Frequencies in cycles a sample, 0 to 0.5.
    first : int, default=0
        Lag of the first tap in samples: negative where it looks back.

    Returns
    -------
    torch.Tensor, shape (n_filters, n_freqs), complex128
        Responses.

    Examples
    --------
    >>> difference = torch.tensor([[-1.0, 1.0]])
    >>> tap_response(difference, torch.tensor([0.0, 0.5])).abs().tolist()
    [[0.0, 2.0]]
    """
    lags = torch.arange(first, first + taps.shape[-1], dtype=torch.float64)
    phases = torch.exp(2j * math.pi * lags[:, None] * frequencies.to(torch.float64))
    return taps.detach().to("cpu", torch.complex128) @ phases
