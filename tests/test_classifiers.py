"""What single estimators promise beyond the generic suites."""

import copy
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring
from torch import nn
from torch.utils.data import DataLoader

from skeeg import (
    AttentionBaseNetClassifier,
    EEGArray,
    EEGClassifier,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.augmentation import TimeShift
from skeeg.estimators.iterators import TrialIterator
from skeeg.modules import SincShallowNet
from skeeg.modules.layers import stem
from skeeg.modules.losses import DualPrototypeLoss

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


class LouderTrials(TrialIterator):
    def __iter__(self):
        for X, rest in super().__iter__():
            yield 3 * X, rest


class Louder(Callback):
    def on_batch_begin(self, net, batch, **kwargs):
        batch[0].mul_(3)


class LouderNet(SincShallowNet):
    def forward_features(self, x):
        return super().forward_features(3 * x)


class LouderNetClassifier(SincShallowNetClassifier):
    module = LouderNet


@pytest.mark.filterwarnings("error::UserWarning", "ignore:n_times:UserWarning")
def test_early_stopping_of_skorch_ends_the_fit_alone_also_in_a_search():
    stop = EarlyStopping(patience=1, threshold=10)
    clf = AttentionBaseNetClassifier(train_split=0.25, callbacks=[stop], **QUICK)
    assert len(clone(clf).fit(X, Y).history_) == 2
    scores = cross_val_score(clf, X, Y, cv=3, error_score="raise")
    assert np.isfinite(scores).all()
    for params in ({"refit_epochs": 2}, {"train_split": None}):
        with pytest.raises(ValueError, match=r"'EarlyStopping' watches 'valid_loss', but there is no"):
            clone(clf).set_params(**params).fit(X, Y)


@pytest.mark.filterwarnings("ignore:n_times:UserWarning", "ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("monitor", ["roc_auc", "neg_log_loss", lambda net, X, y: np.nan])
def test_a_score_that_is_no_number_is_refused(monitor):
    held_out = np.flatnonzero(Y == 1)[:4]
    clf = AttentionBaseNetClassifier(train_split=held_out, monitor=monitor, **QUICK)
    with pytest.raises(
        ValueError, match=r"monitor=.* on the validation trials, which hold the classes \[1\]"
    ):
        clf.fit(X, Y)


def test_validation_trials_without_weight_are_refused():
    clf = AttentionBaseNetClassifier(train_split=[0, 1], **QUICK)
    with pytest.raises(ValueError, match="all validation trials have sample_weight 0"):
        clf.fit(X, Y, sample_weight=np.r_[0, 0, np.ones(22)])


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss", "dual_prototype"),
        ("optimizer", "sgd"),
        ("freeze_encoder", True),
        ("attention_mode", "se"),
    ],
)
def test_training_goes_on_with_the_same_network_loss_and_optimiser_alone(name, value):
    clf = AttentionBaseNetClassifier(warm_start=True, **QUICK).fit(X, Y).set_params(**{name: value})
    before = copy.deepcopy(clf.module_.state_dict())
    for go_on in (clf.fit, clf.partial_fit):
        with pytest.raises(ValueError, match=f"{name}="):
            go_on(X, Y)
    for key, tensor in clf.module_.state_dict().items():
        assert torch.equal(tensor, before[key])


class PreparedNet(nn.Module):
    """Keeps what it is given under its own names, and has methods that mean something else."""

    def __init__(self, n_chans, n_outputs, dropout=0.5, hidden=(4,)):
        super().__init__()
        self.dropout, self.hidden = nn.Dropout(dropout), list(hidden)
        self.first, self.head = nn.Linear(n_chans, hidden[0]), nn.Linear(hidden[0], n_outputs)

    def prepare(self, sfreq, montage):
        raise AssertionError("not for skeeg")

    def freeze_encoder(self):
        self.first.requires_grad_(False)

    def forward(self, x):
        return self.head(self.dropout(self.first(x.square().mean(-1).log())))


class PreparedClassifier(EEGClassifier):
    module = PreparedNet

    def __init__(self, dropout=0.5, hidden=(4,), **training):
        super().__init__(**training)
        self.dropout = dropout
        self.hidden = hidden


