"""Shortcut audit: how much of a score may come from eyes, slow drifts, responses, one person or the order."""

from __future__ import annotations

import warnings

import numpy as np
import sklearn
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, check_cv
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import get_routing_for_object

from skeeg.inspection.carrying import labels_of
from skeeg.inspection.importance import band_part, predict_with_groups
from skeeg.inspection.style import BLUE, GREEN, VERMILION, figure_or_new, half_interval, open_frame
from skeeg.trials import EEGArray, as_trials, channel_key, check_groups

SLOW = (0.0, 4.0)  # Hz: what eyes and electrodes do
_OCULAR = ("fp", "af", "nz", "eog", "veog", "heog")
_BESIDE_THE_EYES = {"f5", "f6", "f7", "f8", "f9", "f10"}


class Audit:
    """What a shortcut audit found; made by `audit`.

    Attributes
    ----------
    table : DataFrame
        One row a shortcut: ``shortcut``; ``alone`` (score of the same pipeline, trained anew on this alone;
        of orders and people, what they alone would give), ``alone_low`` and ``alone_high`` (95 % confidence
        interval over people); ``lost`` (points that the score, 0 to 1, falls by when the test trials lose
        it), ``lost_low``, ``lost_high``; ``speaks`` (whether ``alone`` is above chance or ``lost`` above 0,
        by their intervals) and ``meant`` (one sentence).
    of_people : DataFrame
        Scores of each person: ``score``, and ``<shortcut>: alone`` or ``: without``.
    score : float
        Mean score over people, everything there.
    chance : float
        Share of the most frequent class.
    notes : list of str
        What could not be asked, and why; what is to be read with care.

    Examples
    --------
    See :func:`audit`.
    """

    def __init__(self, table, of_people, score, chance, notes):
        self.table, self.of_people, self.score, self.chance, self.notes = (
            table,
            of_people,
            score,
            chance,
            notes,
        )

    def __repr__(self):
        def interval(row, name):
            if np.isnan(row[name]):
                return "–"
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            return f"{100 * row[name]:.1f}" + (
                "" if np.isnan(low) else f" [{100 * low:.1f}, {100 * high:.1f}]"
            )

        rows = [("shortcut", "alone, %", "lost without, points", "speaks")]
        for _, row in self.table.iterrows():
            said = "yes" if row["speaks"] else "no"
            rows.append((row["shortcut"], interval(row, "alone"), interval(row, "lost"), said))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        head = (
            f"score {100 * self.score:.1f} %, chance {100 * self.chance:.1f} %, {len(self.of_people)} people"
        )
        return "\n".join([head, "", *(line.rstrip() for line in lines), *(f"note: {n}" for n in self.notes)])


