"""The training loop: epochs, validation, the weights worth keeping, and how it ends."""

from __future__ import annotations

import copy
import dis
import multiprocessing
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import accuracy_score, get_scorer
from skorch.callbacks import EarlyStopping
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm.auto import tqdm

BEST_SO_FAR = ("train_loss_best", "valid_loss_best")  # what skorch's Checkpoint asks the history for
_PLAIN_CALLERS = ("sklearn.base", "sklearn.pipeline", "sklearn.utils")  # who call fit once, for the user


@dataclass(frozen=True)
class Plan:
    """What the loop is to do: the estimator's parameters of these names."""

    max_epochs: int
    refit_epochs: int
    monitor: str | Callable
    patience: int | None
    lr: float  # for the message of divergence alone


@dataclass(frozen=True)
class Hooks:
    """What the loop asks of a net: its methods, which subclasses may override.

    Attributes
    ----------
    train_step, validation_step : callable
        Of a batch; give a dict of ``loss`` and ``y_pred``. The first steps the optimiser.
    notify : callable
        Tells callbacks, as skorch does.
    get_iterator : callable
        Makes the batches of a data set, ``get_iterator(dataset, training)``.
    find_sums : callable
        Prepares the iterator of a training of several epochs.
    make_schedule : callable
        Makes the schedule of learning rates for a number of steps an epoch; may give None.
    score : callable or None
        Gives what ``monitor`` says of a data set, where it is neither loss nor accuracy.
    progress : callable
        Makes the progress bar for a number of epochs.
    batches_are_watched : bool
        Whether callbacks look at batches; loss and size of each are recorded then.
    """

    train_step: Callable
    validation_step: Callable
    notify: Callable
    get_iterator: Callable
    find_sums: Callable
    make_schedule: Callable
    score: Callable | None
    progress: Callable
    batches_are_watched: bool


class DivergenceError(FloatingPointError):
    """Training diverged; the last sound weights are in place."""


