"""Trials shared among threads, a few at a time."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

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
        What to call it with; dealt out to the threads in turns, of which the caller's is one.

    Returns
    -------
    list
        What it gave, in the order of ``pieces``.

    Notes
    -----
    Pieces follow each other in this thread where PyTorch has a single one, as within joblib's workers and
    within these threads, and for whatever follows operations (``torch.func``, ``torch.compile``, tracing,
    dispatch modes), which sees one thread only. Python threads that start while pieces are computed keep
    PyTorch's number of threads of that moment, one.

    Examples
    --------
    >>> import torch
    >>> map_in_threads(torch.sum, torch.ones(4, 3).split(2))
    [tensor(6.), tensor(6.)]
    """
    if (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
    ):
        return [function(piece) for piece in pieces]
    n_threads = _for_pieces.n_threads or torch.get_num_threads()
    if n_threads == 1:
        return [function(piece) for piece in pieces]
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def share(first):
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return [function(piece) for piece in pieces[first::n_threads]]

    try:
        others = [_pool(n_threads).submit(share, i) for i in range(1, min(n_threads, len(pieces)))]
    except RuntimeError:  # Python is about to end, and starts no more work in threads
        return [function(piece) for piece in pieces]
    with threads_for_pieces():
        before, _for_pieces.n_threads = _for_pieces.n_threads, 1  # pieces of pieces stay in their thread
        try:
            own = share(0)
        finally:
            _for_pieces.n_threads = before
            wait(others)  # they may write where the caller goes on
    shares = [own, *(other.result() for other in others)]
    return [shares[i % n_threads][i // n_threads] for i in range(len(pieces))]


def few_trials(trials, at_most=8):
    """Slices of a batch for `map_in_threads`: a few trials each, in an even number of slices where that goes.

    So few that what is made of them stays in a processor's cache from one operation to the next; on other
    devices than the CPU, one slice of all.

    Parameters
    ----------
    trials : torch.Tensor, shape (batch, ...)
        The batch.
    at_most : int, default=8
        Trials in a slice, a multiple of eight.

    Returns
    -------
    list of slice
        Of eight trials or a multiple, but for the last: vectorised arithmetic rounds the last numbers of an
        odd share differently, and what is computed of a trial should not depend on its place in the batch.

    Examples
    --------
    >>> import torch
    >>> few_trials(torch.zeros(32, 22, 1000), 16)
    [slice(0, 16, None), slice(16, 32, None)]
    >>> few_trials(torch.zeros(20, 22, 1000))
    [slice(0, 8, None), slice(8, 16, None), slice(16, 20, None)]
    """
    if trials.device.type != "cpu":
        return [slice(None)]
    n_trials = len(trials)
    eights = -(-n_trials // 8)
    n_slices = max(1, min(eights, 2 * -(-eights * 8 // (2 * at_most))))
    bounds = [min(8 * (eights * i // n_slices), n_trials) for i in range(n_slices + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def joined(pieces):
    """Pieces of a batch as one tensor, which is no copy of a single one."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


@contextlib.contextmanager
def threads_for_pieces():
    """Keep PyTorch's threads for `map_in_threads`: single operations use one.

    After an operation that they share, PyTorch's threads wait for the next one without sleeping, and take
    the processor from the threads that compute pieces.
    """
    n_threads = 1 if torch.compiler.is_compiling() else torch.get_num_threads()
    if n_threads == 1:
        yield
        return
    before = _for_pieces.n_threads
    _for_pieces.n_threads = n_threads
    torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch.get_num_threads() == 1:  # else somebody asked for another number meanwhile
            torch.set_num_threads(n_threads)
        _for_pieces.n_threads = before


class _ForPieces(threading.local):
    n_threads = None  # as many as PyTorch uses


_for_pieces = _ForPieces()
_making = threading.Lock()


def _pool(n_threads):
    with _making:
        return _make_pool(n_threads)


@functools.lru_cache(maxsize=1)
def _make_pool(n_threads):
    before = torch.get_num_threads()
    n_others = n_threads - 1
    pool = ThreadPoolExecutor(n_others, "skeeg", initializer=_use_one_thread)
    everyone = threading.Barrier(n_threads)
    for _ in range(n_others):  # a thread each, all of them started
        pool.submit(everyone.wait)
    everyone.wait()
    torch.set_num_threads(before)  # what threads to come start with, set to 1 above
    return pool


def _use_one_thread():
    torch.set_num_threads(1)
    torch.get_num_threads()  # the first use in a thread takes over what was set last in any thread


if hasattr(os, "register_at_fork"):  # threads do not survive a fork, their pool does
    os.register_at_fork(after_in_child=_make_pool.cache_clear)
