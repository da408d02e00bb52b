"""From electrodes to the input of a decoder: what the steps of a Pipeline make of trials."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skeeg.preprocessing import (
    BandPass,
    Crop,
    EuclideanAlignment,
    MatchRecording,
    Resampler,
    Scaler,
)
from skeeg.trials import as_trials, open_trials, typical_scale, warn_user

_IN_TIME = (BandPass, Resampler, Crop)  # do to each channel the same, whatever the others are
_VOLTS = 1e-2  # in µV, the standard deviation of EEG is well above it, in V far below


class View(NamedTuple):
    """Trials as they are at the electrodes, and as a decoder gets them, sample by sample.

    Attributes
    ----------
    electrodes : ndarray of float64, shape (n_trials, n_electrodes, n_times)
        Trials in µV, filtered, resampled and cut as the decoder's are, but neither scaled nor mixed.
    given : ndarray of float64, shape (n_trials, n_chans, n_times)
        What the decoder gets.
    sfreq : float or None
        Sampling rate of both in Hz.
    ch_names : tuple of str or None
        Names of the electrodes.
    labels : ndarray or None
        Class of each trial, where X knows it.
    band : tuple of float
        Band in Hz that steps filtered them to; NaN where none did.
    """

    electrodes: np.ndarray
    given: np.ndarray
    sfreq: float | None
    ch_names: tuple | None
    labels: np.ndarray | None
    band: tuple

    def channel_map(self):
        """Matrix (n_chans, n_electrodes) that made ``given`` of ``electrodes``, in the mean over trials.

        Notes
        -----
        Least squares over all samples: exact for steps that do the same to every trial, the best single
        matrix for alignments that do not. Where electrodes are linearly dependent (an average reference),
        that of the smallest norm among those that make the same of these trials.
        """
        if self.electrodes is self.given:
            return np.eye(self.given.shape[1])
        electrodes, given = (_centred(trials) for trials in (self.electrodes, self.given))
        spread = electrodes.std(axis=(0, 2), keepdims=True)
        spread[spread == 0] = 1
        electrodes = electrodes / spread
        own = np.einsum("nct,ndt->cd", electrodes, electrodes, optimize=True)
        both = np.einsum("nct,ndt->cd", given, electrodes, optimize=True)
        return both @ np.linalg.pinv(own, rcond=1e-10, hermitian=True) / spread[0, :, 0]


def unpacked(estimator):
    """Steps of a fitted Pipeline, those of Pipelines within it too; a classifier alone is one step."""
    check_is_fitted(estimator)
    if isinstance(estimator, FrozenEstimator):
        return unpacked(estimator.estimator)
    if hasattr(estimator, "best_estimator_"):
        return unpacked(estimator.best_estimator_)
    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = []
    for _, step in estimator.steps:
        if isinstance(step, Pipeline):
            steps += unpacked(step)
        elif isinstance(step, BaseEstimator):
            steps.append(step.estimator if isinstance(step, FrozenEstimator) else step)
        elif step not in (None, "passthrough"):
            steps.append(step)
    return steps


def labels_of(y, known, n_trials, classes=None):
    """Get the labels of trials, those that X knows where y is None, checked against a classifier's.

    Parameters
    ----------
    y : array-like or None
        Labels that were given.
    known : ndarray or None
        Those that X knows.
    n_trials : int
        Number of trials.
    classes : ndarray or None, default=None
        Labels that the classifier tells apart; None where they are not known.

    Returns
    -------
    ndarray, shape (n_trials,)

    Raises
    ------
    ValueError
        When there are none, too few or too many, or others than the classifier's.
    """
    if y is None and known is None:
        raise ValueError("no labels are known: give y")
    y = np.asarray(known if y is None else y)
    if len(y) != n_trials:
        raise ValueError(f"y has {len(y)} labels, X has {n_trials} trials")
    classes = None if classes is None else np.asarray(classes).tolist()
    if classes is not None and (unknown := sorted(set(np.unique(y).tolist()) - set(classes), key=str)):
        raise ValueError(f"y has labels {unknown} that are not in {classes}")
    return y


def carry(steps, X, groups=None):
    """Take trials through the first steps of a Pipeline, as far as they are linear.

    Parameters
    ----------
    steps : list of estimators
        As of `unpacked`.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials, in µV (Epochs: any unit).
    groups : array-like, shape (n_trials,), default=None
        Subject of each trial, which alignments read.

    Returns
    -------
    view : View
        The trials.
    rest : list of estimators
        Steps that were not taken: the first of them is no transformer of trials.

    Raises
    ------
    ValueError
        When a transformer of trials is not linear, or not known to be, or trials are of another rate, montage
        or length than those of ``fit``.
    """
    trials = as_trials(X, dtype=[np.float64, np.float32])
    known = getattr(steps[0], "ch_names_", None)
    trials = trials.in_order_of(known)
    if trials.ch_names is None and known is not None and len(known) == trials.data.shape[1]:
        trials = trials._replace(ch_names=known)
    electrodes = trials.wrap(trials.data)
    scale = typical_scale(trials.data)
    if scale < _VOLTS and not any(_turns_volts(step) for step in steps):
        warn_user(
            f"the trials have a standard deviation of {scale:.2g}, as EEG in volts does: "
            "patterns are said in µV, and X is taken to be so"
        )
    given, names, band = electrodes, trials.ch_names, (np.nan, np.nan)
    while len(steps) > 1 or (steps and _is_linear(steps[0])):
        step = steps[0]
        if not _is_linear(step):
            if _takes_trials_further(step):
                raise ValueError(
                    f"what was learned cannot be carried back to the electrodes through {step!r}, which is "
                    "not known to be linear. Give the steps after it, pipeline[k:], and what it makes of X"
                )
            break
        steps = steps[1:]
        if isinstance(step, (BandPass, MatchRecording)):
            band = tuple(np.nan if edge is None else float(edge) for edge in (step.low, step.high))
        if isinstance(step, MatchRecording):
            names = electrodes.ch_names if getattr(electrodes, "ch_names", None) else step.ch_names
            every = clone(step).set_params(channels=list(names or ()), ch_names=names)
            same = given is electrodes
            given, electrodes = step.transform(given), every.transform(electrodes)
            if same and given.shape == electrodes.shape and np.array_equal(given, electrodes):
                given = electrodes
        elif isinstance(step, _IN_TIME) or _turns_volts(step):
            same = given is electrodes
            given = step.transform(given)
            electrodes = given if same else clone(step).fit(electrodes).transform(electrodes)
        elif isinstance(step, EuclideanAlignment):
            # a fitted copy: to look at a decoder that goes on learning must not teach it
            given = _not_updating(step).transform(given, groups=groups)
        else:
            given = step.transform(given)
    if steps and hasattr(steps[0], "module_"):  # raises where rate, channels or length are not those of fit
        steps[0]._recording.fitted_to(open_trials(given), type(steps[0]).__name__)
    same, names = given is electrodes, getattr(electrodes, "ch_names", None) or names
    found = np.asarray(electrodes, dtype=np.float64)
    return View(
        found,
        found if same else np.asarray(given, dtype=np.float64),
        getattr(electrodes, "sfreq", None),
        names,
        trials.labels,
        band,
    ), steps


def _is_linear(step):
    return isinstance(step, (*_IN_TIME, Scaler, EuclideanAlignment, MatchRecording))


def _turns_volts(step):
    return isinstance(step, Scaler) and step.method == "microvolt"


def _takes_trials_further(step):
    """Whether a step is a transformer of trials, of ours or unknown, rather than a part of a decoder."""
    from skeeg.preprocessing.base import TrialTransformer

    known = hasattr(step, "filters_") or hasattr(step, "module_")
    theirs = type(step).__module__.startswith(("pyriemann", "skeeg", "sklearn.pipeline"))
    return isinstance(step, TrialTransformer) or not (known or theirs)


def _not_updating(step):
    import copy

    step = copy.copy(step)
    step.update = False
    return step


def _centred(trials):
    return trials - trials.mean(axis=2, keepdims=True)
