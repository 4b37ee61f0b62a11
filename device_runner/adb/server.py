"""To a device that an adb server holds, through that server, which is never started or stopped."""

from __future__ import annotations

import contextlib
import re
import select
import socket
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.adb.channel import (
    Channel,
    Deadline,
    ServiceUnknownError,
    gone,
    unreachable,
)
from devdiff.device_runner.adb.services import DEFAULT_TIMEOUT_S, ServiceTransport
from devdiff.device_runner.errors import (
    DeviceAuthError,
    DeviceError,
    DeviceLostError,
    TransportTimeoutError,
)
from devdiff.system.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_PIECE: Final = 1 << 20
_ASK_S: Final = 5.0
_LENGTH: Final = re.compile(rb"[0-9A-Fa-f]{4}")


def server_address(environment: Mapping[str, str]) -> tuple[str, int]:
    """Where adb itself would look for its server. Raises `DeviceError` when that is no address."""
    named = environment.get("ADB_SERVER_SOCKET", "")
    port = environment.get("ANDROID_ADB_SERVER_PORT") or "5037"
    host = environment.get("ANDROID_ADB_SERVER_ADDRESS") or "127.0.0.1"
    if named:
        match = re.fullmatch(r"tcp:(?:(?P<host>.+):)?(?P<port>\d+)", named)
        if match is None:
            raise DeviceError(
                f"ADB_SERVER_SOCKET={named}: devdiff reaches adb servers at tcp:[HOST:]PORT only"
            )
        host, port = match["host"] or "127.0.0.1", match["port"]
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise DeviceError(f"ANDROID_ADB_SERVER_PORT={port}: this is no port number")
    return "127.0.0.1" if host == "localhost" else host, int(port)


class _RefusedError(Exception):
    """The server answered FAIL; the text is its reason."""


@contextlib.contextmanager
def _asking(address: tuple[str, int], timeout_s: float) -> Iterator[Callable[[str], socket.socket]]:
    """A function that puts requests to the server, one connection for all of them.

    Raises `OSError` when the server is not there, leaves or does not answer, and `_RefusedError`
    when it refuses. None is started, as adbutils would.
    """
    try:
        connection = socket.create_connection(address, timeout_s)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"no adb server at {address[0]}:{address[1]}: {reason}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(request: str) -> socket.socket:
        encoded = request.encode()
        connection.sendall(b"%04x" % len(encoded) + encoded)
        answer = _exactly(connection, 4)
        if answer == b"FAIL":
            raise _RefusedError(printable(_block(connection)))
        if answer != b"OKAY":
            raise ConnectionError(f"this is no adb server, it says {answer!r}")
        return connection

    try:
        yield ask
    except BaseException:
        connection.close()
        raise


def _exactly(connection: socket.socket, count: int) -> bytes:
    """``count`` bytes. Raises `OSError`, also when the server leaves before them."""
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("the adb server closed the connection")
        data += piece
    return data


def _block(connection: socket.socket) -> str:
    """A text with its length, four hexadecimal digits, before it. Raises `OSError`."""
    length = _exactly(connection, 4)
    if not _LENGTH.fullmatch(length):
        raise ConnectionError(f"this is no adb server, it says {length!r}")
    return _exactly(connection, int(length, 16)).decode(errors="replace")


def query(address: tuple[str, int], request: str, timeout_s: float = _ASK_S) -> str:
    """The server's answer to one request. Raises `OSError` when no adb server answers there."""
    try:
        with _asking(address, timeout_s) as ask, ask(request) as connection:
            return _block(connection)
    except _RefusedError as error:
        raise ConnectionError(f"the adb server answers: {error}") from error


class ServerTransport(ServiceTransport):
    """`devdiff.device_runner.adb.transport.Transport` through a running adb server."""

    def __init__(
        self, serial: str, server: tuple[str, int], *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        super().__init__(serial, timeout_s)
        self._address = server
        self._features: frozenset[str] | None = None
        self._sockets: set[socket.socket] = set()

    def _connect(self) -> None:
        try:
            request = f"host-serial:{self._serial}:features"
            with _asking(self._address, self._timeout_s) as ask, ask(request) as connection:
                self._features = frozenset(_block(connection).split(","))
        except Exception as error:
            raise self._trouble(error) from error

    def _disconnect(self) -> None:
        self._features = None
        for connection in self._sockets:
            connection.close()
        self._sockets.clear()

    def _has(self, feature: str) -> bool:
        if self._features is None:
            raise DeviceLostError(f"{self._serial}: not connected, or no more")
        return feature in self._features

    def _open(self, service: str, deadline: Deadline) -> Channel:
        self._has("")
        attached = False
        try:
            with _asking(self._address, deadline.left()) as ask:
                ask(f"host:transport:{self._serial}")
                attached = True
                connection = ask(service)
        except Exception as error:
            if attached and str(error) == "closed":
                raise ServiceUnknownError from error
            raise self._trouble(error) from error
        self._sockets.add(connection)
        return _ServerChannel(self._serial, connection, self._sockets)

    def _trouble(self, error: Exception) -> Exception:
        """What an exception on the way to the server means for the device."""
        where = f"the adb server at {self._address[0]}:{self._address[1]}"
        if isinstance(error, DeviceError):
            return error
        if isinstance(error, TimeoutError):
            return TransportTimeoutError(f"{self._serial}: {where} does not answer")
        if isinstance(error, _RefusedError):
            text = str(error)
            if "unauthorized" in text:
                return DeviceAuthError(
                    f"{self._serial}: the device does not allow the adb server's key yet: unlock "
                    "it, confirm the question whether to allow USB debugging, and run the same "
                    "command again"
                )
            return unreachable(self._serial, f"{where} says: {text}")
        if isinstance(error, OSError):
            return unreachable(self._serial, error)
        return error


class _ServerChannel:
    """A `devdiff.device_runner.adb.channel.Channel` on a connection to the server."""

    def __init__(
        self, serial: str, connection: socket.socket, siblings: set[socket.socket]
    ) -> None:
        self._serial = serial
        self._connection = connection
        self._siblings = siblings

    @property
    def serial(self) -> str:
        return self._serial

    def send(self, data: bytes, deadline: Deadline) -> None:
        view = memoryview(data)
        while view:
            try:
                self._connection.settimeout(deadline.left())
                view = view[self._connection.send(view) :]
            except TimeoutError:
                continue
            except OSError as error:
                raise gone(self._serial, error.strerror or error) from error
            deadline.moved()

    def receive(self, deadline: Deadline) -> bytes:
        while True:
            try:
                self._connection.settimeout(deadline.left())
                data = self._connection.recv(_PIECE)
            except TimeoutError:
                continue
            except OSError as error:
                raise gone(self._serial, error.strerror or error) from error
            deadline.moved()
            return data

    def waiting(self) -> bool:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self._siblings.discard(self._connection)
        self._connection.close()
