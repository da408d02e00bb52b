"""Figures of a comparison by subject: scores as a map, ranks, and what accuracy costs in time."""

from __future__ import annotations

from typing import Self

import numpy as np

from skeeg.inspection.style import (
    BELOW,
    BLUE,
    PALETTE,
    VERMILION,
    axes_or_new,
    color_of,
    draw_legend,
    marker_of,
    names_of,
    open_frame,
)


class SubjectScoresDisplay:
    """Score of every subject under every pipeline, as a map of colours with its numbers.

    Parameters
    ----------
    scores : DataFrame, shape (n_subjects, n_pipelines)
        Scores, in the order to draw; NaN leaves a gap.
    heading : str, default="accuracy (%)"
        What the numbers are.
    percent : bool, default=True
        Scores go from 0 to 1 and are written in percent.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        The map; subjects stand from the worst at the top to the best.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import SubjectScoresDisplay
    >>> accuracies = pd.DataFrame({"csp-lda": [0.7, 0.6], "sstdpn": [0.9, 0.7]}, index=["S1", "S2"])
    >>> display = SubjectScoresDisplay(accuracies).plot(ax=Figure().subplots())
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['S2', 'S1']
    """

    def __init__(self, scores, *, heading="accuracy (%)", percent=True):
        self.scores = scores
        self.heading = heading
        self.percent = percent

    @classmethod
    def from_comparison(cls, comparison, *, score=None, ax=None) -> Self:
        """Draw a `skeeg.evaluation.Comparison`, the best pipeline first.

        Parameters
        ----------
        comparison : Comparison
            Result of `skeeg.evaluation.compare`.
        score : str, default=None
            The score; None: the first that was asked for.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of a fitting size.

        Returns
        -------
        SubjectScoresDisplay
        """
        known = comparison.main if score is None else comparison.scoring[score]
        scores = comparison.subject_scores(score)[comparison.summary(score).index]
        return cls(scores, heading=known.heading, percent=known.percent).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of a fitting size.

        Returns
        -------
        SubjectScoresDisplay
        """
        order = self.scores.mean(axis=1).sort_values(kind="stable").index
        values = self.scores.loc[order].to_numpy(dtype=float) * (100 if self.percent else 1)
        n_subjects, n_pipelines = values.shape
        ax = axes_or_new(ax, 2.2 + 0.5 * n_pipelines, 1.8 + 0.22 * n_subjects)
        self.ax_, self.figure_ = ax, ax.figure
        # cividis grows in lightness alone for any colour vision, and in print
        self.image_ = ax.imshow(np.ma.masked_invalid(values), cmap="cividis", aspect="auto")
        low, high = self.image_.get_clim()
        for row, column in np.argwhere(np.isfinite(values)) if values.size <= 600 else ():
            value = values[row, column]
            dark = (value - low) < 0.55 * (high - low)
            text = f"{value:.0f}" if self.percent else f"{value:.2f}"
            ax.text(column, row, text, ha="center", va="center", size=7, color="white" if dark else "black")
        slanted = {"rotation": 35, "ha": "right", "rotation_mode": "anchor", "parse_math": False}
        ax.set_xticks(range(n_pipelines), names_of(self.scores.columns), **slanted)
        step = max(1, n_subjects // 60)  # names of so many subjects would cover each other
        ax.set_yticks(range(0, n_subjects, step), names_of(order[::step]), parse_math=False, fontsize=8)
        ax.set_ylabel("subject")
        ax.spines[:].set_visible(False)
        self.figure_.colorbar(self.image_, ax=ax, label=self.heading, shrink=min(1.0, 8 / n_subjects))
        return self


class CriticalDifferenceDisplay:
    """Mean ranks of the pipelines; lines join those that do not differ (Nemenyi's test).

    Parameters
    ----------
    ranks : Series, shape (n_pipelines,)
        Mean ranks over subjects by pipeline, the best (1) first.
    critical : float
        Difference from which on two mean ranks differ; NaN joins nothing.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Its figure.
    groups_ : list of tuple of str
        Pipelines that a line joins: all that lie within the critical difference and in no longer line.

    Notes
    -----
    Demšar (2006), JMLR 7:1–30, figure 1.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import CriticalDifferenceDisplay
    >>> ranks = pd.Series({"sstdpn": 1.2, "csp-lda": 2.1, "mdm": 2.7})
    >>> CriticalDifferenceDisplay(ranks, critical=1.0).plot(ax=Figure().subplots()).groups_
    [('sstdpn', 'csp-lda'), ('csp-lda', 'mdm')]
    """

    def __init__(self, ranks, *, critical):
        self.ranks = ranks
        self.critical = critical

    @classmethod
    def from_comparison(cls, comparison, *, score=None, ax=None) -> Self:
        """Draw a `skeeg.evaluation.Comparison`.

        Parameters
        ----------
        comparison : Comparison
            Result of `skeeg.evaluation.compare`.
        score : str, default=None
            The score; None: the first that was asked for.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of a fitting size.

        Returns
        -------
        CriticalDifferenceDisplay
        """
        ranks, critical = comparison.ranks(score)
        return cls(ranks, critical=critical).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure of a fitting size.

        Returns
        -------
        CriticalDifferenceDisplay
        """
        n = len(self.ranks)
        ranks = self.ranks.sort_values(kind="stable")
        places, names = ranks.to_numpy(dtype=float), names_of(ranks.index)
        ends = [max(i for i in range(n) if places[i] - places[k] <= self.critical) for k in range(n)] if (
            np.isfinite(self.critical)
        ) else list(range(n))  # fmt: skip
        spans = [(k, end) for k, end in enumerate(ends) if end > k and (k == 0 or ends[k - 1] < end)]
        self.groups_ = [tuple(ranks.index[k : end + 1]) for k, end in spans]
        ax = axes_or_new(ax, 5.6, 1.3 + 0.26 * n + 0.12 * len(spans))
        self.ax_, self.figure_ = ax, ax.figure
        top = 0.35 * len(spans) + 0.8
        for i, (k, end) in enumerate(spans):
            height = -0.35 * (i + 1)
            reach = [places[k] - 0.03, places[end] + 0.03]
            ax.plot(reach, [height, height], color=VERMILION, lw=4, solid_capstyle="butt")
        for i, (place, name) in enumerate(zip(places, names, strict=True)):
            height = -top - i
            ax.plot([place, place], [0, height], color="0.7", lw=0.8, zorder=0)
            ax.plot([place], [0], marker="o", color=BLUE, ms=5, clip_on=False)
            left = place <= (1 + n) / 2  # the name stands where there is room
            ax.annotate(
                f"{name}  {place:.2f}" if not left else f"{place:.2f}  {name}",
                (place, height),
                xytext=(4 if left else -4, 0),
                textcoords="offset points",
                ha="left" if left else "right",
                va="center",
                fontsize=9,
                parse_math=False,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        if np.isfinite(self.critical):
            reach = [1, 1 + min(self.critical, n - 1)]
            ax.plot(reach, [1.6, 1.6], color="black", lw=1.5, marker="|", clip_on=False)
            more = "" if self.critical <= n - 1 else ", more than the axis holds"
            label = f"critical difference {self.critical:.2f}{more}"
            ax.text(1, 1.85, label, fontsize=9, va="bottom", ha="left")
        ax.set(xlim=(0.9, n + 0.1), ylim=(-top - n + 0.4, 3.1), yticks=[])
        ax.set_xticks(range(1, n + 1))
        ax.xaxis.set_ticks_position("top")
        ax.spines["top"].set_position(("data", 0))
        ax.spines[["bottom", "right", "left"]].set_visible(False)
        ax.set_xlabel("mean rank over subjects (1 is best)")
        ax.xaxis.set_label_position("bottom")
        return self


class TimeDisplay:
    """Accuracy of each pipeline over the time that a fit takes.

    Parameters
    ----------
    summary : DataFrame, n_pipelines rows
        Columns ``fit_time`` in seconds and the score, by pipeline.
    column : str, default="accuracy"
        The score.
    heading : str, default="accuracy (%)"
        What it is called.
    percent : bool, default=True
        It goes from 0 to 1 and is drawn in percent.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on; time is logarithmic.
    figure_ : matplotlib Figure
        Its figure.
    points_ : dict of str -> Line2D
        One point a pipeline.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import TimeDisplay
    >>> summary = pd.DataFrame({"accuracy": [0.7, 0.6], "fit_time": [4.0, 0.1]}, index=["sstdpn", "csp-lda"])
    >>> display = TimeDisplay(summary).plot(ax=Figure().subplots())
    >>> list(display.points_)
    ['sstdpn', 'csp-lda']
    """

    def __init__(self, summary, *, column="accuracy", heading="accuracy (%)", percent=True):
        self.summary = summary
        self.column = column
        self.heading = heading
        self.percent = percent

    @classmethod
    def from_comparison(cls, comparison, *, ax=None) -> Self:
        """Draw a `skeeg.evaluation.Comparison`.

        Parameters
        ----------
        comparison : Comparison
            Result of `skeeg.evaluation.compare`.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TimeDisplay
        """
        score = comparison.main
        given = {"column": score.name, "heading": score.heading, "percent": score.percent}
        return cls(comparison.summary(), **given).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TimeDisplay
        """
        from matplotlib.ticker import LogLocator

        ax = axes_or_new(ax, 5.0, 4.4)
        self.ax_, self.figure_ = ax, ax.figure
        self.points_ = {}
        known = self.summary.dropna(subset=[self.column, "fit_time"])
        for i, (name, row) in enumerate(known.iterrows()):
            filled = "full" if i // len(PALETTE) % 2 == 0 else "none"
            (self.points_[name],) = ax.plot(
                max(row["fit_time"], 1e-3),  # a logarithm has no zero
                row[self.column] * (100 if self.percent else 1),
                color=color_of(i),
                marker=marker_of(i),
                fillstyle=filled,
                ls="none",
                ms=8,
            )
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        ax.set(xlabel="fit, s a fold", ylabel=f"{self.heading}, mean over subjects")
        draw_legend(ax, list(self.points_.values()), list(self.points_), **BELOW)
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
        open_frame(ax)
        return self
