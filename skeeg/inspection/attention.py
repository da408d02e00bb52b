"""Attention: how far each network's gates and window weights open, for each class."""

from __future__ import annotations

import numpy as np

from skeeg.inspection.carrying import carry, labels_of, unpacked
from skeeg.inspection.electrodes import draw_topography, find_info
from skeeg.inspection.spectra import half_amplitude_bands, magnitudes_of
from skeeg.inspection.style import color_of, draw_legend, figure_or_new, line_of, names_of, open_frame

KINDS = ("gates", "channels", "windows")


class Attention:
    """Weights that a network's attention gives; made by `find_attention`.

    Attributes
    ----------
    kind : {"gates", "channels", "windows"}
        What is weighted: temporal filters at electrodes (SST-DPN), virtual channels, in time where the mode
        has a time axis (AttentionBaseNet), or windows of time (FBLightConvNet, the same for every trial).
    table : DataFrame
        One row a weight. "gates": ``class``, ``filter``, ``channel``; "channels": ``class``, ``channel``;
        "windows": ``head``, ``start``, ``stop`` (s). Then ``mean`` and, over trials, ``sd``.
    weights : ndarray
        Means: "gates" (n_classes, n_filters, n_chans), "channels" (n_classes, n_virtual_channels, n_pooled
        samples), "windows" (n_heads, n_windows).
    classes : list
        Labels.
    times : ndarray or None
        Middle of each pooled sample ("channels") or edges of the windows ("windows") in s after the first
        sample.
    varies : bool
        Whether weights change over time.
    bands : ndarray, shape (n_filters, 2), or None
        "gates": -6 dB bands of the filters in Hz.
    ch_names : list of str or None
        "gates": names of the channels that the network gets.
    """

    def __init__(self, kind, table, weights, classes, *, times=None, varies=False, bands=None, ch_names=None):
        self.kind, self.table, self.weights, self.classes = kind, table, weights, classes
        self.times, self.varies, self.bands, self.ch_names = times, varies, bands, ch_names


