"""Several searches at once, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import c_double
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import ScanError
from devdiff.progress import WHOLE
from devdiff.scanner import search_cache, trigger_search
from devdiff.system import interrupts
from devdiff.system.malloc_env import keeping_freed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from devdiff.scanner.search_job import SearchJob, SearchResult

_POLL_S: Final = 0.2
_shares: Any = None
"""In a child: how far each job is, shared with the parent."""


def run_searches(
    jobs: Sequence[SearchJob], folder: Path, progress: Callable[[int, int], None]
) -> list[SearchResult]:
    """Run the jobs on this machine's cores, in their order.

    What a job found is kept in ``folder``, and taken over from there by whoever gives the same job
    again. ``progress`` is told the share of `WHOLE` that is done. Raises what a job raised:
    `ScanError`, also when a process died, or `TimeoutError`.
    """
    context = multiprocessing.get_context("spawn")
    shares: Any = context.Array(c_double, len(jobs), lock=False)
    workers = min(len(jobs), cores())
    pool = ProcessPoolExecutor(workers, context, _enter, (shares,))
    try:
        # The processes start when they are given work. An interrupt while one does would leave it
        # without what it was to read, which it says with a trace.
        with keeping_freed(), interrupts.deferred():
            futures = [pool.submit(_run, place, job, folder) for place, job in enumerate(jobs)]
        left = set(futures)
        while left:
            done, left = wait(left, _POLL_S, FIRST_EXCEPTION)
            for future in done:
                future.result()
            progress(int(WHOLE * sum(shares) / len(jobs)), WHOLE)
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise ScanError(
            "a search process was killed; out of memory? --samples shows it fewer samples"
        ) from error
    except (RuntimeError, ValueError, ArithmeticError, LookupError, TypeError) as error:
        # Whatever the twin or PyTorch stumbles over: the scan was not made, and says so.
        raise ScanError(f"the search failed: {type(error).__name__}: {error}") from error
    finally:
        # A search that is not done has nothing to save: whatever ends this process ends it too.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """How many searches run at once."""
    return os.cpu_count() or 1


def time_shares(parts: Sequence[int], workers: int) -> list[float]:
    """What each job may take of the time that is left when it starts.

    ``parts`` says how long the jobs are beside each other; whoever of the ``workers`` is free takes
    the next. No job may do more of its plan than the others can do of theirs: a model that was
    searched harder than its placebos would beat them for that alone. What a job leaves over goes to
    those behind it.
    """
    queues: list[list[int]] = [[] for _ in range(workers)]
    for place in range(len(parts)):
        free = min(queues, key=lambda queue: sum(parts[job] for job in queue))
        free.append(place)
    longest = max(sum(parts[job] for job in queue) for queue in queues)
    shares = [0.0] * len(parts)
    for queue in queues:
        for number, place in enumerate(queue):
            behind = sum(parts[job] for job in queue[number:])
            shares[place] = parts[place] / (behind if number else longest)
    return shares


def _enter(shares: Any) -> None:
    global _shares  # noqa: PLW0603  a process of the pool has one
    _shares = shares
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot end its searches, and nobody waits for them any more."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(place: int, job: SearchJob, folder: Path) -> SearchResult:
    def progress(share: float) -> None:
        _shares[place] = share

    path = search_cache.cache_path(job, folder)
    found = search_cache.load(path)
    if found is None:
        if time.monotonic() > job.deadline:
            raise TimeoutError
        found = trigger_search.run(job, progress)
        search_cache.save(found, path)
    progress(1.0)
    return found
