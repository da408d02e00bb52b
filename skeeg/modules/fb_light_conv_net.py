"""FBLightConvNet: a filter bank, spatial filters, and log-variances weighted over windows."""

from __future__ import annotations

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from .autograd import apply
from .base import EEGModule
from .filter_bank import FilterBankDesign, make_bands
from .linear import linear
from .spectral import batch_norm
from .windows import fit_lengths

_FEW_COLUMNS = 8


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

    def forward(self, x):
        weight = self.weight.softmax(-1) if self.weight_softmax else self.weight
        summed = (x * weight.squeeze(1).repeat(x.shape[1] // len(weight), 1)).sum(-1)
        return summed if self.bias is None else summed + self.bias


class _FilterAndMix(torch.autograd.Function):
    """Band-pass and mix channels, given their spectra.

    With M_o,c(w) = sum_b weight[o, b, c] response[b](w), one small product a batch, the output is the inverse
    transform of M X. Frequencies come first, so that M X is one matrix product for each of them; for a
    real response it mixes real and imaginary parts alike, side by side. The backward pass is the adjoint of
    each step: with G the spectrum of the output's gradient, X gets conj(M)' G and the weights
    conj(response) applied to G conj(X)', real part.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x, weight, bias, response, n_times):
        n_filters, n_bands, n_chans = weight.shape
        mixing = weight.transpose(0, 1).reshape(n_bands, -1).to(response.dtype)
        mixing = (response.T @ mixing).unflatten(1, (n_filters, n_chans))  # (n_freqs, n_filters, n_chans)
        # (batch, n_chans, n_freqs) -> (n_freqs, n_chans, batch), as the transpose of a matrix: 3 times as
        # fast as a permutation of three axes
        x = _pack(x.transpose(0, 1), response)
        few = x.shape[-1] <= _FEW_COLUMNS  # products by few columns are slow, products of few rows are not
        mixed = torch.bmm(x.mT, mixing.mT).mT if few else torch.bmm(mixing, x)
        mixed = _unpack(mixed, response)  # (n_filters, batch, n_freqs)
        mixed[..., 0] += _n_fft(response) * bias[:, None]  # a constant in time is one frequency
        y = torch.fft.irfft(mixed, _n_fft(response))[..., :n_times]
        return y, mixing, x

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, weight, _, response, _ = inputs
        _, mixing, x = output
        ctx.mark_non_differentiable(mixing, x)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(mixing, x, response)
        ctx.weight_shape = weight.shape

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        mixing, x, response = ctx.saved_tensors
        n_chans = ctx.weight_shape[-1]
        n_fft = _n_fft(response)
        # Positive frequencies stand for the negative ones too: all but 0 and Nyquist count twice.
        count = torch.full_like(response[0].real, 2 / n_fft)
        count[0] = count[-1] = 1 / n_fft
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((1, 2))
        grad = _pack(torch.fft.rfft(grad, n_fft), response)  # (n_freqs, n_filters, batch)
        if ctx.needs_input_grad[1]:
            grad_mixing = torch.bmm(x, grad.mH).transpose(0, 1)  # (n_chans, n_freqs, n_filters), conjugate
            # a product for each channel: threads that share one product round differently
            grad_weight = torch.bmm((response * count).expand(n_chans, -1, -1), grad_mixing).real.permute(
                2, 1, 0
            )
        if ctx.needs_input_grad[0]:
            grad_x = _unpack(torch.bmm(mixing.mH, grad), response).transpose(0, 1) * count
        return grad_x, grad_weight, grad_bias, None, None


def _n_fft(response):
    return 2 * (response.shape[-1] - 1)  # lengths of transforms are even


def _pack(x, response):
    """(rows, batch, n_freqs) -> (n_freqs, rows, batch), or for a real response (n_freqs, rows, 2 * batch)."""
    packed = x.reshape(-1, x.shape[-1]).T.contiguous()
    if not response.is_complex():
        packed = torch.view_as_real(packed).flatten(1)
    return packed.unflatten(1, (len(x), -1))


def _unpack(packed, response):
    """The inverse of _pack."""
    rows = packed.shape[1]
    packed = packed.flatten(1)
    if not response.is_complex():
        packed = torch.view_as_complex(packed.unflatten(1, (-1, 2)))
    return packed.T.contiguous().unflatten(0, (rows, -1))


class _Variance(torch.autograd.Function):
    """Unbiased variance along the last axis, 20 times as fast as Tensor.var; its gradient is one product."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        deviation = x - x.mean(-1, keepdim=True)
        return deviation.square().sum(-1) / (x.shape[-1] - 1), deviation

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, deviation = output
        ctx.mark_non_differentiable(deviation)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(deviation)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _):
        (deviation,) = ctx.saved_tensors
        return deviation * (grad * (2 / (deviation.shape[-1] - 1))).unsqueeze(-1)


class FBLightConvNet(EEGModule):
    """LightConvNet: band-pass and spatial filters, then log-variances weighted over windows in time.

    Parameters
    ----------
    n_chans : int, optional
        Number of channels; from ``chs_info`` when not given.
    n_outputs : int
        Number of classes.
    n_times : int, optional
        Number of samples in a trial; ``input_window_seconds * sfreq`` when not given.
    input_window_seconds : float, optional
        Length of a trial in seconds.
    sfreq : float, optional
        Sampling rate in Hz; needed for trials that are not yet band-passed.
    chs_info : list of dict, optional
        ``mne.Info["chs"]`` of the recording, one entry a channel.
    n_bands : int, None or list of (float, float), default=9
        Number of bands of 4 Hz from 4 Hz upwards (9: 4-8, 8-12, ..., 36-40 Hz), or the bands in Hz; None
        stands for those nine bands.
    n_filters_spat : int, default=32
        Number of spatial filters, each a weighting of all channels in all bands; the paper has 64.
    n_dim : int, default=3
        Axis of (batch, n_filters_spat, n_windows, win_len) along which the variance is taken; only the
        last one, 3, leaves a sequence of windows to weight.
    stride_factor : int, default=4
        With ``win_len=None`` the number of windows: each has ``n_times // stride_factor`` samples. Not
        read otherwise.
    win_len : int or None, default=250
        Length of the windows in samples, one after the other; samples beyond the last whole one are not
        used. At least 2.
    heads : int, default=8
        Number of sets of window weights; must divide ``n_filters_spat``.
    weight_softmax : bool, default=True
        Pass the window weights through a softmax.
    bias : bool, default=False
        Add a learned number per filter to the weighted sums.
    activation : type of nn.Module, default=nn.ELU
        Activation after the spatial filters.
    verbose : bool, default=False
        Let MNE describe the filters that it designs.
    filter_parameters : dict, {"fir", "chebyshev2"} or None, default=None
        MNE's filter arguments, or the name of a bank, see ``FilterBankDesign``: None and ``"fir"`` are MNE's
        zero-phase FIR filters, ``"chebyshev2"`` the causal filters of the paper.

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

    Notes
    -----
    Ma, Chen, Pei, Liu, Huang, Chen (2023), A Temporal Dependency Learning CNN With Attention Mechanism
    for MI-EEG Decoding, IEEE TNSRE 31. State names are those of braindecode, and its state dicts load:
    the taps of the filter bank that they hold (``spectral_filtering.*``) are left out, since the bank
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
    inverse transform of sum_c (sum_b W[o, b, c] H_b(w)) X_c(w). ``prepare`` computes X, the spectrum of a
    trial extended at its ends as the filters ask for, once per data set; it is about 1.5 times as large
    as the data, whereas the band-passed data would be n_bands times as large. Only zero-phase IIR filters,
    which are not convolutions at the ends of a trial, are applied by ``prepare`` itself.

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
            nn.Identity() if activation is None else activation(),
        )
        self.attn_conv = _LightweightConv1d(n_filters_spat, self.n_windows, heads, weight_softmax, bias)
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
        self.final_layer = nn.Linear(self.n_features, self.n_outputs).to(self.spatial_conv[0].weight)

    def prepare(self, x):
        """Do once per data set what no training step changes: transform or filter the trials.

        Parameters
        ----------
        x : torch.Tensor, shape (n_trials, n_chans, n_times)
            Trials.

        Returns
        -------
        torch.Tensor, shape (n_trials, n_chans, n_freqs), complex
            Spectra of the trials; for zero-phase IIR filters the filtered trials,
            (n_trials, n_bands, n_chans, n_times). ``forward`` takes both.

        Raises
        ------
        ValueError
            When ``sfreq`` is not known.
        """
        if self._bank is None:
            raise ValueError(
                "FBLightConvNet needs sfreq to filter trials of shape (batch, n_chans, n_times); give "
                "sfreq in Hz, or trials that are filtered, of shape (batch, n_bands, n_chans, n_times)"
            )
        if x.shape[-1] != self.n_times:
            raise ValueError(f"trials have {x.shape[-1]} samples, this network was made for {self.n_times}")
        if x.dtype in (torch.float16, torch.bfloat16):
            x = x.float()
        if not self._bank.is_convolution:
            return self._bank(x)
        if len(x) <= 64:
            return self._bank.spectrum(x)
        first = self._bank.spectrum(x[:64])
        spectra = first.new_empty(len(x), *first.shape[1:])
        spectra[:64] = first
        for start in range(64, len(x), 64):  # the extended trials would be as large again
            spectra[start : start + 64] = self._bank.spectrum(x[start : start + 64])
        return spectra

    def forward_features(self, x):
        """Encode trials.

        Parameters
        ----------
        x : torch.Tensor
            Trials (batch, n_chans, n_times), band-passed trials (batch, n_bands, n_chans, n_times), or
            what ``prepare`` gives.

        Returns
        -------
        torch.Tensor, shape (batch, n_filters_spat)
            Log-variances, weighted over the windows.
        """
        if x.ndim == 3 and not x.is_complex():
            x = self.prepare(x)
        conv, norm, activation = self.spatial_conv
        weight, bias = conv.weight.squeeze(-1), conv.bias  # (n_filters, n_bands, n_chans)
        if norm.training:
            # batch normalisation takes the bias out again; only its running mean is to know of it
            x = self._mix(x, weight, bias.detach())
            x = batch_norm(x.transpose(0, 1), norm).transpose(0, 1)
        else:  # batch normalisation is linear and known beforehand: part of the weights
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            x = self._mix(x, weight * scale[:, None, None], (bias - norm.running_mean) * scale + norm.bias)
        x = activation(x)
        # (n_filters, batch, n_times) -> (n_filters, batch, n_windows, window)
        windows = x[..., : self.n_windows * self._window].unflatten(-1, (self.n_windows, self._window))
        variance, _ = apply(_Variance, windows)
        features = self.attn_conv(variance.clamp(1e-6, 1e6).log().transpose(0, 1))
        # the bias that cancelled has gradient 0, not a missing one
        return features + 0 * bias if norm.training else features

    def _mix(self, x, weight, bias):
        """Band-pass and mix channels: -> (n_filters, batch, n_times), the order that FFTs leave."""
        with torch.autocast(x.device.type, enabled=False):  # no transforms in half precision
            if x.is_complex():  # spectra
                response = self._bank.response(self.n_times, x)  # (n_bands, n_freqs)
                dtype = response.real.dtype
                return apply(_FilterAndMix, x, weight.to(dtype), bias.to(dtype), response, self.n_times)[0]
            # filtered before: (batch, n_bands, n_chans, n_times)
            weight = weight.flatten(1).to(x.dtype).expand(x.shape[0], -1, -1)
            return torch.bmm(weight, x.flatten(1, 2)).transpose(0, 1) + bias.to(x.dtype)[:, None, None]

    def forward_head(self, features):
        """Classify features: (batch, n_filters_spat) -> logits (batch, n_outputs)."""
        return linear(features, self.final_layer.weight, self.final_layer.bias)
