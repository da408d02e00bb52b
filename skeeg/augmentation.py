"""Label-preserving transforms of a training batch."""

from __future__ import annotations

from sklearn.base import BaseEstimator


class Augmentation(BaseEstimator):
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
