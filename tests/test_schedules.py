"""Learning rates, against their formulas."""

import math

import pytest
import torch

from skeeg.estimators.schedules import schedules


def rates(name, n_epochs, n_steps, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = schedules[name](optimizer, n_epochs, n_steps, **options)
    seen = []
    for _ in range(n_epochs * n_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return seen


def test_constant():
    assert rates("constant", 2, 3) == [0.1] * 6


def test_cosine_is_a_half_cosine():
    expected = [0.05 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    assert rates("cosine", 4, 5) == pytest.approx(expected)


def test_cosine_warms_up_linearly():
    seen = rates("cosine", 10, 4, warmup_epochs=2)
    assert seen[:8] == pytest.approx([0.1 * (step + 1) / 9 for step in range(8)])
    assert seen[8] == pytest.approx(0.1)
    assert seen[-1] < 0.1 / 100
    assert seen[8:] == sorted(seen[8:], reverse=True)


def test_one_cycle_peaks_at_the_learning_rate():
    seen = rates("one_cycle", 10, 10)
    assert max(seen) == pytest.approx(0.1)
    assert seen.index(max(seen)) == 29
    assert seen[0] == pytest.approx(0.1 / 25)
    assert seen[-1] < 1e-5


def test_one_cycle_of_one_step_learns():
    assert 0.05 < rates("one_cycle", 1, 1)[0] <= 0.1


def test_plateau_waits_for_the_training_loss():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = schedules["plateau"](optimizer, 10, 1, factor=0.6, patience=2, min_lr=0.04)
    seen = []
    for _ in range(8):
        schedule.step(1.0)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.1, 0.1, 0.1, 0.06, 0.06, 0.06, 0.04, 0.04])
