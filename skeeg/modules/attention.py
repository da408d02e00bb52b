"""Channel attention: eleven published blocks that gate feature maps, in one registry.

Every block maps (batch, ch_dim, 1, times) to the same shape: it squeezes each channel into a few
numbers, turns them into a gate and multiplies the input by it.
"""

from __future__ import annotations

import math
from inspect import signature

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F


def _reduced(ch_dim: int, reduction_rate: int) -> int:
    if not 1 <= reduction_rate <= ch_dim or int(reduction_rate) != reduction_rate:
        raise ValueError(
            f"reduction_rate={reduction_rate} must be a whole number from 1 to {ch_dim}, "
            "the number of channels that are gated (ch_dim)"
        )
    return ch_dim // int(reduction_rate)


def _check_kernel_size(kernel_size: int) -> None:
    if kernel_size < 1 or kernel_size % 2 != 1:
        raise ValueError(
            f"kernel_size={kernel_size} must be an odd whole number of at least 1, so that the output of "
            "the convolution is as long as its input"
        )


def _bottleneck(ch_dim: int, reduction_rate: int, bias: bool = False) -> nn.Sequential:
    hidden = _reduced(ch_dim, reduction_rate)
    return nn.Sequential(
        nn.Conv2d(ch_dim, hidden, 1, bias=bias), nn.ReLU(), nn.Conv2d(hidden, ch_dim, 1, bias=bias)
    )


def _excite(squeezed, down, up):
    """Two 1 x 1 convolutions around a ReLU, on single values (batch, ch_dim): matrix products."""
    hidden = F.relu(F.linear(squeezed, down.weight.flatten(1), down.bias))
    return F.linear(hidden, up.weight.flatten(1), up.bias)


def _gated(x, gate):
    return x * gate[:, :, None, None]