def find_attention(estimator, X=None, y=None, *, groups=None):
    """Find the weights that a network's attention gives to trials of each class.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        SSTDPNClassifier, AttentionBaseNetClassifier with an ``attention_mode``, or FBLightConvNetClassifier.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times), default=None
        Trials; FBLightConvNet, whose weights do not depend on them, needs none.
    y : array-like, shape (n_trials,), default=None
        Labels; those that X knows by default, else what the estimator predicts.
    groups : array-like, shape (n_trials,), default=None
        Subject of each trial, which alignments read.

    Returns
    -------
    Attention

    Raises
    ------
    ValueError
        When the network has no attention, or no trials are given where they are needed.

    Notes
    -----
    A gate is the factor that a signal is multiplied by: 1 leaves it as it is. SST-DPN's lie between 0 and 2
    and AttentionBaseNet's mostly between 0 and 1; in "gsop" they are any numbers. Behind spatial filters and
    normalisations that scale anew, a factor that is the same for all trials tells little; how it differs
    between channels and between classes tells more.

    Examples
    --------
    >>> from skeeg import SSTDPNClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import find_attention
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> attention = find_attention(SSTDPNClassifier(max_epochs=1, random_state=0).fit(X, y), X, y)
    >>> attention.weights.shape
    (2, 9, 8)
    """
    import pandas as pd

    steps = unpacked(estimator)
    classifier = steps[-1]
    module = getattr(classifier, "module_", None)
    if hasattr(module, "window_weights"):
        weights = module.window_weights().cpu().numpy()
        edges = np.arange(module.n_windows + 1) * module._window / classifier.sfreq_
        heads, windows = np.indices(weights.shape).reshape(2, -1)
        columns = {
            "head": heads,
            "start": edges[windows],
            "stop": edges[windows + 1],
            "mean": weights.ravel(),
        }
        return Attention("windows", pd.DataFrame(columns), weights, [], times=edges)
    if not hasattr(module, "gates"):
        raise ValueError(
            f"{type(module or classifier).__name__} has no attention: SSTDPN, AttentionBaseNet and "
            "FBLightConvNet have, and networks of your own that define gates"
        )
    if X is None:
        raise ValueError("attention depends on the trials: give X")
    view, _ = carry(steps, X, groups)
    y = view.labels if y is None else y
    given = view.given.astype(np.float32)
    y = labels_of(classifier.predict(given) if y is None else y, None, len(given))
    gates = classifier._forward(given, function="gates")
    classes = np.unique(y).tolist()
    means = np.array([gates[y == label].mean(axis=0) for label in classes])
    if hasattr(module, "spatial_weights") and hasattr(module, "spt_attn_mode"):
        deviations = np.array([gates[y == label].std(axis=0) for label in classes])
        names = classifier.ch_names_ or [str(i) for i in range(means.shape[2])]
        of_class, filters, channels = np.indices(means.shape).reshape(3, -1)
        columns = {
            "class": np.array(classes, dtype=object)[of_class],
            "filter": filters,
            "channel": np.array(names, dtype=object)[channels],
            "mean": means.ravel(),
            "sd": deviations.ravel(),
        }
        bands = half_amplitude_bands(magnitudes_of(module), classifier.sfreq_)
        known = None if classifier.ch_names_ is None else list(classifier.ch_names_)
        return Attention("gates", pd.DataFrame(columns), means, classes, bands=bands, ch_names=known)
    in_time = gates.mean(axis=2)
    deviations = np.array([in_time[y == label].std(axis=0) for label in classes])
    of_class, channels = np.indices(means.shape[:2]).reshape(2, -1)
    columns = {
        "class": np.array(classes, dtype=object)[of_class],
        "channel": channels,
        "mean": means.mean(axis=2).ravel(),
        "sd": deviations.ravel(),
    }
    varies = bool((gates != gates[:, :, :1]).any())
    times = None
    if classifier.sfreq_ is not None:
        pool = module.input_block.pool
        times = (np.arange(means.shape[2]) * pool.stride + pool.length / 2) / classifier.sfreq_
    return Attention("channels", pd.DataFrame(columns), means, classes, times=times, varies=varies)