@pytest.mark.filterwarnings("ignore:freeze_encoder=True without:UserWarning")
@pytest.mark.parametrize("freeze_encoder", [False, True])
def test_training_of_networks_of_ones_own_goes_on(freeze_encoder, tmp_path):
    clf = PreparedClassifier(warm_start=True, freeze_encoder=freeze_encoder, **QUICK).fit(X, Y)
    clf.partial_fit(X, Y).fit(X, Y).save(tmp_path / "own")
    assert len(clf.history_) == 7
    with pytest.raises(ValueError, match=r"hidden=\(8,\), but the network was trained with hidden=\(4,\)"):
        clf.set_params(hidden=(8,)).fit(X, Y)


class BrainFloatNet(nn.Module):
    def __init__(self, n_chans, n_outputs):
        super().__init__()
        self.head = nn.Linear(n_chans, n_outputs)

    def forward(self, x):
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.head(x.square().mean(-1).log())


class BrainFloatClassifier(EEGClassifier):
    module = BrainFloatNet


def test_logits_of_a_type_that_numpy_does_not_know():
    clf = BrainFloatClassifier(**QUICK).fit(X, Y)
    assert clf.predict_proba(X).dtype == clf.decision_function(X).dtype == np.float32
    assert (clf.predict(X) == clf.classes_[clf.predict_proba(X).argmax(1)]).all()


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
def test_options_of_a_loss_class_stay():
    params = {"loss": nn.CrossEntropyLoss, "criterion__label_smoothing": 0.2, **QUICK}
    clf = AttentionBaseNetClassifier(**params).fit(X, Y).partial_fit(X, Y)
    assert clf.criterion_.label_smoothing == 0.2
    with pytest.raises(ValueError, match=r"criterion__label_smoothing=0\.1"):
        clf.set_params(criterion__label_smoothing=0.1).partial_fit(X, Y)


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
def test_training_goes_on_with_other_options_of_loss_and_optimiser():
    clf = AttentionBaseNetClassifier(warm_start=True, **QUICK).fit(X, Y)
    clf.set_params(label_smoothing=0.3, weight_decay=0.5).fit(X, Y)
    assert clf.criterion_.label_smoothing == 0.3
    assert clf.optimizer_.param_groups[0]["weight_decay"] == 0.5


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
def test_scores_need_labels_of_the_same_names():
    clf = AttentionBaseNetClassifier(**QUICK).fit(X, np.where(Y == 1, "fist", "rest"))
    known = EEGArray(X, labels=np.where(Y == 1, "fist", "rest"))
    assert clf.score(known) == clf.score(X, known.labels)
    with pytest.raises(
        ValueError, match=r"\['T1', 'T2'\], are none of the classes \['fist', 'rest'\]; give y"
    ):
        clf.score(EEGArray(X, labels=np.where(Y == 1, "T1", "T2")))


MANY_CHANNELS = RNG.normal(0, 10, (24, 16, 200)).astype(np.float32)  # more memory than sums of trials


