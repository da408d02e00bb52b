"""Randomness of one training: decided by a seed, and nobody else's."""

from __future__ import annotations

import contextlib
import threading
from numbers import Integral

import numpy as np
import torch
from sklearn.utils import check_random_state

from skeeg.augmentation import as_augmentation

_SEEDING = threading.RLock()  # torch has one generator for all threads: fits in threads take turns


@contextlib.contextmanager
def own_randomness(random_state, device):
    """Seed torch for the duration of a fit; the generators of the user go on as if there were none.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        The estimator's parameter.
    device : torch.device
        Where the network is.

    Yields
    ------
    int
        The seed.
    """
    if random_state is None:
        seed = int(np.random.default_rng().integers(2**31))
    elif isinstance(random_state, Integral):
        seed = int(random_state)
    else:
        seed = int(check_random_state(random_state).randint(2**31 - 1))
    kind = device.type
    with _SEEDING, torch.random.fork_rng([device] if kind == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
        if kind == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif kind == "mps":
            before = torch.mps.get_rng_state()
            torch.mps.manual_seed(seed)
        try:
            yield seed
        finally:
            if kind == "mps":
                torch.mps.set_rng_state(before)


class Augmenter:
    """Augmentations of one training, with their generator.

    Parameters
    ----------
    augmentation : Augmentation, list of Augmentation, or None
        The estimator's parameter.
    ch_names : tuple of str or None
        Channel names of the trials.
    classes : ndarray
        Labels of the classes.
    seed : int
        Seed of the generator.
    device : torch.device
        Where batches are.
    """

    def __init__(self, augmentation, ch_names, classes, seed, device):
        chosen = augmentation if isinstance(augmentation, list) else [augmentation]
        self.steps = [
            as_augmentation(step).for_data(ch_names, classes) for step in chosen if step is not None
        ]
        self.generator = torch.Generator(device).manual_seed(seed)

    def __call__(self, X, codes):
        """Draw a training batch anew."""
        for step in self.steps:
            X, codes = step.augment(X, codes, self.generator)
        return X, codes
