"""The file service of adb daemons: how a file goes out, comes in, and is asked about."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import IO, TYPE_CHECKING, Final

from devdiff.device_runner.adb.channel import Channel, Deadline, Reader, gone
from devdiff.device_runner.errors import DeviceError, TransferError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The largest piece a daemon accepts.
_PIECE: Final = 64 << 10
# Pieces handed to the channel in one go. A packet of the protocol holds 1 MiB at most and waits for
# its acknowledgement, so packets want to be full: 15 pieces with their heads just fit.
_PIECES: Final = 15
_LONGEST_PATH: Final = 1024
_MISSING: Final = (errno.ENOENT, errno.ENOTDIR)


class RefusedError(Exception):
    """The daemon answered FAIL; the text is its reason. Never leaves this package."""


class FileSync:
    """One conversation with the ``sync:`` service; ``timeout_s`` bounds every silence in it."""

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._reader = Reader(channel)

    def _deadline(self, doing: str) -> Deadline:
        return Deadline(self._timeout_s, self._channel.serial, doing, idle=True)

    def stat(self, remote: str, *, version_2: bool) -> tuple[int, int] | None:
        """Mode and size of what lies at ``remote``, None when nothing does.

        ``version_2`` follows links and knows sizes beyond 4 GiB; older daemons do neither.
        Raises `DeviceError` when it may not be looked at.
        """
        deadline = self._deadline(f"looking at {remote}")
        self._channel.send(_request(b"STA2" if version_2 else b"STAT", _path(remote)), deadline)
        if not version_2:
            mode, size, _ = struct.unpack("<4x3I", self._reader.exactly(16, deadline))
            return (mode, size) if mode else None
        fields = struct.unpack("<4xI2Q4IQ3q", self._reader.exactly(72, deadline))
        code, mode, size = fields[0], fields[3], fields[7]
        if code in _MISSING:
            return None
        if code:
            reason = os.strerror(code)
            raise DeviceError(f"{self._channel.serial}: {remote} cannot be looked at: {reason}")
        return mode, size

    def send(
        self, source: IO[bytes], remote: str, mode: int, sent: Callable[[bytes, int], None]
    ) -> None:
        """Write all of ``source`` to ``remote``; ``sent`` is told each part and the sum so far.

        Raises `RefusedError` with the daemon's reason, as soon as it comes.
        """
        deadline = self._deadline(f"sending {remote}")
        header = _path(remote) + f",{stat.S_IFREG | mode}".encode()
        self._channel.send(_request(b"SEND", header), deadline)
        total = 0
        while part := source.read(_PIECE * _PIECES):
            self._channel.send(b"".join(_pieces(part)), deadline)
            total += len(part)
            sent(part, total)
            if self._channel.waiting():
                break
        else:
            modified = int(os.fstat(source.fileno()).st_mtime) & 0xFFFFFFFF
            self._channel.send(struct.pack("<4sI", b"DONE", modified), deadline)
        deadline.renew()
        self._answer(b"OKAY", deadline)

    def receive(self, remote: str) -> Iterator[bytes]:
        """The content of ``remote``. Raises `RefusedError` with the daemon's reason."""
        deadline = self._deadline(f"fetching {remote}")
        self._channel.send(_request(b"RECV", _path(remote)), deadline)
        while (size := self._answer(b"DATA", deadline, b"DONE")) is not None:
            while size:
                data = self._reader.some(size, deadline)
                size -= len(data)
                yield data
                deadline.renew()

    def _answer(self, wanted: bytes, deadline: Deadline, last: bytes = b"") -> int | None:
        """The number in the wanted answer; None when the last one came instead."""
        word, number = struct.unpack("<4sI", self._reader.exactly(8, deadline))
        if word == wanted:
            return int(number)
        if word == last:
            return None
        if word == b"FAIL":
            reason = self._reader.exactly(min(number, _PIECE), deadline)
            raise RefusedError(reason.decode(errors="replace"))
        raise gone(self._channel.serial, f"{word!r} is no answer to expect")


def _request(word: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", word, len(content)) + content


def _path(remote: str) -> bytes:
    encoded = remote.encode()
    if len(encoded) > _LONGEST_PATH - len(",100644") or b"\0" in encoded:
        raise TransferError(
            f"{remote[:80]!r}: this is no path that adb can carry (no NUL, at most "
            f"{_LONGEST_PATH} bytes)"
        )
    return encoded


def _pieces(part: bytes) -> Iterator[bytes | memoryview]:
    view = memoryview(part)
    for start in range(0, len(part), _PIECE):
        piece = view[start : start + _PIECE]
        yield struct.pack("<4sI", b"DATA", len(piece))
        yield piece
