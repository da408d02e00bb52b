"""SincShallowNet: band-pass filters learned through their cut-off frequencies."""

from __future__ import annotations

import math
import warnings

import torch
from torch import nn

from skeeg.modules.base import EEGModule
from skeeg.modules.compute import Folded
from skeeg.modules.layers.activation import in_place
from skeeg.modules.layers.average_pooling import AveragePool
from skeeg.modules.layers.constraints import renorm_rows
from skeeg.modules.layers.dropout import Dropout
from skeeg.modules.layers.linear import linear
from skeeg.modules.layers.response import tap_response
from skeeg.modules.layers.stem import filter_norm_mix_norm, rows_of_filters
from skeeg.modules.layers.window_sums import window_sums
from skeeg.modules.layers.windows import fit_lengths


class SincFilters(nn.Module):
    """Bank of band-pass FIR filters whose cut-off frequencies are learned.

    Band i passes from f1 = min_freq + |low_freqs[i]| to f2 = f1 + |bandwidths[i]| Hz, both kept below half of
    the sampling rate.

    Parameters
    ----------
    n_filters : int
        Number of filters.
    filter_length : int
        Length of the filters in samples, odd.
    sfreq : float
        Sampling rate in Hz.
    first_freq : float, default=5.0
        Initial lower cut-off of the first filter, in Hz.
    min_freq : float, default=1.0
        Lowest possible cut-off, in Hz.
    freq_stride : float, default=1.0
        Distance between the initial lower cut-offs of neighbouring filters, in Hz.
    bandwidth : float, default=4.0
        Initial bandwidth, in Hz.

    Attributes
    ----------
    low_freqs : torch.nn.Parameter, shape (1, n_filters)
        Lower cut-offs above ``min_freq``, in Hz.
    bandwidths : torch.nn.Parameter, shape (1, n_filters)
        Bandwidths, in Hz.

    Raises
    ------
    ValueError
        When an argument is out of its range, or the first band does not fit below half of the sampling rate.

    Warns
    -----
    UserWarning
        When later bands do not fit: they start as the highest band that does.

    Notes
    -----
    A tap n samples from the centre is the ideal band-pass response over its bandwidth, times a window:

        [sin(2 pi f2 n / sfreq) - sin(2 pi f1 n / sfreq)] / [2 pi n / sfreq (f2 - f1)] * hamming(n)

    computed as cos(pi (f1 + f2) n / sfreq) * sinc((f2 - f1) n / sfreq), the same number without the
    difference and the division by the bandwidth. The whole bank is divided by its standard deviation.

    The buffers ``n_pi``, ``window`` and ``ones`` hold what braindecode's layer of this name holds, so that
    weights are exchanged: 2 pi n / sfreq and the window for the taps left of the centre, and the centre tap.

    References
    ----------
    M. Ravanelli, Y. Bengio: Speaker recognition from raw waveform with SincNet. IEEE SLT (2018).

    Examples
    --------
    >>> SincFilters(3, 33, sfreq=250.0).bands()
    tensor([[ 5.,  9.],
            [ 6., 10.],
            [ 7., 11.]])
    """

    def __init__(
        self, n_filters, filter_length, sfreq, first_freq=5.0, min_freq=1.0, freq_stride=1.0, bandwidth=4.0
    ):
        super().__init__()
        if filter_length < 3 or filter_length % 2 == 0:
            raise ValueError(f"time_filter_len={filter_length} must be an odd number of at least 3")
        if not 0 < min_freq <= first_freq:
            raise ValueError(
                f"min_freq={min_freq} and first_freq={first_freq} must be in Hz, 0 < min_freq <= first_freq"
            )
        if freq_stride < 0 or not math.isfinite(freq_stride):
            raise ValueError(f"freq_stride={freq_stride} must be a number of Hz of at least 0")
        if not bandwidth > 0:
            raise ValueError(f"bandwidth={bandwidth} must be a positive number of Hz")
        self.sfreq, self.min_freq = float(sfreq), min_freq
        highest = self._limits()[1] - bandwidth
        if first_freq > highest:
            raise ValueError(
                f"the first band, {first_freq} to {first_freq + bandwidth} Hz, does not fit below half of "
                f"the sampling rate sfreq={sfreq} Hz; lower first_freq or bandwidth"
            )
        lows = [first_freq + i * freq_stride for i in range(n_filters)]
        n_above = sum(low > highest for low in lows)
        if n_above:
            warnings.warn(
                f"{n_above} of {n_filters} bands reach half of the sampling rate sfreq={sfreq} Hz or more; "
                f"they start as {highest:.4g} to {highest + bandwidth:.4g} Hz. Fewer num_time_filters or a "
                "smaller freq_stride avoid that",
                UserWarning,
                stacklevel=3,
            )
        self.low_freqs = nn.Parameter(torch.tensor([[min(low, highest) - min_freq for low in lows]]))
        self.bandwidths = nn.Parameter(torch.full((1, n_filters), float(bandwidth)))
        half = filter_length // 2
        times = torch.arange(-half, 0, dtype=torch.float64).unsqueeze(1) / self.sfreq
        self.register_buffer("n_pi", (2 * math.pi * times).float())
        window = torch.hamming_window(filter_length, periodic=False, dtype=torch.float64)
        self.register_buffer("window", window[:half].unsqueeze(1).float())
        self.register_buffer("ones", torch.ones(1, 1, 1, n_filters))
        self._folded = Folded()

    def _limits(self):
        """Highest lower and highest upper cut-off in Hz: a little apart, and a little below Nyquist."""
        nyquist = self.sfreq / 2
        return nyquist * (1 - 1e-3), nyquist * (1 - 1e-6)

    def _cut_offs(self):
        """Lower and upper cut-offs in Hz, each (1, n_filters)."""
        highest_low, highest_high = self._limits()
        low = (self.min_freq + self.low_freqs.abs()).clamp(max=highest_low)
        return low, (low + self.bandwidths.abs()).clamp(max=highest_high)

    @property
    def n_taps(self):
        """Number of taps of a filter."""
        return 2 * len(self.window) + 1

    def bands(self) -> torch.Tensor:
        """Lower and upper cut-off frequencies in Hz, shape (n_filters, 2)."""
        return torch.cat(self._cut_offs()).T.detach()

    def forward(self) -> torch.Tensor:
        """Taps of the filters, shape (n_filters, filter_length)."""
        kept = self._folded(self._taps, self.low_freqs, self.bandwidths, self.n_pi, self.window, self.ones)
        return kept.clone()  # theirs who asked, to change

    def _taps(self):
        low, high = self._cut_offs()
        # sinc is taken of (f2 - f1) n / sfreq = (f2 - f1) n_pi / 2 pi
        left = torch.cos((low + high) / 2 * self.n_pi) * torch.sinc((high - low) / (2 * math.pi) * self.n_pi)
        left = left * self.window  # (filter_length // 2, n_filters)
        bank = torch.cat([left, self.ones[0, 0], left.flip(0)])
        return (bank / bank.std()).T


