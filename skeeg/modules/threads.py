"""Trials shared among threads, a few at a time."""

from __future__ import annotations

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch


def map_in_threads(function, pieces):
    """Call a function for each piece of a batch, in as many threads as PyTorch uses.

    PyTorch splits every single operation among its threads. The operations here are so short that waiting for
    each other takes as long as the work; whole chains of them, for a few trials each, do not wait. A piece
    is computed by one thread, so that results do not depend on the number of threads.

    Parameters
    ----------
    function : callable
        Called with a piece; draws no random numbers and changes nothing that another call reads. It runs
        in the gradient and inference mode of the caller.
    pieces : sequence
        What to call it with.

    Returns
    -------
    list
        What it gave, in the order of ``pieces``.

    Notes
    -----
    Pieces follow each other in this thread where PyTorch has a single one, as within joblib's workers and
    within these threads, and under ``torch.func`` and ``torch.compile``, which see one thread only.

    Examples
    --------
    >>> import torch
    >>> map_in_threads(torch.sum, torch.ones(4, 3).split(2))
    [tensor(6.), tensor(6.)]
    """
    one_thread_only = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    if one_thread_only or len(pieces) == 1 or torch.get_num_threads() == 1:
        return [function(piece) for piece in pieces]
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def in_mode(piece):
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return function(piece)

    return list(_pool(torch.get_num_threads()).map(in_mode, pieces))


_making = threading.Lock()


def _pool(n_threads):
    with _making:
        return _make_pool(n_threads)


@functools.lru_cache(maxsize=1)
def _make_pool(n_threads):
    pool = ThreadPoolExecutor(n_threads, "skeeg", initializer=_use_one_thread)
    everyone = threading.Barrier(n_threads + 1)  # a thread each, all of them started
    for _ in range(n_threads):
        pool.submit(everyone.wait)
    everyone.wait()
    torch.set_num_threads(n_threads)  # what threads to come start with, set to 1 above
    return pool


def _use_one_thread():
    torch.set_num_threads(1)
    torch.get_num_threads()  # the first use in a thread takes over what was set last in any thread


if hasattr(os, "register_at_fork"):  # threads do not survive a fork, their pool does
    os.register_at_fork(after_in_child=_make_pool.cache_clear)
