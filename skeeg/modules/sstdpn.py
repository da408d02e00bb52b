"""SST-DPN: filters in time, gates on filtered channels, pools variances, classifies by prototypes."""

from __future__ import annotations

from numbers import Integral

import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.base import EEGModule
from skeeg.modules.compute import (
    Folded,
    apply,
    few_trials,
    full_precision,
    joined,
    map_with_gradients,
    may_write_parameters,
    n_samples,
)
from skeeg.modules.layers.activation import activate, in_place, is_plain, is_plain_elu
from skeeg.modules.layers.batch_norm import (
    Centre,
    norm_gain,
    normalise_centred,
    scale_and_bias,
    tensors_of,
    uses_batch_statistics,
)
from skeeg.modules.layers.linear import linear, shared_product
from skeeg.modules.layers.response import tap_response
from skeeg.modules.layers.spectral import (
    bin_weights,
    fft_length,
    filter_and_mix_trials,
    fir_response,
    interleaved,
    spectrum,
)
from skeeg.modules.layers.variance_pooling import MultiScaleVariancePool
from skeeg.modules.layers.windows import fit_lengths

ATTENTION_MODES = ("var", "l2", "l1")
TRIALS_A_PIECE = 16  # in a thread: the operations on fewer are too short, on more too large


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
        n_taps = n_samples(self.weight)
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

    def weights(self):
        """Parameters as vectors, one entry a filtered channel."""
        return [parameter[0, :, 0] for parameter in (self.alpha, self.gamma, self.beta)]

    def gates(self, context, alpha, gamma, beta):
        """Variance ("var"), energy ("l2") or sum of magnitudes ("l1"), (batch, rows) -> gates."""
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
        self.chan_conv = nn.Sequential(
            nn.Conv1d(n_rows, n_fused, 1), nn.BatchNorm1d(n_fused), in_place(activation)
        )
        self.mvp = MultiScaleVariancePool(pool_kernels)
        self._folded = Folded()

    def forward(self, x):
        fusion, norm, activation = self.chan_conv
        # Threads know neither the parameters nor the random numbers that another activation may have, and
        # hooks are to see whole batches.
        elu = is_plain_elu(activation)
        plain = (elu or is_plain(activation, nn.Identity)) and is_plain(self.mvp, MultiScaleVariancePool)

        def encode(x, *shared):
            return (self.mvp(*self._fuse(x, *shared), elu=elu),)

        def pool(centred, shift, gain):
            return (self.mvp(centred, shift, gain, elu),)

        with full_precision(x):  # there are no half-precision transforms
            x = x.to(fusion.weight.dtype)
            pieces, n_times = [(x[trials],) for trials in few_trials(x, TRIALS_A_PIECE)], n_samples(x)
            if uses_batch_statistics(norm):
                pieces = map_with_gradients(self._fuse_and_centre, pieces, self._shared(n_times))
                y, *moments = zip(*pieces, strict=True)
                gain, shift = normalise_centred(norm, n_times, *map(torch.cat, moments))
                if plain:
                    shifts = [shift] if len(y) == 1 else shift.split([len(part) for part in y])
                    pieces = list(zip(y, shifts, strict=True))
                    return joined([f for (f,) in map_with_gradients(pool, pieces, [gain])])
                y = joined(y) * gain.unsqueeze(-1)
            else:
                conv = self.temporal_conv
                weights = [fusion.weight, fusion.bias, conv.weight, conv.bias]
                weights += [*self.spt_attn.weights(), *tensors_of(norm)]
                settings = {"n_times": n_times, "eps": norm.eps}
                shared = self._folded(lambda: self._shared(n_times), *weights, **settings)
                if plain:
                    return joined([f for (f,) in map_with_gradients(encode, pieces, shared)])
                y, shift = map(joined, zip(*map_with_gradients(self._fuse, pieces, shared), strict=True))
            return self.mvp(activate(activation, y + shift.unsqueeze(-1)))

    def _shared(self, n_times):
        """What all trials share: weight and bias of the fusion, and filters."""
        fusion, norm, _ = self.chan_conv
        weight, bias = fusion.weight.squeeze(-1).T.contiguous(), fusion.bias
        if not uses_batch_statistics(norm):  # the statistics are fixed: normalisation is part of the mixing
            scale, offset = scale_and_bias(norm, bias)
            scale = scale * (norm.running_var + norm.eps).rsqrt()
            weight, bias = weight * scale, (bias - norm.running_mean) * scale + offset
        return weight, bias, *self._filters(n_times)

    def _fuse(self, x, weight, bias, filter_bias, responses, *context_filters):
        """Trials -> fused channels (batch, n_fused, n_times), and what to add to them (batch, n_fused)."""
        spectra = spectrum(x, self._n(n_samples(x)))
        mixing = weight * self._gates(x, spectra, filter_bias, responses, *context_filters).unsqueeze(-1)
        shift = bias + (filter_bias.repeat_interleave(x.shape[1]).unsqueeze(-1) * mixing).sum(1)
        return filter_and_mix_trials(spectra, responses, mixing, n_samples(x)), shift

    def _fuse_and_centre(self, x, *shared):
        """Fused channels less their means, means, energies, and what to add to the means."""
        y, shift = self._fuse(x, *shared)
        return *apply(Centre, y), shift

    def gates(self, x):
        """Gates of trials, (batch, n_chans, n_times) -> (batch, n_filters, n_chans)."""
        x = x.to(self.spt_attn.gamma.dtype)
        gates = self._gates(x, spectrum(x, self._n(n_samples(x))), *self._filters(n_samples(x)))
        return gates.unflatten(1, (-1, x.shape[1]))

    def _n(self, n_times):
        """Length of a transform: circular, the filtered signals are right in the samples of the trial."""
        return fft_length(n_times + max(self.temporal_conv.padding))

    def _covered(self, n_times):
        """Samples that whole context windows cover, and samples that the filters see from within them."""
        window = self.context_kernel if self.spt_attn.mode == "var" else n_times
        covered = n_times // window * window
        return window, covered, min(n_times, covered + self.temporal_conv.padding[1])

    def _filters(self, n_times):
        """What all trials share, from the parameters."""
        conv, attention = self.temporal_conv, self.spt_attn
        taps, (left, right) = conv.taps, conv.padding
        n = self._n(n_times)
        responses = fir_response(taps, n, left)
        filters = [conv.bias, responses, *attention.weights()]
        if attention.mode == "l1":
            return filters
        _, covered, reach = self._covered(n_times)
        seen = responses
        if reach < n_times:
            n = self._n(reach)
            seen = fir_response(taps, n, left)
        energies = bin_weights(n, seen) * (seen.real.square() + seen.imag.square())
        energies = energies.repeat_interleave(2, -1)
        sums = taps.flip(-1).cumsum(-1).flip(-1)
        # from samples at the ends of a trial to what the filters give beyond the windows
        start = _hankel(taps, right).flip(1).flatten(0, 1)
        end = _hankel(taps.flip(-1), reach - covered + left).flip(2).flatten(0, 1)
        return [*filters, energies.T, start.T, end.T, sums.T]

    def _gates(self, x, spectra, bias, responses, alpha, gamma, beta, *context_filters):
        """Gates from trials and their spectra: (batch, rows)."""
        if self.spt_attn.mode == "l1":  # not a quadratic form: the filtered signals themselves
            z = torch.fft.irfft(spectra.unsqueeze(1) * responses.unsqueeze(1), self._n(n_samples(x)))
            context = (z[..., : n_samples(x)] + bias[:, None, None]).abs().sum(-1)  # (batch, F, C)
        else:
            context = self._context(x, spectra, bias, *context_filters)
        return self.spt_attn.gates(context.flatten(1), alpha, gamma, beta)

    def _context(self, x, spectra, bias, energies, start, end, sums):
        """Variance or energy of each filtered channel: (batch, F, C)."""
        n_times = n_samples(x)
        left, right = self.temporal_conv.padding
        window, covered, reach = self._covered(n_times)
        if reach < n_times:
            spectra = spectrum(x[..., :reach], self._n(reach))
        # Energy of the circular convolution, by Parseval, less that of its samples outside the windows
        n_filters = len(bias)
        energy = shared_product(interleaved(spectra).square(), energies)  # (batch, C, F)
        before = shared_product(x[..., :right], start).unflatten(-1, (n_filters, -1))
        after = shared_product(x[..., covered - left : reach], end).unflatten(-1, (n_filters, -1))
        apart = min(self._n(reach) - reach - left, right)  # less than ``right`` where they overlap
        outside = F.pad(after, (0, apart)) + F.pad(before, (n_samples(after) + apart - right, 0))
        energy = energy - outside.square().sum(-1)
        # The sum over a window that tap k sees is that of tap k - 1, plus the sample that enters and minus
        # the one that leaves: the first of these sums counts for all taps, a step for those from tap k on.
        padded = F.pad(x[..., :reach], (left, covered + right - reach))
        seen = padded[..., :covered].unflatten(-1, (-1, window)).sum(-1, keepdim=True)
        if left + right:
            seen = torch.cat([seen, padded.unfold(-1, left + right, window).diff(dim=-2)], -1)
        sums = shared_product(seen.flatten(1, 2), sums)
        sums = sums.unflatten(1, seen.shape[1:3])  # (batch, C, windows, F)
        if self.spt_attn.mode == "var":  # mean over windows of E[z^2] - E[z]^2, which no bias changes
            context = (energy - sums.square().sum(2) / window) / covered
        else:  # sum over times of (z + bias)^2
            context = energy + 2 * bias * sums.sum(2) + n_times * bias.square()
        return context.clamp(min=0).mT


