"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from typing import IO, TYPE_CHECKING

from devdiff.system.scratch import owner_token, sweep_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    """As `whole_file`, for bytes. The file's rights are those that the umask leaves."""
    try:
        sweep_beside(path)
        handle, temporary = _temporary(path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        # Nobody knows the temporary file: the one that was meant could not be written.
        raise type(error)(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> tuple[int, Path]:
    """A new file beside ``path``, open for writing; `tempfile` would hide it from all others."""
    while True:
        temporary = path.with_name(f"{path.name[:32]}{owner_token()}{secrets.token_hex(6)}.partial")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):
            return os.open(temporary, flags, 0o666), temporary
