"""Several runs into one folder: who computes which fold, and what others have computed meanwhile."""

from __future__ import annotations

import contextlib
import time

from filelock import FileLock, Timeout

_SECONDS = 0.5  # between looks at what others do


class Claims:
    """Folds that this process computes, by locks that the system takes back when a process dies.

    Attributes
    ----------
    paths : dict of task -> Path
        The files that folds are kept in; a lock stands beside each, while its fold is computed. Of a task
        that is not here, nobody else knows.
    broken : set of task
        Those whose file is there, but does not hold: it is written anew.
    """

    def __init__(self):
        self.paths, self.broken, self.locks = {}, set(), {}

    def know(self, kept, broken):
        """Be told which files hold, and which do not."""
        self.broken |= set(broken)
        for task in kept:  # a run that was killed just then left its lock
            self._lock_of(task).unlink(missing_ok=True)

    def _lock_of(self, task):
        path = self.paths[task]
        return path.with_name(f"{path.name}.lock")

    def take(self, task):
        """Claim a task, unless it is there already or another process has it."""
        path = self.paths.get(task)
        if path is None or task in self.locks:
            return True
        lock = FileLock(self._lock_of(task))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError):  # no locks here, or no room: at worst it is computed twice
            return True
        self.locks[task] = lock
        if path.exists() and task not in self.broken:  # kept since we looked last
            self.release(task)
            return False
        return True

    def release(self, task):
        """Let a task go, when its fold is kept or has failed."""
        lock = self.locks.pop(task, None)
        if lock is not None:
            with contextlib.suppress(OSError):
                self._lock_of(task).unlink()
            lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for task in list(self.locks):
            self.release(task)


def with_others(waiting, compute, claims, read):
    """Compute what nobody else computes, and read what others do.

    Parameters
    ----------
    waiting : dict of task -> tuple
        What is not there yet.
    compute : callable
        Gives pairs of a task and its fold, of those of a dict that can be claimed.
    claims : Claims
        Which those are, and where folds are kept.
    read : callable
        Gives the kept fold of a task, or None where it does not hold.

    Yields
    ------
    task, fold, bool
        Whether it was computed here.
    """
    left = dict(waiting)
    while left:
        n_before = len(left)
        for task, fold in compute(left.copy()):
            left.pop(task)
            yield task, fold, True
        for task in [task for task in left if claims.paths[task].exists()]:
            fold = read(task)
            if fold is not None:
                left.pop(task)
                yield task, fold, False
            else:
                claims.broken.add(task)
        if len(left) == n_before:
            time.sleep(_SECONDS)
