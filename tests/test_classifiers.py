"""What single estimators promise beyond the generic suites."""

import numpy as np
import pytest
import torch
from torch import nn

from skeeg import (
    AttentionBaseNetClassifier,
    FBLightConvNetClassifier,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.losses import DualPrototypeLoss

RNG = np.random.default_rng(0)
X = RNG.normal(0, 10, (24, 3, 200)).astype(np.float32)
Y = np.tile([0, 1], 12)
QUICK = {"max_epochs": 3, "random_state": 0, "verbose": 0}


def test_sinc_cutoffs_have_their_own_rate():
    moved = {}
    for rate in (0.0, 0.3):
        clf = SincShallowNetClassifier(sfreq=100, cutoff_lr=rate, **QUICK).fit(X, Y)
        moved[rate] = np.abs(clf.bands_[:20] - [[5 + i, 9 + i] for i in range(20)]).max()
        assert (clf.bands_ > 0).all() and (clf.bands_ < 50).all()
    assert moved[0.0] < 1e-4
    assert 0.1 < moved[0.3] < 3
    decays = {id(p): group["weight_decay"] for group in clf.optimizer_.param_groups for p in group["params"]}
    assert decays[id(clf.module_.sinc_filter_layer.low_freqs)] == 0
    assert decays[id(clf.module_.final_layer.weight)] == clf.weight_decay


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sinc_running_statistics_start_as_means():
    clf = SincShallowNetClassifier(sfreq=100, lr=1e-12, cutoff_lr=0.0, batch_size=8, **QUICK).fit(X, Y)
    norm = next(m for m in clf.module_.modules() if isinstance(m, nn.BatchNorm2d))
    filtered = nn.functional.conv1d(
        torch.from_numpy(X).reshape(72, 1, 200), clf.module_.sinc_filter_layer()[:, None], padding=16
    )
    expected = filtered.var(dim=(0, 2))
    torch.testing.assert_close(norm.running_var, expected, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("cls", [SincShallowNetClassifier, FBLightConvNetClassifier])
def test_networks_in_hz_need_the_sampling_rate(cls):
    with pytest.raises(ValueError, match="sfreq"):
        cls(**QUICK).fit(X, Y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"attention_mode": "sa"}, "attention_mode.*'se'"),
        ({"attention_mode": "eca", "kernel_size": 4}, "kernel_size=4.*odd"),
        ({"attention_mode": "se", "reduction_rate": 17}, "reduction_rate=17.*16"),
        ({"attention_mode": "fca", "freq_idx": 99}, "freq_idx=99"),
    ],
)
def test_attention_parameters_are_checked_in_fit(params, message):
    with pytest.raises(ValueError, match=message):
        AttentionBaseNetClassifier(**QUICK, **params).fit(X, Y)


def test_bands_beyond_nyquist_name_the_usable_range():
    with pytest.raises(ValueError, match="50"):
        FBLightConvNetClassifier(sfreq=100, n_bands=[(8, 12), (45, 60)], **QUICK).fit(X, Y)


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
def test_sstdpn_trains_with_its_loss():
    clf = SSTDPNClassifier(**QUICK).fit(X, Y)
    assert isinstance(clf.criterion_, DualPrototypeLoss)
    assert clf.criterion_.proto_cpt is None
    groups = clf.optimizer_.param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays[id(clf.module_.proto_sep)] == decays[id(clf.module_.proto_cpt)] == 0
    assert decays[id(clf.module_.encoder.temporal_conv.weight)] == clf.weight_decay
    norms = clf.module_.proto_sep.detach().norm(dim=1)
    assert (norms < 1 + 1e-5).all()
    plain = SSTDPNClassifier(loss="cross_entropy", **QUICK).fit(X, Y)
    assert not np.allclose(plain.predict_proba(X), clf.predict_proba(X), atol=1e-6)


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_dual_prototypes_serve_other_networks(weight):
    params = {"loss": "dual_prototype", "compactness_weight": weight, "explicit_force_weight": 0.0}
    clf = AttentionBaseNetClassifier(drop_prob_inp=0, drop_prob_attn=0, **params, **QUICK).fit(X, Y)
    assert clf.criterion_.proto_cpt.shape == (2, clf.module_.n_features)
    plain = AttentionBaseNetClassifier(drop_prob_inp=0, drop_prob_attn=0, **QUICK).fit(X, Y)
    same = np.allclose(plain.predict_proba(X), clf.predict_proba(X), atol=1e-5)
    assert same == (weight == 0)


@pytest.mark.parametrize("n_times", [50, 400])
@pytest.mark.parametrize("sfreq", [100.0, 512.0])
@pytest.mark.parametrize("n_chans", [1, 3, 128])
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "cls",
    [SSTDPNClassifier, AttentionBaseNetClassifier, SincShallowNetClassifier, FBLightConvNetClassifier],
)
def test_any_montage_rate_and_length(cls, n_chans, sfreq, n_times):
    trials = RNG.normal(0, 10, (6, n_chans, n_times)).astype(np.float32)
    clf = cls(sfreq=sfreq, **QUICK).fit(trials, [0, 1, 2] * 2)
    proba = clf.predict_proba(trials)
    assert proba.shape == (6, 3)
    assert np.isfinite(proba).all()


@pytest.mark.parametrize(
    ("seconds", "sfreq"), [(0.5, 128.0), (0.5, 160.0), (10.0, 250.0), (10.0, 128.0), (2.0, 512.0)]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_half_a_second_to_ten(seconds, sfreq):
    trials = RNG.normal(0, 10, (4, 2, round(seconds * sfreq))).astype(np.float32)
    for cls in (
        SSTDPNClassifier,
        AttentionBaseNetClassifier,
        SincShallowNetClassifier,
        FBLightConvNetClassifier,
    ):
        assert cls(sfreq=sfreq, **QUICK).fit(trials, [0, 1] * 2).transform(trials).shape[0] == 4