def steps_that_find_sums(monkeypatch, fit):
    found = []
    find = stem.window_sums
    monkeypatch.setattr(stem, "window_sums", lambda *a, **k: found.append(1) or find(*a, **k))
    return fit(), len(found)


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
@pytest.mark.parametrize("cls", [AttentionBaseNetClassifier, SincShallowNetClassifier])
def test_sums_of_trials_are_found_once_and_change_no_training(cls, monkeypatch):
    def losses():
        return cls(sfreq=100, batch_size=8, **QUICK).fit(MANY_CHANNELS, Y).history_["train_loss"]

    once, n_found = steps_that_find_sums(monkeypatch, losses)
    assert n_found == 0
    monkeypatch.setattr(TrialIterator, "find_sums", lambda *_: None)
    each, n_found = steps_that_find_sums(monkeypatch, losses)
    assert n_found == 3 * 3
    np.testing.assert_allclose(once, each, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
@pytest.mark.parametrize(
    ("cls", "params"),
    [
        (SincShallowNetClassifier, {"iterator_train": LouderTrials}),
        (SincShallowNetClassifier, {"callbacks": [Louder()]}),
        (LouderNetClassifier, {}),
        (SincShallowNetClassifier, {"iterator_train": DataLoader}),
        (SincShallowNetClassifier, {"augmentation": TimeShift(0.1)}),
        (SincShallowNetClassifier, {"time_filter_len": 129}),  # sums would take more memory than trials
        (SincShallowNetClassifier, {"max_epochs": 1}),
    ],
)
def test_trials_that_change_and_sums_that_do_not_pay_are_found_in_each_step(cls, params, monkeypatch):
    def variances():
        clf = cls(sfreq=100, **QUICK).set_params(**params).fit(MANY_CHANNELS.copy(), Y)
        return clf.module_.depthwiseconv[0].running_var

    now, n_found = steps_that_find_sums(monkeypatch, variances)
    assert n_found == params.get("max_epochs", 3)
    monkeypatch.setattr(TrialIterator, "find_sums", lambda *_: None)
    torch.testing.assert_close(now, variances())


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
def test_sums_are_those_of_the_channels_that_the_network_sees(monkeypatch):
    names = [f"E{i}" for i in range(16)]
    source = SincShallowNetClassifier(**QUICK).fit(EEGArray(MANY_CHANNELS, 100, names), Y)
    more = np.concatenate([100 * MANY_CHANNELS[:, :1], MANY_CHANNELS[:, ::-1]], 1)
    other = EEGArray(more, 100, ["F", *names[::-1]])

    def variances():
        clf = SincShallowNetClassifier(pretrained=FrozenEstimator(source), **QUICK).fit(other, Y)
        return clf.module_.depthwiseconv[0].running_var

    once, n_found = steps_that_find_sums(monkeypatch, variances)
    assert n_found == 0
    monkeypatch.setattr(TrialIterator, "find_sums", lambda *_: None)
    torch.testing.assert_close(once, variances(), rtol=1e-4, atol=0)


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


@pytest.mark.parametrize("params", [{"patience": 3}, {"refit_epochs": 2}])
def test_watching_needs_validation_trials(params):
    with pytest.raises(ValueError, match="train_split"):
        AttentionBaseNetClassifier(**QUICK, **params).fit(X, Y)


def test_freezing_needs_a_trained_encoder():
    with pytest.warns(UserWarning, match="pretrained"):
        AttentionBaseNetClassifier(freeze_encoder=True, **QUICK).fit(X, Y)


def test_another_unit_at_predict_is_pointed_out():
    clf = AttentionBaseNetClassifier(**QUICK).fit(X, Y)
    with pytest.warns(UserWarning, match="another unit"):
        clf.predict(X * 1e-6)


def test_swapped_axes_are_pointed_out():
    with pytest.warns(UserWarning, match="more channels, 200, than samples, 3"):
        AttentionBaseNetClassifier(**QUICK).fit(X.transpose(0, 2, 1), Y)


def test_parameters_changed_after_fit_are_not_saved(tmp_path):
    clf = AttentionBaseNetClassifier(**QUICK).fit(X, Y)
    path = tmp_path / "clf.safetensors"
    for name, value in (("ch_dim", 8), ("lr", -1.0), ("optimizer__wait_decay", 0.1)):
        changed = copy.deepcopy(clf).set_params(**{name: value})
        with pytest.raises((ValueError, TypeError), match=name.removeprefix("optimizer__")):
            changed.save(path)
        assert not path.exists()


def test_skorch_callbacks_find_what_they_need(tmp_path):
    callbacks = [
        EpochScoring("balanced_accuracy", lower_is_better=False, name="balanced"),
        EpochScoring("accuracy", on_train=True, lower_is_better=False, name="on_train"),
        Checkpoint(dirname=tmp_path, monitor="valid_loss_best", load_best=True),
    ]
    clf = AttentionBaseNetClassifier(train_split=0.25, callbacks=callbacks, **QUICK)
    history = clf.fit(X, np.array(["left", "right"])[Y]).history_
    assert clf.device == "auto"
    assert {"balanced", "on_train"} <= set(history)
    assert history["on_train"].between(0, 1).all()
    assert "valid_loss_best" not in history
    assert (tmp_path / "params.pt").exists()


def test_inherited_ways_to_the_outputs_agree(tmp_path):
    clf = AttentionBaseNetClassifier(**QUICK).fit(X, Y)
    logits = clf.forward(X)
    np.testing.assert_allclose(logits.softmax(1), clf.predict_proba(X), atol=1e-6)
    clf.save_params(f_params=tmp_path / "params.pt")
    clf.partial_fit(X, Y)
    assert not torch.allclose(clf.forward(X), logits)
    clf.load_params(f_params=tmp_path / "params.pt")
    assert torch.equal(clf.forward(X), logits)


def test_networks_of_wrong_outputs_are_refused():
    class Features(torch.nn.Module):
        def __init__(self, n_chans):
            super().__init__()
            self.layer = torch.nn.Linear(n_chans, 5)

        def forward(self, x):
            return self.layer(x.mean(-1))

    class FeaturesClassifier(EEGClassifier):
        module = Features

    with pytest.raises(ValueError, match=r"Features gave outputs of shape \(\d+, 5\) .* of 2 classes"):
        FeaturesClassifier(**QUICK).fit(X, Y)


def test_threads_take_turns():
    clf = AttentionBaseNetClassifier(**QUICK)
    alone = clone(clf).fit(X, Y).predict_proba(X)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda _: clone(clf).fit(X, Y).predict_proba(X), range(3)))
    for proba in together:
        np.testing.assert_array_equal(proba, alone)


