"""The messages of the ADB protocol: six words of head, and a body.

Nothing in them is believed: a head that contradicts itself, a body longer than that kind of message
may be, or one that does not add up ends the connection.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from adb_shell import constants

from devdiff.device_runner.adb.wire import WireClosedError

if TYPE_CHECKING:
    from devdiff.device_runner.adb.channel import Deadline
    from devdiff.device_runner.adb.wire import Wire

STLS: Final = b"STLS"
VERSION: Final = 0x01000001
"""The version of the protocol that is spoken here: nobody looks at the sums any more."""
OLDEST_VERSION: Final = 0x01000000
TOKEN_BYTES: Final = 20
"""What a device wants to have signed: as long as a SHA-1 sum, and taken for one."""
MOST_BYTES: Final = constants.MAX_ADB_DATA
"""The longest body that is taken, which the device is told."""

_HEAD: Final = struct.Struct("<6I")
_IDS: Final = (*constants.IDS, STLS)
_WORDS: Final = {int.from_bytes(name, "little"): name for name in _IDS}
# Tokens have 20 bytes; a banner names properties and features, a few hundred bytes of them.
_MOST_BYTES_OF: Final = {constants.CNXN: 4096, constants.AUTH: 4096, STLS: 0}


class Packet(NamedTuple):
    command: bytes
    first: int
    second: int
    data: bytes


def write(wire: Wire, packet: Packet, deadline: Deadline, *, summed: bool) -> None:
    """Send a message. Raises `WireClosedError` and what the deadline raises."""
    command = int.from_bytes(packet.command, "little")
    total = _sum(packet.data) if summed else 0
    head = _HEAD.pack(
        command, packet.first, packet.second, len(packet.data), total, command ^ 0xFFFFFFFF
    )
    wire.write(head, packet.data, deadline)


def read(wire: Wire, deadline: Deadline, *, summed: bool | None) -> Packet:
    """The next message. Raises `WireClosedError`, also for what is none, and as the deadline does.

    ``summed`` says whether the sum is looked at; while nobody knows that yet (None), some daemons
    sum and some do not, and no sum is as good as the right one.
    """
    word, first, second, length, total, magic = _HEAD.unpack(wire.read(_HEAD.size, deadline))
    command = _WORDS.get(word)
    if command is None or magic != word ^ 0xFFFFFFFF:
        raise WireClosedError("what answers does not speak ADB")
    most = _MOST_BYTES_OF.get(command, MOST_BYTES)
    if length > most:
        raise WireClosedError(
            f"what answers does not speak ADB: a message {command.decode()} of {length} bytes, "
            f"more than {most}"
        )
    data = wire.read(length, deadline) if length else b""
    if (total if summed is None else summed) and _sum(data) != total:
        raise WireClosedError("a packet arrived damaged")
    return Packet(command, first, second, data)


def _sum(data: bytes) -> int:
    """The sum of all bytes, which old daemons want with each packet."""
    import numpy as np

    return int(np.frombuffer(data, np.uint8).sum(dtype=np.uint32)) if data else 0
