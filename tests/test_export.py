"""Exported estimators compute what the estimators compute."""

import json
import sys

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from torch import nn

from skeeg import (
    AttentionBaseNetClassifier,
    EEGArray,
    EEGClassifier,
    EuclideanAlignment,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.export import export_onnx, to_torch

NAMES = ["C3", "Cz", "C4", "Fz"]
BASE = {"n_temporal_filters": 4, "pool_length_inp": 20, "pool_stride_inp": 5, "pool_length": 4}
SST = {
    "n_fused_filters": 6,
    "temporal_conv_kernel_size": 15,
    "mvp_kernel_sizes": [20, 51],
    "spt_attn_global_context_kernel": 50,
}
SINC = {"num_time_filters": 4, "pool_size": 25}
LIGHT = {"n_bands": [(4, 8), (8, 12)], "win_len": 40}


def data(seed=0):
    rng = np.random.default_rng(seed)
    X = 3 + 10 * rng.standard_normal((21, 4, 130)).astype(np.float32)
    return EEGArray(X, 100.0, NAMES), np.repeat(["feet", "left", "right"], 7)


def fitted(estimator):
    """Fitted, with weights far from the initial ones, where gates are 1 and gains are alike."""
    X, y = data()
    clf = estimator[-1] if hasattr(estimator, "steps") else estimator
    clf.set_params(max_epochs=1, random_state=0)
    estimator.fit(X, y)
    generator = torch.Generator().manual_seed(0)
    for parameter in clf.module_.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return estimator


def assert_exports(module, estimator):
    X, _ = data(1)
    x = np.array(X)
    for n in (1, 5):
        logits, probabilities = (out.numpy() for out in module(torch.from_numpy(x[:n])))
        np.testing.assert_allclose(probabilities, estimator.predict_proba(x[:n]), atol=2e-5)
        expected = estimator.decision_function(x[:n])
        rounding = 1e-6 * np.abs(expected).max()  # of the largest terms that a logit is a sum of
        np.testing.assert_allclose(logits, expected, rtol=2e-4, atol=max(2e-4, rounding))


MODES = ["se", "gsop", "fca", "encnet", "eca", "ge", "gct", "srm", "cbam", "cat", "catlite"]


@pytest.mark.parametrize(
    "clf",
    [
        SSTDPNClassifier(**SST),
        SSTDPNClassifier(**SST, spt_attn_mode="l1"),
        SSTDPNClassifier(**SST | {"temporal_conv_kernel_size": 14}, spt_attn_mode="l2"),
        SincShallowNetClassifier(**SINC),
        SincShallowNetClassifier(**SINC, padding="valid", max_norm_spatial=0.5, max_norm_dense=0.25),
        FBLightConvNetClassifier(**LIGHT),
        FBLightConvNetClassifier(**LIGHT, filter_parameters="chebyshev2"),
        FBLightConvNetClassifier(**LIGHT, filter_parameters={"filter_length": 201}, activation=None),
        FBLightConvNetClassifier(**LIGHT, filter_parameters={"phase": "minimum"}),
        AttentionBaseNetClassifier(**BASE),
        AttentionBaseNetClassifier(**BASE, temp_filter_length_inp=24, spatial_expansion=2),
        AttentionBaseNetClassifier(**BASE, temp_filter_length=4),
        *(AttentionBaseNetClassifier(**BASE, attention_mode=mode) for mode in MODES),
    ],
    ids=lambda clf: type(clf).__name__[:6] + str(getattr(clf, "attention_mode", "")),
)
def test_plain_form_computes_the_same(clf):
    fitted(clf)
    before = {k: v.clone() for k, v in clf.module_.state_dict().items()}
    module = to_torch(clf)
    assert_exports(module, clf)
    assert not any(p.requires_grad for p in module.parameters())
    # what was exported is a copy
    for parameter in module.parameters():
        parameter.data.zero_()
    assert all(torch.equal(v, before[k]) for k, v in clf.module_.state_dict().items())
    assert any(p.requires_grad for p in clf.module_.parameters())


@pytest.mark.parametrize(
    "clf",
    [
        SSTDPNClassifier(**SST),
        SincShallowNetClassifier(**SINC),
        SincShallowNetClassifier(**SINC, activation=None),
        FBLightConvNetClassifier(**LIGHT),
        FBLightConvNetClassifier(**LIGHT, activation=None),
        AttentionBaseNetClassifier(**BASE),
    ],
    ids=lambda clf: f"{type(clf).__name__[:6]}-{clf.activation is None}",
)
def test_any_batch_size_also_without_gradients(clf):
    fitted(clf)
    x, sizes = torch.from_numpy(np.array(data(1)[0])), {0: torch.export.Dim("batch", min=2)}
    with torch.no_grad():
        exported = torch.export.export(to_torch(clf), (x[:2],), dynamic_shapes=(sizes,))
    torch.testing.assert_close(exported.module()(x)[0], to_torch(clf)(x)[0], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    "clf",
    [SSTDPNClassifier(**SST), SincShallowNetClassifier(**SINC), AttentionBaseNetClassifier(**BASE)],
    ids=lambda clf: type(clf).__name__,
)
def test_normalisations_without_affine_or_statistics(clf):
    kinds = nn.BatchNorm1d, nn.BatchNorm2d
    norms = [(name, m) for name, m in fitted(clf).module_.named_modules() if isinstance(m, kinds)]
    for name, norm in norms:
        other = type(norm)(norm.num_features, affine=False)
        other.load_state_dict({k: v for k, v in norm.state_dict().items() if k not in ("weight", "bias")})
        clf.module_.set_submodule(name, other.eval())
    assert_exports(to_torch(clf), clf)
    for name, norm in norms:
        clf.module_.set_submodule(name, type(norm)(norm.num_features, track_running_stats=False))
    if type(clf) is not SSTDPNClassifier:  # whose normalisation is exported as it is
        with pytest.raises(ValueError, match="takes the statistics of each batch, which has no plain form"):
            to_torch(clf)


@pytest.mark.parametrize("method", ["standard", "robust", "microvolt"])
def test_scaling_and_alignment_are_part_of_it(method):
    pipe = fitted(
        make_pipeline(Scaler(method), EuclideanAlignment(), SincShallowNetClassifier(**SINC, sfreq=100))
    )
    assert_exports(to_torch(pipe), pipe)


def test_channels_of_a_new_montage_are_part_of_it():
    X, y = data()
    base = SSTDPNClassifier(**SST, max_epochs=1).fit(X[:, [2, 0, 3]], y)
    clf = SSTDPNClassifier(**SST, pretrained=FrozenEstimator(base))
    assert_exports(to_torch(fitted(clf)), clf)


class MeanPower(nn.Module):
    def __init__(self, n_chans, n_outputs):
        super().__init__()
        self.head = nn.Linear(n_chans, n_outputs)

    def forward(self, x):
        return self.head(x.square().mean(-1).log())


class MeanPowerClassifier(EEGClassifier):
    module = MeanPower


def test_a_network_of_ones_own_is_exported_as_it_is_written():
    pipe = fitted(make_pipeline(Scaler(), MeanPowerClassifier()))
    assert_exports(to_torch(pipe), pipe)


def test_other_steps_are_refused_by_name():
    from sklearn.preprocessing import FunctionTransformer

    pipe = make_pipeline(FunctionTransformer(), SSTDPNClassifier(**SST, max_epochs=1)).fit(*data())
    with pytest.raises(ValueError, match=r"step 'functiontransformer' is a FunctionTransformer"):
        to_torch(pipe)


def test_zero_phase_iir_banks_are_refused():
    clf = FBLightConvNetClassifier(**LIGHT, filter_parameters={"method": "iir"}, max_epochs=1).fit(*data())
    with pytest.raises(ValueError, match="zero-phase IIR filters"):
        to_torch(clf)


@pytest.mark.parametrize(
    "clf",
    [
        SSTDPNClassifier(**SST),
        AttentionBaseNetClassifier(**BASE, attention_mode="cat"),
        SincShallowNetClassifier(**SINC),
        FBLightConvNetClassifier(**LIGHT),
    ],
    ids=lambda clf: type(clf).__name__,
)
def test_onnx_runtime_computes_the_same(clf, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    pipe = fitted(make_pipeline(Scaler(), clf))
    path = tmp_path / "model.onnx"
    export_onnx(pipe, path)
    session = runtime.InferenceSession(path)

    def module(x):
        return [torch.from_numpy(out) for out in session.run(None, {"trials": x.numpy()})]

    assert [out.name for out in session.get_outputs()] == ["logits", "probabilities"]
    assert session.get_inputs()[0].shape == ["batch", 4, 130]
    assert [out.shape for out in session.get_outputs()] == [["batch", 3], ["batch", 3]]
    assert_exports(module, pipe)
    metadata = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert metadata == {"classes": ["feet", "left", "right"], "sfreq": 100.0, "ch_names": NAMES}
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_a_classifier_alone_says_that_scaling_is_left_out(tmp_path, recwarn):
    pytest.importorskip("onnxscript")
    pipe = fitted(make_pipeline(Scaler(), SincShallowNetClassifier(**SINC, sfreq=100)))
    recwarn.clear()
    with pytest.warns(UserWarning, match=r"standard deviation of 1, as Scaler leaves them: steps before it"):
        pipe[-1].export_onnx(tmp_path / "model.onnx")
    recwarn.clear()
    export_onnx(pipe, tmp_path / "model.onnx")
    fitted(SincShallowNetClassifier(**SINC)).export_onnx(tmp_path / "model.onnx")
    assert not [w for w in recwarn if "Scaler" in str(w.message)]


def test_onnx_says_how_to_install_itself(tmp_path, monkeypatch):
    clf = SSTDPNClassifier(**SST, max_epochs=1).fit(*data())
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'skeeg\[onnx\]'"):
        clf.export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
