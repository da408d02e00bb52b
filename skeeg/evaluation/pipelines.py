"""The pipelines that a comparison knows by name."""

from functools import partial

from sklearn.pipeline import Pipeline, make_pipeline

from skeeg import (
    AttentionBaseNetClassifier,
    EuclideanAlignment,
    FBLightConvNetClassifier,
    Scaler,
    SincShallowNetClassifier,
    SSTDPNClassifier,
)
from skeeg.baselines import make_csp_lda, make_fbcsp_lda, make_mdm, make_tangent_space_lr
from skeeg.modules.attention import ATTENTION_BLOCKS


def _network(classifier, /, *, sfreq, random_state, max_epochs, **parameters):
    """Standardised channels, then the network with its defaults."""
    if max_epochs is not None:
        parameters["max_epochs"] = max_epochs
    return make_pipeline(
        Scaler(), classifier(sfreq=sfreq, random_state=random_state, verbose=0, **parameters)
    )


def _baseline(make, /, *, sfreq, random_state, max_epochs):
    """A baseline, which knows neither epochs nor chance."""
    return make(sfreq)


def _aligned(build, /, **settings):
    """The same pipeline after Euclidean alignment of each subject."""
    return Pipeline([("euclideanalignment", EuclideanAlignment()), *build(**settings).steps])


_PLAIN = {
    "csp-lda": partial(_baseline, make_csp_lda),
    "fbcsp-lda": partial(_baseline, make_fbcsp_lda),
    "mdm": partial(_baseline, make_mdm),
    "tangent-space-lr": partial(_baseline, make_tangent_space_lr),
    "sstdpn": partial(_network, SSTDPNClassifier),
    "attentionbasenet": partial(_network, AttentionBaseNetClassifier),
    "sincshallownet": partial(_network, SincShallowNetClassifier),
    "fblightconvnet": partial(_network, FBLightConvNetClassifier),
}
_MODES = {
    f"attentionbasenet:{mode}": partial(_network, AttentionBaseNetClassifier, attention_mode=mode)
    for mode in ATTENTION_BLOCKS
}

#: What is compared when nothing is chosen.
DEFAULT = tuple(_PLAIN)

#: Name -> builder(sfreq=, random_state=, max_epochs=) of an unfitted pipeline.
PIPELINES = _PLAIN | _MODES
PIPELINES |= {f"{name}+ea": partial(_aligned, build) for name, build in PIPELINES.items()}


def make_pipelines(names, *, sfreq, random_state=0, max_epochs=None):
    """Make the pipelines that a comparison knows by name.

    Parameters
    ----------
    names : iterable of str
        Keys of `PIPELINES`: "csp-lda", "fbcsp-lda", "mdm", "tangent-space-lr", "sstdpn",
        "attentionbasenet", "attentionbasenet:se" (and the other ten attention modes), "sincshallownet",
        "fblightconvnet"; with "+ea" at the end, after Euclidean alignment of each subject.
    sfreq : float
        Sampling rate in Hz.
    random_state : int, default=0
        Seed of the networks.
    max_epochs : int, default=None
        Epochs to train a network; None for its own default.

    Returns
    -------
    dict of str -> Pipeline
        Unfitted pipelines, in the order of `names`.

    Raises
    ------
    ValueError
        A name is unknown.

    Examples
    --------
    >>> from skeeg.evaluation.pipelines import make_pipelines
    >>> pipelines = make_pipelines(["csp-lda", "attentionbasenet:se+ea"], sfreq=250)
    >>> list(pipelines["attentionbasenet:se+ea"].named_steps)
    ['euclideanalignment', 'scaler', 'attentionbasenetclassifier']
    """
    unknown = [name for name in names if name not in PIPELINES]
    if unknown:
        raise ValueError(f"unknown pipeline {', '.join(unknown)}; choose from {', '.join(PIPELINES)}")
    settings = {"sfreq": sfreq, "random_state": random_state, "max_epochs": max_epochs}
    return {name: PIPELINES[name](**settings) for name in names}
