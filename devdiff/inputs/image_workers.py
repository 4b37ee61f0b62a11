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

from devdiff.inputs.digest import RowFacts, check_numbers
from devdiff.inputs.npy_writer import NpyWriter
from devdiff.system import interrupts
from devdiff.system.malloc_env import KEEP_FREED

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from devdiff.inputs.images import ImageRows

# From here on processes pay for their start of a fifth of a second.
MANY: Final = 1_000
_TASK: Final = 16


def write(
    rows: ImageRows, numbers: Sequence[int], origin: str, out: Path
) -> Generator[RowFacts, None, None]:
    """Write the rows of these ``numbers`` to their places in the .npy file ``out``, which has room
    for all; gives the facts of each, in order.

    Raises `UsageError` as `devdiff.inputs.images.decode` does, `OSError` when they cannot be
    stored.
    """
    spec = rows.spec
    with NpyWriter(out) as writer:
        start = writer.reserve(rows.count, spec.shape, spec.numpy_dtype)
    os.truncate(out, start + rows.count * spec.elements * spec.numpy_dtype.itemsize)
    parts = [numbers[first : first + _TASK] for first in range(0, len(numbers), _TASK)]
    # Not multiprocessing's pool: it runs a script that calls us again, or forks its threads' locks.
    pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)), env=KEEP_FREED)
    try:
        # The processes start when they are given work.
        with interrupts.blocked_in_children():
            tasks = [
                pool.submit(
                    _write,
                    replace(rows, paths=tuple(rows.paths[number] for number in part)),
                    part,
                    origin,
                    out,
                    start,
                )
                for part in parts
            ]
        for task in tasks:
            yield from task.result()
    finally:
        pool.shutdown(kill_workers=True)


def _write(
    rows: ImageRows, numbers: Sequence[int], origin: str, out: Path, start: int
) -> list[RowFacts]:
    """Prepare rows, which have these ``numbers`` among all, and write them to their places."""
    found = []
    with out.open("r+b") as stream:
        for place, number in enumerate(numbers):
            value = rows.row(place)
            check_numbers(value[np.newaxis], number, rows.spec, origin)
            stream.seek(start + number * value.nbytes)
            stream.write(value.data)
            found.append(RowFacts.of(value))
    return found
