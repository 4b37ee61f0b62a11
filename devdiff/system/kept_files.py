"""Files in the cache that are executed later, each with its hash, looked at before every use.

The hashes lie beside the files, under the name of what those were built from. That finds what a bad
disk, a full one, a cleaner or another program did to a file. It does not keep out somebody who may
write into the user's cache: they could write the hashes, too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASHES: Final = "sha256.json"
_BLOCK: Final = 1 << 20


def record(directory: Path, key: str) -> None:
    """Write the hashes of the files in ``directory``, which were built from ``key``."""
    files = {path.name: digest(path) for path in sorted(directory.iterdir()) if path.is_file()}
    (directory / HASHES).write_text(json.dumps({"key": key, "files": files}, indent=2) + "\n")


def intact(directory: Path, key: str) -> bool:
    """Whether all files that were recorded for ``key`` are there, as they were written."""
    try:
        recorded = json.loads((directory / HASHES).read_text())
        return bool(recorded["key"] == key and recorded["files"]) and all(
            digest(directory / name) == sha256 for name, sha256 in recorded["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def digest(path: Path) -> str:
    """A SHA-256 of the file's size and of the blocks in it that are not all zeros.

    The memory of a stored phone is mostly holes, whose reading would take longer than its start.
    """
    found = hashlib.sha256()
    zeros = bytes(_BLOCK)
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        found.update(size.to_bytes(8, "little"))
        for start in _blocks(stream.fileno(), size):
            block = os.pread(stream.fileno(), _BLOCK, start)
            if block != zeros[: len(block)]:
                found.update(start.to_bytes(8, "little"))
                found.update(block)
    return found.hexdigest()


def _blocks(descriptor: int, size: int) -> Iterator[int]:
    """Where the blocks begin that are not holes as a whole."""
    start = 0
    while start < size:
        try:
            data = os.lseek(descriptor, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but holes from here on
                return
            data = start
        start = data - data % _BLOCK
        yield start
        start += _BLOCK
