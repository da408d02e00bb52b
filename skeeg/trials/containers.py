"""What users hand over as trials: each kind is found out, and read piece by piece.

``find_source`` gives every container that holds trials the same face, a :class:`Source`. What holds none is
refused in one sentence that says what it is and how to go on. What trials have to be like, whatever they
come in, is looked at where they are read, in ``skeeg.trials``.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
from scipy import sparse

from skeeg.trials.array import EEGArray
from skeeg.trials.checks import same_rate

MICROVOLTS_PER_VOLT = 1e6
_FEW_TRIALS = 16  # that are computed at a time
_PLAIN = (int, float, list, tuple, str, bytes)
# the axes of an xarray.DataArray, as they are called
_AXES = (
    ("trial", "trials", "epoch", "epochs", "event", "events"),
    ("channel", "channels", "ch", "chan", "chans", "sensor", "sensors", "electrode", "electrodes"),
    ("time", "times", "t"),
)


@dataclass
class Source:
    """Trials in an array, or in what gives an array for a slice of trials.

    Attributes
    ----------
    held : array-like, shape (n_trials, n_chans, n_times)
        What ``held[start:stop]`` makes trials of.
    shape : tuple of int
        Shape of all trials.
    dtype : dtype
        Number type of what is read.
    sfreq : float or None
        Sampling rate in Hz.
    ch_names : tuple of str or None
        Channel names.
    tmin : float or None
        Time of the first sample, in seconds after the event.
    """

    held: Any
    shape: tuple[int, ...]
    dtype: np.dtype
    sfreq: float | None = None
    ch_names: tuple[str, ...] | None = None
    known_labels: np.ndarray | None = None
    tmin: float | None = None

    def read(self, start, stop):
        """Read the trials from ``start`` to ``stop``, in the unit that networks expect."""
        return np.asarray(self.held[start:stop])

    def labels(self):
        """Get the class of each trial, or None."""
        return self.known_labels


class _EpochsSource(Source):
    """A list of Epochs that fit each other: volts become µV."""

    def read(self, start, stop):
        ends = list(accumulate(map(len, self.held)))
        parts = []
        for epochs, end in zip(self.held, ends, strict=True):
            first = end - len(epochs)
            if first < stop and start < end:
                item = slice(max(start - first, 0), stop - first)
                parts.append(epochs.get_data(_good_eeg(epochs), item=item, copy=True, verbose="error"))
        data = parts[0] if len(parts) == 1 else np.concatenate(parts)
        data *= MICROVOLTS_PER_VOLT  # MNE keeps volts, of which networks see nothing but zeros
        return data

    def labels(self):
        named = [set(epochs.events[:, 2]) <= set(epochs.event_id.values()) for epochs in self.held]
        return np.concatenate([epochs_labels(epochs) for epochs in self.held]) if all(named) else None


@dataclass
class _ItemsSource(Source):
    """A sequence of trials, or of (trial, label, ...) as torch's data sets give them."""

    found: dict = field(default_factory=dict)  # labels of the trials that were read

    def read(self, start, stop):
        return np.stack([self._trial(i) for i in range(start, min(stop, len(self.held)))])

    def labels(self):
        for i in range(len(self.held)):
            if i not in self.found:
                self._trial(i)
        labels = [self.found[i] for i in range(len(self.held))]
        return None if any(label is None for label in labels) else np.array(labels)

    def _trial(self, i):
        trial, self.found[i] = _trial_and_label(self.held[i])
        if trial.shape != self.shape[1:]:
            raise ValueError(
                f"X is a list of trials of unequal shapes: {self.shape[1:]} at index 0, {trial.shape} at "
                f"index {i}; crop or pad them to one length"
            )
        return trial


