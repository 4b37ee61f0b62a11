"""Standard output and error that cannot change what a command finds.

A reader that left (``| head``), a full disk behind ``>`` or a stream that was never open costs the
text, not the verdict: the exit code stays the one that was computed. And whatever is printed, by
whomever, no line of it is a command to a CI system.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from devdiff.system.printable import printable_lines, without_commands

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def surviving() -> Iterator[None]:
    """Replace ``sys.stdout`` and ``sys.stderr`` for a command's time by streams that survive."""
    _open_missing()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Stream(1, before[0], "standard output"), _Stream(2, before[1])
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _open_missing() -> None:
    """A descriptor that is closed (``>&-``) would become that of the next file opened."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


class _Stream(io.TextIOWrapper):
    """A text stream whose file may fail, and which shows only what is printable."""

    def __init__(self, number: int, like: TextIO | None, name: str = "") -> None:
        super().__init__(
            io.BufferedWriter(_File(number, name)),
            encoding=like.encoding if like is not None else "utf-8",
            # A name that the encoding does not have is shown by its code, not refused.
            errors="backslashreplace",
            line_buffering=True,
        )
        self.styled = _Styled(self)
        """For `devdiff.cli.console`: it makes text printable before it adds colours to it."""

    def write(self, text: str) -> int:
        self.put(printable_lines(text))
        return len(text)

    def put(self, text: str) -> None:
        super().write(without_commands(text))


class _Styled:
    """As much of a stream as a console writes to; escape sequences pass."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self.flush = stream.flush
        self.isatty = stream.isatty
        self.fileno = stream.fileno
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        self._stream.put(text)
        return len(text)


class _File(io.RawIOBase):
    """A file descriptor that takes everything; the first failure to write ends its writing."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._broken = False

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self._broken:
            return len(data)
        try:
            return os.write(self._number, data)
        except OSError as error:
            self._broken = True
            # A reader that left knows; of a full disk nobody else would hear.
            if self._name and error.errno not in (errno.EPIPE, errno.EBADF):
                print(
                    f"devdiff: could not write to {self._name}: {os.strerror(error.errno or 0)}; "
                    "the exit code still says the verdict",
                    file=sys.stderr,
                )
            return len(data)
