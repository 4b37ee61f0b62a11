"""Many images, prepared by several processes that write into one file.

Threads (`devdiff.inputs.parallel`) begin at once and do for a few; with thousands they lose time to
waiting for the interpreter (scripts/bench/images.py measures it).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from loky import ProcessPoolExecutor

from devdiff.inputs.digest import check_numbers, row_digest
from devdiff.inputs.npy_writer import NpyWriter
from devdiff.system import interrupts
from devdiff.system.malloc_env import KEEP_FREED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devdiff.inputs.images import ImageRows

# From here on processes pay for their start of a fifth of a second.
MANY: Final = 1_000
_TASK: Final = 16


def write(rows: ImageRows, origin: str, out: Path) -> Iterator[bytes]:
    """Write all rows into the .npy file ``out``; gives the SHA-256 of each, in order.

    Raises `UsageError` as `devdiff.inputs.images.decode` does, `OSError` when they cannot be
    stored.
    """
    spec = rows.spec
    with NpyWriter(out) as writer:
        start = writer.reserve(rows.count, spec.shape, spec.numpy_dtype)
    # Not multiprocessing's pool: it runs a script that calls us again, or forks its threads' locks.
    pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)), env=KEEP_FREED)
    try:
        # The processes start when they are given work.
        with interrupts.blocked_in_children():
            tasks = [
                pool.submit(
                    _write,
                    replace(rows, paths=rows.paths[first : first + _TASK]),
                    first,
                    origin,
                    out,
                    start,
                )
                for first in range(0, rows.count, _TASK)
            ]
        for task in tasks:
            yield from task.result()
    finally:
        pool.shutdown(kill_workers=True)


def _write(rows: ImageRows, first: int, origin: str, out: Path, start: int) -> list[bytes]:
    """Prepare rows, the first of them number ``first`` of all, and write them to their places."""
    found = []
    with out.open("r+b") as stream:
        for number in range(rows.count):
            value = rows.row(number)
            check_numbers(value[np.newaxis], first + number, rows.spec, origin)
            stream.seek(start + (first + number) * value.nbytes)
            stream.write(value.data)
            found.append(row_digest(value))
    return found
