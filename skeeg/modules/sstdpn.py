"""SST-DPN: spatial-spectral and temporal dual prototype network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from skeeg.modules.base import EEGModule
from skeeg.modules.pooling import MultiScaleVariancePool
from skeeg.modules.spectral import fft_length, fir_response, spectrum
from skeeg.modules.windows import fit_lengths

ATTENTION_MODES = ("var", "l2", "l1")


class _FilterAndMix(torch.autograd.Function):
    r"""Filter electrodes in time, then mix them with a matrix of each trial's own.

    U[b, o] = sum_{f, c} mixing[b, o, (f, c)] H_f X[b, c], and the inverse transform of U, whose first
    ``n_times`` samples are the result. The filtered signals Z = H_f X_c are made for a few trials at a time,
    small enough to stay in the processor's cache between the product that makes them and the matrix product
    that uses them, and are made again in backward rather than kept.

    Shapes: spectra (batch, n_chans, n_bins) and responses (n_filters, n_bins), complex; mixing
    (batch, n_mixed, n_filters * n_chans); offset (batch, n_mixed), added to each sample; result
    (batch, n_mixed, n_times).
    """

    generate_vmap_rule = True
    CACHE = 4 * 2**20  # bytes of filtered spectra at a time, on a CPU

    @staticmethod
    def forward(spectra, responses, mixing, offset, n, n_times):
        mixed = []
        for trials in _FilterAndMix.chunks(spectra, responses):
            filtered = _filtered(spectra[trials], responses)
            u = torch.bmm(mixing[trials], filtered)
            u[..., 0] += n * offset[trials]  # the real part of bin 0 is the sum over n samples
            u = torch.view_as_complex(u.unflatten(-1, (-1, 2)))
            mixed.append(torch.fft.irfft(u, n)[..., :n_times])
        return torch.cat(mixed)

    @staticmethod
    def chunks(spectra, responses):
        batch = len(spectra)
        if spectra.device.type == "cpu":
            bytes_per_trial = spectra[0].numel() * len(responses) * spectra.element_size()
            step = max(1, _FilterAndMix.CACHE // bytes_per_trial)
        else:
            step = batch
        return [slice(i, i + step) for i in range(0, batch, step)]

    @staticmethod
    def setup_context(ctx, inputs, output):
        spectra, responses, mixing, _, ctx.n, _ = inputs
        ctx.save_for_backward(spectra, responses, mixing)

    @staticmethod
    def backward(ctx, grad):
        spectra, responses, mixing = ctx.saved_tensors
        need_spectra, need_responses, *_ = ctx.needs_input_grad
        # irfft counts every bin twice (for its mirror image) but the first and, for even n, the last
        counts = torch.full(responses.shape[-1:], 2 / ctx.n, dtype=grad.dtype, device=grad.device)
        counts[0] = 1 / ctx.n
        if ctx.n % 2 == 0:
            counts[-1] = 1 / ctx.n
        responses = responses * counts
        grad_spectra, grad_responses, grad_mixing, grad_offset = [], 0, [], []
        for trials in _FilterAndMix.chunks(spectra, responses):
            x = spectra[trials]
            g = torch.view_as_real(torch.fft.rfft(grad[trials], ctx.n)).flatten(-2)
            grad_offset.append(g[..., 0])
            grad_mixing.append(torch.bmm(g, _filtered(x, responses).mT))
            if need_spectra or need_responses:
                z = torch.bmm(mixing[trials].mT, g).unflatten(-1, (-1, 2))
                z = torch.view_as_complex(z).unflatten(1, (len(responses), -1))
                if need_responses:
                    grad_responses = grad_responses + (z * x.conj().unsqueeze(1)).sum((0, 2))
                if need_spectra:
                    grad_spectra.append((z * responses.conj().unsqueeze(1)).sum(1))
        return (
            torch.cat(grad_spectra) if need_spectra else None,
            grad_responses * counts if need_responses else None,
            torch.cat(grad_mixing),
            torch.cat(grad_offset),
            None,
            None,
        )


def _filtered(spectra, responses):
    """(batch, C, bins) by (F, bins) -> (batch, F * C, 2 * bins), real and imaginary parts interleaved."""
    z = spectra.unsqueeze(1) * responses.unsqueeze(1)
    return torch.view_as_real(z.flatten(1, 2)).flatten(-2)


class _TemporalConv(nn.Module):
    """The taps of the temporal filters; `SSTEncoder` applies them."""

    def __init__(self, n_filters, kernel_size):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_filters, 1, kernel_size))
        self.bias = nn.Parameter(torch.zeros(n_filters))
        nn.init.xavier_uniform_(self.weight)


class _SpatialSpectralAttention(nn.Module):
    """The scale, slope and shift of the gates; `SSTEncoder` computes what they act on."""

    def __init__(self, n_rows, mode, epsilon):
        super().__init__()
        self.mode, self.epsilon = mode, epsilon
        self.alpha = nn.Parameter(torch.ones(1, n_rows, 1))
        self.gamma = nn.Parameter(torch.zeros(1, n_rows, 1))
        self.beta = nn.Parameter(torch.zeros(1, n_rows, 1))

    def forward(self, context):
        """Gates of rows, (batch, n_rows), from their variance ("var"), energy ("l2") or sum |z| ("l1")."""
        alpha, gamma, beta = (p[0, :, 0] for p in (self.alpha, self.gamma, self.beta))
        if self.mode == "l1":
            return 1 + torch.tanh(gamma * context / (context.mean(1, keepdim=True) + self.epsilon) + beta)
        embedding = (context + self.epsilon).sqrt()
        if self.mode == "var":
            embedding = embedding * alpha
        scale = (embedding.square().mean(1, keepdim=True) + self.epsilon).rsqrt()
        return 1 + torch.tanh(gamma * embedding * scale + beta)


class SSTEncoder(nn.Module):
    """(placeholder)"""

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
        self.kernel_size = kernel_size
        self.context_kernel = context_kernel
        self.temporal_conv = _TemporalConv(n_filters, kernel_size)
        self.spt_attn = _SpatialSpectralAttention(n_filters * n_chans, mode, epsilon)
        self.chan_conv = nn.Sequential(
            nn.Conv1d(n_filters * n_chans, n_fused, 1), nn.BatchNorm1d(n_fused), activation()
        )
        self.mvp = MultiScaleVariancePool(pool_kernels)

    def forward(self, x):
        """(batch, n_chans, n_times) -> features (batch, n_features)."""
        fusion, norm, activation = self.chan_conv
        n_times, left = x.shape[-1], (self.kernel_size - 1) // 2
        n = fft_length(n_times + self.kernel_size - 1)
        spectra = spectrum(x, n)
        responses = fir_response(self.temporal_conv.weight.squeeze(1), n, left)
        gate = self.spt_attn(self._context(x, spectra, responses))  # (batch, F * C)
        mixing = fusion.weight.squeeze(-1) * gate.unsqueeze(1)  # (batch, fused, F * C)
        n_chans = x.shape[1]
        offset = mixing @ self.temporal_conv.bias.repeat_interleave(n_chans) + fusion.bias  # (batch, fused)
        if not norm.training:  # fixed statistics: part of the mixing
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            mixing = mixing * scale.unsqueeze(-1)
            offset = (offset - norm.running_mean) * scale + norm.bias
        fused = _FilterAndMix.apply(spectra, responses, mixing, offset, n, n_times)
        if norm.training:
            fused = norm(fused)
        return self.mvp(activation(fused))

    def _context(self, x, spectra, responses):
        """What the gates depend on: (batch, F * C), filter-major as the rows of the fusion."""
        taps, bias = self.temporal_conv.weight.squeeze(1), self.temporal_conv.bias
        n_taps = taps.shape[-1]
        n_times = x.shape[-1]
        left, right = (n_taps - 1) // 2, n_taps // 2
        mode = self.spt_attn.mode
        if mode == "l1":
            n = fft_length(n_times + n_taps - 1)
            z = torch.fft.irfft(spectra.unsqueeze(1) * responses.unsqueeze(1), n)[..., :n_times]
            return (z + bias[:, None, None]).abs().sum(-1).flatten(1)
        window = self.context_kernel if mode == "var" else n_times
        n_windows = n_times // window
        covered = n_windows * window
        tail = min(n_times - covered, right)  # samples beyond the windows that the filters reach
        if covered + tail < n_times:
            x = x[..., : covered + tail]
            n = fft_length(covered + tail + n_taps - 1)
            spectra, responses = spectrum(x, n), fir_response(taps, n, left)
        n = fft_length(x.shape[-1] + n_taps - 1)
        energy = _energy(spectra, responses, n)
        energy = energy - _energy_of_ends(x, taps, covered)  # (batch, C, F)
        sums = _window_sums(x, taps, window, n_windows)  # (batch, C, n_windows, F)
        if mode == "var":
            context = (energy - sums.square().sum(2) / window) / covered
        else:
            context = energy + 2 * bias * sums[:, :, 0] + n_times * bias.square()
        return context.clamp(min=0).mT.flatten(1)


def _energy(spectra, responses, n):
    """Energy of every channel through every filter, by Parseval: (batch, C, F)."""
    counts = torch.full(responses.shape[-1:], 2 / n, dtype=responses.real.dtype, device=responses.device)
    counts[0] = 1 / n
    if n % 2 == 0:
        counts[-1] = 1 / n
    power = spectra.real.square() + spectra.imag.square()
    gain = (responses.real.square() + responses.imag.square()) * counts
    return power @ gain.mT


def _energy_of_ends(x, taps, covered):
    """Energy of the full convolution outside its samples 0 to ``covered``: (batch, C, F)."""
    n_taps = taps.shape[-1]
    left, right = (n_taps - 1) // 2, n_taps // 2
    energy = 0
    if right:
        before = F.pad(taps[:, left + 1 :], (0, right - 1)).unfold(-1, right, 1)
        energy = energy + _squares(x[..., :right], before)
    size = x.shape[-1] - covered + left
    if size:
        after = F.pad(taps[:, :size], (size - 1, 0)).unfold(-1, size, 1)
        energy = energy + _squares(x[..., -size:], after)
    return energy


def _squares(x, matrices):
    """(batch, C, n), (F, m, n) -> sum over m of squares: (batch, C, F)."""
    return (x @ matrices.flatten(0, 1).mT).unflatten(-1, matrices.shape[:2]).square().sum(-1)


def _window_sums(x, taps, window, n_windows):
    n_taps = taps.shape[-1]
    left, right = (n_taps - 1) // 2, n_taps // 2
    padded = F.pad(x, (left, max(0, n_windows * window + right - x.shape[-1])))
    first = padded[..., : n_windows * window].unflatten(-1, (n_windows, window)).sum(-1, keepdim=True)
    steps = padded.unfold(-1, n_taps - 1, window)[..., : n_windows + 1, :].diff(dim=-2)
    return torch.cat([first, steps], -1).cumsum(-1) @ taps.mT


class SSTDPN(EEGModule):
    """(placeholder)"""

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
        self._check_arguments()
        lengths = {
            "temporal_conv_kernel_size": temporal_conv_kernel_size,
            "mvp_kernel_sizes": list(self.mvp_kernel_sizes or (50, 100, 200)),
        }
        if spt_attn_mode == "var":
            lengths["spt_attn_global_context_kernel"] = spt_attn_global_context_kernel
        lengths = fit_lengths(
            self.n_times,
            lengths,
            lambda lengths: max(
                lengths["temporal_conv_kernel_size"],
                *lengths["mvp_kernel_sizes"],
                lengths.get("spt_attn_global_context_kernel", 1),
            ),
            minimum={"mvp_kernel_sizes": 2, "spt_attn_global_context_kernel": 2},
            odd=("temporal_conv_kernel_size",),
        )
        self.encoder = SSTEncoder(
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
        pool = self.encoder.mvp
        self.n_features = (
            n_fused_filters // len(pool.kernel_sizes) * sum(pool.n_windows(self.n_times))
        )
        self.reset_head(self.n_outputs)

    def _check_arguments(self):
        pass

    def reset_head(self, n_outputs):
        like = self.encoder.chan_conv[0].weight
        self.n_outputs = n_outputs
        self.proto_sep = nn.Parameter(like.new_empty(n_outputs, self.n_features))
        self.proto_cpt = nn.Parameter(like.new_empty(n_outputs, self.n_features))
        nn.init.kaiming_normal_(self.proto_sep)
        nn.init.normal_(self.proto_cpt, std=self.proto_cpt_std)

    def forward_features(self, x):
        return self.encoder(x)

    def forward_head(self, features):
        if self.training:
            with torch.no_grad():
                self.proto_sep.data.copy_(self.proto_sep.renorm(2, 0, self.proto_sep_maxnorm))
            return F.linear(features, self.proto_sep)
        return F.linear(features, self.proto_sep.renorm(2, 0, self.proto_sep_maxnorm))

    def forward(self, x, return_features=None):
        features = self.forward_features(x)
        logits = self.forward_head(features)
        if return_features is None:
            return_features = self.return_features
        if not return_features:
            return logits
        return {"features": features, "logits": logits, "proto_cpt": self.proto_cpt}
