"""A linear layer whose gradients do not depend on the number of threads."""

from __future__ import annotations

import torch


def linear(x, weight, bias=None):
    """Compute what `torch.nn.functional.linear` does, as one product a trial.

    Threads share a product of all trials, and round the last numbers of their shares differently.

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
    y = torch.bmm(weight.expand(x.shape[0], -1, -1), x.unsqueeze(-1)).squeeze(-1)
    return y if bias is None else y + bias
