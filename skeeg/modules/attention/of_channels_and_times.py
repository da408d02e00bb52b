"""Blocks that gate channels and samples."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from skeeg.modules.attention.parts import (
    Gate,
    bottleneck,
    check_kernel_size,
    convolve_same,
    excite,
    min_max,
    of_channels,
    softmax_entropy,
)


class CBAM(Gate):
    """Gate channels by their mean and maximum, then samples by mean and maximum over channels.

    Woo, Park, Lee, Kweon (2018), CBAM: Convolutional Block Attention Module, ECCV.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    reduction_rate : int, default=4
        The hidden layer has ``ch_dim // reduction_rate`` units.
    kernel_size : int, default=9
        Number of samples that decide on a sample's gate; odd.

    Raises
    ------
    ValueError
        When ``reduction_rate`` is not in 1 ... ``ch_dim`` or ``kernel_size`` is even.

    Examples
    --------
    >>> CBAM(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, reduction_rate=4, kernel_size=9):
        super().__init__()
        check_kernel_size(kernel_size)
        self.fc = bottleneck(ch_dim, reduction_rate)
        self.conv = nn.Conv2d(2, 1, (1, kernel_size), padding=(0, kernel_size // 2))

    def _gates(self, x):
        """Gates of channels, x behind them, and gates of samples."""
        down, _, up = self.fc
        channels = of_channels(
            (excite(x.mean((2, 3)), down, up) + excite(x.amax((2, 3)), down, up)).sigmoid()
        )
        x = x * channels
        pooled = torch.cat([x.mean(1), x.amax(1)], 1)  # (batch, 2, times)
        score = convolve_same(pooled, self.conv.weight.squeeze(2)) + self.conv.bias.expand(x.shape[0], 1, 1)
        return channels, x, score.sigmoid().unsqueeze(2)

    def gate(self, x):
        """Get the gate of each channel and sample: (batch, ch_dim, 1, times) -> the same shape."""
        channels, _, samples = self._gates(x)
        return channels * samples

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        _, x, samples = self._gates(x)
        return x * samples


class _GaussianBlur(nn.Module):
    """Smooth channels over five samples with a fixed Gaussian (sigma one sample, zero padding)."""

    def __init__(self):
        super().__init__()
        kernel = torch.softmax(-torch.linspace(-2, 2, 5).square() / 2, 0)
        self.register_buffer("weight", kernel[None, None, None])

    def forward(self, x):
        return F.conv2d(x.transpose(1, 2), self.weight, padding=(0, 2)).transpose(1, 2)


class _ChannelFusion(Gate):
    """The channel gate of CAT: a small network on mean, blurred maximum and entropy of each channel."""

    def __init__(self, ch_dim, reduction_rate, bias):
        super().__init__()
        self.gauss_filter = _GaussianBlur()
        self.mlp = bottleneck(ch_dim, reduction_rate, bias)
        self.c_alpha = nn.Parameter(torch.zeros(1))
        self.c_beta = nn.Parameter(torch.zeros(1))
        self.c_gamma = nn.Parameter(torch.zeros(1))

    def channel_score(self, x, maximum):
        """Score channels: (batch, ch_dim, 1, times), (batch, ch_dim, 1, 1) -> (batch, ch_dim, 1, 1)."""
        down, _, up = self.mlp
        entropy = min_max(softmax_entropy(x, -1).flatten(1), 1)
        score = (
            self.c_alpha * excite(x.mean((2, 3)), down, up)
            + self.c_beta * excite(maximum.flatten(1), down, up)
            + self.c_gamma * excite(entropy, down, up)
        )
        return score.sigmoid()[:, :, None, None]


class CATLite(_ChannelFusion):
    """Gate channels by their mean, maximum and entropy: the channel half of CAT.

    Wu, Wang, Yang, et al. (2023), CAT: Learning to Collaborate Channel and Spatial Attention from
    Multi-Information Fusion, IET Computer Vision; without its spatial half, after Wimpff et al. (2023).

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    reduction_rate : int, default=4
        The hidden layer has ``ch_dim // reduction_rate`` units.

    Raises
    ------
    ValueError
        When ``reduction_rate`` is not in 1 ... ``ch_dim``.

    Notes
    -----
    The entropy of a channel is that of the softmax of its samples, rescaled to 0 ... 1 over the
    channels. Where all channels have the same entropy, as for a constant input, the rescaled entropy is
    0, where the authors' code divides 0 by 0; where a sample dominates so that others' probability is 0,
    they add 0 to the entropy, where the authors' code has 0 * log 0.

    Examples
    --------
    >>> CATLite(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, reduction_rate=4):
        super().__init__(ch_dim, reduction_rate, bias=True)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        return self.channel_score(x, self.gauss_filter(x).amax(3, keepdim=True))


class CAT(_ChannelFusion):
    """Gate channels and samples together, by their mean, maximum and entropy.

    Wu, Wang, Yang, et al. (2023), CAT: Learning to Collaborate Channel and Spatial Attention from
    Multi-Information Fusion, IET Computer Vision.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    reduction_rate : int, default=4
        The hidden layer of the channel half has ``ch_dim // reduction_rate`` units.
    kernel_size : int, default=9
        Number of samples that decide on a sample's gate; odd.

    Raises
    ------
    ValueError
        When ``reduction_rate`` is not in 1 ... ``ch_dim`` or ``kernel_size`` is even.

    Notes
    -----
    As in the EEG authors' code the two halves are weighted by a softmax outside of their sigmoids, and
    the maximum that enters the temporal half is one value a channel, the same for all samples.
    Entropies are those of ``CATLite``, over times for channels and over channels for samples.

    Examples
    --------
    >>> CAT(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, reduction_rate=4, kernel_size=9):
        super().__init__(ch_dim, reduction_rate, bias=False)
        check_kernel_size(kernel_size)
        self.conv = nn.Conv2d(ch_dim, ch_dim, (1, kernel_size), padding=(0, kernel_size // 2), bias=False)
        self.s_alpha = nn.Parameter(torch.zeros(1))
        self.s_beta = nn.Parameter(torch.zeros(1))
        self.s_gamma = nn.Parameter(torch.zeros(1))
        self.c_w = nn.Parameter(torch.zeros(1))
        self.s_w = nn.Parameter(torch.zeros(1))

    def gate(self, x):
        """Get the gate of each channel and sample: (batch, ch_dim, 1, times) -> the same shape."""
        maximum = self.gauss_filter(x).amax(3, keepdim=True)  # (batch, ch_dim, 1, 1)
        mean = x.mean(1, keepdim=True)  # (batch, 1, 1, times)
        entropy = min_max(softmax_entropy(x, 1), -1)  # (batch, 1, 1, times)
        # Scalars are expanded to one a trial: the gradient of a single one would be a sum over all
        # samples that PyTorch splits among threads.
        alpha, beta, gamma, share = (
            scalar.expand(x.shape[0], 1, 1, 1)
            # the softmax of two weights is the sigmoid of their difference
            for scalar in (self.s_alpha, self.s_beta, self.s_gamma, torch.sigmoid(self.c_w - self.s_w))
        )
        temporal = (gamma * entropy - alpha * mean + beta * maximum).squeeze(2)
        temporal = convolve_same(temporal, self.conv.weight.squeeze(2)).sigmoid().unsqueeze(2)
        return share * self.channel_score(x, maximum) + (1 - share) * temporal
