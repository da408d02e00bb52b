"""Figure of a calibration: accuracy over the number of the person's own trials."""

from __future__ import annotations

from typing import Self

import numpy as np

from skeeg.inspection.style import (
    axes_or_new,
    color_of,
    draw_legend,
    line_of,
    marker_of,
    means_and_whiskers,
    open_frame,
)
from skeeg.plain import counted

#: Step of a curve -> label of the axis.
_STEPS = {
    "own_trials": "Number of the person's own trials",
    "people": "Number of people that train",
    "trials": "Number of trials that train",
}


class CalibrationCurveDisplay:
    """Mean accuracy of each pipeline over the number of own trials, people or trials that trained it.

    Parameters
    ----------
    accuracies : DataFrame, shape (n_subjects, n_pipelines * n_steps)
        Accuracies from 0 to 1, columns of two levels, pipeline and number of own trials ("0", "4", ...,
        "all"), in the order to draw; subjects with a gap are left out.
    chance : float or None
        Chance level from 0 to 1; None draws none.
    title : str, default=""
        Title of the axes.
    xlabel : str, default="Number of the person's own trials"
        What grows.
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
    errorbars_ : dict of str -> ErrorbarContainer
        Means over subjects and their 95 % confidence intervals, which end at 0 and 100 %. Pipelines stand a
        little beside each other, so that none hides another.

    See Also
    --------
    skeeg.evaluation.compare : With ``cv="calibration"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import CalibrationCurveDisplay
    >>> columns = pd.MultiIndex.from_product([["pretrained", "csp-lda"], ["0", "4", "all"]])
    >>> rows = [[0.8, 0.8, 0.9, 0.6, 0.7, 0.9], [0.7, 0.8, 0.8, 0.5, 0.6, 0.8]]
    >>> accuracies = pd.DataFrame(rows, columns=columns)
    >>> display = CalibrationCurveDisplay(accuracies, chance=0.5).plot(ax=Figure().subplots())
    >>> list(display.errorbars_)
    ['pretrained', 'csp-lda']
    """

    def __init__(
        self,
        accuracies,
        *,
        chance,
        title="",
        xlabel="Number of the person's own trials",
        heading="accuracy (%)",
        percent=True,
    ):
        self.accuracies = accuracies
        self.chance = chance
        self.title = title
        self.xlabel = xlabel
        self.heading = heading
        self.percent = percent

    @classmethod
    def from_comparison(cls, curve, *, ax=None) -> Self:
        """Draw a `skeeg.evaluation.Curve`.

        Parameters
        ----------
        curve : Curve
            Result of `skeeg.evaluation.compare` with ``cv="calibration"``.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        CalibrationCurveDisplay
        """
        scores, score = curve.same_people(), curve.main
        return cls(
            scores,
            chance=curve.chance if score.name == "accuracy" else None,
            title=counted(len(scores), "subject"),
            xlabel=_STEPS[curve.step],
            heading=score.heading,
            percent=score.percent,
        ).plot(ax=ax)

    def plot(self, ax=None) -> Self:
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        CalibrationCurveDisplay
        """
        ax = axes_or_new(ax, 7.6, 4.2)
        self.ax_, self.figure_ = ax, ax.figure
        complete = self.accuracies.dropna(axis=1, how="all").dropna()
        names = list(dict.fromkeys(name for name, _ in self.accuracies))
        steps = sorted(
            {step for _, step in self.accuracies}, key=lambda step: (step == "all", len(step), step)
        )
        apart = 0.3 / max(1, len(names))
        self.errorbars_ = {}
        for i, name in enumerate(names):
            of_name = [step for step in steps if (name, step) in complete]
            values = complete[[(name, step) for step in of_name]].to_numpy(dtype=float)
            means, whiskers = means_and_whiskers(values * (100 if self.percent else 1), bounded=self.percent)
            self.errorbars_[name] = ax.errorbar(
                np.array([steps.index(step) for step in of_name]) + (i - (len(names) - 1) / 2) * apart,
                means,
                yerr=whiskers,
                color=color_of(i),
                marker=marker_of(i),
                ls=line_of(i),
                ms=5,
                lw=1.5,
                capsize=2,
                elinewidth=0.8,
            )
        lines = {}
        if self.chance is not None:
            line = ax.axhline(100 * self.chance, color="0.4", ls="--", lw=1)
            lines = {f"chance {100 * self.chance:.0f} %": line}
        ax.set_xticks(range(len(steps)), steps)
        ax.set(xlabel=self.xlabel, ylabel=f"{self.heading[0].upper()}{self.heading[1:]}, mean and 95 % CI")
        ax.set_title(self.title, parse_math=False)
        draw_legend(
            ax,
            [*self.errorbars_.values(), *lines.values()],
            [*names, *lines],
            loc="upper left",
            bbox_to_anchor=(1, 1),  # beside the axes: whiskers are everywhere on them
            frameon=False,
        )
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        open_frame(ax)
        return self
