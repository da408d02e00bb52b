"""Blocks that gate channels: one number for each channel of a trial."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from skeeg.modules.attention.parts import (
    Gate,
    batch_norm,
    bottleneck,
    check_kernel_size,
    convolve_same,
    excite,
    of_channels,
    reduced,
)
from skeeg.modules.compute import n_samples
from skeeg.modules.layers.linear import mix_rows


class SqueezeAndExcitation(Gate):
    """Gate channels by a small network on their means.

    Hu, Shen, Sun (2018), Squeeze-and-Excitation Networks, CVPR.

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

    Examples
    --------
    >>> SqueezeAndExcitation(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, reduction_rate=4):
        super().__init__()
        hidden = reduced(ch_dim, reduction_rate)
        self.fc1 = nn.Conv2d(ch_dim, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, ch_dim, 1, bias=False)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        return of_channels(excite(x.mean((2, 3)), self.fc1, self.fc2).sigmoid())


class GSoP(Gate):
    """Gate channels by the covariance of a few mixtures of them.

    Gao, Xie, Wang, Li (2019), Global Second-Order Pooling Convolutional Networks, CVPR.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    reduction_rate : int, default=4
        The channels are mixed down to ``ch_dim // reduction_rate`` before the covariance is taken.

    Raises
    ------
    ValueError
        When ``reduction_rate`` is not in 1 ... ``ch_dim``.

    Notes
    -----
    As in the EEG authors' code the gate is linear: the final sigmoid of the paper is left out. In train
    mode, batch normalisation of a single value per channel (a batch of one with one mixture) uses the
    running statistics. A single sample has covariance 0.

    Examples
    --------
    >>> GSoP(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, reduction_rate=4):
        super().__init__()
        hidden = reduced(ch_dim, reduction_rate)
        self.pw_conv1 = nn.Conv2d(ch_dim, hidden, 1)
        self.bn = nn.BatchNorm1d(hidden)
        self.rw_conv = nn.Conv2d(hidden, hidden * 4, (hidden, 1), groups=hidden)
        self.pw_conv2 = nn.Conv2d(hidden * 4, ch_dim, 1)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        samples = x.squeeze(2)
        mixed = mix_rows(self.pw_conv1.weight.flatten(1), samples - samples.mean(-1, keepdim=True))
        # A covariance does not depend on a bias; times 0, its gradient is 0 instead of missing.
        mixed = mixed + 0 * self.pw_conv1.bias[:, None]  # (batch, hidden, times)
        cov = batch_norm(self.bn, mixed @ mixed.mT / max(n_samples(mixed) - 1, 1))
        # The grouped convolution spans the whole matrix: four weighted sums of each row.
        weight = self.rw_conv.weight.reshape(cov.shape[1], 4, -1)
        rows = torch.einsum("bij,ikj->bik", cov, weight).flatten(1) + self.rw_conv.bias
        return of_channels(F.linear(rows, self.pw_conv2.weight.flatten(1), self.pw_conv2.bias))


class FCA(Gate):
    """Gate channels by a small network on one of their cosine transform coefficients.

    Qin, Zhang, Wu, Li (2021), FcaNet: Frequency Channel Attention Networks, ICCV.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    seq_len : int
        Number of samples that the block is given.
    reduction_rate : int, default=4
        The hidden layer has ``ch_dim // reduction_rate`` units.
    freq_idx : int, default=0
        Which coefficient of the orthonormal DCT-II, 0 ... ``seq_len - 1``; 0 is the scaled mean.

    Attributes
    ----------
    weight : torch.Tensor, shape (ch_dim, seq_len)
        The cosine, the same for each channel; fixed, a buffer.

    Raises
    ------
    ValueError
        When ``reduction_rate`` is not in 1 ... ``ch_dim`` or ``freq_idx`` not in 0 ... ``seq_len - 1``.

    Examples
    --------
    >>> FCA(16, seq_len=62, freq_idx=1)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, seq_len, reduction_rate=4, freq_idx=0):
        super().__init__()
        hidden = reduced(ch_dim, reduction_rate)
        if not 0 <= freq_idx < seq_len or int(freq_idx) != freq_idx:
            raise ValueError(
                f"freq_idx={freq_idx} must be a whole number from 0 to {seq_len - 1}: "
                f"{seq_len} samples have that many cosine transform coefficients"
            )
        times = torch.arange(seq_len, dtype=torch.float64) + 0.5
        cosine = torch.cos(math.pi * freq_idx * times / seq_len) * math.sqrt((2 if freq_idx else 1) / seq_len)
        self.register_buffer("weight", cosine.to(torch.get_default_dtype()).repeat(ch_dim, 1))
        self.fc = nn.Sequential(
            nn.Linear(ch_dim, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, ch_dim, bias=False)
        )

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, seq_len) -> (batch, ch_dim, 1, 1)."""
        return of_channels(self.fc((x.squeeze(2) * self.weight).sum(-1)).sigmoid())


class EncNet(Gate):
    """Gate channels by how samples deviate from learned codewords.

    Zhang, Dana, Shi, Zhang, Wang, Tyagi, Agrawal (2018), Context Encoding for Semantic Segmentation, CVPR.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    n_codewords : int, default=4
        Number of codewords, each a point in channel space.

    Raises
    ------
    ValueError
        When ``n_codewords`` is not a whole number of at least 1.

    Notes
    -----
    As in the EEG authors' code the encoded residuals are averaged over the codewords (the paper adds
    them up).

    Examples
    --------
    >>> EncNet(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, n_codewords=4):
        super().__init__()
        if n_codewords < 1 or int(n_codewords) != n_codewords:
            raise ValueError(f"n_codewords={n_codewords} must be a whole number of at least 1")
        n_codewords = int(n_codewords)
        bound = 1 / math.sqrt(n_codewords * ch_dim)
        self.codewords = nn.Parameter(torch.empty(n_codewords, ch_dim).uniform_(-bound, bound))
        self.smoothing = nn.Parameter(torch.empty(n_codewords).uniform_(-1, 0))
        self.bn = nn.BatchNorm1d(n_codewords)
        self.fc = nn.Linear(ch_dim, ch_dim)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        samples = x.squeeze(2)  # (batch, ch_dim, times)
        # |x - c|^2 = |x|^2 - 2 c.x + |c|^2, and sum_t a (x - c) = sum_t a x - c sum_t a: nothing of
        # shape (batch, times, n_codewords, ch_dim) is needed.
        distance = samples.square().sum(1, keepdim=True) - 2 * mix_rows(self.codewords, samples)
        distance = distance + self.codewords.square().sum(1)[:, None]  # (batch, n_codewords, times)
        assigned = torch.softmax(self.smoothing[:, None] * distance, 1)
        residual = assigned @ samples.mT - assigned.sum(-1, keepdim=True) * self.codewords
        encoded = F.relu(batch_norm(self.bn, residual)).mean(1)  # (batch, ch_dim)
        return of_channels(self.fc(encoded).sigmoid())


