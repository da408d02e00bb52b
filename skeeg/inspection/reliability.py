"""Figures of doubt: how often probabilities are right, and what abstaining gains."""

from __future__ import annotations

from typing import Self

import numpy as np

from skeeg.inspection.style import BELOW, axes_or_new, color_of, draw_legend, line_of, marker_of, open_frame


def _sure_and_right(y, probabilities, classes):
    """The largest probability of each trial, and whether its label is right."""
    y, p, classes = np.asarray(y), np.asarray(probabilities, dtype=float), np.asarray(classes)
    if p.shape != (len(y), len(classes)):
        raise ValueError(
            f"probabilities have the shape {p.shape}; expected {(len(y), len(classes))}: a row for each of "
            f"{len(y)} labels, a column for each of the classes {classes.tolist()}"
        )
    if not (np.isfinite(p).all() and np.allclose(p.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("probabilities are not finite, or do not add up to 1; give those of predict_proba")
    return p.max(axis=1), classes[p.argmax(axis=1)] == y


def _bins(y, probabilities, classes, n_bins):
    """Bins (mean probability, share that is right, number of trials), and how far the two are apart."""
    sure, right = _sure_and_right(y, probabilities, classes)
    parts = np.array_split(np.argsort(sure, kind="stable"), min(n_bins, len(sure)))
    bins = np.array([[sure[part].mean(), right[part].mean(), len(part)] for part in parts])
    return bins, float(np.average(np.abs(bins[:, 0] - bins[:, 1]), weights=bins[:, 2]))


class ReliabilityDisplay:
    """How often the most probable label is right, over the probability it was given.

    Parameters
    ----------
    bins : dict of str -> ndarray, shape (n_bins, 3)
        Of each classifier, a row a bin: mean probability, share that is right, number of trials.
    errors : dict of str -> float
        Expected calibration error of each, from 0 to 1: distance of the two, mean over trials.
    chance : float
        One over the number of classes: no label that is most probable has less.

    Attributes
    ----------
    ax_, figure_
        Axes drawn on, and their figure.
    lines_ : dict of str -> Line2D
        A curve each; the larger a marker, the more trials.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import ReliabilityDisplay
    >>> y, p = ["left", "right", "left", "left"], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]]
    >>> ax = Figure().subplots()
    >>> said = {"csp": p}
    >>> display = ReliabilityDisplay.from_predictions(y, said, classes=["left", "right"], n_bins=2, ax=ax)
    >>> display.bins["csp"].round(2).tolist()
    [[0.65, 0.5, 2.0], [0.85, 1.0, 2.0]]
    """

    def __init__(self, bins, *, errors, chance):
        self.bins = bins
        self.errors = errors
        self.chance = chance

    @classmethod
    def from_predictions(cls, y, probabilities, *, classes, n_bins=10, ax=None):
        """Draw classifiers that predicted the same trials.

        Parameters
        ----------
        y : array-like, shape (n_trials,)
            Right labels.
        probabilities : dict of str -> array-like, shape (n_trials, n_classes)
            What each said.
        classes : sequence
            Labels of the columns.
        n_bins : int, default=10
            Bins, each of as many trials.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        ReliabilityDisplay
        """
        bins, errors = {}, {}
        for name, p in probabilities.items():
            bins[name], errors[name] = _bins(y, p, classes, n_bins)
        return cls(bins, errors=errors, chance=1 / len(classes)).plot(ax=ax)

    @classmethod
    def from_comparison(cls, comparison, *, n_bins=10, ax=None) -> Self:
        """Draw a `skeeg.evaluation.Comparison`: all test trials of the pipelines that give probabilities.

        Parameters
        ----------
        comparison : Comparison
            Result of `skeeg.evaluation.compare`.
        n_bins : int, default=10
            Bins, each of as many trials.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        ReliabilityDisplay
        """
        bins, errors = {}, {}
        columns = [f"proba_{label}" for label in comparison.classes]
        for name, trials in comparison.predictions.groupby("pipeline", sort=False):
            if trials[columns].notna().all(axis=None):
                y = trials["y_true"].to_numpy().astype(comparison.classes.dtype)
                bins[name], errors[name] = _bins(y, trials[columns].to_numpy(), comparison.classes, n_bins)
        return cls(bins, errors=errors, chance=1 / len(columns)).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        ReliabilityDisplay
        """
        ax = axes_or_new(ax, 7.2, 4.4)
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_ = {}
        low = 100 * self.chance
        (ideal,) = ax.plot([low, 100], [low, 100], color="0.4", ls="--", lw=1)
        for i, (name, bins) in enumerate(self.bins.items()):
            (self.lines_[name],) = ax.plot(
                100 * bins[:, 0],
                100 * bins[:, 1],
                color=color_of(i),
                marker=marker_of(i),
                ls=line_of(i),
                ms=5,
                lw=1.5,
            )
        ax.set(xlabel="Probability of the most probable class (%)", ylabel="Trials that are right (%)")
        ax.set(xlim=(low - 2, 102), ylim=(min(ax.get_ylim()[0], low - 2), 102))
        handles, names = [*self.lines_.values(), ideal], [*self.lines_, "as sure as right"]
        texts = draw_legend(ax, handles, names, **BELOW).get_texts()
        for text, error in zip(texts, self.errors.values(), strict=False):  # beside names that are cut short
            text.set_text(f"{text.get_text()}, off by {100 * error:.1f} %")
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
        open_frame(ax)
        return self


class AccuracyRejectionDisplay:
    """Accuracy of the trials that are answered, over the share that is not: the least sure first.

    Parameters
    ----------
    curves : dict of str -> ndarray, shape (n_points, 2)
        Of each classifier, share of trials left without answer, and accuracy of the others.
    chance : float
        Chance level from 0 to 1.

    Attributes
    ----------
    ax_, figure_
        Axes drawn on, and their figure.
    lines_ : dict of str -> Line2D
        A curve each.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import AccuracyRejectionDisplay
    >>> y, p = ["left", "right", "left", "left"], [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]]
    >>> ax = Figure().subplots()
    >>> display = AccuracyRejectionDisplay.from_predictions(y, {"csp": p}, classes=["left", "right"], ax=ax)
    >>> display.curves["csp"].tolist()
    [[0.0, 0.75], [0.25, 1.0], [0.5, 1.0], [0.75, 1.0]]
    """

    def __init__(self, curves, *, chance):
        self.curves = curves
        self.chance = chance

    @classmethod
    def from_predictions(cls, y, probabilities, *, classes, ax=None):
        """Draw classifiers that predicted the same trials.

        Parameters
        ----------
        y : array-like, shape (n_trials,)
            Right labels.
        probabilities : dict of str -> array-like, shape (n_trials, n_classes)
            What each said.
        classes : sequence
            Labels of the columns.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        AccuracyRejectionDisplay
        """
        curves = {}
        for name, p in probabilities.items():
            sure, right = _sure_and_right(y, p, classes)
            n = len(sure)
            surest_first = right[np.argsort(-sure, kind="stable")]
            accuracy = np.cumsum(surest_first) / np.arange(1, n + 1)
            last = np.r_[np.diff(np.sort(-sure)) != 0, True]  # trials that are as sure are answered together
            answered = np.flatnonzero(last)[::-1]
            curves[name] = np.column_stack([1 - (answered + 1) / n, accuracy[answered]])
        return cls(curves, chance=1 / len(classes)).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        AccuracyRejectionDisplay
        """
        ax = axes_or_new(ax, 7.2, 4.4)
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_ = {}
        for i, (name, curve) in enumerate(self.curves.items()):
            enough = curve[curve[:, 0] <= 0.95]  # of the last few trials, a curve tells nothing
            (self.lines_[name],) = ax.plot(
                100 * enough[:, 0],
                100 * enough[:, 1],
                color=color_of(i),
                ls=line_of(i),
                lw=1.8,
            )
        chance = ax.axhline(100 * self.chance, color="0.4", ls="--", lw=1)
        ax.set(xlabel="Trials without an answer (%)", ylabel="Accuracy of the others (%)", xlim=(0, 100))
        draw_legend(
            ax,
            [*self.lines_.values(), chance],
            [*self.lines_, f"chance {100 * self.chance:.0f} %"],
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
        )
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
        open_frame(ax)
        return self
