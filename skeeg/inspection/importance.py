"""Importance for any classifier of trials: what a score loses when a part of the trials is taken."""

from __future__ import annotations

from itertools import pairwise, product
from numbers import Integral, Real

import numpy as np
import sklearn
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted

from skeeg.inspection.carrying import labels_of
from skeeg.inspection.electrodes import draw_topography, find_info
from skeeg.inspection.style import BLUE, figure_or_new, half_interval, open_frame
from skeeg.plain import counted
from skeeg.trials import EEGArray, as_trials, check_groups

#: Bands in Hz that ``by="band"`` takes away by default.
BANDS = {
    "delta": (0.0, 4.0),
    "theta": (4.0, 8.0),
    "mu": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
}
_SOFT_HERTZ, _SOFT_SECONDS = 1.0, 0.1  # over which bands and windows go from all to nothing


class Importance:
    """What a score loses without parts of the trials; made by `find_importance`.

    Attributes
    ----------
    table : DataFrame
        One row a part: ``part`` (its name; for ``by="band-time"`` also ``band`` and ``time``), ``score``
        (without it), ``lost`` (the score of whole trials less ``score``, mean over people), ``ci_low``,
        ``ci_high`` (95 % confidence interval of ``lost`` over people, Student's t) and ``n_people``.
    of_people : DataFrame, shape (n_people, n_parts)
        ``lost`` of each person.
    scores : Series, shape (n_people,)
        Score of each person's whole trials.
    by : str
        What was taken.
    ch_names : list of str or None
        Names of the channels.
    """

    def __init__(self, table, of_people, scores, by, ch_names):
        self.table, self.of_people, self.scores, self.by, self.ch_names = (
            table,
            of_people,
            scores,
            by,
            ch_names,
        )

    def __repr__(self):
        whole = f"score of whole trials: {self.scores.mean():.3f}, {len(self.scores)} people"
        return f"{whole}\n{self.table.to_string(index=False, float_format='{:.3f}'.format)}"


