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


def test_cosine_warms_up_at_most_to_the_last_step():
    seen = rates("cosine", 2, 3, warmup_epochs=5)
    assert seen == pytest.approx([0.1 * (step + 1) / 6 for step in range(6)])


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_schedules_of_iterators_without_a_length_to_speak_of(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    assert schedules[name](optimizer, 1, 0) is not None


@pytest.mark.parametrize("n_steps", [1, 2, 3, 7])
def test_one_cycle_ends_with_its_last_step(n_steps):
    """Rises over 30 % of the steps and falls over the others, both along half cosines."""
    n, top, low = max(2, n_steps), 0.1, 0.1 / 25 / 1e4
    peak = 0.3 * n - 1

    def along(start, end, share):
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    expected = [
        along(0.1 / 25, top, step / peak) if step <= peak else along(top, low, (step - peak) / (n - 1 - peak))
        for step in range(n_steps)
    ]
    assert rates("one_cycle", 1, n_steps) == pytest.approx(expected)
    if n_steps > 1:
        assert expected[-1] == pytest.approx(low)


def test_one_cycle_peaks_where_it_is_told_and_leaves_momentum_alone():
    seen = rates("one_cycle", 10, 10, pct_start=0.5)
    assert seen.index(max(seen)) == 49
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.7)
    schedules["one_cycle"](optimizer, 2, 2)
    assert optimizer.param_groups[0]["momentum"] == 0.7


def test_one_cycle_goes_to_the_rate_of_each_group():
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.4)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    schedule = schedules["one_cycle"](optimizer, 1, 10)
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.4])


def test_plateau_by_default_halves_after_ten_epochs_without_end():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = schedules["plateau"](optimizer, 10, 1)
    seen = []
    for _ in range(111):
        schedule.step(1.0)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen[10] == 0.1
    assert seen[11] == 0.05
    assert seen[110] == pytest.approx(0.1 / 2**10)


@pytest.mark.parametrize("warmup", [0, 1, 2])
def test_cosine_of_one_step_an_epoch(warmup):
    rise = [0.1 * (step + 1) / (warmup + 1) for step in range(warmup)]
    n_falls = 5 - warmup
    fall = [0.05 * (1 + math.cos(math.pi * step / n_falls)) for step in range(n_falls)]
    assert rates("cosine", 5, 1, warmup_epochs=warmup) == pytest.approx(rise + fall)
