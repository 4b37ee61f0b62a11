"""Writes the archive a Linux kernel unpacks as its first file system (cpio, format "newc")."""

from __future__ import annotations

import stat
from typing import IO, Final

_MAGIC: Final = b"070701"
_TRAILER: Final = "TRAILER!!!"


class CpioWriter:
    """An archive of files owned by root, dated 1970, in the order they are added.

    The same calls write the same bytes. Parents are not made by themselves: add a directory before
    what is in it. Several archives one behind the other are one archive to the kernel.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._count = 0

    def directory(self, name: str, mode: int = 0o755) -> None:
        self._entry(name, stat.S_IFDIR | mode)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        self._entry(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        """A symbolic link called ``name`` that points to ``target``."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def close(self) -> None:
        """Write the end mark; the stream stays open."""
        self._entry(_TRAILER, 0)

    def _entry(self, name: str, mode: int, content: bytes = b"") -> None:
        self._count += 1
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        inode = 0 if name == _TRAILER else self._count
        # inode, mode, uid, gid, links, mtime, size, device (two), special device (two), name, sum
        numbers = (inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        head = _MAGIC + b"".join(b"%08x" % number for number in numbers) + encoded
        self._stream.write(head + _padding(len(head)))
        self._stream.write(content + _padding(len(content)))


def _padding(length: int) -> bytes:
    return b"\0" * (-length % 4)
