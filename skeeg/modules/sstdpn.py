"""SST-DPN: filters in time, gates on filtered channels, pools variances, classifies by prototypes."""

from __future__ import annotations

from numbers import Integral

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from skeeg.modules.autograd import apply
from skeeg.modules.base import EEGModule
from skeeg.modules.linear import linear
from skeeg.modules.pooling import MultiScaleVariancePool
from skeeg.modules.spectral import batch_norm, fft_length, fir_response, spectrum
from skeeg.modules.windows import fit_lengths

ATTENTION_MODES = ("var", "l2", "l1")
CACHED_BYTES = 4 * 2**20  # filtered spectra made at a time on a CPU, and
CACHED_TRIALS = 32  # trials encoded at a time in evaluation: what its cache holds


class _FilterAndMixTrials(torch.autograd.Function):
    r"""Filter electrodes in time, then mix them with a matrix of each trial's own.

    The result is the inverse transform of :math:`U_o = \sum_{f, c} M_{(f, c), o} H_f X_c`, cropped to
    ``n_times`` samples, plus an offset. The filtered spectra :math:`Z = H_f X_c` are made for a few trials
    at a time, so few that they are still in the processor's cache when the matrix product reads them, and
    are made again in the backward pass rather than kept.

    Shapes: spectra (batch, n_chans, n_bins) and responses (n_filters, n_bins), both complex; mixing
    (batch, n_filters * n_chans, n_mixed); offset (batch, n_mixed); result (batch, n_mixed, n_times).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(spectra, responses, mixing, offset, n, n_times):
        mixed = []
        for trials in _few_trials(spectra, responses):
            u = torch.bmm(mixing[trials].mT, _filtered(spectra[trials], responses))
            u[..., 0] += n * offset[trials]  # real part of bin 0: the sum of n samples
            u = torch.view_as_complex(u.unflatten(-1, (-1, 2)))
            mixed.append(torch.fft.irfft(u, n)[..., :n_times])
        return torch.cat(mixed)

    @staticmethod
    def setup_context(ctx, inputs, output):
        spectra, responses, mixing, _, ctx.n, _ = inputs
        ctx.save_for_backward(spectra, responses, mixing)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        spectra, responses, mixing = ctx.saved_tensors
        need_spectra, need_responses, *_ = ctx.needs_input_grad
        weight = _bin_weights(ctx.n, responses)
        responses = responses * weight
        grad_spectra, grad_responses, grad_mixing, grad_offset = [], 0, [], []
        for trials in _few_trials(spectra, responses):
            x = spectra[trials]
            g = torch.view_as_real(spectrum(grad[trials], ctx.n)).flatten(-2)  # (trials, n_mixed, 2 n_bins)
            grad_offset.append(g[..., 0])
            grad_mixing.append(torch.bmm(_filtered(x, responses), g.mT))
            if need_spectra or need_responses:
                z = torch.bmm(mixing[trials], g).unflatten(-1, (-1, 2))
                z = torch.view_as_complex(z).unflatten(1, (len(responses), -1))  # (trials, F, C, n_bins)
                if need_spectra:
                    grad_spectra.append((z * responses.conj().unsqueeze(1)).sum(1))
                if need_responses:  # two sums of one axis each are much faster than one of two
                    grad_responses = grad_responses + _multiply(z, x.conj().unsqueeze(1)).sum(2).sum(0)
        return (
            torch.cat(grad_spectra) if need_spectra else None,
            grad_responses * weight if need_responses else None,
            torch.cat(grad_mixing),
            torch.cat(grad_offset),
            None,
            None,
        )


def _few_trials(spectra, responses):
    """Slices of a batch, as many trials each as the cache holds filtered; off the CPU, the whole batch.

    An even number of trials each, but for one that is left over: two threads then share them at the end of a
    trial, not within one, where the last numbers of a share are rounded by other instructions.
    """
    if spectra.device.type != "cpu":
        return [slice(None)]
    bytes_per_trial = spectra[0].numel() * len(responses) * spectra.element_size()
    step = max(2, CACHED_BYTES // bytes_per_trial // 2 * 2)
    even = len(spectra) // 2 * 2
    pieces = [slice(i, min(i + step, even)) for i in range(0, even, step)]
    return pieces if even == len(spectra) else [*pieces, slice(even, None)]


def _multiply(z, x):
    """z *= x, for one trial a filter at a time: too few numbers to be shared among threads."""
    if len(z) > 1:
        return z.mul_(x)
    for filtered in z.unbind(1):
        filtered.mul_(x[:, 0])
    return z


def _filtered(spectra, responses):
    """(batch, C, bins) through (F, bins) -> (batch, F * C, 2 * bins), real and imaginary interleaved."""
    z = spectra.unsqueeze(1) * responses.unsqueeze(1)
    return torch.view_as_real(z.flatten(1, 2)).flatten(-2)


def _bin_weights(n, like):
    """What a bin of a real transform of even length ``n`` counts for: itself and its mirror image, over n."""
    weight = torch.full(like.shape[-1:], 2 / n, dtype=like.real.dtype, device=like.device)
    weight[0] = weight[-1] = 1 / n
    return weight


class _TemporalConv(nn.Module):
    """Taps of the temporal filters, shared by the electrodes; the encoder applies them."""

    def __init__(self, n_filters, kernel_size):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_filters, 1, kernel_size))
        self.bias = nn.Parameter(torch.zeros(n_filters))
        nn.init.xavier_uniform_(self.weight)

    @property
    def taps(self):
        return self.weight.squeeze(1)  # (n_filters, kernel_size)

    @property
    def padding(self):
        """Zeros before and after a signal; PyTorch's "same" puts the odd one of an even kernel after."""
        n_taps = self.weight.shape[-1]
        return (n_taps - 1) // 2, n_taps // 2


