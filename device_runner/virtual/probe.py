"""Asks an adb daemon whether it is really there, with the least of its protocol.

A forwarded port accepts connections before anything listens behind it, so only an answer counts.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import time
from typing import Final

_HEAD: Final = struct.Struct("<4sIIIII")
_VERSION: Final = 0x01000001
_MAX_DATA: Final = 1 << 18
_OUR_STREAM: Final = 1
# adbd names a connection by its file descriptor and drops a new one whose number an ended one still
# holds.
_TRIES: Final = 4
_BETWEEN_TRIES_S: Final = 0.1
_BANNER: Final = b"host::features=shell_v2,cmd,stat_v2\0"


class ProbeReply(enum.Enum):
    """What an adb daemon makes of a stranger."""

    READY = "ready"
    """It runs commands."""
    LOCKED = "wants a key"
    """It asks for a signature with a key it knows."""
    SILENT = "does not answer"
    """Nothing came back in time, or nobody is there."""


def probe(port: int, timeout_s: float) -> ProbeReply:
    """Shake hands with the daemon on 127.0.0.1 and have it run a command, once."""
    deadline = time.monotonic() + timeout_s
    for left in reversed(range(_TRIES)):
        try:
            with contextlib.closing(_Connection(port, deadline)) as connection:
                if connection.greet() == b"AUTH":
                    return ProbeReply.LOCKED
                return ProbeReply.READY if connection.echo() else ProbeReply.SILENT
        except ConnectionResetError:
            time.sleep(_BETWEEN_TRIES_S if left else 0)
        except (OSError, struct.error):
            break
    return ProbeReply.SILENT


class _Connection:
    """One connection, all of it over before ``deadline`` (of `time.monotonic`)."""

    def __init__(self, port: int, deadline: float) -> None:
        self._deadline = deadline
        self._socket = socket.create_connection(("127.0.0.1", port), self._left())

    def close(self) -> None:
        self._socket.close()

    def greet(self) -> bytes:
        """The daemon's first word: ``CNXN`` when it lets us in, ``AUTH`` when it does not."""
        self._send(b"CNXN", _VERSION, _MAX_DATA, _BANNER)
        word, _, _, _ = self._receive()
        if word not in (b"CNXN", b"AUTH"):
            raise OSError(f"no adb daemon: it says {word!r}")
        return word

    def echo(self) -> bool:
        """Whether a shell command's output comes back."""
        self._send(b"OPEN", _OUR_STREAM, 0, b"shell:echo ready $((40 + 2))\0")
        reply = b""
        while True:
            word, theirs, _, data = self._receive()
            if word == b"WRTE":
                reply += data
                self._send(b"OKAY", _OUR_STREAM, theirs)
            elif word == b"CLSE":
                return reply.strip() == b"ready 42"

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _send(self, word: bytes, first: int, second: int, data: bytes = b"") -> None:
        inverse = int.from_bytes(word, "little") ^ 0xFFFFFFFF
        self._socket.settimeout(self._left())
        self._socket.sendall(
            _HEAD.pack(word, first, second, len(data), sum(data) & 0xFFFFFFFF, inverse) + data
        )

    def _receive(self) -> tuple[bytes, int, int, bytes]:
        word, first, second, length, _, _ = _HEAD.unpack(self._exactly(_HEAD.size))
        if length > _MAX_DATA:
            raise OSError(f"no adb daemon: a message of {length} bytes")
        return word, first, second, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            self._socket.settimeout(self._left())
            more = self._socket.recv(length - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data