class Trainer:
    """One training of a network.

    Parameters
    ----------
    parts : tuple
        Network, loss and optimiser, whose states are kept and restored.
    history : skorch.history.History
        Where epochs are recorded.
    hooks : Hooks
        What to call.
    plan : Plan
        What to do.

    Attributes
    ----------
    best_epoch : int
        Epoch, from 1, whose weights are in place when the training has ended.
    """

    def __init__(self, parts, history, hooks, plan):
        self.module, _, self.optimizer = parts
        self.history = history
        self.hooks = hooks
        self.plan = plan
        self.best = Best(parts, history, plan.monitor)
        self.best_epoch = 0

    def run(self, train, valid, get_everything):
        """Train; keep the weights that validate best, or the last ones.

        Parameters
        ----------
        train : TrialDataset
            Trials to train on.
        valid : TrialDataset or None
            Trials to validate on.
        get_everything : callable
            Gives both together, where ``refit_epochs`` asks for them.

        Raises
        ------
        DivergenceError
            When training diverges; the last sound weights are in place then.
        KeyboardInterrupt
            When the user stops a search; elsewhere, or raised by a callback, it ends the training with a
            warning.
        """
        hooks, plan = self.hooks, self.plan
        try:
            with hooks.progress(plan.max_epochs + plan.refit_epochs) as bar:
                iterator = hooks.get_iterator(train, training=True)
                if plan.max_epochs > 1:
                    hooks.find_sums(iterator)
                iterator_valid = None if valid is None else hooks.get_iterator(valid)
                schedule = hooks.make_schedule(len(iterator))
                patience = plan.patience if valid is not None else None
                datasets = {"dataset_train": train, "dataset_valid": valid}
                self._epochs(plan.max_epochs, (iterator, iterator_valid), datasets, schedule, bar, patience)
                self.best_epoch = self._settle(valid)
                if plan.refit_epochs and valid is not None:
                    datasets = {"dataset_train": get_everything(), "dataset_valid": None}
                    iterator = hooks.get_iterator(datasets["dataset_train"], training=True)
                    schedule = schedule if isinstance(schedule, ReduceLROnPlateau) else None
                    self._epochs(plan.refit_epochs, (iterator, None), datasets, schedule, bar)
                    self.best_epoch = len(self.history)
        except KeyboardInterrupt as interrupt:
            if inside_search() and not _was_raised(interrupt):
                raise
            if self.history and "train_loss" not in self.history[-1]:
                self.history.pop()  # an epoch that did not end
            self.best_epoch = self._settle(valid)
            which = "of that moment" if valid is None else f"of epoch {self.best_epoch}"
            warnings.warn(
                f"training stopped after {len(self.history)} epochs; the weights {which} are kept",
                UserWarning,
                stacklevel=6,
            )

    def _settle(self, valid):
        """Put the weights in place that count; give their epoch."""
        return len(self.history) if valid is None else self.best.restore()

    def _epochs(self, n_epochs, iterators, datasets, schedule, bar, patience=None):
        for _ in range(n_epochs):
            shown, stopped = self._run_epoch(iterators, datasets, schedule)
            bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()}, refresh=False)
            bar.update()
            if stopped or (patience and self.best.waited >= patience):
                break

    def _run_epoch(self, iterators, datasets, schedule):
        """Train an epoch and validate; give what to show, and whether a callback asks to stop."""
        iterator, iterator_valid = iterators
        self.hooks.notify("on_epoch_begin", **datasets)  # skorch opens the epoch in the history
        lr = self.optimizer.param_groups[0]["lr"]
        self.module.train()
        loss = self._mean_loss(iterator, self.hooks.train_step, training=True, schedule=schedule)
        self.module.eval()
        if not np.isfinite(loss):
            self.history.pop()
            self.best_epoch = self.best.restore()
            raise DivergenceError(
                f"training diverged: the loss of epoch {len(self.history) + 1} is {loss}; the weights of "
                f"epoch {self.best_epoch} are kept. Lower lr={self.plan.lr} or standardise the data"
            )
        self.history.record("train_loss", loss)
        self.history.record("lr", lr)
        shown = {"train_loss": loss}
        if iterator_valid is not None:
            shown |= self._validate(iterator_valid, datasets["dataset_valid"])
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(loss)
        self.best.update(shown)
        for name in BEST_SO_FAR:
            loss_name = name.removesuffix("_best")
            if loss_name in shown:
                self.history.record(name, shown[loss_name] <= min(self.history[:, loss_name]))
        try:
            self.hooks.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt as stop:
            if not _is_early_stopping(stop):
                raise
            return shown, True
        return shown, False

    def _validate(self, iterator, dataset):
        """Measure and record loss and scores on validation trials."""
        predicted, codes, weights = [], [], []

        def step(batch):
            result = self.hooks.validation_step(batch)
            predicted.append(result["y_pred"].argmax(dim=1).cpu())
            codes.append(batch[1][0].cpu())
            weights.append(batch[1][1].cpu())
            return result

        scores = {"valid_loss": self._mean_loss(iterator, step, training=False)}
        scores["valid_accuracy"] = accuracy_score(
            torch.cat(codes), torch.cat(predicted), sample_weight=torch.cat(weights)
        )
        if self.hooks.score is not None:
            scores[_valid_name(self.plan.monitor)] = self.hooks.score(dataset)
        for name, value in scores.items():
            self.history.record(name, value)
        return scores

    def _mean_loss(self, iterator, step_fn, *, training, schedule=None):
        losses, sizes = [], []
        for batch in iterator:
            self.hooks.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            losses.append(step["loss"].detach())
            sizes.append(float(len(batch[0])) if training else batch[1][1].sum())
            if self.hooks.batches_are_watched:
                name = "train" if training else "valid"
                self.history.record_batch(f"{name}_loss", float(losses[-1]))
                self.history.record_batch(f"{name}_batch_size", len(batch[0]))
            self.hooks.notify("on_batch_end", batch=batch, training=training, **step)
            if schedule is not None and not isinstance(schedule, ReduceLROnPlateau):
                schedule.step()
        if not losses:
            what = "iterator_train" if training else "iterator_valid"
            raise ValueError(
                f"{what} gave no batch: it has no trials, or drop_last dropped the only one; lower batch_size"
            )
        sizes = torch.as_tensor(sizes)
        # one synchronisation an epoch, not one a batch
        return float((torch.stack(losses).cpu() * sizes).sum() / sizes.sum())


class Best:
    """The weights worth keeping: those that validate best, or else the last known to be sound.

    Parameters
    ----------
    parts : tuple
        Network, loss and optimiser.
    history : sequence
        The epochs so far.
    monitor : str or callable
        What decides; higher is better, but for "loss".
    """

    def __init__(self, parts, history, monitor):
        self.parts, self.history, self.monitor = parts, history, monitor
        self.score, self.watched, self.best_at = -np.inf, 0, -1
        self.kept = self.latest = self._snapshot()

    def _snapshot(self):
        return len(self.history), [copy.deepcopy(part.state_dict()) for part in self.parts]

    def update(self, scores):
        """See the scores of an epoch of finite loss."""
        if "valid_loss" not in scores:
            # the weights that the epoch began with are sound; those it left are not tried yet
            self.kept, self.latest = self.latest, self._snapshot()
            return
        score = -scores["valid_loss"] if self.monitor == "loss" else scores[_valid_name(self.monitor)]
        if score > self.score:
            self.score, self.best_at = score, self.watched
            self.kept = self._snapshot()
        self.watched += 1

    @property
    def waited(self):
        """Epochs without a better score."""
        return self.watched - 1 - self.best_at

    def restore(self):
        """Put the kept weights back; give their epoch, from 1."""
        epoch, states = self.kept
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
        return epoch


