"""A device that a test plays: it listens on the loopback and says what its script says."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

HEAD: Final = struct.Struct("<4s5I")
TOKEN: Final = bytes(range(100, 120))
BANNER: Final = b"device::ro.product.name=played;features=shell_v2,stat_v2"


class Said(NamedTuple):
    """A message that the device got."""

    command: bytes
    first: int
    second: int
    data: bytes


def message(
    command: bytes,
    first: int = 0,
    second: int = 0,
    data: bytes = b"",
    *,
    length: int | None = None,
    total: int | None = None,
    magic: int | None = None,
) -> bytes:
    """A message of the ADB protocol; what is given beside its content contradicts it."""
    return (
        HEAD.pack(
            command,
            first,
            second,
            len(data) if length is None else length,
            sum(data) if total is None else total,
            int.from_bytes(command, "little") ^ 0xFFFFFFFF if magic is None else magic,
        )
        + data
    )


def greeting(version: int = 0x01000001, most: int = 1 << 20, banner: bytes = BANNER) -> bytes:
    return message(b"CNXN", version, most, banner)


def token(kind: int = 1, data: bytes = TOKEN) -> bytes:
    return message(b"AUTH", kind, 0, data)


class Peer:
    """The device's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def hear(self) -> Said:
        """The next message. Raises `ConnectionError` when the other end leaves."""
        command, first, second, length, _, _ = HEAD.unpack(self._exactly(HEAD.size))
        return Said(command, first, second, self._exactly(length))

    def say(self, data: bytes) -> None:
        self._connection.sendall(data)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._connection.recv(count - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data


Script = Callable[[Peer], None]


@contextlib.contextmanager
def played(script: Script) -> Iterator[int]:
    """The port of a device that plays ``script`` on every connection and then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                with contextlib.suppress(OSError), connection:
                    script(Peer(connection))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def public_key(line: bytes) -> rsa.RSAPublicKey:
    """The key in a line of ``adbkey.pub``, as a phone reads it."""
    words, inverse, modulus, square, exponent = struct.unpack(
        "<2I256s256sI", base64.b64decode(line.split(b" ")[0], validate=True)
    )
    n = int.from_bytes(modulus, "little")
    assert words == 64
    assert n * inverse % (1 << 32) == (1 << 32) - 1
    assert int.from_bytes(square, "little") == pow(2, 4096, n)
    return rsa.RSAPublicNumbers(exponent, n).public_key()


def signed_by(key: rsa.RSAPublicKey, signature: bytes) -> bool:
    """Whether a signature of `TOKEN` is by that key, as a phone looks at it."""
    try:
        key.verify(signature, TOKEN, padding.PKCS1v15(), utils.Prehashed(hashes.SHA1()))
    except InvalidSignature:
        return False
    return True