def audit(
    estimator,
    X,
    y=None,
    groups=None,
    *,
    metadata=None,
    ocular=None,
    response=None,
    cv=5,
    sfreq=None,
    n_jobs=None,
    random_state=0,
):
    """Ask how much of a score may come from eyes, slow drifts, responses, one person or the order of trials.

    The pipeline is trained and tested on other people as it is, and again on each suspected shortcut alone;
    and tested with the shortcut taken from the test trials (replaced by that of another trial of the same
    person).

    Parameters
    ----------
    estimator : classifier or Pipeline
        It is cloned, and trained in each fold.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials of several people, each person's in the order of time; unfiltered trials tell most.
    y : array-like, shape (n_trials,), default=None
        Labels; those that X knows by default.
    groups : array-like, shape (n_trials,), default=None
        Person of each trial; the column ``subject`` of ``metadata`` by default.
    metadata : DataFrame, shape (n_trials, ...), default=None
        With columns ``session`` and ``run``, if there are, it is asked whether labels follow them.
    ocular : list of str, default=None
        Channels that see the eyes; Fp*, AF*, F5 to F10 and EOG by default.
    response : float, default=None
        Time of the response in seconds after the cue, if there was one: what comes after it is a shortcut.
    cv : int or splitter, default=5
        Folds; an int makes that many by whole people.
    sfreq : float, default=None
        Sampling rate in Hz of arrays; Epochs and :class:`skeeg.EEGArray` know theirs.
    n_jobs : int, default=None
        Folds side by side, as in joblib.
    random_state : int, RandomState instance or None, default=0
        Decides which trial lends what is taken.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError
        When labels or people are unknown, there are fewer than two people or classes, a person has one trial,
        or metadata has not a row for each trial.

    Notes
    -----
    "Alone" and "lost" say different things. What a pipeline can learn from a shortcut alone it need not use
    where better is there, and what is lost without it may be what it shares with the brain: frontal channels
    see the motor strip too, and movement-related potentials are slower than 4 Hz. A shortcut that speaks is a
    reason to look, not a verdict; one that speaks neither way is a relief. Of "the label before", a share far
    below chance means that classes alternate. At the ends of trials, where it is unknown how they go on,
    strong faster rhythms leak into what is under 4 Hz. Of sessions and runs it is asked whether labels follow
    them, not whether a classifier could tell them apart.

    Examples
    --------
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import audit
    >>> X, y, metadata = make_motor_imagery(n_subjects=3, n_trials=24, n_chans=5, random_state=0)
    >>> found = audit(make_csp_lda(), X, y, metadata=metadata)
    >>> found.table["shortcut"].tolist()
    ['under 4 Hz', 'the best person', 'labels by run', 'the label before']
    """
    import pandas as pd

    trials = as_trials(X, dtype=[np.float64, np.float32])
    data, y = trials.data, trials.labels if y is None else np.asarray(y)
    if groups is None and metadata is not None and "subject" in metadata:
        groups = np.asarray(metadata["subject"])
    if y is None or groups is None:
        raise ValueError("give " + " and ".join(["y"] * (y is None) + ["groups"] * (groups is None)))
    groups, y = check_groups(groups, data), labels_of(y, None, len(data))
    if metadata is not None and len(metadata) != len(data):
        raise ValueError(f"metadata has {len(metadata)} rows, X has {len(data)} trials; give each its row")
    people, counts = np.unique(groups, return_counts=True)
    if len(people) < 2:
        raise ValueError(
            "an audit tests on people that were not trained on: give trials of two people or more"
        )
    if len(np.unique(y)) < 2:
        raise ValueError(
            f"y has trials of {np.unique(y).tolist()} alone: an audit compares two classes or more"
        )
    if (counts < 2).any():
        alone = people[counts < 2][:5].tolist()
        raise ValueError(f"people {alone} have one trial each, of which no shortcut can be exchanged")
    rate = trials.sfreq or sfreq
    shortcuts, notes = _shortcuts(trials, rate, ocular, response)
    splitter = GroupKFold(min(cv, len(people))) if isinstance(cv, int) else check_cv(cv, y, classifier=True)
    folds = list(splitter.split(data, y, groups))
    seeds = check_random_state(random_state).randint(2**31, size=len(folds))
    if both := {name for train, test in folds for name in {*groups[train]} & {*groups[test]}}:
        notes.append(f"cv trains and tests on the same people, {len(both)} of {len(people)}: scores say less")
    known = (rate, trials.ch_names, trials.tmin)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of channels left out, and bands that are
        given = (estimator, data, known, y, groups, shortcuts)
        parts = Parallel(n_jobs)(
            delayed(_fold)(*given, train, test, seed)
            for (train, test), seed in zip(folds, seeds, strict=True)
        )
    right = {name: np.full(len(y), np.nan) for part in parts for name in part[0]}
    for (answers, failed), (_, test) in zip(parts, folds, strict=True):
        for name, is_right in answers.items():
            right[name][test] = is_right
        notes += [note for note in failed if note not in notes]
    frame = pd.DataFrame(right)
    of_people = frame.groupby(groups).mean()
    of_people.index.name = "person"
    chance = float(np.unique(y, return_counts=True)[1].max() / len(y))
    rows = [_row(name, of_people, chance, meant) for name, (_, _, meant) in shortcuts.items()]
    rows += _about_people_and_order(of_people, y, groups, metadata, chance)
    return Audit(pd.DataFrame(rows), of_people, float(of_people["score"].mean()), chance, notes)


def _shortcuts(trials, sfreq, ocular, response):
    """{name: (channels or None, what is left of trials, sentence)}, and what cannot be asked."""
    names, notes, found = trials.ch_names, [], {}
    if ocular is None and names is not None:
        keys = [channel_key(name) for name in names]
        ocular = [
            n
            for n, key in zip(names, keys, strict=True)
            if key.startswith(_OCULAR) or key in _BESIDE_THE_EYES
        ]
    elif ocular is not None and names is None:
        raise ValueError("ocular= names channels, and X knows no names: give Epochs or skeeg.EEGArray")
    if ocular and (absent := [name for name in ocular if name not in names]):
        raise ValueError(f"ocular: X has no channels {absent}; it has {list(names)}")
    if ocular and len(ocular) < len(names):
        chosen = [names.index(name) for name in ocular]
        found["ocular channels"] = (chosen, None, f"channels that see the eyes: {', '.join(ocular)}")
    else:
        why = (
            "no names of channels are known"
            if names is None
            else "there are none"
            if not ocular
            else "all are"
        )
        notes.append(f"ocular channels were not asked about: {why}")
    if sfreq is None:
        notes.append("slow activity and responses were not asked about: the sampling rate is not known")
        return found, notes
    found["under 4 Hz"] = (
        None,
        "slow",
        "gaze, blinks and drifts are slow; so are movement-related potentials",
    )
    notes.append("under 4 Hz: at the ends of trials strong faster rhythms leak into it")
    if response is not None:
        first = round((response - (trials.tmin or 0.0)) * sfreq)
        if not 0 < first < trials.data.shape[2]:
            raise ValueError(f"response={response} s is not within the trials")
        found["after the response"] = (None, first, f"samples from {response:g} s on")
    return found, notes


