"""Figures of a comparison: each subject under each pipeline, and what is taken for what."""

from __future__ import annotations

import math
from typing import Self

import numpy as np

from skeeg.inspection.style import (
    BLUE,
    VERMILION,
    axes_or_new,
    figure_or_new,
    means_and_whiskers,
    names_of,
    open_frame,
)
from skeeg.plain import counted


class PairedScoresDisplay:
    """Accuracy of every subject under every pipeline, paired by lines.

    Parameters
    ----------
    accuracies : DataFrame, shape (n_subjects, n_pipelines)
        Accuracies from 0 to 1, in the order to draw; NaN leaves a gap.
    chance : float or None
        Chance level from 0 to 1; None draws none.
    title : str, default=""
        Title of the axes.
    heading : str, default="accuracy (%)"
        What is drawn.
    percent : bool, default=True
        It goes from 0 to 1 and is drawn in percent; whiskers then end at 0 and 100.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Its figure.
    lines_ : list of Line2D
        One line a subject.
    errorbar_ : ErrorbarContainer
        Means and their 95 % confidence intervals, which end at 0 and 100 %, over the subjects without a gap.

    See Also
    --------
    ConfusionMatricesDisplay
    skeeg.evaluation.compare : What is drawn.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import PairedScoresDisplay
    >>> accuracies = pd.DataFrame({"csp-lda": [0.6, 0.7], "sstdpn": [0.7, 0.9]}, index=["S1", "S2"])
    >>> display = PairedScoresDisplay(accuracies, chance=0.5).plot(ax=Figure().subplots())
    >>> len(display.lines_)
    2
    """

    def __init__(self, accuracies, *, chance, title="", heading="accuracy (%)", percent=True):
        self.accuracies = accuracies
        self.chance = chance
        self.title = title
        self.heading = heading
        self.percent = percent

    @classmethod
    def from_comparison(cls, comparison, *, ax=None) -> Self:
        """Draw a `skeeg.evaluation.Comparison`, the most accurate pipeline first.

        Parameters
        ----------
        comparison : Comparison
            Result of `skeeg.evaluation.compare`.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of a fitting size.

        Returns
        -------
        PairedScoresDisplay
        """
        scores, score = comparison.subject_scores()[comparison.summary().index], comparison.main
        return cls(
            scores,
            chance=comparison.chance if score.name == "accuracy" else None,
            title=f"{comparison.cv}, {counted(len(scores), 'subject')}",
            heading=score.heading,
            percent=score.percent,
        ).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of a fitting size.

        Returns
        -------
        PairedScoresDisplay
        """
        values = self.accuracies * (100 if self.percent else 1)
        n_subjects, n_pipelines = values.shape
        x = np.arange(n_pipelines)
        ax = axes_or_new(ax, max(4.5, 1.5 + 0.65 * n_pipelines), 4.5)
        self.ax_, self.figure_ = ax, ax.figure

        faint = min(0.8, 0.25 + 4 / n_subjects)  # many subjects must not become a black patch
        grey = {"color": "0.55", "lw": 0.8, "marker": "o", "ms": 3, "alpha": faint}
        self.lines_ = [ax.plot(x, row, **grey)[0] for row in values.to_numpy(dtype=float)]
        self.lines_[0].set_label("one subject")
        complete = self.accuracies.dropna(axis=1, how="all").dropna().index  # the same people everywhere
        means, whiskers = means_and_whiskers(values.loc[complete].to_numpy(dtype=float), bounded=self.percent)
        self.errorbar_ = ax.errorbar(
            x,
            means,
            yerr=whiskers,
            fmt="D",
            color=BLUE,
            ms=6,
            capsize=4,
            lw=1.8,
            zorder=3,
            label="mean, 95 % CI",
        )
        if self.chance is not None:
            ax.axhline(
                100 * self.chance, color=VERMILION, ls="--", lw=1.2, label=f"chance {100 * self.chance:.0f} %"
            )
        slanted = {"rotation": 35, "ha": "right", "rotation_mode": "anchor", "parse_math": False}
        ax.set_xticks(x, names_of(self.accuracies.columns), **slanted)
        ax.set(xlim=(-0.5, n_pipelines - 0.5), ylabel=f"{self.heading[0].upper()}{self.heading[1:]}")
        ax.set_title(self.title, pad=28, parse_math=False)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize="small")
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        open_frame(ax)
        return self


class ConfusionMatricesDisplay:
    """One confusion matrix a pipeline: how often each true class is taken for each class.

    Parameters
    ----------
    matrices : dict of str -> ndarray, shape (n_classes, n_classes)
        Counts of trials; rows are true classes, columns predicted ones.
    classes : sequence, length n_classes
        Labels of the classes.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Axes drawn on, one a pipeline.
    figure_ : matplotlib Figure
        Their figure.
    displays_ : dict of str -> ConfusionMatrixDisplay
        scikit-learn's display of each pipeline.

    See Also
    --------
    PairedScoresDisplay
    skeeg.evaluation.compare : What is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import ConfusionMatricesDisplay
    >>> matrices = {"sstdpn": np.array([[8, 2], [1, 9]])}
    >>> display = ConfusionMatricesDisplay(matrices, ["left", "right"]).plot(figure=Figure())
    >>> display.displays_["sstdpn"].confusion_matrix.tolist()
    [[80.0, 20.0], [10.0, 90.0]]
    """

    def __init__(self, matrices, classes):
        self.matrices = matrices
        self.classes = classes

    @classmethod
    def from_comparison(cls, comparison, *, figure=None) -> Self:
        """Draw a `skeeg.evaluation.Comparison`, the most accurate pipeline first.

        Parameters
        ----------
        comparison : Comparison
            Result of `skeeg.evaluation.compare`.
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        ConfusionMatricesDisplay
        """
        from sklearn.metrics import confusion_matrix

        of_pipeline = dict(list(comparison.predictions.groupby("pipeline")))
        matrices = {
            name: confusion_matrix(
                of_pipeline[name]["y_true"], of_pipeline[name]["y_pred"], labels=comparison.classes
            )
            for name in comparison.summary().index
            if name in of_pipeline  # one that failed in every fold predicted nothing
        }
        return cls(matrices, comparison.classes).plot(figure=figure)

    def plot(self, figure=None) -> Self:
        """Draw the figure, rows in percent of the true class.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        ConfusionMatricesDisplay
        """
        from sklearn.metrics import ConfusionMatrixDisplay

        figure = figure_or_new(figure)
        self.figure_ = figure
        n_columns = min(4, max(1, len(self.matrices)))
        n_rows = max(1, math.ceil(len(self.matrices) / n_columns))
        longest = max(map(len, names_of(self.classes)), default=0)
        side = max(2.4, 1.3 + 0.45 * len(self.classes))  # wide enough for a pipeline's name
        margin = 0.06 * max(0, longest - 10)  # for names of classes, along both axes
        figure.set_layout_engine("compressed", h_pad=0.1, w_pad=0.08)
        figure.set_size_inches(1.6 + n_columns * side + margin, 0.9 + n_rows * (side + 0.25 + margin))
        grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
        for ax in grid.flat[len(self.matrices) :]:
            ax.remove()
        self.axes_ = grid.flat[: len(self.matrices)]

        self.displays_, classes = {}, names_of(self.classes)
        for ax, (name, counts) in zip(self.axes_, self.matrices.items(), strict=True):
            n_true = counts.sum(axis=1, keepdims=True)
            percent = np.divide(100 * counts, n_true, out=np.full(counts.shape, np.nan), where=n_true > 0)
            self.displays_[name] = ConfusionMatrixDisplay(percent, display_labels=self.classes).plot(
                ax=ax,
                cmap="Blues",
                colorbar=False,
                values_format=".0f",
                im_kw={"vmin": 0, "vmax": 100},
            )
            ax.set(xlabel="", ylabel="")
            ax.set_title(*names_of([name]), fontsize="medium", parse_math=False)
            slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            ax.set_xticks(range(len(classes)), classes, parse_math=False, **slanted)
            ax.set_yticks(range(len(classes)), classes, parse_math=False)
            ax.tick_params(labelbottom=True)
        figure.supxlabel("Predicted class")
        figure.supylabel("True class")
        if self.displays_:
            image = self.displays_[next(iter(self.displays_))].im_
            figure.colorbar(image, ax=list(self.axes_), label="% of the true class", shrink=0.8)
        return self
