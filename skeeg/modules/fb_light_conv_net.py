"""FBLightConvNet: a filter bank, spatial filters, and log-variances weighted over windows."""

from __future__ import annotations

import torch
from torch import nn

from skeeg.modules.base import EEGModule
from skeeg.modules.compute import (
    Folded,
    few_trials,
    full_precision,
    joined,
    map_in_threads,
    only_evaluates,
)
from skeeg.modules.layers.activation import activate, in_place, is_plain_elu
from skeeg.modules.layers.band_mixing import (
    mix_bands,
    mix_norm_elu_variance,
    mix_with,
    mixing_matrices,
    n_fft_of,
)
from skeeg.modules.layers.batch_norm import (
    batch_norm,
    norm_gain,
    scale_and_bias,
    tensors_of,
    track,
    uses_batch_statistics,
)
from skeeg.modules.layers.filter_bank import FilterBankDesign, make_bands
from skeeg.modules.layers.linear import linear
from skeeg.modules.layers.variance_pooling import segment_moments
from skeeg.modules.layers.windows import fit_lengths


class _LightweightConv1d(nn.Module):
    """Weighted sum over windows: filter c uses the weights of head c mod heads.

    (batch, n_filters, n_windows) -> (batch, n_filters). A convolution as long as its input, with
    weights that the heads share, is one product and one sum.
    """

    def __init__(self, n_filters, n_windows, heads, weight_softmax, bias):
        super().__init__()
        self.weight_softmax = weight_softmax
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(heads, 1, n_windows)))
        self.bias = nn.Parameter(torch.zeros(n_filters)) if bias else None

    def window_weights(self):
        """Weight of each window in each head: (heads, 1, n_windows)."""
        return self.weight.softmax(-1) if self.weight_softmax else self.weight

    def forward(self, x):
        weight = self.window_weights()
        summed = (x.unflatten(1, (-1, len(weight))) * weight.squeeze(1)).sum(-1).flatten(1)
        return summed if self.bias is None else summed + self.bias