def _hankel(taps, size):
    """Matrices [[a, b, c], [b, c, 0], [c, 0, 0]] of the last taps a, b, c: (n_filters, size, size)."""
    if size == 0:
        return taps.new_zeros(taps.shape[0], 0, 0)
    return F.pad(taps[:, n_samples(taps) - size :], (0, size - 1)).unfold(-1, size, 1)


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
    n_chans, n_outputs, n_times, input_window_seconds, sfreq, chs_info
        Of the data, see `EEGModule`; ``sfreq`` is not read for anything else.
    n_spectral_filters_temporal, ..., activation
        Of the architecture: those of :class:`skeeg.SSTDPNClassifier`.
    return_features : bool, default=False
        What ``forward`` gives when it is not told: logits, or a dict of features, logits and compactness
        prototypes, which `skeeg.modules.losses.DualPrototypeLoss` takes.

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

    See Also
    --------
    skeeg.SSTDPNClassifier : As an estimator.
    skeeg.modules.losses.DualPrototypeLoss : Its loss.

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
       113315. https://doi.org/10.1016/j.knosys.2025.113315

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
        x = self._checked(x)
        return self._no_features(x) if x.shape[0] == 0 else self.encoder(x)

    def forward_head(self, features):
        """Products with the projected separation prototypes: (batch, n_features) -> (batch, n_outputs)."""
        prototypes = self.proto_sep.renorm(2, 0, self.proto_sep_maxnorm)
        if self.training and may_write_parameters():
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
        return self.encoder.gates(self._checked(x))

    def temporal_response(self, frequencies):
        """Frequency responses of the temporal filters, (n_filters, n_freqs), see `AttentionBaseNet`."""
        conv = self.encoder.temporal_conv
        return tap_response(conv.taps, frequencies, -conv.padding[0])

    def spatial_weights(self, gates):
        """Weights of each virtual electrode in the filtered channels, through gates and normalisation.

        Parameters
        ----------
        gates : torch.Tensor, shape (n_filters, n_chans)
            Gates, such as the mean of those of some trials; ones for none.

        Returns
        -------
        torch.Tensor, shape (n_fused_filters, n_filters, n_chans)
        """
        fusion, norm, _ = self.encoder.chan_conv
        weight = fusion.weight.detach().unflatten(1, gates.shape).squeeze(-1) * gates
        return weight * norm_gain(norm, weight)[:, None, None]

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
