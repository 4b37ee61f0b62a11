"""One conversation with a service of a device's adb daemon, whatever carries it."""

from __future__ import annotations

import time
from typing import Protocol

from devdiff.device_runner.errors import DeviceLostError, TransportTimeoutError


class ServiceUnknownError(Exception):
    """The device's adb daemon does not know a service. Never leaves this package."""


class Deadline:
    """A moment after which the device counts as silent; ``doing`` is said in the message.

    With ``idle`` every byte that moves puts it off, else it stands until someone says `renew`.
    """

    def __init__(self, seconds: float, serial: str, doing: str, *, idle: bool = False) -> None:
        self._seconds = seconds
        self._serial = serial
        self._doing = doing
        self._idle = idle
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left. Raises `TransportTimeoutError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TransportTimeoutError(
                f"{self._serial}: no answer for {self._seconds:g} s while {self._doing}; "
                "is the device awake, and the way to it open?"
            )
        return left

    def renew(self) -> None:
        """Begin anew."""
        self._end = time.monotonic() + self._seconds

    def moved(self) -> None:
        """Take note that some bytes moved."""
        if self._idle:
            self.renew()


class Channel(Protocol):
    """A two-way stream of bytes between this computer and one service on the device.

    Raises `DeviceLostError` when what carries it breaks, `TransportTimeoutError` at the deadline.
    """

    @property
    def serial(self) -> str:
        """The device's name, for messages."""

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all of ``data``."""

    def receive(self, deadline: Deadline) -> bytes:
        """The next piece of whatever size; nothing when the service has closed the channel."""

    def waiting(self) -> bool:
        """Whether something has come that `receive` would give at once."""

    def close(self) -> None:
        """End the conversation from this side; closing twice does nothing."""


def unreachable(serial: str, reason: object) -> DeviceLostError:
    """The error for a device to which no connection came about."""
    return DeviceLostError(
        f"{serial}: the device cannot be reached ({reason}); see that it is attached, switched on "
        "and debugging is allowed on it: devdiff devices"
    )


def gone(serial: str, reason: object) -> DeviceLostError:
    """The error for a connection that broke."""
    return DeviceLostError(
        f"{serial}: the connection to the device is lost ({reason}); see that it is attached and "
        "switched on: devdiff devices"
    )


class Reader:
    """Takes exact amounts out of the pieces in which a channel delivers."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._buffer = bytearray()

    def exactly(self, count: int, deadline: Deadline) -> bytes:
        """``count`` bytes. Raises `DeviceLostError` when the channel ends before them."""
        while len(self._buffer) < count:
            piece = self._channel.receive(deadline)
            if not piece:
                raise gone(self._channel.serial, "it ended in the middle of an answer")
            self._buffer += piece
        return self._take(count)

    def some(self, limit: int, deadline: Deadline) -> bytes:
        """Between one and ``limit`` bytes, waiting for the first of them only."""
        if not self._buffer:
            return self.exactly(1, deadline) + self._take(limit - 1)
        return self._take(limit)

    def _take(self, limit: int) -> bytes:
        taken = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return taken
