"""Starting from a trained estimator: other people, channels, classes."""

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

import skeeg
from skeeg import (
    AttentionBaseNetClassifier,
    EEGArray,
    EEGClassifier,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.modules import EEGModule
from skeeg.trials import channel_map

SMALL = {
    SSTDPNClassifier: {
        "n_fused_filters": 6,
        "temporal_conv_kernel_size": 15,
        "mvp_kernel_sizes": [20, 50],
        "spt_attn_global_context_kernel": 50,
    },
    AttentionBaseNetClassifier: {
        "n_temporal_filters": 4,
        "pool_length_inp": 20,
        "pool_stride_inp": 5,
        "pool_length": 4,
    },
    SincShallowNetClassifier: {"num_time_filters": 4, "pool_size": 25},
    FBLightConvNetClassifier: {"n_bands": [(4, 8), (8, 12)], "win_len": 40},
}
NAMES = ["C3", "Cz", "C4", "Fz", "Pz"]


def data(names=NAMES, labels=("left", "right"), n=20, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.array(labels), n // len(labels))
    return EEGArray(10 * rng.standard_normal((len(y), len(names), 120)).astype(np.float32), 100.0, names), y


def make(cls=SSTDPNClassifier, **params):
    return cls(**{"max_epochs": 2, "random_state": 0, **SMALL[cls], **params})


def is_head(name):
    return name.startswith(("final_layer", "proto_"))


@pytest.fixture(scope="module")
def pretrained():
    return {cls: make(cls).fit(*data()) for cls in SMALL}


@pytest.fixture(params=SMALL, ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def test_same_classes_start_from_all_weights(cls, pretrained):
    X, y = data(seed=1)
    clf = make(cls, pretrained=FrozenEstimator(pretrained[cls]), max_epochs=1, lr=1e-12, weight_decay=0.0)
    if cls is SincShallowNetClassifier:
        clf.set_params(cutoff_lr=0.0)
    clf.fit(X, y)
    before = pretrained[cls].module_.state_dict()
    for name, parameter in clf.module_.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name], rtol=0, atol=1e-6)
    assert clf.channel_map_ is None


def test_other_classes_get_a_new_head_and_a_frozen_encoder_is_kept(cls, pretrained):
    X, y = data(labels=["feet", "rest", "tongue"], n=12, seed=1)
    source = pretrained[cls]
    clf = make(cls, pretrained=FrozenEstimator(source), freeze_encoder=True).fit(X, y)
    assert clf.predict_proba(X).shape == (12, 3)
    assert set(clf.predict(X)) <= {"feet", "rest", "tongue"}
    for name, tensor in clf.module_.state_dict().items():
        if not is_head(name):
            assert torch.equal(tensor, source.module_.state_dict()[name]), name
    np.testing.assert_allclose(clf.transform(X), source.transform(X), rtol=1e-5, atol=1e-6)
    # and goes on being kept
    clf.partial_fit(X, y)
    np.testing.assert_allclose(clf.transform(X), source.transform(X), rtol=1e-5, atol=1e-6)


def test_a_free_encoder_is_trained(cls, pretrained):
    X, y = data(seed=1)
    source = pretrained[cls]
    clf = make(cls, pretrained=FrozenEstimator(source)).fit(X, y)
    changed = [
        n for n, p in clf.module_.named_parameters() if not torch.equal(p, source.module_.get_parameter(n))
    ]
    assert any(not is_head(name) for name in changed)
    assert any(is_head(name) for name in changed)


def test_the_pretrained_estimator_is_left_alone(cls, pretrained):
    before = {k: v.clone() for k, v in pretrained[cls].module_.state_dict().items()}
    make(cls, pretrained=FrozenEstimator(pretrained[cls])).fit(*data(seed=1))
    assert all(torch.equal(v, before[k]) for k, v in pretrained[cls].module_.state_dict().items())


def test_channels_are_matched_by_name(cls, pretrained):
    """A frozen network sees the same signals under other names and orders, others left out."""
    X, y = data(seed=1)
    names = ["pz", "O1", "C4", "FZ", "Cz", "c3"]
    order = [4, None, 2, 3, 1, 0]
    shuffled = np.stack(
        [np.asarray(X[:, i]) if i is not None else np.zeros((20, 120)) for i in order], axis=1
    )
    other = EEGArray(shuffled.astype(np.float32), 100.0, names)
    source = FrozenEstimator(pretrained[cls])
    with pytest.warns(UserWarning, match="constant"):
        clf = make(cls, pretrained=source, freeze_encoder=True).fit(other, y)
    assert clf.n_chans_ == 6
    assert clf.channel_map_.shape == (5, 6)
    np.testing.assert_allclose(clf.transform(other), pretrained[cls].transform(X), rtol=1e-5, atol=1e-6)
    # plain arrays are in the order of fit
    np.testing.assert_array_equal(clf.predict_proba(np.asarray(other)), clf.predict_proba(other))


def test_missing_channels_are_refused_or_interpolated(pretrained):
    names = ["C3", "Cz", "C4", "Fz", "Oz", "P3", "P4"]
    X, y = data(names, seed=1)
    source = FrozenEstimator(pretrained[SSTDPNClassifier])
    with pytest.raises(ValueError, match=r"wants the channels \['Pz'\].*missing_channels=\"interpolate\""):
        make(pretrained=source).fit(X, y)
    clf = make(pretrained=source, missing_channels="interpolate").fit(X, y)
    assert clf.predict(X).shape == y.shape
    np.testing.assert_array_equal(clf.channel_map_[:4, :4], np.eye(4))


def test_interpolation_is_that_of_mne():
    rng = np.random.default_rng(0)
    names = ["Fz", "C3", "Cz", "C4", "P3", "Pz", "P4", "Oz"]
    info = mne.create_info(names, 100.0, "eeg")
    raw = mne.io.RawArray(rng.standard_normal((8, 50)), info, verbose="ERROR")
    builtin = mne.channels.get_builtin_montages()
    raw.set_montage("colin27_1005" if "colin27_1005" in builtin else "standard_1005")
    present = [i for i, name in enumerate(names) if name != "Pz"]
    signals = raw.get_data()[present]
    raw.info["bads"] = ["Pz"]
    raw.interpolate_bads(verbose="ERROR")
    matrix = channel_map([names[i] for i in present], ["T3", "Pz"][1:], missing="interpolate")
    np.testing.assert_allclose(matrix @ signals, raw.get_data()[[5]], rtol=1e-4, atol=1e-5)


def test_channel_map():
    assert channel_map(["C3", "Cz"], ["c3", "CZ"]) is None
    np.testing.assert_array_equal(channel_map(["T7", "P8", "Cz"], ["T6", "T3"]), [[0, 1, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match=r"\['EMG'\] cannot be interpolated"):
        channel_map(["C3", "Cz", "C4", "Fz"], ["C3", "EMG"], "interpolate")
    with pytest.raises(ValueError, match="at least 4"):
        channel_map(["C3", "Cz", "E1", "E2"], ["Pz"], "interpolate")


def test_adapted_estimators_can_be_adapted_again(pretrained):
    X, y = data(["Pz", "C4", "Cz", "C3", "Fz", "Oz"], seed=1)
    once = make(pretrained=FrozenEstimator(pretrained[SSTDPNClassifier]), freeze_encoder=True).fit(X, y)
    Z = X[:, [5, 3, 4, 1, 2, 0]]
    twice = make(pretrained=FrozenEstimator(once), freeze_encoder=True).fit(Z, y)
    np.testing.assert_allclose(twice.transform(Z), once.transform(X), rtol=1e-5, atol=1e-6)


def test_monitors_see_the_channels_of_the_data(pretrained):
    X, y = data(["Pz", "C4", "Cz", "C3", "Fz", "Oz"], seed=1)
    source = FrozenEstimator(pretrained[SSTDPNClassifier])
    clf = make(pretrained=source, train_split=0.4, monitor="roc_auc").fit(X, y)
    assert np.isfinite(clf.history_["valid_roc_auc"]).all()


def test_files_repositories_and_pipelines_serve(pretrained, tmp_path):
    X, y = data(seed=1)
    source = pretrained[SSTDPNClassifier]
    expected = make(pretrained=FrozenEstimator(source)).fit(X, y).predict_proba(X)
    source.save(tmp_path / "estimator.safetensors")
    pipe = make_pipeline(Scaler(), source)
    pipe[0].fit(X)
    skeeg.save(pipe, tmp_path / "pipe.safetensors")
    for place in (tmp_path, tmp_path / "estimator.safetensors", str(tmp_path / "pipe.safetensors")):
        np.testing.assert_array_equal(make(pretrained=place).fit(X, y).predict_proba(X), expected)


def test_trials_of_another_scale_are_pointed_out(pretrained):
    X, y = data(seed=1)
    with pytest.warns(UserWarning, match=r"is 9\.9e-01, it was 9\.9e\+00 where the pretrained network"):
        make(pretrained=FrozenEstimator(pretrained[SSTDPNClassifier])).fit(0.1 * X, y)


def test_a_saved_adapted_estimator_does_not_need_what_it_started_from(pretrained, tmp_path):
    X, y = data(["Pz", "C4", "Cz", "C3", "Fz", "Oz"], seed=1)
    start, path = tmp_path / "start.safetensors", tmp_path / "adapted.safetensors"
    pretrained[SSTDPNClassifier].save(start)
    clf = make(pretrained=str(start), freeze_encoder=True).fit(X, y)
    clf.save(path)
    start.unlink()
    same = skeeg.load(path)
    np.testing.assert_array_equal(same.predict_proba(X), clf.predict_proba(X))
    same.partial_fit(X, y)
    clf.partial_fit(X, y)
    np.testing.assert_array_equal(same.predict_proba(X), clf.predict_proba(X))


def test_searches_and_cross_validation(pretrained):
    X, y = data(seed=1)
    source = FrozenEstimator(pretrained[SSTDPNClassifier])
    clf = make(pretrained=source, max_epochs=1)
    assert clone(clf).pretrained.estimator is source.estimator
    assert np.isfinite(cross_val_score(clf, X, y, cv=2)).all()
    grid = {"pretrained": [None, source], "freeze_encoder": [False, True]}
    search = GridSearchCV(clf, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("params", "changes", "message"),
    [
        ({"n_fused_filters": 8}, {}, r"another shape: it has n_fused_filters=6"),
        ({"sfreq": 100}, {"n_times": 100}, r"100 samples, the pretrained network takes 120"),
        ({}, {"sfreq": 80.0}, r"80\.0 Hz, the pretrained network takes 100\.0 Hz; resample"),
        ({}, {"names": None, "n_chans": 4}, r"4 channels, the pretrained estimator 5, and channel names"),
    ],
)
def test_what_does_not_fit_is_said(params, changes, message, pretrained):
    X, y = data(seed=1)
    array = np.asarray(X)[:, : changes.get("n_chans", 5), : changes.get("n_times", 120)]
    if "names" not in changes:
        array = EEGArray(array, changes.get("sfreq", 100.0), NAMES)
    with pytest.raises(ValueError, match=message):
        make(pretrained=FrozenEstimator(pretrained[SSTDPNClassifier]), **params).fit(array, y)


def test_unfitted_and_other_classes_are_refused(pretrained):
    X, y = data()
    with pytest.raises(ValueError, match=r"pretrained is not fitted.*FrozenEstimator"):
        make(pretrained=clone(pretrained[SSTDPNClassifier])).fit(X, y)
    with pytest.raises(ValueError, match="is not a SincShallowNetClassifier"):
        make(SincShallowNetClassifier, pretrained=FrozenEstimator(pretrained[SSTDPNClassifier])).fit(X, y)
    with pytest.raises(FileNotFoundError, match="neither a directory nor the name of a repository"):
        make(pretrained="./no_such_file").fit(X, y)


class MeanPower(nn.Module):
    def __init__(self, n_chans, n_outputs):
        super().__init__()
        self.head = nn.Linear(n_chans, n_outputs)

    def forward(self, x):
        return self.head(x.square().mean(-1).log())


class NamedHead(EEGModule):
    head_names = ("classify",)

    def __init__(self, n_chans=None, n_outputs=None, n_times=None):
        super().__init__(n_chans, n_outputs, n_times)
        self.mix = nn.Linear(n_chans, 2)
        self.classify = nn.Linear(2, n_outputs)

    def forward_features(self, x):
        return self.mix(x.square().mean(-1).log())

    def forward_head(self, features):
        return self.classify(features)


class MeanPowerClassifier(EEGClassifier):
    module = MeanPower


class NamedHeadClassifier(EEGClassifier):
    module = NamedHead


def test_networks_of_ones_own():
    X, y = data()
    plain = MeanPowerClassifier(max_epochs=2, random_state=0).fit(X, y)
    further = MeanPowerClassifier(max_epochs=1, lr=1e-12, weight_decay=0.0, pretrained=FrozenEstimator(plain))
    np.testing.assert_allclose(further.fit(X, y).predict_proba(X), plain.predict_proba(X), atol=1e-6)
    with pytest.raises(ValueError, match=r"MeanPower does not tell its head.*EEGModule"):
        further.set_params(freeze_encoder=True).fit(X, y)
    own = NamedHeadClassifier(max_epochs=2, random_state=0).fit(X, y)
    frozen = NamedHeadClassifier(max_epochs=2, pretrained=FrozenEstimator(own), freeze_encoder=True).fit(X, y)
    assert torch.equal(frozen.module_.mix.weight, own.module_.mix.weight)
    assert not torch.equal(frozen.module_.classify.weight, own.module_.classify.weight)
    frozen.module_.head_names = ("elsewhere",)
    with pytest.raises(ValueError, match=r"NamedHead has no parameter in any of \('elsewhere',\)"):
        frozen.module_.freeze_encoder()


def test_a_failed_adaptation_leaves_a_fitted_estimator_as_it_was(pretrained):
    X, y = data()
    clf = make().fit(X, y)
    before = clf.predict_proba(X)
    clf.set_params(pretrained="./no_such_file")
    with pytest.raises(FileNotFoundError):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_weights_that_fit_another_function_are_pointed_out():
    rng = np.random.default_rng(0)
    X, y = rng.normal(0, 10, (12, 3, 100)).astype(np.float32), np.tile([0, 1], 6)
    params = {"max_epochs": 1, "random_state": 0, "verbose": 0, **SMALL[AttentionBaseNetClassifier]}
    trained = AttentionBaseNetClassifier(**params).fit(X, y)
    other = AttentionBaseNetClassifier(
        **params, pretrained=FrozenEstimator(trained), activation=nn.Tanh, drop_prob_inp=0.1
    )
    with pytest.warns(UserWarning, match=r"trained with activation=<class .*ELU'>:"):
        other.fit(X, y)
