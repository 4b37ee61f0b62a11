"""Work on several threads whose results come back in order, few at a time."""

from __future__ import annotations

import collections
import itertools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def in_order(jobs: Iterable[Callable[[], T]], window: int) -> Iterator[T]:
    """The results of ``jobs``, at most ``window`` of them begun and not yet taken.

    An exception of a job is raised where its result would stand, and later jobs do not begin.
    """
    workers = max(1, len(os.sched_getaffinity(0)))
    todo = iter(jobs)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        begun: collections.deque[Future[T]] = collections.deque(
            pool.submit(job) for job in itertools.islice(todo, window)
        )
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(job) for job in itertools.islice(todo, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)