@dataclass
class LazyTrials(Source):
    """Trials that are computed when they are read, a few at a time by whatever takes trials here.

    ``numpy.asarray`` computes them all; a slice, those in it.

    Attributes
    ----------
    held : TrialReader
        The trials that they are made of.
    shape, dtype, sfreq, ch_names, tmin
        As of :class:`Source`.
    compute : callable
        Makes trials, (n_trials, n_chans, n_times), of trials.
    """

    compute: Callable = None

    @classmethod
    def of(cls, reader, compute):
        """Compute each trial of a :class:`skeeg.trials.TrialReader`; the shape remains."""
        known = {"sfreq": reader.sfreq, "ch_names": reader.ch_names, "tmin": reader.tmin}
        return cls(reader, reader.shape, reader.dtype, **known, compute=compute)

    @property
    def ndim(self):
        """Number of dimensions, 3."""
        return len(self.shape)

    def read(self, start, stop):
        """Compute the trials from ``start`` to ``stop``."""
        trials = self.compute(self.held.read(start, stop))
        self.held.release()
        return trials

    def labels(self):
        """Get the class of each trial, or None."""
        return self.held.labels

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        if isinstance(key, slice) and key.step in (None, 1):
            first, stop, _ = key.indices(len(self))
            return self._computed(first, max(first, stop))
        return np.asarray(self)[key]

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("these trials are computed when they are read: an array of them is a new one")
        array = self._computed(0, len(self))
        return array if dtype is None else array.astype(dtype, copy=False)

    def _computed(self, first, stop):
        array = np.empty((stop - first, *self.shape[1:]), self.dtype)
        for start in range(first, stop, _FEW_TRIALS):
            end = min(start + _FEW_TRIALS, stop)
            array[start - first : end - first] = self.read(start, end)
        return array


def is_epochs(X):
    """Tell whether X is an ``mne.Epochs`` of any kind; imports MNE only where it is loaded already."""
    return "mne" in sys.modules and isinstance(X, sys.modules["mne"].BaseEpochs)


def holds_epochs(X):
    """Tell whether X is Epochs or a list of them, as scikit-learn's splits of Epochs are."""
    return is_epochs(X) or (isinstance(X, (list, tuple)) and len(X) > 0 and all(map(is_epochs, X)))


def epochs_labels(epochs):
    """Name the class of each epoch: its key in ``event_id``, "left/hand" kept whole.

    Parameters
    ----------
    epochs : mne.Epochs
        Epochs whose bad ones have been dropped (loading them does).

    Returns
    -------
    ndarray of str, shape (n_trials,)
        Labels.

    Raises
    ------
    ValueError
        When ``event_id`` does not name a code of ``events``.
    """
    names = {code: name for name, code in epochs.event_id.items()}
    codes = epochs.events[:, 2]
    if unnamed := sorted(set(codes.tolist()) - set(names)):
        raise ValueError(f"events have codes {unnamed} that event_id={epochs.event_id} does not name; give y")
    return np.array([names[code] for code in codes], dtype=str)


