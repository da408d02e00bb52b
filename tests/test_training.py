"""What training does with what users bring: optimisers, losses, samplers, callbacks, numbers, failures."""

import copy
import functools
import os
import signal

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
)
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from skeeg import (
    EEGArray,
    EEGClassifier,
    FBLightConvNetClassifier,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.augmentation import TimeShift
from skeeg.estimators.components import check_log_probabilities
from skeeg.estimators.iterators import TrialIterator

RNG = np.random.default_rng(0)
Y = np.tile([0, 1], 12)
X = RNG.normal(0, 10, (24, 3, 50)).astype(np.float32) * np.where(Y, 1, 3).reshape(24, 1, 1).astype(np.float32)
QUICK = {"max_epochs": 2, "batch_size": 8, "random_state": 0, "verbose": 0}


class PowerNet(nn.Module):
    def __init__(self, n_chans, n_outputs, hidden=4):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_chans, hidden), nn.BatchNorm1d(hidden), nn.Linear(hidden, n_outputs)
        )

    def forward(self, x):
        return self.layers(x.square().mean(-1).log())


class PowerClassifier(EEGClassifier):
    module = PowerNet

    def __init__(self, hidden=4, **training):
        super().__init__(**training)
        self.hidden = hidden


class LogPowerNet(PowerNet):
    def forward(self, x):
        return super().forward(x).log_softmax(1)


class LogPowerClassifier(PowerClassifier):
    module = LogPowerNet


# ----- further training that fails --------------------------------------------------------------------------


class Fails(Callback):
    """Raises where it is told to, once it is told to."""

    def __init__(self, where, error=ValueError):
        self.where, self.error, self.armed = where, error, False

    def _fail(self, where):
        if self.armed and where == self.where:
            raise self.error("asked for")

    def on_train_begin(self, net, **kwargs):
        self._fail("on_train_begin")

    def on_batch_end(self, net, **kwargs):
        self._fail("on_batch_end")

    def on_epoch_end(self, net, **kwargs):
        self._fail("on_epoch_end")

    def on_train_end(self, net, **kwargs):
        self._fail("on_train_end")


def state_of(clf):
    parts = clf.module_, clf.criterion_, clf.optimizer_
    norms = [m.momentum for m in clf.module_.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    learned = {k: v for k, v in vars(clf).items() if isinstance(v, (int, float, str, tuple))}
    return copy.deepcopy([part.state_dict() for part in parts] + [norms, list(clf.history), learned])


@pytest.mark.parametrize("where", ["on_train_begin", "on_batch_end", "on_epoch_end", "on_train_end"])
@pytest.mark.parametrize("error", [ValueError, FloatingPointError, SystemExit])
@pytest.mark.parametrize("go_on", ["fit", "partial_fit"])
def test_further_training_that_fails_leaves_everything_as_it_was(where, error, go_on):
    fails = Fails(where, error)
    clf = PowerClassifier(warm_start=True, callbacks=[fails], **QUICK).fit(X, Y)
    clf.set_params(lr=0.5, label_smoothing=0.1)
    module, before, weights = clf.module_, state_of(clf), next(clf.module_.parameters())
    proba, values = clf.predict_proba(X), weights.detach().clone()
    fails.armed = True
    with pytest.raises(error, match="asked for"):
        getattr(clf, go_on)(2 * X, Y)
    assert clf.module_ is module
    assert torch.equal(weights, values)
    assert str(state_of(clf)) == str(before)
    np.testing.assert_array_equal(clf.predict_proba(X), proba)
    fails.armed = False
    assert len(clf.partial_fit(X, Y).history_) == 3


def test_momenta_of_sinc_come_back():
    fails = Fails("on_epoch_end")
    clf = SincShallowNetClassifier(sfreq=100, warm_start=True, callbacks=[fails], **QUICK).fit(X, Y)
    before = state_of(clf)
    fails.armed = True
    with pytest.raises(ValueError, match="asked for"):
        clf.fit(X, Y)
    assert str(state_of(clf)) == str(before)


# ----- samplers -----------------------------------------------------------------------------------------


class Sees(Callback):
    """Keeps the first number of each trial, and the labels."""

    def on_train_begin(self, net, **kwargs):
        self.trials, self.labels = [], []

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.trials += batch[0][:, 0, 0].tolist()
        self.labels += np.asarray(batch[1]).tolist()

    def places(self):
        first = X[:, 0, 0].tolist()
        return [first.index(number) for number in self.trials]


@pytest.mark.parametrize("iterator", [TrialIterator, DataLoader])
@pytest.mark.parametrize("weights", [None, np.linspace(1, 2, 24), np.arange(1, 25)])
def test_samplers_draw_the_trials_that_they_name(iterator, weights):
    sees, wanted = Sees(), [3, 8, 21]
    sampler = WeightedRandomSampler(np.isin(np.arange(24), wanted).astype(float), 40)
    clf = PowerClassifier(iterator_train=iterator, iterator_train__sampler=sampler, callbacks=[sees], **QUICK)
    clf.fit(X, Y, sample_weight=weights)
    assert len(sees.trials) == 2 * 40
    assert set(sees.places()) == set(wanted)
    assert sees.labels == Y[sees.places()].tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"iterator_train__sampler": SequentialSampler(range(24))},
        {"iterator_train": DataLoader, "iterator_train__shuffle": False},
        {"iterator_train__shuffle": False},
        {"iterator_train": functools.partial(DataLoader, sampler=range(24))},
        {
            "iterator_train": DataLoader,
            "iterator_train__batch_sampler": BatchSampler(SequentialSampler(range(24)), 5, False),
        },
    ],
)
def test_trials_come_in_the_order_given_where_that_is_asked_for(options):
    sees = Sees()
    PowerClassifier(callbacks=[sees], **QUICK, **options).fit(X, Y, sample_weight=np.full(24, 2))
    assert sees.places() == 2 * list(range(24))