class _Interrupt(Callback):
    def on_epoch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_meta_estimators_stop_at_ctrl_c():
    clf = AttentionBaseNetClassifier(callbacks=[_Interrupt()], **QUICK)
    with pytest.raises(KeyboardInterrupt):
        VotingClassifier([("net", clf)]).fit(X, Y)
    assert len(make_pipeline(Scaler(), clf).fit(X, Y)[-1].history_) == 1


def test_cloudpickle_carries_classes_of_a_session():
    class Mine(AttentionBaseNetClassifier):
        """Defined where no other process can import it from."""

    clf = Mine(**QUICK).fit(X, Y)
    twin = cloudpickle.loads(cloudpickle.dumps(clf))
    np.testing.assert_array_equal(twin.predict_proba(X), clf.predict_proba(X))


def test_a_network_that_looks_at_the_batch_predicts_from_the_trials_given():
    """Batches of our own networks are filled up; batch statistics of another's would see that."""

    class BatchNet(torch.nn.Module):
        def __init__(self, n_chans, n_outputs):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(n_chans, track_running_stats=False)
            self.head = torch.nn.Linear(n_chans, n_outputs)

        def forward(self, x):
            return self.head(self.norm(x).square().mean(-1).add(1e-3).log())

    class BatchClassifier(EEGClassifier):
        module = BatchNet

    X, y = np.random.default_rng(0).standard_normal((41, 4, 100)), np.arange(41) % 3
    clf = BatchClassifier(max_epochs=1, batch_size=-1, verbose=0).fit(X, y)
    with torch.no_grad():
        expected = clf.module_.eval()(torch.tensor(X, dtype=torch.float32))
    np.testing.assert_array_equal(clf.decision_function(X), expected)


@pytest.mark.parametrize(
    ("offset", "gain", "message"),
    [(1000.0, 1.0, "learn little under such an offset"), (0.0, 1e6, "too much for EEG in µV")],
)
def test_offsets_and_units_that_no_eeg_has_are_pointed_out(offset, gain, message):
    X, y = np.random.default_rng(0).standard_normal((20, 3, 200)), np.arange(20) % 2
    clf = FBLightConvNetClassifier(max_epochs=1, verbose=0, sfreq=128)
    with pytest.warns(UserWarning, match=message):
        clf.fit(gain * (10 * X + offset), y)


def test_monitor_needs_validation_trials():
    X, y = np.random.default_rng(0).standard_normal((20, 3, 200)), np.arange(20) % 2
    with pytest.raises(ValueError, match="monitor=roc_auc needs validation trials"):
        AttentionBaseNetClassifier(monitor="roc_auc").fit(X, y)


@pytest.mark.parametrize(
    ("params", "gain", "y", "message"),
    [
        ({}, 1e-6, Y, "looks like volts"),
        ({"freeze_encoder": True}, 1, Y, "encoder of random weights"),
        ({"train_split": 0.01}, 1, Y, "too few to hold out"),
        ({"callbacks": [_Interrupt()]}, 1, Y, "training stopped after 1 epochs"),
    ],
)
def test_warnings_name_the_line_that_called_fit(params, gain, y, message):
    clf = AttentionBaseNetClassifier(**QUICK, **params)
    with pytest.warns(UserWarning, match=message) as caught:
        clf.fit(gain * X, y)
    (warning,) = [w for w in caught if re.search(message, str(w.message))]
    assert warning.filename == __file__


class Recorded:
    """Trials that are read from elsewhere, and how many at a time."""

    shape, dtype = X.shape, X.dtype

    def __init__(self):
        self.n_read = []

    def __len__(self):
        return len(X)

    def __getitem__(self, item):
        self.n_read.append(len(X[item]))
        return X[item]


@pytest.mark.filterwarnings("ignore:n_times:UserWarning")
def test_prediction_reads_a_batch_at_a_time():
    clf = AttentionBaseNetClassifier(batch_size=8, **QUICK).fit(Recorded(), Y)
    trials = Recorded()
    np.testing.assert_array_equal(clf.predict_proba(trials), clf.predict_proba(X))
    assert sum(trials.n_read) >= len(X)
    assert max(trials.n_read) == 8
