"""The pipelines that a comparison knows by name."""

from functools import partial

from sklearn.pipeline import make_pipeline

from skeeg.estimators.attention_base_net import AttentionBaseNetClassifier
from skeeg.estimators.fb_light_conv_net import FBLightConvNetClassifier
from skeeg.estimators.sinc_shallow_net import SincShallowNetClassifier
from skeeg.estimators.sstdpn import SSTDPNClassifier
from skeeg.modules.attention import ATTENTION_BLOCKS
from skeeg.preprocessing import EuclideanAlignment, Scaler


def _network(classifier, /, *, aligned=False, sfreq, random_state, max_epochs, **parameters):
    """Standardised channels, of aligned trials if so, and the network with its defaults."""
    if max_epochs is not None:
        parameters["max_epochs"] = max_epochs
    alignment = [EuclideanAlignment()] if aligned else []
    network = classifier(sfreq=sfreq, random_state=random_state, verbose=0, **parameters)
    return make_pipeline(*alignment, Scaler(), network)


def _baseline(make, /, *, aligned=False, sfreq, random_state, max_epochs):
    """A baseline, which knows neither epochs nor chance; it aligns its band-passed trials."""
    from skeeg import baselines  # loads MNE and pyRiemann

    return getattr(baselines, make)(sfreq, recenter=aligned)


_PLAIN = {
    "csp-lda": partial(_baseline, "make_csp_lda"),
    "fbcsp-lda": partial(_baseline, "make_fbcsp_lda"),
    "mdm": partial(_baseline, "make_mdm"),
    "tangent-space-lr": partial(_baseline, "make_tangent_space_lr"),
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
PIPELINES |= {f"{name}+ea": partial(build, aligned=True) for name, build in PIPELINES.items()}


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
    >>> from skeeg.evaluation import make_pipelines
    >>> pipelines = make_pipelines(["csp-lda", "attentionbasenet:se+ea"], sfreq=250)
    >>> list(pipelines["attentionbasenet:se+ea"].named_steps)
    ['euclideanalignment', 'scaler', 'attentionbasenetclassifier']
    """
    unknown = [name for name in names if name not in PIPELINES]
    if unknown:
        raise ValueError(f"unknown pipeline {', '.join(unknown)}; choose from {', '.join(PIPELINES)}")
    settings = {"sfreq": sfreq, "random_state": random_state, "max_epochs": max_epochs}
    return {name: PIPELINES[name](**settings) for name in names}