class AttentionDisplay:
    """A network's attention: topographies of gates, weights of virtual channels, or of windows of time.

    Parameters
    ----------
    attention : Attention
        As of `find_attention`.
    info : mne.Info or None
        Positions of the electrodes; for "gates".
    title : str, default=""
        Title of the figure.

    Attributes
    ----------
    attention : Attention
        The numbers.
    figure_ : matplotlib Figure
        The figure.
    axes_ : list of matplotlib Axes
        Axes drawn on.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg import FBLightConvNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import AttentionDisplay
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> network = FBLightConvNetClassifier(win_len=100, max_epochs=1, random_state=0).fit(X, y)
    >>> display = AttentionDisplay.from_estimator(network, figure=Figure())
    >>> display.attention.weights.shape
    (8, 5)
    """

    def __init__(self, attention, info=None, *, title=""):
        self.attention, self.info, self.title = attention, info, title

    @classmethod
    def from_estimator(cls, estimator, X=None, y=None, *, groups=None, info=None, title="", figure=None):
        """Find and draw the attention of a fitted network.

        Parameters
        ----------
        estimator, X, y, groups
            As of `find_attention`.
        info : mne.Info, default=None
            Positions of the electrodes; by their names in the standard 10-05 montage by default.
        title : str, default=""
            Title of the figure.
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        AttentionDisplay
        """
        attention = find_attention(estimator, X, y, groups=groups)
        if attention.kind == "gates":
            info = find_info(info, attention.ch_names, attention.weights.shape[2])
        return cls(attention, info, title=title).plot(figure=figure)

    def plot(self, figure=None):
        """Draw the figure.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        AttentionDisplay
        """
        figure = figure_or_new(figure)
        self.figure_ = figure
        figure.set_layout_engine("constrained")
        {"gates": self._draw_gates, "channels": self._draw_channels, "windows": self._draw_windows}[
            self.attention.kind
        ](figure)
        figure.suptitle(self.title, fontsize="medium", parse_math=False)
        return self

    def _draw_gates(self, figure):
        weights, bands = self.attention.weights, self.attention.bands
        spread = np.ptp(weights.mean(axis=0), axis=1)
        order = np.sort(np.argsort(-spread, kind="stable")[:5])
        rows = list(names_of(self.attention.classes))
        values = list(weights)
        if len(rows) == 2:
            values.append(weights[1] - weights[0])
            rows.append(f"{rows[1]} less\n{rows[0]}")
        figure.set_size_inches(1.5 + 1.35 * len(order), 1.0 + 1.55 * len(rows))
        grid = figure.subplots(len(rows), len(order), squeeze=False)
        self.axes_ = list(grid.flat)
        limits = [
            max(np.abs(v[order] - (0 if i == len(weights) else 1)).max(), 1e-9) for i, v in enumerate(values)
        ]
        limits[: len(weights)] = [max(limits[: len(weights)])] * len(weights)
        for i, (name, of_row, axes) in enumerate(zip(rows, values, grid, strict=True)):
            middle = 0 if i == len(weights) else 1
            for number, ax in zip(order, axes, strict=True):
                image = draw_topography(of_row[number] - middle, self.info, ax, limit=limits[i])
                if i == 0:
                    low, high = bands[number]
                    where = f"\n{low:.1f}–{high:.1f} Hz" if np.isfinite(low) else ""
                    ax.set_title(f"filter {number}{where}", fontsize="small")
            axes[0].set_ylabel(name, fontsize="small", parse_math=False)
            bar = figure.colorbar(image, ax=axes.tolist(), shrink=0.8, aspect=12)
            bar.set_label("difference" if middle == 0 else "gate − 1", size="small")
            bar.ax.tick_params(labelsize="x-small")

    def _draw_channels(self, figure):
        attention = self.attention
        means = attention.weights.mean(axis=2)
        varies = attention.varies and attention.times is not None
        figure.set_size_inches(6.4, 4.6 if varies else 2.8)
        axes = figure.subplots(2 if varies else 1, 1, squeeze=False)[:, 0]
        self.axes_ = list(axes)
        deviations = attention.table["sd"].to_numpy().reshape(means.shape)
        place = np.arange(means.shape[1])
        handles = []
        for i, _ in enumerate(attention.classes):
            apart = 0.25 * (i - (len(means) - 1) / 2)
            style = {"fmt": "o", "ms": 4, "lw": 1, "color": color_of(i)}
            handles.append(axes[0].errorbar(place + apart, means[i], yerr=deviations[i], capsize=2, **style))
        axes[0].set(xlabel="Virtual channel", ylabel="Gate, mean and\nsd over trials")
        axes[0].set_xticks(place)
        axes[0].grid(axis="y", color="0.9")
        draw_legend(axes[0], handles, names_of(attention.classes), frameon=False, fontsize="small",
                    loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4)  # fmt: skip
        if varies:
            course = attention.weights.mean(axis=1)
            for i, of_class in enumerate(course):
                axes[1].plot(attention.times, of_class, color=color_of(i), ls=line_of(i))
            axes[1].set(xlabel="Time after the first sample (s)", ylabel="Gate, mean\nover channels")
            axes[1].grid(axis="y", color="0.9")
        for ax in axes:
            open_frame(ax)

    def _draw_windows(self, figure):
        weights, edges = self.attention.weights, self.attention.times
        figure.set_size_inches(5.0, 1.5 + 0.24 * max(4, len(weights)))
        ax = figure.subplots()
        self.axes_ = [ax]
        lowest = min(0.0, float(weights.min()))
        image = ax.pcolormesh(edges, np.arange(len(weights) + 1) - 0.5, weights, cmap="viridis", vmin=lowest)
        ax.set_yticks(range(len(weights)))
        ax.set(xlabel="Time after the first sample (s)", ylabel="Head")
        figure.colorbar(image, ax=ax, label="Weight of the window")
