"""Attention that is shown is what the networks multiply by."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from sklearn.pipeline import make_pipeline

from skeeg import (
    AttentionBaseNetClassifier,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.datasets import make_motor_imagery
from skeeg.inspection import AttentionDisplay, find_attention
from skeeg.modules.attention import ATTENTION_BLOCKS

SHORT = {"max_epochs": 1, "random_state": 0, "verbose": 0}


@pytest.fixture(scope="module")
def data():
    X, y, _ = make_motor_imagery(n_subjects=1, n_trials=24, n_chans=6, difficulty=0.0, random_state=1)
    return X, y


@pytest.mark.parametrize("mode", ATTENTION_BLOCKS)
def test_every_mode_shows_the_factors_of_its_block(data, mode):
    X, y = data
    network = AttentionBaseNetClassifier(attention_mode=mode, n_temporal_filters=4, lr=0.05, **SHORT).fit(
        X, y
    )
    block = network.module_.channel_attention_block.attention_block
    seen = []
    handle = block.register_forward_hook(lambda module, given, output: seen.append((given[0], output)))
    network.decision_function(X)
    handle.remove()
    given, output = (torch.cat(tensors)[:, :, 0].numpy() for tensors in zip(*seen, strict=True))
    gates = network._forward(X, function="gates")
    np.testing.assert_allclose(given * gates, output, rtol=1e-4, atol=1e-6)

    attention = find_attention(network, X, y)
    assert attention.kind == "channels" and attention.classes == ["left_hand", "right_hand"]
    left = attention.table[attention.table["class"] == "left_hand"]["mean"]
    np.testing.assert_allclose(left, gates[y == "left_hand"].mean(axis=(0, 2)), rtol=1e-5)
    assert attention.varies == (mode in ("cbam", "cat"))
    assert AttentionDisplay(attention).plot(figure=Figure()).axes_


def test_gates_of_sstdpn_by_class_filter_and_channel(data):
    X, y = data
    pipeline = make_pipeline(
        Scaler(), SSTDPNClassifier(spt_attn_global_context_kernel=100, lr=0.05, **SHORT)
    ).fit(X, y)
    with torch.no_grad():
        pipeline[-1].module_.encoder.spt_attn.gamma.normal_(generator=torch.Generator().manual_seed(0))
    display = AttentionDisplay.from_estimator(pipeline, X, y, figure=Figure())
    attention = display.attention
    with torch.no_grad():
        gates = pipeline[-1].module_.gates(torch.as_tensor(np.asarray(pipeline[0].transform(X)))).numpy()
    np.testing.assert_allclose(attention.weights[1], gates[y == "right_hand"].mean(axis=0), rtol=1e-4)
    row = attention.table.set_index(["class", "filter", "channel"]).loc[("right_hand", 3, "C3")]
    of_one = gates[y == "right_hand"][:, 3, X.ch_names.index("C3")]
    np.testing.assert_allclose(row[["mean", "sd"]].astype(float), [of_one.mean(), of_one.std()], rtol=1e-4)
    assert len(display.axes_) == 15  # five filters; two classes and their difference
    display.figure_.canvas.draw()


def test_windows_of_fblightconvnet(data):
    X, y = data
    network = FBLightConvNetClassifier(win_len=100, n_filters_spat=8, **SHORT).fit(X, y)
    attention = find_attention(network)
    np.testing.assert_allclose(attention.weights.sum(axis=1), 1, rtol=1e-5)  # a softmax
    np.testing.assert_allclose(attention.times, [0, 0.8, 1.6, 2.4, 3.2, 4.0])
    assert AttentionDisplay(attention).plot(figure=Figure()).axes_


def test_networks_without_attention_are_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="attention_mode=None"):
        find_attention(AttentionBaseNetClassifier(n_temporal_filters=4, **SHORT).fit(X, y), X, y)
    with pytest.raises(ValueError, match="SincShallowNet has no attention"):
        find_attention(SincShallowNetClassifier(num_time_filters=4, **SHORT).fit(X, y), X, y)
    with pytest.raises(ValueError, match="give X"):
        find_attention(SSTDPNClassifier(spt_attn_global_context_kernel=100, **SHORT).fit(X, y))