@validate_params(
    {
        "estimator": "no_validation",
        "X": "no_validation",
        "y": ["array-like", None],
        "groups": ["array-like", None],
        "by": [StrOptions({"channel", "band", "time", "band-time"})],
        "channels": [dict, None],
        "bands": ["array-like", dict, None],
        "n_windows": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"permutation", "occlusion"})],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "scoring": [str, callable, None],
        "sfreq": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def find_importance(
    estimator,
    X,
    y=None,
    groups=None,
    *,
    by="channel",
    channels=None,
    bands=None,
    n_windows=8,
    method="permutation",
    n_repeats=5,
    scoring=None,
    sfreq=None,
    random_state=0,
):
    """Measure what a fitted classifier's score loses without a channel, a band or a time.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        Any that predicts trials (n_trials, n_chans, n_times): skeeg's, a baseline, anyone's.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials of people that it was **not** trained on.
    y : array-like, shape (n_trials,), default=None
        Labels; those that X knows by default.
    groups : array-like, shape (n_trials,), default=None
        Person of each trial. Intervals are over people; of one person (the default) there is none.
    by : {"channel", "band", "time", "band-time"}, default="channel"
        What is taken: each channel, each of ``bands``, each of ``n_windows`` equal windows of time, or each
        band in each window.
    channels : dict of str -> list of str or int, default=None
        For ``by="channel"``: channels that are taken together, by names or indices; each alone by default.
    bands : dict of str -> (low, high), list of (low, high) or None, default=None
        Bands in Hz; `BANDS` by default, as far as the sampling rate reaches.
    n_windows : int, default=8
        Number of windows.
    method : {"permutation", "occlusion"}, default="permutation"
        "permutation" puts the part of another trial of the same person in its place, by a derangement of that
        person's trials: what is there looks like EEG, and tells nothing of the class. "occlusion" takes the
        part away, which leaves trials such as the classifier may never have seen.
    n_repeats : int, default=5
        How often trials are permuted; scores are means.
    scoring : str, callable or None, default=None
        scikit-learn's name of a scorer, or ``scorer(estimator, X, y)``; None is accuracy.
    sfreq : float, default=None
        Sampling rate in Hz of arrays; Epochs and :class:`skeeg.EEGArray` know theirs.
    random_state : int, RandomState instance or None, default=0
        Decides the permutations.

    Returns
    -------
    Importance

    Raises
    ------
    ValueError
        When channels or bands are not there, no labels or rate are known, labels are not the classifier's, a
        person has one trial, or one class where a score needs more.

    Notes
    -----
    Breiman (2001), "Random forests", Machine Learning 45:5-32, with parts of trials for columns of a table.
    A part is what a band-pass filter (edges 1 Hz wide, so that neighbouring bands add up to the whole), a
    window of time (edges 0.1 s wide) and the chosen channels leave: x - part(x) + part(x of another trial).

    Parts that say the same stand in for each other: a small loss does not mean that a part tells nothing, and
    what is lost without each of two channels does not add up. At the ends of trials, where it is unknown how
    they go on, a strong fast rhythm leaks a little into slow bands. Alignments that learn from the trials
    they are given see the changed trials.

    Examples
    --------
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import find_importance
    >>> X, y, metadata = make_motor_imagery(3, n_trials=40, n_chans=3, difficulty=0, random_state=0)
    >>> people = metadata["subject"].to_numpy()
    >>> csp = make_csp_lda().fit(X[people == 1], y[people == 1])
    >>> others = people != 1
    >>> importance = find_importance(csp, X[others], y[others], people[others])
    >>> sorted(importance.table.nlargest(2, "lost")["part"])
    ['C3', 'C4']
    """
    import pandas as pd

    check_is_fitted(estimator)
    trials = as_trials(X, dtype=[np.float64, np.float32])
    data = trials.data
    y = labels_of(y, trials.labels, len(data), getattr(estimator, "classes_", None))
    people = np.zeros(len(data), int) if groups is None else check_groups(groups, data)
    rate = trials.sfreq or sfreq
    parts = _parts(by, trials, channels, bands, n_windows, rate)
    random = check_random_state(random_state)
    names = np.unique(people)
    rows = {name: np.flatnonzero(people == name) for name in names.tolist()}
    if alone := [name for name, of_person in rows.items() if len(of_person) < 2]:
        raise ValueError(f"people {alone[:5]} have one trial each, of which no part can be exchanged")
    n_repeats = n_repeats if method == "permutation" else 1
    others = (
        [_others(rows, len(data), random) for _ in range(n_repeats)] if method == "permutation" else [None]
    )

    def score(changed):
        changed = EEGArray(changed, rate, trials.ch_names, tmin=trials.tmin)
        return _scores(estimator, changed, y, people, rows, scoring)

    whole = score(data)
    lost, filtered = {}, {}
    for label, (chosen, band, window) in parts.items():
        if band is not None and band not in filtered:
            filtered = {band: band_part(data, band, rate)}  # its windows follow each other
        part = _part(filtered.get(band, data), chosen, window, rate)
        found = []
        for order in others:
            changed = np.array(data)
            changed[:, chosen] -= part
            if order is not None:
                changed[:, chosen] += part[order]
            found.append(score(changed))
        lost[label] = whole - np.mean(found, axis=0)
    of_people = pd.DataFrame(lost, index=pd.Index(names, name="person"))
    table = _summary(of_people, whole.mean())
    if by == "band-time":
        of_part = pd.DataFrame([label.split(", ") for label in of_people], columns=["band", "time"])
        table = pd.concat([table["part"], of_part, table.drop(columns="part")], axis=1)
    scores = pd.Series(whole, index=of_people.index, name="score")
    return Importance(
        table, of_people, scores, by, None if trials.ch_names is None else list(trials.ch_names)
    )


