"""skorch's side of an estimator: what its components are and what a training step does."""

from __future__ import annotations

import copy
import inspect
import operator

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback, EpochTimer
from skorch.history import History
from torch import nn

from skeeg.devices import threads_for_operations
from skeeg.estimators.adapt import freeze_encoder, start_from
from skeeg.estimators.components import (
    OptimizerOnDemand,
    check_log_probabilities,
    check_losses,
    make_criterion,
    make_optimizer,
    optimizer_class,
    refresh_criterion,
    refresh_optimizer,
    takes,
)
from skeeg.estimators.data import Recording, read_all
from skeeg.estimators.features import NamedFeatures
from skeeg.estimators.iterators import TrialDataset, TrialIterator, find_samplers
from skeeg.estimators.networks import arguments_of, make_network
from skeeg.estimators.parameters import TrainingParameters
from skeeg.estimators.schedules import schedules
from skeeg.estimators.training import (
    BEST_SO_FAR,
    Hooks,
    Plan,
    Trainer,
    check_watching_callbacks,
    keep_freed_memory,
    monitored,
    progress_bar,
)
from skeeg.estimators.weights import BareWeights, start_from_weights
from skeeg.modules.base import EEGModule
from skeeg.modules.compute.threads import threads_for_pieces
from skeeg.modules.losses import DualPrototypeLoss
from skeeg.plain import plain
from skeeg.trials import open_trials

_BATCH_METHODS = ("on_batch_begin", "on_batch_end", "on_grad_computed")

# What scikit-learn and the documentation name; the rest of skorch's net works, but is not for users.
_SHOWN = (
    "classes_",
    "fit",
    "get_feature_names_out",
    "get_metadata_routing",
    "get_params",
    "history_",
    "partial_fit",
    "predict",
    "predict_proba",
    "score",
    "set_fit_request",
    "set_params",
    "set_partial_fit_request",
    "set_score_request",
)
_SKORCHS = {name for name in dir(NeuralNetClassifier) if not name.startswith("_") and name not in _SHOWN} | {
    "callbacks_",
    "classes",
    "classes_inferred_",
    "criterion",
    "criterion_",
    "cuda_dependent_attributes_",
    "dataset",
    "init_context_",
    "initialized_",
    "optimizer_",
    "predict_nonlinearity",
    "prefixes_",
    "torch_load_kwargs",
    "use_caching",
    "virtual_params_",
}


