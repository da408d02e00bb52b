"""Start from a trained estimator: on other people, other channels and other classes."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skeeg.augmentation import MirrorLeftRight
from skeeg.estimators.iterators import TrialDataset
from skeeg.estimators.shipped import DECODERS, find_decoder, is_shipped, tasks
from skeeg.estimators.weights import BareWeights, head_of, read_weights
from skeeg.persistence import classifier_of, from_pretrained, load
from skeeg.trials import channel_key, channel_map, same_rate


def find_pretrained(pretrained, cls, ch_names=None, classes=()):
    """Get the fitted classifier that the parameter ``pretrained`` stands for.

    Parameters
    ----------
    pretrained : str, os.PathLike, FrozenEstimator or estimator
        A decoder of the wheel or its task, a file of ``skeeg.save``, a repository of ``skeeg.push_to_hub``
        (or a local copy of it), or a fitted estimator. Of a Pipeline, its last step is taken.
    cls : class
        The class that is wanted.
    ch_names : sequence of str or None, default=None
        Channels of the recording, which choose among the decoders of a task; the decoders of the wheel
        need them.
    classes : sequence of class, default=()
        Other classes that a file may name, such as the network's.

    Returns
    -------
    EEGClassifier or BareWeights
        Fitted, of class ``cls``; of a file of a network's ``state_dict``, the weights.

    Raises
    ------
    ValueError
        When there is none of that name, it is not fitted, or of another class, or no channels are known for
        a decoder of the wheel.
    """
    if isinstance(pretrained, (str, os.PathLike)):
        found = _read(pretrained, [cls, *classes], ch_names)
        if isinstance(found, BareWeights):
            return found
    elif isinstance(pretrained, FrozenEstimator):
        found = pretrained.estimator
    else:
        found = pretrained
    found = classifier_of(found)
    if not isinstance(found, cls):
        raise ValueError(
            f"pretrained={found!r} is not a {cls.__name__}; weights fit the same architecture alone"
        )
    try:
        check_is_fitted(found)
    except ValueError as error:
        raise ValueError(
            "pretrained is not fitted. Where scikit-learn clones an estimator, in a search for instance, it "
            "takes the fit of its parameters away: give sklearn.frozen.FrozenEstimator(fitted), or a file"
        ) from error
    return found


def adapt(net, recording, classes):
    """Find what a net is to start from, and match its trials to those that this was trained on.

    Parameters
    ----------
    net : EEGClassifier
        With ``pretrained`` and ``missing_channels``.
    recording : Recording
        The trials of fit.
    classes : ndarray
        Labels of the trials of fit.

    Returns
    -------
    source : EEGClassifier or BareWeights
        What it starts from.
    recording, channel_map
        As of :func:`match_recordings`; as they are for bare weights, which say nothing of trials.
    """
    network = [net._makes_network] if isinstance(net._makes_network, type) else []
    source = find_pretrained(net.pretrained, type(net), recording.ch_names, network)
    if isinstance(source, BareWeights):
        return source, recording, None
    warn_of_other_labels(net.pretrained, classes, source.classes_)
    try:
        return source, *match_recordings(
            recording, source._recording, source.channel_map_, net.missing_channels
        )
    except ValueError as wrong:
        if not (isinstance(net.pretrained, str) and is_shipped(net.pretrained)):
            raise
        raise ValueError(
            f"{wrong}. skeeg.pretrained.load_pretrained({net.pretrained!r}, ...) is the whole decoder, which "
            "makes trials of any rate, window and unit its own; its fit goes on from the same weights"
        ) from None


def _read(name, classes, ch_names):
    """Read what a name stands for: a file, a decoder of the wheel, or a repository."""
    path = Path(name)
    if path.is_file():
        return read_weights(path) or load(path, classes=classes)
    if is_shipped(name):
        if ch_names is None:
            raise ValueError(
                f"pretrained={name!r} takes channels by their names, and X has none: give mne.Epochs or "
                "skeeg.EEGArray(X, sfreq, ch_names)"
            )
        return load(find_decoder(name, ch_names).path)
    if path.is_dir() or "/" in os.fspath(name):
        return from_pretrained(name, classes=classes)
    raise ValueError(
        f"pretrained={name!r} is no file, no repository (user/name) and no decoder of the wheel: those are "
        f"{', '.join(DECODERS)}, or {', '.join(sorted(tasks()))} for the one that fits the channels"
    )


def match_recordings(recording, source, source_map=None, missing="raise"):
    """Match the trials of a fit to those that a trained network takes.

    Parameters
    ----------
    recording : Recording
        The trials of fit.
    source : Recording
        The trials that the trained estimator takes.
    source_map : ndarray or None, default=None
        The trained estimator's own channel map, where it was itself adapted.
    missing : {"raise", "interpolate"}, default="raise"
        As in :func:`skeeg.trials.channel_map`.

    Returns
    -------
    recording : Recording
        The same, with the sampling rate of ``source`` where it knew none.
    channel_map : ndarray of float32 or None
        What the network's channels are made of.

    Raises
    ------
    ValueError
        When length, rate or channels do not fit.
    """
    if recording.n_times != source.n_times:
        raise ValueError(
            f"X has trials of {recording.n_times} samples, the pretrained network takes {source.n_times}; "
            "crop or resample them"
        )
    if recording.sfreq is None:
        recording = recording._replace(sfreq=source.sfreq)
    elif not same_rate(recording.sfreq, source.sfreq):
        raise ValueError(
            f"X is sampled at {recording.sfreq} Hz, the pretrained network takes {source.sfreq} Hz; "
            "resample X"
        )
    if None not in (recording.ch_names, source.ch_names):
        matrix = channel_map(recording.ch_names, source.ch_names, missing)
    elif recording.n_chans == source.n_chans:
        matrix = None
    else:
        raise ValueError(
            f"X has {recording.n_chans} channels, the pretrained estimator {source.n_chans}, and channel "
            "names to match them by are not known for both; give mne.Epochs or skeeg.EEGArray with ch_names"
        )
    if source_map is None:
        return recording, matrix
    return recording, source_map if matrix is None else source_map @ matrix


def warn_of_other_labels(pretrained, own, learned):
    """Point out labels that a decoder of the wheel does not know, as many as it has classes."""
    shipped = isinstance(pretrained, str) and is_shipped(pretrained)
    if shipped and len(own) == len(learned) and not np.array_equal(own, learned):
        warnings.warn(
            f"y has the labels {own.tolist()}, {pretrained!r} tells {learned.tolist()} apart: its last layer "
            "begins anew, and trials are not mirrored. Call the labels as it does to go on from all that it "
            "learned",
            UserWarning,
            stacklevel=6,
        )


def with_mirror_images(trials, train, pretrained, classes, ch_names, channel_map):
    """Add the mirror image of each training trial, hands swapped, where a decoder of the wheel is trained on.

    Parameters
    ----------
    trials : TrialDataset
        All trials.
    train : ndarray of int
        Those that are trained on.
    pretrained : str, os.PathLike, estimator or None
        Parameter of the estimator.
    classes : ndarray
        Labels of the codes.
    ch_names : tuple of str or None
        Channels of the trials.
    channel_map : ndarray or None
        What the network's channels are made of.

    Returns
    -------
    trials, train
        As they were where it is no decoder of the wheel, or labels or channels have no mirror image.
    """
    shipped = isinstance(pretrained, str) and is_shipped(pretrained) and ch_names is not None
    if not shipped or list(find_decoder(pretrained, ch_names).mirrored) != classes.tolist():
        return trials, train
    used = np.arange(len(ch_names)) if channel_map is None else np.flatnonzero(channel_map.any(axis=0))
    mirror = MirrorLeftRight([channel_key(ch_names[i]) for i in used], probability=1.0)
    if not mirror.has_counterparts():
        return trials, train
    X = torch.cat([trials.X, trials.X])
    X[len(trials) :, used], codes = mirror.augment(trials.X[:, used], trials.codes, torch.Generator())
    both = TrialDataset(
        X,
        torch.cat([trials.codes, codes]),
        trials.weights.repeat(2),
        np.concatenate([trials.y, classes[codes.numpy()]]),
    )
    return both, np.concatenate([train, train + len(trials)])


@contextlib.contextmanager
def fine_tuning(estimator):
    """Train with other parameters for a while: shorter, at a lower rate, on few trials of one person.

    The shares are those by which the decoders of the wheel are fine-tuned, see
    :func:`skeeg.pretrained.load_pretrained`.
    """
    shorter = max(1, round(0.4 * estimator.max_epochs))
    parameters = {
        "max_epochs": shorter, "lr": estimator.lr / 3, "train_split": None, "monitor": "loss",
        "patience": None, "refit_epochs": 0,
    }  # fmt: skip
    before = {name: getattr(estimator, name) for name in parameters}
    vars(estimator).update(parameters)
    try:
        yield
    finally:
        vars(estimator).update(before)


def freeze_encoder(module):
    """Let training change the head of a network alone."""
    if not hasattr(module, "freeze_encoder"):
        raise ValueError(
            f"freeze_encoder=True: {type(module).__name__} does not tell its head from its encoder; derive "
            "it from skeeg.modules.EEGModule"
        )
    module.freeze_encoder()


def start_from(module, trained, *, same_classes, params, trained_params):
    """Give a new network the weights of a trained one.

    Parameters
    ----------
    module, trained : torch.nn.Module
        The new network and the trained one.
    same_classes : bool
        Whether the head's weights are kept too.
    params, trained_params : dict
        Parameters that both were made with, to name what differs.

    Raises
    ------
    ValueError
        When the weights do not fit.
    """
    if type(module) is not type(trained):
        raise ValueError(
            f"the pretrained network is a {type(trained).__name__}, not a {type(module).__name__}: weights "
            "fit the same architecture alone"
        )
    weights = module.state_dict()
    learned = trained.state_dict()
    head = head_of(module)
    if not same_classes:
        learned = {k: v for k, v in learned.items() if k.split(".")[0] not in head}
    unlike = sorted(k for k, v in learned.items() if k not in weights or weights[k].shape != v.shape)
    encoder = {k for k in weights if k.split(".")[0] not in head}
    differing = ", ".join(
        f"{name}={value!r}"
        for name, value in trained_params.items()
        if repr(params.get(name)) != repr(value) and not name.startswith("drop_prob")
    )
    if unlike or not encoder <= set(learned):
        raise ValueError(
            f"the pretrained network is of another shape: it has {differing or 'other layers'}; "
            "give the same parameters"
        )
    if differing:
        warnings.warn(
            f"the pretrained network was trained with {differing}: its weights fit, but serve another "
            "function now; give the same parameters",
            UserWarning,
            stacklevel=7,
        )
    module.load_state_dict(weights | learned)