class _SpatialSpectralAttention(nn.Module):
    """Gates on the filtered channels, from one number that describes each of them over the trial."""

    def __init__(self, n_rows, mode, epsilon):
        super().__init__()
        self.mode = mode
        self.epsilon = epsilon
        self.alpha = nn.Parameter(torch.ones(1, n_rows, 1))
        self.gamma = nn.Parameter(torch.zeros(1, n_rows, 1))
        self.beta = nn.Parameter(torch.zeros(1, n_rows, 1))

    def forward(self, context):
        """Variance ("var"), energy ("l2") or sum of magnitudes ("l1"), (batch, rows) -> gates."""
        alpha, gamma, beta = (parameter[0, :, 0] for parameter in (self.alpha, self.gamma, self.beta))
        if self.mode == "l1":
            return 1 + torch.tanh(gamma * context / (context.mean(1, keepdim=True) + self.epsilon) + beta)
        embedding = (context + self.epsilon).sqrt()
        if self.mode == "var":
            embedding = embedding * alpha
        level = (embedding.square().mean(1, keepdim=True) + self.epsilon).sqrt()
        return 1 + torch.tanh(gamma * embedding / level + beta)


class _Encoder(nn.Module):
    """Filtering, gating, fusion and variance pooling: (batch, n_chans, n_times) -> features."""

    def __init__(
        self,
        n_chans,
        n_filters,
        n_fused,
        kernel_size,
        pool_kernels,
        context_kernel,
        epsilon,
        mode,
        activation,
    ):
        super().__init__()
        n_rows = n_filters * n_chans  # filter-major: row f * n_chans + c
        self.context_kernel = context_kernel
        self.temporal_conv = _TemporalConv(n_filters, kernel_size)
        self.spt_attn = _SpatialSpectralAttention(n_rows, mode, epsilon)
        activation = nn.Identity() if activation is None else activation()
        self.chan_conv = nn.Sequential(nn.Conv1d(n_rows, n_fused, 1), nn.BatchNorm1d(n_fused), activation)
        self.mvp = MultiScaleVariancePool(pool_kernels)

    def forward(self, x):
        fusion, norm, activation = self.chan_conv
        with torch.autocast(x.device.type, enabled=False):  # there are no half-precision transforms
            x = x.to(fusion.weight.dtype)
            n, spectra, responses = self._transform(x)
            gates = self.spt_attn(self._context(x, spectra, responses))  # (batch, rows)
            mixing = fusion.weight.squeeze(-1).T.contiguous() * gates.unsqueeze(-1)  # (batch, rows, n_fused)
            bias = self.temporal_conv.bias.repeat_interleave(x.shape[1])  # (rows,)
            offset = bias @ mixing + fusion.bias  # (batch, n_fused)
            if not norm.training:  # the statistics are fixed: normalisation is part of the mixing
                scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
                mixing = mixing * scale
                offset = (offset - norm.running_mean) * scale + norm.bias
            fused = apply(_FilterAndMixTrials, spectra, responses, mixing, offset, n, x.shape[-1])
            if norm.training:
                fused = batch_norm(fused, norm)
            return self.mvp(activation(fused))  # (batch, n_fused, n_times) -> (batch, n_features)

    def gates(self, x):
        """Gates of trials, (batch, n_chans, n_times) -> (batch, n_filters, n_chans)."""
        x = x.to(self.spt_attn.gamma.dtype)
        _, spectra, responses = self._transform(x)
        return self.spt_attn(self._context(x, spectra, responses)).unflatten(1, (len(responses), -1))

    def _transform(self, x):
        """Length of a transform that holds the full convolution, spectra of trials, filter responses."""
        taps, (left, right) = self.temporal_conv.taps, self.temporal_conv.padding
        n = fft_length(x.shape[-1] + left + right)
        return n, spectrum(x, n), fir_response(taps, n, left)

    def _context(self, x, spectra, responses):
        """What the gates depend on, from spectra and the ends of the trials: (batch, rows)."""
        n_times = x.shape[-1]
        taps, bias = self.temporal_conv.taps, self.temporal_conv.bias
        left, right = self.temporal_conv.padding
        mode = self.spt_attn.mode
        n = fft_length(n_times + left + right)
        if mode == "l1":  # not a quadratic form: the filtered signals themselves
            z = torch.fft.irfft(spectra.unsqueeze(1) * responses.unsqueeze(1), n)[..., :n_times]
            return (z + bias[:, None, None]).abs().sum(-1).flatten(1)
        window = self.context_kernel if mode == "var" else n_times
        covered = n_times // window * window
        reach = min(n_times, covered + right)  # samples that the filters see from within the windows
        if reach < n_times:
            x = x[..., :reach]
            n, spectra, responses = self._transform(x)
        energy = _energy(spectra, responses, n) - _energy_outside(x, taps, covered)  # (batch, C, F)
        sums = _window_sums(x, taps, window, covered // window)  # (batch, C, n_windows, F)
        if mode == "var":  # mean over windows of E[z^2] - E[z]^2, which no bias changes
            context = (energy - sums.square().sum(2) / window) / covered
        else:  # sum over times of (z + bias)^2
            context = energy + 2 * bias * sums.sum(2) + n_times * bias.square()
        return context.clamp(min=0).mT.flatten(1)


def _product(x, matrix):
    """(batch, m, k) by (k, n): as one product a trial, whose gradient is summed in the order of the trials.

    The gradient of a single product of all trials is a sum over them that PyTorch splits by threads.
    """
    return torch.bmm(x, matrix.expand(len(x), -1, -1))


def _energy(spectra, responses, n):
    """Energy of the full convolution of each channel with each filter, by Parseval: (batch, C, F)."""
    power = spectra.real.square() + spectra.imag.square()
    gain = responses.real.square() + responses.imag.square()
    return _product(power, (gain * _bin_weights(n, responses)).mT)


def _energy_outside(x, taps, covered):
    """Energy of the full convolution before sample 0 and from sample ``covered`` on: (batch, C, F).

    Those few samples are computed, with a Toeplitz matrix of the taps for each end.
    """
    left, right = (taps.shape[-1] - 1) // 2, taps.shape[-1] // 2
    energy = x.new_zeros(())
    if right:
        toeplitz = F.pad(taps[:, left + 1 :], (0, right - 1)).unfold(-1, right, 1)
        energy = energy + _sum_of_squares(x[..., :right], toeplitz)
    size = x.shape[-1] - covered + left
    if size:
        toeplitz = F.pad(taps[:, :size], (size - 1, 0)).unfold(-1, size, 1)
        energy = energy + _sum_of_squares(x[..., -size:], toeplitz)
    return energy


def _sum_of_squares(x, matrices):
    """Energy of vectors (batch, C, n) through matrices (F, m, n): (batch, C, F)."""
    return _product(x, matrices.flatten(0, 1).mT).unflatten(-1, matrices.shape[:2]).square().sum(-1)


def _window_sums(x, taps, window, n_windows):
    """Sums of the filtered signals over consecutive windows: (batch, C, n_windows, F).

    The sum that tap k sees over a window is the sum that tap k - 1 sees, plus the sample that enters and
    minus the one that leaves.
    """
    n_taps = taps.shape[-1]
    left, right = (n_taps - 1) // 2, n_taps // 2
    covered = n_windows * window
    padded = F.pad(x, (left, covered + right - x.shape[-1]))
    first = padded[..., :covered].unflatten(-1, (n_windows, window)).sum(-1, keepdim=True)
    if n_taps > 1:
        steps = padded.unfold(-1, n_taps - 1, window)[..., : n_windows + 1, :].diff(dim=-2)
        first = torch.cat([first, steps], -1).cumsum(-1)
    return _product(first.flatten(1, 2), taps.mT).unflatten(1, first.shape[1:3])


class SSTDPN(EEGModule):
    r"""Spatial-spectral and temporal dual prototype network (SST-DPN).

    1. ``encoder.temporal_conv``: temporal filters shared by all electrodes, "same" padding,
       (batch, n_chans, n_times) -> (batch, F1 * n_chans, n_times).
    2. ``encoder.spt_attn``: a gate for each filtered channel, :math:`1 + \tanh(\gamma e / \bar e + \beta)`,
       from its embedding :math:`e` over the trial and the level :math:`\bar e` of all of them.
    3. ``encoder.chan_conv``: fusion of the gated channels, BatchNorm, activation, -> (batch, F2, n_times).
    4. ``encoder.mvp``: variances in half-overlapping windows at several time scales, the fused channels
       split over the scales, -> (batch, n_features).
    5. Logits are products of the features with the separation prototypes, (batch, n_outputs).

    Parameters
    ----------
    n_chans : int, optional
        Number of channels (electrodes); from ``chs_info`` when not given.
    n_outputs : int
        Number of classes.
    n_times : int, optional
        Number of samples in a window; ``input_window_seconds * sfreq`` when not given.
    input_window_seconds : float, optional
        Length of a window in seconds.
    sfreq : float, optional
        Sampling rate in Hz.
    chs_info : list of dict, optional
        ``mne.Info["chs"]`` of the recording.
    n_spectral_filters_temporal : int, default=9
        Temporal filters, F1.
    n_fused_filters : int, default=48
        Fused channels, F2; a multiple of the number of scales.
    temporal_conv_kernel_size : int, default=75
        Length of the temporal filters, in samples.
    mvp_kernel_sizes : list of int, optional
        Windows of the variance pooling, in samples, one a scale; by default ``[50, 100, 200]``. Windows
        advance by half their length.
    return_features : bool, default=False
        What ``forward`` gives when it is not told: logits, or a dict of features, logits and compactness
        prototypes, which `skeeg.losses.DualPrototypeLoss` takes.
    proto_sep_maxnorm : float, default=1.0
        Largest norm of the separation prototype of a class.
    proto_cpt_std : float, default=0.01
        Standard deviation of the initial compactness prototypes.
    spt_attn_global_context_kernel : int, default=250
        Windows of the variance that mode "var" is about, in samples; the other modes do not read it.
    spt_attn_epsilon : float, default=1e-5
        Added to variances and levels, in the square of the input's unit: inputs in volts vanish beside it.
    spt_attn_mode : {"var", "l2", "l1"}, default="var"
        Embedding of a filtered channel z: :math:`\alpha \sqrt{v + \epsilon}` with v its variance within
        windows, averaged over the windows (samples beyond the last whole window do not count);
        :math:`\sqrt{\sum_t z_t^2 + \epsilon}`; or :math:`\sum_t |z_t|`. Only "var" uses :math:`\alpha`.
    activation : type of torch.nn.Module or None, default=torch.nn.ELU
        Activation after the fusion, called without arguments; None is no activation.

    Attributes
    ----------
    n_features : int
        Number of features.
    proto_sep, proto_cpt : torch.nn.Parameter of shape (n_outputs, n_features)
        Separation prototypes, which classify, and compactness prototypes, which only the loss reads.

    Raises
    ------
    ValueError
        For arguments out of range, ``n_fused_filters`` that do not divide by the number of scales, and
        windows too short for any variance.

    Warns
    -----
    UserWarning
        When the window is shorter than a kernel: all temporal lengths are then scaled down together.

    Notes
    -----
    The network of Han et al. (2025) [1]_, exactly as the authors' code computes it; state names are those
    of braindecode 1.8.1, and weights travel both ways. The differences:

    - The authors initialise the compactness prototypes with standard deviation 1.
    - The authors' forward pass always projects the separation prototype of each class, in place, onto the
      ball of radius ``proto_sep_maxnorm``. Here only one in training mode does, which makes training
      projected gradient descent; in evaluation mode the projection is part of the function, and the
      parameter is left alone.
    - With ``return_features`` the result is a dict.

    The paper claims 9.65 M multiply-accumulates at 22 x 1000 x 4. The network as it is defined takes 24.36 M
    (``str(network)`` lists them): 14.85 M in the temporal convolution and 9.50 M in the fusion; the fusion
    with its bias and batch normalisation alone makes 9.65 M. Fewer are computed here:

    The filtered channels are never formed in time. With X the spectra of the electrodes and H those of the
    filters, the fused channels are the inverse transform of (W * gates) (H X), one real matrix product for
    each trial. The gates need the variance of every filtered channel: its energy is a product of
    :math:`|H|^2` with :math:`|X|^2` (Parseval), less the energy of the few samples before and after the
    windows, and the sum over a window follows from sums of X over that window, shifted.

    References
    ----------
    .. [1] Han, C., Liu, C., Wang, J., Wang, Y., Cai, C., Qian, D. (2025). A spatial-spectral and temporal
       dual prototype network for motor imagery brain-computer interface. Knowledge-Based Systems, 315,
       113315.

    Examples
    --------
    >>> import torch
    >>> from skeeg.modules.sstdpn import SSTDPN
    >>> network = SSTDPN(n_chans=22, n_outputs=4, n_times=1000)
    >>> network(10 * torch.randn(8, 22, 1000)).shape
    torch.Size([8, 4])
    >>> sum(parameter.numel() for parameter in network.parameters())
    19502
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
        n_spectral_filters_temporal=9,
        n_fused_filters=48,
        temporal_conv_kernel_size=75,
        mvp_kernel_sizes=None,
        return_features=False,
        proto_sep_maxnorm=1.0,
        proto_cpt_std=0.01,
        spt_attn_global_context_kernel=250,
        spt_attn_epsilon=1e-5,
        spt_attn_mode="var",
        activation=nn.ELU,
    ):
        super().__init__(
            n_chans,
            n_outputs,
            n_times,
            input_window_seconds=input_window_seconds,
            sfreq=sfreq,
            chs_info=chs_info,
        )
        self.n_spectral_filters_temporal = n_spectral_filters_temporal
        self.n_fused_filters = n_fused_filters
        self.temporal_conv_kernel_size = temporal_conv_kernel_size
        self.mvp_kernel_sizes = mvp_kernel_sizes
        self.return_features = return_features
        self.proto_sep_maxnorm = proto_sep_maxnorm
        self.proto_cpt_std = proto_cpt_std
        self.spt_attn_global_context_kernel = spt_attn_global_context_kernel
        self.spt_attn_epsilon = spt_attn_epsilon
        self.spt_attn_mode = spt_attn_mode
        self.activation = activation

        pool_kernels = [50, 100, 200] if mvp_kernel_sizes is None else list(mvp_kernel_sizes)
        self._check_arguments(pool_kernels)
        lengths = {"temporal_conv_kernel_size": temporal_conv_kernel_size, "mvp_kernel_sizes": pool_kernels}
        if spt_attn_mode == "var":
            lengths["spt_attn_global_context_kernel"] = spt_attn_global_context_kernel
        lengths = fit_lengths(
            self.n_times,
            lengths,
            lambda lengths: max(
                lengths["temporal_conv_kernel_size"],
                lengths.get("spt_attn_global_context_kernel", 1),
                *lengths["mvp_kernel_sizes"],
            ),
            minimum={"mvp_kernel_sizes": 2, "spt_attn_global_context_kernel": 2},
            odd=("temporal_conv_kernel_size",),
        )
        self.encoder = _Encoder(
            self.n_chans,
            n_spectral_filters_temporal,
            n_fused_filters,
            lengths["temporal_conv_kernel_size"],
            lengths["mvp_kernel_sizes"],
            lengths.get("spt_attn_global_context_kernel"),
            spt_attn_epsilon,
            spt_attn_mode,
            activation,
        )
        n_windows = self.encoder.mvp.n_windows(self.n_times)
        self.n_features = n_fused_filters // len(n_windows) * sum(n_windows)
        self._make_head()

    def _check_arguments(self, pool_kernels):
        for name, value, least in (
            ("n_spectral_filters_temporal", self.n_spectral_filters_temporal, 1),
            ("n_fused_filters", self.n_fused_filters, 1),
            ("temporal_conv_kernel_size", self.temporal_conv_kernel_size, 1),
            ("spt_attn_global_context_kernel", self.spt_attn_global_context_kernel, 2),
            *(("mvp_kernel_sizes", size, 2) for size in pool_kernels),
        ):
            if not isinstance(value, Integral) or value < least:
                raise ValueError(f"{name}={value} must be a whole number of at least {least}")
        n_scales = len(pool_kernels)
        if n_scales == 0 or self.n_fused_filters % n_scales:
            raise ValueError(
                f"n_fused_filters={self.n_fused_filters} must be a multiple of the number of "
                f"mvp_kernel_sizes={pool_kernels}, of which there must be at least one"
            )
        for name, value, valid, allowed in (
            ("proto_sep_maxnorm", self.proto_sep_maxnorm, self.proto_sep_maxnorm > 0, "positive"),
            ("proto_cpt_std", self.proto_cpt_std, self.proto_cpt_std >= 0, "0 or positive"),
            ("spt_attn_epsilon", self.spt_attn_epsilon, self.spt_attn_epsilon > 0, "positive"),
            ("spt_attn_mode", self.spt_attn_mode, self.spt_attn_mode in ATTENTION_MODES, "var, l2 or l1"),
            (
                "activation",
                self.activation,
                self.activation is None or callable(self.activation),
                "a torch.nn.Module class or None",
            ),
        ):
            if not valid:
                raise ValueError(f"{name}={value!r} must be {allowed}")

    def _layers(self):
        encoder, n_rows, n_times = self.encoder, self.encoder.chan_conv[0].in_channels, self.n_times
        n_fused, n_taps = self.n_fused_filters, encoder.temporal_conv.taps.shape[-1]
        return [
            ("encoder.temporal_conv", (n_rows, n_times), n_rows * n_times * n_taps),
            ("encoder.spt_attn", (n_rows, n_times), None),
            ("encoder.chan_conv.0", (n_fused, n_times), n_fused * n_rows * n_times),
            ("encoder.chan_conv.1", (n_fused, n_times), None),
            ("encoder.mvp", (self.n_features,), None),
            ("proto_sep", (self.n_outputs,), self.n_outputs * self.n_features),
            ("proto_cpt", None, None),
        ]

    def _make_head(self):
        like = self.encoder.chan_conv[0].weight
        self.proto_sep = nn.Parameter(like.new_empty(self.n_outputs, self.n_features))
        self.proto_cpt = nn.Parameter(like.new_empty(self.n_outputs, self.n_features))
        nn.init.kaiming_normal_(self.proto_sep)
        nn.init.normal_(self.proto_cpt, std=self.proto_cpt_std)

    def forward_features(self, x):
        """Encode trials: (batch, n_chans, n_times) -> (batch, n_features)."""
        if x.shape[1:] != (self.n_chans, self.n_times):
            raise ValueError(
                f"x has shape {tuple(x.shape)}; this network takes (batch, {self.n_chans}, {self.n_times})"
            )
        if self.training or x.device.type != "cpu":
            return self.encoder(x)
        # trials are independent of each other here: the activations of a few stay in the cache
        return torch.cat([self.encoder(few) for few in x.split(CACHED_TRIALS)])

    def forward_head(self, features):
        """Products with the projected separation prototypes: (batch, n_features) -> (batch, n_outputs)."""
        prototypes = self.proto_sep.renorm(2, 0, self.proto_sep_maxnorm)
        if self.training:
            # .data: a projection that changes nothing, in a second forward pass before the backward pass,
            # must not invalidate what the first one saved.
            self.proto_sep.data.copy_(prototypes.detach())
            prototypes = self.proto_sep
        return linear(features, prototypes)

    def gates(self, x):
        """Attention gates of trials.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_chans, n_times)
            Trials.

        Returns
        -------
        torch.Tensor, shape (batch, n_spectral_filters_temporal, n_chans)
            Factor of each filtered channel, between 0 and 2; 1 before training.
        """
        return self.encoder.gates(x)

    def forward(self, x, return_features=None):
        """Classify trials.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_chans, n_times)
            Trials, in the unit the network was trained on.
        return_features : bool, optional
            Give the features as well; by default as the network was told when it was made.

        Returns
        -------
        torch.Tensor, shape (batch, n_outputs), or dict
            Logits; with ``return_features`` the dict ``{"features": (batch, n_features), "logits":
            (batch, n_outputs), "proto_cpt": (n_outputs, n_features)}``.
        """
        features = self.forward_features(x)
        logits = self.forward_head(features)
        if self.return_features if return_features is None else return_features:
            return {"features": features, "logits": logits, "proto_cpt": self.proto_cpt}
        return logits
