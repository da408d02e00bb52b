"""Trials shared among threads, a few at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from itertools import pairwise
from queue import SimpleQueue

import torch

from skeeg.modules.compute.pytorch import computes_plainly, is_compiling, is_followed, modes_of_this_thread


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
    if is_followed():
        return [function(piece) for piece in pieces]
    n_threads = _for_pieces.n_threads or torch.get_num_threads()
    if n_threads == 1 or sys.is_finalizing():
        return [function(piece) for piece in pieces]
    if len(pieces) == 1:
        with threads_for_pieces():
            return [function(pieces[0])]
    in_modes = modes_of_this_thread()

    def share(first):
        with in_modes():
            return [function(piece) for piece in pieces[first::n_threads]]

    n_others = min(n_threads, len(pieces)) - 1
    try:
        _workers.start(n_others)
    except RuntimeError:  # Python is about to end, and starts no more threads
        return [function(piece) for piece in pieces]
    results = _workers.hand_out(share, range(1, 1 + n_others))
    with threads_for_pieces():
        before, _for_pieces.n_threads = _for_pieces.n_threads, 1  # pieces of pieces stay in their thread
        try:
            shares = {0: share(0)}
        finally:
            _for_pieces.n_threads = before
            others = [results.get() for _ in range(n_others)]  # they may write where the caller goes on
    for first, others_share, error in others:
        if error is not None:
            raise error
        shares[first] = others_share
    return [shares[i % n_threads][i // n_threads] for i in range(len(pieces))]


def few_trials(trials, at_most=8):
    """Slices of a batch for `map_in_threads`: a few trials each, in an even number of slices where that goes.

    So few that what is made of them stays in a processor's cache from one operation to the next. One slice of
    all on other devices than the CPU, and where plain operations are asked for.

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
    if trials.device.type != "cpu" or computes_plainly():
        return [slice(None)]
    n_trials = len(trials)
    eights = -(-n_trials // 8)
    n_slices = max(1, min(eights, 2 * -(-eights * 8 // (2 * at_most))))
    bounds = [min(8 * (eights * i // n_slices), n_trials) for i in range(n_slices + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def joined(pieces, dim=0):
    """Pieces of a batch as one tensor, which is no copy of a single one."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)


@contextlib.contextmanager
def threads_for_pieces():
    """Keep PyTorch's threads for `map_in_threads`: single operations use one.

    After an operation that they share, PyTorch's threads wait for the next one without sleeping, and take
    the processor from the threads that compute pieces.
    """
    n_threads = 1 if is_compiling() else torch.get_num_threads()
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


class _Workers:
    """Threads that wait for work; they sleep and wake in half the time that those of a standard pool take."""

    def __init__(self):
        self.jobs = SimpleQueue()
        self.n_started = 0
        self.starting = threading.Lock()

    def start(self, n_threads):
        """Have at least so many threads."""
        with self.starting:
            before = torch.get_num_threads()
            while self.n_started < n_threads:
                started = threading.Event()
                threading.Thread(target=self._work, args=(started,), name="skeeg", daemon=True).start()
                self.n_started += 1
                try:
                    started.wait()
                finally:
                    torch.set_num_threads(before)  # what threads to come start with, set to 1 by the new one

    def hand_out(self, function, arguments):
        """Have a function called for each argument; get a queue of (argument, result, error)."""
        results = SimpleQueue()
        for argument in arguments:
            self.jobs.put((function, argument, results))
        return results

    def _work(self, started):
        torch.set_num_threads(1)
        torch.get_num_threads()  # the first use in a thread takes over what was set last in any thread
        started.set()
        while True:
            function, argument, results = self.jobs.get()
            try:
                result = argument, function(argument), None
            except BaseException as error:
                result = argument, None, error
            results.put(result)
            del function, argument, results, result  # nothing of it is kept until there is more to do


_for_pieces = _ForPieces()
_workers = _Workers()

if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=lambda: _workers.__init__())
