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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from adbutils._adb import AdbConnection

_PIECE: Final = 1 << 20
_ASK_S: Final = 5.0


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


def _connection(address: tuple[str, int], timeout_s: float) -> AdbConnection:
    """A connection to the server that is there. Raises `OSError` when there is none."""
    from adbutils._adb import AdbConnection

    class Connection(AdbConnection):  # type: ignore[misc]
        # The original starts a server of its own when it finds none.
        def _safe_connect(self) -> socket.socket:
            connection = socket.create_connection(address, timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection

    try:
        return Connection(*address)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"no adb server at {address[0]}:{address[1]}: {reason}") from error


@contextlib.contextmanager
def _asking(address: tuple[str, int], timeout_s: float) -> Iterator[Callable[[str], AdbConnection]]:
    """A function that puts requests to the server, one connection for all of them.

    Raises `OSError` when the server is not there, leaves or does not answer, and adbutils'
    ``AdbError`` when it refuses.
    """
    connection = _connection(address, timeout_s)
    try:

        def ask(request: str) -> AdbConnection:
            encoded = request.encode()
            connection.conn.sendall(b"%04x" % len(encoded) + encoded)
            answer = connection.read(4)
            if len(answer) < 4:
                raise ConnectionError("the adb server closed the connection")
            if answer == b"FAIL":
                raise _refusal(_block(connection))
            if answer != b"OKAY":
                raise ConnectionError(f"this is no adb server, it says {answer!r}")
            return connection

        yield ask
    except BaseException:
        connection.conn.close()
        raise


def _block(connection: AdbConnection) -> str:
    """A text with its length before it. Raises `OSError` when it is cut short."""
    try:
        length = int(connection.read_exact(4), 16)
        return bytes(connection.read_exact(length)).decode(errors="replace")
    except (EOFError, ValueError) as error:
        raise ConnectionError("the adb server closed the connection") from error


def _refusal(reason: str) -> Exception:
    from adbutils.errors import AdbError

    error: Exception = AdbError(reason)
    return error


def query(address: tuple[str, int], request: str, timeout_s: float = _ASK_S) -> str:
    """The server's answer to one request. Raises `OSError` when no adb server answers there."""
    from adbutils.errors import AdbError

    try:
        with _asking(address, timeout_s) as ask:
            connection = ask(request)
            text = _block(connection)
            connection.conn.close()
            return text
    except AdbError as error:
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
            with _asking(self._address, self._timeout_s) as ask:
                connection = ask(f"host-serial:{self._serial}:features")
                self._features = frozenset(_block(connection).split(","))
                connection.conn.close()
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
                connection = ask(service).conn
        except Exception as error:
            if attached and str(error) == "closed":
                raise ServiceUnknownError from error
            raise self._trouble(error) from error
        self._sockets.add(connection)
        return _ServerChannel(self._serial, connection, self._sockets)

    def _trouble(self, error: Exception) -> Exception:
        """What an exception on the way to the server means for the device."""
        from adbutils.errors import AdbError, AdbTimeout

        where = f"the adb server at {self._address[0]}:{self._address[1]}"
        if isinstance(error, DeviceError):
            return error
        if isinstance(error, (TimeoutError, AdbTimeout)):
            return TransportTimeoutError(f"{self._serial}: {where} does not answer")
        if isinstance(error, AdbError):
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