def _summary(of_people, whole):
    """One row a part: mean over people with its interval."""
    import pandas as pd

    n_people = len(of_people)
    mean = of_people.mean(axis=0).to_numpy()
    half = half_interval(of_people.to_numpy())
    return pd.DataFrame(
        {
            "part": list(of_people.columns),
            "score": whole - mean,
            "lost": mean,
            "ci_low": mean - half,
            "ci_high": mean + half,
            "n_people": n_people,
        }
    )


def _others(rows, n_trials, random):
    """Another trial of the same person for each trial: nobody's part stays where it was."""
    order = np.empty(n_trials, int)
    for of_person in rows.values():
        circle = random.permutation(of_person)
        order[circle] = np.roll(circle, 1)
    return order


def _scores(estimator, X, y, people, rows, scoring):
    """Score of each person, all predicted at once as alignments by person need it."""
    if scoring is None:
        answers = np.asarray(predict_with_groups(estimator, X, people))
        return np.array([np.mean(answers[of_person] == y[of_person]) for of_person in rows.values()])
    scorer = get_scorer(scoring) if isinstance(scoring, str) else check_scoring(estimator, scoring)
    return np.array([scorer(estimator, X[of_person], y[of_person]) for of_person in rows.values()])


def predict_with_groups(estimator, X, groups):
    """Predict, and tell people apart where an alignment asks for it.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        The decoder.
    X : array-like, shape (n_trials, n_chans, n_times)
        Trials.
    groups : ndarray, shape (n_trials,)
        Person of each.

    Returns
    -------
    ndarray, shape (n_trials,)
    """
    with sklearn.config_context(enable_metadata_routing=True):
        asked = get_routing_for_object(estimator).consumes("predict", ["groups"])
        return estimator.predict(X, groups=groups) if asked else estimator.predict(X)


def _parts(by, trials, channels, bands, n_windows, sfreq):
    """{name: (indices of channels, band or None, window or None)}."""
    n_chans, n_times = trials.data.shape[1:]
    every = np.arange(n_chans)
    if by != "channel" and channels is not None:
        raise ValueError(f'channels= is read by by="channel", not by={by!r}')
    if by == "channel":
        names = list(trials.ch_names or range(n_chans))
        if channels is None:
            return {name: ([i], None, None) for i, name in enumerate(names)}
        return {label: (_indices(chosen, names, label), None, None) for label, chosen in channels.items()}
    if sfreq is None:
        raise ValueError("the sampling rate is not known: give sfreq, or X as Epochs or skeeg.EEGArray")
    windows = {}
    edges = np.linspace(0, n_times, n_windows + 1).round().astype(int)
    begin = trials.tmin or 0.0
    for first, last in pairwise(edges):
        windows[f"{begin + first / sfreq:.2f}–{begin + last / sfreq:.2f} s"] = (first, last)
    if by == "time":
        return {name: (every, None, window) for name, window in windows.items()}
    bands = _named(BANDS if bands is None else bands, sfreq, given=bands is not None)
    if by == "band":
        return {name: (every, band, None) for name, band in bands.items()}
    return {
        f"{name}, {when}": (every, band, window)
        for (name, band), (when, window) in product(bands.items(), windows.items())
    }


def _indices(chosen, names, label):
    places = range(len(names))
    unknown = [
        name for name in chosen if name not in names and not (isinstance(name, Integral) and name in places)
    ]
    if unknown or not len(chosen):
        raise ValueError(f"channels[{label!r}]: {unknown or 'none'} of the channels {names}")
    return [int(name) if name not in names else names.index(name) for name in chosen]


def _named(bands, sfreq, given):
    if not isinstance(bands, dict):
        bands = {f"{low:g}–{high:g} Hz": (low, high) for low, high in bands}
    if not given:
        bands = {f"{name} {low:g}–{high:g} Hz": (low, high) for name, (low, high) in bands.items()}
        return {name: band for name, band in bands.items() if band[1] <= sfreq / 2}
    for name, (low, high) in bands.items():
        if not 0 <= low < high <= sfreq / 2:
            raise ValueError(f"bands: {name!r} = ({low}, {high}) Hz is no band from 0 to {sfreq / 2:g} Hz")
    return bands


