"""Start from a trained estimator: on other people, other channels and other classes."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skeeg.persistence import classifier_of, from_pretrained, load
from skeeg.trials import same_rate, standard_montage

# names of the 10-20 system that the 10-10 system changed
_RENAMED = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}


def find_pretrained(pretrained, cls):
    """Get the fitted classifier that the parameter ``pretrained`` stands for.

    Parameters
    ----------
    pretrained : str, os.PathLike, FrozenEstimator or estimator
        A file of ``skeeg.save``, a repository of ``skeeg.push_to_hub`` (or a local copy of it), or a fitted
        estimator. Of a Pipeline, its last step is taken.
    cls : class
        The class that is wanted.

    Returns
    -------
    EEGClassifier
        Fitted, of class ``cls``.

    Raises
    ------
    ValueError
        When it is not fitted, or of another class.
    """
    if isinstance(pretrained, (str, os.PathLike)):
        found = (load if Path(pretrained).is_file() else from_pretrained)(pretrained, classes=[cls])
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


def channel_map(ch_names, wanted, missing="raise"):
    """Get the matrix that makes the channels a network wants out of those of a recording.

    Parameters
    ----------
    ch_names : sequence of str
        Channels of the recording.
    wanted : sequence of str
        Channels of the network.
    missing : {"raise", "interpolate"}, default="raise"
        What becomes of wanted channels that the recording does not have.

    Returns
    -------
    ndarray of float32, shape (n_wanted, n_channels), or None
        Each wanted channel is a row's weighted sum of the recording's channels; None where nothing changes.

    Raises
    ------
    ValueError
        When channels are missing and may not, or cannot, be interpolated.

    Notes
    -----
    Names match whatever their case, and T3, T4, T5, T6 are T7, T8, P7, P8. Channels that are not wanted
    serve interpolation, by MNE's spherical splines at the positions of the standard 10-05 montage, and are
    otherwise left out.

    Examples
    --------
    >>> channel_map(["Cz", "FZ", "C3"], ["C3", "Fz"])
    array([[0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    own = {_same(name): i for i, name in enumerate(ch_names)}
    matrix = np.zeros((len(wanted), len(ch_names)), dtype=np.float32)
    absent = []
    for row, name in enumerate(wanted):
        if _same(name) in own:
            matrix[row, own[_same(name)]] = 1
        else:
            absent.append(row)
    if absent:
        names = [wanted[row] for row in absent]
        if missing == "raise":
            raise ValueError(
                f"the pretrained network wants the channels {names}, which X does not have (it has "
                f'{list(ch_names)}). missing_channels="interpolate" makes them out of the others'
            )
        matrix[absent] = _interpolation(ch_names, names)
    if len(ch_names) == len(wanted) and np.array_equal(matrix, np.eye(len(wanted))):
        return None
    return matrix


def _same(name):
    return _RENAMED.get(name.casefold(), name.casefold())


def _interpolation(ch_names, absent):
    """Weights of channels in absent ones: (n_absent, n_channels)."""
    import mne

    montage = standard_montage()
    known = {name.casefold(): name for name in montage.ch_names}
    nowhere = [name for name in absent if _same(name) not in known]
    placed = [i for i, name in enumerate(ch_names) if _same(name) in known]
    if nowhere:
        raise ValueError(
            f"channels {nowhere} cannot be interpolated: the standard 10-05 montage has no such names"
        )
    if len(placed) < 4:
        raise ValueError(
            f"channels {absent} cannot be interpolated: of the channels of X, {list(ch_names)}, at least 4 "
            "must have names of the standard 10-05 montage"
        )
    names = [known[_same(ch_names[i])] for i in placed] + [known[_same(name)] for name in absent]
    # Interpolation is linear: what it makes of unit impulses are its weights.
    impulses = np.vstack([np.eye(len(placed)), np.zeros((len(absent), len(placed)))])
    info = mne.create_info(names, sfreq=1000.0, ch_types="eeg")
    raw = mne.io.RawArray(impulses, info, verbose="ERROR").set_montage(montage)
    raw.info["bads"] = names[len(placed) :]
    raw.interpolate_bads(verbose="ERROR")
    weights = np.zeros((len(absent), len(ch_names)))
    weights[:, placed] = raw.get_data()[len(placed) :]
    return weights


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
        As in :func:`channel_map`.

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
    weights = module.state_dict()
    learned = trained.state_dict()
    head = getattr(module, "head_names", ())
    if not same_classes:
        learned = {k: v for k, v in learned.items() if k.split(".")[0] not in head}
    unlike = sorted(k for k, v in learned.items() if k not in weights or weights[k].shape != v.shape)
    encoder = {k for k in weights if k.split(".")[0] not in head}
    differing = ", ".join(
        f"{name}={value!r}"
        for name, value in trained_params.items()
        if repr(params[name]) != repr(value) and not name.startswith("drop_prob")
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
