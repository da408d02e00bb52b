"""Where networks run: what a user says of a device, turned into one that is there; threads after a fork."""

from __future__ import annotations

import contextlib
import os

import torch

_PROCESS = os.getpid()  # of which another process may be a fork


def resolve_device(device):
    """Get a device that can be used.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes CUDA or MPS where present, else the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        When this machine, or this PyTorch, has no such device.
    """
    if str(device) == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]}; "
            'device="auto" takes what there is'
        ) from error
    return resolved


@contextlib.contextmanager
def threads_for_operations():
    """Let single operations have PyTorch's threads, but in a fork, which would wait for them in vain."""
    n_threads = torch.get_num_threads()
    if os.getpid() == _PROCESS or n_threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