def _part(data, channels, window, sfreq):
    """What channels and a window leave of trials: (n_trials, len(channels), n_times)."""
    part = data[:, channels]
    if window is not None:
        part = part * _weights_of_window(window, part.shape[2], sfreq).astype(part.dtype)
    return part


def band_part(data, band, sfreq):
    """Get what of trials lies in a band; the parts of neighbouring bands add up.

    Parameters
    ----------
    data : ndarray, shape (n_trials, n_chans, n_times)
        Trials.
    band : (low, high)
        In Hz; from 0 means with the mean, to ``sfreq / 2`` with all above.
    sfreq : float
        Sampling rate in Hz.

    Returns
    -------
    ndarray, shape (n_trials, n_chans, n_times)
    """
    n_times = data.shape[2]
    n_mirrored = min(n_times - 1, round(sfreq))
    padded = np.pad(data, ((0, 0), (0, 0), (n_mirrored, n_mirrored)), mode="reflect")
    n = next_fast_len(padded.shape[2], real=True)
    frequencies = rfftfreq(n, 1 / sfreq)
    low, high = band
    gain = np.ones(len(frequencies)) if low <= 0 else _rising(frequencies, low, _SOFT_HERTZ)
    if high < sfreq / 2:
        gain = gain * (1 - _rising(frequencies, high, _SOFT_HERTZ))
    filtered = irfft(rfft(padded, n, axis=2) * gain, n, axis=2)
    return filtered[:, :, n_mirrored : n_mirrored + n_times].astype(data.dtype)


def _weights_of_window(window, n_times, sfreq):
    """1 within, 0 outside; the windows beside it take what it leaves."""
    first, last = window
    times = (np.arange(n_times) + 0.5) / sfreq
    begin = np.ones(n_times) if first == 0 else _rising(times, first / sfreq, _SOFT_SECONDS)
    return begin if last == n_times else begin * (1 - _rising(times, last / sfreq, _SOFT_SECONDS))


