"""Gradients written by hand, where gradients are wanted."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from skeeg.modules.compute.pytorch import (
    call_recorded,
    is_compiling,
    is_transformed,
    records_gradients,
    without_saving_hooks,
)
from skeeg.modules.compute.threads import map_in_threads


def apply(function, *args):
    """Apply an autograd function; where no gradients are recorded, its forward pass alone.

    What ``function.apply`` does around the forward pass takes as long as a layer does for one trial.

    Parameters
    ----------
    function : type of torch.autograd.Function
        One whose ``forward`` takes no context.
    *args
        Its arguments.

    Returns
    -------
    torch.Tensor or tuple of torch.Tensor
        Its outputs.
    """
    if not records_gradients():
        return function.forward(*args)
    if is_transformed() or is_compiling():
        return function.apply(*args)
    return call_recorded(function, args)


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
    if not records_gradients() or is_transformed() or is_compiling():
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
            with without_saving_hooks(), torch.enable_grad():
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
