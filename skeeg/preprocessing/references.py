"""References to align by: means of covariances, in two geometries, and what is seen trial by trial.

The functions that follow trials change nothing: they give what is seen after a trial, and leave it to the
caller to keep that or not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RECENT_TRIALS = 5  # that tell a change of the electrodes, which lasts, from an artefact
_FEW = 3  # of them say what is usual


class Euclidean:
    """Arithmetic means of the plain covariance of each trial."""

    @staticmethod
    def covariances(data):
        """Get the covariance of each trial (n_trials, n_chans, n_times), in float64."""
        return np.stack([trial @ trial.T / trial.shape[1] for trial in data.astype(np.float64)])

    @staticmethod
    def mean(covariances):
        """Get the mean of covariances."""
        return np.mean(covariances, axis=0)

    @staticmethod
    def means_of_trials(data, rows_of_groups):
        """Get the mean covariance of each group of trials."""
        for rows in rows_of_groups:
            total = np.zeros((data.shape[1], data.shape[1]))
            for row in rows:  # one at a time: the float64 copy stays small
                trial = data[row].astype(np.float64)
                total += trial @ trial.T
            yield total / (len(rows) * data.shape[2])

    @staticmethod
    def between(one, other, share):
        """Go from one covariance towards another, that share of the way."""
        return one + share * (other - one)


class Riemannian:
    """Riemannian means, by pyRiemann, of the covariance of each trial, its correlations shrunk (OAS)."""

    @staticmethod
    def covariances(data):
        """Get the covariance of each trial (n_trials, n_chans, n_times), in float64; zero of silent ones."""
        return np.concatenate([_shrunk(data[i : i + 32]) for i in range(0, len(data), 32)])

    @staticmethod
    def mean(covariances):
        """Get the mean of covariances; those of silent trials tell nothing."""
        telling = covariances.any(axis=(1, 2))
        return geometry("mean").mean_riemann(covariances[telling]) if telling.any() else covariances[0]

    @staticmethod
    def means_of_trials(data, rows_of_groups):
        """Get the mean covariance of each group of trials."""
        covariances = Riemannian.covariances(data)
        return (Riemannian.mean(covariances[rows]) for rows in rows_of_groups)

    @staticmethod
    def between(one, other, share):
        """Go from one covariance towards another, that share of the way."""
        return geometry("geodesic").geodesic_riemann(one, other, share)


def _shrunk(data):
    from pyriemann.estimation import Covariances

    data = data.astype(np.float64)
    scale = data.std(axis=2, keepdims=True)
    # Shrinking trials as they are would draw weak channels to the power of strong ones.
    scale = np.maximum(scale, 1e-6 * scale.max(axis=1, keepdims=True))  # a flat channel has a little
    data /= np.where(scale > 0, scale, 1)
    return scale * Covariances("oas").transform(data) * scale.transpose(0, 2, 1)


def geometry(room):
    """Get a room of pyRiemann's functions of covariances, by its present name."""
    from importlib import import_module

    try:
        return import_module(f"pyriemann.geometry.{room}")
    except ImportError:  # before pyRiemann 0.12
        return import_module(f"pyriemann.utils.{room}")


