"""Folds on a Dask cluster: the trials go there once, folds are futures, results come as they are finished."""

from __future__ import annotations

import pickle
import threading
import traceback

import torch

from skeeg.evaluation.running import failed, fit_and_predict

_ENDED = "the workers that computed this fold were ended, perhaps for want of memory"
_SECONDS_TO_ANSWER = 30

_one_at_a_time = threading.Lock()


def run_on_dask(tasks, scheduler, started):
    """Compute folds on a Dask cluster, and give each as soon as it is finished.

    A worker computes a fold at a time, with as many threads as Dask gave it. A fold whose worker dies goes to
    another; one that ends several of them has failed (Dask's ``distributed.scheduler.allowed-failures``).

    Parameters
    ----------
    tasks : dict of task -> tuple
        Arguments of `fit_and_predict`.
    scheduler : str
        Address of the scheduler, such as "tcp://10.0.0.1:8786".
    started : callable
        Called with a task before it is sent; where it gives False, the task is left out.

    Yields
    ------
    task, fold

    Raises
    ------
    ImportError
        When Dask is not installed.
    OSError
        When there is no scheduler at this address, or it has no worker.
    """
    try:
        import distributed
    except ImportError as error:
        raise ImportError(f'Dask is not there ({error}); pip install "skeeg[dask]"') from error

    try:
        client = distributed.Client(scheduler, set_as_default=False, timeout=_SECONDS_TO_ANSWER)
        client.wait_for_workers(1, timeout=_SECONDS_TO_ANSWER)
    except (OSError, TimeoutError, ValueError) as error:
        raise OSError(f"no Dask cluster with workers answers at {scheduler!r} ({error})") from error
    with client:
        lost = []
        yield from _round(client, tasks, started, lost)
        for task in lost:  # with all workers; which fold ended them is seen when each is alone
            again = []
            yield from _round(client, {task: tasks[task]}, started, again)
            if again:
                yield task, failed(_ENDED)


def _round(client, tasks, started, lost):
    """Send trials, keep two folds a worker on their way, give what comes back."""
    import distributed

    waiting, sent = iter(tasks), {}
    X = None
    results = distributed.as_completed([], loop=client.loop)
    while True:
        n_workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
        while len(sent) < 2 * n_workers:
            task = next(waiting, None)
            if task is None:
                break
            if started(task) is False:
                continue
            pipeline, trials, *others = tasks[task]
            if X is None:
                X = client.scatter(trials, broadcast=True, hash=False)
            try:
                future = client.submit(_on_worker, pipeline, X, *others, pure=False)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                yield task, failed(f"this pipeline cannot be sent to another process ({error})")
                continue
            sent[future.key] = task, future
            results.add(future)
        if not sent:
            return
        future = next(results)
        task, _ = sent.pop(future.key)
        try:
            fold = future.result()
        except (distributed.CancelledError, distributed.scheduler.KilledWorker):
            # the trials, or the result, were on workers that are gone, or another fold there ended them
            lost.append(task)
            continue
        except Exception as error:  # such as a worker without skeeg
            fold = failed(f"{type(error).__name__}: {error}", traceback.format_exc())
        yield task, fold


def _on_worker(*arguments):
    import distributed

    # what a fold does to warnings, output and threads is its process's; the others of it wait
    with _one_at_a_time:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(distributed.get_worker().state.nthreads)
        try:
            return fit_and_predict(*arguments)
        finally:
            torch.set_num_threads(n_threads)
