"""Spatial filters and patterns: where on the head the components are that a decoder begins with."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len, rfft, rfftfreq
from sklearn.pipeline import FeatureUnion

from skeeg.inspection.carrying import View, carry, labels_of, unpacked
from skeeg.inspection.electrodes import draw_topography, find_info
from skeeg.inspection.spatial import Components, components_of
from skeeg.inspection.spectra import half_amplitude_bands
from skeeg.inspection.style import figure_or_new, names_of
from skeeg.trials import check_groups

_TRIALS_AT_A_TIME = 32
_DEAD = 1e-12  # of the power of the strongest component: what rounding leaves of one that is nothing


class SpatialPatterns:
    """Spatial filters and patterns of a decoder's components, at the electrodes; made by `find_patterns`.

    Attributes
    ----------
    filters_ : ndarray, shape (n_components, n_channels)
        Weights of the electrodes in each component, per µV, such that the component has unit variance.
    patterns_ : ndarray, shape (n_components, n_channels)
        What each electrode shows of a component, in µV for one standard deviation of it.
    evals_ : ndarray, shape (n_components,)
        Share of the variance of the component's log power, over trials, that is between classes (eta
        squared, 0 to 1). There where labels are known only.
    components : DataFrame
        One row a component: ``filter`` (index of the temporal filter or band), ``row`` (index of the spatial
        filter or virtual electrode), ``low`` and ``high`` (-6 dB band of the temporal filter, Hz),
        ``power`` (its variance as a share of that of all components); with labels ``eta2`` (as ``evals_``)
        and, of two classes, ``effect`` (difference of mean log power, second class less first, in standard
        deviations).
    classes : list
        The labels, sorted; empty where none are known.
    ch_names : list of str or None
        Names of the electrodes.
    sfreq : float or None
        Sampling rate of the decoder's input in Hz.
    """

    def __init__(self, filters, patterns, components, classes, ch_names, sfreq):
        self.filters_, self.patterns_, self.components = filters, patterns, components
        self.classes, self.ch_names, self.sfreq = classes, ch_names, sfreq
        if "eta2" in components:
            self.evals_ = components["eta2"].to_numpy()

    def to_frame(self):
        """Get the patterns as a table: one row a component, one column an electrode, in µV.

        Returns
        -------
        DataFrame
        """
        import pandas as pd

        names = self.ch_names or list(range(self.patterns_.shape[1]))
        return pd.concat([self.components, pd.DataFrame(self.patterns_, columns=names)], axis=1)

    def best(self, n_components=6):
        """Get the components that tell the classes apart best; without labels, those of most power.

        Parameters
        ----------
        n_components : int, default=6
            How many. Of two classes, one that falls and one that rises with the second class in turn, as
            far as there are both.

        Returns
        -------
        list of int
        """
        table = self.components
        if "effect" in table:
            ranked = table.sort_values("eta2", ascending=False, kind="stable")
            place = ranked.groupby(ranked["effect"] >= 0).cumcount()  # on its own side
            return place.sort_values(kind="stable").index[:n_components].tolist()
        key = "eta2" if "eta2" in table else "power"
        return table[key].sort_values(ascending=False, kind="stable").index[:n_components].tolist()


def find_patterns(estimator, X, y=None, *, groups=None, joint=False):
    """Find the spatial filters and patterns of a fitted decoder.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        One of the networks (or a network of one's own that has ``temporal_response`` and ``spatial_weights``,
        see :class:`skeeg.modules.AttentionBaseNet`), one of :mod:`skeeg.baselines`, or a Pipeline with
        ``mne.decoding.CSP`` or pyRiemann's.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials as the estimator takes them, in µV (Epochs: any unit); best of people it was not trained on.
    y : array-like, shape (n_trials,), default=None
        Labels; those that X knows by default. They rate components, and change no filter.
    groups : array-like, shape (n_trials,), default=None
        Subject of each trial: alignments read it, and differences between people do not count in ``eta2``.
    joint : bool, default=False
        False: a component's pattern is what the electrodes have in common with it. True: what they have
        in common with it beside the other components of the same temporal filter (all of Haufe's formula).
        Overlapping spatial filters, of which networks have many, then take each other's patterns away.

    Returns
    -------
    SpatialPatterns

    Raises
    ------
    ValueError
        When the estimator has no spatial filters, or they cannot be carried back to the electrodes.

    Notes
    -----
    Haufe et al. (2014), "On the interpretation of weight vectors of linear models in multivariate
    neuroimaging", NeuroImage 87:96-110. A spatial filter w gives s = w'x; with S the covariance of the data,
    the pattern is a = S w / sqrt(w'S w), the covariance of the electrodes with s in units of its standard
    deviation. ``joint=True`` is A = S W (W'S W)^-1, times the same standard deviations. S is the covariance
    in the band of the component's temporal filter: filters and electrodes are both filtered by it, so that
    slower and stronger activity does not hide what the filter passes.

    x are the electrodes, whatever the Pipeline does before the network: filtered, resampled and cut as the
    network's input, but neither scaled nor aligned. A virtual electrode that mixes several temporal filters
    (SST-DPN, FBLightConvNet) is one component for each; SST-DPN's are taken with the mean of the gates over
    the trials. Patterns of a nonlinear network say what its first, linear stage collects, not what the rest
    makes of it; components of :func:`skeeg.baselines.make_tangent_space_lr` are the eigenvectors of its
    coefficients (Kobler et al. 2021), of make_mdm those that tell a class's mean from the mean of all.

    Means are taken off each trial and channel; filters act on a trial with zeros around it.

    Examples
    --------
    >>> from skeeg import Scaler, SincShallowNetClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import find_patterns
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> pipeline = make_pipeline(Scaler(), SincShallowNetClassifier(max_epochs=2, random_state=0)).fit(X, y)
    >>> patterns = find_patterns(pipeline, X, y)
    >>> patterns.patterns_.shape
    (64, 8)

    MNE draws them:

    >>> from mne.decoding import get_spatial_filter_from_estimator
    >>> from skeeg.inspection.electrodes import find_info
    >>> info = find_info(None, X.ch_names)
    >>> spatial_filter = get_spatial_filter_from_estimator(patterns, info, patterns_method="haufe")
    >>> spatial_filter.patterns.shape
    (64, 8)
    """
    import pandas as pd

    view, rest = carry(unpacked(estimator), X, groups)
    if y is not None or view.labels is not None:
        y = labels_of(y, view.labels, len(view.given))
    groups = None if groups is None else check_groups(groups, view.given)
    parts = []
    for of_view, components in _parts(view, rest, groups):
        parts.append(_solve(of_view, components, y, groups, joint))
    filters, patterns, variances = (np.concatenate([part[i] for part in parts]) for i in range(3))
    tables, n_filters = [part[3] for part in parts], 0
    for table in tables:
        table["filter"] += n_filters
        n_filters = 1 + table["filter"].max()
    table = pd.concat(tables, ignore_index=True)
    table.insert(
        table.columns.get_loc("high") + 1, "power", variances / max(variances.sum(), np.finfo(float).tiny)
    )
    classes = [] if y is None else np.unique(np.asarray(y)).tolist()
    names = None if view.ch_names is None else list(view.ch_names)
    return SpatialPatterns(filters, patterns, table, classes, names, view.sfreq)


def _parts(view, rest, groups):
    """Components of a decoder, and the view that they act on: several for a filter bank of Pipelines."""
    if rest and isinstance(rest[0], FeatureUnion):
        for _, branch in rest[0].transformer_list:
            of_branch, last = carry(unpacked(branch), _remembering(view), groups)
            yield of_branch, components_of(last, of_branch)
    else:
        yield view, components_of(rest, view)


def _remembering(view):
    from skeeg.trials import EEGArray

    if view.given is not view.electrodes:
        raise ValueError(
            "what was learned cannot be carried back through a FeatureUnion after steps that scale or mix "
            "channels: put those steps into its branches"
        )
    return EEGArray(view.electrodes, view.sfreq, view.ch_names)


def _solve(view: View, components: Components, y, groups, joint):
    """Filters, patterns, variances and table of the components of one view."""
    import pandas as pd

    weights, of_filter = components.weights, components.filters
    n_times = view.given.shape[2]
    n = next_fast_len(2 * n_times, real=True)
    gains = components.gains(rfftfreq(n))  # (n_filters, n_freqs)
    own, both, logs = _covariances(view, gains, n, weights, of_filter)
    variances = np.einsum("kc,kcd,kd->k", weights, own[of_filter], weights, optimize=True)
    dead = variances <= _DEAD * variances.max(initial=0)
    deviations = np.sqrt(np.where(dead, 1, variances))
    covariances = np.einsum("ked,kd->ke", both[of_filter], weights, optimize=True)
    if joint:
        for number in np.unique(of_filter):
            rows = np.flatnonzero((of_filter == number) & ~dead)
            inner = weights[rows] @ own[number] @ weights[rows].T
            among = deviations[rows]
            inverse = np.linalg.pinv(inner / np.outer(among, among), rcond=1e-8, hermitian=True)
            covariances[rows] = inverse @ (covariances[rows] / among[:, None]) * among[:, None]
    patterns = np.where(dead[:, None], 0, covariances / deviations[:, None])
    filters = np.where(dead[:, None], 0, weights @ view.channel_map() / deviations[:, None])
    bands = components.bands
    if bands is None:
        bands = half_amplitude_bands(components.gains, view.sfreq)
    table = pd.DataFrame(
        {
            "filter": of_filter,
            "row": components.rows,
            "low": bands[of_filter, 0],
            "high": bands[of_filter, 1],
        }
    )
    if y is not None:
        eta2, effect = _rate(logs, np.asarray(y), groups)
        table["eta2"] = np.where(dead, 0, eta2)
        if effect is not None:
            table["effect"] = np.where(dead, 0, effect)
    return filters, patterns, np.where(dead, 0, variances), table


def _covariances(view, gains, n, weights, of_filter):
    """Covariances in the band of each filter, of the given channels and with the electrodes; log powers."""
    n_trials, n_chans, n_times = view.given.shape
    power = np.square(gains) / n / (n_trials * n_times)
    power[:, 1 : (n + 1) // 2] *= 2
    same = view.electrodes is view.given
    own = np.zeros((power.shape[1], n_chans, n_chans))
    both = np.zeros((power.shape[1], view.electrodes.shape[1], n_chans))
    logs = np.empty((n_trials, len(weights)))
    for start in range(0, n_trials, _TRIALS_AT_A_TIME):
        rows = slice(start, start + _TRIALS_AT_A_TIME)
        given = _spectra(view.given[rows], n)
        conjugate = given.conj().transpose(2, 0, 1)  # (n_freqs, trials, n_chans)
        own += (given.transpose(2, 1, 0) @ conjugate).real
        if not same:
            both += (_spectra(view.electrodes[rows], n).transpose(2, 1, 0) @ conjugate).real
        for number in np.unique(of_filter):
            chosen = np.flatnonzero(of_filter == number)
            passed = np.flatnonzero(power[number] > 1e-8 * power[number].max())
            activity = weights[chosen] @ given[:, :, passed]  # (trials, components, n_freqs)
            energy = np.square(activity.real) + np.square(activity.imag)
            logs[rows, chosen] = energy @ power[number, passed]
    own, both = (np.tensordot(power, matrices, 1) for matrices in (own, own if same else both))
    with np.errstate(divide="ignore"):
        return own, both, np.log(logs)


def _spectra(trials, n):
    return rfft(trials - trials.mean(axis=2, keepdims=True), n, axis=2)


def _rate(logs, y, groups):
    """Share of variance between classes, and of two classes the difference in standard deviations."""
    logs = np.where(np.isfinite(logs), logs, np.nan)
    if groups is not None:
        logs = logs.copy()
        for group in np.unique(groups):
            logs[groups == group] -= logs[groups == group].mean(axis=0)
    classes = np.unique(y)
    means = np.array([logs[y == label].mean(axis=0) for label in classes])
    shares = np.array([np.mean(y == label) for label in classes])[:, None]
    within = sum(share * logs[y == label].var(axis=0) for label, share in zip(classes, shares, strict=True))
    between = (shares * np.square(means - (shares * means).sum(axis=0))).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        eta2 = np.nan_to_num(between / (between + within))
        effect = np.nan_to_num((means[1] - means[0]) / np.sqrt(within)) if len(classes) == 2 else None
    return eta2, effect


class PatternsDisplay:
    """Topographies of a decoder's components, in µV.

    Parameters
    ----------
    patterns : SpatialPatterns
        As of `find_patterns`.
    info : mne.Info
        Positions of the electrodes.
    chosen : list of int
        Components to draw, in their order.
    title : str, default=""
        Title of the figure.

    Attributes
    ----------
    patterns : SpatialPatterns
        The numbers.
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of matplotlib Axes
        Axes of the topographies, one a component.
    images_ : list of matplotlib images
        The topographies.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import PatternsDisplay
    >>> X, y, _ = make_motor_imagery(n_subjects=1, n_trials=40, n_chans=8, random_state=0)
    >>> csp = make_csp_lda(n_components=2).fit(X, y)
    >>> display = PatternsDisplay.from_estimator(csp, X, y, figure=Figure())
    >>> display.patterns.patterns_.shape
    (2, 8)
    """

    def __init__(self, patterns, info, chosen, *, title=""):
        self.patterns, self.info, self.chosen, self.title = patterns, info, chosen, title

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, groups=None, joint=False, info=None, components=6, title="", figure=None
    ):
        """Draw the patterns of a fitted decoder.

        Parameters
        ----------
        estimator, X, y, groups, joint
            As of `find_patterns`.
        info : mne.Info, default=None
            Positions of the electrodes; by their names in the standard 10-05 montage by default.
        components : int or list of int, default=6
            How many (see :meth:`SpatialPatterns.best`), or which.
        title : str, default=""
            Title of the figure.
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        PatternsDisplay
        """
        patterns = find_patterns(estimator, X, y, groups=groups, joint=joint)
        info = find_info(info, patterns.ch_names, patterns.patterns_.shape[1])
        chosen = patterns.best(components) if np.ndim(components) == 0 else list(components)
        return cls(patterns, info, chosen, title=title).plot(figure=figure)

    def plot(self, figure=None):
        """Draw the figure.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        PatternsDisplay
        """
        figure = figure_or_new(figure)
        self.figure_ = figure
        n_columns = min(6, len(self.chosen))
        n_rows = -(-len(self.chosen) // n_columns)
        figure.set_layout_engine("constrained")
        figure.set_size_inches(
            max(3.4, 1.55 * n_columns + 0.3), 2.55 * n_rows + (0.7 if self.title else 0.35)
        )
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for ax in grid.flat[len(self.chosen) :]:
            ax.remove()
        self.axes_, self.images_ = grid.flat[: len(self.chosen)], []
        table = self.patterns.components
        for ax, number in zip(self.axes_, self.chosen, strict=True):
            image = draw_topography(self.patterns.patterns_[number], self.info, ax)
            self.images_.append(image)
            ax.set_title(_caption(table.loc[number]), fontsize="small")
            bar = figure.colorbar(image, ax=ax, orientation="horizontal", shrink=0.75, aspect=14, pad=0.02)
            bar.ax.tick_params(labelsize="x-small")
            bar.set_label("µV", size="x-small", labelpad=1)
            bar.ax.locator_params(nbins=3)
        note = ""
        if "effect" in table:
            first, second = names_of(self.patterns.classes)
            note = f"d > 0: more power in {second}{' ' if n_columns > 3 else chr(10)}than in {first}"
        figure.suptitle("\n".join(filter(None, [self.title, note])), fontsize="medium", parse_math=False)
        return self


def _caption(row):
    low, high = row["low"], row["high"]
    lines = [f"filter {row['filter']:g}, row {row['row']:g}"]
    if np.isfinite(low):
        lines.append(f"{low:.1f}–{high:.1f} Hz")
    if "effect" in row:
        lines.append(f"d = {row['effect']:+.2f}")
    elif "eta2" in row:
        lines.append(f"η² = {row['eta2']:.2f}")
    return "\n".join(lines)