def test_trials_without_weight_are_left_out_of_the_order_given():
    sees = Sees()
    clf = PowerClassifier(iterator_train__shuffle=False, callbacks=[sees], **QUICK)
    clf.fit(X, Y, sample_weight=np.r_[0, 0.5, np.ones(22)])
    assert sees.places() == 2 * list(range(1, 24))


def test_a_trial_of_no_weight_is_no_trial_beside_weights_that_are_not_whole():
    weights = np.r_[0, 0, np.linspace(0.5, 2, 22)]
    without = PowerClassifier(**QUICK).fit(X[2:], Y[2:], sample_weight=weights[2:])
    clf = PowerClassifier(**QUICK).fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(clf.predict_proba(X), without.predict_proba(X))


@pytest.mark.parametrize(
    ("options", "weights", "message"),
    [
        (
            {"iterator_train__sampler": WeightedRandomSampler(np.ones(9), 9)},
            None,
            "made for 9 trials, but X has 24",
        ),
        ({"iterator_train__sampler": RandomSampler(range(9))}, None, "made for 9 trials, but X has 24"),
        ({"iterator_train__sampler": SubsetRandomSampler([1, 99])}, None, "draws trial 99, but there are 24"),
        (
            {"iterator_train__sampler": RandomSampler(range(24)), "train_split": 0.25},
            None,
            "RandomSampler draws trials by their places in X.*train_split=None",
        ),
        ({"iterator_train__sampler": RandomSampler(range(24))}, np.r_[0, np.ones(23)], "sample_weight 0"),
        (
            {"iterator_train__batch_sampler": BatchSampler(RandomSampler(range(24)), 5, False)},
            None,
            "takes no batch_sampler: set iterator_train=torch.utils.data.DataLoader",
        ),
        (
            {
                "iterator_train": DataLoader,
                "iterator_train__batch_sampler": BatchSampler(RandomSampler(range(9)), 5, False),
            },
            None,
            "made for 9 trials",
        ),
        (
            {"iterator_train": DataLoader, "iterator_train__drop_last": True, "batch_size": 99},
            None,
            "no batch",
        ),
        (
            {"iterator_valid": DataLoader, "iterator_valid__drop_last": True, "train_split": 0.25},
            None,
            "iterator_valid gave no batch",
        ),
    ],
)
def test_samplers_that_cannot_be_meant_are_refused(options, weights, message):
    with pytest.raises(ValueError, match=message):
        PowerClassifier(**(QUICK | options)).fit(X, Y, sample_weight=weights)


