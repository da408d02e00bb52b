"""The linear components that decoders begin with: spatial filters, each behind a temporal filter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skeeg.inspection.spectra import magnitudes_of
from skeeg.preprocessing.references import geometry


class Components(NamedTuple):
    """Components of a decoder, each a spatial filter behind one temporal filter.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_components, n_chans)
        Weights of the channels that the decoder gets.
    filters, rows : ndarray of int, shape (n_components,)
        Index of the temporal filter of each, and of the spatial filter or virtual electrode.
    gains : callable
        Frequencies in cycles a sample, (n_freqs,) -> magnitude responses, (n_filters, n_freqs).
    bands : ndarray, shape (n_filters, 2), or None
        Bands in Hz where the decoder is not what filters; None: those of ``gains``.
    """

    weights: np.ndarray
    filters: np.ndarray
    rows: np.ndarray
    gains: object
    bands: np.ndarray | None


def components_of(rest, view):
    """Get the components of a decoder.

    Parameters
    ----------
    rest : list of estimators
        What is left of a Pipeline behind its transformers of trials.
    view : View
        The trials that it gets.

    Returns
    -------
    Components

    Raises
    ------
    ValueError
        When it has no spatial filters.
    """
    for step in rest:
        if hasattr(step, "module_"):
            return _of_network(step, view)
        if hasattr(step, "filters_"):
            return _unfiltered(_spatial_filters(step), view)
        if type(step).__name__ == "MDM":
            return _unfiltered(_of_means(step), view)
        if type(step).__name__ == "TangentSpace":
            return _unfiltered(_of_tangent_space(step, rest[-1]), view)
    last = type(rest[-1]).__name__ if rest else "the estimator"
    raise ValueError(
        f"{last} has no spatial filters that could be drawn: skeeg's networks have, networks of your own "
        "that define temporal_response and spatial_weights, skeeg.baselines, and Pipelines with CSP. "
        "skeeg.inspection.find_importance says of any classifier which channels matter"
    )


def _unfiltered(weights, view):
    """Components of trials that were band-passed before."""
    n = len(weights)
    bands = np.array([view.band])
    return Components(weights, np.zeros(n, int), np.arange(n), lambda f: np.ones((1, len(f))), bands)


def _spatial_filters(step):
    """Spatial filters in use, a row each, of pyRiemann's CSP and MNE's transformers."""
    filters = np.asarray(step.filters_, dtype=float)
    if filters.ndim != 2:
        raise ValueError(
            f"{type(step).__name__} has filters of shape {filters.shape}; (components, channels) can be drawn"
        )
    return filters[: getattr(step, "n_components", None) or len(filters)]


def _of_network(classifier, view):
    import torch

    module = classifier.module_
    if not (hasattr(module, "spatial_weights") and hasattr(module, "temporal_response")):
        raise ValueError(
            f"{type(module).__name__} has no temporal_response and spatial_weights, by which filters are "
            "found; define them as skeeg.modules.AttentionBaseNet does. skeeg.inspection.find_importance "
            "says of any classifier which channels matter"
        )
    if hasattr(module, "spt_attn_mode"):
        gates = classifier._forward(view.given.astype(np.float32), function="gates").mean(axis=0)
        weights = module.spatial_weights(torch.from_numpy(gates).to(classifier.device_))
    else:
        weights = module.spatial_weights()
    weights = weights.detach().cpu().numpy().astype(float)
    if classifier.channel_map_ is not None:
        weights = weights @ classifier.channel_map_
    used = np.abs(weights).max(axis=2) > 0
    rows, filters = np.nonzero(used)

    return Components(weights[rows, filters], filters, rows, magnitudes_of(module), None)


def _of_means(mdm):
    """Directions in which the mean of a class differs from that of all; of two classes one set."""
    from scipy.linalg import eigh

    mean_riemann = geometry("mean").mean_riemann
    means = np.asarray(mdm.covmeans_)
    middle = mean_riemann(means)
    filters = []
    for mean in means[1:] if len(means) == 2 else means:
        values, vectors = eigh(mean, middle)
        filters.append(vectors[:, np.argsort(-np.abs(np.log(values)))].T)
    return np.concatenate(filters)


def _of_tangent_space(space, linear):
    """Eigenvectors of the coefficients of each class, whitened as the tangent space is."""
    invsqrtm, unupper = geometry("base").invsqrtm, geometry("tangentspace").unupper
    if not hasattr(linear, "coef_"):
        raise ValueError(f"{type(linear).__name__} behind a TangentSpace has no coefficients to draw")
    whitening = invsqrtm(space.reference_)
    filters = []
    for coefficients in unupper(np.asarray(linear.coef_)):
        values, vectors = np.linalg.eigh(coefficients)
        filters.append((whitening @ vectors[:, np.argsort(-np.abs(values))]).T)
    return np.concatenate(filters)