def _take(data, shortcut, sfreq):
    """What a shortcut is of trials: the same shape, zero elsewhere."""
    channels, what, _ = shortcut
    part = np.zeros_like(data)
    if channels is not None:
        part[:, channels] = data[:, channels]
    elif what == "slow":
        part = band_part(data, SLOW, sfreq)
    else:
        part[:, :, what:] = data[:, :, what:]
    return part


def _alone(data, known, shortcut):
    """Trials of a shortcut alone, as small as they can be."""
    sfreq, names, tmin = known
    channels, what, _ = shortcut
    if channels is not None:
        names = [names[i] for i in channels]
        return EEGArray(data[:, channels], sfreq, names, tmin=tmin)
    if what == "slow":
        return EEGArray(band_part(data, SLOW, sfreq), sfreq, names, tmin=tmin)
    return EEGArray(data[:, :, what:], sfreq, names, tmin=(tmin or 0.0) + what / sfreq)


def _fold(estimator, data, known, y, groups, shortcuts, train, test, seed):
    """Which test trials are predicted right, as they are, of each shortcut alone, and without it."""
    sfreq, names, tmin = known
    random = np.random.default_rng(seed)
    failed, answers = [], {}

    def fitted(X):
        with sklearn.config_context(enable_metadata_routing=True):
            routing = get_routing_for_object(estimator)
            asked = {"groups": groups[train]} if routing.consumes("fit", ["groups"]) else {}
            return clone(estimator).fit(X[train], y[train], **asked)

    whole = EEGArray(data, sfreq, names, tmin=tmin)
    decoder = fitted(whole)
    answers["score"] = predict_with_groups(decoder, whole[test], groups[test]) == y[test]
    others = np.arange(len(test))
    for person in np.unique(groups[test]):
        own = random.permutation(np.flatnonzero(groups[test] == person))
        others[own] = np.roll(own, 1)
    for name, shortcut in shortcuts.items():
        part = _take(data[test], shortcut, sfreq)
        without = EEGArray(data[test] - part + part[others], sfreq, names, tmin=tmin)
        answers[f"{name}: without"] = predict_with_groups(decoder, without, groups[test]) == y[test]
        try:
            alone = _alone(data, known, shortcut)
            answers[f"{name}: alone"] = (
                predict_with_groups(fitted(alone), alone[test], groups[test]) == y[test]
            )
        except (
            ValueError,
            np.linalg.LinAlgError,
        ) as error:  # a pipeline that takes all channels, or no slow ones
            failed.append(f"{name}: the pipeline cannot be trained on it alone ({str(error)[:100]})")
    return answers, failed


def _row(name, of_people, chance, meant):
    nothing = np.full(len(of_people), np.nan)
    alone = of_people.get(f"{name}: alone")
    alone = nothing if alone is None else alone.to_numpy()
    lost = (of_people["score"] - of_people[f"{name}: without"]).to_numpy()
    return _said(name, alone, lost, chance, meant)


def _said(name, alone, lost, chance, meant):
    """One row of the table; NaN for what has no meaning."""
    row = {"shortcut": name}
    for column, values in (("alone", alone), ("lost", lost)):
        mean, half = float(np.mean(values)), float(half_interval(np.atleast_1d(values)))
        row |= {column: mean, f"{column}_low": mean - half, f"{column}_high": mean + half}
    row["speaks"] = bool(row["alone_low"] > chance or row["lost_low"] > 0)
    row["meant"] = meant
    return row


