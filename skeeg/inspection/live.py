"""Figure of pipelines on streams: accuracy over the time since the cue."""

from __future__ import annotations

import numpy as np

from skeeg.inspection.style import axes_or_new, color_of, draw_legend, line_of, means_and_whiskers, open_frame
from skeeg.plain import counted

_MOST_BANDS = 3  # that can be told apart


class LiveAccuracyDisplay:
    """Accuracy over the time since the cue, as windows fill with what follows it.

    Parameters
    ----------
    accuracies : dict of str -> DataFrame, shape (n_times, n_people)
        Accuracies from 0 to 1 of each pipeline, indexed by seconds from the cue to a window's end.
    chance : float
        Chance level from 0 to 1.
    windows : dict of str -> float, default=None
        Length of the windows of each pipeline in seconds: from there on, they hold nothing from before the
        cue. A line of short marks says where.
    title : str, default=""
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes drawn on.
    figure_ : matplotlib Figure
        Its figure.
    lines_ : dict of str -> Line2D
        Means over people; of up to three pipelines, a band is their 95 % confidence interval (Student's t).

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> from skeeg.inspection import LiveAccuracyDisplay
    >>> csp = pd.DataFrame({"anna": [0.5, 0.7, 0.8], "ben": [0.6, 0.6, 0.9]}, index=[1.0, 2.0, 3.0])
    >>> display = LiveAccuracyDisplay({"csp-lda": csp}, chance=0.5).plot(ax=Figure().subplots())
    >>> list(display.lines_)
    ['csp-lda']
    """

    def __init__(self, accuracies, *, chance, windows=None, title=""):
        self.accuracies = accuracies
        self.chance = chance
        self.windows = windows
        self.title = title

    @classmethod
    def from_result(cls, result, *, ax=None):
        """Draw a `skeeg.live.LiveResult`.

        Parameters
        ----------
        result : LiveResult
            What `skeeg.live.evaluate_live` gave.
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        LiveAccuracyDisplay
        """
        table = result.over_time()
        accuracies = {
            name: of_name.pivot(index="since", columns="person", values="accuracy")
            for name, of_name in table.groupby("pipeline", sort=False)
        }
        windows = result.windows.groupby("pipeline")["window"].max().to_dict()
        n = result.windows["person"].nunique()
        chance, title = 1 / len(result.classes), counted(n, "person")
        return cls(accuracies, chance=chance, windows=windows, title=title).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        LiveAccuracyDisplay
        """
        ax = axes_or_new(ax, 7.6, 4.2)
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_ = {}
        bands = len(self.accuracies) <= _MOST_BANDS
        for i, (name, accuracies) in enumerate(self.accuracies.items()):
            complete = accuracies.dropna()
            times = complete.index.to_numpy(dtype=float)
            means, whiskers = means_and_whiskers(100 * complete.to_numpy(dtype=float).T)
            color = color_of(i)
            (line,) = ax.plot(times, means, color=color, ls=line_of(i), lw=1.8)
            self.lines_[name] = line
            if bands and complete.shape[1] > 1:
                ax.fill_between(
                    times, means - whiskers[0], means + whiskers[1], color=color, alpha=0.12, lw=0
                )
            full = (self.windows or {}).get(name)
            if full is not None and len(times) and times[0] <= full <= times[-1] + 1e-6:
                ax.plot(full, np.interp(full, times, means), marker="|", ms=14, mew=2, color=color)
        chance = ax.axhline(100 * self.chance, color="0.4", ls="--", lw=1)
        ax.set(xlabel="Time from the cue to the end of the window (s)")
        ax.set(ylabel=f"Accuracy (%), mean{' and 95 % CI' if bands else ''}")
        ax.set_title(self.title, parse_math=False)
        draw_legend(
            ax,
            [*self.lines_.values(), chance],
            [*self.lines_, f"chance {100 * self.chance:.0f} %"],
            loc="upper left",
            bbox_to_anchor=(1, 1),
            frameon=False,
        )
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        open_frame(ax)
        return self
