"""The course of a training."""

from __future__ import annotations

from typing import Self

from skeeg.inspection.style import BLUE, VERMILION, axes_or_new


class TrainingDisplay:
    """Loss and accuracy over the epochs of a training.

    Parameters
    ----------
    history : DataFrame
        One row an epoch: ``epoch``, ``train_loss`` and, where there was a validation split,
        ``valid_loss`` and ``valid_accuracy`` (0 to 1).
    best_epoch : int, optional
        The epoch whose weights were kept, to be marked; that of the lowest validation loss when not given.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the losses; its twin with the accuracy in percent is ``ax_accuracy_`` (None without a
        validation split).
    figure_ : matplotlib Figure
        Their figure.
    lines_ : dict of str -> Line2D
        Line of each column drawn.
    best_ : Line2D or None
        The epoch that is marked, where there was a validation split.

    See Also
    --------
    skeeg.EEGClassifier : Its ``history_`` is what is drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import TrainingDisplay
    >>> history = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.7, 0.5], "valid_loss": [0.7, 0.6]})
    >>> display = TrainingDisplay(history).plot(ax=Figure().subplots())
    >>> list(display.lines_)
    ['train_loss', 'valid_loss']
    """

    def __init__(self, history, best_epoch=None):
        self.history = history
        self.best_epoch = best_epoch

    @classmethod
    def from_estimator(cls, estimator, *, ax=None) -> Self:
        """Draw the training of a fitted network.

        Parameters
        ----------
        estimator : EEGClassifier or Pipeline that ends in one
            Fitted estimator.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TrainingDisplay

        Raises
        ------
        NotFittedError
            The estimator is not fitted.
        TypeError
            The estimator keeps no training history.
        ValueError
            No epoch of the training ended.
        """
        from sklearn.pipeline import Pipeline
        from sklearn.utils.validation import check_is_fitted

        network = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        check_is_fitted(network)
        if not hasattr(network, "history_"):
            raise TypeError(
                f"{type(network).__name__} keeps no history_; give a network or a Pipeline that ends in one."
            )
        if len(network.history_) == 0:
            raise ValueError(f"{type(network).__name__} was stopped before an epoch ended: nothing to draw.")
        best_epoch = getattr(network, "best_epoch_", None)  # none yet where a callback draws while it trains
        return cls(network.history_, best_epoch).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TrainingDisplay
        """
        ax = axes_or_new(ax, 6, 4)
        self.ax_, self.figure_ = ax, ax.figure
        epochs = self.history["epoch"]
        self.lines_ = {}
        (self.lines_["train_loss"],) = ax.plot(
            epochs, self.history["train_loss"], color=BLUE, ls="--", label="training loss"
        )
        self.ax_accuracy_ = self.best_ = None
        if "valid_loss" in self.history and self.history["valid_loss"].notna().any():
            (self.lines_["valid_loss"],) = ax.plot(
                epochs, self.history["valid_loss"], color=BLUE, label="validation loss"
            )
            best, what = self.best_epoch, "weights kept"
            if best is None:
                best, what = epochs[self.history["valid_loss"].idxmin()], "lowest validation loss"
            self.best_ = ax.axvline(best, color="0.5", lw=1, ls=":", label=f"{what} (epoch {best})")
        if "valid_accuracy" in self.history and self.history["valid_accuracy"].notna().any():
            self.ax_accuracy_ = ax.twinx()
            percent = 100 * self.history["valid_accuracy"]
            (self.lines_["valid_accuracy"],) = self.ax_accuracy_.plot(
                epochs, percent, color=VERMILION, lw=1.2, label="validation accuracy"
            )
            self.ax_accuracy_.set_ylabel("Accuracy (%)", color=VERMILION)
            self.ax_accuracy_.tick_params(axis="y", colors=VERMILION)
        ax.set(xlabel="Epoch", ylabel="Loss")
        ax.xaxis.get_major_locator().set_params(integer=True)
        handles = [*self.lines_.values(), *([self.best_] if self.best_ else [])]
        ax.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        return self