def find_source(X):
    """Find out what X is, and how trials are read from it.

    Parameters
    ----------
    X : array-like, torch.Tensor, torch Dataset, EEGArray, mne.Epochs or list of mne.Epochs
        Trials, (n_trials, n_chans, n_times).

    Returns
    -------
    Source

    Raises
    ------
    TypeError, ValueError
        When X is something else; the message says what, and how to go on.
    """
    if type(X) is np.ndarray and X.dtype.kind in "fiu":
        return Source(X, X.shape, X.dtype)
    if isinstance(X, EEGArray):
        array = numbers(np.asarray(X))
        return Source(array, array.shape, array.dtype, X.sfreq, X.ch_names, X.labels, X.tmin)
    if isinstance(X, LazyTrials):
        return X
    if holds_epochs(X):
        return _of_epochs([X] if is_epochs(X) else X)
    _refuse_what_holds_no_trials(X)
    if _is_torch(X, "utils.data.Dataset"):
        return _of_dataset(X)
    if isinstance(X, np.ma.MaskedArray):
        X = _unmasked(X)
    elif hasattr(X, "dims") and hasattr(X, "coords"):
        return _of_data_array(X)
    elif _is_torch(X, "Tensor"):
        X = _of_tensor(X)
    elif hasattr(X, "iloc"):  # a pandas.Series, of arrays it may be
        X = X.to_numpy()
    if isinstance(X, np.ndarray) and X.dtype.kind == "O":
        X = X.tolist()
    if isinstance(X, (list, tuple)):
        if len(X) and (isinstance(X[0], Mapping) or (not isinstance(X[0], _PLAIN) and np.ndim(X[0]) == 2)):
            return _of_items(X)
        X = _stacked(X)
    if not (hasattr(X, "shape") and hasattr(X, "dtype")):  # h5py, zarr, dask have them: read by slices
        kind = type(X).__name__
        X = _stacked(X)
        if X.ndim == 0 and X.dtype.kind == "O" and X.item() is not None:
            raise TypeError(f"X is a {kind}: expected an array of trials, (n_trials, n_chans, n_times)")
    X = numbers(X)
    return Source(X, tuple(X.shape), np.dtype(X.dtype))


def _refuse_what_holds_no_trials(X):
    name = type(X).__name__
    if isinstance(X, (str, bytes, os.PathLike)):
        raise ValueError(f"X holds text, {X!r}: if it names a file, skeeg.datasets.load_epochs reads it")
    if any(cls.__module__.split(".")[0] == "mne" for cls in type(X).__mro__):
        raise TypeError(f"X is an mne {name}: {_way_to_epochs(name)}")
    if isinstance(X, (list, tuple)) and len(X) and not is_epochs(X[0]):
        cls = type(X[0])
        if any(parent.__module__.split(".")[0] == "mne" for parent in cls.__mro__):
            raise TypeError(f"X is a list of mne {cls.__name__}: {_way_to_epochs(cls.__name__)}")
        if hasattr(X[0], "iloc") and np.ndim(X[0]) == 2:
            raise TypeError(
                "X is a list of DataFrames, of which the axes are not known: give "
                "np.stack([table.to_numpy().T for table in X]) where rows are times"
            )
    if sparse.issparse(X) or (_is_torch(X, "Tensor") and X.layout != sys.modules["torch"].strided):
        raise TypeError(
            "Sparse data was passed for X, but trials are dense arrays: X.toarray(), X.to_dense()"
        )
    if _is_torch(X, "utils.data.DataLoader"):
        raise TypeError("X is a DataLoader, which may give trials in another order each time: give X.dataset")
    if _is_torch(X, "utils.data.IterableDataset") or isinstance(X, Iterator):
        raise TypeError(f"X is a {name}, which can be gone through once: give np.stack(list(X))")
    if isinstance(X, Set):
        raise TypeError(f"X is a {name}, which has no order: give an array")
    if isinstance(X, Mapping) or (hasattr(X, "keys") and not hasattr(X, "shape")):
        raise TypeError(
            f"X is a {name} with the keys {list(X.keys())}: give the array of trials in it, such as X['X']"
        )
    if hasattr(X, "iloc") and np.ndim(X) == 2:
        levels = getattr(X.index, "nlevels", 1)
        way = (
            "np.stack([trial.to_numpy().T for _, trial in X.groupby(level=0)]) where the first level of its "
            "index is the trial and rows are times"
            if levels > 1
            else "X.to_numpy().reshape(n_trials, n_chans, n_times) where a row is a trial"
        )
        raise TypeError(
            f"X is a {name} of shape {X.shape}, expected (n_trials, n_chans, n_times): give {way}"
        )


def _way_to_epochs(name):
    if "Spectrum" in name or "TFR" in name or "CSD" in name:
        return (
            "its numbers are power at frequencies, not voltages over time; give the mne.Epochs it was made of"
        )
    if "Evoked" in name:
        return "an average of trials; give the mne.Epochs it was made of"
    if "Raw" in name:
        return "cut the recording into trials with mne.Epochs first"
    return "give mne.Epochs, or an array of trials"


