"""How the learning rate changes while a network trains: one registry of schedules."""

from __future__ import annotations

from torch.optim import lr_scheduler


def constant(optimizer, n_epochs, n_steps):
    """Keep the learning rate."""
    return None


def cosine(optimizer, n_epochs, n_steps, warmup_epochs=0):
    """Rise linearly for ``warmup_epochs``, then fall to zero along a half cosine, step by step."""
    n_steps = max(1, n_steps)
    warmup = min(warmup_epochs * n_steps, n_epochs * n_steps - 1)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, n_epochs * n_steps - warmup)
    if warmup == 0:
        return fall
    rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])


def one_cycle(optimizer, n_epochs, n_steps, pct_start=0.3):
    """Rise to the learning rate for ``pct_start`` of the steps, then fall to nearly zero (Smith 2018)."""
    return lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=max(2, n_epochs * n_steps),
        pct_start=pct_start,
        cycle_momentum=False,
    )


def plateau(optimizer, n_epochs, n_steps, factor=0.5, patience=10, min_lr=0.0):
    """Multiply the learning rate by ``factor`` after ``patience`` epochs without a lower training loss."""
    return lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, min_lr=min_lr)


schedules = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "plateau": plateau,
}
