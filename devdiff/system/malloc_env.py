"""How child processes that work on large arrays get their memory."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEEP_FREED: Final[Mapping[str, str]] = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
}
"""glibc, read when a process starts: keep what was freed for the next array.

By itself it gives large arrays back to the kernel at once, and to have them again zeroed, page by
page, takes as long as computing with them. Other C libraries know no such variables.
"""


@contextlib.contextmanager
def keeping_freed() -> Iterator[None]:
    """Processes that are started meanwhile inherit `KEEP_FREED`; what the user set stays."""
    ours = {name: value for name, value in KEEP_FREED.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
