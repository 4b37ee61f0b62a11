"""Where built and fetched things are kept between runs, and how they get there whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from devdiff.system.scratch import owner_token, sweep_beside

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_root() -> Path:
    """The user's cache directory for devdiff, or what ``DEVDIFF_CACHE_DIR`` names."""
    named = os.environ.get("DEVDIFF_CACHE_DIR")
    return Path(named).absolute() if named else Path(platformdirs.user_cache_dir("devdiff"))


@contextlib.contextmanager
def whole_directory(target: Path) -> Iterator[Path]:
    """A directory to fill, which becomes ``target`` when the block ends without an exception.

    Nobody ever sees ``target`` half filled. When another process has made it in the meantime,
    theirs stays: what is kept here is named by what it was made of, so both are the same. Raises
    `OSError` when the directory cannot be made or filled.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(target)
    # Unlike mkdtemp this leaves the rights to the umask; a name that is taken is no chance.
    partial = target.parent / f".{target.name[:32]}-{owner_token()}{secrets.token_hex(8)}"
    partial.mkdir()
    try:
        yield partial
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