def test_validation_trials_may_come_in_any_order():
    options = {"train_split": np.arange(10), "iterator_valid": DataLoader, **QUICK}
    plain = PowerClassifier(**options).fit(X, Y).history_
    shuffled = PowerClassifier(iterator_valid__shuffle=True, **options).fit(X, Y).history_
    first = ["valid_accuracy", "valid_loss"]
    np.testing.assert_allclose(plain[first].iloc[0], shuffled[first].iloc[0], rtol=1e-6)


# ----- numbers ------------------------------------------------------------------------------------------

NUMBERS = {
    "batch_size": 8,
    "max_epochs": 2,
    "hidden": 3,
    "lr": 0.02,
    "weight_decay": 0.1,
    "label_smoothing": 0.1,
    "sfreq": 200.1,
    "train_split": 0.2,
    "patience": 2,
    "refit_epochs": 1,
    "random_state": 3,
    "optimizer__eps": 1e-7,
    "lr_schedule__pct_start": 0.4,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("kinds", [(np.int64, np.float64), (np.uint8, np.float32)])
def test_numbers_of_numpy_are_numbers(name, kinds):
    kind = kinds[isinstance(NUMBERS[name], float)]
    params = {"augmentation": TimeShift(0.1), "verbose": 0, **NUMBERS}
    expected = PowerClassifier(**params).fit(X, Y)
    clf = PowerClassifier(**(params | {name: kind(NUMBERS[name])})).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    assert type(clf.get_params()[name]) is kind
    assert clf.history_.drop(columns="dur").equals(expected.history_.drop(columns="dur"))
    further = {"warm_start": True, "train_split": None, "patience": None, "refit_epochs": 0}
    clf.set_params(**({name: NUMBERS[name]} | further))
    assert clf.fit(X, Y).module_ is clf.module_


def test_searches_over_what_numpy_and_scipy_draw():
    search = GridSearchCV(
        PowerClassifier(**QUICK), {"batch_size": 2 ** np.arange(2, 4), "lr": np.logspace(-3, -2, 2)}
    )
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()
    drawn = {
        "lr": stats.loguniform(1e-4, 1e-1),
        "batch_size": stats.randint(2, 9),
        "label_smoothing": stats.uniform(0, 0.5),
    }
    params = {name: distribution.rvs(random_state=0) for name, distribution in drawn.items()}
    PowerClassifier(**(QUICK | params)).fit(X, Y)


# ----- optimisers, losses, instances --------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        torch.optim.LBFGS,
        torch.optim.Rprop,
        torch.optim.Adagrad,
        torch.optim.Adadelta,
        torch.optim.ASGD,
        torch.optim.Adamax,
        functools.partial(torch.optim.SGD, momentum=0.9),
    ],
)
def test_any_optimiser_of_torch_trains(optimizer):
    clf = PowerClassifier(optimizer=optimizer, lr=0.01, warm_start=True, **QUICK).fit(X, Y)
    before = clf.predict_proba(X)
    assert not np.array_equal(clf.fit(X, Y).predict_proba(X), before)
    assert len(clf.history_) == 4


def test_weight_decay_goes_to_optimisers_that_have_it():
    decay = {
        cls: PowerClassifier(optimizer=cls, weight_decay=0.2, **QUICK).fit(X, Y).optimizer_.param_groups[0]
        for cls in (torch.optim.Rprop, torch.optim.Adagrad)
    }
    assert "weight_decay" not in decay[torch.optim.Rprop]
    assert decay[torch.optim.Adagrad]["weight_decay"] == 0.2