def whitening(covariance):
    """Get the inverse square root of a covariance, on the space that it spans.

    Parameters
    ----------
    covariance : ndarray, shape (n_chans, n_chans)
        Symmetric, positive semi-definite.

    Returns
    -------
    ndarray of float64, shape (n_chans, n_chans)
        The matrix that gives data of this covariance the identity as theirs; directions of less than 1e-10
        of the largest power become zero.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    spanned = eigenvalues > 1e-10 * eigenvalues[-1]
    eigenvectors = eigenvectors[:, spanned]
    return (eigenvectors / np.sqrt(eigenvalues[spanned])) @ eigenvectors.T


class Seen(NamedTuple):
    """What is kept of the trials seen so far.

    Attributes
    ----------
    n_trials : int
        Trials in the mean.
    mean : ndarray, shape (n_chans, n_chans)
        Mean of their covariances.
    levels : ndarray, shape (n_chans,)
        Mean logarithm of the power of each channel.
    recent : ndarray, shape (n_recent, n_chans, n_chans)
        Covariances of the last trials, those left out of the mean among them.
    """

    n_trials: int
    mean: np.ndarray
    levels: np.ndarray
    recent: np.ndarray

    @classmethod
    def nothing(cls, n_chans):
        """Get what is seen before the first trial."""
        return cls(0, np.zeros((n_chans, n_chans)), np.zeros(n_chans), np.zeros((0, n_chans, n_chans)))


def take_in(seen, covariance, geometry, outlier_ratio):
    """Take in a trial.

    Parameters
    ----------
    seen : Seen
        What was seen before.
    covariance : ndarray, shape (n_chans, n_chans)
        Covariance of the trial.
    geometry : Euclidean or Riemannian
        How means are taken.
    outlier_ratio : float or None
        The trial is left out of the mean where the power of a channel is more than so many times more or
        less than was usual. None takes in every trial.

    Returns
    -------
    after : Seen
        What is seen now. Where the last trials as a whole have another power (by the square root of
        ``outlier_ratio``), electrodes have changed, and only those trials are in the mean.
    n_trials, mean
        What the trial is to be aligned by: those of ``after``; of a trial that is left out, itself.
    """
    if not covariance.any():  # a silent trial tells nothing
        return seen, seen.n_trials, seen.mean
    levels = _levels(covariance)
    recent = np.concatenate([seen.recent, covariance[np.newaxis]])[-RECENT_TRIALS:]
    if seen.n_trials and outlier_ratio is not None:
        far = np.log(outlier_ratio)
        recent_levels = _levels(recent)
        usual = np.median(recent_levels, axis=0)
        near = np.abs(recent_levels - usual).max(axis=1) <= far / 2
        if len(recent) >= _FEW and near.any() and np.abs(usual - seen.levels).max() > far / 2:
            mean = geometry.mean(recent[near])
            after = Seen(int(near.sum()), mean, recent_levels[near].mean(axis=0), recent)
            return after, after.n_trials, after.mean
        if np.abs(levels - seen.levels).max() > far:
            return seen._replace(recent=recent), 1, covariance
    n_trials = seen.n_trials + 1
    mean = covariance if n_trials == 1 else geometry.between(seen.mean, covariance, 1 / n_trials)
    after = Seen(n_trials, mean, seen.levels + (levels - seen.levels) / n_trials, recent)
    return after, n_trials, mean


def _levels(covariance):
    """Logarithm of the power of each channel, of one covariance or several."""
    power = np.diagonal(covariance, axis1=-2, axis2=-1)
    return np.log(np.maximum(power, np.finfo(np.float64).tiny))


def with_prior(prior, weight, n_trials, mean, geometry, outlier_ratio):
    """Get the reference of a group of which little has been seen: its mean drawn towards a prior.

    Parameters
    ----------
    prior : ndarray, shape (n_chans, n_chans)
        Reference of before.
    weight : float
        How many trials it counts as.
    n_trials, mean
        What was seen.
    geometry : Euclidean or Riemannian
        How means are taken.
    outlier_ratio : float or None
        As of :func:`take_in`.

    Returns
    -------
    ndarray, shape (n_chans, n_chans)
    """
    if n_trials == 0:
        return prior
    if weight == 0 or not prior.any():
        return mean
    return geometry.between(mean, _of_power(prior, mean, outlier_ratio), weight / (weight + n_trials))


def _of_power(prior, mean, outlier_ratio):
    """Give a prior the power of a mean, whatever unit and amplifier it is from.

    All channels are scaled alike, by what is usual of them: how power lies over the head is what the prior
    knows. A channel that is out of that by more than the square root of ``outlier_ratio``, as people are not
    but electrodes are, comes that near.
    """
    gains = _levels(mean) - _levels(prior)
    usual = np.median(gains)
    if outlier_ratio is not None:
        beyond = np.abs(gains - usual) - np.log(outlier_ratio) / 2
        usual = usual + np.sign(gains - usual) * np.maximum(beyond, 0)
    amplitudes = np.exp(np.clip(usual, -100, 100) / 2)  # a flat channel's are no numbers
    return prior * np.multiply.outer(amplitudes, amplitudes)
