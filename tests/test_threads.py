"""Pieces of a batch in threads: the same numbers, the caller's modes, one thread where there is but one."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from skeeg.modules.compute import map_in_threads, map_with_gradients, threads_for_pieces


@pytest.fixture
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_threads", [1, 2, 3], indirect=True)
def test_order_and_number_of_threads(n_threads):
    busy = threading.Barrier(n_threads)

    def where(piece):
        busy.wait(timeout=60)  # passes only where that many run at once
        return int(piece), torch.get_num_threads()

    got = map_in_threads(where, torch.arange(6))
    assert [piece for piece, _ in got] == list(range(6))
    assert {threads for _, threads in got} == {1}
    assert torch.get_num_threads() == n_threads
    started_later = []
    thread = threading.Thread(target=lambda: started_later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert started_later == [n_threads]


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_modes_of_the_caller(n_threads):
    def modes(_):
        return torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    assert set(map_in_threads(modes, range(4))) == {(True, False)}
    with torch.no_grad():
        assert set(map_in_threads(modes, range(4))) == {(False, False)}
    with torch.inference_mode():
        assert set(map_in_threads(modes, range(4))) == {(False, True)}


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_nested_calls_stay_in_their_thread(n_threads):
    def inner(_):
        return threading.get_ident()

    for threads in map_in_threads(
        lambda _: {threading.get_ident(), *map_in_threads(inner, range(3))}, range(4)
    ):
        assert len(threads) == 1


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_errors_arrive(n_threads):
    def fail(piece):
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match="piece 0"):
        map_in_threads(fail, range(3))


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_under_vmap(n_threads):
    def halves(x):
        return torch.stack(map_in_threads(torch.sum, x.split(2)))

    x = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(torch.func.vmap(halves)(x), x.unflatten(1, (2, 2)).sum(2))


@pytest.mark.parametrize("n_threads", [2, 3], indirect=True)
def test_threads_kept_for_pieces(n_threads):
    busy = threading.Barrier(n_threads)
    with pytest.raises(KeyError), threads_for_pieces():
        assert torch.get_num_threads() == 1
        assert len(set(map_in_threads(lambda _: busy.wait(timeout=60), range(n_threads)))) == n_threads
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_nothing_runs_on_after_an_error(n_threads):
    finished = []

    def fail_first(piece):
        if piece == 0:
            raise ValueError
        time.sleep(0.05)
        finished.append(piece)

    with pytest.raises(ValueError):
        map_in_threads(fail_first, range(2))
    assert finished == [1]
    assert torch.get_num_threads() == n_threads


@pytest.mark.parametrize("n_threads", [1, 2, 3], indirect=True)
def test_gradients_of_pieces(n_threads):
    """By what pieces own, by what they share, and none by what needs none."""
    x, weight = (torch.randn(10, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    constant = torch.randn(4, dtype=torch.float64)

    def function(piece, weight, constant):
        return (piece @ weight.T).exp(), (piece * constant).sum(1)

    def whole(products, sums):
        return (products.sin().sum() + sums.square().sum(),)

    pieces = map_with_gradients(function, [(part,) for part in x.split(3)], [weight, constant])
    assert [len(products) for products, _ in pieces] == [3, 3, 3, 1]
    loss = whole(*map(torch.cat, zip(*pieces, strict=True)))
    expected = whole(*function(x, weight, constant))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, (x, weight)), torch.autograd.grad(expected, (x, weight))
    )


@pytest.mark.parametrize("n_threads", [2], indirect=True)
def test_an_error_in_another_thread_arrives(n_threads):
    def fail_last(piece):
        if piece == 1:
            raise ValueError("piece 1")

    for _ in range(2):  # and the thread goes on to work
        with pytest.raises(ValueError, match="piece 1"):
            map_in_threads(fail_last, range(2))
    assert map_in_threads(lambda piece: piece, range(3)) == [0, 1, 2]


def in_python(code):
    """What a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, torch
from skeeg.modules.compute import map_in_threads
torch.set_num_threads(2)
map_in_threads(torch.sum, torch.ones(4, 3).split(1))
child = os.fork()
if child == 0:
    os._exit(len(map_in_threads(lambda piece: piece, range(4))))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert in_python(code) == "4\n"


@pytest.mark.parametrize("used_before", [True, False])
def test_pieces_are_computed_while_python_ends(used_before):
    code = f"""
import atexit, torch
from skeeg.modules.compute import map_in_threads
torch.set_num_threads(2)
def total():
    return sum(map_in_threads(torch.sum, torch.ones(4, 3).split(1))).item()
if {used_before}:
    assert total() == 12
atexit.register(lambda: print("at exit", total()))
"""
    assert "at exit 12.0" in in_python(code)
