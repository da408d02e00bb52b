"""Norm constraints on weights, as part of the function a network computes."""

from __future__ import annotations

import torch


def renorm_rows(weight: torch.Tensor, max_norm: float) -> torch.Tensor:
    """Shrink the rows of a weight whose Euclidean norm exceeds ``max_norm``.

    The weight itself is left alone: a network uses the result in its place, in training as in evaluation,
    so that a forward pass never writes to a parameter and the constraint holds after every optimiser step,
    whatever the optimiser. Gradients flow through the projection.

    Parameters
    ----------
    weight : torch.Tensor, shape (n_rows, ...)
        A row holds all the weights of one output unit.
    max_norm : float
        Largest norm of a row; positive.

    Returns
    -------
    torch.Tensor, shape (n_rows, ...)
        Rows within the limit are unchanged to the bit.

    Examples
    --------
    >>> import torch
    >>> renorm_rows(torch.tensor([[3.0, 4.0], [0.0, 0.5]]), 1.0)
    tensor([[0.6000, 0.8000],
            [0.0000, 0.5000]])
    """
    rows = weight.flatten(1)
    energy = rows.square().sum(1, keepdim=True)
    scale = max_norm * energy.clamp(min=max_norm**2).rsqrt()
    return (rows * torch.where(energy > max_norm**2, scale, 1.0)).view_as(weight)
