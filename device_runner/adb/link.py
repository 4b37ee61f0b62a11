"""One connection to an adb daemon, and the channels that share it.

adb-shell has both, too, but sums every byte in Python, waits for the device before it reads on, and
loses count of a stream that was left; so they are our own.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from adb_shell import constants

from devdiff.device_runner.adb import packet as packets
from devdiff.device_runner.adb.channel import Deadline, ServiceUnknownError, gone, unreachable
from devdiff.device_runner.adb.packet import Packet
from devdiff.device_runner.adb.sign_in import sign_in
from devdiff.device_runner.adb.wire import Wire, WireClosedError, WireDroppedError
from devdiff.device_runner.errors import DeviceError, DeviceLostError, TransportTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from devdiff.device_runner.adb.keys import Keys

_CLOSING_S: Final = 5.0
# A daemon sends one packet and waits for its acknowledgement; twice as many are let pass.
_MOST_UNREAD: Final = 2


class Link:
    """A connection to one adb daemon. Not to be shared between threads.

    Any trouble in the middle of a packet, an interrupt too, leaves nothing to go on from: the link
    closes itself then, and everything on it raises `DeviceLostError`.
    """

    def __init__(self, wire: Wire, serial: str) -> None:
        self.serial = serial
        self.features: frozenset[str] = frozenset()
        self._wire = wire
        self._summed: bool | None = None
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
        try:
            self._wire.close()
            self._wire.connect(timeout_s)
        except TimeoutError as error:
            raise TransportTimeoutError(
                f"{self.serial}: no connection within {timeout_s:g} s; is the address right and "
                "the way to it open?"
            ) from error
        except (OSError, UnicodeError, WireClosedError) as error:
            raise unreachable(self.serial, getattr(error, "strerror", None) or error) from error
        greeting = sign_in(self, keys, timeout_s, allow_s, asks)
        self._summed = greeting.summed
        self._largest = greeting.most_bytes
        self.features = greeting.features

    def end(self, reason: str) -> DeviceLostError:
        """Close the link for what the device said; returns the error to raise for it."""
        self._broken = self._broken or reason
        self._wire.close()
        return unreachable(self.serial, reason)

    def close(self) -> None:
        self._broken = self._broken or "closed by this end"
        self._wire.close()

    def open(self, service: str, deadline: Deadline) -> LinkChannel:
        """A channel to a service. Raises `ServiceUnknownError` when the daemon has no such."""
        name = service.encode() + b"\0"
        if len(name) > self._largest:
            raise DeviceError(
                f"{self.serial}: a command of {len(name)} bytes is more than this device takes "
                f"({self._largest})"
            )
        self._last_id += 1
        channel = LinkChannel(self, self._last_id, self._largest)
        self._channels[self._last_id] = channel
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
            raise self._ended("its adb daemon began anew")
        channel = self._channels.get(packet.second)
        if channel is not None:
            channel.deliver(packet)
            if channel.unread > _MOST_UNREAD:
                raise self._ended("its adb daemon sends without waiting for an acknowledgement")
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
        # Old daemons want a sum, and which one this is shows later.
        summed = self._summed is not False
        self._guarded(lambda: packets.write(self._wire, packet, deadline, summed=summed))

    def read(self, deadline: Deadline) -> Packet:
        summed = self._summed
        packet: Packet = self._guarded(lambda: packets.read(self._wire, deadline, summed=summed))
        self._heard = True
        return packet

    def _ended(self, reason: str) -> DeviceLostError:
        self.close()
        return gone(self.serial, reason)

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

    @property
    def unread(self) -> int:
        """Packets that came and were not taken yet."""
        return len(self._inbox)

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