class TrialNet(NamedFeatures, TrainingParameters, NeuralNetClassifier):
    """A skorch net of trials: components made for the data, and hooks to override.

    Everything here is called by ``fit`` and its siblings; a subclass overrides what it wants otherwise:
    ``initialize_module``, ``initialize_criterion``, ``initialize_optimizer``, ``get_iterator``,
    ``train_step_single``, ``validation_step``, ``infer``, ``get_loss``, ``notify``. skorch's other methods
    work as skorch documents them, and are left out of ``dir(estimator)``.
    """

    module = None

    # what skorch looks up on a net, fixed here
    classes = None
    criterion = None
    optimizer_ = OptimizerOnDemand()
    dataset = TrialDataset
    initialized_ = False
    predict_nonlinearity = None
    torch_load_kwargs = None
    use_caching = False
    virtual_params_ = {}

    def __init__(self, module=None, **training):
        if type(self).module is None:
            self.module = module
        elif module is not None:
            raise TypeError(f"{type(self).__name__}'s network is {self.module.__name__}: leave module out")
        super().__init__(**training)

    def __dir__(self):
        return [name for name in super().__dir__() if name not in _SKORCHS]

    def __setattr__(self, name, value):
        if self.init_context_ is None:  # whatever it is, it is no component that skorch has to know
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    # ----- components, made when the data are known ---------------------------------------------------

    def get_params_for(self, prefix):
        """Collect the routed parameters of a component; the optimiser's with rate, decay and groups."""
        params = super().get_params_for(prefix)
        if prefix == "optimizer":
            params.setdefault("lr", self.lr)
            if takes(optimizer_class(self.optimizer), "weight_decay"):
                params.setdefault("weight_decay", self.weight_decay)
            params["param_groups"] = [*params.get("param_groups", []), *self._param_groups()]
        return plain(params)

    def _param_groups(self):
        """Give (name pattern, optimiser options) of network parameters that train differently."""
        return []

    def initialize(self, *, optimizer=True):
        """Make network, loss and optimiser anew for the data that ``fit`` has seen.

        Parameters
        ----------
        optimizer : bool, default=True
            Make the optimiser now; otherwise where training goes on.

        Returns
        -------
        self
        """
        if not hasattr(self, "n_chans_"):
            raise TypeError(f"{type(self).__name__} is made for the data that fit sees; call fit")
        self.initialize_virtual_params()
        _renew_callbacks(self, afresh=True)
        for name in ("module", "criterion", *(("optimizer",) if optimizer else ())):
            with self._current_init_context(name):
                getattr(self, f"initialize_{name}")()
        for stale in ("_compiled", *(() if optimizer else ("optimizer_",))):
            vars(self).pop(stale, None)
        self.initialize_history()
        self._began_with = self._fixed_params()
        self.initialized_ = True
        return self

    def initialize_module(self):
        """Make the network; its arguments are parameters of the estimator and what the data say."""
        named = self.ch_names_ is not None and self.channel_map_ is None
        learned = {
            "n_chans": self.n_chans_ if self.channel_map_ is None else len(self.channel_map_),
            "n_outputs": len(self.classes_),
            "n_times": self.n_times_,
            "sfreq": self.sfreq_,
            "chs_info": [{"ch_name": name} for name in self.ch_names_] if named else None,
        }
        params = self._module_params()
        options = {name: params.pop(name) for name in self.get_params_for("module")}
        self.module_ = make_network(self._makes_network, params, options, learned).to(self.device_)
        source = vars(self).pop("_source", None)
        if isinstance(source, BareWeights):
            start_from_weights(self.module_, source, self.classes_)
        elif source is not None:
            start_from(
                self.module_,
                source.module_,
                same_classes=np.array_equal(self.classes_, source.classes_),
                params=self._module_params(),
                trained_params=source._module_params(),
            )
        if self.freeze_encoder:
            freeze_encoder(self.module_)
        return self

    def _module_params(self):
        """Get the parameters that are arguments of the network, and not of training; ``module__...`` too."""
        own = BaseEstimator.get_params(self, deep=False).items()
        training = inspect.signature(TrainingParameters.__init__).parameters
        accepted = arguments_of(self._makes_network).keys() - training
        params = {k: plain(v) for k, v in own if k in accepted} | self.get_params_for("module")
        # a module is trained with the network that it is given to, and each fit starts afresh
        return {k: copy.deepcopy(v) if isinstance(v, nn.Module) else v for k, v in params.items()}

    def initialize_criterion(self):
        """Make the loss, of one value a trial."""
        self.criterion_ = make_criterion(
            self.loss,
            self.get_params_for("criterion"),
            label_smoothing=self._plain("label_smoothing"),
            weights=(self._plain("compactness_weight"), self._plain("explicit_force_weight")),
            prototype_shape=None
            if hasattr(self.module_, "proto_cpt")
            else (len(self.classes_), self._n_features_out),
        ).to(self.device_)
        return self

    def initialize_optimizer(self):
        """Make the optimiser."""
        self.optimizer_ = self._make_optimizer()
        return self

    def _make_optimizer(self):
        named = [(name, p) for name, p in self.get_all_learnable_params() if p.requires_grad]
        (groups,), options = self.get_params_for_optimizer("optimizer", named)
        return make_optimizer(self.optimizer, groups, options, self.device_)

    def check_params_unchanged(self):
        """Check that the parameters, changed by ``set_params`` perhaps, still describe what was trained.

        Raises
        ------
        ValueError
            When a parameter is wrong, or another network, loss or optimiser follows from it than the trained
            one.
        """
        self._validate_params()
        self._make_optimizer()
        for name, value in self._fixed_params().items():
            trained = self._began_with.get(name)
            if trained != value:
                raise ValueError(
                    f"{name}={value}, but the network was trained with {name}={trained}: set it back, or fit "
                    "afresh, without warm_start; pretrained=FrozenEstimator(fitted) starts from its weights"
                )

    def _fixed_params(self):
        """What a network, once made, cannot change: parameters by name, as text."""
        names = ("module", "loss", "optimizer", "freeze_encoder")
        options = {f"criterion__{k}": v for k, v in self.get_params_for("criterion").items()}
        fixed = self._module_params() | {name: self._plain(name) for name in names} | options
        return {name: _text(value) for name, value in fixed.items()}

    def _refresh(self):
        """Give loss and optimiser their options as they are set now; what they have gathered stays."""
        self.check_params_unchanged()
        _renew_callbacks(self)
        if isinstance(self.loss, str):
            names = ("label_smoothing", "compactness_weight", "explicit_force_weight")
            refresh_criterion(self.criterion_, **{name: self._plain(name) for name in names})
        refresh_optimizer(self.optimizer_, self._make_optimizer())

    @property
    def _network(self):
        if not self.compile:
            return self.module_
        if "_compiled" not in vars(self):  # kept out of pickles, made again where it is missing
            vars(self)["_compiled"] = torch.compile(self.module_, **self.get_params_for("compile"))
        return self._compiled

    @property
    def _recording(self):
        return Recording(self.n_chans_, self.n_times_, self.sfreq_, self.ch_names_)

    # ----- history, callbacks -------------------------------------------------------------------------

    def initialize_history(self):
        """Start an empty history."""
        self._history = History()
        return self

    @property
    def history(self):
        """The history as skorch keeps it, a list of epochs."""
        return self._history

    @history.setter
    def history(self, history):
        self._history = history

    @property
    def history_(self):
        """The history as a DataFrame, one row an epoch."""
        import pandas as pd

        check_is_fitted(self)
        hidden = ("batches", *BEST_SO_FAR)
        return pd.DataFrame([{k: v for k, v in row.items() if k not in hidden} for row in self._history])

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer())]

    def notify(self, method_name, **kwargs):
        """Call a method of all callbacks; of a batch they see trials and labels, ``(X, y)``."""
        if "batch" in kwargs and self._batches_are_watched:
            X, (codes, _) = kwargs["batch"]
            kwargs["batch"] = X, self._labels(codes)
        super().notify(method_name, **kwargs)

    @property
    def _batches_are_watched(self):
        pairs = [(type(callback), Callback) for _, callback in self.callbacks_] + [(type(self), NeuralNet)]
        return any(getattr(own, m) is not getattr(base, m) for own, base in pairs for m in _BATCH_METHODS)

    def _labels(self, codes):
        """Labels of class codes: a tensor where they are numbers."""
        if self.classes_.dtype.kind in "iub":
            return torch.from_numpy(self.classes_).to(codes.device)[codes]
        return self.classes_[codes.cpu().numpy()]

    # ----- batches ------------------------------------------------------------------------------------

    def get_dataset(self, X, y=None):
        """Put checked trials, and codes of their labels where there are any, into a TrialDataset."""
        data = read_all(self._recording.fitted_to(open_trials(X), type(self).__name__))
        codes = np.zeros(len(data), dtype=np.int64) if y is None else np.searchsorted(self.classes_, y)
        return TrialDataset(torch.from_numpy(data), torch.from_numpy(codes), torch.ones(len(data)), y)

    def get_iterator(self, dataset, training=False):
        """Make the iterator over a :class:`skeeg.estimators.iterators.TrialDataset`."""
        maps = self.channel_map_ is not None and not self._sees_trials(training)
        # what no training step changes, such as a fixed filter bank; else trials stay shared
        prepares = isinstance(self.module_, EEGModule) and hasattr(self.module_, "prepare")
        if prepares := prepares and not (self.augmentation or self._batches_are_watched):
            first = self._map_channels(dataset.whole[:1])
            prepares = self.module_.prepare(first) is not first
        if maps or prepares:
            X = self._map_channels(dataset.X) if maps else dataset.X
            X = self.module_.prepare(X) if prepares else X
            dataset = TrialDataset(X, dataset.codes, dataset.weights, dataset.y)
        name = "iterator_train" if training else "iterator_valid"
        make, options = getattr(self, name), self.get_params_for(name)
        sampler, batch_sampler = find_samplers(make, options)
        if batch_sampler is None:
            size = self._plain("batch_size")
            options.setdefault("batch_size", len(dataset) if size == -1 else size)
        if training and sampler is None and batch_sampler is None:
            options.setdefault("shuffle", True)
        if make is TrialIterator:
            options.setdefault("device", self.device_)
        return make(dataset, **options)

    def _find_sums(self, iterator):
        """Find once, of trials that no step changes, the sums that each step would find anew."""
        if (
            type(iterator) is TrialIterator
            and not self.augmentation
            and not (self.channel_map_ is not None and self._batches_are_watched)
            and isinstance(self.module_, EEGModule)
            and hasattr(self.module_, "window_sums")
            and not self.freeze_encoder  # its normalisation asks for none
            and not self.compile
            and self.device_.type != "mps"  # which has no float64
        ):
            iterator.find_sums(self.module_.window_sums)

    def _sees_trials(self, training):
        """Whether augmentations or callbacks see the channels of X in batches, which are mapped then."""
        return self._batches_are_watched or bool(training and self.augmentation)

    def _map_channels(self, X):
        return X if self.channel_map_ is None else torch.from_numpy(self.channel_map_).to(X) @ X

    # ----- training -----------------------------------------------------------------------------------

    def fit_loop(self, trials, train, valid=None, continuing=False):
        """Run the epochs, watch the validation trials and restore the best weights.

        Parameters
        ----------
        trials : TrialDataset
            All trials.
        train : ndarray of int
            Trials to train on, repeated as their weights say.
        valid : ndarray of int or None, default=None
            Trials to validate on.
        continuing : bool, default=False
            Train a single epoch at a constant learning rate.

        Returns
        -------
        self
        """
        self.check_training_readiness()
        refit_epochs = 0 if continuing else self._plain("refit_epochs")
        check_watching_callbacks(self.callbacks_, validates=valid is not None, refit_epochs=self.refit_epochs)
        keep_freed_memory()
        dataset_train = trials.subset(train)
        dataset_valid = None if valid is None else trials.subset(valid)
        self.notify("on_train_begin", X=trials.X, y=trials.y)
        n_epochs = 1 if continuing else self._plain("max_epochs")
        trainer = Trainer(
            (self.module_, self.criterion_, self.optimizer_),
            self.history,
            self._hooks(n_epochs, continuing),
            Plan(n_epochs, refit_epochs, self.monitor, self._plain("patience"), self._plain("lr")),
        )
        try:
            trainer.run(dataset_train, dataset_valid, lambda: trials.subset(np.concatenate([train, valid])))
        finally:
            self.best_epoch_ = trainer.best_epoch  # where training diverged, too
        self.notify("on_train_end", X=trials.X, y=trials.y)
        return self

    def _hooks(self, n_epochs, continuing):
        schedule, options = self.lr_schedule, self.get_params_for("lr_schedule")
        if continuing:
            schedule, options = "constant", {}
        return Hooks(
            train_step=self.train_step,
            validation_step=self.validation_step,
            notify=self.notify,
            get_iterator=self.get_iterator,
            find_sums=self._find_sums,
            make_schedule=lambda n_steps: schedules[schedule](self.optimizer_, n_epochs, n_steps, **options),
            score=None
            if self.monitor in ("loss", "accuracy")
            else lambda dataset: monitored(self.monitor, self, dataset),
            progress=lambda n: progress_bar(n, type(self).__name__, self.verbose),
            batches_are_watched=self._batches_are_watched,
        )

    def train_step_single(self, batch):
        """Get loss and gradients of a batch."""
        logits, losses, weights = self._outputs_and_loss(batch)
        loss = (losses * weights).mean()
        loss.backward()
        return {"loss": loss, "y_pred": logits}

    def validation_step(self, batch):
        """Get the loss of a batch of validation trials."""
        with torch.no_grad():
            logits, losses, weights = self._outputs_and_loss(batch)
            return {"loss": (losses * weights).sum() / weights.sum(), "y_pred": logits}

    def _outputs_and_loss(self, batch):
        X, (codes, weights) = batch
        X, codes, weights = (part.to(self.device_) for part in (X, codes, weights))
        if self.module_.training and self.augmentation:
            X, codes = self._augmenter(X, codes)
        if self._sees_trials(self.module_.training):
            X = self._map_channels(X)
        outputs = self.infer(X, features=isinstance(self.criterion_, DualPrototypeLoss))
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs
        if logits.shape != (len(X), len(self.classes_)):
            raise ValueError(
                f"{type(self.module_).__name__} gave outputs of shape {tuple(logits.shape)} for {len(X)} "
                f"trials of {len(self.classes_)} classes; a network gives a number for each trial and class, "
                f"{(len(X), len(self.classes_))}"
            )
        if isinstance(self.criterion_, nn.NLLLoss):
            check_log_probabilities(logits)
        try:
            losses = self.get_loss(outputs, codes)
        except (RuntimeError, TypeError, ValueError) as error:
            if isinstance(self.loss, str):
                raise
            raise ValueError(
                f"the loss {self.criterion_} takes no logits of shape {tuple(logits.shape)} with class codes "
                f"of shape {tuple(codes.shape)}: {error}"
            ) from error
        check_losses(losses, weights, self.criterion_)
        return logits, losses, weights

    def infer(self, x, features=False):
        """Run the network on a batch that is on its device; with ``features``, get a dict of outputs."""
        return self._network(x, return_features=True) if features else self._network(x)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Get one loss a trial."""
        return self.criterion_(y_pred, y_true)

    def _threads(self):
        """Networks of skeeg share trials among threads, others leave that to single operations."""
        shares = isinstance(self.module_, EEGModule) and self.device_.type == "cpu" and not self.compile
        return threads_for_pieces() if shares else threads_for_operations()


def _renew_callbacks(net, afresh=False):
    """Make the callbacks that are set, afresh or where they are others than before."""
    given = [copy.copy(net.callbacks), _text(net.get_params_for("callbacks"))]
    if afresh or not _same_callbacks(given, vars(net).get("_began_with_callbacks", [None, None])):
        net._initialize_callbacks()
        net._began_with_callbacks = given


def _same_callbacks(given, before):
    """Whether the same objects are callbacks, with the same options."""
    lists = [callbacks if isinstance(callbacks, list) else [callbacks] for callbacks, _ in (given, before)]
    return given[1] == before[1] and len(lists[0]) == len(lists[1]) and all(map(operator.is_, *lists))


def _text(value):
    """Text that tells values apart, and is the same in every process."""
    if isinstance(value, nn.Module):
        own = {k: v for k, v in vars(value).items() if not k.startswith("_") and k != "training"}
        state = {name: tensor.tolist() for name, tensor in value.state_dict().items()}
        return f"{value} {plain(own)} {state}" if own or state else repr(value)
    if inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