def _about_people_and_order(of_people, y, groups, metadata, chance):
    """Rows about the share of one person, and about labels that follow runs or each other."""
    score = of_people["score"]
    best = score.idxmax()
    others = score.drop(best)
    row = _said(
        "the best person", np.nan, np.nan, chance, f"person {best}: the mean without them, and its interval"
    )
    half = half_interval(others.to_numpy())
    lost = float(score.mean() - others.mean())
    row |= {"alone": float(score[best]), "lost": lost}
    row["speaks"] = bool(score.mean() > chance and not others.mean() - half > chance)
    rows, people = [row], np.unique(groups)
    nothing = np.nan
    for column in ("run", "session"):
        if metadata is not None and column in metadata and len(np.unique(metadata[column])) > 1:
            where = np.asarray(metadata[column]).astype(str)
            if column == "run" and "session" in metadata:
                where = np.char.add(np.asarray(metadata["session"]).astype(str), np.char.add("/", where))
            follows = [_by_majority(y[groups == person], where[groups == person]) for person in people]
            meant = f"what the other labels of the {column} give: its drift would do for the label"
            rows.append(_said(f"labels by {column}", np.array(follows), nothing, chance, meant))
            break
    as_before = [np.mean(y[groups == person][1:] == y[groups == person][:-1]) for person in people]
    rows.append(
        _said("the label before", np.array(as_before), nothing, chance,
              "how often a trial has the label of the one before: blocks of one class let drifts speak")
    )  # fmt: skip
    return rows


def _by_majority(y, where):
    """How often the label that the other trials of its place have most is right; a tie counts as half."""
    right = 0.0
    for i in range(len(y)):
        beside = where == where[i]
        beside[i] = False
        labels, counts = np.unique(y[beside], return_counts=True)
        best = labels[counts == counts.max()] if len(counts) else []
        right += np.mean(best == y[i]) if len(best) else 0
    return right / len(y)


class AuditDisplay:
    """What shortcuts give alone, and what is lost without them.

    Parameters
    ----------
    audit : Audit
        As of `audit`.
    title : str, default=""
        Title of the figure.

    Attributes
    ----------
    audit : Audit
        The numbers.
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of matplotlib Axes
        Axes of ``alone`` and ``lost``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import AuditDisplay
    >>> X, y, metadata = make_motor_imagery(n_subjects=2, n_trials=20, n_chans=5, random_state=0)
    >>> display = AuditDisplay.from_estimator(make_csp_lda(), X, y, metadata=metadata, figure=Figure())
    >>> len(display.axes_)
    2
    """

    def __init__(self, audit, *, title=""):
        self.audit, self.title = audit, title

    @classmethod
    def from_estimator(cls, estimator, X, y=None, groups=None, *, title="", figure=None, **how):
        """Audit a pipeline, and draw what is found.

        Parameters
        ----------
        estimator, X, y, groups, **how
            As of `audit`.
        title : str, default=""
            Title of the figure.
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        AuditDisplay
        """
        return cls(audit(estimator, X, y, groups, **how), title=title).plot(figure=figure)

    def plot(self, figure=None):
        """Draw the figure.

        Parameters
        ----------
        figure : matplotlib Figure, default=None
            Empty figure to draw on; its size is set. None makes one.

        Returns
        -------
        AuditDisplay
        """
        figure = figure_or_new(figure)
        self.figure_, table = figure, self.audit.table
        figure.set_layout_engine("constrained")
        figure.set_size_inches(7.0, 1.7 + 0.38 * len(table))
        self.axes_ = figure.subplots(1, 2, sharey=True)
        rows = np.arange(len(table))[::-1]
        marks = []
        for ax, column in zip(self.axes_, ("alone", "lost"), strict=True):
            for place, (_, row) in zip(rows, table.iterrows(), strict=True):
                if np.isnan(row[column]):
                    continue
                low, high = np.nan_to_num([row[f"{column}_low"], row[f"{column}_high"]], nan=row[column])
                color = VERMILION if row["speaks"] else BLUE
                ax.plot([100 * low, 100 * high], [place, place], color=color, lw=1.8)
                ax.plot(100 * row[column], place, "D" if row["speaks"] else "o", color=color, ms=6)
            ax.grid(axis="x", color="0.92")
            open_frame(ax)
        marks.append(self.axes_[0].axvline(100 * self.audit.chance, color="0.3", ls="--", lw=1))
        marks.append(self.axes_[0].axvline(100 * self.audit.score, color=GREEN, lw=1.4))
        self.axes_[1].axvline(0, color="0.3", lw=1, ls="--")
        for color, shape in ((VERMILION, "D"), (BLUE, "o")):
            marks.append(self.axes_[0].plot([], [], shape, color=color, ms=6)[0])
        names = ["chance", "score", "speaks", "does not"]
        figure.legend(marks, names, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
        self.axes_[0].set_yticks(rows, table["shortcut"], fontsize="small")
        self.axes_[0].set(xlabel="Accuracy of it alone (%), 95 % CI", ylim=(-0.6, len(table) - 0.4))
        self.axes_[1].set(xlabel="Lost without it (points), 95 % CI")
        if self.title:
            figure.suptitle(self.title, fontsize="medium", parse_math=False)
        return self