class FBLightConvNet(EEGModule):
    """LightConvNet: band-pass and spatial filters, then log-variances weighted over windows in time.

    Parameters
    ----------
    n_chans, n_outputs, n_times, input_window_seconds, sfreq, chs_info
        Of the data, see `EEGModule`; ``sfreq`` is needed for trials that are not yet band-passed.
    n_bands, ..., filter_parameters
        Of the architecture: those of :class:`skeeg.FBLightConvNetClassifier`.
    verbose : bool, default=False
        Let MNE describe the filters that it designs.

    Attributes
    ----------
    bands : list of (float, float)
        The bands in Hz.
    n_windows : int
        Number of windows.
    n_features : int
        Number of features, ``n_filters_spat``.

    Raises
    ------
    ValueError
        When a band lies beyond half the sampling rate, ``heads`` does not divide ``n_filters_spat``, or
        a window has fewer than 2 samples.

    Warns
    -----
    UserWarning
        When a trial is shorter than ``win_len``, which is then shortened.

    See Also
    --------
    skeeg.FBLightConvNetClassifier : As an estimator.

    Notes
    -----
    Ma, Chen, Pei, Liu, Huang, Chen (2023), A Temporal Dependency Learning CNN With Attention Mechanism
    for MI-EEG Decoding, IEEE TNSRE 31,
    https://doi.org/10.1109/TNSRE.2023.3299355. State names are those of braindecode, and its state dicts
    load: the taps of the filter bank that they hold (``spectral_filtering.*``) are left out, since the bank
    follows from ``n_bands``, ``sfreq`` and ``filter_parameters`` and is not part of the state here.

    Data flow, for a batch of trials:

    1. band-pass filters, (batch, n_chans, n_times) -> (batch, n_bands, n_chans, n_times);
    2. spatial filters over channels and bands, batch normalisation, activation ->
       (batch, n_filters_spat, n_times);
    3. logarithm of the unbiased variance in each window, clamped to 1e-6 ... 1e6 ->
       (batch, n_filters_spat, n_windows);
    4. weighted sum over the windows, the weights independent of the trial -> (batch, n_filters_spat);
    5. a linear classifier -> (batch, n_outputs).

    Both filters of steps 1 and 2 are linear, so they commute: the output of spatial filter o is the
    inverse transform of sum_c (sum_b W[o, b, c] H_b(w)) X_c(w), with X the spectrum of a trial, extended at
    its ends as the filters ask for. Nothing of the size of the band-passed data is formed or kept. Only
    zero-phase IIR filters, which are not convolutions at the ends of a trial, are applied beforehand, once
    per data set, by ``prepare``.

    The variance after batch normalisation does not depend on the unit of the data as long as their
    variance is far above the 1e-5 that batch normalisation adds: data in volts (1e-10 V²) vanish
    beside it, and hit the clamp; give microvolts or standardised data.

    Departures from braindecode: ``win_len=None`` and ``stride_factor``, ``n_bands`` other than 9 keeps
    bands of 4 Hz (braindecode divides 4-40 Hz), filters extend the ends of a trial as MNE does
    (braindecode: zeros), and the bias of the spatial filters, which batch normalisation takes out, has
    gradient 0 in train mode instead of rounding noise.

    Examples
    --------
    >>> net = FBLightConvNet(n_chans=22, n_outputs=4, n_times=1000, sfreq=250)
    >>> net(torch.randn(8, 22, 1000)).shape
    torch.Size([8, 4])
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
        n_bands=9,
        n_filters_spat=32,
        n_dim=3,
        stride_factor=4,
        win_len=250,
        heads=8,
        weight_softmax=True,
        bias=False,
        activation=nn.ELU,
        verbose=False,
        filter_parameters=None,
    ):
        super().__init__(
            n_chans,
            n_outputs,
            n_times,
            input_window_seconds=input_window_seconds,
            sfreq=sfreq,
            chs_info=chs_info,
        )
        self.n_bands = n_bands
        self.n_filters_spat = n_filters_spat
        self.n_dim = n_dim
        self.stride_factor = stride_factor
        self.win_len = win_len
        self.heads = heads
        self.weight_softmax = weight_softmax
        self.bias = bias
        self.activation = activation
        self.verbose = verbose
        self.filter_parameters = filter_parameters

        if n_filters_spat < 1 or heads < 1 or n_filters_spat % heads:
            raise ValueError(
                f"heads={heads} must divide n_filters_spat={n_filters_spat}: each head weights the windows "
                "of as many filters"
            )
        if n_dim != 3:
            raise ValueError(f"n_dim={n_dim} must be 3, the axis of the samples within a window")
        self._window = self._window_length()
        self.n_windows = self.n_times // self._window
        self.n_features = n_filters_spat
        self.bands = make_bands(n_bands, sfreq)
        self._bank = None if sfreq is None else FilterBankDesign(n_bands, sfreq, filter_parameters, verbose)

        self.spatial_conv = nn.Sequential(
            nn.Conv2d(len(self.bands), n_filters_spat, (self.n_chans, 1)),
            nn.BatchNorm2d(n_filters_spat),
            in_place(activation),
        )
        self.attn_conv = _LightweightConv1d(n_filters_spat, self.n_windows, heads, weight_softmax, bias)
        self._folded = Folded()
        self._make_head()

    def _window_length(self):
        if self.win_len is None:
            if self.stride_factor < 1 or self.n_times // self.stride_factor < 2:
                raise ValueError(
                    f"stride_factor={self.stride_factor} must be from 1 to {self.n_times // 2}, so that "
                    f"windows of n_times // stride_factor samples have at least 2 (n_times={self.n_times})"
                )
            return self.n_times // self.stride_factor
        if self.win_len < 2:
            raise ValueError(
                f"win_len={self.win_len} must be at least 2 samples, the fewest that have a variance, or "
                "None for n_times // stride_factor"
            )
        lengths = fit_lengths(
            self.n_times,
            {"win_len": self.win_len},
            lambda lengths: lengths["win_len"],
            minimum={"win_len": 2},
        )
        return lengths["win_len"]

    def _load_from_state_dict(self, state_dict, prefix, *args):
        # braindecode keeps the taps of its filter bank, whose shape depends on sfreq, in the state
        for name in [name for name in state_dict if name.startswith(f"{prefix}spectral_filtering.")]:
            del state_dict[name]
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _layers(self):
        n_bands, n_filters, n_times = len(self.bands), self.n_filters_spat, self.n_times
        return [
            ("filter bank (fixed, once per data set)", (n_bands, self.n_chans, n_times), None),
            ("spatial_conv.0", (n_filters, n_times), n_filters * n_bands * self.n_chans * n_times),
            ("spatial_conv.1", (n_filters, n_times), None),
            ("log-variance", (n_filters, self.n_windows), None),
            ("attn_conv", (n_filters,), n_filters * self.n_windows),
            ("final_layer", (self.n_outputs,), self.n_outputs * self.n_features),
        ]

    def _make_head(self):
        self.final_layer = self._linear(self.spatial_conv[0].weight)

    def prepare(self, x):
        """Do once per data set what no training step changes: zero-phase IIR filtering.

        Parameters
        ----------
        x : torch.Tensor, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        torch.Tensor
            For zero-phase IIR filters the filtered trials, (n_trials, n_bands, n_chans, n_times); for others,
            which cost less than reading filtered trials would, ``x``. ``forward`` takes both.

        Raises
        ------
        ValueError
            When ``sfreq`` is not known, or trials have another number of samples than the network.
        """
        if self._bank is None:
            raise ValueError(
                "FBLightConvNet needs sfreq to filter trials of shape (batch, n_chans, n_times); give "
                "sfreq in Hz, or trials that are filtered, of shape (batch, n_bands, n_chans, n_times)"
            )
        if x.shape[-1] != self.n_times:
            raise ValueError(f"trials have {x.shape[-1]} samples, this network was made for {self.n_times}")
        if x.dtype not in (torch.float32, torch.float64):
            x = x.float()
        return x if self._bank.is_convolution else self._bank(x)

    def forward_features(self, x):
        """Encode trials.

        Parameters
        ----------
        x : torch.Tensor
            Trials (batch, n_chans, n_times), or band-passed trials (batch, n_bands, n_chans, n_times).

        Returns
        -------
        torch.Tensor, shape (batch, n_filters_spat)
            Log-variances, weighted over the windows.
        """
        filtered = x.ndim == 4
        shape = (len(self.bands), self.n_chans, self.n_times) if filtered else (self.n_chans, x.shape[-1])
        x = self._checked(x, *shape)
        if x.shape[0] == 0:
            return self._no_features(x)
        if x.dtype not in (torch.float32, torch.float64):
            x = x.float()
        with full_precision(x):  # no transforms in half precision
            variance = self._variances(x if filtered else self.prepare(x))
        features = self.attn_conv(variance.clamp(1e-6, 1e6).log())
        conv, norm, _ = self.spatial_conv
        if uses_batch_statistics(norm):  # takes the bias out, whose gradient is 0, not a missing one
            features = features + 0 * conv.bias
        return features

    def _variances(self, x):
        """Steps 1 to 3 but the logarithm: -> (batch, n_filters, n_windows)."""
        conv, norm, activation = self.spatial_conv
        if not uses_batch_statistics(norm):
            weights = conv.weight, conv.bias, *tensors_of(norm)
            settings = {"eps": norm.eps, "dtype": x.dtype, "shape": x.shape[1:]}
            return self._evaluate(x, *self._folded(lambda: self._for_evaluation(x), *weights, **settings))
        weight = conv.weight.squeeze(-1).to(x.dtype)
        if not is_plain_elu(activation):
            y = mix_bands(x, weight, *self._filters(x)) + conv.bias.detach()[:, None]
            return self._window_variances(activate(activation, batch_norm(y, norm)))
        # batch normalisation takes the bias out; only its running mean is to know of it
        settings = *scale_and_bias(norm, weight), norm.eps, self._window
        variances, mean, variance = mix_norm_elu_variance(x, weight, *self._filters(x), *settings)
        track(norm, mean + conv.bias, variance, x.shape[0] * self.n_times)
        return variances

    def _filters(self, x):
        """Responses of the bands, how far they reach before and after; none for band-passed trials."""
        if x.ndim == 4:
            return None, 0, 0
        left, right, _, response = self._bank.extents_and_response(self.n_times, x)
        return response, left, right

    def _for_evaluation(self, x):
        """Weights (n_filters, n_bands, n_chans) and biases with normalisation, and mixing matrices."""
        conv, norm, _ = self.spatial_conv
        # batch normalisation is linear and known beforehand: part of the weights
        scale, shift = scale_and_bias(norm, conv.weight)
        scale = scale * (norm.running_var + norm.eps).rsqrt()
        weight = (conv.weight.squeeze(-1) * scale[:, None, None]).to(x.dtype)
        bias = ((conv.bias - norm.running_mean) * scale + shift).to(x.dtype)
        response, _, _ = self._filters(x)
        evaluates = response is not None and only_evaluates()
        mixing = mixing_matrices(weight, response) if evaluates else None
        return weight, bias, mixing

    def _evaluate(self, x, weight, bias, mixing):
        """All steps; without gradients, for a few trials, then for the next few."""
        activation = self.spatial_conv[2]
        if not only_evaluates():
            return self._window_variances(
                activate(activation, mix_bands(x, weight, *self._filters(x)) + bias[:, None])
            )
        response, left, right = self._filters(x)
        plain = is_plain_elu(activation)  # threads may share it; hooks are to see whole batches

        def encode(trials):
            y, _ = mix_with(trials, weight, mixing, left, right, n_fft_of(response))
            shift = bias.expand(y.shape[0], -1)
            return self._window_variances(y, shift, elu=True) if plain else y + shift.unsqueeze(-1)

        encoded = joined(map_in_threads(encode, [x[trials] for trials in few_trials(x)]))
        return encoded if plain else self._window_variances(activate(activation, encoded))

    def _window_variances(self, x, shift=None, elu=False):
        _, squares = segment_moments(x, [(self._window, self.n_windows, False)], shift, elu=elu)
        return squares / (self._window - 1)

    def window_weights(self):
        """Weight of each window of time in each head, (heads, n_windows)."""
        return self.attn_conv.window_weights().squeeze(1).detach()

    def temporal_response(self, frequencies):
        """Magnitude responses of the bank, (n_bands, n_freqs), see `AttentionBaseNet`; needs ``sfreq``."""
        if self._bank is None:
            raise ValueError("FBLightConvNet has no filters without sfreq: what filtered its trials?")
        magnitudes = self._bank.magnitudes(frequencies.to("cpu", torch.float64).numpy())
        return torch.from_numpy(magnitudes).to(torch.complex128)

    def spatial_weights(self):
        """Weights of each filter in the band-passed channels, (n_filters_spat, n_bands, n_chans)."""
        conv, norm, _ = self.spatial_conv
        weight = conv.weight.detach().squeeze(-1)
        return weight * norm_gain(norm, weight)[:, None, None]

    def forward_head(self, features):
        """Classify features: (batch, n_filters_spat) -> logits (batch, n_outputs)."""
        return linear(features, self.final_layer.weight, self.final_layer.bias)