def _rising(x, edge, width):
    """Half a cosine from 0 to 1, in the middle at an edge."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip((x - edge) / width + 0.5, 0, 1))


class ImportanceDisplay:
    """What a score loses without each part, with its interval over people.

    Parameters
    ----------
    importance : Importance
        As of `find_importance`.
    info : mne.Info or None
        Positions of electrodes, for a topography beside the bars of channels; None draws none.
    title : str, default=""
        Title of the figure.

    Attributes
    ----------
    importance : Importance
        The numbers.
    figure_ : matplotlib Figure
        The figure.
    axes_ : list of matplotlib Axes
        Axes drawn on.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import ImportanceDisplay
    >>> X, y, metadata = make_motor_imagery(n_subjects=3, n_trials=20, n_chans=5, random_state=0)
    >>> first = (metadata["subject"] == 1).to_numpy()
    >>> csp = make_csp_lda().fit(X[first], y[first])
    >>> people = metadata["subject"][~first]
    >>> held_out = X[~first], y[~first], people
    >>> display = ImportanceDisplay.from_estimator(csp, *held_out, by="band", figure=Figure())
    >>> len(display.importance.table)
    5
    """

    def __init__(self, importance, info=None, *, title=""):
        self.importance, self.info, self.title = importance, info, title

    @classmethod
    def from_estimator(cls, estimator, X, y=None, groups=None, *, info=None, title="", figure=None, **how):
        """Measure and draw what a fitted classifier's score loses.

        Parameters
        ----------
        estimator, X, y, groups
            As of `find_importance`.
        info : mne.Info, default=None
            Positions of the electrodes; by their names in the standard 10-05 montage by default.
        title : str, default=""
            Title of the figure.
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.
        **how
            ``by`` and the other arguments of `find_importance`.

        Returns
        -------
        ImportanceDisplay
        """
        importance = find_importance(estimator, X, y, groups, **how)
        if importance.by == "channel" and how.get("channels") is None and len(importance.table) > 1:
            info = find_info(info, importance.ch_names, len(importance.table))
        else:
            info = None
        return cls(importance, info, title=title).plot(figure=figure)

    def plot(self, figure=None):
        """Draw the figure.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        ImportanceDisplay
        """
        figure = figure_or_new(figure)
        self.figure_ = figure
        figure.set_layout_engine("constrained")
        if self.importance.by == "band-time":
            self._draw_grid(figure)
        else:
            self._draw_bars(figure)
        whole = 100 * self.importance.scores.mean()
        note = f"whole trials: {whole:.1f} points, {counted(len(self.importance.scores), 'person')}"
        figure.suptitle("\n".join(filter(None, [self.title, note])), fontsize="medium", parse_math=False)
        return self

    def _draw_bars(self, figure):
        table = self.importance.table
        n_parts = len(table)
        if self.importance.by == "channel":
            table = table.nlargest(15, "lost")
        rows = np.arange(len(table))[::-1]
        height = 1.3 + 0.24 * max(5, len(table))
        if self.info is not None:
            figure.set_size_inches(6.6, max(3.2, height))
            scalp, ax = figure.subplots(1, 2, width_ratios=[1, 1.1])
            lost = 100 * self.importance.table["lost"].to_numpy()
            image = draw_topography(lost, self.info, scalp)
            bar = figure.colorbar(image, ax=scalp, orientation="horizontal", shrink=0.8)
            bar.set_label("Score lost (points)")
            self.axes_ = [scalp, ax]
        else:
            figure.set_size_inches(5.2, height)
            ax = figure.subplots()
            self.axes_ = [ax]
        mean = 100 * table["lost"].to_numpy()
        ends = 100 * table[["ci_low", "ci_high"]].to_numpy().T
        whiskers = np.nan_to_num(np.abs(ends - mean))
        if len(table) < n_parts:
            ax.set_ylabel(f"{len(table)} of {n_parts} channels, by what they cost", fontsize="small")
        ax.barh(rows, mean, color=BLUE, alpha=0.35, height=0.7)
        ax.errorbar(mean, rows, xerr=whiskers, fmt="o", color=BLUE, ms=4, capsize=2, lw=1.2)
        ax.axvline(0, color="0.3", lw=0.8)
        ax.set_yticks(rows, [str(part) for part in table["part"]], fontsize="small", parse_math=False)
        interval = ", 95 % CI over people" if np.isfinite(ends).all() else ""
        ax.set(xlabel=f"Score lost (points){interval}", ylim=(-0.6, len(table) - 0.4))
        open_frame(ax)

    def _draw_grid(self, figure):
        table = self.importance.table
        grid = table.pivot(index="band", columns="time", values="lost")
        grid = 100 * grid.loc[table["band"].unique(), table["time"].unique()]
        limit = float(np.abs(grid.to_numpy()).max()) or 1.0
        figure.set_size_inches(1.9 + 0.62 * grid.shape[1], 1.7 + 0.42 * grid.shape[0])
        ax = figure.subplots()
        self.axes_ = [ax]
        image = ax.pcolormesh(grid.to_numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_yticks(np.arange(grid.shape[0]) + 0.5, grid.index, fontsize="small", parse_math=False)
        edges = [time.split("–")[0] for time in grid.columns] + [grid.columns[-1].split("–")[1].split()[0]]
        ax.set_xticks(np.arange(grid.shape[1] + 1), edges, fontsize="small", rotation=45)
        ax.set_xlabel("Time (s)")
        figure.colorbar(image, ax=ax, label="Score lost (points)")
