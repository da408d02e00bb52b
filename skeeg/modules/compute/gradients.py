"""Gradients written by hand, where PyTorch's own take longer."""

from __future__ import annotations

import torch

from skeeg.modules.compute.pytorch import (
    are_batched,
    call_recorded,
    computes_plainly,
    full_precision,
    function_of,
    plainly,
    records_gradients,
    without_saving_hooks,
)
from skeeg.modules.compute.threads import map_in_threads


class ByHand(torch.autograd.Function):
    """Base of functions whose first derivative is written by hand; to call with `apply`.

    A subclass defines, as static methods,

    - ``forward(*inputs)``: outputs, then tensors that the gradient needs;
    - ``setup_context(ctx, inputs, output)``, which calls `keep`;
    - ``gradient(ctx, inputs, kept, *grads)``: gradients by the inputs, from those by the outputs, each None
      where it is 0;
    - ``plain(*inputs)``: the same outputs in operations that PyTorch differentiates, however often and in
      either direction; ``forward`` itself where that overwrites no tensor.

    The gradient written by hand serves where nobody differentiates it again. Where that is asked for
    (``create_graph=True``), or gradients come in batches, the gradient is that of the plain form.
    """

    @staticmethod
    def backward(ctx, *grads):
        """Compute gradients, by hand or by way of the plain form."""
        tensors = list(ctx.saved_tensors)
        inputs = [tensors.pop(0) if is_tensor else value for is_tensor, value in ctx.given]
        if all(grad is None for grad in grads):
            return (None,) * len(inputs)
        if _asks_for_more(grads):
            return gradients(function_of(ctx).plain, inputs, ctx.needs_input_grad, grads)
        return function_of(ctx).gradient(ctx, inputs, tensors, *grads)


def _asks_for_more(grads):
    """Whether a backward pass asks for more than numbers: gradients of gradients, or many at a time."""
    return records_gradients() or computes_plainly() or are_batched(grads)


def keep(ctx, inputs, kept, outputs=()):
    """Keep what the gradient of a function by hand needs.

    Parameters
    ----------
    ctx, inputs
        What ``setup_context`` got.
    kept : sequence of torch.Tensor or None
        What ``forward`` made for the gradient, its last outputs.
    outputs : sequence of torch.Tensor
        Outputs that the gradient needs as well; they come after ``kept``.
    """
    given = [(isinstance(value, torch.Tensor), value) for value in inputs]
    ctx.given = [(is_tensor, None if is_tensor else value) for is_tensor, value in given]
    ctx.mark_non_differentiable(*(tensor for tensor in kept if tensor is not None))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*(value for is_tensor, value in given if is_tensor), *kept, *outputs)


def gradients(function, inputs, needs, grads):
    """Gradients of a function by PyTorch's own means; where gradients are recorded, with a graph.

    Parameters
    ----------
    function : callable
        Gives a tensor or several.
    inputs : sequence
        Its arguments.
    needs : sequence of bool
        Whether the gradient by an argument is asked for.
    grads : sequence of torch.Tensor or None
        Gradients by the outputs, as many or more.

    Returns
    -------
    tuple of torch.Tensor or None
        Gradients by the arguments.
    """
    create_graph = records_gradients()
    given = next(grad for grad in grads if grad is not None)
    with torch.enable_grad(), plainly(), full_precision(given):
        # views: one tensor may be several arguments, whose gradients are not to be mixed up
        inputs = [value.view_as(value) if need else value for value, need in zip(inputs, needs, strict=True)]
        outputs = function(*inputs)
        outputs = (outputs,) if isinstance(outputs, torch.Tensor) else outputs
        pairs = [
            (output, grad)
            for output, grad in zip(outputs, grads, strict=False)
            if grad is not None and output.requires_grad
        ]
        if not pairs:
            return (None,) * len(inputs)
        wanted = [value for value, need in zip(inputs, needs, strict=True) if need]
        outputs, grads = zip(*pairs, strict=True)
        by = iter(torch.autograd.grad(outputs, wanted, grads, create_graph=create_graph, allow_unused=True))
    return tuple(next(by) if need else None for need in needs)


def apply(function, *args):
    """Apply an autograd function; where no gradients are recorded, its forward pass alone.

    What ``function.apply`` does around the forward pass takes as long as a layer does for one trial.

    Parameters
    ----------
    function : type of torch.autograd.Function
        `ByHand`, or one with ``plain``, a ``forward`` that takes no context, and a gradient of plain
        operations.
    *args
        Its arguments.

    Returns
    -------
    torch.Tensor or tuple of torch.Tensor
        Its outputs.
    """
    if computes_plainly():
        return function.plain(*args)
    if not records_gradients():
        return function.forward(*args)
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
    if not records_gradients() or computes_plainly():
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
        ctx.function, ctx.n_pieces, ctx.n_shared = function, n_pieces, n_shared

        def record(inputs):
            with without_saving_hooks(), torch.enable_grad():
                inputs = [t.detach().requires_grad_(t.requires_grad) for t in inputs]
                return inputs, function(*inputs)

        recorded = map_in_threads(record, _inputs_of_pieces(ctx, tensors))
        saved = (t for inputs, outputs in recorded for t in (*inputs, *outputs))
        ctx.save_for_backward(*tensors, *saved)
        return tuple(t.detach() for _, outputs in recorded for t in outputs)

    @staticmethod
    def backward(ctx, *grads):
        saved, n_tensors = ctx.saved_tensors, len(ctx.needs_input_grad) - 3
        tensors, saved = saved[:n_tensors], saved[n_tensors:]
        if _asks_for_more(grads):

            def plain(*tensors):
                pieces = _inputs_of_pieces(ctx, tensors)
                return [output for inputs in pieces for output in ctx.function(*inputs)]

            return None, None, None, *gradients(plain, tensors, ctx.needs_input_grad[3:], grads)
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


def _inputs_of_pieces(ctx, tensors):
    """What the function is called with for each piece, from shared tensors and those of the pieces."""
    shared, tensors = tensors[: ctx.n_shared], tensors[ctx.n_shared :]
    size = len(tensors) // ctx.n_pieces
    return [(*tensors[i : i + size], *shared) for i in range(0, len(tensors), size)]
