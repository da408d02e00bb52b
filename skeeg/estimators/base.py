"""EEGClassifier: a skorch classifier that is a proper scikit-learn estimator of EEG trials."""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import sys
import threading
import traceback
import warnings
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import accuracy_score, get_scorer, get_scorer_names
from sklearn.utils import check_random_state, column_or_1d, compute_class_weight
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, assert_all_finite, check_is_fitted
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, EpochTimer
from skorch.history import History
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm.auto import tqdm

from skeeg.augmentation import Augmentation
from skeeg.estimators.adapt import find_pretrained, freeze_encoder, learn_channels, start_from
from skeeg.estimators.iterators import TrialDataset, TrialIterator
from skeeg.estimators.schedules import schedules
from skeeg.estimators.validation import split_trials
from skeeg.modules.base import EEGModule
from skeeg.modules.compute.threads import threads_for_pieces
from skeeg.modules.losses import DualPrototypeLoss
from skeeg.persistence import Savable, register
from skeeg.trials import as_trials, check_groups, warn_of_other_units

optimizers = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}

_ROUTED = (
    "callbacks",
    "compile",
    "criterion",
    "iterator_train",
    "iterator_valid",
    "lr_schedule",
    "optimizer",
)
_BEST_SO_FAR = ("train_loss_best", "valid_loss_best")  # what skorch's Checkpoint asks the history for
_PLAIN_CALLERS = ("sklearn.base", "sklearn.pipeline", "sklearn.utils")  # who call fit once, for the user
_SEEDING = threading.RLock()  # torch has one generator for all threads: fits in threads take turns
_ANOTHER_SCALE = 5  # between a pretrained network's trials and others: more than people differ by
_FAR_FROM_ZERO = 10  # means of channels, in standard deviations: networks learn little so far from zero
_LOOKS_LIKE_TOO_MUCH = 1e5  # median channel standard deviation: 0.1 volts, if it were µV
_LOOKS_LIKE_VOLTS = 1e-3  # median channel standard deviation of EEG: 5-50 in µV, 1e-5 in volts
_MOST_COPIES = 10  # whole-number weights become copies as long as the trials grow at most this many times


# what files may name, in rooms below that do not know of files
register(DualPrototypeLoss)
register(TrialIterator)


