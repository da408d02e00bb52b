"""Parameters of training: which there are, what they may be, and the names that skorch routes."""

from __future__ import annotations

import functools
import inspect
import os
from numbers import Integral, Real

import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    StrOptions,
    validate_parameter_constraints,
)
from skorch.callbacks import LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from skeeg.augmentation import Augmentation, is_augmentation
from skeeg.estimators.components import optimizers
from skeeg.estimators.iterators import TrialIterator
from skeeg.estimators.names import unknown
from skeeg.estimators.networks import arguments_of, check_arguments, find_network
from skeeg.estimators.schedules import schedules
from skeeg.estimators.validation import check_split
from skeeg.plain import plain

ROUTED = (
    "callbacks",
    "compile",
    "criterion",
    "iterator_train",
    "iterator_valid",
    "lr_schedule",
    "module",
    "optimizer",
)


def is_routed(name):
    """Tell whether a name is one that skorch hands on, such as ``optimizer__betas``."""
    prefix, separator, rest = name.partition("__")
    return bool(separator and rest) and prefix in ROUTED


def full_signature(cls):
    """Get the signature of a class that takes ``**training``: its own parameters and those inherited."""
    inherited = inspect.signature(super(cls, cls).__init__).parameters
    own = inspect.signature(cls.__init__).parameters
    merged = {name: p for name, p in own.items() if p.kind != p.VAR_KEYWORD}
    if len(merged) < len(own):  # it takes **training
        for name, p in inherited.items():
            if name not in merged and p.kind != p.VAR_KEYWORD and not (name == "module" and cls.module):
                merged[name] = p.replace(kind=p.KEYWORD_ONLY)
    return inspect.Signature(list(merged.values()))


def refuse_objects(params):
    """Refuse objects where classes are wanted, because each fit, or each layer, makes its own."""
    optimizer, activation = params["optimizer"], params.get("activation")
    if isinstance(optimizer, torch.optim.Optimizer):
        name = type(optimizer).__name__
        raise ValueError(
            f"optimizer is a {name} of the parameters of one network, but each fit makes a network of its "
            f"own: give the class, torch.optim.{name}, and its options by names such as optimizer__betas"
        )
    if isinstance(activation, nn.Module):
        name = type(activation).__name__
        raise ValueError(
            f"activation={activation} is a module, but each layer makes its own: give the class, "
            f"torch.nn.{name}, or functools.partial(torch.nn.{name}, ...)"
        )


def refuse_augmenting_loader(name, make):
    """Refuse braindecode's loader that transforms batches, in which trials carry their weights here."""
    make = getattr(make, "func", make)
    if isinstance(make, type) and any(cls.__name__ == "AugmentedDataLoader" for cls in make.__mro__):
        raise ValueError(
            f"{name}=AugmentedDataLoader: give its transforms to the estimator instead, "
            "augmentation=[SignFlip(probability=0.5), ...]"
        )


def check_callbacks(callbacks, lr_schedule, *, continuing=False):
    """Refuse what is no callback of skorch's, a second schedule of the learning rate, and one without effect.

    Parameters
    ----------
    callbacks : list or other
        The estimator's parameter.
    lr_schedule : str
        The estimator's schedule.
    continuing : bool, default=False
        Whether a single epoch is trained, at a constant rate.
    """
    for entry in callbacks if isinstance(callbacks, list) else []:
        if isinstance(entry, str):
            raise ValueError(
                f"callbacks holds the text {entry!r}: loss and accuracy are in history_ where train_split is "
                f'set, monitor="{entry}" watches another score, and skorch.callbacks.EpochScoring("{entry}") '
                "records it"
            )
        named = isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str)
        callback = entry[1] if named else entry
        cls = callback if isinstance(callback, type) else type(callback)
        if not (hasattr(cls, "on_train_begin") or (named and callback is None)):
            raise ValueError(
                f"callbacks holds {entry!r}: give skorch callbacks, such as skorch.callbacks.EpochScoring("
                '"f1_macro"), or pairs of a name and a callback'
            )
        if not issubclass(cls, LRScheduler):
            continue
        if continuing:
            if getattr(callback, "step_every", "epoch") == "epoch":
                raise ValueError(
                    f"the callback {cls.__name__} changes the learning rate after each epoch, but "
                    "partial_fit trains one, at lr, and begins the next anew: set lr between the calls, or "
                    'step_every="batch"'
                )
        elif lr_schedule != "constant":
            raise ValueError(
                f"the callback {cls.__name__} and lr_schedule={lr_schedule!r} would both change the learning "
                'rate: set lr_schedule="constant", or leave the callback out'
            )


