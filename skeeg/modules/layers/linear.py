"""Matrix products whose rounding depends neither on the number of threads nor on the place in a batch."""

from __future__ import annotations

import torch

from skeeg.modules.compute import apply, threads_for_pieces


class _Linear(torch.autograd.Function):
    """Sums of products forward, whose order does not depend on a trial's place; backward in one thread."""

    @staticmethod
    def forward(x, weight):
        return (x.unsqueeze(1) * weight).sum(-1)

    plain = forward

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


def mix_rows(weight, x):
    """Compute weight @ x of (n_out, n_in) and (batch, n_in, times): (batch, n_out, times).

    One product a trial: the gradient of a single product over (batch, times) is a sum that a matrix library
    may split among threads, and its rounding would depend on their number.
    """
    return torch.bmm(weight.expand(x.shape[0], -1, -1), x)


class _SharedProduct(torch.autograd.Function):
    """(batch, m, k) by (k, n), a product a trial: its place in a batch does not change its rounding.

    The gradient by the matrix is one product.
    """

    @staticmethod
    def forward(x, matrix):
        return torch.bmm(x, matrix.expand(x.shape[0], -1, -1))

    plain = forward

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        x, matrix = ctx.saved_tensors
        need_x, need_matrix = ctx.needs_input_grad
        grad_x = grad_matrix = None
        if need_x:
            grad_x = torch.bmm(grad, matrix.T.expand(len(grad), -1, -1))
        if need_matrix:
            x, grad = (t.reshape(-1, t.shape[-1]) for t in (x, grad))
            # a product with few rows takes a fraction of the time of one with few columns
            few_columns = grad.shape[1] < x.shape[1]
            grad_matrix = (grad.T @ x).T if few_columns else x.T @ grad
        return grad_x, grad_matrix


def shared_product(x, matrix):
    """Compute x @ matrix, (batch, m, k) by (k, n) -> (batch, m, n), one product a trial."""
    return apply(_SharedProduct, x, matrix)
