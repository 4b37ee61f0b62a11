"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def whole_file(path: Path, newline: str | None = None) -> Iterator[IO[str]]:
    """A UTF-8 text stream that becomes ``path`` when the context ends, also if the machine stops.

    What was at ``path`` stays when the context is left by an error. Halves of surrogate pairs,
    which JSON can hold and UTF-8 cannot, become question marks. ``newline`` as for `open`.
    """
    with whole_bytes(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8", "replace", newline)
        yield text
        text.flush()
        text.detach()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, also when the machine stops."""
    with whole_bytes(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def whole_bytes(path: Path) -> Iterator[IO[bytes]]:
    """As `whole_file`, for bytes."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
