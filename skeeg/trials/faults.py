"""Trials and channels that hold no EEG: flat, clipped, far too loud, or a trigger among electrodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skeeg.trials.checks import warn_user
from skeeg.trials.reading import as_trials

# In 3,575 trials of 80 people (eegmmidb), 64 channels each, no range came near these.
FLAT = 1e-3  # range of a channel in a trial, as a share of its median over trials; at least 0.04 there
LOUD = 30  # ... at most 15, over people of all loudness
CLIPPED = 0.15  # share of samples at the largest, or the smallest, value; at most 0.08
ANOTHER_KIND = 1e3  # between channels; at most 7
STEPS = 0.9  # share of samples that repeat the one before; at most 0.6 in one trial
_FEW_VALUES = 8
_WHOLE = 2**10  # from here on float16 knows whole numbers only
_LOOKED_AT = 128  # samples of a trial in which repetitions are counted
_FEW_TIMES = 16  # in so short a trial, channels may be flat, clipped or rising by chance
_SHOWN = 5  # trials or channels that a message names


@dataclass(frozen=True)
class Faults:
    """Faulty trials and channels, see :func:`find_faults`.

    Attributes
    ----------
    flat, clipped, loud : ndarray of bool, shape (n_trials, n_chans)
        Channels that do not change in a trial, spend much of it at its largest or smallest value, or are
        over 30 times as loud as in other trials.
    trigger : ndarray of bool, shape (n_chans,)
        Channels of steps, of whole numbers where the others have fractions, or that only rise or fall: a
        trigger, or a counter.
    another_kind : ndarray of bool, shape (n_chans,)
        Channels a thousand times as loud as the others.
    ch_names : tuple of str or None
        Channel names.
    """

    flat: np.ndarray
    clipped: np.ndarray
    loud: np.ndarray
    trigger: np.ndarray
    another_kind: np.ndarray
    ch_names: tuple | None = None

    @property
    def channels(self):
        """Indices of channels to drop: triggers, another kind, or faulty in most of the trials."""
        return np.flatnonzero(self.trigger | self.another_kind | self._often(self.flat | self.clipped))

    @property
    def trials(self):
        """Indices of trials to drop: faulty in another channel than ``channels``."""
        return np.flatnonzero(self._elsewhere(self.flat | self.clipped | self.loud).any(axis=1))

    def _often(self, fault):
        of_channels = fault[fault.mean(axis=1) <= 0.5]  # where most channels are faulty, the trial is
        return (of_channels.mean(axis=0) >= 0.5) if len(of_channels) else np.zeros(fault.shape[1], dtype=bool)

    def _elsewhere(self, fault):
        fault = fault.copy()
        fault[:, self.channels] = False
        return fault

    def __bool__(self):
        return len(self.channels) + len(self.trials) > 0

    def __str__(self):
        flat, clipped = (self._often(fault) for fault in (self.flat, self.clipped))
        of_channels = (
            ("look like triggers or counters", self.trigger),
            ("are constant", flat & ~self.trigger),
            ("are clipped", clipped & ~flat & ~self.trigger),
            (f"are over {ANOTHER_KIND:g} times as loud as the others", self.another_kind & ~self.trigger),
        )
        parts = [f"channels {self._names(which)} {what}" for what, which in of_channels if which.any()]
        of_trials = (
            ("flat", self.flat),
            ("clipped", self.clipped),
            (f"over {LOUD} times as loud as in other trials", self.loud),
        )
        for what, fault in of_trials:
            fault = self._elsewhere(fault)
            everywhere = fault.sum(axis=1) == fault.shape[1] - len(self.channels)
            for trials in (fault.any(axis=1) & everywhere, fault.any(axis=1) & ~everywhere):
                if trials.any():
                    numbers = _few(np.flatnonzero(trials).tolist())
                    channels = self._names(fault[trials].any(axis=0))
                    where = "all channels" if everywhere[trials].all() else f"channels {channels}"
                    parts.append(f"in trials {numbers} of {len(fault)}, {where} are {what}")
        return "; ".join(parts)

    def _names(self, channels):
        indices = np.flatnonzero(channels).tolist()
        return _few(indices if self.ch_names is None else [self.ch_names[i] for i in indices])


def find_faults(X) -> Faults:
    """Find trials and channels that hold no EEG and harm what is trained on them.

    Parameters
    ----------
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials, before they are filtered: a filter takes steps and clipping away, and spreads them.

    Returns
    -------
    Faults
        False where nothing was found. ``trials`` and ``channels`` are to be dropped.

    See Also
    --------
    skeeg.datasets.summary : What trials are, in a table.
    skeeg.datasets.duplicate_trials : Trials that are there twice.

    Notes
    -----
    Meant to find what is broken and to leave alone what is only noisy: blinks, movement and people of
    different loudness are no faults. Trials of fewer than 16 samples are too short to tell.

    Estimators and transformers look for faults in ``fit`` and warn of them.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg import find_faults
    >>> X = np.random.default_rng(0).standard_normal((20, 3, 200))
    >>> bool(find_faults(X))
    False
    >>> X[7, 1] = 0
    >>> print(find_faults(X))
    in trials [7] of 20, channels [1] are flat
    >>> np.delete(X, find_faults(X).trials, axis=0).shape
    (19, 3, 200)
    """
    trials = as_trials(X, [np.float64, np.float32])
    return faults_of(trials.data, trials.ch_names)


def faults_of(data, ch_names=None):
    """Find the faults of checked trials, (n_trials, n_chans, n_times); see :func:`find_faults`."""
    n_trials, n_chans, n_times = data.shape
    ranges, at_limit, repeats, rises, whole = np.zeros((5, n_trials, n_chans))
    stride = max(1, n_times // _LOOKED_AT)
    for trial, values in enumerate(data):  # one at a time: copies stay small
        high, low = values.max(axis=1), values.min(axis=1)
        some, after = values[:, :-1:stride], values[:, 1::stride]
        ranges[trial] = high - low
        at_limit[trial] = np.maximum(*((some == limit[:, np.newaxis]).sum(axis=1) for limit in (high, low)))
        repeats[trial] = (some == after).sum(axis=1)
        rises[trial] = (some <= after).all(axis=1) | (some >= after).all(axis=1)
        whole[trial] = (some == np.rint(some)).all(axis=1) & (np.maximum(high, -low) < _WHOLE)

    at_limit /= max(1, some.shape[1])
    repeats /= max(1, some.shape[1])
    constant = (ranges == 0).all(axis=0) & (data[:, :, 0] == data[0, :, 0]).all(axis=0)
    if n_times < _FEW_TIMES:
        flat = np.broadcast_to(constant & (n_times > 1), ranges.shape)
        return Faults(flat, flat & False, flat & False, constant & False, constant & False, ch_names)
    typical = np.median(ranges, axis=0)
    flat = (ranges <= FLAT * typical) | (ranges == 0)
    loud = ranges > LOUD * np.where(typical > 0, typical, np.inf)
    clipped = (at_limit > CLIPPED) & (at_limit > 4 * np.median(at_limit)) & ~flat
    for trial, channel in np.argwhere(clipped & (ranges < 2 * typical)):
        # numbers of few digits repeat themselves
        clipped[trial, channel] = len(np.unique(data[trial, channel])) > _FEW_VALUES
    trigger = np.zeros(n_chans, dtype=bool)
    for sign in (repeats > STEPS, rises > 0, whole > 0):
        always = sign.all(axis=0) & ~constant
        if 2 * always.sum() <= n_chans:  # unlike the other channels
            trigger |= always
    alive = typical[typical > 0]
    another_kind = typical > ANOTHER_KIND * (np.median(alive) if len(alive) else np.inf)
    return Faults(flat, clipped, loud, trigger, another_kind, ch_names)


def warn_of_faults(data, ch_names=None):
    """Point out faulty trials and channels, where ``fit`` is called."""
    faults = faults_of(data, ch_names)
    if faults:
        ways = ("np.delete(X, faults.trials, axis=0), and of y", "np.delete(X, faults.channels, axis=1)")
        ways = [way for way, found in zip(ways, (faults.trials, faults.channels), strict=True) if len(found)]
        loud = (faults.loud | faults.clipped)[faults.trials].any()
        keep = '; baselines may keep loud and clipped trials, with covariance="sign"' if loud else ""
        warn_user(f"{faults}. To drop them: faults = skeeg.find_faults(X); {'; '.join(ways)}{keep}")


def _few(names):
    return f"{names}" if len(names) <= _SHOWN else f"{names[:_SHOWN]} and {len(names) - _SHOWN} more"
