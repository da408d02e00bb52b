"""A linear layer whose gradients do not depend on the number of threads."""

from __future__ import annotations

import torch

from skeeg.modules.compute.autograd import apply
from skeeg.modules.compute.threads import threads_for_pieces


class _Linear(torch.autograd.Function):
    """Sums of products forward, whose order does not depend on a trial's place; backward in one thread."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, weight):
        return (x.unsqueeze(1) * weight).sum(-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        need_x, need_weight = ctx.needs_input_grad
        with threads_for_pieces():
            return (
                grad @ weight.to(grad.dtype) if need_x else None,
                grad.mT @ x.to(grad.dtype) if need_weight else None,
            )


def linear(x, weight, bias=None):
    """Compute what `torch.nn.functional.linear` does.

    Threads share a matrix product of all trials, and round the last numbers of their shares differently.

    Parameters
    ----------
    x : torch.Tensor, shape (batch, n_in)
        Features.
    weight : torch.Tensor, shape (n_out, n_in)
        Weights.
    bias : torch.Tensor, shape (n_out,), optional
        Bias.

    Returns
    -------
    torch.Tensor, shape (batch, n_out)
    """
    y = apply(_Linear, x, weight)
    return y if bias is None else y + bias