def test_lbfgs_trains_all_parameters_alike():
    params = {"optimizer": torch.optim.LBFGS, "lr": 0.01, **QUICK}
    with pytest.raises(ValueError, match=r"LBFGS trains all parameters alike, .*'lr': 0.3.*cutoff_lr"):
        SincShallowNetClassifier(sfreq=100, **params).fit(X, Y)
    clf = SincShallowNetClassifier(sfreq=100, cutoff_lr=0.01, **params).fit(X, Y)
    assert len(clf.optimizer_.param_groups) == 1


class MeanLoss(nn.Module):
    def __init__(self, reduction=None):
        super().__init__()

    def forward(self, logits, codes):
        return nn.functional.cross_entropy(logits, codes)


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [
        (PowerClassifier, {"optimizer": torch.optim.SparseAdam}, "SparseAdam is for sparse gradients"),
        (
            PowerClassifier,
            {"optimizer": torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)},
            "give the class, torch.optim.SGD",
        ),
        (SSTDPNClassifier, {"activation": nn.ELU()}, "give the class, torch.nn.ELU"),
        (PowerClassifier, {"augmentation": nn.Dropout()}, "augmentation holds Dropout.*skeeg.augmentation"),
        (PowerClassifier, {"augmentation": [nn.Dropout()]}, "holds Dropout.*skeeg.augmentation"),
        (PowerClassifier, {"loss": nn.NLLLoss}, "takes logarithms of probabilities.*cross_entropy"),
        (PowerClassifier, {"loss": nn.NLLLoss()}, "takes logarithms of probabilities"),
        (PowerClassifier, {"loss": nn.MSELoss}, "takes no logits of shape"),
        (PowerClassifier, {"loss": nn.MSELoss, "batch_size": 2}, "gave losses of shape"),
        (PowerClassifier, {"loss": MeanLoss, "class_weight": {0: 1, 1: 3}}, "gave a single number"),
        (
            PowerClassifier,
            {"loss": nn.CrossEntropyLoss(), "criterion__label_smoothing": 0.1},
            "criterion__label_smoothing cannot be set",
        ),
        (
            PowerClassifier,
            {"callbacks": ["EarlyStopping"]},
            "holds the text .EarlyStopping..*skorch.callbacks.EpochScoring",
        ),
        (PowerClassifier, {"callbacks": [("stop", "EarlyStopping")]}, "give skorch callbacks"),
        (
            PowerClassifier,
            {"callbacks": [LRScheduler("StepLR", step_size=1)]},
            "would both change the learning rate",
        ),
        (PowerClassifier, {"callbacks": [("lr", LRScheduler)]}, "would both change the learning rate"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(cls, params, message):
    with pytest.raises(ValueError, match=message):
        cls(**(QUICK | params)).fit(X, Y)


@pytest.mark.parametrize(
    "loss",
    [nn.CrossEntropyLoss(label_smoothing=0.2), functools.partial(nn.CrossEntropyLoss, label_smoothing=0.2)],
)
def test_a_loss_may_be_made_already(loss):
    weights = np.linspace(0.5, 2, 24)
    named = PowerClassifier(label_smoothing=0.2, **QUICK).fit(X, Y, sample_weight=weights)
    clf = PowerClassifier(loss=loss, **QUICK).fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(clf.predict_proba(X), named.predict_proba(X))
    assert getattr(loss, "reduction", "mean") == "mean"
    clf.partial_fit(X, Y)
    with pytest.raises(ValueError, match="loss="):
        clf.set_params(loss=nn.CrossEntropyLoss(label_smoothing=0.1)).partial_fit(X, Y)


def test_networks_that_give_log_probabilities_take_nll():
    clf = LogPowerClassifier(loss=nn.NLLLoss, **QUICK).fit(X, Y)
    same = PowerClassifier(**QUICK).fit(X, Y)
    np.testing.assert_allclose(clf.predict_proba(X), same.predict_proba(X), atol=1e-5)


def test_a_mean_will_do_where_trials_weigh_the_same():
    clf = PowerClassifier(loss=MeanLoss, **QUICK).fit(X, Y)
    np.testing.assert_allclose(
        clf.predict_proba(X), PowerClassifier(**QUICK).fit(X, Y).predict_proba(X), atol=1e-5
    )


def test_a_module_as_parameter_is_trained_afresh_in_each_fit():
    class HeadNet(nn.Module):
        def __init__(self, n_outputs, head):
            super().__init__()
            self.head = head

        def forward(self, x):
            return self.head(x.square().mean(-1).log())

    class HeadClassifier(EEGClassifier):
        module = HeadNet

        def __init__(self, head, **training):
            super().__init__(**training)
            self.head = head

    head = nn.Linear(3, 2)
    before = head.weight.detach().clone()
    clf = HeadClassifier(head, **QUICK)
    first = clf.fit(X, Y).predict_proba(X)
    assert torch.equal(head.weight, before)
    np.testing.assert_array_equal(clf.fit(X, Y).predict_proba(X), first)


# ----- callbacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[0, 1], [769, 770], ["left", "right"]])
def test_callbacks_read_labels_from_batches(labels):
    callbacks = [
        BatchScoring("accuracy", on_train=True, name="batches_train", lower_is_better=False),
        BatchScoring("accuracy", name="batches_valid", lower_is_better=False),
        EpochScoring("accuracy", name="epochs_valid", lower_is_better=False),
        PassthroughScoring("train_loss", on_train=True),
        GradientNormClipping(1.0),
    ]
    clf = PowerClassifier(callbacks=callbacks, train_split=0.25, **QUICK)
    history = clf.fit(X, np.array(labels)[Y]).history_
    np.testing.assert_allclose(history["batches_valid"], history["valid_accuracy"])
    np.testing.assert_allclose(history["epochs_valid"], history["valid_accuracy"])
    assert history["batches_train"].between(0, 1).all()


def scoring_callbacks():
    return [
        BatchScoring("accuracy", on_train=True, name="train", lower_is_better=False),
        BatchScoring("accuracy", name="valid", lower_is_better=False),
    ]


def test_batches_that_callbacks_score_are_not_filtered_twice():
    bank = {"n_bands": [(4, 8), (8, 12)], "win_len": 25, "filter_parameters": {"method": "iir"}, "sfreq": 50}
    settings = QUICK | bank | {"train_split": 0.25, "max_epochs": 4, "lr": 0.02}
    unwatched = FBLightConvNetClassifier(**settings).fit(X, Y)
    clf = FBLightConvNetClassifier(callbacks=scoring_callbacks(), **settings).fit(X, Y)
    np.testing.assert_allclose(clf.history_["valid"], clf.history_["valid_accuracy"])
    np.testing.assert_allclose(clf.predict_proba(X), unwatched.predict_proba(X), rtol=1e-4)


def test_channels_of_batches_that_callbacks_score_are_mapped_once():
    """Three channels in another order: mapped twice, they would fit the network as well."""
    base = PowerClassifier(**QUICK | {"max_epochs": 30, "lr": 0.05}).fit(
        EEGArray(X, 50.0, ["C3", "Cz", "C4"]), Y
    )
    other = EEGArray(X[:, [1, 2, 0]] * [[[1], [1], [9]]], 50.0, ["Cz", "C4", "C3"])
    settings = QUICK | {"pretrained": FrozenEstimator(base), "train_split": 0.25}
    unwatched = PowerClassifier(**settings).fit(other, Y)
    clf = PowerClassifier(callbacks=scoring_callbacks(), **settings).fit(other, Y)
    assert clf.channel_map_ is not None
    np.testing.assert_allclose(clf.history_["valid"], clf.history_["valid_accuracy"])
    np.testing.assert_allclose(clf.predict_proba(other), unwatched.predict_proba(other), rtol=1e-4)


@pytest.mark.parametrize("further", ["fit", "partial_fit"])
def test_callbacks_that_are_set_later_see_further_training(further):
    seen = []

    class Counts(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(net.classes_.tolist())

    clf = PowerClassifier(warm_start=True, **QUICK).fit(X, Y)
    getattr(clf.set_params(callbacks=[Counts()]), further)(X, Y)
    assert len(seen) == {"fit": 2, "partial_fit": 1}[further]
    getattr(clf, further)(X, Y)
    getattr(clf.set_params(callbacks=None), further)(X, Y)
    assert len(seen) == 2 * {"fit": 2, "partial_fit": 1}[further]


def test_callbacks_that_are_kept_keep_what_they_gathered():
    class Remembers(Callback):
        def initialize(self):
            self.n_epochs = 0
            return self

        def on_epoch_end(self, net, **kwargs):
            self.n_epochs += 1

    remembers = Remembers()
    clf = PowerClassifier(warm_start=True, callbacks=[remembers], **QUICK)
    clf.fit(X, Y).fit(X, Y)
    assert remembers.n_epochs == 4
    again = copy.deepcopy(clf).fit(X, Y)
    assert again.callbacks[0].n_epochs == 6


def test_callbacks_change_no_training():
    watched = PowerClassifier(callbacks=[Sees()], **QUICK).fit(X, Y)
    np.testing.assert_array_equal(
        watched.predict_proba(X), PowerClassifier(**QUICK).fit(X, Y).predict_proba(X)
    )


def test_a_schedule_of_skorch_acts_alone():
    steps = LRScheduler("StepLR", step_size=1, gamma=0.1)
    clf = PowerClassifier(callbacks=[steps], lr_schedule="constant", lr=0.1, **QUICK).fit(X, Y)
    np.testing.assert_allclose(clf.history_["lr"], [0.1, 0.01])


def test_a_schedule_of_skorch_in_further_training():
    """A single epoch at lr: a schedule by batches acts in it, one by epochs would not."""
    clf = PowerClassifier(callbacks=[LRScheduler("StepLR", step_size=1)], lr_schedule="constant", **QUICK)
    with pytest.raises(
        ValueError, match="changes the learning rate after each epoch, but partial_fit trains one"
    ):
        clf.partial_fit(X, Y)
    steps = LRScheduler("StepLR", step_size=1, gamma=0.5, step_every="batch")
    clf = PowerClassifier(callbacks=[steps], lr=0.1, **QUICK).partial_fit(X, Y)  # three batches
    assert clf.optimizer_.param_groups[0]["lr"] == pytest.approx(0.1 / 8)


class Stops(Callback):
    def __init__(self, where):
        self.where = where

    def on_epoch_end(self, net, **kwargs):
        if self.where == "epoch":
            raise KeyboardInterrupt

    def on_batch_end(self, net, **kwargs):
        if self.where == "batch":
            raise KeyboardInterrupt


class PressesCtrlC(Callback):
    def on_epoch_end(self, net, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore:training stopped:UserWarning")
@pytest.mark.parametrize("where", ["epoch", "batch"])
def test_a_callback_that_stops_a_fit_stops_no_search(where):
    clf = PowerClassifier(callbacks=[Stops(where)], **QUICK)
    assert np.isfinite(cross_val_score(clf, X, Y, cv=3, error_score="raise")).all()


@pytest.mark.parametrize(
    "handler", [signal.default_int_handler, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)]
)
def test_ctrl_c_stops_a_search(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            cross_val_score(PowerClassifier(callbacks=[PressesCtrlC()], **QUICK), X, Y, cv=3)
    finally:
        signal.signal(signal.SIGINT, before)


def test_partial_fit_reads_no_options_of_a_schedule():
    clf = PowerClassifier(lr_schedule__pct_start=0.2, lr=0.07, **QUICK).partial_fit(X, Y)
    assert clf.history_["lr"].tolist() == [0.07]


@pytest.mark.parametrize("off, refused", [(0.005, False), (-0.005, False), (0.015, True), (-0.015, True)])
def test_how_far_from_log_probabilities_is_rounding(off, refused):
    log_probabilities = torch.log_softmax(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), 1)
    if refused:
        with pytest.raises(ValueError, match="takes logarithms of probabilities"):
            check_log_probabilities(log_probabilities + off)
    else:
        check_log_probabilities(log_probabilities + off)
