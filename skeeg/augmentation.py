"""Label-preserving transforms of a training batch.

Every random number comes from the ``torch.Generator`` that is handed over, so that training is repeatable.
"""

from __future__ import annotations

import copy
import functools
import re
import sys
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from skeeg.persistence import Kept
from skeeg.trials import standard_montage

__all__ = [
    "Augmentation",
    "ChannelDropout",
    "FourierSurrogate",
    "MirrorLeftRight",
    "SegmentRecombination",
    "SmoothTimeMask",
    "TimeShift",
]

_PROBABILITY = [Interval(Real, 0, 1, closed="both")]


class Augmentation(Kept, BaseEstimator, registered=False):
    """Base of augmentations: subclasses write ``augment``."""

    def augment(self, X, y, generator):
        """Transform a batch.

        Parameters
        ----------
        X : torch.Tensor, shape (batch, n_chans, n_times)
            Trials; not changed.
        y : torch.Tensor of int64, shape (batch,)
            Class codes; not changed.
        generator : torch.Generator
            Source of randomness, on the device of ``X``.

        Returns
        -------
        X, y : torch.Tensor, torch.Tensor
            A batch of the same size.
        """
        raise NotImplementedError("an augmentation defines augment")

    def for_data(self, ch_names, classes):
        """Get the augmentation as the data want it; an estimator asks once a fit.

        Parameters
        ----------
        ch_names : tuple of str or None
            Names of the channels, None where they are not known.
        classes : ndarray, shape (n_classes,)
            Labels, in the order of their codes.

        Returns
        -------
        Augmentation
            This one, where nothing depends on names.
        """
        return self


class _OfBraindecode(Augmentation, registered=False):
    """A transform of braindecode, with randomness that the training seeds."""

    def __init__(self, transform):
        self.transform = transform

    def for_data(self, ch_names, classes):
        """Get a copy, for one training, whose generators are to be seeded."""
        made = type(self)(copy.deepcopy(self.transform))
        made._seeded = False
        return made

    def augment(self, X, y, generator):
        """Transform a batch; see :meth:`Augmentation.augment`."""
        if not self._seeded:
            seed = torch.randint(2**31, (1,), generator=generator, device=X.device).item()
            for i, part in enumerate(_parts(self.transform)):
                part.rng = np.random.RandomState([seed, i])
            self._seeded = True
        changed, codes = self.transform(X, y)
        if isinstance(codes, tuple) or codes.shape != y.shape or changed.shape != X.shape:
            raise ValueError(
                f"augmentation={type(self.transform).__name__} mixes labels or makes other batches, which "
                "no loss here takes: leave it out"
            )
        return changed, codes.to(y)


def _parts(transform):
    """The transforms that a transform of braindecode consists of, with itself."""
    return [transform, *(inner for t in getattr(transform, "transforms", ()) for inner in _parts(t))]


def _is_of_braindecode(value):
    room = sys.modules.get("braindecode.augmentation")
    return room is not None and isinstance(value, room.Transform)


def is_augmentation(value):
    """Tell whether a value is None, or an augmentation of skeeg or of braindecode."""
    return value is None or isinstance(value, Augmentation) or _is_of_braindecode(value)


def as_augmentation(value):
    """Get an augmentation of skeeg's kind; a transform of braindecode is wrapped."""
    return _OfBraindecode(value) if _is_of_braindecode(value) else value


class _RandomAugmentation(Augmentation):
    """An augmentation of some trials of the batch; subclasses write ``_transform`` of all of them."""

    def augment(self, X, y, generator):
        """Transform a batch; see :meth:`Augmentation.augment`."""
        self._validate_params()
        chosen = torch.rand(len(X), generator=generator, device=X.device) < self.probability
        changed, codes = self._transform(X, y, generator)
        return torch.where(chosen[:, None, None], changed, X), torch.where(chosen, codes, y)


