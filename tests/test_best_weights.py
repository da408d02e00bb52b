"""Which epoch's weights are kept."""

import numpy as np
import pytest
import torch
from torch import nn

from skeeg.estimators.training import Best, monitored
from skeeg.persistence.steps import counts


def watch(scores, monitor="loss"):
    """See epochs, in each of which a weight becomes the number of the epoch."""
    layer, history = nn.Linear(1, 1, bias=False), []
    best, waited = Best((layer,), history, monitor), []
    for epoch, score in enumerate(scores, start=1):
        history.append(epoch)
        with torch.no_grad():
            layer.weight.fill_(epoch)
        best.update(score)
        waited.append(best.waited)
    kept = best.restore()
    assert scores == [] or layer.weight.item() == kept
    return kept, waited


@pytest.mark.parametrize(
    "losses, kept, waited",
    [
        ([3.0], 1, [0]),
        ([3.0, 2.0, 1.0], 3, [0, 0, 0]),
        ([2.0, 3.0, 1.0, 1.5, 4.0], 3, [0, 1, 0, 1, 2]),
        ([2.0, 2.0, 2.0], 1, [0, 1, 2]),  # the first of equals
        ([1e30, 1e29], 2, [0, 0]),
    ],
)
def test_the_lowest_loss_is_kept(losses, kept, waited):
    assert watch([{"valid_loss": loss, "valid_accuracy": -loss} for loss in losses]) == (kept, waited)


@pytest.mark.parametrize("monitor, name", [("accuracy", "valid_accuracy"), (max, "valid_score")])
def test_the_highest_score_is_kept(monitor, name):
    scores = [{"valid_loss": epoch, name: score} for epoch, score in enumerate([-0.5, 0.7, 0.7, 0.6])]
    assert watch(scores, monitor) == (2, [0, 0, 1, 2])


def test_without_validation_the_weights_that_an_epoch_began_with_are_sound():
    assert watch([{"train_loss": 1.0}] * 3)[0] == 2


@pytest.mark.parametrize(
    "held, remedy", [([0, 0], "hold out others, by train_split, or"), ([0, 1], "; monitor")]
)
def test_scores_that_are_none_say_what_validation_holds(held, remedy):
    class Estimator:
        classes_ = np.array([0, 1])

    class Trials:
        X, y = None, np.array(held)

    with pytest.raises(ValueError, match="is not a number on the validation trials") as error:
        monitored(lambda *_: np.nan, Estimator, Trials)
    assert remedy in str(error.value) and ("hold out" in str(error.value)) == (held == [0, 0])


@pytest.mark.parametrize("value", [-1, 0.5, [-2, 3], [1.5], "3", True])
def test_what_is_no_count(value):
    with pytest.raises(ValueError, match="no count"):
        counts(value, {})
    counts([0, 3], {})
    counts(2.0, {})