class TrainingParameters(BaseEstimator):
    """The parameters that every estimator has; they are described in :class:`skeeg.EEGClassifier`.

    Subclasses list their own and pass the others on, as ``**training``. Beside these, names that skorch
    routes are taken.
    """

    _parameter_constraints: dict = {
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
        "loss": [StrOptions({"cross_entropy", "dual_prototype"}), type, functools.partial, nn.Module],
        "compactness_weight": [Interval(Real, 0, None, closed="left")],
        "explicit_force_weight": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), Options(Integral, {-1})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "optimizer": [StrOptions(set(optimizers)), type, functools.partial],
        "lr_schedule": [StrOptions(set(schedules))],
        "augmentation": [Augmentation, nn.Module, list, None],
        "train_split": [
            Interval(Real, 0, 1, closed="neither"),
            HasMethods("split"),
            ValidSplit,
            "array-like",
            None,
        ],
        "monitor": [StrOptions({"loss", "accuracy", *get_scorer_names()}), callable],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "refit_epochs": [Interval(Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "pretrained": [str, os.PathLike, BaseEstimator, None],
        "freeze_encoder": ["boolean"],
        "missing_channels": [StrOptions({"raise", "interpolate"})],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "compile": ["boolean"],
        "verbose": ["verbose"],
        "callbacks": [list, StrOptions({"disable"}), None],
        "iterator_train": [callable],
        "iterator_valid": [callable],
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
        augmentation=None,
        train_split=None,
        monitor="loss",
        patience=None,
        refit_epochs=0,
        warm_start=False,
        pretrained=None,
        freeze_encoder=False,
        missing_channels="raise",
        random_state=None,
        device="auto",
        compile=False,
        verbose=1,
        callbacks=None,
        iterator_train=TrialIterator,
        iterator_valid=TrialIterator,
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
        self.augmentation = augmentation
        self.train_split = train_split
        self.monitor = monitor
        self.patience = patience
        self.refit_epochs = refit_epochs
        self.warm_start = warm_start
        self.pretrained = pretrained
        self.freeze_encoder = freeze_encoder
        self.missing_channels = missing_channels
        self.random_state = random_state
        self.device = device
        self.compile = compile
        self.verbose = verbose
        self.callbacks = callbacks
        self.iterator_train = iterator_train
        self.iterator_valid = iterator_valid
        for name in routed:
            if not is_routed(name):
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}: {self._meant_by(name)}")
        vars(self).update(routed)

    def _meant_by(self, name):
        """Say what was perhaps meant by a name that is no parameter."""
        network = arguments_of(self.module) if isinstance(self.module, type) else ()
        return unknown(name, self._get_param_names(), routed=ROUTED, network=network)

    def __init_subclass__(cls, **kwargs):
        # the full list goes into the signature of __init__, where scikit-learn, help() and editors look
        if "__init__" in vars(cls):
            cls.__init__.__signature__ = full_signature(cls)
        super().__init_subclass__(**kwargs)
        if "set_score_request" in vars(cls) and "score" not in vars(cls):
            del cls.set_score_request  # scikit-learn writes it into every class, where one suffices

    @classmethod
    def _get_param_names(cls):
        names = BaseEstimator._get_param_names.__func__(cls)
        # a class that names its network has no parameter for it, also where it inherits __init__
        return [name for name in names if name != "module" or cls.module is None]

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
        routed = {name: value for name, value in vars(self).items() if is_routed(name)}
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
        known = BaseEstimator.get_params(self)
        routed = {name: value for name, value in params.items() if is_routed(name) and name not in known}
        for name in params.keys() - routed.keys():
            if name.partition("__")[0] not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}: {self._meant_by(name)}"
                )
        vars(self).update(routed)
        return BaseEstimator.set_params(self, **{k: v for k, v in params.items() if k not in routed})

    def _plain(self, name):
        """Get a parameter, numbers as Python's."""
        return plain(getattr(self, name))

    def get_metadata_routing(self):
        """Get which metadata ``fit`` and the others ask for; ``groups`` by default.

        Returns
        -------
        MetadataRequest
        """
        return self._get_metadata_request()

    @property
    def _makes_network(self):
        """The class, or function, that makes the network."""
        return find_network(self.module, type(self).__name__)

    def _validate_params(self):
        params = BaseEstimator.get_params(self, deep=False)
        refuse_objects(params)
        check_split(params["train_split"])
        for name in ("iterator_train", "iterator_valid"):
            refuse_augmenting_loader(name, params[name])
        validate_parameter_constraints(self._parameter_constraints, params, type(self).__name__)
        for name, without in (("patience", None), ("refit_epochs", 0), ("monitor", "loss")):
            if self.train_split is None and getattr(self, name) != without:
                raise ValueError(
                    f"{name}={getattr(self, name)} needs validation trials, but train_split=None holds out "
                    "none; set train_split, such as 0.2"
                )
        chosen = self.augmentation if isinstance(self.augmentation, list) else [self.augmentation]
        for augmentation in chosen:
            if isinstance(self.augmentation, (list, nn.Module)) and not is_augmentation(augmentation):
                raise ValueError(
                    f"augmentation holds {augmentation!r}; give objects from skeeg.augmentation, or "
                    "transforms of braindecode.augmentation"
                )

        check_arguments(self._makes_network, self.get_params_for("module"), self._get_param_names())

    def __repr__(self, N_CHAR_MAX=700):
        return BaseEstimator.__repr__(self, N_CHAR_MAX)