class EEGClassifier(Savable, ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeuralNetClassifier):
    """Train a torch module to classify EEG trials, as a scikit-learn estimator.

    Subclasses name their network in the class attribute ``module`` and list its parameters, flat, in their
    own ``__init__``; everything else is here. ``fit`` learns the shape of the data, the classes and, from
    ``mne.Epochs``, the sampling rate and the channel names.

    Parameters
    ----------
    sfreq : float or None, default=None
        Sampling rate in Hz of arrays; taken from ``mne.Epochs`` and :class:`skeeg.EEGArray`.
    loss : {"cross_entropy", "dual_prototype"} or torch.nn.Module class, default="cross_entropy"
        Loss. "dual_prototype" is :class:`skeeg.modules.losses.DualPrototypeLoss`. A class is made with
        ``reduction="none"`` and called with the logits and the class codes.
    compactness_weight : float, default=1e-3
        Weight of the compactness term; read by ``loss="dual_prototype"`` only.
    explicit_force_weight : float, default=1e-5
        Weight of the explicit-force term; read by ``loss="dual_prototype"`` only.
    label_smoothing : float, default=0.0
        Share of the target spread evenly over the classes, in [0, 1); read by the named losses only.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class in the loss; "balanced" weighs classes inversely to their frequency.
    max_epochs : int, default=50
        Passes over the training trials.
    batch_size : int, default=32
        Trials in a batch; -1 for all.
    lr : float, default=3e-3
        Learning rate; the largest one where ``lr_schedule`` changes it.
    weight_decay : float, default=0.01
        Weight decay of the optimiser.
    optimizer : {"adam", "adamw", "nadam", "rmsprop", "sgd"} or torch.optim.Optimizer class, default="adamw"
        Optimiser.
    lr_schedule : {"constant", "cosine", "one_cycle", "plateau"}, default="one_cycle"
        How the learning rate changes; options through ``lr_schedule__...``, see
        :mod:`skeeg.estimators.schedules`.
    train_split : float, splitter, array-like of int, or None, default=None
        Trials held out for validation: a fraction (stratified, shuffled; where ``groups`` are given whole
        groups, the nearest to it that there are: of two groups one), the first split of a scikit-learn
        splitter, the indices of trials, or none.
    monitor : "loss", "accuracy", scorer name or callable, default="loss"
        What is watched on the validation trials; the weights of the best epoch are restored.
    patience : int or None, default=None
        Stop after this many epochs without a better ``monitor``; None trains all ``max_epochs``. Needs
        ``train_split``, as ``refit_epochs`` does.
    refit_epochs : int, default=0
        After the best weights (and their optimiser state) are restored, train this many epochs more on
        the training and validation trials together, and keep the last weights.
    augmentation : Augmentation, list of Augmentation, or None, default=None
        Label-preserving transforms of training batches, see :mod:`skeeg.augmentation`.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, shuffling, dropout, augmentation and the validation split. The global
        generators of torch and NumPy are neither read nor changed.
    device : str or torch.device, default="auto"
        "auto" takes CUDA or MPS where present, else the CPU.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks, in skorch's manner. With ``skorch.callbacks.LRScheduler``, set ``lr_schedule="constant"``.
        An estimator that has callbacks is pickled, not saved by ``save``.
    iterator_train, iterator_valid : class, default=TrialIterator
        Called with a :class:`skeeg.estimators.iterators.TrialDataset`, ``batch_size`` and, for training,
        ``shuffle=True``; ``torch.utils.data.DataLoader`` fits.
    compile : bool, default=False
        Run the network through ``torch.compile``. On two cores, after 4 to 40 seconds of compiling, epochs
        of 288 x 22 x 1000 took as long as without, up to a quarter less with AttentionBaseNet and
        SincShallowNet, up to twice the time with FBLightConvNet: on a CPU it hardly pays.
    verbose : int, default=1
        0 is quiet; 1 shows a progress bar on a terminal for fits longer than a few seconds, outside
        searches; 2 shows it always.
    warm_start : bool, default=False
        Let ``fit`` go on from the present weights and optimiser state instead of starting afresh. Parameters
        that would need another network, loss or optimiser must be as they were.
    pretrained : str, os.PathLike, FrozenEstimator or None, default=None
        Start from the weights of a fitted estimator of the same class and architecture parameters: a file
        of :func:`skeeg.save`, a repository of :func:`skeeg.push_to_hub`, or the estimator itself in
        ``sklearn.frozen.FrozenEstimator``, which keeps it fitted where scikit-learn clones. Channels are
        matched by name; those that the pretrained network does not know are left out. Where the classes are
        the same, the head is kept; else it is new.
    freeze_encoder : bool, default=False
        Train the head alone.
    missing_channels : {"raise", "interpolate"}, default="raise"
        What becomes of channels that the pretrained network wants and X does not have: an error, or
        spherical splines over the other channels (MNE).
    **routed : dict
        skorch's routed names, such as ``optimizer__betas`` or ``callbacks__name__option``.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network, in eval mode.
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    n_chans_, n_times_ : int
        Shape of a trial.
    n_features_in_ : int
        ``n_chans_ * n_times_``.
    sfreq_ : float or None
        Sampling rate in Hz, where known.
    ch_names_ : tuple of str or None
        Channel names, where known; at predict, channels are put in this order.
    scale_ : float
        Median standard deviation of a channel in ``fit``; trials of quite another scale are pointed out.
    history_ : DataFrame
        One row an epoch: ``epoch``, ``train_loss``, ``lr``, ``dur`` (seconds) and, with validation,
        ``valid_loss``, ``valid_accuracy`` and ``valid_<scorer>``.
    channel_map_ : ndarray of float32, shape (n_network_chans, n_chans_), or None
        With ``pretrained``, what the network's channels are made of; None where they are those of X.
    best_epoch_ : int
        Epoch (from 1) whose weights were kept.

    Raises
    ------
    ValueError, TypeError
        In ``fit`` and ``predict``, for data or parameters that cannot be used; a fitted estimator is left
        as it was.
    FloatingPointError
        When training diverges; the last good weights are kept.

    Notes
    -----
    Trials are float32 inside. ``sample_weight`` is as in scikit-learn: a whole-number weight ``k`` counts
    as ``k`` copies of a trial (up to a common factor, and while there are at most ten times as many
    trials), any other weight scales the trial's term of the loss. Weights matter up to scale. Training
    trials are put in an order of their own before they are shuffled, so that the order in which they are
    given does not matter.

    Examples
    --------
    A network of one's own takes a dozen lines. The arguments of its ``__init__`` that are named
    ``n_chans``, ``n_outputs``, ``n_times``, ``sfreq`` or ``chs_info`` come from the data, the others from
    the estimator's parameters of the same name.

    >>> import numpy as np, torch
    >>> from skeeg import EEGClassifier
    >>> class BandPowerNet(torch.nn.Module):
    ...     def __init__(self, n_chans, n_outputs, n_filters=4):
    ...         super().__init__()
    ...         self.spatial = torch.nn.Conv1d(n_chans, n_filters, 1)
    ...         self.head = torch.nn.Linear(n_filters, n_outputs)
    ...     def forward(self, x):                               # (batch, n_chans, n_times)
    ...         power = self.spatial(x).square().mean(dim=-1)   # (batch, n_filters)
    ...         return self.head(torch.log(power + 1e-6))       # (batch, n_outputs)
    >>> class BandPowerClassifier(EEGClassifier):
    ...     module = BandPowerNet
    ...     def __init__(self, n_filters=4, *, max_epochs=20, **training):
    ...         super().__init__(max_epochs=max_epochs, **training)
    ...         self.n_filters = n_filters
    >>> X = np.random.default_rng(0).standard_normal((40, 3, 64))
    >>> y = np.repeat(["rest", "move"], 20)
    >>> X[y == "rest", 0] *= 3
    >>> BandPowerClassifier(n_filters=4, lr=0.1, random_state=0).fit(X, y).score(X, y)
    1.0
    """

    module = None

    # what skorch looks up on a net, fixed here
    classes = None
    criterion = None
    dataset = TrialDataset
    initialized_ = False
    predict_nonlinearity = None
    torch_load_kwargs = None
    use_caching = False
    virtual_params_ = {}

    __metadata_request__fit = {"groups": True}
    __metadata_request__partial_fit = {"groups": True}

    _parameter_constraints: dict = {
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
        "loss": [StrOptions({"cross_entropy", "dual_prototype"}), type],
        "compactness_weight": [Interval(Real, 0, None, closed="left")],
        "explicit_force_weight": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "optimizer": [StrOptions(set(optimizers)), type],
        "lr_schedule": [StrOptions(set(schedules))],
        "train_split": [
            Interval(Real, 0, 1, closed="neither"),
            HasMethods("split"),
            "array-like",
            None,
        ],
        "monitor": [StrOptions({"loss", "accuracy", *get_scorer_names()}), callable],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "refit_epochs": [Interval(Integral, 0, None, closed="left")],
        "augmentation": [Augmentation, list, None],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "callbacks": [list, StrOptions({"disable"}), None],
        "iterator_train": [callable],
        "iterator_valid": [callable],
        "compile": ["boolean"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "pretrained": [str, os.PathLike, BaseEstimator, None],
        "freeze_encoder": ["boolean"],
        "missing_channels": [StrOptions({"raise", "interpolate"})],
    }

    def __init__(
        self,
        *,
        sfreq=None,
        loss="cross_entropy",
        compactness_weight=1e-3,
        explicit_force_weight=1e-5,
        label_smoothing=0.0,
        class_weight=None,
        max_epochs=50,
        batch_size=32,
        lr=3e-3,
        weight_decay=0.01,
        optimizer="adamw",
        lr_schedule="one_cycle",
        train_split=None,
        monitor="loss",
        patience=None,
        refit_epochs=0,
        augmentation=None,
        random_state=None,
        device="auto",
        callbacks=None,
        iterator_train=TrialIterator,
        iterator_valid=TrialIterator,
        compile=False,
        verbose=1,
        warm_start=False,
        pretrained=None,
        freeze_encoder=False,
        missing_channels="raise",
        **routed,
    ):
        self.sfreq = sfreq
        self.loss = loss
        self.compactness_weight = compactness_weight
        self.explicit_force_weight = explicit_force_weight
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.lr_schedule = lr_schedule
        self.train_split = train_split
        self.monitor = monitor
        self.patience = patience
        self.refit_epochs = refit_epochs
        self.augmentation = augmentation
        self.random_state = random_state
        self.device = device
        self.callbacks = callbacks
        self.iterator_train = iterator_train
        self.iterator_valid = iterator_valid
        self.compile = compile
        self.verbose = verbose
        self.warm_start = warm_start
        self.pretrained = pretrained
        self.freeze_encoder = freeze_encoder
        self.missing_channels = missing_channels
        for name in routed:
            if not self._is_routed(name):
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {self._get_param_names()} "
                    f"and names routed by {', '.join(p + '__' for p in _ROUTED)}"
                )
        vars(self).update(routed)

    def __init_subclass__(cls, **kwargs):
        # A subclass lists its own parameters and passes the rest on as **training. The full list is put
        # in the signature of its __init__, where scikit-learn, help() and editors look for it.
        if "__init__" in vars(cls):
            inherited = inspect.signature(super(cls, cls).__init__).parameters
            own = inspect.signature(cls.__init__).parameters
            merged = {name: p for name, p in own.items() if p.kind != p.VAR_KEYWORD}
            if len(merged) < len(own):  # it takes **training
                for name, p in inherited.items():
                    if name not in merged and p.kind != p.VAR_KEYWORD:
                        merged[name] = p.replace(kind=p.KEYWORD_ONLY)
            cls.__init__.__signature__ = inspect.Signature(list(merged.values()))
        super().__init_subclass__(**kwargs)

    # ----- parameters ---------------------------------------------------------------------------------

    @staticmethod
    def _is_routed(name):
        prefix, separator, rest = name.partition("__")
        return bool(separator and rest) and prefix in _ROUTED

    @classmethod
    def _get_param_names(cls):
        return BaseEstimator._get_param_names.__func__(cls)

    def get_params(self, deep=True):
        """Get the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Include the parameters of parameters that are estimators.

        Returns
        -------
        dict
            Parameter names and values, routed names included.
        """
        routed = {name: value for name, value in vars(self).items() if self._is_routed(name)}
        return BaseEstimator.get_params(self, deep) | dict(sorted(routed.items()))

    def set_params(self, **params):
        """Set parameters; they take effect at the next ``fit``, ``lr`` at the next ``partial_fit`` too.

        Parameters
        ----------
        **params : dict
            Parameter names and values, routed names included.

        Returns
        -------
        self
        """
        routed = {
            name: value
            for name, value in params.items()
            if self._is_routed(name) and name not in BaseEstimator.get_params(self)
        }
        vars(self).update(routed)
        return BaseEstimator.set_params(self, **{k: v for k, v in params.items() if k not in routed})

    def get_metadata_routing(self):
        """Get which metadata ``fit`` and the others ask for; ``groups`` by default.

        Returns
        -------
        MetadataRequest
        """
        return self._get_metadata_request()

    def _validate_params(self):
        validate_parameter_constraints(
            self._parameter_constraints, BaseEstimator.get_params(self, deep=False), type(self).__name__
        )
        for name, without in (("patience", None), ("refit_epochs", 0), ("monitor", "loss")):
            if self.train_split is None and getattr(self, name) != without:
                raise ValueError(
                    f"{name}={getattr(self, name)} needs validation trials, but train_split=None holds out "
                    "none; set train_split, such as 0.2"
                )
        if self.module is None:
            raise TypeError("EEGClassifier has no network; subclass it and set the class attribute `module`")
        if isinstance(self.augmentation, list):
            for augmentation in self.augmentation:
                if not isinstance(augmentation, Augmentation):
                    raise ValueError(
                        f"augmentation holds {augmentation!r}; give objects from skeeg.augmentation"
                    )

    def get_params_for(self, prefix):
        """Collect the routed parameters of a component; the optimiser's with weight decay and groups."""
        params = super().get_params_for(prefix)
        if prefix == "optimizer":
            params.setdefault("weight_decay", self.weight_decay)
            params["param_groups"] = [*params.get("param_groups", []), *self._param_groups()]
        return params

    def _param_groups(self):
        """Give (name pattern, optimiser options) of network parameters that train differently."""
        return []

    def __repr__(self, N_CHAR_MAX=700):
        return BaseEstimator.__repr__(self, N_CHAR_MAX)

    def __sklearn_is_fitted__(self):
        return self.initialized_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        # The checks' tables become trials of two samples, which hold no oscillation to classify by.
        tags.classifier_tags.poor_score = True
        return tags

    # ----- components, made when the data are known ---------------------------------------------------

    def initialize(self):
        """Make network, loss and optimiser anew for the data that ``fit`` has seen.

        Returns
        -------
        self
        """
        if not hasattr(self, "n_chans_"):
            raise TypeError(f"{type(self).__name__} is made for the data that fit sees; call fit")
        self.initialize_virtual_params()
        self._initialize_callbacks()
        for name, make in (
            ("module", self.initialize_module),
            ("criterion", self.initialize_criterion),
            ("optimizer", self.initialize_optimizer),
        ):
            with self._current_init_context(name):
                make()
        vars(self).pop("_compiled", None)
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
        accepted = inspect.signature(self.module).parameters
        learned = {name: value for name, value in learned.items() if name in accepted}
        self.module_ = self.module(**(self._module_params() | learned)).to(self.device_)
        source = vars(self).pop("_source", None)
        if source is not None:
            start_from(self, source)
        if self.freeze_encoder:
            freeze_encoder(self.module_)
        return self

    def _module_params(self):
        """Get the parameters that are arguments of the network, and not of training."""
        training = inspect.signature(EEGClassifier.__init__).parameters
        accepted = inspect.signature(self.module).parameters
        params = BaseEstimator.get_params(self, deep=False)
        return {k: v for k, v in params.items() if k in accepted and k not in training}

    def initialize_criterion(self):
        """Make the loss, of one value a trial."""
        options = {"reduction": "none", **self.get_params_for("criterion")}
        if self.loss == "cross_entropy":
            criterion = nn.CrossEntropyLoss(label_smoothing=self.label_smoothing, **options)
        elif self.loss == "dual_prototype":
            if not hasattr(self.module_, "proto_cpt"):
                options["prototype_shape"] = (len(self.classes_), self._n_features_out)
            criterion = DualPrototypeLoss(
                self.compactness_weight,
                self.explicit_force_weight,
                label_smoothing=self.label_smoothing,
                **options,
            )
        else:
            criterion = self.loss(**options)
        self.criterion_ = criterion.to(self.device_)
        return self

    def initialize_optimizer(self):
        """Make the optimiser."""
        self.optimizer_ = self._make_optimizer()
        return self

    def _refresh(self):
        """Give loss and optimiser their options as they are set now; what they have gathered stays."""
        self.check_params_unchanged()
        if isinstance(self.loss, str):
            for name in ("label_smoothing", "compactness_weight", "explicit_force_weight"):
                if hasattr(self.criterion_, name):
                    setattr(self.criterion_, name, getattr(self, name))
        for group, options in zip(
            self.optimizer_.param_groups, self._make_optimizer().param_groups, strict=True
        ):
            group.update({name: value for name, value in options.items() if name != "params"})

    def _make_optimizer(self):
        named = [(name, p) for name, p in self.get_all_learnable_params() if p.requires_grad]
        groups, options = self.get_params_for_optimizer("optimizer", named)
        make = (
            optimizers.get(self.optimizer, self.optimizer)
            if isinstance(self.optimizer, str)
            else self.optimizer
        )
        if self.optimizer in ("adam", "adamw") and self.device_.type in ("cpu", "cuda"):
            options.setdefault("fused", True)
        return make(*groups, **options)

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
        hidden = ("batches", *_BEST_SO_FAR)
        return pd.DataFrame([{k: v for k, v in row.items() if k not in hidden} for row in self._history])

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer())]

    @property
    def _n_features_out(self):
        return getattr(self.module_, "n_features", len(self.classes_))

    @property
    def _network(self):
        if not self.compile:
            return self.module_
        if "_compiled" not in vars(self):  # kept out of pickles, made again where it is missing
            vars(self)["_compiled"] = torch.compile(self.module_, **super().get_params_for("compile"))
        return self._compiled

    # ----- data -----------------------------------------------------------------------------------------

    def _check_shape(self, trials):
        """Hold trials against what was learned in fit; give their data, channels in the learned order."""
        data = trials.data
        if trials.ch_names is not None and self.ch_names_ is not None and trials.ch_names != self.ch_names_:
            unknown = sorted(set(trials.ch_names) - set(self.ch_names_))
            missing = sorted(set(self.ch_names_) - set(trials.ch_names))
            if missing or unknown:
                raise ValueError(
                    f"channels differ from those learned in fit: missing {missing}, unknown {unknown}; "
                    f"{type(self).__name__} expects {list(self.ch_names_)}"
                )
            data = np.ascontiguousarray(data[:, [trials.ch_names.index(name) for name in self.ch_names_]])
        if data.shape[1:] != (self.n_chans_, self.n_times_):
            raise ValueError(
                f"X has {data.shape[1] * data.shape[2]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input: trials of {data.shape[1]} channels x "
                f"{data.shape[2]} samples were given, fit saw {self.n_chans_} x {self.n_times_}"
            )
        if None not in (trials.sfreq, self.sfreq_) and not np.isclose(trials.sfreq, self.sfreq_):
            raise ValueError(
                f"X is sampled at {trials.sfreq} Hz, but fit saw {self.sfreq_} Hz; resample to that rate"
            )
        return data

    def _check_labels(self, y, n_trials, labels):
        if y is None:
            y = labels
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; "
                "give y, or mne.Epochs whose event_id names the classes"
            )
        y = column_or_1d(y, warn=True)
        if y.dtype.kind in "fc":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        if len(y) != n_trials:
            raise ValueError(f"y has {len(y)} labels, but X has {n_trials} trials")
        return y

    def _warn_of_units(self, data):
        some = data[:: max(1, len(data) // 64)]
        deviations = some.std(axis=2)
        typical = self.scale_ = float(np.median(deviations))
        constant = np.flatnonzero(deviations.max(axis=0) == 0)
        if self.n_times_ > 1 and len(constant):
            names = constant.tolist() if self.ch_names_ is None else [self.ch_names_[i] for i in constant]
            warnings.warn(
                f"channels {names} are constant in the trials looked at; drop or interpolate them",
                UserWarning,
                stacklevel=4,
            )
        if 0 < typical < _LOOKS_LIKE_VOLTS:
            warnings.warn(
                f"the median standard deviation of a channel is {typical:.1e}: X looks like volts, the "
                "networks expect µV or standardised data; multiply by 1e6 or put skeeg.Scaler() before",
                UserWarning,
                stacklevel=4,
            )
        if typical > _LOOKS_LIKE_TOO_MUCH:
            warnings.warn(
                f"the median standard deviation of a channel is {typical:.1e}, too much for EEG in µV; "
                "Epochs are taken to hold volts and multiplied by 1e6: give volts in Epochs, µV in arrays, "
                "or put skeeg.Scaler() before",
                UserWarning,
                stacklevel=4,
            )
        level = float(np.median(np.abs(some.mean(axis=2))))
        if typical > 0 and level > _FAR_FROM_ZERO * typical:
            warnings.warn(
                f"channels have means of {level:.1e} beside a standard deviation of {typical:.1e}, and the "
                "networks learn little under such an offset; high-pass the recording or put skeeg.Scaler() "
                "before",
                UserWarning,
                stacklevel=4,
            )

    # ----- training ---------------------------------------------------------------------------------------

    def fit(self, X, y=None, sample_weight=None, groups=None):
        """Train the network.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials, in µV or standardised; Epochs are turned from volts into µV.
        y : array-like, shape (n_trials,), optional
            Labels, strings or whole numbers. Optional for Epochs, whose ``event_id`` names the classes.
        sample_weight : array-like, shape (n_trials,), optional
            Weight of each trial.
        groups : array-like, shape (n_trials,), optional
            Group of each trial, such as its subject; whole groups are held out for validation.

        Returns
        -------
        self
        """
        return self._fit_safely(
            X, y, sample_weight, groups, afresh=not (self.warm_start and self.initialized_)
        )

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, groups=None):
        """Train one more epoch, at the learning rate ``lr``, without validation.

        Parameters
        ----------
        X, y, sample_weight
            As in ``fit``.
        classes : array-like, optional
            All labels there will be; needed in the first call where ``y`` does not hold them all.
        groups : array-like, optional
            Not used; accepted so that pipelines may pass it.

        Returns
        -------
        self
        """
        return self._fit_safely(
            X, y, sample_weight, None, afresh=not self.initialized_, classes=classes, continuing=True
        )

    def _fit_safely(self, *args, **options):
        """Train; on an error, leave the estimator as it was."""
        before = dict(vars(self))
        try:
            return self._fit(*args, **options)
        except FloatingPointError:
            raise  # the last good weights are in place
        except Exception:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _fit(self, X, y, sample_weight, groups, *, afresh, classes=None, continuing=False):
        self._validate_params()
        trials = as_trials(X)
        y = self._check_labels(y, len(trials.data), trials.labels)
        if sample_weight is None:
            weights = np.ones(len(y))
        else:
            weights = _check_sample_weight(sample_weight, trials.data, dtype=np.float64)
        if weights.min() < 0 or not weights.any():
            raise ValueError(
                "sample_weight must not be negative, and not all zero; the smallest weight is "
                f"{weights.min()}, the largest {weights.max()}"
            )
        if groups is not None:
            groups = check_groups(groups, y)
        kept = weights > 0  # a trial of no weight is no trial, for batch statistics too
        if afresh:
            self._learn_shape(trials, np.unique(y[kept] if classes is None else classes))
            data = trials.data
        else:
            data = self._check_shape(trials)
        unknown = np.setdiff1d(y[kept], self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels {unknown.tolist()} that are not in {self.classes_.tolist()}")
        self._warn_of_units(data)
        if afresh and self.pretrained is not None:
            self._warn_of_another_scale()
        if afresh and self.freeze_encoder and self.pretrained is None:
            warnings.warn(
                "freeze_encoder=True without pretrained freezes an encoder of random weights",
                UserWarning,
                stacklevel=4,
            )

        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        with self._own_randomness() as seed:
            train, valid = split_trials(
                None if continuing else self.train_split,
                np.unique(y, return_inverse=True)[1],
                groups,
                seed=seed,
            )
            if valid is not None:
                valid = valid[kept[valid]]
                if not len(valid):
                    raise ValueError(
                        "all validation trials have sample_weight 0; hold out others, by train_split"
                    )
            copies, weights = _copies_and_weights(weights)
            train = np.repeat(train, copies[train])
            train = train[np.lexsort((codes[train], _order_keys(data)[train]))]
            weights = weights * self._class_weights(codes[train])[codes]
            weights /= weights[train].mean()
            everything = TrialDataset(
                _as_tensor(data),
                torch.from_numpy(codes),
                torch.from_numpy(weights.astype(np.float32)),
                y,
            )
            if afresh:
                self.initialize()
            else:
                self._refresh()
            self.module_.train()
            try:
                with self._threads():
                    self.fit_loop(everything, train, valid, continuing)
            finally:
                self.module_.eval()
        return self

    def _warn_of_another_scale(self):
        there = self._source.scale_
        if max(self.scale_, there) > _ANOTHER_SCALE * min(self.scale_, there):
            warnings.warn(
                f"the median standard deviation of a channel is {self.scale_:.1e}, it was {there:.1e} where "
                "the pretrained network was trained: put the steps that were before it, such as Scaler(), "
                "before this one too (of a pretrained Pipeline, the last step alone is taken)",
                UserWarning,
                stacklevel=5,
            )

    def _learn_shape(self, trials, classes):
        if len(classes) < 2:
            raise ValueError(f"y has 1 class only, {classes.tolist()}; a classifier needs at least 2 classes")
        if None not in (self.sfreq, trials.sfreq) and not np.isclose(self.sfreq, trials.sfreq):
            raise ValueError(f"sfreq={self.sfreq} but X is sampled at {trials.sfreq} Hz; leave sfreq out")
        if trials.data.shape[2] < 2:
            n_features = trials.data.shape[1]
            raise ValueError(
                f"Found array with {n_features} feature(s) (shape={(len(trials.data), n_features)}): trials "
                "of n_times=1 sample hold no signal; give at least 2 samples"
            )
        if trials.data.shape[1] > trials.data.shape[2]:
            warnings.warn(
                f"X has more channels, {trials.data.shape[1]}, than samples, {trials.data.shape[2]}: are its "
                "axes (n_trials, n_chans, n_times)?",
                UserWarning,
                stacklevel=5,
            )
        self.initialized_ = False
        self.classes_inferred_ = classes
        self.n_chans_, self.n_times_ = trials.data.shape[1:]
        self.n_features_in_ = self.n_chans_ * self.n_times_
        self.sfreq_ = self.sfreq if trials.sfreq is None else trials.sfreq
        self.ch_names_ = trials.ch_names
        self.device_ = _resolve_device(self.device)
        self.channel_map_ = None
        if self.pretrained is not None:
            self._source = find_pretrained(self.pretrained, type(self))
            self.channel_map_ = learn_channels(self, self._source)

    def _class_weights(self, codes):
        if isinstance(self.class_weight, dict):
            unknown = [label for label in self.class_weight if label not in self.classes_]
            if unknown:
                raise ValueError(f"class_weight names {unknown}, which are not in {self.classes_.tolist()}")
        present = self.classes_[np.unique(codes)]
        weights = np.ones(len(self.classes_))
        weights[np.unique(codes)] = compute_class_weight(
            self.class_weight, classes=present, y=self.classes_[codes]
        )
        return weights

    @contextlib.contextmanager
    def _own_randomness(self):
        """Seed torch for the duration of a fit; the generators of the user go on as if there were none."""
        if self.random_state is None:
            seed = int(np.random.default_rng().integers(2**31))
        elif isinstance(self.random_state, Integral):
            seed = int(self.random_state)
        else:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        kind = self.device_.type
        with _SEEDING, torch.random.fork_rng([self.device_] if kind == "cuda" else []):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
            if kind == "cuda":
                with torch.cuda.device(self.device_):
                    torch.cuda.manual_seed(seed)
            elif kind == "mps":
                before = torch.mps.get_rng_state()
                torch.mps.manual_seed(seed)
            chosen = self.augmentation if isinstance(self.augmentation, list) else [self.augmentation]
            self._augmentations = [a.for_data(self.ch_names_, self.classes_) for a in chosen if a is not None]
            self._generator = torch.Generator(self.device_).manual_seed(seed)
            try:
                yield seed
            finally:
                del self._generator, self._augmentations
                if kind == "mps":
                    torch.mps.set_rng_state(before)

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
        self._check_watching_callbacks(valid)
        _keep_freed_memory()
        dataset_train = self._subset(trials, train)
        dataset_valid = None if valid is None else self._subset(trials, valid)
        datasets = {"dataset_train": dataset_train, "dataset_valid": dataset_valid}
        self.notify("on_train_begin", X=trials.X, y=trials.y)
        best = _Best(self)
        n_epochs = 1 if continuing else self.max_epochs
        try:
            with self._progress(n_epochs + (0 if continuing else self.refit_epochs)) as bar:
                iterator = self.get_iterator(dataset_train, training=True)
                if n_epochs > 1:
                    self._find_sums(iterator)
                iterator_valid = None if valid is None else self.get_iterator(dataset_valid)
                name = "constant" if continuing else self.lr_schedule
                schedule = self._make_schedule(name, n_epochs, len(iterator))
                for _ in range(n_epochs):
                    stopped = self._run_epoch((iterator, iterator_valid), datasets, schedule, best, bar)
                    if stopped or (self.patience and valid is not None and best.patience >= self.patience):
                        break
                epoch = len(self.history) if valid is None else best.restore()
                if self.refit_epochs and valid is not None and not continuing:
                    dataset_train = self._subset(trials, np.concatenate([train, valid]))
                    datasets = {"dataset_train": dataset_train, "dataset_valid": None}
                    iterator = self.get_iterator(dataset_train, training=True)
                    schedule = schedule if isinstance(schedule, ReduceLROnPlateau) else None
                    for _ in range(self.refit_epochs):
                        if self._run_epoch((iterator, None), datasets, schedule, best, bar):
                            break
                    epoch = len(self.history)
        except KeyboardInterrupt:
            if _inside_search():
                raise
            if self.history and "train_loss" not in self.history[-1]:
                self.history.pop()  # an epoch that did not end
            epoch = len(self.history) if valid is None else best.restore()
            which = "of that moment" if valid is None else f"of epoch {epoch}"
            warnings.warn(
                f"training stopped after {len(self.history)} epochs; the weights {which} are kept",
                UserWarning,
                stacklevel=2,
            )
        self.best_epoch_ = epoch
        self.notify("on_train_end", X=trials.X, y=trials.y)
        return self

    def _check_watching_callbacks(self, valid):
        for name, callback in self.callbacks_:
            monitor = getattr(callback, "monitor", None)
            if not (isinstance(monitor, str) and monitor.startswith("valid")):
                continue
            if valid is None or self.refit_epochs:
                epochs = "training" if valid is None else f"refit_epochs={self.refit_epochs}"
                raise ValueError(
                    f"the callback {name!r} watches {monitor!r}, but there is no validation in {epochs}: "
                    "give train_split, or set patience instead of the callback"
                )

    def _run_epoch(self, iterators, datasets, schedule, best, bar):
        """Train an epoch and validate; True where a callback asks to stop."""
        iterator, iterator_valid = iterators
        self.notify("on_epoch_begin", **datasets)  # skorch opens the epoch in the history
        lr = self.optimizer_.param_groups[0]["lr"]
        self.module_.train()
        loss = self._mean_loss(iterator, self.train_step, training=True, schedule=schedule)
        self.module_.eval()
        if not np.isfinite(loss):
            self.history.pop()
            self.best_epoch_ = best.restore()
            raise FloatingPointError(
                f"training diverged: the loss of epoch {len(self.history) + 1} is {loss}; the weights of "
                f"epoch {self.best_epoch_} are kept. Lower lr={self.lr} or standardise the data"
            )
        self.history.record("train_loss", loss)
        self.history.record("lr", lr)
        shown = {"train_loss": loss}
        if iterator_valid is not None:
            shown |= self._validate(iterator_valid, datasets["dataset_valid"])
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(loss)
        best.update(shown)
        for name in _BEST_SO_FAR:
            loss_name = name.removesuffix("_best")
            if loss_name in shown:
                self.history.record(name, shown[loss_name] <= min(self.history[:, loss_name]))
        stopped = False
        try:
            self.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt as stop:
            if not _is_early_stopping(stop):
                raise
            stopped = True
        bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()}, refresh=False)
        bar.update()
        return stopped

    def _validate(self, iterator, dataset):
        """Measure and record loss and scores on validation trials."""
        logits = []

        def step(batch):
            result = self.validation_step(batch)
            logits.append(result["y_pred"])
            return result

        scores = {"valid_loss": self._mean_loss(iterator, step, training=False)}
        predicted = torch.cat(logits).argmax(dim=1).cpu()
        scores["valid_accuracy"] = accuracy_score(dataset.codes, predicted, sample_weight=dataset.weights)
        if self.monitor not in ("loss", "accuracy"):
            name = self.monitor if isinstance(self.monitor, str) else "score"
            scores[f"valid_{name}"] = self._monitored(dataset)
        for name, value in scores.items():
            self.history.record(name, value)
        return scores

    def _monitored(self, dataset):
        problem, cause = "is not a number", None
        try:
            score = float(get_scorer(self.monitor)(self, dataset.X, dataset.y))
        except ValueError as error:
            score, problem, cause = np.nan, f"failed ({error})", error
        if np.isnan(score):
            held = np.unique(dataset.y).tolist()
            remedy = "hold out others, by train_split, or " if held != self.classes_.tolist() else ""
            raise ValueError(
                f"monitor={self.monitor!r} {problem} on the validation trials, which hold the classes {held} "
                f"of {self.classes_.tolist()}; {remedy}monitor another score"
            ) from cause
        return score

    def _mean_loss(self, iterator, step_fn, *, training, schedule=None):
        losses, sizes = [], []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            losses.append(step["loss"].detach())
            sizes.append(float(len(batch[0])) if training else batch[1][1].sum())
            self.notify("on_batch_end", batch=batch, training=training, **step)
            if schedule is not None and not isinstance(schedule, ReduceLROnPlateau):
                schedule.step()
        sizes = torch.as_tensor(sizes)
        # one synchronisation an epoch, not one a batch
        return float((torch.stack(losses).cpu() * sizes).sum() / sizes.sum())

    def _make_schedule(self, name, n_epochs, n_steps):
        return schedules[name](self.optimizer_, n_epochs, n_steps, **super().get_params_for("lr_schedule"))

    def get_dataset(self, X, y=None):
        """Put checked trials, and codes of their labels where there are any, into a TrialDataset."""
        data = self._check_shape(as_trials(X))
        codes = np.zeros(len(data), dtype=np.int64) if y is None else np.searchsorted(self.classes_, y)
        return TrialDataset(_as_tensor(data), torch.from_numpy(codes), torch.ones(len(data)), y)

    def get_iterator(self, dataset, training=False):
        """Make the iterator over a :class:`skeeg.estimators.iterators.TrialDataset`."""
        X = dataset.X
        if not (training and self.augmentation):  # augmentations see the channels of X, `_augment` maps them
            X = self._map_channels(X)
        if isinstance(self.module_, EEGModule) and hasattr(self.module_, "prepare") and not self.augmentation:
            X = self.module_.prepare(X)  # what no training step changes, such as a fixed filter bank
        dataset = TrialDataset(X, dataset.codes, dataset.weights, dataset.y)
        name = "iterator_train" if training else "iterator_valid"
        make, options = getattr(self, name), super().get_params_for(name)
        options.setdefault("batch_size", len(dataset) if self.batch_size == -1 else self.batch_size)
        if training:
            options.setdefault("shuffle", True)
        if make is TrialIterator:
            options.setdefault("device", self.device_)
        return make(dataset, **options)

    def _find_sums(self, iterator):
        """Find once, of trials that no step changes, the sums that each step would find anew."""
        if (
            type(iterator) is TrialIterator
            and not self.augmentation
            and isinstance(self.module_, EEGModule)
            and hasattr(self.module_, "window_sums")
            and not self.freeze_encoder  # its normalisation asks for none
            and not self.compile
            and self.device_.type != "mps"  # which has no float64
        ):
            iterator.find_sums(self.module_.window_sums)

    def _map_channels(self, X):
        return X if self.channel_map_ is None else torch.from_numpy(self.channel_map_).to(X) @ X

    def _threads(self):
        """Networks of skeeg share trials among threads, others leave that to single operations."""
        shares = isinstance(self.module_, EEGModule) and self.device_.type == "cpu" and not self.compile
        return threads_for_pieces() if shares else contextlib.nullcontext()

    @staticmethod
    def _subset(trials, index):
        chosen = torch.from_numpy(index)
        X, codes, weights = (t.index_select(0, chosen) for t in (trials.X, trials.codes, trials.weights))
        return TrialDataset(X, codes, weights, trials.y[index])

    def _outputs_and_loss(self, batch):
        X, (codes, weights) = batch
        X, codes, weights = (part.to(self.device_) for part in (X, codes, weights))
        if self.module_.training:
            X, codes = self._augment(X, codes)
        outputs = self.infer(X, features=isinstance(self.criterion_, DualPrototypeLoss))
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs
        if logits.shape != (len(X), len(self.classes_)):
            raise ValueError(
                f"{type(self.module_).__name__} gave outputs of shape {tuple(logits.shape)} for {len(X)} "
                f"trials of {len(self.classes_)} classes; a network gives a number for each trial and class, "
                f"{(len(X), len(self.classes_))}"
            )
        losses = self.get_loss(outputs, codes)
        return logits, losses, weights

    def _augment(self, X, codes):
        for augmentation in self._augmentations:
            X, codes = augmentation.augment(X, codes, self._generator)
        return (self._map_channels(X) if self.augmentation else X), codes

    def infer(self, x, features=False):
        """Run the network on a batch that is on its device; with ``features``, get a dict of outputs."""
        return self._network(x, return_features=True) if features else self._network(x)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Get one loss a trial."""
        return self.criterion_(y_pred, y_true)

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

    def _progress(self, total):
        quiet = self.verbose == 0 or (self.verbose == 1 and (_inside_search() or not sys.stderr.isatty()))
        return tqdm(
            total=total,
            desc=type(self).__name__,
            unit="epoch",
            disable=quiet,
            delay=0 if self.verbose > 1 else 3,
            leave=self.verbose > 1,
            file=sys.stderr,
        )

    # ----- prediction -------------------------------------------------------------------------------------

    def _forward(self, X, function="forward"):
        """Run the network over trials, a batch at a time; on the CPU, as one tensor."""
        if not self.initialized_:
            check_is_fitted(self)  # raises; to ask it each time would make a single trial 5 % slower
        data = self._check_shape(as_trials(X))
        warn_of_other_units(data, self.scale_)
        data = self._map_channels(_as_tensor(data))
        run = self._network if function == "forward" else getattr(self.module_, function, self._network)
        was_training = self.module_.training  # a scorer may ask while training
        if was_training:
            self.module_.eval()
        try:
            with self._threads(), torch.inference_mode():
                batches = data.split(len(data) if self.batch_size == -1 else self.batch_size)
                fill = _filled if isinstance(self.module_, EEGModule) else _as_it_is
                outputs = [run(fill(batch).to(self.device_))[: len(batch)].cpu() for batch in batches]
        finally:
            if was_training:
                self.module_.train()
        outputs = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return outputs.float() if outputs.dtype == torch.bfloat16 else outputs  # which NumPy does not know

    def decision_function(self, X):
        """Get the logits.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.

        Returns
        -------
        ndarray of float32, shape (n_trials, n_classes), or (n_trials,) for two classes
            Logits; for two classes, that of the second less that of the first.
        """
        logits = self._forward(X).numpy()
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X):
        """Get the probability of each class.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.

        Returns
        -------
        ndarray of float32, shape (n_trials, n_classes)
            Probabilities, columns in the order of ``classes_``.
        """
        return self._forward(X).softmax(dim=1).numpy()

    def predict_log_proba(self, X):
        """Get the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.

        Returns
        -------
        ndarray of float32, shape (n_trials, n_classes)
            Log-probabilities, columns in the order of ``classes_``.
        """
        return self._forward(X).log_softmax(dim=1).numpy()

    def predict(self, X):
        """Get the most probable label of each trial.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.

        Returns
        -------
        ndarray, shape (n_trials,)
            Labels, as they were given to ``fit``.
        """
        best = self._forward(X).argmax(dim=1).numpy()
        return self.classes_[best]

    def transform(self, X):
        """Get the features that the network's head classifies.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.

        Returns
        -------
        ndarray of float32, shape (n_trials, n_features)
            Features; of a network without ``forward_features``, its outputs.
        """
        return self._forward(X, "forward_features").numpy()

    def score(self, X, y=None, sample_weight=None):
        """Get the share of trials whose label is predicted right.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n_trials, n_chans, n_times), or mne.Epochs
            Trials.
        y : array-like, shape (n_trials,), optional
            Labels; from Epochs where not given.
        sample_weight : array-like, shape (n_trials,), optional
            Weight of each trial.

        Returns
        -------
        float
            Accuracy.
        """
        if y is None:
            trials = as_trials(X)
            y = self._check_labels(None, len(trials.data), trials.labels)
            if not np.isin(y, self.classes_).any():
                raise ValueError(
                    f"the labels that X knows, {np.unique(y).tolist()}, are none of the classes "
                    f"{self.classes_.tolist()}; give y"
                )
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)

    # ----- what was trained -------------------------------------------------------------------------------

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
        names = ("loss", "optimizer", "freeze_encoder")
        options = {f"criterion__{k}": v for k, v in super().get_params_for("criterion").items()}
        fixed = self._module_params() | {name: getattr(self, name) for name in names} | options
        return {name: repr(value) for name, value in fixed.items()}

    def export_onnx(self, path):
        """Write an ONNX file; see :func:`skeeg.export.export_onnx`.

        Parameters
        ----------
        path : str or os.PathLike
            The file; replaced atomically where it exists.
        """
        from skeeg.export import export_onnx

        export_onnx(self, path)


class _Best:
    """The weights worth keeping: those that validate best, or else the last known to be sound."""

    def __init__(self, net):
        self.net = net
        self.score, self.watched, self.best_at = -np.inf, 0, -1
        self.kept = self.latest = self._snapshot()

    def _snapshot(self):
        parts = self.net.module_, self.net.criterion_, self.net.optimizer_
        return len(self.net.history), [(part, copy.deepcopy(part.state_dict())) for part in parts]

    def update(self, scores):
        """See the scores of an epoch of finite loss."""
        if "valid_loss" not in scores:
            # the weights that the epoch began with are sound; those it left are not tried yet
            self.kept, self.latest = self.latest, self._snapshot()
            return
        monitor = self.net.monitor
        name = monitor if isinstance(monitor, str) else "score"
        score = -scores["valid_loss"] if monitor == "loss" else scores[f"valid_{name}"]
        if score > self.score:
            self.score, self.best_at = score, self.watched
            self.kept = self._snapshot()
        self.watched += 1

    @property
    def patience(self):
        """Epochs without a better score."""
        return self.watched - 1 - self.best_at

    def restore(self):
        """Put the kept weights back; give their epoch, from 1."""
        epoch, states = self.kept
        for part, state in states:
            part.load_state_dict(state)
        return epoch


def _keep_freed_memory():
    # Where more is free than twice the largest block freed so far, glibc gives it back to the system, and
    # gets it again, page by page, in the next step: up to a quarter of the time of training. One large block,
    # never touched, lets it keep 64 MB.
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def _as_tensor(data):
    # torch warns of read-only memory, such as joblib's memory maps; a copy of them is writable
    return torch.from_numpy(data if data.flags.writeable else data.copy())


def _filled(batch, multiple=8):
    # Vectorised arithmetic rounds the last, odd trials of a batch differently. With the batch filled up,
    # what is computed of a trial does not depend on its place; one trial alone has no other place.
    missing = -len(batch) % multiple
    if len(batch) == 1 or missing == 0:
        return batch
    return torch.cat([batch, batch.new_zeros(missing, *batch.shape[1:])])


def _as_it_is(batch):
    return batch  # networks of others may look at the batch, as batch statistics do


def _order_keys(data):
    """Give each trial a number of its own, by which an order does not depend on the order given."""
    flat = data.reshape(len(data), -1)
    return flat @ np.random.default_rng(0).standard_normal(flat.shape[1], dtype=np.float32)


def _copies_and_weights(weights):
    """Turn whole-number weights into numbers of copies; leave others as weights."""
    if np.all(weights == np.round(weights)) and weights.max() < 2**31:
        copies = weights.astype(np.int64) // np.gcd.reduce(weights.astype(np.int64))
        if copies.sum() <= _MOST_COPIES * len(copies):
            return copies, np.ones_like(weights)
    return np.ones(len(weights), dtype=np.int64), weights


def _resolve_device(device):
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]}; "
            'device="auto" takes what there is'
        ) from error
    return resolved


def _is_early_stopping(interrupt):
    """Tell how skorch's EarlyStopping ends a fit from Ctrl-C."""
    *_, (frame, _) = traceback.walk_tb(interrupt.__traceback__)
    return isinstance(frame.f_locals.get("self"), EarlyStopping)


def _inside_search():
    """Tell whether scikit-learn's cross-validation or a meta-estimator, or a worker process, is calling."""
    import multiprocessing

    if multiprocessing.parent_process() is not None:
        return True
    frame = sys._getframe(1)
    while frame is not None:
        room = frame.f_globals.get("__name__", "")
        if room.startswith("joblib.") or (
            room.startswith("sklearn.") and not room.startswith(_PLAIN_CALLERS)
        ):
            return True
        frame = frame.f_back
    return False
