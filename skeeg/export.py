"""Take trained estimators elsewhere: as one plain torch module, or as an ONNX file.

The layers of skeeg's networks are computed in the frequency domain, which few runtimes know. For deployment
the trained network is written down in convolutions and matrix products, the first batch normalisations folded
in: the same function, to rounding.
"""

from __future__ import annotations

import copy
import json
import logging
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skeeg.files import write_atomically
from skeeg.modules import SSTDPN, AttentionBaseNet, FBLightConvNet, SincShallowNet
from skeeg.modules.layers.batch_norm import scale_and_bias
from skeeg.modules.layers.constraints import renorm_rows
from skeeg.preprocessing import EuclideanAlignment, Scaler
from skeeg.preprocessing.references import whitening

INPUT, OUTPUTS = "trials", ("logits", "probabilities")


def to_torch(estimator) -> nn.Module:
    """Write a fitted estimator, its scaling included, as one plain torch module.

    Parameters
    ----------
    estimator : EEGClassifier, or sklearn.pipeline.Pipeline that ends in one
        Fitted. Other steps may be :class:`skeeg.preprocessing.Scaler` and
        :class:`skeeg.preprocessing.EuclideanAlignment`, which is exported with the reference of all training
        trials.

    Returns
    -------
    torch.nn.Module
        In eval mode, on the CPU. It maps trials, float32 of shape (batch, n_chans, n_times) in the unit and
        the channel order of ``fit``, to logits and probabilities, each (batch, n_classes).

    Raises
    ------
    ValueError
        When a step of the Pipeline has no plain form.

    See Also
    --------
    export_onnx : As a file.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from skeeg import SSTDPNClassifier
    >>> from skeeg.export import to_torch
    >>> X, y = np.random.default_rng(0).standard_normal((20, 3, 250)), np.repeat(["left", "right"], 10)
    >>> clf = SSTDPNClassifier(max_epochs=1).fit(X, y)
    >>> module = to_torch(clf)
    >>> logits, probabilities = module(torch.tensor(X, dtype=torch.float32))
    >>> bool(np.allclose(probabilities.numpy(), clf.predict_proba(X), atol=1e-5))
    True
    >>> batch = torch.export.Dim("batch")
    >>> exported = torch.export.export(module, (torch.zeros(2, 3, 250),), dynamic_shapes=({0: batch},))
    """
    check_is_fitted(estimator)
    *before, (_, classifier) = estimator.steps if isinstance(estimator, Pipeline) else [("", estimator)]
    steps = [_plain_step(name, step) for name, step in before if step not in (None, "passthrough")]
    if classifier.channel_map_ is not None:
        steps.append(_Mix(torch.from_numpy(classifier.channel_map_)))
    with torch.no_grad():
        network = _plain_network(copy.deepcopy(classifier.module_).cpu().eval())
    return _Deployed(*steps, network).float().eval().requires_grad_(False)


