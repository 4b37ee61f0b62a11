"""The byte pipes below the ADB protocol: a TCP socket that keeps its promises.

adb-shell's socket sends what fits and forgets the rest, takes a closed peer for one that is slow,
and fails in a process with more than a thousand open files; so this one is our own.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from devdiff.device_runner.adb.channel import Deadline


class WireClosedError(Exception):
    """The other end is gone. Never leaves this package."""


class WireDroppedError(WireClosedError):
    """The other end closed the connection."""


class Wire(Protocol):
    """Carries packets; every silence in reading and writing is bounded by the deadline."""

    def connect(self, transport_timeout_s: float) -> None:
        """Connect within the time given. Raises `OSError` or `WireClosedError`."""

    def close(self) -> None:
        """Let go of the device; closing twice does nothing."""

    def read(self, count: int, deadline: Deadline) -> bytes:
        """Exactly ``count`` bytes. Raises `WireClosedError` when the peer closes before."""

    def write(self, head: bytes, body: bytes, deadline: Deadline) -> None:
        """Send all of a packet. Raises `WireClosedError`."""


class SocketWire:
    """A TCP connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._connection: socket.socket | None = None

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            self._connection = None

    def connect(self, transport_timeout_s: float) -> None:
        self._connection = socket.create_connection((self._host, self._port), transport_timeout_s)
        self._connection.setblocking(False)
        # Packets are written whole, so waiting to fill a segment only delays the last one.
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, count: int, deadline: Deadline) -> bytes:
        data = bytearray(count)
        view = memoryview(data)
        done = 0
        while done < count:
            try:
                got = self._socket.recv_into(view[done:])
            except BlockingIOError:
                self._wait(select.POLLIN, deadline)
                continue
            except ConnectionResetError as error:
                raise WireDroppedError("closed by the other end") from error
            except OSError as error:
                raise WireClosedError(error.strerror or str(error)) from error
            if got == 0:
                raise WireDroppedError("closed by the other end")
            done += got
            deadline.moved()
        return bytes(data)

    def write(self, head: bytes, body: bytes, deadline: Deadline) -> None:
        waiting = [memoryview(part) for part in (head, body) if part]
        while waiting:
            try:
                sent = self._socket.sendmsg(waiting)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
                continue
            except OSError as error:
                raise WireClosedError(error.strerror or str(error)) from error
            deadline.moved()
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.pop(0))
            if sent:
                waiting[0] = waiting[0][sent:]

    def _wait(self, event: int, deadline: Deadline) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        poll.poll(deadline.left() * 1000 + 1)

    @property
    def _socket(self) -> socket.socket:
        if self._connection is None:
            raise WireClosedError("closed by this end")
        return self._connection
