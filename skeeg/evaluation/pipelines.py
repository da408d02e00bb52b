"""The pipelines that a comparison knows by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from skeeg.estimators.attention_base_net import AttentionBaseNetClassifier
from skeeg.estimators.fb_light_conv_net import FBLightConvNetClassifier
from skeeg.estimators.sinc_shallow_net import SincShallowNetClassifier
from skeeg.estimators.sstdpn import SSTDPNClassifier
from skeeg.evaluation.calibration import OwnTrials
from skeeg.modules.attention import ATTENTION_BLOCKS
from skeeg.persistence import Kept, learned
from skeeg.preprocessing import EuclideanAlignment, MatchRecording, RiemannianAlignment, Scaler
from skeeg.pretrained import load_pretrained
from skeeg.trials import open_trials


def _check_decoder(value, values):
    """Take a decoder as `load_pretrained` makes it."""
    steps = [type(step) for _, step in value.steps] if isinstance(value, Pipeline) else []
    if steps != [MatchRecording, EuclideanAlignment, AttentionBaseNetClassifier]:
        raise ValueError("is no decoder of the wheel")
    if not np.array_equal(value[-1].classes_, values["classes_"]):
        raise ValueError("has other classes")


class PretrainedClassifier(Kept, ClassifierMixin, BaseEstimator):
    """A decoder of the wheel among pipelines: ``fit`` trains nothing, or goes on from its weights.

    Without ``finetune`` it predicts unfitted, too.

    Parameters
    ----------
    name : str, default="left-right-hand"
        Task or decoder, see :func:`skeeg.pretrained.load_pretrained`; the channels of ``fit`` choose it.
    finetune : bool, default=False
        Train on from the decoder's weights.
    alignment : {"single", "causal", "together"}, default="causal"
        As of ``load_pretrained``; each group is a person.
    sfreq : float or None, default=None
        Sampling rate of arrays in Hz.
    max_epochs : int or None, default=None
        Epochs of fine-tuning; those of ``load_pretrained`` when None.
    random_state : int, RandomState instance or None, default=None
        Seed of fine-tuning.

    Attributes
    ----------
    decoder_ : Pipeline
        The decoder.
    classes_ : ndarray, shape (n_classes,)
        Its labels.

    Raises
    ------
    ValueError
        When no decoder fits the channels, or y has labels that the decoder does not know.
    """

    _learned = {"classes_": learned.labels, "decoder_": _check_decoder}

    __metadata_request__fit = {"groups": True}
    __metadata_request__predict = {"groups": True}
    __metadata_request__predict_proba = {"groups": True}

    def __init__(
        self,
        name="left-right-hand",
        *,
        finetune=False,
        alignment="causal",
        sfreq=None,
        max_epochs=None,
        random_state=None,
    ):
        self.name = name
        self.finetune = finetune
        self.alignment = alignment
        self.sfreq = sfreq
        self.max_epochs = max_epochs
        self.random_state = random_state

    def fit(self, X, y, groups=None):
        """Choose the decoder by the channels of X and, with ``finetune``, train on.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : array-like, shape (n_trials,)
            Labels, of the decoder's classes.
        groups : array-like, shape (n_trials,), optional
            Person of each trial.

        Returns
        -------
        self
        """
        decoder = self._choose(X)
        known = decoder[-1].classes_
        unknown = np.setdiff1d(y, known)
        if len(unknown):
            raise ValueError(
                f"y has labels {unknown.tolist()}; the decoder tells apart {known.tolist()}: call the labels "
                "so where they mean the same, or leave other trials out"
            )
        if self.finetune:
            recording, alignment, network = (step for _, step in decoder.steps)
            if self.max_epochs is not None:
                network.set_params(max_epochs=self.max_epochs)
            network.set_params(random_state=self.random_state, verbose=0)
            network.fit(alignment.fit_transform(recording.fit_transform(X), groups=groups), y)
        self.decoder_, self.classes_ = decoder, decoder[-1].classes_
        return self

    def _choose(self, X):
        return load_pretrained(
            self.name,
            ch_names=open_trials(X).ch_names,
            sfreq=self.sfreq,
            alignment=self.alignment,
            verbose=False,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.finetune  # a decoder as it is needs the channels alone
        return tags

    def predict(self, X, groups=None):
        """Get the most probable label of each trial.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials, in the order of time.
        groups : array-like, shape (n_trials,), optional
            Person of each trial; one when not given.

        Returns
        -------
        ndarray, shape (n_trials,)
            Labels.
        """
        proba = self.predict_proba(X, groups)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X, groups=None):
        """Get the probability of each class.

        Parameters
        ----------
        X, groups
            As in ``predict``.

        Returns
        -------
        ndarray, shape (n_trials, n_classes)
            Probabilities, columns in the order of ``classes_``.
        """
        if not self.finetune and not hasattr(self, "decoder_"):
            self.decoder_ = self._choose(X)
            self.classes_ = self.decoder_[-1].classes_
        check_is_fitted(self)
        recording, alignment, network = (step for _, step in self.decoder_.steps)
        return network.predict_proba(alignment.transform(recording.transform(X), groups=groups))


def _network(classifier, /, *, alignment=None, sfreq, random_state, max_epochs, **parameters):
    """Standardised channels, of aligned trials if so, and the network with its defaults."""
    if max_epochs is not None:
        parameters["max_epochs"] = max_epochs
    alignment = [] if alignment is None else [clone(alignment)]
    network = classifier(sfreq=sfreq, random_state=random_state, verbose=0, **parameters)
    return make_pipeline(*alignment, Scaler(), network)


def _baseline(make, /, *, alignment=None, sfreq, random_state, max_epochs):
    """A baseline, which knows neither epochs nor chance; it aligns its band-passed trials."""
    from skeeg import baselines  # loads MNE and pyRiemann

    return getattr(baselines, make)(sfreq, recenter=False if alignment is None else alignment)


def _pretrained(*, finetune, sfreq, random_state, max_epochs):
    """A decoder of the wheel; epochs to train from nothing are not its."""
    return PretrainedClassifier(finetune=finetune, sfreq=sfreq, random_state=random_state)


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

#: Decoders of the wheel, compared where the data are theirs to decode.
PRETRAINED = {
    "pretrained": partial(_pretrained, finetune=False),
    "pretrained+finetune": partial(_pretrained, finetune=True),
}

#: What a calibration compares when nothing is chosen: who trains on other people, and who does not.
CALIBRATION = ("csp-lda+ea", "tangent-space-lr+ea", "csp-lda+own", "attentionbasenet+own")

#: Name -> builder(sfreq=, random_state=, max_epochs=) of an unfitted pipeline.
PIPELINES = _PLAIN | _MODES
_ALIGNMENTS = {
    "+ea": EuclideanAlignment(),
    "+ea:causal": EuclideanAlignment(mode="causal"),
    "+ra": RiemannianAlignment(),
    "+ra:causal": RiemannianAlignment(mode="causal"),
}
_BARE = tuple(PIPELINES)
PIPELINES |= {
    name + ending: partial(build, alignment=alignment)
    for ending, alignment in _ALIGNMENTS.items()
    for name, build in PIPELINES.items()
}
PIPELINES |= PRETRAINED
_OWN = "+own"


def unknown_among(names):
    """Tell which names are unknown, and the known ones; "" where none is."""
    unknown = ", ".join(name for name in names if name.removesuffix(_OWN) not in PIPELINES)
    return unknown and (
        f"{unknown}; choose from {', '.join(_BARE)}, with +ea or +ra to align each subject first "
        f"(+ea:causal, +ra:causal trial by trial), and +own in a calibration to learn from own trials alone; "
        f"{', '.join(PRETRAINED)}"
    )


def make_pipelines(names, *, sfreq, random_state=0, max_epochs=None, calibration=False) -> dict[str, Any]:
    """Make the pipelines that a comparison knows by name.

    Parameters
    ----------
    names : iterable of str
        Keys of `PIPELINES`: "csp-lda", "fbcsp-lda", "mdm", "tangent-space-lr", "sstdpn",
        "attentionbasenet", "attentionbasenet:se" (and the other ten attention modes), "sincshallownet",
        "fblightconvnet"; with "+ea" at the end, after Euclidean alignment of each subject, with "+ra" after
        Riemannian alignment, of all trials passed together or, with "+ea:causal" and "+ra:causal", trial by
        trial; "pretrained", a decoder of the wheel as it is, and "pretrained+finetune", trained on.
    sfreq : float
        Sampling rate in Hz.
    random_state : int, default=0
        Seed of the networks.
    max_epochs : int, default=None
        Epochs to train a network; None for its own default.
    calibration : bool, default=False
        Make them for ``cv="calibration"``: a name with "+own" at the end learns from the own trials of the
        person tested alone, and so does "pretrained+finetune", which is "pretrained" before there are any.

    Returns
    -------
    dict of str -> classifier or OwnTrials
        Unfitted pipelines, in the order of `names`.

    Raises
    ------
    ValueError
        A name is unknown, or is for a calibration.

    See Also
    --------
    compare : What they are for.

    Examples
    --------
    >>> from skeeg.evaluation import make_pipelines
    >>> pipelines = make_pipelines(["csp-lda", "attentionbasenet:se+ea"], sfreq=250)
    >>> list(pipelines["attentionbasenet:se+ea"].named_steps)
    ['euclideanalignment', 'scaler', 'attentionbasenetclassifier']
    """
    if unknown := unknown_among(names):
        raise ValueError(f"unknown pipeline {unknown}")
    of_calibration = [name for name in names if name.endswith(_OWN)]
    if of_calibration and not calibration:
        raise ValueError(f"{', '.join(of_calibration)}: {_OWN} is for cv='calibration'")
    settings = {"sfreq": sfreq, "random_state": random_state, "max_epochs": max_epochs}
    made = {name: PIPELINES[name.removesuffix(_OWN)](**settings) for name in names}
    made |= {name: OwnTrials(made[name]) for name in of_calibration}
    if calibration and "pretrained+finetune" in made:
        before = PIPELINES["pretrained"](**settings)
        made["pretrained+finetune"] = OwnTrials(made["pretrained+finetune"], before=before)
    return made