class SegmentRecombination(_RandomAugmentation):
    """Compose trials of segments of other trials of the same class ("interaug").

    Parameters
    ----------
    n_segments : int, default=8
        Segments of (nearly) equal length a trial is cut into; each keeps its place in time.
    probability : float, default=0.5
        Share of the trials replaced.

    Raises
    ------
    ValueError
        When a parameter is out of its range, or a trial has fewer samples than ``n_segments``.

    Notes
    -----
    Lotte (2015), "Signal processing approaches to minimize or suppress calibration time in oscillatory
    activity-based brain-computer interfaces", Proc. IEEE 103(6); Song et al. (2023), "EEG Conformer", IEEE
    Trans. Neural Syst. Rehabil. Eng. 31. Departure: recombined trials replace trials of the batch, whose
    size stays, instead of joining it.

    Examples
    --------
    >>> import torch
    >>> from skeeg.augmentation import SegmentRecombination
    >>> X, y = torch.randn(6, 3, 100), torch.tensor([0, 1, 0, 1, 0, 1])
    >>> Z, _ = SegmentRecombination(n_segments=4).augment(X, y, torch.Generator().manual_seed(0))
    >>> Z.shape
    torch.Size([6, 3, 100])
    """

    _parameter_constraints = {
        "n_segments": [Interval(Integral, 2, None, closed="left")],
        "probability": _PROBABILITY,
    }

    def __init__(self, n_segments=8, probability=0.5):
        self.n_segments = n_segments
        self.probability = probability

    def _transform(self, X, y, generator):
        n_times, n_segments = X.shape[2], int(self.n_segments)
        if n_times < n_segments:
            raise ValueError(f"n_segments={n_segments} do not fit trials of {n_times} samples")
        same_class = (y[:, None] == y).float()
        donors = torch.multinomial(same_class, n_segments, replacement=True, generator=generator)
        bounds = [n_times * segment // n_segments for segment in range(n_segments + 1)]
        segments = [
            X[donors[:, segment], :, start:stop] for segment, (start, stop) in enumerate(pairwise(bounds))
        ]
        return torch.cat(segments, dim=2), y


class TimeShift(_RandomAugmentation):
    """Shift trials in time, all channels alike; what leaves at one end comes back at the other.

    Parameters
    ----------
    max_shift : float, default=0.05
        Largest shift, as a share of the trial, to either side.
    probability : float, default=0.5
        Share of the trials shifted.

    Raises
    ------
    ValueError
        When a parameter is out of its range.

    Examples
    --------
    >>> import torch
    >>> from skeeg.augmentation import TimeShift
    >>> X, y = torch.arange(5.0).reshape(1, 1, 5), torch.tensor([0])
    >>> Z, _ = TimeShift(max_shift=0.4, probability=1.0).augment(X, y, torch.Generator().manual_seed(0))
    >>> sorted(Z.flatten().tolist())
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """

    _parameter_constraints = {
        "max_shift": [Interval(Real, 0, 1, closed="neither")],
        "probability": _PROBABILITY,
    }

    def __init__(self, max_shift=0.05, probability=0.5):
        self.max_shift = max_shift
        self.probability = probability

    def _transform(self, X, y, generator):
        n_times = X.shape[2]
        largest = int(self.max_shift * n_times)
        shift = torch.randint(-largest, largest + 1, (len(X), 1), generator=generator, device=X.device)
        source = (torch.arange(n_times, device=X.device) - shift) % n_times  # (batch, n_times)
        return X.gather(2, source[:, None].expand_as(X)), y


class ChannelDropout(_RandomAugmentation):
    """Silence channels, as if electrodes had come off; one at least stays.

    Parameters
    ----------
    channel_probability : float, default=0.2
        Chance of each channel of a chosen trial to be set to zero.
    probability : float, default=0.5
        Share of the trials chosen.

    Raises
    ------
    ValueError
        When a parameter is out of its range.

    Examples
    --------
    >>> import torch
    >>> from skeeg.augmentation import ChannelDropout
    >>> X, y = torch.ones(4, 3, 100), torch.tensor([0, 1, 0, 1])
    >>> Z, _ = ChannelDropout(0.5, probability=1.0).augment(X, y, torch.Generator().manual_seed(0))
    >>> bool((Z.amax(2) == Z.amin(2)).all() and (Z.sum((1, 2)) > 0).all())
    True
    """

    _parameter_constraints = {"channel_probability": _PROBABILITY, "probability": _PROBABILITY}

    def __init__(self, channel_probability=0.2, probability=0.5):
        self.channel_probability = channel_probability
        self.probability = probability

    def _transform(self, X, y, generator):
        luck = torch.rand(X.shape[:2], generator=generator, device=X.device)  # (batch, n_chans)
        kept = (luck >= self.channel_probability) | (luck == luck.amax(dim=1, keepdim=True))
        return X * kept[:, :, None], y


class MirrorLeftRight(_RandomAugmentation):
    """Swap the hemispheres, and with them the classes of the two hands.

    Parameters
    ----------
    ch_names : sequence of str
        Names of the channels of X in the 10-05 system: odd numbers lie left, the next even ones mirror them.
    swapped_classes : (label, label), "both" or None, default="both"
        The classes that change places, such as ("left_hand", "right_hand"); "both" where there are two. None
        leaves the labels, for classes without a side.
    probability : float, default=0.5
        Share of the trials mirrored.

    Raises
    ------
    ValueError
        When a parameter is out of its range, ``ch_names`` are not those of X or none of the 10-05 system, a
        lateral channel has no counterpart, or ``swapped_classes`` are not classes, or not each other's mirror
        image where class names say left and right.

    Notes
    -----
    Deiss et al. (2018), "HAMLET: interpretable human and machine co-learning technique", mirror electrodes.
    ``augment`` alone knows no labels, and takes the codes of the classes for them.

    Examples
    --------
    >>> import torch
    >>> from skeeg.augmentation import MirrorLeftRight
    >>> X, y = torch.tensor([[[3.0], [0.0], [4.0]]]), torch.tensor([0])
    >>> mirror = MirrorLeftRight(["C3", "Cz", "C4"], probability=1.0)
    >>> Z, codes = mirror.augment(X, y, torch.Generator().manual_seed(0))
    >>> Z.flatten().tolist(), codes.tolist()
    ([4.0, 0.0, 3.0], [1])
    """

    _parameter_constraints = {
        "ch_names": ["array-like"],
        "swapped_classes": [tuple, list, StrOptions({"both"}), None],
        "probability": _PROBABILITY,
    }

    def __init__(self, ch_names, swapped_classes="both", probability=0.5):
        self.ch_names = ch_names
        self.swapped_classes = swapped_classes
        self.probability = probability

    def for_data(self, ch_names, classes):
        """Check names against those of the data; see :meth:`Augmentation.for_data`."""
        self._validate_params()
        mine, classes = [str(name) for name in self.ch_names], np.asarray(classes).tolist()
        if ch_names is not None and mine != list(ch_names):
            raise ValueError(
                f"MirrorLeftRight has ch_names={mine}, but the channels of X are {list(ch_names)}; "
                "give the names of X, in its order"
            )
        if self.swapped_classes is None:
            return self
        swapped = classes if self.swapped_classes == "both" else list(self.swapped_classes)
        if len(swapped) != 2 or swapped[0] == swapped[1] or any(label not in classes for label in swapped):
            raise ValueError(f"swapped_classes={self.swapped_classes!r} must be two of the classes {classes}")
        first, second = map(str, swapped)
        has_sides = any(re.search("left|right", str(label), re.IGNORECASE) for label in classes)
        if self.swapped_classes == "both" and isinstance(classes[0], str) and not has_sides:
            raise ValueError(
                f"swapped_classes='both', but the names of the classes {classes} do not say left and right: "
                "name the two that change places, or give None"
            )
        if has_sides and _other_side(first) != second:
            raise ValueError(
                f"swapped_classes={self.swapped_classes!r} are {first!r} and {second!r}, which are not each "
                f"other's mirror image; name two of the classes {classes}"
            )
        return MirrorLeftRight(self.ch_names, tuple(map(classes.index, swapped)), self.probability)

    def has_counterparts(self):
        """Tell whether each channel has one in the other hemisphere, by its name.

        Returns
        -------
        bool
        """
        try:
            return bool(_places_of_counterparts(tuple(self.ch_names)))
        except ValueError:
            return False

    def _transform(self, X, y, generator):
        names = list(self.ch_names)
        if len(names) != X.shape[1]:
            raise ValueError(f"ch_names names {len(names)} channels, but X has {X.shape[1]}")
        mirrored, codes = _places_of_counterparts(tuple(names)), y
        if self.swapped_classes is not None:
            first, second = (0, 1) if self.swapped_classes == "both" else self.swapped_classes
            if isinstance(first, str):
                raise ValueError(
                    f"swapped_classes={self.swapped_classes} are names, and codes have none; give codes, or "
                    "let an estimator augment"
                )
            codes = torch.where(y == first, second, torch.where(y == second, first, y))
        return X[:, mirrored], codes


def _other_side(label):
    """The name of a class with left for right, and right for left."""
    sides = {
        "left": "right",
        "right": "left",
        "Left": "Right",
        "Right": "Left",
        "LEFT": "RIGHT",
        "RIGHT": "LEFT",
    }
    return re.sub("|".join(sides), lambda side: sides[side.group()], label)


class FourierSurrogate(_RandomAugmentation):
    """Add random phases to the Fourier transform: another course in time, the same spectrum.

    Parameters
    ----------
    phase_noise : float, default=1.0
        Phases are drawn from 0 to this share of a full turn.
    probability : float, default=0.5
        Share of the trials changed.

    Raises
    ------
    ValueError
        When a parameter is out of its range.

    Notes
    -----
    Schwabedal et al. (2018), "Addressing class imbalance in classification problems of noisy signals by
    using Fourier transform surrogates", arXiv 1806.08675. Each frequency gets the same phase in all channels,
    which leaves their covariance, in every band, as it is.

    Examples
    --------
    >>> import torch
    >>> from skeeg.augmentation import FourierSurrogate
    >>> X, y = torch.randn(4, 3, 100), torch.tensor([0, 1, 0, 1])
    >>> Z, _ = FourierSurrogate(probability=1.0).augment(X, y, torch.Generator().manual_seed(0))
    >>> torch.allclose(torch.fft.rfft(Z).abs(), torch.fft.rfft(X).abs(), atol=1e-4)
    True
    """

    _parameter_constraints = {
        "phase_noise": [Interval(Real, 0, 1, closed="right")],
        "probability": _PROBABILITY,
    }

    def __init__(self, phase_noise=1.0, probability=0.5):
        self.phase_noise = phase_noise
        self.probability = probability

    def _transform(self, X, y, generator):
        n_times = X.shape[2]
        spectrum = torch.fft.rfft(X)
        turns = torch.rand(
            (len(X), 1, spectrum.shape[2]), generator=generator, device=X.device, dtype=X.dtype
        )
        # The mean, and at even lengths the highest frequency, are real: they have no phase.
        turns[..., 0] = 0
        if n_times % 2 == 0:
            turns[..., -1] = 0
        phases = 2 * torch.pi * self.phase_noise * turns
        return torch.fft.irfft(spectrum * torch.polar(torch.ones_like(phases), phases), n_times), y


class SmoothTimeMask(_RandomAugmentation):
    """Fade a stretch of a trial out and in again, all channels alike.

    Parameters
    ----------
    mask_length : float, default=0.2
        Length of the stretch, as a share of the trial; a quarter of it fades out, a quarter in.
    probability : float, default=0.5
        Share of the trials masked.

    Raises
    ------
    ValueError
        When a parameter is out of its range.

    Notes
    -----
    Mohsenvand et al. (2020), "Contrastive representation learning for electroencephalogram classification",
    with raised-cosine edges.

    Examples
    --------
    >>> import torch
    >>> from skeeg.augmentation import SmoothTimeMask
    >>> X, y = torch.ones(4, 3, 100), torch.tensor([0, 1, 0, 1])
    >>> Z, _ = SmoothTimeMask(0.4, probability=1.0).augment(X, y, torch.Generator().manual_seed(0))
    >>> Z.amin().item(), Z.amax().item()
    (0.0, 1.0)
    """

    _parameter_constraints = {
        "mask_length": [Interval(Real, 0, 1, closed="neither")],
        "probability": _PROBABILITY,
    }

    def __init__(self, mask_length=0.2, probability=0.5):
        self.mask_length = mask_length
        self.probability = probability

    def _transform(self, X, y, generator):
        n_times = X.shape[2]
        half = self.mask_length * n_times / 2
        luck = torch.rand((len(X), 1, 1), generator=generator, device=X.device, dtype=X.dtype)
        centre = half + luck * (n_times - 2 * half)
        distance = (torch.arange(n_times, device=X.device, dtype=X.dtype) - centre).abs()
        # 0 up to half of the stretch around its centre, 1 from its ends on.
        kept = ((distance - half / 2) / (half / 2)).clamp(0, 1)
        return X * (1 - torch.cos(torch.pi * kept)) / 2, y


@functools.cache  # asked for each batch
def _places_of_counterparts(names):
    known = {name.casefold() for name in standard_montage().ch_names}
    if unknown := [name for name in names if name.casefold() not in known]:
        raise ValueError(
            f"{unknown} are no names of the 10-05 system, by which channels are mirrored; rename them "
            "(mne.datasets.eegbci.standardize does so for EEGBCI) or leave them out"
        )
    places = {name.casefold(): i for i, name in enumerate(names)}
    counterparts = [_counterpart(name.casefold()) for name in names]
    if alone := [name for name, other in zip(names, counterparts, strict=True) if other not in places]:
        raise ValueError(f"Channels {alone} have no counterpart in the other hemisphere; leave them out")
    return [places[other] for other in counterparts]


def _counterpart(name):
    """The electrode across the midline: C3 for C4, C4 for C3, Cz for Cz."""
    found = re.fullmatch(r"(.*?)(\d+)(h?)", name)
    if found is None:
        return name
    number = int(found[2])
    return f"{found[1]}{number + 1 if number % 2 else number - 1}{found[3]}"
