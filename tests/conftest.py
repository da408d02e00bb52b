"""Settings that have to be made before anything is imported."""

import os
import signal

import pytest

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # without it, scikit-learn's check_array_api_input is skipped
os.environ.setdefault("MPLBACKEND", "agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it for what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def assert_evaluation_follows():
    """What a network keeps of a weight between evaluations must not outlive it."""
    import torch

    def check(network, x, weight):
        with torch.no_grad():
            before = network(x)
            assert torch.equal(network(x), before)
            weight.mul_(1.5).add_(0.1)
            after = network(x)
        assert not torch.allclose(after, before)
        torch.testing.assert_close(after, network(x).detach())  # with gradients nothing is kept

    return check
