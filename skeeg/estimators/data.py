"""What ``fit`` learns of the data, and what later data are held against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils import column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, assert_all_finite

from skeeg.trials import open_trials, same_rate, warn_user

_ANOTHER_SCALE = 5  # between a pretrained network's trials and others: more than people differ by
_FAR_FROM_ZERO = 10  # means of channels, in standard deviations: networks learn little so far from zero
_LOOKS_LIKE_TOO_MUCH = 1e5  # median channel standard deviation: 0.1 volts, if it were µV
_LOOKS_LIKE_VOLTS = 1e-3  # median channel standard deviation of EEG: 5-50 in µV, 1e-5 in volts
_MOST_COPIES = 10  # whole-number weights become copies as long as the trials grow at most this many times


# ----- the shape of trials --------------------------------------------------------------------------------


class Recording(NamedTuple):
    """Shape and kind of the trials that an estimator was fitted to.

    Attributes
    ----------
    n_chans, n_times : int
        Shape of a trial.
    sfreq : float or None
        Sampling rate in Hz, where known.
    ch_names : tuple of str or None
        Channel names, where known.
    """

    n_chans: int
    n_times: int
    sfreq: float | None
    ch_names: tuple[str, ...] | None

    def fitted_to(self, trials, owner):
        """Hold trials against those of ``fit``, before they are read.

        Parameters
        ----------
        trials : TrialReader
            See :func:`skeeg.trials.open_trials`.
        owner : str
            Name of the estimator, for errors.

        Returns
        -------
        TrialReader
            The same, with channels in the learned order.

        Raises
        ------
        ValueError
            When the trials are of another shape, rate or montage.
        """
        trials = trials.in_order_of(self.ch_names)
        _, n_chans, n_times = trials.shape
        if (n_chans, n_times) != (self.n_chans, self.n_times):
            raise ValueError(
                f"X has {n_chans * n_times} features, but {owner} is expecting "
                f"{self.n_chans * self.n_times} features as input: trials of {n_chans} channels x "
                f"{n_times} samples were given, fit saw {self.n_chans} x {self.n_times}"
            )
        if not same_rate(trials.sfreq, self.sfreq):
            raise ValueError(
                f"X is sampled at {trials.sfreq} Hz, but fit saw {self.sfreq} Hz; resample to that rate"
            )
        return trials


def learn_recording(trials, sfreq):
    """Learn the shape of trials.

    Parameters
    ----------
    trials : TrialReader
        See :func:`skeeg.trials.open_trials`.
    sfreq : float or None
        Sampling rate in Hz, of trials that do not know theirs.

    Returns
    -------
    Recording

    Raises
    ------
    ValueError
        When trials hold no signal, or are sampled at another rate.
    """
    n_trials, n_chans, n_times = trials.shape
    if not same_rate(sfreq, trials.sfreq):
        raise ValueError(f"sfreq={sfreq} but X is sampled at {trials.sfreq} Hz; leave sfreq out")
    if n_times < 2:
        raise ValueError(
            f"Found array with {n_chans} feature(s) (shape={(n_trials, n_chans)}): trials "
            "of n_times=1 sample hold no signal; give at least 2 samples"
        )
    if n_chans > n_times:
        warn_user(
            f"X has more channels, {n_chans}, than samples, {n_times}: are its "
            "axes (n_trials, n_chans, n_times)?"
        )
    return Recording(n_chans, n_times, sfreq if trials.sfreq is None else trials.sfreq, trials.ch_names)


def typical_scale(data):
    """Get the median standard deviation of a channel; point out what no EEG looks like.

    Parameters
    ----------
    data : ndarray, shape (n_trials, n_chans, n_times)
        Trials, of which some are looked at.

    Returns
    -------
    float

    Warns
    -----
    UserWarning
        Of units other than µV, and offsets that hide the signal.
    """
    some = data[:: max(1, len(data) // 64)]
    deviations = np.concatenate([few.std(axis=2) for few in np.array_split(some, -(-len(some) // 8))])
    typical = float(np.median(deviations))
    if 0 < typical < _LOOKS_LIKE_VOLTS:
        warn_user(
            f"the median standard deviation of a channel is {typical:.1e}: X looks like volts, the "
            "networks expect µV or standardised data; multiply by 1e6 or put skeeg.Scaler() before"
        )
    if typical > _LOOKS_LIKE_TOO_MUCH:
        warn_user(
            f"the median standard deviation of a channel is {typical:.1e}, too much for EEG in µV; "
            "Epochs are taken to hold volts and multiplied by 1e6: give volts in Epochs, µV in arrays, "
            "or put skeeg.Scaler() before"
        )
    level = float(np.median(np.abs(some.mean(axis=2))))
    if typical > 0 and level > _FAR_FROM_ZERO * typical:
        warn_user(
            f"channels have means of {level:.1e} beside a standard deviation of {typical:.1e}, and the "
            "networks learn little under such an offset; high-pass the recording or put skeeg.Scaler() "
            "before"
        )
    return typical


def warn_of_another_scale(scale, pretrained):
    """Point out trials of quite another scale than those of a pretrained network."""
    if pretrained is not None and max(scale, pretrained) > _ANOTHER_SCALE * min(scale, pretrained):
        warn_user(
            f"the median standard deviation of a channel is {scale:.1e}, it was {pretrained:.1e} where "
            "the pretrained network was trained: put the steps that were before it, such as Scaler(), "
            "before this one too (of a pretrained Pipeline, the last step alone is taken)"
        )


# ----- labels, weights ------------------------------------------------------------------------------------


def check_labels(y, trials, owner):
    """Get a label for each trial.

    Parameters
    ----------
    y : array-like or None
        What the user gave.
    trials : TrialReader
        The trials, which may know their labels.
    owner : str
        Name of the estimator, for errors.

    Returns
    -------
    ndarray, shape (n_trials,)

    Raises
    ------
    ValueError
        When there are none, or they are no labels of these trials.
    """
    if y is None:
        y = trials.labels
    if y is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None; "
            "give y, or mne.Epochs whose event_id names the classes"
        )
    y = column_or_1d(y, warn=True)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    if len(y) != len(trials):
        raise ValueError(f"y has {len(y)} labels, but X has {len(trials)} trials")
    return y


def labels_to_score(X, y, classes, owner):
    """Get the labels that predictions are held against; codes are not held against names.

    Parameters
    ----------
    X : array-like or mne.Epochs
        Trials, which may know their labels.
    y : array-like or None
        What the user gave.
    classes : ndarray
        Labels that are predicted.
    owner : str
        Name of the estimator, for errors.

    Returns
    -------
    array-like, shape (n_trials,)

    Raises
    ------
    ValueError
        When X knows no labels and none are given, or labels are codes where the classes are names.
    """
    given = y is not None
    if not given:
        y = check_labels(None, open_trials(X), owner)
    found = np.unique(np.asarray(y))
    if len(found) == 0 or np.isin(found, classes).any():
        return y
    if not given:
        raise ValueError(
            f"the labels that X knows, {found.tolist()}, are none of the classes {classes.tolist()}; give y"
        )
    names = [array.dtype.kind in "OUST" for array in (found, classes)]
    message = f"y has the labels {found[:10].tolist()}, and {owner} tells {classes[:10].tolist()} apart"
    if names[0] != names[1]:
        raise ValueError(
            f"{message}: codes of events are not names. Epochs know the names (leave y out), or translate y "
            "by {code: name for name, code in epochs.event_id.items()}"
        )
    warn_user(f"{message}: none of its predictions can be right")
    return y


def check_weights(sample_weight, data):
    """Get a weight for each trial: float64, of which none is negative and not all are zero."""
    if sample_weight is None:
        return np.ones(len(data))
    weights = _check_sample_weight(sample_weight, data, dtype=np.float64)
    if weights.min() < 0 or not weights.any():
        raise ValueError(
            "sample_weight must not be negative, and not all zero; the smallest weight is "
            f"{weights.min()}, the largest {weights.max()}"
        )
    return weights


def copies_and_weights(weights):
    """Turn whole-number weights into numbers of copies; leave others as weights.

    Parameters
    ----------
    weights : ndarray, shape (n_trials,)
        Weight of each trial.

    Returns
    -------
    copies : ndarray of int, shape (n_trials,)
        How often each trial counts.
    weights : ndarray, shape (n_trials,)
        What each of the copies weighs.
    """
    if np.all(weights == np.round(weights)) and weights.max() < 2**31:
        copies = weights.astype(np.int64) // np.gcd.reduce(weights.astype(np.int64))
        if copies.sum() <= _MOST_COPIES * len(copies):
            return copies, np.ones_like(weights)
    return (weights > 0).astype(np.int64), weights


def class_weights(class_weight, codes, classes):
    """Get the weight of each class.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        What the user wants.
    codes : ndarray of int
        Places in ``classes`` of the training trials' labels.
    classes : ndarray
        The labels, sorted.

    Returns
    -------
    ndarray, shape (n_classes,)

    Raises
    ------
    ValueError
        When a dict names a label that does not occur, or a weight that is none, or no trial weighs anything.
    """
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in classes]
        if unknown:
            raise ValueError(f"class_weight names {unknown}, which are not in {classes.tolist()}")
        given = np.array(list(class_weight.values()))
        if not ((given.dtype.kind in "fiu" and np.isfinite(given).all()) and (given >= 0).all()):
            raise ValueError(f"class_weight={class_weight}: weights are numbers that are not negative")
    present = np.unique(codes)
    weights = np.ones(len(classes))
    weights[present] = compute_class_weight(class_weight, classes=classes[present], y=classes[codes])
    if len(present) and not weights[present].any():
        raise ValueError(f"class_weight={class_weight} leaves no trial to train on: all weigh 0")
    return weights


def order_and_weights(data, codes, weights, train, class_weight, classes, *, in_order=False):
    """Put training trials in an order of their own, and weigh them.

    Parameters
    ----------
    data : ndarray, shape (n_trials, n_chans, n_times)
        All trials.
    codes : ndarray of int, shape (n_trials,)
        Places in ``classes`` of their labels.
    weights : ndarray, shape (n_trials,)
        Their weights.
    train : ndarray of int
        Which of them are trained on.
    class_weight : dict, "balanced" or None
        As in :class:`skeeg.EEGClassifier`.
    classes : ndarray
        The labels, sorted.
    in_order : bool, default=False
        Leave the training trials in their order, each once, because it is asked for.

    Returns
    -------
    train : ndarray of int
        The training trials, each as often as it counts, in an order that does not depend on the one given.
    weights : ndarray, shape (n_trials,)
        Weight of each trial in the loss; 1 in the mean over ``train``.
    """
    if in_order:
        train = train[weights[train] > 0]
    else:
        copies, weights = copies_and_weights(weights)
        train = np.repeat(train, copies[train])
        flat = data.reshape(len(data), -1)
        keys = flat @ np.random.default_rng(0).standard_normal(flat.shape[1], dtype=np.float32)
        train = train[np.lexsort((codes[train], keys[train]))]
    weights = weights * class_weights(class_weight, codes[train], classes)[codes]
    return train, weights / weights[train].mean()


# ----- tensors --------------------------------------------------------------------------------------------


def read_all(reader):
    """Get all trials in memory that may be written to, which torch insists on: shared with X where it may.

    Parameters
    ----------
    reader : TrialReader
        See :func:`skeeg.trials.open_trials`.

    Returns
    -------
    ndarray of float32, shape (n_trials, n_chans, n_times)
    """
    if reader.read(0, 1).flags.writeable:
        return reader.read()
    data = np.empty(reader.shape, reader.dtype)  # filled a few at a time, as pages of a mapped file count too
    for first, few in zip(range(0, len(data), 16), reader.batches(16), strict=True):
        data[first : first + 16] = few
    return data


def as_tensor(data):
    """Share an array's memory with a tensor, or copy it where it is read-only."""
    # torch warns of read-only memory, such as joblib's memory maps; a copy of them is writable
    return torch.from_numpy(data if data.flags.writeable else data.copy())


def filled(batch, multiple=8):
    """Fill a batch up with zeros to a multiple of trials.

    Vectorised arithmetic rounds the last, odd trials of a batch differently. With the batch filled up, what
    is computed of a trial does not depend on its place; one trial alone has no other place.
    """
    missing = -len(batch) % multiple
    if len(batch) == 1 or missing == 0:
        return batch
    return torch.cat([batch, batch.new_zeros(missing, *batch.shape[1:])])
