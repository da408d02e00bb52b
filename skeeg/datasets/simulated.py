"""Simulated motor imagery: rhythms of the sensorimotor strip in realistic noise."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.fft import irfft, next_fast_len, rfftfreq
from scipy.spatial.transform import Rotation
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from skeeg.trials import EEGArray

# The first n_chans of these are recorded: the hand and foot areas, the rest of the montage of BCI
# Competition IV 2a (22 channels), then what the 64-channel montage of BioSemi adds.
# fmt: off
_CHANNELS = (
    "C3", "C4", "Cz", "FC3", "FC4", "CP3", "CP4", "C5", "C6", "C1", "C2", "FCz", "CPz", "FC1", "FC2", "CP1",
    "CP2", "Fz", "Pz", "P1", "P2", "POz", "FC5", "FC6", "CP5", "CP6", "F3", "F4", "P3", "P4", "T7", "T8",
    "Oz", "O1", "O2", "F7", "F8", "P7", "P8", "Fp1", "Fp2", "AF3", "AF4", "PO3", "PO4", "F1", "F2", "P5",
    "P6", "F5", "F6", "FT7", "FT8", "TP7", "TP8", "PO7", "PO8", "AF7", "AF8", "Fpz", "AFz", "P9", "P10",
    "Iz",
)
# fmt: on

# Sources of the sensorimotor rhythms, by the electrodes above them.
_SOURCES = {"left hand": ("C4",), "right hand": ("C3",), "feet": ("Cz",), "face": ("C5", "C6")}

# How far imagining each movement suppresses the rhythm of each source (1: most; negative: enhanced).
# Hands contralaterally with a weaker ipsilateral part; feet and tongue enhance the idling hand areas
# (Pfurtscheller & Lopes da Silva 1999, "focal ERD, surround ERS").
_SUPPRESSION = {
    "left_hand": (1.0, 0.25, 0.0, 0.0),
    "right_hand": (0.25, 1.0, 0.0, 0.0),
    "feet": (-0.3, -0.3, 1.0, 0.0),
    "tongue": (-0.3, -0.3, 0.0, 1.0),
}


@validate_params(
    {
        "n_subjects": [Interval(Integral, 1, None, closed="left")],
        "n_trials": [Interval(Integral, 2, None, closed="left")],
        "n_classes": [Interval(Integral, 2, len(_SUPPRESSION), closed="both")],
        "n_chans": [Interval(Integral, 1, len(_CHANNELS), closed="both")],
        "sfreq": [Interval(Real, 60, None, closed="left")],
        "duration": [Interval(Real, 1, None, closed="left")],
        "n_sessions": [Interval(Integral, 1, None, closed="left")],
        "n_runs": [Interval(Integral, 1, None, closed="left")],
        "difficulty": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
        "return_sources": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def make_motor_imagery(
    n_subjects=4,
    n_trials=80,
    n_classes=2,
    n_chans=22,
    sfreq=125.0,
    duration=4.0,
    *,
    n_sessions=2,
    n_runs=2,
    difficulty=0.5,
    random_state=None,
    return_sources=False,
) -> tuple[Any, ...]:
    """Simulate EEG of people who imagine movements.

    Parameters
    ----------
    n_subjects : int, default=4
        Number of people.
    n_trials : int, default=80
        Trials a person, over all sessions and runs; classes are balanced in each session.
    n_classes : {2, 3, 4}, default=2
        The first so many of "left_hand", "right_hand", "feet", "tongue".
    n_chans : int, default=22
        Number of electrodes of the 10-10 system, up to 64: 3 are C3, Cz and C4; 22 are those of BCI
        Competition IV 2a; 64 are BioSemi's.
    sfreq : float, default=125.0
        Sampling rate in Hz, at least 60.
    duration : float, default=4.0
        Length of a trial in seconds from the cue on, at least 1.
    n_sessions : int, default=2
        Sessions a person; between them, cap, skin and brain state change a little.
    n_runs : int, default=2
        Runs a session.
    difficulty : float, default=0.5
        0: every imagery suppresses its rhythm almost wholly; 1: not at all, classes cannot be told apart.
    random_state : int, RandomState instance or None, default=None
        Seed. Subjects do not depend on how many there are.
    return_sources : bool, default=False
        Give the true sources as well.

    Returns
    -------
    X : EEGArray of float32, shape (n_subjects * n_trials, n_chans, round(duration * sfreq))
        Trials in µV, in the order of subjects, sessions and runs.
    y : ndarray of str, shape (n_subjects * n_trials,)
        Imagined movement.
    metadata : DataFrame
        Columns ``subject``, ``session``, ``run``, counted from 1.
    sources : DataFrame, shape (n_subjects * 4, 4 + n_chans)
        With ``return_sources=True`` one row a source of a person: ``subject``, ``source`` ("left hand",
        "right hand", "feet", "face": what imagining it suppresses), ``mu`` and ``beta`` (its frequencies in
        Hz), then a column an electrode: what it gets of the source's mu rhythm, as a standard deviation in
        µV, in the mean over sessions.

    Raises
    ------
    ValueError
        When a parameter is out of its range, or there are fewer trials than classes or runs in a session.

    See Also
    --------
    load_motor_imagery : Real trials of ten people.

    Notes
    -----
    Every person has mu (8 to 13 Hz) and beta (17 to 25 Hz) rhythms of their own frequency, strength and
    place under the hand, foot and face areas; about half a second after the cue, imagery suppresses the
    rhythm contralateral to the hand, differently deep in every trial. Around them: occipital alpha, which
    tells nothing, spatially smooth 1/f background, white sensor noise, slow drifts, 50 Hz line noise
    (where ``sfreq`` can hold it), and in one trial of twenty a blink or a burst of muscle activity.

    Examples
    --------
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, metadata = make_motor_imagery(n_subjects=2, n_trials=10, n_chans=3, random_state=0)
    >>> X.shape, X.sfreq, X.ch_names
    ((20, 3, 500), 125.0, ('C3', 'Cz', 'C4'))
    >>> sorted(set(y.tolist()))
    ['left_hand', 'right_hand']
    """
    import pandas as pd

    if n_trials < n_sessions * max(n_classes, n_runs):
        raise ValueError(
            f"n_trials={n_trials} are too few for n_sessions={n_sessions} of n_runs={n_runs} with "
            f"n_classes={n_classes}: give at least {n_sessions * max(n_classes, n_runs)}"
        )
    positions = _electrode_positions()
    # In the order of the montage: left half, middle, right half.
    ch_names = [name for name in positions if name in _CHANNELS[:n_chans]]
    classes = list(_SUPPRESSION)[:n_classes]
    seeds = np.random.SeedSequence(check_random_state(random_state).randint(2**31)).spawn(n_subjects)
    X, y, rows, sources = [], [], [], []
    for subject, seed in enumerate(seeds, start=1):
        rng = np.random.default_rng(seed)
        person = _Person(rng, positions, ch_names, sfreq, round(duration * sfreq), difficulty)
        for session, trials in enumerate(np.array_split(np.arange(n_trials), n_sessions), start=1):
            labels = rng.permutation(np.resize(rng.permutation(classes), len(trials)))
            y.append(labels)
            X.append(person.record(labels))
            for run, in_run in enumerate(np.array_split(trials, n_runs), start=1):
                rows += [(subject, session, run)] * len(in_run)
        sources.append(person.described(subject))
    metadata = pd.DataFrame(rows, columns=["subject", "session", "run"])
    simulated = EEGArray(np.concatenate(X), sfreq, ch_names), np.concatenate(y), metadata
    return (*simulated, pd.concat(sources, ignore_index=True)) if return_sources else simulated


class _Person:
    """One brain: where its rhythms are, how strong, and how far imagery suppresses them."""

    def __init__(self, rng, positions, ch_names, sfreq, n_times, difficulty):
        self.rng, self.ch_names, self.sfreq, self.n_times = rng, ch_names, sfreq, n_times
        self.electrodes = np.array([positions[name] for name in ch_names])
        self.sources = {
            area: [_jittered(positions[name], 0.12, rng) for name in names]
            for area, names in _SOURCES.items()
        }
        self.occiput = _jittered(positions["Oz"], 0.15, rng)
        self.forehead = positions["Fpz"]
        self.mu, self.beta = rng.uniform(8.5, 12.5), rng.uniform(17, 25)
        # µV at the electrode above the source, one value a source.
        self.mu_strength = rng.uniform(4, 8) * rng.uniform(0.7, 1.3, len(_SOURCES))
        self.beta_strength = rng.uniform(1, 2.5) * rng.uniform(0.7, 1.3, len(_SOURCES))
        self.alpha_strength = rng.uniform(5, 15)
        self.slope = rng.uniform(0.9, 1.3)
        self.background = rng.uniform(5, 8)
        self.latency = rng.uniform(0.3, 0.7)
        self.depth = (1 - difficulty) * rng.uniform(0.75, 1.25)
        self.topographies = []  # of each session

    def record(self, labels):
        """Record one session: (n_trials,) labels -> (n_trials, n_chans, n_times) in µV."""
        rng, n_trials, n_chans = self.rng, len(labels), len(self.ch_names)
        shift = _rotation(rng.normal(0, 0.03, 3))  # the cap sits differently each time
        electrodes = self.electrodes @ shift
        areas = np.array(
            [sum(_spread(electrodes, place, 0.4) for place in places) for places in self.sources.values()]
        )

        # Rhythms of the sources: (n_trials, n_sources, n_times) -> mixed over the electrodes.
        gain = 1 - self._suppression(labels)
        rhythms = self.mu_strength[:, np.newaxis] * self._rhythm((n_trials, len(areas)), self.mu, 1.0)
        rhythms += self.beta_strength[:, np.newaxis] * self._rhythm((n_trials, len(areas)), self.beta, 2.5)
        X = areas.T @ (gain * rhythms)
        alpha = (
            self.alpha_strength * rng.uniform(0.5, 1.5, (n_trials, 1)) * self._rhythm((n_trials,), self.mu, 1)
        )
        X += _spread(electrodes, self.occiput, 0.6)[:, np.newaxis] * alpha[:, np.newaxis]

        # Background: as many independent 1/f sources as electrodes, smooth over the scalp.
        cosines = np.clip(electrodes @ electrodes.T, -1, 1)
        covariance = 0.8 * np.exp(-((np.arccos(cosines) / 0.9) ** 2)) + 0.2 * np.eye(n_chans)
        mixing = self.background * np.linalg.cholesky(covariance)
        X += np.einsum(
            "cd,ndt->nct", mixing, self._coloured((n_trials, n_chans), self._one_over_f), optimize=True
        )

        X += rng.standard_normal(X.shape, dtype=np.float32) * rng.uniform(0.5, 1.5, (n_chans, 1))
        X += self._drifts(n_trials, electrodes)
        if self.sfreq > 100:
            time = np.arange(self.n_times) / self.sfreq
            phase = rng.uniform(0, 2 * np.pi, (n_trials, 1, 1))
            X += rng.uniform(0, 2, (n_chans, 1)) * np.sin(2 * np.pi * 50 * time + phase)
        self._add_artefacts(X, electrodes)
        impedances = rng.uniform(0.85, 1.15, (n_chans, 1))
        X *= impedances
        self.topographies.append(self.mu_strength[:, np.newaxis] * areas * impedances[:, 0])
        return X.astype(np.float32)

    def described(self, subject):
        """The sources as a table, after recording."""
        import pandas as pd

        about = {"subject": subject, "source": list(_SOURCES), "mu": self.mu, "beta": self.beta}
        places = pd.DataFrame(np.mean(self.topographies, axis=0), columns=self.ch_names)
        return pd.concat([pd.DataFrame(about), places], axis=1)

    def _suppression(self, labels):
        """Share of amplitude that imagery takes off each source: (n_trials, n_sources, n_times)."""
        rng, n_trials = self.rng, len(labels)
        depth = self.depth * rng.uniform(0.3, 1.3, (n_trials, 1))
        target = np.clip(depth * np.array([_SUPPRESSION[label] for label in labels]), -0.5, 0.95)
        time = np.arange(self.n_times) / self.sfreq
        onset = self.latency + rng.normal(0, 0.1, (n_trials, 1))
        course = 1 / (1 + np.exp(-(time - onset) / 0.1))
        return target[:, :, np.newaxis] * course[:, np.newaxis]

    def _rhythm(self, shape, frequency, width):
        """Narrow-band noise of unit variance around a frequency: (*shape, n_times)."""
        return self._coloured(shape, lambda f: np.exp(-(((f - frequency) / width) ** 2) / 2))

    def _one_over_f(self, frequencies):
        # Flat under 1 Hz: slower activity comes with the drifts.
        return np.maximum(frequencies, 1) ** (-self.slope / 2) * (frequencies > 0)

    def _coloured(self, shape, amplitude):
        """Gaussian noise of unit variance with the given amplitude spectrum: (*shape, n_times)."""
        n = next_fast_len(self.n_times + int(self.sfreq), real=True)  # longer: no trial ends as it began
        spectrum = amplitude(rfftfreq(n, 1 / self.sfreq)).astype(np.float32)
        spectrum *= n / 2 / np.sqrt(np.square(spectrum).sum())
        real, imaginary = self.rng.standard_normal((2, *shape, len(spectrum)), dtype=np.float32)
        return irfft(spectrum * (real + 1j * imaginary), n)[..., : self.n_times]

    def _drifts(self, n_trials, electrodes):
        """Slow changes of up to some tens of µV: a line and half a wave, smooth over the scalp."""
        time = np.linspace(-1, 1, self.n_times)
        courses = np.stack([time, np.cos(np.pi * time / 2)])
        gradients = self.rng.normal(0, 6, (n_trials, 2, 3)) @ electrodes.T
        return gradients.transpose(0, 2, 1) @ courses

    def _add_artefacts(self, X, electrodes):
        time = np.arange(self.n_times) / self.sfreq
        for trial in np.flatnonzero(self.rng.random(len(X)) < 0.05):
            centre = self.rng.uniform(0, time[-1])
            if self.rng.random() < 0.5:  # a blink
                course = self.rng.uniform(80, 200) * np.exp(-(((time - centre) / 0.1) ** 2))
                X[trial] += np.outer(_spread(electrodes, self.forehead, 0.6), course)
            else:  # muscle: one electrode
                burst = np.exp(-(((time - centre) / 0.3) ** 2)) * self._coloured((), lambda f: f > 20)
                X[trial, self.rng.integers(len(electrodes))] += self.rng.uniform(10, 30) * burst


def _electrode_positions():
    """Directions of the 10-10 electrodes from the centre of the head: {name: unit vector}."""
    import mne

    places = mne.channels.make_standard_montage("biosemi64").get_positions()["ch_pos"]  # on a sphere
    return {name: place / np.linalg.norm(place) for name, place in places.items()}


def _spread(electrodes, place, width):
    """How much of a source reaches each electrode: a Gaussian of the angle between them, in radians."""
    angles = np.arccos(np.clip(electrodes @ place, -1, 1))
    return np.exp(-((angles / width) ** 2) / 2)


def _jittered(place, angle, rng):
    return place @ _rotation(rng.normal(0, angle, 3))


def _rotation(vector):
    return Rotation.from_rotvec(vector).as_matrix()