class SincShallowNet(EEGModule):
    """Sinc-ShallowNet (Borra et al., 2020): learned band-pass and spatial filters.

    Parameters
    ----------
    n_chans, n_outputs, n_times, input_window_seconds, sfreq, chs_info
        Of the data, see `EEGModule`; ``sfreq`` is needed, as the bands are in Hz.
    num_time_filters, ..., max_norm_dense
        Of the architecture: those of :class:`skeeg.SincShallowNetClassifier`.

    Attributes
    ----------
    n_features : int
        Length of the vector that is classified.

    Raises
    ------
    ValueError
        When an argument is out of its range, ``sfreq`` is missing, or the window is too short.

    See Also
    --------
    skeeg.SincShallowNetClassifier : As an estimator.

    Notes
    -----
    Data flow, for a batch of trials (rows = num_time_filters * depth_multiplier):

    1. ``sinc_filter_layer``: band-pass filters -> (batch, num_time_filters, n_chans, times);
    2. ``depthwiseconv``: BatchNorm, spatial filters of each band -> (batch, rows, times);
    3. ``temporal_aggregation``: BatchNorm, activation, average pooling, dropout ->
       (batch, rows, pooled times), flat (batch, n_features);
    4. ``final_layer``: a linear classifier -> (batch, n_outputs).

    The cut-offs stay inside (0, sfreq / 2), whatever training does. In Hz they barely move at the rates that
    suit other weights, and deserve a learning rate of their own.

    The max-norm constraints are part of the function: a forward pass uses the projected weights
    (`renorm_rows`) and leaves the parameters alone.

    Differences from the Keras implementation of the paper's authors, as ported: batch normalisation has its
    momentum (0.99) and epsilon (1e-3) in the meaning that they have there, 0.01 for PyTorch; the first band
    starts at ``first_freq``; a band cannot reach half of the sampling rate. braindecode's weights load; its
    batch normalisations have an epsilon of 1e-5, and with that set here too the output is the same. The paper
    used "valid" padding, pooling over 109 samples with a stride of 23 at 250 Hz, and max-norm constraints.

    Windows shorter than the pooling needs have all temporal lengths scaled down together, with a warning
    (`fit_lengths`).

    References
    ----------
    D. Borra, S. Fantozzi, E. Magosso: Interpretable and lightweight convolutional neural network for EEG
    decoding: application to movement execution and imagination. Neural Networks 129 (2020) 55-74,
    https://www.sciencedirect.com/science/article/pii/S0893608020302021.

    Examples
    --------
    >>> import torch
    >>> net = SincShallowNet(n_chans=22, n_outputs=4, n_times=1000, sfreq=250)
    >>> net(torch.randn(2, 22, 1000)).shape
    torch.Size([2, 4])
    >>> net.bands()[0]
    tensor([5., 9.])
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
        num_time_filters=32,
        time_filter_len=33,
        depth_multiplier=2,
        activation=nn.ELU,
        drop_prob=0.5,
        first_freq=5.0,
        min_freq=1.0,
        freq_stride=1.0,
        padding="same",
        bandwidth=4.0,
        pool_size=55,
        pool_stride=12,
        max_norm_spatial=None,
        max_norm_dense=None,
    ):
        super().__init__(
            n_chans,
            n_outputs,
            n_times,
            input_window_seconds=input_window_seconds,
            sfreq=sfreq,
            chs_info=chs_info,
        )
        self.num_time_filters = num_time_filters
        self.time_filter_len = time_filter_len
        self.depth_multiplier = depth_multiplier
        self.activation = activation
        self.drop_prob = drop_prob
        self.first_freq = first_freq
        self.min_freq = min_freq
        self.freq_stride = freq_stride
        self.padding = padding
        self.bandwidth = bandwidth
        self.pool_size = pool_size
        self.pool_stride = pool_stride
        self.max_norm_spatial = max_norm_spatial
        self.max_norm_dense = max_norm_dense

        if sfreq is None or not (sfreq > 0 and math.isfinite(sfreq)):
            raise ValueError(
                f"SincShallowNet needs the sampling rate: sfreq={sfreq} must be a positive number of Hz; "
                "give sfreq, or the classifier mne.Epochs, which know theirs"
            )
        lengths = {name: getattr(self, name) for name in ("time_filter_len", "pool_size", "pool_stride")}
        for name in (*lengths, "num_time_filters", "depth_multiplier"):
            value = getattr(self, name)
            if value < 1 or value != int(value):
                raise ValueError(f"{name}={value} must be a whole number of at least 1")
        if not 0 <= drop_prob <= 1:
            raise ValueError(f"drop_prob={drop_prob} must be a probability, from 0 to 1")
        if padding not in ("same", "valid"):
            raise ValueError(f"padding={padding!r} must be 'same' or 'valid'")
        for name in ("max_norm_spatial", "max_norm_dense"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value} must be None or a positive number")

        def filtered(lengths):  # samples that filters add (positive) or use up
            return 0 if padding == "same" else 1 - lengths["time_filter_len"]

        lengths = fit_lengths(
            self.n_times,
            lengths,
            lambda lengths: lengths["pool_size"] - filtered(lengths),
            minimum={"time_filter_len": 3},
            odd=("time_filter_len",),
        )
        pool_size, pool_stride = lengths["pool_size"], lengths["pool_stride"]
        n_rows = num_time_filters * depth_multiplier
        self.sinc_filter_layer = SincFilters(
            num_time_filters,
            lengths["time_filter_len"],
            sfreq,
            first_freq,
            min_freq,
            freq_stride,
            bandwidth,
        )
        self.depthwiseconv = nn.Sequential(
            nn.BatchNorm2d(num_time_filters, momentum=0.01, eps=1e-3),
            nn.Conv2d(num_time_filters, n_rows, (self.n_chans, 1), groups=num_time_filters, bias=False),
        )
        self.temporal_aggregation = nn.Sequential(
            nn.BatchNorm2d(n_rows, momentum=0.01, eps=1e-3),
            in_place(activation),
            AveragePool(pool_size, pool_stride),
            Dropout(drop_prob),
            nn.Flatten(),
        )
        self._folded = Folded()
        self.n_features = n_rows * ((self.n_times + filtered(lengths) - pool_size) // pool_stride + 1)
        self._make_head()

    def bands(self) -> torch.Tensor:
        """Lower and upper cut-off frequencies of the filters in Hz, shape (num_time_filters, 2)."""
        return self.sinc_filter_layer.bands()

    def _layers(self):
        n_filters, pool = self.num_time_filters, self.temporal_aggregation[2]
        n_taps, rows = self.sinc_filter_layer.n_taps, n_filters * self.depth_multiplier
        n_times = self.n_times - (0 if self.padding == "same" else n_taps - 1)
        n_pooled = (n_times - pool.length) // pool.stride + 1
        filtered = (n_filters, self.n_chans, n_times)
        return [
            ("sinc_filter_layer", filtered, math.prod(filtered) * n_taps),
            ("depthwiseconv.0", filtered, None),
            ("depthwiseconv.1", (rows, n_times), rows * self.n_chans * n_times),
            ("temporal_aggregation.0", (rows, n_times), None),
            ("temporal_aggregation.2", (rows, n_pooled), None),
            ("final_layer", (self.n_outputs,), self.n_outputs * self.n_features),
        ]

    def _make_head(self):
        self.final_layer = self._linear(self.depthwiseconv[1].weight)

    def window_sums(self, x):
        """Get `window_sums` of trials, which training asks for in each step."""
        return window_sums(x, self.sinc_filter_layer.n_taps, *self._padding())

    def _padding(self):
        pad = self.sinc_filter_layer.n_taps // 2 if self.padding == "same" else 0
        return pad, pad

    def forward_features(self, x):
        """Encode trials: (batch, n_chans, n_times) -> (batch, n_features)."""
        x = self._checked(x)
        if x.shape[0] == 0:
            return self._no_features(x)
        temporal_norm = self.depthwiseconv[0]
        spatial_norm, activation, pool, dropout, flatten = self.temporal_aggregation
        taps = self.sinc_filter_layer()  # (num_time_filters, time_filter_len)
        spatial = self._spatial()
        stages = spatial_norm, *self._padding(), activation, pool, self._folded
        x = filter_norm_mix_norm(x, taps, temporal_norm, spatial, *stages)
        return flatten(dropout(x))

    def _spatial(self):
        """Spatial filters within their norm, (num_time_filters * depth_multiplier, n_chans)."""
        spatial = self.depthwiseconv[1].weight[:, 0, :, 0]
        return spatial if self.max_norm_spatial is None else renorm_rows(spatial, self.max_norm_spatial)

    def temporal_response(self, frequencies):
        """Frequency responses of the sinc filters, (num_time_filters, n_freqs), see `AttentionBaseNet`."""
        taps = self.sinc_filter_layer()
        return tap_response(taps, frequencies, -(taps.shape[1] // 2))

    def spatial_weights(self):
        """Weights of each row in the filtered channels, (n_rows, num_time_filters, n_chans)."""
        norms = self.depthwiseconv[0], self.temporal_aggregation[0]
        return rows_of_filters(self._spatial().detach(), *norms)

    def forward_head(self, features):
        """Classify features: (batch, n_features) -> logits (batch, n_outputs)."""
        weight = self.final_layer.weight
        if self.max_norm_dense is not None:
            weight = renorm_rows(weight, self.max_norm_dense)
        return linear(features, weight, self.final_layer.bias)
