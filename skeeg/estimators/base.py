"""EEGClassifier: a skorch classifier that is a proper scikit-learn estimator of EEG trials."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from skeeg.devices import resolve_device, threads_for_operations
from skeeg.estimators.adapt import adapt, fine_tuning, with_mirror_images
from skeeg.estimators.data import (
    as_tensor,
    check_labels,
    check_weights,
    class_weights,
    filled,
    labels_to_score,
    learn_recording,
    order_and_weights,
    read_all,
    typical_scale,
    warn_of_another_scale,
)
from skeeg.estimators.iterators import TrialDataset, TrialIterator, check_samplers, goes_by_place
from skeeg.estimators.net import TrialNet
from skeeg.estimators.parameters import check_callbacks
from skeeg.estimators.randomness import Augmenter, own_randomness
from skeeg.estimators.schedules import schedules
from skeeg.estimators.training import DivergenceError, Rollback
from skeeg.estimators.validation import split_trials
from skeeg.modules.base import EEGModule
from skeeg.modules.losses import DualPrototypeLoss
from skeeg.persistence import Savable, learned, register
from skeeg.plain import plain
from skeeg.trials import check_groups, open_trials, people, warn_of_faults, warn_of_other_units, warn_user

_MANY = 256  # trials of a piece in prediction where a batch is to be all
_STANDARDISED = 3  # EEG in µV varies by more

# what files may name, in rooms below that do not know of files
register(DualPrototypeLoss)
register(TrialIterator)


class EEGClassifier(Savable, TrialNet):
    """Train a torch module to classify EEG trials, as a scikit-learn estimator.

    ``EEGClassifier(YourModule, module__n_filters=8)`` trains any torch module; subclasses name theirs in the
    class attribute ``module`` and list its parameters, flat, in their own ``__init__``. ``fit`` learns the
    shape of the data, the classes and, from ``mne.Epochs``, the sampling rate and the channel names. The
    parameters, by what they are for:

    ==========  ========================================================================================
    network     ``module``, ``module__...``
    data        ``sfreq``
    loss        ``loss``, ``compactness_weight``, ``explicit_force_weight``, ``label_smoothing``,
                ``class_weight``
    learning    ``max_epochs``, ``batch_size``, ``lr``, ``weight_decay``, ``optimizer``, ``lr_schedule``,
                ``augmentation``
    validation  ``train_split``, ``monitor``, ``patience``, ``refit_epochs``
    going on    ``warm_start``, ``pretrained``, ``freeze_encoder``, ``missing_channels``
    running     ``random_state``, ``device``, ``compile``, ``verbose``, ``callbacks``,
                ``iterator_train``, ``iterator_valid``
    ==========  ========================================================================================

    Parameters
    ----------
    module : torch.nn.Module class, callable or str, default=None
        The network: a class, a function that makes one, or the name of one of braindecode's, such as
        "EEGNet". Subclasses that have their own do not take it. The arguments ``n_chans``, ``n_outputs``,
        ``n_times``, ``sfreq`` and ``chs_info``, where it has them, come from the data, the others are set as
        ``module__name``.
    sfreq : float or None, default=None
        Sampling rate in Hz of arrays; taken from ``mne.Epochs`` and :class:`skeeg.EEGArray`.
    loss : {"cross_entropy", "dual_prototype"}, torch.nn.Module class or object, default="cross_entropy"
        Loss. "dual_prototype" is :class:`skeeg.modules.losses.DualPrototypeLoss`. A class is made with
        ``reduction="none"``, of an object a copy without reduction is taken; it is called with the logits
        and the class codes, and gives a number for each trial.
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
        Weight decay of the optimiser; not read by those that know none, such as ``torch.optim.Rprop``.
    optimizer : {"adam", "adamw", "nadam", "rmsprop", "sgd"} or torch.optim.Optimizer class, default="adamw"
        Optimiser; a class may come with options, in a ``functools.partial``.
    lr_schedule : {"constant", "cosine", "one_cycle", "plateau"}, default="one_cycle"
        How the learning rate changes; options through ``lr_schedule__...``, see
        :mod:`skeeg.estimators.schedules`.
    augmentation : Augmentation, list of Augmentation, or None, default=None
        Transforms of training batches, see :mod:`skeeg.augmentation`; those of braindecode.augmentation that
        do not mix labels will do.
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
    warm_start : bool, default=False
        Let ``fit`` go on from the present weights and optimiser state instead of starting afresh. Parameters
        that would need another network, loss or optimiser must be as they were.
    pretrained : str, os.PathLike, FrozenEstimator or None, default=None
        Start from the weights of a fitted estimator of the same class and architecture parameters: a decoder
        of the wheel by its name or task ("left-right-hand", see :mod:`skeeg.pretrained`), a file of
        :func:`skeeg.save`, a repository of :func:`skeeg.push_to_hub`, the estimator itself in
        ``sklearn.frozen.FrozenEstimator``, which keeps it fitted where scikit-learn clones, or a file of a
        network's ``state_dict``, which says neither channels nor classes: those of X and y are. Channels are
        matched by name; those that the pretrained network does not know are left out. Where the classes are
        the same, the head is kept; else it is new. A decoder of the wheel is trained on with the mirror image
        of each trial, too (hemispheres and hands swapped), where y has its labels, the channels mirror each
        other and ``augmentation`` is None; an empty list stands for none at all.
    freeze_encoder : bool, default=False
        Train the head alone.
    missing_channels : {"raise", "interpolate"}, default="raise"
        What becomes of channels that the pretrained network wants and X does not have: an error, or
        spherical splines over the other channels (MNE).
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, shuffling, dropout, augmentation and the validation split. The global
        generators of torch and NumPy are neither read nor changed.
    device : str or torch.device, default="auto"
        "auto" takes CUDA or MPS where present, else the CPU.
    compile : bool, default=False
        Run the network through ``torch.compile``. On two cores, after 4 to 40 seconds of compiling, epochs
        of 288 x 22 x 1000 took as long as without, up to a quarter less with AttentionBaseNet and
        SincShallowNet, up to twice the time with FBLightConvNet: on a CPU it hardly pays.
    verbose : int, default=1
        0 is quiet; 1 shows a progress bar on a terminal for fits longer than a few seconds, outside
        searches; 2 shows it always.
    callbacks : list of skorch callbacks, "disable" or None, default=None
        Callbacks, in skorch's manner; a batch that they see is ``(X, y)``, and one that raises
        KeyboardInterrupt ends the training. With ``skorch.callbacks.LRScheduler``, set
        ``lr_schedule="constant"``. An estimator that has callbacks is pickled, not saved by ``save``.
    iterator_train, iterator_valid : class, default=TrialIterator
        Called with a :class:`skeeg.estimators.iterators.TrialDataset`, ``batch_size`` and, for training,
        ``shuffle=True``; ``torch.utils.data.DataLoader`` fits. ``iterator_train__sampler`` draws trials by
        their places in X; no trials can be held out then.
    **routed : dict
        Arguments of the network, ``module__name``, and skorch's other routed names, such as
        ``optimizer__betas`` or ``callbacks__name__option``.

    Attributes
    ----------
    module_ : torch.nn.Module
        The trained network, in eval mode.
    classes_ : ndarray, shape (n_classes,)
        The labels, sorted.
    n_chans_ : int
        Channels of a trial.
    n_times_ : int
        Samples of a trial.
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
    channel_map_ : ndarray of float32, shape (n_network_chans, n_chans), or None
        With ``pretrained``, what the network's channels are made of; None where they are those of X.
    best_epoch_ : int
        Epoch (from 1) whose weights were kept.
    device_ : torch.device
        Where the network is.

    Raises
    ------
    ValueError, TypeError
        In ``fit`` and ``predict``, for data or parameters that cannot be used; a fitted estimator is left
        as it was.
    FloatingPointError
        When training diverges; the last good weights are kept.

    See Also
    --------
    SSTDPNClassifier, AttentionBaseNetClassifier, SincShallowNetClassifier, FBLightConvNetClassifier
    skeeg.testing.check_eeg_estimator : Checks for a classifier of your own.

    Notes
    -----
    Trials are float32 inside. ``sample_weight`` is as in scikit-learn: a whole-number weight ``k`` counts
    as ``k`` copies of a trial (up to a common factor, and while there are at most ten times as many
    trials), any other weight scales the trial's term of the loss. Weights matter up to scale. Training
    trials are put in an order of their own before they are shuffled, so that the order in which they are
    given does not matter; where a sampler is given, or no shuffling, they stay as they are. Numbers may be
    NumPy's.

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
    >>> clf = EEGClassifier(BandPowerNet, module__n_filters=4, max_epochs=20, lr=0.1, random_state=0)
    >>> clf.fit(X, y).score(X, y)
    1.0
    """

    module = None

    _learned: dict = {
        "classes_inferred_": learned.labels,
        "n_chans_": learned.whole(1),
        "n_times_": learned.whole(2),
        "n_features_in_": learned.product("n_chans_", "n_times_"),
        "sfreq_": learned.maybe(learned.rate),
        "ch_names_": learned.maybe(learned.names("n_chans_")),
        "channel_map_": learned.maybe(learned.array(np.float32, None, "n_chans_")),
        "scale_": learned.number(0),
        "best_epoch_": learned.whole(),
    }

    __metadata_request__fit = {"groups": True, "subjects": True}  # as MOABB calls them
    __metadata_request__partial_fit = {"groups": True}

    def _check_loaded(self):
        super()._check_loaded()
        if options := self.get_params_for("lr_schedule"):
            anything = torch.optim.SGD([torch.zeros(1)], lr=self._plain("lr"))
            schedules[self.lr_schedule](anything, self._plain("max_epochs"), 1, **options)
        class_weights(self.class_weight, np.arange(len(self.classes_)), self.classes_)

    # ----- training ---------------------------------------------------------------------------------------

    def fit(
        self,
        X,
        y=None,
        sample_weight=None,
        groups=None,
        subjects=None,
        X_target_labeled=None,
        y_target_labeled=None,
    ) -> Self:
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
        subjects : array-like, shape (n_trials,), optional
            What MOABB calls ``groups``.
        X_target_labeled : array-like or mne.Epochs, shape (n, n_chans, n_times), optional
            Trials of the person to be decoded. After the others, the network is fine-tuned on them:
            two fifths of ``max_epochs`` at a third of ``lr``, without validation.
        y_target_labeled : array-like, shape (n,), optional
            Their labels.

        Returns
        -------
        self
        """
        target = X_target_labeled, y_target_labeled
        groups = people(groups, subjects)
        afresh = not (self.warm_start and self.initialized_)
        return self._fit_safely(X, y, sample_weight, groups, target=target, afresh=afresh)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, groups=None) -> Self:
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

    def _fit_safely(self, *args, target=(None, None), **options):
        """Train; on an error, leave the estimator as it was."""
        before = dict(vars(self))
        warm = not options["afresh"]
        if warm:
            with threads_for_operations():
                trained = Rollback((self.module_, self.criterion_, self.optimizer_), self.history)
        try:
            self._fit(*args, **options)
            if any(part is not None for part in target):
                with fine_tuning(self):
                    self._fit(*target, None, None, afresh=False)
            return self
        except DivergenceError:
            raise  # the last good weights are in place
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            if warm:
                with threads_for_operations():
                    trained.undo()
            raise

    def _fit(self, X, y, sample_weight, groups, *, afresh, classes=None, continuing=False):
        self._validate_params()
        check_callbacks(self.callbacks, self.lr_schedule, continuing=continuing)
        trials = open_trials(X)
        y = check_labels(y, trials, type(self).__name__)
        weights = check_weights(sample_weight, y)
        if groups is not None:
            groups = check_groups(groups, y)
        kept = weights > 0  # a trial of no weight is no trial, for batch statistics too
        if afresh:
            self._learn(trials, np.unique(y[kept] if classes is None else classes))
        data = read_all(self._recording.fitted_to(trials, type(self).__name__))
        unknown = np.setdiff1d(y[kept], self.classes_)
        if len(unknown):
            raise ValueError(f"y has labels {unknown.tolist()} that are not in {self.classes_.tolist()}")
        warn_of_faults(data, self.ch_names_)
        self.scale_ = typical_scale(data)
        if afresh and self.pretrained is not None:
            warn_of_another_scale(self.scale_, self._source.scale_)
        if afresh and self.freeze_encoder and self.pretrained is None:
            warn_user("freeze_encoder=True without pretrained freezes an encoder of random weights")

        with own_randomness(self.random_state, self.device_) as seed:
            train, valid = split_trials(
                None if continuing else self._plain("train_split"),
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
            codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
            iteration = self.iterator_train, self.get_params_for("iterator_train")
            check_samplers(*iteration, len(y), validates=valid is not None, all_weigh=kept.all())
            train, weights = order_and_weights(
                data,
                codes,
                weights,
                train,
                plain(self.class_weight),
                self.classes_,
                in_order=goes_by_place(*iteration),
            )
            arrays = data, codes, weights.astype(np.float32)
            everything = TrialDataset(*map(torch.from_numpy, arrays), y)
            if self.augmentation is None and not goes_by_place(*iteration):
                known = self.pretrained, self.classes_, self.ch_names_, self.channel_map_
                everything, train = with_mirror_images(everything, train, *known)
            self._augmenter = Augmenter(self.augmentation, self.ch_names_, self.classes_, seed, self.device_)
            with threads_for_operations():
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
                del self._augmenter
        return self

    def _learn(self, trials, classes):
        """Learn shape and classes."""
        if len(classes) < 2:
            raise ValueError(f"y has 1 class only, {classes.tolist()}; a classifier needs at least 2 classes")
        recording = learn_recording(trials, self._plain("sfreq"))
        self.initialized_ = False
        self.classes_inferred_ = classes
        self.device_ = resolve_device(self.device)
        self.channel_map_ = None
        if self.pretrained is not None:
            self._source, recording, self.channel_map_ = adapt(self, recording, classes)
        self.n_chans_, self.n_times_, self.sfreq_, self.ch_names_ = recording
        self.n_features_in_ = self.n_chans_ * self.n_times_

    # ----- prediction -------------------------------------------------------------------------------------

    def _forward(self, X, finish=None, *, function="forward"):
        """Run the network over trials, a batch at a time; an array of all, after a last step."""
        if not self.initialized_:
            check_is_fitted(self)  # raises; to ask it each time would make a single trial 5 % slower
        trials = self._recording.fitted_to(open_trials(X), type(self).__name__)
        run = self._network if function == "forward" else getattr(self.module_, function, self._network)
        ours = isinstance(self.module_, EEGModule)  # others may look at the batch, as batch statistics do
        size = self._plain("batch_size")
        if size == -1:
            size = _MANY if ours else len(trials)
        was_training = self.module_.training  # a scorer may ask while training
        if was_training:
            self.module_.eval()
        try:
            with self._threads(), torch.inference_mode():
                outputs = []
                for data in trials.batches(size):
                    if not outputs:
                        warn_of_other_units(data, self.scale_)
                    batch = as_tensor(data)
                    batch = self._map_channels(filled(batch) if ours else batch)
                    outputs.append(run(batch.to(self.device_))[: len(data)].cpu())
                outputs = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
                if outputs.dtype == torch.bfloat16:  # which NumPy does not know
                    outputs = outputs.float()
                return (outputs if finish is None else finish(outputs)).numpy()
        finally:
            if was_training:
                self.module_.train()

    def decision_function(self, X) -> np.ndarray:
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
        logits = self._forward(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X) -> np.ndarray:
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
        return self._forward(X, lambda logits: logits.softmax(dim=1))

    def predict_log_proba(self, X) -> np.ndarray:
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
        return self._forward(X, lambda logits: logits.log_softmax(dim=1))

    def predict(self, X) -> np.ndarray:
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
        best = self._forward(X, lambda logits: logits.argmax(dim=1))
        return self.classes_[best]

    def transform(self, X) -> np.ndarray:
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
        return self._forward(X, function="forward_features")

    def score(self, X, y=None, sample_weight=None) -> float:
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
        if not self.initialized_:
            check_is_fitted(self)
        y = labels_to_score(X, y, self.classes_, type(self).__name__)
        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)

    # ----- what scikit-learn asks -------------------------------------------------------------------------

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

    def export_onnx(self, path) -> None:
        """Write this network as an ONNX file, without the steps of a Pipeline that were before it.

        For a whole Pipeline, its scaling included, see :func:`skeeg.export.export_onnx`.

        Parameters
        ----------
        path : str or os.PathLike
            The file; replaced atomically where it exists.
        """
        from skeeg.export import export_onnx

        if 1 / _STANDARDISED < self.scale_ < _STANDARDISED:
            warn_user(
                f"the network was trained on trials with a standard deviation of {self.scale_:.2g}, as "
                "Scaler leaves them: steps before it are not in this file and have to be done before it; "
                "skeeg.export.export_onnx(pipeline, path) writes the whole Pipeline"
            )
        export_onnx(self, path)