def _is_torch(X, name):
    found = sys.modules.get("torch")
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is not None and isinstance(X, found)


def _of_epochs(epochs_list):
    # Loading drops the bad ones, without which events and data differ in length; the user's stay as they are.
    epochs_list = [e if e.preload else e.copy().drop_bad(verbose="error") for e in epochs_list]
    kinds = [(e.info["sfreq"], len(e.times), _good_names(e)) for e in epochs_list]
    sfreq, n_times, names = kinds[0]
    starts = [float(e.tmin) for e in epochs_list]
    if any(kind[1:] != (n_times, names) or not same_rate(kind[0], sfreq) for kind in kinds):
        described = sorted({(float(rate), times, len(channels)) for rate, times, channels in kinds})
        raise ValueError(
            "Epochs differ in channel names or order, sampling rate or length; (sfreq, n_times, n_chans): "
            f"{described}. Pick, re-order or resample them to agree"
        )
    if max(starts) - min(starts) > 0.5 / sfreq:
        raise ValueError(f"Epochs begin at other times after their events: tmin={sorted(set(starts))}")
    shape = (sum(map(len, epochs_list)), len(names), n_times)
    return _EpochsSource(epochs_list, shape, np.dtype(np.float64), float(sfreq), names, tmin=starts[0])


def _good_eeg(epochs):
    """Indices of the channels that are EEG and not marked bad, as in ``mne.decoding``."""
    import mne

    return mne.pick_types(epochs.info, eeg=True, exclude="bads")


def _good_names(epochs):
    picks = _good_eeg(epochs)
    if len(picks) == 0:
        raise ValueError(
            f"Epochs have no good EEG channel: types {sorted(set(epochs.get_channel_types()))}, "
            f"bads {epochs.info['bads']}. Set types with set_channel_types, or pass an array"
        )
    return tuple(epochs.ch_names[pick] for pick in picks)


def _of_dataset(dataset):
    if len(dataset) == 0:
        raise ValueError("X is a data set without trials: Found array with 0 sample(s)")
    info = _info_of(dataset)
    trial, _ = _trial_and_label(dataset[0])
    known = {}
    if info is not None and len(info["ch_names"]) == trial.shape[0]:
        known = {"sfreq": float(info["sfreq"]), "ch_names": tuple(info["ch_names"])}
    return _ItemsSource(dataset, (len(dataset), *trial.shape), trial.dtype, **known)


def _info_of(dataset):
    """What braindecode's data sets of windows know of their recordings, where they agree."""
    while hasattr(dataset, "indices") and hasattr(dataset, "dataset"):  # torch's Subset
        dataset = dataset.dataset
    parts = getattr(dataset, "datasets", [dataset])
    infos = [getattr(getattr(p, "windows", getattr(p, "raw", None)), "info", None) for p in parts]
    if any(info is None for info in infos):
        return None
    first = infos[0]
    for info in infos[1:]:
        if info["ch_names"] != first["ch_names"] or not same_rate(info["sfreq"], first["sfreq"]):
            raise ValueError(
                f"the recordings of X differ: {first['ch_names']} at {first['sfreq']} Hz, "
                f"{info['ch_names']} at {info['sfreq']} Hz; pick, re-order or resample them to agree"
            )
    return first


def _trial_and_label(item):
    """(n_chans, n_times) and its class, or None, of what a sequence of trials holds."""
    label = None
    if isinstance(item, (list, tuple)) and np.ndim(item[0]) > 0:
        item, *others = item
        if others and np.ndim(others[0]) == 0 and not isinstance(others[0], Mapping):
            label = others[0].item() if hasattr(others[0], "item") else others[0]
    if isinstance(item, Mapping):
        raise TypeError(
            f"X gives dicts with the keys {list(item)}: give the trials in them, such as "
            "[item['X'] for item in X]"
        )
    return np.asarray(_of_tensor(item) if _is_torch(item, "Tensor") else item), label