def _batch_norm(norm, x):
    """Batch normalisation of (batch, ch_dim, ...), by running statistics where a channel has one value.

    Statistics are taken over the last axis of (1, ch_dim, values), whose sums PyTorch does not split
    among threads.
    """
    values = x.transpose(0, 1).reshape(1, x.shape[1], -1)
    if norm.training and values.shape[-1] == 1:
        values = F.batch_norm(
            values, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    else:
        values = norm(values)
    return values.reshape(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1)


def _mix(weight, x):
    """weight @ x for (out, in) and (batch, in, times).

    One product a trial: the gradient of a single product over (batch, times) is a sum that a matrix
    library may split among threads, and its rounding would depend on their number.
    """
    return torch.bmm(weight.expand(x.shape[0], -1, -1), x)


def _convolve_same(x, weight):
    """Cross-correlate (batch, in, times) with (out, in, odd kernel size), zero padding, same length."""
    size = weight.shape[-1]
    patches = F.pad(x, (size // 2, size // 2)).unfold(2, size, 1)  # (batch, in, times, kernel size)
    return _mix(rearrange(weight, "o c k -> o (c k)"), rearrange(patches, "b c t k -> b (c k) t"))


def _entropy(x, dim):
    # p * log p with log p from log_softmax: both it and its gradient are 0 where p underflows to 0.
    log_p = torch.log_softmax(x, dim)
    return -(log_p.exp() * log_p).sum(dim, keepdim=True)


def _min_max(x, dim):
    """Rescale x to 0 ... 1 along dim; where all values are equal (to rounding) the result is 0."""
    low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
    spread = high - low
    differ = spread > 16 * torch.finfo(x.dtype).eps
    return torch.where(differ, (x - low) / torch.where(differ, spread, 1.0), 0.0)


class SqueezeAndExcitation(nn.Module):
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
        hidden = _reduced(ch_dim, reduction_rate)
        self.fc1 = nn.Conv2d(ch_dim, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, ch_dim, 1, bias=False)

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        return _gated(x, _excite(x.mean((2, 3)), self.fc1, self.fc2).sigmoid())


class GSoP(nn.Module):
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
        hidden = _reduced(ch_dim, reduction_rate)
        self.pw_conv1 = nn.Conv2d(ch_dim, hidden, 1)
        self.bn = nn.BatchNorm1d(hidden)
        self.rw_conv = nn.Conv2d(hidden, hidden * 4, (hidden, 1), groups=hidden)
        self.pw_conv2 = nn.Conv2d(hidden * 4, ch_dim, 1)

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        samples = x.squeeze(2)
        mixed = _mix(self.pw_conv1.weight.flatten(1), samples - samples.mean(-1, keepdim=True))
        # A covariance does not depend on a bias; times 0, its gradient is 0 instead of missing.
        mixed = mixed + 0 * self.pw_conv1.bias[:, None]  # (batch, hidden, times)
        cov = _batch_norm(self.bn, mixed @ mixed.mT / max(mixed.shape[-1] - 1, 1))
        # The grouped convolution spans the whole matrix: four weighted sums of each row.
        weight = self.rw_conv.weight.reshape(cov.shape[1], 4, -1)
        rows = torch.einsum("bij,ikj->bik", cov, weight).flatten(1) + self.rw_conv.bias
        return _gated(x, F.linear(rows, self.pw_conv2.weight.flatten(1), self.pw_conv2.bias))


class FCA(nn.Module):
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
        hidden = _reduced(ch_dim, reduction_rate)
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

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, seq_len) -> (batch, ch_dim, 1, seq_len)."""
        return _gated(x, self.fc((x.squeeze(2) * self.weight).sum(-1)).sigmoid())


class EncNet(nn.Module):
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

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        samples = x.squeeze(2)  # (batch, ch_dim, times)
        # |x - c|^2 = |x|^2 - 2 c.x + |c|^2, and sum_t a (x - c) = sum_t a x - c sum_t a: nothing of
        # shape (batch, times, n_codewords, ch_dim) is needed.
        distance = samples.square().sum(1, keepdim=True) - 2 * _mix(self.codewords, samples)
        distance = distance + self.codewords.square().sum(1)[:, None]  # (batch, n_codewords, times)
        assigned = torch.softmax(self.smoothing[:, None] * distance, 1)
        residual = assigned @ samples.mT - assigned.sum(-1, keepdim=True) * self.codewords
        encoded = F.relu(_batch_norm(self.bn, residual)).mean(1)  # (batch, ch_dim)
        return _gated(x, self.fc(encoded).sigmoid())


class ECA(nn.Module):
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
        _check_kernel_size(kernel_size)
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        return _gated(x, _convolve_same(x.mean((2, 3)).unsqueeze(1), self.conv.weight).squeeze(1).sigmoid())


class GatherExcite(nn.Module):
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
            self.mlp = _bottleneck(ch_dim, reduction_rate)

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, seq_len) -> (batch, ch_dim, 1, seq_len)."""
        if self.gather is None:
            gathered = x.mean((2, 3))
        else:  # a depthwise convolution as long as its input is a weighted sum
            weights, norm = self.gather
            gathered = (x * weights.weight.squeeze(1)).sum((2, 3))
            gathered = _batch_norm(norm, gathered)
        if self.mlp is not None:
            gathered = _excite(gathered, self.mlp[0], self.mlp[2])
        return _gated(x, gathered.sigmoid())


class GCT(nn.Module):
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

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        eps = 1e-5
        energy = self.alpha * (x.square().sum((2, 3), keepdim=True) + eps).sqrt()
        norm = self.gamma / (energy.square().mean(1, keepdim=True) + eps).sqrt()
        return x * (1 + torch.tanh(energy * norm + self.beta))


class SRM(nn.Module):
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
            _reduced(ch_dim, reduction_rate)
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

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        std = x.std((2, 3), correction=min(1, x.shape[-1] - 1))
        style = torch.stack([x.mean((2, 3)), std], -1)  # (batch, ch_dim, 2)
        if isinstance(self.style_integration, nn.Conv1d):
            combined = (style * self.style_integration.weight.squeeze(1)).sum(-1)
        else:
            combined = self.style_integration(style)
        return _gated(x, _batch_norm(self.bn, combined).sigmoid())


class CBAM(nn.Module):
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
        _check_kernel_size(kernel_size)
        self.fc = _bottleneck(ch_dim, reduction_rate)
        self.conv = nn.Conv2d(2, 1, (1, kernel_size), padding=(0, kernel_size // 2))

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        down, _, up = self.fc
        x = _gated(x, (_excite(x.mean((2, 3)), down, up) + _excite(x.amax((2, 3)), down, up)).sigmoid())
        pooled = torch.cat([x.mean(1), x.amax(1)], 1)  # (batch, 2, times)
        score = _convolve_same(pooled, self.conv.weight.squeeze(2)) + self.conv.bias.expand(x.shape[0], 1, 1)
        return x * score.sigmoid().unsqueeze(2)


class _GaussianBlur(nn.Module):
    """Smooth channels over five samples with a fixed Gaussian (sigma one sample, zero padding)."""

    def __init__(self):
        super().__init__()
        kernel = torch.softmax(-torch.linspace(-2, 2, 5).square() / 2, 0)
        self.register_buffer("weight", kernel[None, None, None])

    def forward(self, x):
        return F.conv2d(x.transpose(1, 2), self.weight, padding=(0, 2)).transpose(1, 2)


class _ChannelFusion(nn.Module):
    """The channel gate of CAT: a small network on mean, blurred maximum and entropy of each channel."""

    def __init__(self, ch_dim, reduction_rate, bias):
        super().__init__()
        self.gauss_filter = _GaussianBlur()
        self.mlp = _bottleneck(ch_dim, reduction_rate, bias)
        self.c_alpha = nn.Parameter(torch.zeros(1))
        self.c_beta = nn.Parameter(torch.zeros(1))
        self.c_gamma = nn.Parameter(torch.zeros(1))

    def channel_score(self, x, maximum):
        """Score channels: (batch, ch_dim, 1, times), (batch, ch_dim, 1, 1) -> (batch, ch_dim, 1, 1)."""
        down, _, up = self.mlp
        entropy = _min_max(_entropy(x, -1).flatten(1), 1)
        score = (
            self.c_alpha * _excite(x.mean((2, 3)), down, up)
            + self.c_beta * _excite(maximum.flatten(1), down, up)
            + self.c_gamma * _excite(entropy, down, up)
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

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        return x * self.channel_score(x, self.gauss_filter(x).amax(3, keepdim=True))


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
        _check_kernel_size(kernel_size)
        self.conv = nn.Conv2d(ch_dim, ch_dim, (1, kernel_size), padding=(0, kernel_size // 2), bias=False)
        self.s_alpha = nn.Parameter(torch.zeros(1))
        self.s_beta = nn.Parameter(torch.zeros(1))
        self.s_gamma = nn.Parameter(torch.zeros(1))
        self.c_w = nn.Parameter(torch.zeros(1))
        self.s_w = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        """Gate x: (batch, ch_dim, 1, times) -> (batch, ch_dim, 1, times)."""
        maximum = self.gauss_filter(x).amax(3, keepdim=True)  # (batch, ch_dim, 1, 1)
        mean = x.mean(1, keepdim=True)  # (batch, 1, 1, times)
        entropy = _min_max(_entropy(x, 1), -1)  # (batch, 1, 1, times)
        # Scalars are expanded to one a trial: the gradient of a single one would be a sum over all
        # samples that PyTorch splits among threads.
        alpha, beta, gamma, share = (
            scalar.expand(x.shape[0], 1, 1, 1)
            # the softmax of two weights is the sigmoid of their difference
            for scalar in (self.s_alpha, self.s_beta, self.s_gamma, torch.sigmoid(self.c_w - self.s_w))
        )
        temporal = (gamma * entropy - alpha * mean + beta * maximum).squeeze(2)
        temporal = _convolve_same(temporal, self.conv.weight.squeeze(2)).sigmoid().unsqueeze(2)
        return x * (share * self.channel_score(x, maximum) + (1 - share) * temporal)


#: Attention blocks by the name of their mode.
ATTENTION_BLOCKS = {
    "se": SqueezeAndExcitation,
    "gsop": GSoP,
    "fca": FCA,
    "encnet": EncNet,
    "eca": ECA,
    "ge": GatherExcite,
    "gct": GCT,
    "srm": SRM,
    "cbam": CBAM,
    "cat": CAT,
    "catlite": CATLite,
}

#: The parameters of ``make_attention`` that each mode reads.
mode_reads = {
    mode: tuple(name for name in signature(block).parameters if name not in ("ch_dim", "seq_len"))
    for mode, block in ATTENTION_BLOCKS.items()
}


def make_attention(
    mode,
    ch_dim,
    seq_len,
    *,
    reduction_rate=4,
    use_mlp=False,
    freq_idx=0,
    n_codewords=4,
    kernel_size=9,
    extra_params=False,
):
    """Make an attention block by the name of its mode.

    Parameters
    ----------
    mode : {"se", "gsop", "fca", "encnet", "eca", "ge", "gct", "srm", "cbam", "cat", "catlite"} or None
        Which block; None for none.
    ch_dim : int
        Number of channels of the block's input.
    seq_len : int
        Number of samples of the block's input.
    reduction_rate : int, default=4
        Divides ``ch_dim`` to give the size of hidden layers; read by se, gsop, fca, cbam, cat, catlite,
        and by ge and srm with ``use_mlp``.
    use_mlp : bool, default=False
        Mix channels by a small network; read by ge, srm.
    freq_idx : int, default=0
        Cosine transform coefficient; read by fca.
    n_codewords : int, default=4
        Number of codewords; read by encnet.
    kernel_size : int, default=9
        Length of convolutions, odd; read by eca, cbam, cat.
    extra_params : bool, default=False
        Learned gathering weights; read by ge.

    Returns
    -------
    torch.nn.Module or None
        Maps (batch, ch_dim, 1, seq_len) to the same shape.

    Raises
    ------
    ValueError
        When there is no such mode, or a parameter that it reads has no meaning.

    Examples
    --------
    >>> make_attention("eca", ch_dim=16, seq_len=62, kernel_size=3)
    ECA(
      (conv): Conv1d(1, 1, kernel_size=(3,), stride=(1,), padding=(1,), bias=False)
    )
    """
    if mode is None:
        return None
    if mode not in ATTENTION_BLOCKS:
        raise ValueError(f"attention_mode={mode!r} must be None or one of {', '.join(ATTENTION_BLOCKS)}")
    given = {
        "ch_dim": ch_dim,
        "seq_len": seq_len,
        "reduction_rate": reduction_rate,
        "use_mlp": use_mlp,
        "freq_idx": freq_idx,
        "n_codewords": n_codewords,
        "kernel_size": kernel_size,
        "extra_params": extra_params,
    }
    block = ATTENTION_BLOCKS[mode]
    return block(**{name: given[name] for name in signature(block).parameters})
