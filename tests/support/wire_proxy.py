"""A TCP proxy in front of an adb daemon that spoils what passes, in ways a test chooses."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_HEAD = struct.Struct("<4s5I")


class Message(NamedTuple):
    """A packet of the ADB protocol."""

    command: bytes
    first: int
    second: int
    data: bytes


Edit = Callable[[Message], Message]


@dataclass
class Spoil:
    """What happens to one direction of every connection.

    ``edit`` changes packets. ``after`` counts bytes; behind them the connection is ``cut`` or, if
    not, silent for ever; with ``once`` only the first that gets so far. ``slow`` reads little, in
    odd amounts, and with pauses.
    """

    edit: Edit | None = None
    after: int | None = None
    cut: bool = False
    once: bool = False
    slow: bool = False


class Proxy:
    """Listens on ``port`` of the loopback; ``up`` is the way to the device, ``down`` back.

    The first ``dropped`` connections are closed as soon as something was said on them.
    """

    def __init__(
        self, target: int, up: Spoil | None = None, down: Spoil | None = None, dropped: int = 0
    ) -> None:
        self.target = target
        self._dropped = dropped
        self._up = up or Spoil()
        self._down = down or Spoil()
        self._listener = socket.socket()
        if self._up.slow:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self.spoiled = threading.Event()
        self._connections: list[_Connection] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End all connections now."""
        for one in self._connections:
            one.end()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self._dropped:
                    self._dropped -= 1
                    near.recv(1)
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    near.close()
                    continue
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = _Connection(near, far)
                self._connections.append(connection)
                for pump in (self._pump_up, self._pump_down):
                    threading.Thread(target=pump, args=(connection,), daemon=True).start()

    def _pump_up(self, connection: _Connection) -> None:
        self._pump(connection, connection.near, connection.far.sendall, self._up)
        connection.close_near()

    def _pump_down(self, connection: _Connection) -> None:
        self._pump(connection, connection.far, connection.answer, self._down)
        connection.close_far()

    def _pump(
        self,
        connection: _Connection,
        source: socket.socket,
        send: Callable[[bytes], None],
        spoil: Spoil,
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            for data in _edited(source, spoil.edit) if spoil.edit else _raw(source, spoil.slow):
                left = None if spoil.after is None else spoil.after - passed
                if left is None or len(data) <= left:
                    send(data)
                    passed += len(data)
                    continue
                send(data[:left])
                if spoil.once:
                    spoil.after = None
                self.spoiled.set()
                if not spoil.cut:
                    # Nothing is read any more either, so that buffers fill as they do in life.
                    connection.over.wait()
                break
        connection.end()


class _Connection:
    """Two sockets; each is closed by the thread that reads it, lest its number be used again."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near = near
        self.far = far
        self.over = threading.Event()
        self._answering = threading.Lock()

    def answer(self, data: bytes) -> None:
        with self._answering:
            self.near.sendall(data)

    def end(self) -> None:
        """The client loses the connection at once; to the phone it is closed, not reset.

        A reset while the phone has more to take than it can ends QEMU itself: libslirp 4.7.0 fails
        an assertion in soread().
        """
        self.over.set()
        for one, how in ((self.near, socket.SHUT_RDWR), (self.far, socket.SHUT_WR)):
            with contextlib.suppress(OSError):
                one.shutdown(how)

    def close_near(self) -> None:
        with self._answering:
            self.near.close()

    def close_far(self) -> None:
        with contextlib.suppress(OSError):
            while self.far.recv(1 << 16):
                pass
        self.far.close()


def _raw(source: socket.socket, slow: bool) -> Iterator[bytes]:
    amount = 1
    while True:
        if slow:
            # From one byte to some thousand, never the same twice in a row.
            amount = amount * 7 % 4093
            if amount % 5 == 0:
                time.sleep(0.001)
        data = source.recv(amount if slow else 1 << 16)
        if not data:
            return
        yield data


def _edited(source: socket.socket, edit: Edit) -> Iterator[bytes]:
    stream = source.makefile("rb")
    while len(head := stream.read(_HEAD.size)) == _HEAD.size:
        command, first, second, length, total, _ = _HEAD.unpack(head)
        old = Message(command, first, second, stream.read(length))
        new = edit(old)
        if new.data != old.data and total:
            total = sum(new.data) & 0xFFFFFFFF
        magic = int.from_bytes(new.command, "little") ^ 0xFFFFFFFF
        yield _HEAD.pack(*new[:3], len(new.data), total, magic) + new.data


def older(*, knows_exec: bool = True) -> tuple[Spoil, Spoil]:
    """Both ways, changed so that today's daemon behaves as one of Android 6 did.

    Old version of the protocol with sums, packets of 4 KiB, no features; ``shell`` is a terminal.
    """

    def up(message: Message) -> Message:
        if message.command == b"CNXN":
            return message._replace(first=0x01000000, second=4096)
        if message.command == b"OPEN" and message.data.startswith(b"shell:"):
            return message._replace(data=b"shell,pty:" + message.data[len(b"shell:") :])
        if message.command == b"OPEN" and message.data.startswith(b"exec:") and not knows_exec:
            return message._replace(data=b"unheard-of:")
        return message

    def down(message: Message) -> Message:
        if message.command == b"CNXN":
            return message._replace(first=0x01000000, data=b"device::ro.product.name=old;\0")
        return message

    return Spoil(edit=up), Spoil(edit=down)