def _of_items(items):
    trial, _ = _trial_and_label(items[0])
    return _ItemsSource(items, (len(items), *trial.shape), numbers(trial).dtype)


def _unmasked(X):
    masked = np.ma.getmaskarray(X)
    if masked.any():
        trials = np.unique(np.argwhere(masked)[:, :1])
        raise ValueError(
            f"X has {masked.sum()} masked values, the first in trial {trials[0] if len(trials) else 0}, in "
            f"{len(trials)} trials: drop those trials, or fill them, X.filled(value)"
        )
    return X.data


def _of_data_array(X):
    """An xarray.DataArray: its axes by their names, where it names them as one does."""
    order = [next((d for d in X.dims if str(d).lower() in names), None) for names in _AXES]
    if None not in order:
        X = X.transpose(*order)
    elif any(d is not None and (len(X.dims) != 3 or X.dims[i] != d) for i, d in enumerate(order)):
        raise ValueError(f"X is a DataArray with the axes {X.dims}: transpose it to (trial, channel, time)")
    known = {}
    if order[1] is not None and order[1] in X.coords:
        names = tuple(str(name) for name in np.asarray(X.coords[order[1]]).tolist())
        known["ch_names"] = names if len(set(names)) == len(names) else None
    if order[2] is not None and order[2] in X.coords and X.shape[2] > 1:
        times = np.asarray(X.coords[order[2]])
        steps = np.diff(times) if times.dtype.kind == "f" else np.zeros(1)  # seconds
        if steps.min() > 0 and np.allclose(steps, steps[0], rtol=1e-3):
            known["sfreq"] = float(len(steps) / (times[-1] - times[0]))
            known["tmin"] = float(times[0])
    return Source(numbers(X), tuple(X.shape), np.dtype(X.dtype), **known)


def _of_tensor(X):
    if X.is_nested:
        raise TypeError("X is a nested tensor, of trials that may differ: give torch.stack(X.unbind())")
    if X.is_meta or X.is_quantized:
        raise TypeError(f"X is a tensor without plain numbers ({X.dtype} on {X.device}): give a float tensor")
    torch = sys.modules["torch"]
    X = X.detach().cpu().resolve_conj().resolve_neg()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


def _stacked(X):
    try:
        return np.asarray(X)
    except ValueError as error:
        if "inhomogeneous" not in str(error) and "sequence" not in str(error):
            raise
        raise ValueError(
            f"X is a {type(X).__name__} of trials of unequal shapes ({error}): crop or pad them to one length"
        ) from error


def numbers(X):
    """Get X where it holds real numbers, as float64 where they are objects; an error where it does not."""
    kind = np.dtype(X.dtype).kind
    if kind in "USMm":
        raise ValueError(f"X holds text or dates (dtype {X.dtype}): expected voltages")
    if kind == "c":
        raise ValueError("Complex data not supported: X holds complex numbers; give X.real, or their power")
    if kind == "b":
        raise ValueError("X holds True and False: expected voltages")
    if kind == "V":
        raise ValueError(f"X is a structured array with the fields {X.dtype.names}: give one of them")
    if kind == "O":
        return np.asarray(X).astype(np.float64)
    return np.asarray(X) if isinstance(X, np.ndarray) else X


def file_map(array):
    """Get the map of a read-only file that an array lies in, or None.

    Pages of it that were read count as memory of this process until the system wants them back; they may be
    given back before.
    """
    if not isinstance(array, np.ndarray) or array.flags.writeable:
        return None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and array.mode == "r":
            base = array
            while isinstance(base, np.ndarray):
                base = base.base
            return base if isinstance(base, mmap.mmap) and hasattr(base, "madvise") else None
        array = array.base
    return None
