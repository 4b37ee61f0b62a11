"""Removing runs, so that one that is killed on the way leaves nothing that looks like a run."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from devdiff.errors import RunDirectoryError
from devdiff.housekeeping import kept
from devdiff.housekeeping.kept import GOING, Kept
from devdiff.ladder.run_directory import LOCK_NAME
from devdiff.system.scratch import owner_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def remove(entry: Kept) -> None:
    """Remove a run directory or an entry of a cache, as it was found.

    It is looked at again, under its lock: what changed in the meantime stays. Raises
    `RunDirectoryError` when it must stay, or cannot be removed.
    """
    path = entry.path
    try:
        with _locked(entry):
            going = path
            if not path.name.endswith(GOING):
                going = path.with_name(f".{path.name[:32]}{owner_token()}{GOING}")
                path.rename(going)
            # Links inside are removed, and not what they lead to.
            shutil.rmtree(going)
    except Timeout as error:
        raise RunDirectoryError(f"{path} is in use by another devdiff: it stays") from error
    except OSError as error:
        raise RunDirectoryError(f"{path} could not be removed: {error}") from error


@contextlib.contextmanager
def _locked(entry: Kept) -> Iterator[Path]:
    """The run's lock, if it is a run, and a last look whether it is what was found."""
    if entry.path.is_symlink() or not entry.path.is_dir():
        raise RunDirectoryError(f"{entry.path} is not there any more")
    if entry.kind in ("cache", "left over"):
        yield entry.path
        return
    found = kept.run(entry.path)
    if found is None or found.refusal is not None:
        why = found.refusal if found is not None else "it is no run any more"
        raise RunDirectoryError(f"{entry.path} stays: {why}")
    with FileLock(entry.path / LOCK_NAME).acquire(blocking=False):
        yield entry.path