class Rollback:
    """What further training changes of a trained network, to undo it where that fails.

    Parameters
    ----------
    parts : tuple
        Network, loss and optimiser.
    history : skorch.history.History
        The epochs so far.
    """

    def __init__(self, parts, history):
        self.states = [(part, copy.deepcopy(part.state_dict())) for part in parts]
        modules = [module for part in parts if isinstance(part, nn.Module) for module in part.modules()]
        self.attributes = [(module, _shallow(vars(module))) for module in modules]
        self.history, self.rows = history, [copy.copy(row) for row in history]

    def undo(self):
        """Put everything back, in the same objects."""
        for module, attributes in self.attributes:
            vars(module).clear()
            vars(module).update(attributes)
        for part, state in self.states:
            part.load_state_dict(state)
        self.history[:] = self.rows


def _shallow(attributes):
    return {name: copy.copy(v) if isinstance(v, dict) else v for name, v in attributes.items()}


def _valid_name(monitor):
    return f"valid_{monitor if isinstance(monitor, str) else 'score'}"


def monitored(monitor, estimator, dataset):
    """Score validation trials.

    Parameters
    ----------
    monitor : str or callable
        A scorer, or its name.
    estimator : EEGClassifier
        What is trained.
    dataset : TrialDataset
        Validation trials.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When the score fails or is not a number.
    """
    problem, cause = "is not a number", None
    try:
        score = float(get_scorer(monitor)(estimator, dataset.X, dataset.y))
    except ValueError as error:
        score, problem, cause = np.nan, f"failed ({error})", error
    if np.isnan(score):
        held, classes = np.unique(dataset.y).tolist(), estimator.classes_.tolist()
        remedy = "hold out others, by train_split, or " if held != classes else ""
        raise ValueError(
            f"monitor={monitor!r} {problem} on the validation trials, which hold the classes {held} "
            f"of {classes}; {remedy}monitor another score"
        ) from cause
    return score


def check_watching_callbacks(callbacks, *, validates, refit_epochs):
    """Refuse callbacks that watch a validation which some epochs do not have."""
    for name, callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if not (isinstance(monitor, str) and monitor.startswith("valid")):
            continue
        if not validates or refit_epochs:
            epochs = f"refit_epochs={refit_epochs}" if validates else "training"
            raise ValueError(
                f"the callback {name!r} watches {monitor!r}, but there is no validation in {epochs}: "
                "give train_split, or set patience instead of the callback"
            )


def _was_raised(interrupt):
    """Tell a callback that raises KeyboardInterrupt, to end this training, from Ctrl-C."""
    last = _last_step(interrupt)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    by_signal = last.tb_frame.f_code in [getattr(handler, "__code__", None) for handler in handlers]
    return not by_signal and last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _last_step(error):
    step = error.__traceback__
    while step.tb_next is not None:
        step = step.tb_next
    return step


def _is_early_stopping(interrupt):
    """Tell how skorch's EarlyStopping ends a fit from Ctrl-C."""
    return isinstance(_last_step(interrupt).tb_frame.f_locals.get("self"), EarlyStopping)


def inside_search():
    """Tell whether scikit-learn's cross-validation or a meta-estimator, or a worker process, is calling."""
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


def progress_bar(n_epochs, name, verbose):
    """Make a progress bar: silent in searches and away from terminals, unless ``verbose`` is 2."""
    quiet = verbose == 0 or (verbose == 1 and (inside_search() or not sys.stderr.isatty()))
    return tqdm(
        total=n_epochs,
        desc=name,
        unit="epoch",
        disable=quiet,
        delay=0 if verbose > 1 else 3,
        leave=verbose > 1,
        file=sys.stderr,
    )


def keep_freed_memory():
    """Let glibc keep what training frees.

    Where more is free than twice the largest block freed so far, glibc gives it back to the system, and gets
    it again, page by page, in the next step: up to a quarter of the time of training. One large block, never
    touched, lets it keep 64 MB.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)
