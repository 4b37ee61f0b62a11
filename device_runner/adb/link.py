"""Packets of the ADB protocol over one connection, and the channels that share it.

Signing in is adb-shell's (`_AdbIOManager.connect`, private but the only place that has it; the
version is pinned). What lies above it there sums every byte in Python, waits for the device before
it reads on, and loses count of a stream that was left; so packets and channels are our own.
"""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from adb_shell import constants, exceptions
from adb_shell.adb_device import _AdbIOManager
from adb_shell.hidden_helpers import _AdbTransactionInfo

from devdiff.device_runner.adb.channel import Deadline, ServiceUnknownError, gone, unreachable
from devdiff.device_runner.adb.keys import Keys, public_file
from devdiff.device_runner.adb.wire import Wire, WireClosedError, WireDroppedError
from devdiff.device_runner.errors import (
    DeviceAuthError,
    DeviceError,
    DeviceLostError,
    TransportTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from adb_shell.adb_message import AdbMessage

# From this protocol version on nobody looks at the sums any more.
_UNSUMMED: Final = 0x01000001
_FEATURES: Final = b"features=shell_v2,stat_v2"
_HEAD: Final = struct.Struct("<6I")
_MOST_BYTES: Final = 16 << 20
_CLOSING_S: Final = 5.0
# Before both sides know each other's version, some daemons sum and some do not.
_SUMMED: Final = (constants.WRTE, constants.OKAY, constants.CLSE)
_COMMANDS: Final = {
    **constants.WIRE_TO_ID,
    int.from_bytes(b"STLS", "little"): b"STLS",
}


class Packet(NamedTuple):
    command: bytes
    first: int
    second: int
    data: bytes


class _SignIn(_AdbIOManager):  # type: ignore[misc]
    """adb-shell's way of signing in, sending and reading by a `Link`."""

    def __init__(self, wire: Wire, link: Link) -> None:
        super().__init__(wire)
        self._link = link

    def _send(self, msg: AdbMessage, adb_info: _AdbTransactionInfo) -> None:
        deadline = Deadline(adb_info.transport_timeout_s, self._link.serial, "connecting")
        command = constants.WIRE_TO_ID[msg.command]
        first = _UNSUMMED if command == constants.CNXN else msg.arg0
        self._link.write(Packet(command, first, msg.arg1, bytes(msg.data)), deadline)

    def _read_packet_from_device(self, adb_info: _AdbTransactionInfo) -> Packet:
        deadline = Deadline(adb_info.transport_timeout_s, self._link.serial, "connecting")
        return self._link.read(deadline)


class Link:
    """A connection to one adb daemon. Not to be shared between threads.

    Any trouble in the middle of a packet, an interrupt too, leaves nothing to go on from: the link
    closes itself then, and everything on it raises `DeviceLostError`.
    """

    def __init__(self, wire: Wire, serial: str) -> None:
        self.serial = serial
        self.features: frozenset[str] = frozenset()
        self._wire = wire
        self._summed = True
        self._largest = constants.MAX_LEGACY_ADB_DATA
        self._channels: dict[int, LinkChannel] = {}
        self._last_id = 0
        self._broken = ""
        self._heard = False
        self.dropped = False
        """Whether the daemon closed the connection before its first word."""

    def connect(
        self, keys: Keys, timeout_s: float, allow_s: float, asks: Callable[[], None]
    ) -> None:
        """Connect and sign in.

        ``asks`` is called when the phone shows its question whether to allow this computer; the
        user has ``allow_s`` seconds to answer it. Raises `DeviceAuthError` when that is not a yes.
        """
        asked = False

        def ask(_manager: object) -> None:
            nonlocal asked
            asked = True
            asks()

        info = _AdbTransactionInfo(None, None, timeout_s, max(timeout_s, allow_s))
        try:
            _, largest = _SignIn(self._wire, self).connect(_FEATURES, keys, allow_s, ask, info)
        except TimeoutError as error:
            raise TransportTimeoutError(
                f"{self.serial}: no connection within {timeout_s:g} s; is the address right and "
                "the way to it open?"
            ) from error
        except (OSError, WireClosedError) as error:
            raise unreachable(self.serial, getattr(error, "strerror", None) or error) from error
        except (exceptions.AdbTimeoutError, exceptions.InvalidResponseError) as error:
            raise unreachable(self.serial, error) from error
        except DeviceLostError as error:
            if asked:
                raise DeviceAuthError(
                    f"{self.serial}: the device does not allow this computer's key "
                    f"({public_file(keys.own)}): unlock it, confirm the question whether to allow "
                    "USB debugging, and run the same command again; if another key is meant, name "
                    "it in ADB_VENDOR_KEYS"
                ) from error
            raise
        self._largest = min(largest, constants.MAX_ADB_DATA)

    def close(self) -> None:
        self._broken = self._broken or "closed by this end"
        self._wire.close()

    def open(self, service: str, deadline: Deadline) -> LinkChannel:
        """A channel to a service. Raises `ServiceUnknownError` when the daemon has no such."""
        self._last_id += 1
        channel = LinkChannel(self, self._last_id, self._largest)
        self._channels[self._last_id] = channel
        name = service.encode() + b"\0"
        if len(name) > self._largest:
            raise DeviceError(
                f"{self.serial}: a command of {len(name)} bytes is more than this device takes "
                f"({self._largest})"
            )
        self.write(Packet(constants.OPEN, self._last_id, 0, name), deadline)
        try:
            channel.await_opening(deadline)
        except BaseException:
            channel.close()
            raise
        return channel

    def forget(self, local_id: int) -> None:
        self._channels.pop(local_id, None)

    def pump(self, deadline: Deadline) -> None:
        """Read one packet and give it to the channel it is for."""
        packet = self.read(deadline)
        if packet.command in (constants.CNXN, constants.AUTH):
            self.close()
            raise gone(self.serial, "its adb daemon began anew")
        channel = self._channels.get(packet.second)
        if channel is not None:
            channel.deliver(packet)
        elif packet.command != constants.CLSE:
            # Left here before the device knew, perhaps before its service had begun.
            self.say_closed(packet.second, packet.first)

    def say_closed(self, local_id: int, remote_id: int) -> None:
        """Tell the device that a channel is over; what it still has to say of it is not read."""
        if not self._broken:
            with contextlib.suppress(DeviceLostError):
                deadline = Deadline(_CLOSING_S, self.serial, "closing a channel")
                self.write(Packet(constants.CLSE, local_id, remote_id, b""), deadline)

    def write(self, packet: Packet, deadline: Deadline) -> None:
        command = constants.ID_TO_WIRE[packet.command]
        total = _sum(packet.data) if self._summed else 0
        head = _HEAD.pack(
            command,
            packet.first,
            packet.second,
            len(packet.data),
            total,
            command ^ 0xFFFFFFFF,
        )
        self._guarded(lambda: self._wire.write(head, packet.data, deadline))

    def read(self, deadline: Deadline) -> Packet:
        packet: Packet = self._guarded(lambda: self._read(deadline))
        self._heard = True
        if packet.command == b"STLS":
            self.close()
            raise DeviceError(
                f"{self.serial}: this is wireless debugging of Android 11 and later, which wants "
                "pairing: adb pair HOST:PORT, then adb connect HOST:PORT, and devdiff goes through "
                "that adb server"
            )
        if packet.command == constants.CNXN:
            self._summed = packet.first < _UNSUMMED
            self.features = _features(packet.data)
        return packet

    def _read(self, deadline: Deadline) -> Packet:
        word, first, second, length, total, magic = _HEAD.unpack(
            self._wire.read(_HEAD.size, deadline)
        )
        command = _COMMANDS.get(word)
        if command is None or magic != word ^ 0xFFFFFFFF or length > _MOST_BYTES:
            raise WireClosedError("what answers does not speak ADB")
        data = self._wire.read(length, deadline) if length else b""
        if self._summed and command in _SUMMED and _sum(data) != total:
            raise WireClosedError("a packet arrived damaged")
        return Packet(command, first, second, data)

    def _guarded(self, act: Callable[[], Any]) -> Any:
        if self._broken:
            raise gone(self.serial, self._broken)
        try:
            return act()
        except WireClosedError as error:
            self._broken = str(error)
            self.dropped = isinstance(error, WireDroppedError) and not self._heard
            self._wire.close()
            raise gone(self.serial, error) from error
        except BaseException as error:
            self._broken = str(error) or type(error).__name__
            self._wire.close()
            raise


class LinkChannel:
    """A `devdiff.device_runner.adb.channel.Channel` on a `Link`."""

    def __init__(self, link: Link, local_id: int, largest: int) -> None:
        self._link = link
        self._id = local_id
        self._largest = largest
        self._remote_id = 0
        self._ready = False
        self._ended = False
        self._inbox: deque[bytes] = deque()

    @property
    def serial(self) -> str:
        return self._link.serial

    def await_opening(self, deadline: Deadline) -> None:
        while not self._remote_id:
            self._link.pump(deadline)
            if self._ended and not self._remote_id:
                raise ServiceUnknownError

    def deliver(self, packet: Packet) -> None:
        """Take a packet that the link read for this channel."""
        if packet.command == constants.OKAY:
            self._remote_id = packet.first
            self._ready = True
        elif packet.command == constants.WRTE:
            self._inbox.append(packet.data)
        elif packet.command == constants.CLSE:
            self._ended = True

    def send(self, data: bytes, deadline: Deadline) -> None:
        for start in range(0, len(data), self._largest):
            # The device takes one packet at a time. Waiting here and not behind the packet lets
            # this computer prepare the next one meanwhile.
            while not self._ready:
                if self._ended:
                    raise gone(self.serial, "its adb daemon closed the channel")
                self._link.pump(deadline)
            self._ready = False
            piece = data[start : start + self._largest]
            self._link.write(Packet(constants.WRTE, self._id, self._remote_id, piece), deadline)

    def receive(self, deadline: Deadline) -> bytes:
        while not self._inbox:
            if self._ended:
                return b""
            self._link.pump(deadline)
        data = self._inbox.popleft()
        if not self._ended:
            self._link.write(Packet(constants.OKAY, self._id, self._remote_id, b""), deadline)
        return data

    def waiting(self) -> bool:
        return bool(self._inbox) or self._ended

    def close(self) -> None:
        self._link.forget(self._id)
        if self._remote_id and not self._ended:
            self._link.say_closed(self._id, self._remote_id)
        self._ended = True


def _sum(data: bytes) -> int:
    """The sum of all bytes, which old daemons want with each packet."""
    import numpy as np

    return int(np.frombuffer(data, np.uint8).sum(dtype=np.uint32)) if data else 0


def _features(banner: bytes) -> frozenset[str]:
    """What a daemon says it can, from ``device::name=value;...;features=a,b``."""
    for field in banner.rstrip(b"\0").decode(errors="replace").split("::")[-1].split(";"):
        name, _, value = field.partition("=")
        if name == "features":
            return frozenset(value.split(","))
    return frozenset()