def export_onnx(estimator, path) -> None:
    """Write a fitted estimator as an ONNX file; of a whole Pipeline, its scaling included.

    Parameters
    ----------
    estimator : EEGClassifier, or sklearn.pipeline.Pipeline that ends in one
        As in :func:`to_torch`. Of a classifier alone, steps that were before it are left out.
    path : str or os.PathLike
        The file; replaced atomically where it exists.

    Raises
    ------
    ImportError
        When onnx or onnxscript is missing (``pip install 'skeeg[onnx]'``).
    ValueError
        As :func:`to_torch`.

    See Also
    --------
    to_torch : As a module of PyTorch.

    Notes
    -----
    The graph has one input, ``trials``, float32 of shape (batch, n_chans, n_times) for any batch, and two
    outputs, ``logits`` and ``probabilities``, (batch, n_classes). The metadata of the model hold, in JSON,
    ``classes`` (in the order of the columns), ``sfreq`` and ``ch_names``.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError("exporting needs onnx and onnxscript: pip install 'skeeg[onnx]'") from error
    module = to_torch(estimator)
    classifier = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    example = torch.zeros(2, classifier.n_chans_, classifier.n_times_)
    batch = torch.export.Dim("batch")
    exporter = logging.getLogger("torch.onnx._internal.exporter._registration")  # misses torchvision, loudly
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own deprecations
            program = torch.export.export(module, (example,), dynamic_shapes=({0: batch},))
            model = torch.onnx.export(
                program, input_names=[INPUT], output_names=list(OUTPUTS), dynamo=True, verbose=False
            ).model_proto
    finally:
        exporter.setLevel(level)
    _name_batch(model.graph)
    for name, value in (
        ("classes", classifier.classes_.tolist()),
        ("sfreq", classifier.sfreq_),
        ("ch_names", classifier.ch_names_),
    ):
        model.metadata_props.add(key=name, value=json.dumps(value))
    write_atomically(path, model.SerializeToString())


def _name_batch(graph):
    """Call the first axis of inputs and outputs "batch", which the exporter numbers."""
    known = [*graph.input, *graph.output, *graph.value_info]
    symbol = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for dim in (dim for value in known for dim in value.type.tensor_type.shape.dim):
        if dim.dim_param == symbol:
            dim.dim_param = "batch"


class _Deployed(nn.Sequential):
    def forward(self, trials):
        logits = super().forward(trials)
        return logits, logits.softmax(dim=-1)


# ----- steps before the network -----------------------------------------------------------------------------


class _Mix(nn.Module):
    """A matrix over channels: (batch, n_chans, n_times) -> (batch, n_rows, n_times)."""

    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, x):
        return self.matrix @ x


class _Scale(nn.Module):
    def __init__(self, center, scale):
        super().__init__()
        self.register_buffer("center", torch.from_numpy(center.astype(np.float32))[:, None])
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32))[:, None])

    def forward(self, x):
        return (x - self.center) / self.scale


def _plain_step(name, step):
    if isinstance(step, Scaler):
        return _Scale(step.center_, step.scale_)
    if isinstance(step, EuclideanAlignment):
        if step.mode != "batch":
            raise ValueError(
                f"step {name!r} aligns by what it has seen, mode={step.mode!r}, which has no plain form to "
                "export; export the classifier alone, and align before it"
            )
        return _Mix(torch.from_numpy(whitening(step.reference_).astype(np.float32)))
    raise ValueError(
        f"step {name!r} is a {type(step).__name__}, which has no plain form to export; Scaler and "
        "EuclideanAlignment have. Export the classifier alone, and do this step before it"
    )


# ----- networks ---------------------------------------------------------------------------------------------


def _plain_network(net):
    for architecture, features in _PLAIN.items():
        if isinstance(net, architecture):
            return nn.Sequential(features(net), _head(net))
    return net  # a network of the user's own, in the operations that it is written in


def _head(net):
    """The head, a matrix and a bias whatever constraints it is trained under."""
    eye = torch.eye(net.n_features).to(next(net.parameters()))
    bias = net.forward_head(torch.zeros_like(eye[:1]))
    head = nn.Linear(net.n_features, net.n_outputs)
    head.weight.copy_((net.forward_head(eye) - bias).T)
    head.bias.copy_(bias[0])
    return head


def _gain_and_offset(norm):
    """Batch normalisation in eval mode as gain * x + offset."""
    if norm.running_mean is None:
        raise ValueError(
            f"{norm} takes the statistics of each batch, which has no plain form to export; train with "
            "track_running_stats=True"
        )
    weight, bias = scale_and_bias(norm, norm.running_var)
    gain = weight * (norm.running_var + norm.eps).rsqrt()
    return gain, bias - norm.running_mean * gain


class _FilterAndMix(nn.Sequential):
    """Temporal filters, spatial filters and both normalisations: (batch, n_chans, n_times) -> rows.

    Both filters are linear, so the electrodes are mixed first, and each mixed row is filtered by its taps.
    """

    def __init__(self, taps, temporal_norm, spatial, spatial_norm, padding):
        n_rows, n_chans = spatial.shape
        mix = nn.Conv1d(n_chans, n_rows, 1, bias=False)
        filters = nn.Conv1d(n_rows, n_rows, taps.shape[1], padding=padding, groups=n_rows)
        depth = n_rows // len(taps)
        gain, offset = (part.repeat_interleave(depth) for part in _gain_and_offset(temporal_norm))
        spatial_gain, spatial_offset = _gain_and_offset(spatial_norm)
        mix.weight.copy_((spatial * (gain * spatial_gain)[:, None])[..., None])
        filters.weight.copy_(taps.repeat_interleave(depth, 0)[:, None])
        filters.bias.copy_(offset * spatial.sum(1) * spatial_gain + spatial_offset)
        super().__init__(mix, filters)


class _AttentionBaseNet(nn.Module):
    def __init__(self, net):
        super().__init__()
        block, expansion = net.input_block, net.channel_expansion
        taps, spatial = block.temporal_conv.weight[:, 0, 0], block.spatial_conv.weight[:, 0, :, 0]
        self.stem = _FilterAndMix(taps, block.intermediate_bn, spatial, block.bn, taps.shape[1] // 2)
        self.activation = block.activation
        self.pool = nn.AvgPool1d(block.pool.length, block.pool.stride)
        self.expansion = expansion
        self.second = net.channel_attention_block

    def forward(self, x):
        x = self.pool(self.activation(self.stem(x)))
        return self.second(self.expansion(x.unsqueeze(2)).squeeze(2)).flatten(1)


class _SincShallowNet(nn.Module):
    def __init__(self, net):
        super().__init__()
        temporal_norm, conv = net.depthwiseconv
        spatial_norm, self.activation, pool, _, _ = net.temporal_aggregation
        taps, spatial = net.sinc_filter_layer(), conv.weight[:, 0, :, 0]
        if net.max_norm_spatial is not None:
            spatial = renorm_rows(spatial, net.max_norm_spatial)
        padding = taps.shape[1] // 2 if net.padding == "same" else 0
        self.stem = _FilterAndMix(taps, temporal_norm, spatial, spatial_norm, padding)
        self.pool = nn.AvgPool1d(pool.length, pool.stride)

    def forward(self, x):
        return self.pool(self.activation(self.stem(x))).flatten(1)


class _SSTDPN(nn.Module):
    def __init__(self, net):
        super().__init__()
        encoder = net.encoder
        self.temporal_conv, self.attention = encoder.temporal_conv, encoder.spt_attn
        self.window = encoder.context_kernel
        self.fusion, self.pool = encoder.chan_conv, encoder.mvp

    def forward(self, x):
        x = F.pad(x, self.temporal_conv.padding).unsqueeze(1)  # (batch, 1, n_chans, padded times)
        weight = self.temporal_conv.taps[:, None, None]
        x = F.conv2d(x, weight, self.temporal_conv.bias).flatten(1, 2)  # (batch, rows, n_times)
        if self.attention.mode == "var":
            n = x.shape[-1] // self.window
            windows = x[..., : n * self.window].unflatten(-1, (n, self.window))
            context = (windows - windows.mean(-1, keepdim=True)).square().mean((-2, -1))
        else:
            context = (x.square() if self.attention.mode == "l2" else x.abs()).sum(-1)
        gates = self.attention.gates(context, *self.attention.weights())
        return self.pool(self.fusion(x * gates.unsqueeze(-1)))


class _FBLightConvNet(nn.Module):
    """The filter bank as a convolution of the extended trial; the rest of the network as it is."""

    def __init__(self, net):
        super().__init__()
        bank = net._bank
        if not bank.is_convolution:
            raise ValueError(
                "filter_parameters: zero-phase IIR filters are no convolution and have no plain form to "
                'export; train with FIR filters, or with phase="forward"'
            )
        kernels = bank._kernels(net.n_times)
        back = max(first + len(taps) - 1 for first, taps in kernels)
        ahead = max(-first for first, _ in kernels)
        self.reflected = bank._extents(net.n_times)[:2]
        self.zeros = (back - self.reflected[0], ahead - self.reflected[1])
        filters = torch.zeros(len(kernels), 1, 1, back + ahead + 1, dtype=torch.float64)
        for kernel, (first, taps) in zip(filters[:, 0, 0], kernels, strict=True):
            start = back - first - len(taps) + 1  # the tap of lag l is at back - l
            kernel[start : start + len(taps)] = torch.from_numpy(taps[::-1].copy())
        self.register_buffer("filters", filters)
        self.net = net

    def forward(self, x):
        left, right = self.reflected
        before = 2 * x[..., :1] - x[..., 1 : left + 1].flip(-1)
        after = 2 * x[..., -1:] - x[..., x.shape[-1] - 1 - right : -1].flip(-1)
        x = F.pad(torch.cat([before, x, after], -1), self.zeros)
        return self.net.forward_features(F.conv2d(x.unsqueeze(1), self.filters))


_PLAIN = {
    AttentionBaseNet: _AttentionBaseNet,
    FBLightConvNet: _FBLightConvNet,
    SSTDPN: _SSTDPN,
    SincShallowNet: _SincShallowNet,
}