class ECA(Gate):
    """Gate channels by a convolution of their means along the channels.

    Wang, Wu, Zhu, Li, Zuo, Hu (2020), ECA-Net: Efficient Channel Attention for Deep Convolutional Neural
    Networks, CVPR.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    kernel_size : int, default=9
        Number of neighbouring channels that decide on a channel's gate; odd.

    Raises
    ------
    ValueError
        When ``kernel_size`` is even.

    Examples
    --------
    >>> ECA(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, kernel_size=9):
        super().__init__()
        check_kernel_size(kernel_size)
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        return of_channels(convolve_same(x.mean((2, 3)).unsqueeze(1), self.conv.weight).squeeze(1).sigmoid())


class GatherExcite(Gate):
    """Gate channels by their means, or by a learned weighting of their samples.

    Hu, Shen, Albanie, Sun, Vedaldi (2018), Gather-Excite: Exploiting Feature Context in Convolutional
    Neural Networks, NeurIPS.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    seq_len : int
        Number of samples that the block is given.
    reduction_rate : int, default=4
        With ``use_mlp``, the hidden layer has ``ch_dim // reduction_rate`` units; not read otherwise.
    use_mlp : bool, default=False
        Mix the gathered values of all channels by a small network.
    extra_params : bool, default=False
        Gather with learned weights, one a channel and sample, and batch normalisation instead of the mean.

    Raises
    ------
    ValueError
        When ``use_mlp`` is set and ``reduction_rate`` is not in 1 ... ``ch_dim``.

    Notes
    -----
    In train mode, batch normalisation of a single trial uses the running statistics.

    Examples
    --------
    >>> GatherExcite(16, seq_len=62, extra_params=True)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, seq_len, reduction_rate=4, use_mlp=False, extra_params=False):
        super().__init__()
        self.gather = self.mlp = None
        if extra_params:
            weights = nn.Conv2d(ch_dim, ch_dim, (1, seq_len), groups=ch_dim, bias=False)
            self.gather = nn.Sequential(weights, nn.BatchNorm1d(ch_dim))
        if use_mlp:
            self.mlp = bottleneck(ch_dim, reduction_rate)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, seq_len) -> (batch, ch_dim, 1, 1)."""
        if self.gather is None:
            gathered = x.mean((2, 3))
        else:  # a depthwise convolution as long as its input is a weighted sum
            weights, norm = self.gather
            gathered = (x * weights.weight.squeeze(1)).sum((2, 3))
            gathered = batch_norm(norm, gathered)
        if self.mlp is not None:
            gathered = excite(gathered, self.mlp[0], self.mlp[2])
        return of_channels(gathered.sigmoid())


class GCT(Gate):
    """Gate channels by their energy relative to that of all channels.

    Yang, Zhu, Wu, Yang (2020), Gated Channel Transformation for Visual Recognition, CVPR.

    Parameters
    ----------
    ch_dim : int
        Number of channels.

    Notes
    -----
    The gate is 1 at initialisation.

    Examples
    --------
    >>> x = torch.randn(2, 16, 1, 62)
    >>> torch.equal(GCT(16)(x), x)
    True
    """

    def __init__(self, ch_dim):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, ch_dim, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, ch_dim, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, ch_dim, 1, 1))

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        eps = 1e-5
        energy = self.alpha * (x.square().sum((2, 3), keepdim=True) + eps).sqrt()
        norm = self.gamma / (energy.square().mean(1, keepdim=True) + eps).sqrt()
        return 1 + torch.tanh(energy * norm + self.beta)


class SRM(Gate):
    """Gate channels by their mean and standard deviation (their style).

    Lee, Kim, Nam (2019), SRM: A Style-based Recalibration Module for Convolutional Neural Networks, ICCV.

    Parameters
    ----------
    ch_dim : int
        Number of channels.
    reduction_rate : int, default=4
        With ``use_mlp``, the hidden layer has ``2 * ch_dim // reduction_rate`` units; not read otherwise.
    use_mlp : bool, default=False
        Mix the styles of all channels by a small network instead of weighting each channel's own.

    Raises
    ------
    ValueError
        When ``use_mlp`` is set and ``reduction_rate`` is not in 1 ... ``ch_dim``.

    Notes
    -----
    In train mode, batch normalisation of a single trial uses the running statistics. A single sample
    has standard deviation 0.

    Examples
    --------
    >>> SRM(16)(torch.zeros(2, 16, 1, 62)).shape
    torch.Size([2, 16, 1, 62])
    """

    def __init__(self, ch_dim, reduction_rate=4, use_mlp=False):
        super().__init__()
        if use_mlp:
            reduced(ch_dim, reduction_rate)
            hidden = 2 * ch_dim // int(reduction_rate)
            self.style_integration = nn.Sequential(
                nn.Flatten(),
                nn.Linear(2 * ch_dim, hidden, bias=False),
                nn.ReLU(),
                nn.Linear(hidden, ch_dim, bias=False),
            )
        else:
            self.style_integration = nn.Conv1d(ch_dim, ch_dim, 2, groups=ch_dim, bias=False)
        self.bn = nn.BatchNorm1d(ch_dim)

    def gate(self, x):
        """Get the gate of each channel: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, 1)."""
        std = x.std((2, 3), correction=min(1, n_samples(x) - 1))
        style = torch.stack([x.mean((2, 3)), std], -1)  # (batch, ch_dim, 2)
        if isinstance(self.style_integration, nn.Conv1d):
            combined = (style * self.style_integration.weight.squeeze(1)).sum(-1)
        else:
            combined = self.style_integration(style)
        return of_channels(batch_norm(self.bn, combined).sigmoid())
