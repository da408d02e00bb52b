"""AttentionBaseNet: a convolutional base network with a choice of channel attention."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.attention import make_attention
from skeeg.modules.base import EEGModule
from skeeg.modules.compute import (
    Folded,
    n_samples,
)
from skeeg.modules.layers.activation import activate, in_place
from skeeg.modules.layers.average_pooling import AveragePool
from skeeg.modules.layers.batch_norm import batch_norm
from skeeg.modules.layers.dropout import Dropout
from skeeg.modules.layers.linear import linear, mix_rows
from skeeg.modules.layers.response import tap_response
from skeeg.modules.layers.stem import filter_norm_mix_norm, rows_of_filters
from skeeg.modules.layers.window_sums import window_sums
from skeeg.modules.layers.windows import fit_lengths


class _InputBlock(nn.Module):
    """(batch, n_chans, times) -> (batch, rows, pooled times): filters, spatial filters, pooling."""

    def __init__(
        self, n_chans, n_filters, filter_length, expansion, pool_length, pool_stride, drop_prob, activation
    ):
        super().__init__()
        n_rows = n_filters * expansion
        self.temporal_conv = nn.Conv2d(1, n_filters, (1, filter_length), bias=False)
        self.intermediate_bn = nn.BatchNorm2d(n_filters)
        self.spatial_conv = nn.Conv2d(n_filters, n_rows, (n_chans, 1), groups=n_filters, bias=False)
        self.bn = nn.BatchNorm2d(n_rows)
        self.activation = in_place(activation)
        self.pool = AveragePool(pool_length, pool_stride)
        self.dropout = Dropout(drop_prob)
        self._folded = Folded()

    def window_sums(self, x):
        n_taps = self.temporal_conv.kernel_size[1]
        return window_sums(x, n_taps, n_taps // 2, n_taps // 2)

    def forward(self, x):
        taps, spatial = self.temporal_conv.weight[:, 0, 0], self.spatial_conv.weight[:, 0, :, 0]
        pad = n_samples(taps) // 2
        x = filter_norm_mix_norm(
            x,
            taps,
            self.intermediate_bn,
            spatial,
            self.bn,
            pad,
            pad,
            self.activation,
            self.pool,
            self._folded,
        )
        return self.dropout(x)


class _ChannelAttentionBlock(nn.Module):
    """(batch, ch_dim, times) -> (batch, ch_dim, pooled times): convolution, attention, pooling."""

    def __init__(self, ch_dim, filter_length, pool_length, pool_stride, drop_prob, activation, attention):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(ch_dim, ch_dim, (1, filter_length), groups=ch_dim, bias=False),
            nn.Conv2d(ch_dim, ch_dim, 1, bias=False),
            nn.BatchNorm2d(ch_dim),
            in_place(activation),
        )
        self.attention_block = attention
        self.pool = nn.AvgPool1d(pool_length, pool_stride)
        self.dropout = Dropout(drop_prob)

    def convolved(self, x):
        """What the attention block is given: (batch, ch_dim, times)."""
        depthwise, pointwise, norm, activation = self.conv
        x = _filter_rows(x, depthwise.weight[:, 0, 0])
        return activate(activation, batch_norm(mix_rows(pointwise.weight[:, :, 0, 0], x), norm))

    def forward(self, x):
        x = self.convolved(x)
        if self.attention_block is not None:
            x = self.attention_block(x.unsqueeze(2)).squeeze(2)
        return self.dropout(self.pool(x))


def _filter_rows(x, taps):
    """Filter each row by its own taps, padded by half of their length on either side.

    A product with a banded matrix for each row: for the short rows left after pooling, that is a fraction of
    the time of a depthwise convolution. (batch, rows, times) -> (batch, rows, times), one more for even taps.
    """
    n_taps, n_times = n_samples(taps), n_samples(x)
    left = n_taps // 2
    n_out = n_times + 2 * left - n_taps + 1
    # band[row, t, s] = taps[row, t - s + left]: sample t of the input in sample s of the output, of which
    # there are some more, a multiple of eight: products with other matrices round trials by their place
    n_columns = -(-n_out // 8) * 8
    band = F.pad(taps, (n_columns - 1 - left, n_times + left - n_taps)).unfold(1, n_columns, 1).flip(-1)
    return torch.bmm(x.transpose(0, 1), band)[..., :n_out].transpose(0, 1)


def _n_pooled(n_times, filter_length, pool_length, pool_stride):
    """Samples after a convolution padded by half of its length on either side, and pooling."""
    n_times += 2 * (filter_length // 2) - filter_length + 1
    return (n_times - pool_length) // pool_stride + 1


def _shortest(lengths):
    return lengths["pool_length_inp"] + lengths["pool_stride_inp"] * (lengths["pool_length"] - 1)


class AttentionBaseNet(EEGModule):
    """Convolutional base network with channel attention (Wimpff et al., 2024).

    Temporal filters and spatial filters, each followed by batch normalisation, are pooled in time; a second,
    smaller convolution follows, whose channels an attention block weights.

    Parameters
    ----------
    n_chans, n_outputs, n_times, input_window_seconds, sfreq, chs_info
        Of the data, see `EEGModule`; ``sfreq`` is not read for anything else.
    n_temporal_filters, ..., extra_params
        Of the architecture: those of :class:`skeeg.AttentionBaseNetClassifier`.

    Attributes
    ----------
    n_features : int
        Length of the vector that is classified, ``ch_dim`` x number of samples after both poolings.

    Raises
    ------
    ValueError
        When an argument is out of its range, or a window is shorter than the shortest possible kernels need.

    See Also
    --------
    skeeg.AttentionBaseNetClassifier : As an estimator.

    Notes
    -----
    Data flow, for a batch of trials (rows = n_temporal_filters * spatial_expansion):

    1. ``input_block``: temporal filters, BatchNorm -> (batch, n_temporal_filters, n_chans, n_times); spatial
       filters, BatchNorm, activation -> (batch, rows, n_times); average pooling, dropout ->
       (batch, rows, pooled times);
    2. ``channel_expansion``: mixing, BatchNorm, activation -> (batch, ch_dim, pooled times);
    3. ``channel_attention_block``: depthwise and pointwise convolution, BatchNorm, activation, attention of
       the same shape; average pooling, dropout -> (batch, ch_dim, times), flat (batch, n_features);
    4. ``final_layer``: a linear classifier -> (batch, n_outputs).

    Windows shorter than the poolings need have all temporal lengths scaled down together, with a warning
    (`fit_lengths`). The stem is computed in the frequency domain (`filter_norm_mix_norm`).

    Differences from the authors' code: none in what is computed. A convolution of even length returns one
    sample more than it is given, as there; the attention block is told so here (there, "fca" and "ge" with
    ``extra_params`` failed).

    References
    ----------
    M. Wimpff, L. Gizzi, J. Zerfowski, B. Yang: EEG motor imagery decoding: a framework for comparative
    analysis with channel attention mechanisms. Journal of Neural Engineering 21 (2024) 036020,
    https://arxiv.org/abs/2310.11198.

    Examples
    --------
    >>> import torch
    >>> net = AttentionBaseNet(n_chans=22, n_outputs=4, n_times=1000, attention_mode="se")
    >>> net(torch.randn(2, 22, 1000)).shape
    torch.Size([2, 4])
    >>> net.n_features
    112
    """

    def __init__(
        self,
        n_chans=None,
        n_outputs=None,
        n_times=None,
        *,
        input_window_seconds=None,
        sfreq=None,
        chs_info=None,
        n_temporal_filters=40,
        temp_filter_length_inp=25,
        spatial_expansion=1,
        pool_length_inp=75,
        pool_stride_inp=15,
        drop_prob_inp=0.5,
        ch_dim=16,
        temp_filter_length=15,
        pool_length=8,
        pool_stride=8,
        drop_prob_attn=0.5,
        attention_mode=None,
        reduction_rate=4,
        use_mlp=False,
        freq_idx=0,
        n_codewords=4,
        kernel_size=9,
        activation=nn.ELU,
        extra_params=False,
    ):
        super().__init__(
            n_chans,
            n_outputs,
            n_times,
            input_window_seconds=input_window_seconds,
            sfreq=sfreq,
            chs_info=chs_info,
        )
        self.n_temporal_filters = n_temporal_filters
        self.temp_filter_length_inp = temp_filter_length_inp
        self.spatial_expansion = spatial_expansion
        self.pool_length_inp = pool_length_inp
        self.pool_stride_inp = pool_stride_inp
        self.drop_prob_inp = drop_prob_inp
        self.ch_dim = ch_dim
        self.temp_filter_length = temp_filter_length
        self.pool_length = pool_length
        self.pool_stride = pool_stride
        self.drop_prob_attn = drop_prob_attn
        self.attention_mode = attention_mode
        self.reduction_rate = reduction_rate
        self.use_mlp = use_mlp
        self.freq_idx = freq_idx
        self.n_codewords = n_codewords
        self.kernel_size = kernel_size
        self.activation = activation
        self.extra_params = extra_params

        lengths = {
            name: getattr(self, name)
            for name in (
                "temp_filter_length_inp",
                "pool_length_inp",
                "pool_stride_inp",
                "temp_filter_length",
                "pool_length",
                "pool_stride",
            )
        }
        for name in (*lengths, "n_temporal_filters", "spatial_expansion", "ch_dim"):
            value = getattr(self, name)
            if value < 1 or value != int(value):
                raise ValueError(f"{name}={value} must be a whole number of at least 1")
        for name in ("drop_prob_inp", "drop_prob_attn"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be a probability, from 0 to 1")
        lengths = fit_lengths(
            self.n_times, lengths, _shortest, odd=("temp_filter_length_inp", "temp_filter_length")
        )
        n_pooled = _n_pooled(
            self.n_times,
            lengths["temp_filter_length_inp"],
            lengths["pool_length_inp"],
            lengths["pool_stride_inp"],
        )
        seq_len = n_pooled + 1 - lengths["temp_filter_length"] % 2  # samples that attention sees

        self.input_block = _InputBlock(
            self.n_chans,
            n_temporal_filters,
            lengths["temp_filter_length_inp"],
            spatial_expansion,
            lengths["pool_length_inp"],
            lengths["pool_stride_inp"],
            drop_prob_inp,
            activation,
        )
        self.channel_expansion = nn.Sequential(
            nn.Conv2d(n_temporal_filters * spatial_expansion, ch_dim, 1, bias=False),
            nn.BatchNorm2d(ch_dim),
            in_place(activation),
        )
        self.channel_attention_block = _ChannelAttentionBlock(
            ch_dim,
            lengths["temp_filter_length"],
            lengths["pool_length"],
            lengths["pool_stride"],
            drop_prob_attn,
            activation,
            make_attention(
                attention_mode,
                ch_dim,
                seq_len,
                reduction_rate=reduction_rate,
                use_mlp=use_mlp,
                freq_idx=freq_idx,
                n_codewords=n_codewords,
                kernel_size=kernel_size,
                extra_params=extra_params,
            ),
        )
        self.n_features = ch_dim * _n_pooled(
            n_pooled, lengths["temp_filter_length"], lengths["pool_length"], lengths["pool_stride"]
        )
        self._make_head()

    def _layers(self):
        stem, second, rows = self.input_block, self.channel_attention_block, self.input_block.bn.num_features
        n_filters, n_taps = self.n_temporal_filters, stem.temporal_conv.kernel_size[1]
        n_times = self.n_times + 2 * (n_taps // 2) - n_taps + 1
        n_pooled = (n_times - stem.pool.length) // stem.pool.stride + 1
        n_taps_2 = second.conv[0].kernel_size[1]
        n_second = n_pooled + 2 * (n_taps_2 // 2) - n_taps_2 + 1
        ch_dim = self.ch_dim
        layers = [
            (
                "input_block.temporal_conv",
                (n_filters, self.n_chans, n_times),
                n_filters * self.n_chans * n_times * n_taps,
            ),
            ("input_block.intermediate_bn", (n_filters, self.n_chans, n_times), None),
            ("input_block.spatial_conv", (rows, n_times), rows * self.n_chans * n_times),
            ("input_block.bn", (rows, n_times), None),
            ("input_block.pool", (rows, n_pooled), None),
            ("channel_expansion.0", (ch_dim, n_pooled), ch_dim * rows * n_pooled),
            ("channel_expansion.1", (ch_dim, n_pooled), None),
            ("channel_attention_block.conv.0", (ch_dim, n_second), ch_dim * n_second * n_taps_2),
            ("channel_attention_block.conv.1", (ch_dim, n_second), ch_dim**2 * n_second),
            ("channel_attention_block.conv.2", (ch_dim, n_second), None),
            ("channel_attention_block.pool", (self.n_features,), None),
            ("final_layer", (self.n_outputs,), self.n_outputs * self.n_features),
        ]
        if second.attention_block is not None:
            from torch.utils.flop_counter import FlopCounterMode

            block = copy.deepcopy(second.attention_block).eval()
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                block(torch.zeros(1, ch_dim, 1, n_second).to(second.conv[0].weight))
            macs = counter.get_total_flops() // 2
            layers.insert(10, ("channel_attention_block.attention_block", (ch_dim, n_second), macs))
        return layers

    def _make_head(self):
        self.final_layer = nn.Sequential(nn.Flatten(), self._linear(self.input_block.temporal_conv.weight))

    def window_sums(self, x):
        """Get `window_sums` of trials, which training asks for in each step."""
        return self.input_block.window_sums(x)

    def forward_features(self, x):
        """Encode trials: (batch, n_chans, n_times) -> (batch, n_features)."""
        x = self._checked(x)
        if x.shape[0] == 0:
            return self._no_features(x)
        x = self.channel_attention_block(self._expanded(x))  # (batch, ch_dim, times after the second pooling)
        return x.flatten(1)

    def _expanded(self, x):
        x = self.input_block(x)  # (batch, n_temporal_filters * spatial_expansion, pooled times)
        conv, norm, activation = self.channel_expansion
        x = mix_rows(conv.weight[:, :, 0, 0], x)  # (batch, ch_dim, pooled times)
        return activate(activation, batch_norm(x, norm))

    def gates(self, x):
        """Attention gates of trials.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_chans, n_times)
            Trials.

        Returns
        -------
        torch.Tensor, shape (batch, ch_dim, times)
            Factor of each virtual channel at each pooled sample; of modes that weight channels alone, the
            same at every time.

        Raises
        ------
        ValueError
            When the network has no attention block.
        """
        block = self.channel_attention_block.attention_block
        if block is None:
            raise ValueError("attention_mode=None: the network has no attention block, and so no gates")
        convolved = self.channel_attention_block.convolved(self._expanded(self._checked(x)))
        return block.gate(convolved.unsqueeze(2)).squeeze(2).expand_as(convolved)

    def temporal_response(self, frequencies):
        """Frequency responses of the temporal filters.

        Parameters
        ----------
        frequencies : torch.Tensor, shape (n_freqs,)
            Frequencies in cycles a sample.

        Returns
        -------
        torch.Tensor, shape (n_filters, n_freqs), complex128
            Responses; where filters have no phase that would be the same for all trials, their magnitudes.
        """
        taps = self.input_block.temporal_conv.weight[:, 0, 0]
        return tap_response(taps, frequencies, -(taps.shape[1] // 2))

    def spatial_weights(self):
        """Weights of each row in the filtered channels, through both normalisations.

        Returns
        -------
        torch.Tensor, shape (n_rows, n_filters, n_chans)
            What the row that is activated changes by with each electrode as a temporal filter gives it.
        """
        stem = self.input_block
        spatial = stem.spatial_conv.weight[:, 0, :, 0].detach()
        return rows_of_filters(spatial, stem.intermediate_bn, stem.bn)

    def forward_head(self, features):
        """Classify features: (batch, n_features) -> logits (batch, n_outputs)."""
        layer = self.final_layer[1]
        return linear(features, layer.weight, layer.bias)
