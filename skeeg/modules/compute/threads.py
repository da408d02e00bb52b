"""Trials shared among threads, a few at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from itertools import pairwise
from queue import SimpleQueue

import torch
from torch.autograd.function import once_differentiable


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
    if n_threads == 1 or sys.is_finalizing():
        return [function(piece) for piece in pieces]
    if len(pieces) == 1:
        with threads_for_pieces():
            return [function(pieces[0])]
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def share(first):
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
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


def map_with_gradients(function, pieces, shared):
    """Call a function for each piece of a batch in threads, forward and backward.

    Parameters
    ----------
    function : callable
        Called as ``function(*piece, *shared)``; as for `map_in_threads`, and depends on no other tensors that
        gradients are taken by.
    pieces : sequence of tuples of torch.Tensor
        What to call it with, as many tensors each.
    shared : sequence of torch.Tensor
        What all calls take. Gradients by it are summed in the order of the pieces.

    Returns
    -------
    list of tuples of torch.Tensor
        What it gave, in the order of ``pieces``; as many tensors each.

    Examples
    --------
    >>> import torch
    >>> x, weight = torch.ones(4, 3), torch.ones(3, requires_grad=True)
    >>> parts = map_with_gradients(lambda x, w: (x @ w,), [(part,) for part in x.split(2)], [weight])
    >>> torch.cat([y for (y,) in parts]).sum().backward()
    >>> weight.grad
    tensor([4., 4., 4.])
    """
    if (
        not torch.is_grad_enabled()
        or torch._C._are_functorch_transforms_active()
        or torch.compiler.is_compiling()
    ):
        return map_in_threads(lambda piece: function(*piece, *shared), pieces)
    outputs = _Pieces.apply(
        function, len(pieces), len(shared), *shared, *(t for piece in pieces for t in piece)
    )
    size = len(outputs) // len(pieces)
    return [outputs[i : i + size] for i in range(0, len(outputs), size)]


class _Pieces(torch.autograd.Function):
    """`map_with_gradients`: each piece records a graph, and a thread goes back through it."""

    @staticmethod
    def forward(ctx, function, n_pieces, n_shared, *tensors):
        shared, tensors = tensors[:n_shared], tensors[n_shared:]
        size = len(tensors) // n_pieces

        def record(piece):
            with _no_hooks_on_saved_tensors(), torch.enable_grad():
                inputs = [t.detach().requires_grad_(t.requires_grad) for t in (*piece, *shared)]
                return inputs, function(*inputs)

        pieces = [tensors[i : i + size] for i in range(0, len(tensors), size)]
        recorded = map_in_threads(record, pieces)
        ctx.n_pieces, ctx.n_shared = n_pieces, n_shared
        ctx.save_for_backward(*(t for inputs, outputs in recorded for t in (*inputs, *outputs)))
        return tuple(t.detach() for _, outputs in recorded for t in outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        saved = ctx.saved_tensors
        n_out, n_saved = len(grads) // ctx.n_pieces, len(saved) // ctx.n_pieces

        def differentiate(i):
            tensors = saved[i * n_saved : (i + 1) * n_saved]
            inputs, outputs = tensors[:-n_out], tensors[-n_out:]
            wanted = [t for t in inputs if t.requires_grad]
            pairs = zip(outputs, grads[i * n_out : (i + 1) * n_out], strict=True)
            pairs = [(output, grad) for output, grad in pairs if output.requires_grad]
            if not pairs:
                return [None] * len(inputs)
            outputs, given = zip(*pairs, strict=True)
            by = torch.autograd.grad(outputs, wanted, given, retain_graph=True, allow_unused=True)
            by = iter(by)
            return [next(by) if t.requires_grad else None for t in inputs]

        pieces = map_in_threads(differentiate, range(ctx.n_pieces))
        n_own = n_saved - n_out - ctx.n_shared
        by_shared = [
            None if parts[0] is None else sum(parts[1:], parts[0])
            for parts in zip(*(piece[n_own:] for piece in pieces), strict=True)
        ]
        return None, None, None, *by_shared, *(by for piece in pieces for by in piece[:n_own])


def _no_hooks_on_saved_tensors():
    """Keep hooks such as a checkpoint's from the graphs of pieces: of these they know one thread's alone."""
    current = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)  # since PyTorch 2.8
    if current is None or current(False) is None:
        return contextlib.nullcontext()
    return torch.autograd.graph.saved_tensors_hooks(_same, _same)  # slow: Python for each tensor


def _same(saved):
    return saved


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


def joined(pieces, dim=0):
    """Pieces of a batch as one tensor, which is no copy of a single one."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim)


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
