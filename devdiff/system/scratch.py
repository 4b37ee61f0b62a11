"""Folders and files that belong to a running process, which another one may remove when it is gone.

A process that is killed removes nothing. So whatever it leaves carries its number and the time it
began in its name, and the next process sweeps up what belongs to none that lives.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.system import interrupts

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "devdiff-"
_TOKEN: Final = re.compile(r"~(\d+)-(\d+)~")


def owner_token() -> str:
    """A part for the name of what belongs to this process; empty where /proc does not tell."""
    started = _started(os.getpid())
    return "" if started is None else f"~{os.getpid()}-{started}~"


def abandoned(name: str) -> bool:
    """Whether ``name`` carries the token of a process that no longer lives."""
    found = _TOKEN.search(name)
    if found is None or _started(os.getpid()) is None:
        return False
    return _started(int(found[1])) != int(found[2])


@contextlib.contextmanager
def scratch_directory(kind: str) -> Iterator[Path]:
    """A temporary folder, removed when the context ends, or by `sweep` after a kill."""
    prefix = f"{_PREFIX}{kind}{owner_token()}"
    with interrupts.deferred():
        scratch = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    with scratch as folder:
        yield Path(folder)


@functools.cache
def sweep() -> None:
    """Remove the temporary folders of this user's processes that were killed; once a process."""
    with contextlib.suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if abandoned(folder.name) and folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


def sweep_beside(path: Path) -> None:
    """Remove what killed processes left beside ``path`` while they made it; see `owner_token`."""
    with contextlib.suppress(OSError):
        for left in path.parent.iterdir():
            if path.name[:32] in left.name and abandoned(left.name):
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)


def _started(pid: int) -> int | None:
    """When the process began, in clock ticks since the boot; None when there is none."""
    try:
        # The command's name is in brackets and may hold anything, so count from its end.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])
