"""What every skeeg network shares: the shape of its input, its head and its features."""

from __future__ import annotations

import torch
from torch import nn


class EEGModule(nn.Module):
    """Base of skeeg's networks.

    A network is two functions: ``forward_features`` (an encoder) and ``forward_head`` (a classifier
    on top of the encoder's features). Subclasses write those two and ``reset_head``; they store every
    ``__init__`` argument unchanged under its own name, as scikit-learn estimators do, so that the
    configuration of a network can be read back.

    Parameters
    ----------
    n_chans : int, optional
        Number of channels (electrodes); from ``chs_info`` when not given.
    n_outputs : int
        Number of classes.
    n_times : int, optional
        Number of samples in a window; ``input_window_seconds * sfreq`` when not given.
    input_window_seconds : float, optional
        Length of a window in seconds.
    sfreq : float, optional
        Sampling rate in Hz.
    chs_info : list of dict, optional
        ``mne.Info["chs"]`` of the recording, one entry a channel.

    Raises
    ------
    ValueError
        When the shape of the input does not follow from the arguments, or they contradict each other.
    """

    def __init__(
        self,
        n_chans=None,
        n_outputs=None,
        n_times=None,
        *,
        input_window_seconds=None,
        sfreq=None,
        chs_info=None,
    ):
        super().__init__()
        if n_chans is None and chs_info is not None:
            n_chans = len(chs_info)
        if n_times is None and input_window_seconds is not None and sfreq is not None:
            n_times = round(input_window_seconds * sfreq)
        for name, value, remedy in (
            ("n_chans", n_chans, "n_chans or chs_info"),
            ("n_times", n_times, "n_times, or input_window_seconds and sfreq"),
            ("n_outputs", n_outputs, "n_outputs"),
        ):
            if value is None:
                raise ValueError(f"{type(self).__name__} needs {name}; give {remedy}")
            if int(value) != value or value < 1:
                raise ValueError(f"{name}={value} must be a whole number of at least 1")
        if chs_info is not None and len(chs_info) != n_chans:
            raise ValueError(f"n_chans={n_chans} but chs_info describes {len(chs_info)} channels")
        if (
            input_window_seconds is not None
            and sfreq is not None
            and round(input_window_seconds * sfreq) != n_times
        ):
            raise ValueError(
                f"n_times={n_times} but input_window_seconds={input_window_seconds} at "
                f"sfreq={sfreq} is {round(input_window_seconds * sfreq)} samples"
            )
        self.n_chans = int(n_chans)
        self.n_outputs = int(n_outputs)
        self.n_times = int(n_times)
        self.input_window_seconds = input_window_seconds
        self.sfreq = sfreq
        self.chs_info = chs_info

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Encode trials: (batch, n_chans, n_times) -> (batch, n_features)."""
        raise NotImplementedError("a network defines forward_features")

    def forward_head(self, features: torch.Tensor) -> torch.Tensor:
        """Classify features: (batch, n_features) -> logits (batch, n_outputs)."""
        raise NotImplementedError("a network defines forward_head")

    def forward(self, x: torch.Tensor, return_features: bool = False):
        """Classify trials.

        Parameters
        ----------
        x : torch.Tensor, shape (batch, n_chans, n_times)
            Trials, in the unit the network was trained on.
        return_features : bool, default=False
            Give the features as well.

        Returns
        -------
        torch.Tensor, shape (batch, n_outputs), or dict
            Logits; with ``return_features`` the dict ``{"features": (batch, n_features),
            "logits": (batch, n_outputs)}``.
        """
        features = self.forward_features(x)
        logits = self.forward_head(features)
        return {"features": features, "logits": logits} if return_features else logits
