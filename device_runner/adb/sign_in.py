"""How a connection to an adb daemon begins: both sides greet, and this one shows its key.

The daemon answers the greeting with its own, or first with a token to sign. A signature by a key
that it knows lets us in; after the last one it gets the public half of the user's key, and asks its
owner whether to allow this computer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adb_shell import constants

from devdiff.device_runner.adb.channel import Deadline
from devdiff.device_runner.adb.keys import public_file
from devdiff.device_runner.adb.packet import (
    MOST_BYTES,
    OLDEST_VERSION,
    STLS,
    TOKEN_BYTES,
    VERSION,
    Packet,
)
from devdiff.device_runner.errors import DeviceAuthError, DeviceError, DeviceLostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from devdiff.device_runner.adb.keys import Keys
    from devdiff.device_runner.adb.link import Link

_BANNER: Final = b"host::features=shell_v2,stat_v2\0"
# What was still under way, on a cable, from the connection before.
_MOST_STALE: Final = 64
_STALE: Final = frozenset({constants.OKAY, constants.WRTE, constants.CLSE})
# A command and the head of a transfer have to fit.
_LEAST_BYTES: Final = 64
_FEATURE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a daemon says of itself: the protocol to speak with it, and what it can."""

    summed: bool
    """Whether messages carry a sum that is looked at."""
    most_bytes: int
    """The longest body that it takes, at most what is taken here."""
    features: frozenset[str]


def sign_in(
    link: Link, keys: Keys, timeout_s: float, allow_s: float, asks: Callable[[], None]
) -> Greeting:
    """Greet and sign in over a link that was just opened, in ``timeout_s`` seconds in all.

    ``asks`` is called when the phone shows its question whether to allow this computer; the user
    has ``allow_s`` seconds to answer it. Raises `DeviceAuthError` when that is not a yes,
    `DeviceLostError` for an answer that is none, and `DeviceError` for a daemon that wants TLS.
    """
    deadline = Deadline(timeout_s, link.serial, "connecting")
    link.write(Packet(constants.CNXN, VERSION, MOST_BYTES, _BANNER), deadline)
    answer = _answer(link, deadline)
    if answer.command == constants.CNXN:
        return _greeting(link, answer)
    offered = keys.load()
    for key in offered:
        signature = key.sign(_token(link, answer))
        link.write(Packet(constants.AUTH, constants.AUTH_SIGNATURE, 0, signature), deadline)
        answer = _answer(link, deadline)
        if answer.command == constants.CNXN:
            return _greeting(link, answer)
    _token(link, answer)
    asks()
    public = offered[0].public_line() + b"\0"
    link.write(Packet(constants.AUTH, constants.AUTH_RSAPUBLICKEY, 0, public), deadline)
    try:
        answer = _answer(
            link, Deadline(allow_s, link.serial, "waiting for an answer to its question")
        )
    except DeviceLostError as error:
        raise _refused(link, keys) from error
    if answer.command == constants.AUTH:
        link.end("the device does not allow this computer's key")
        raise _refused(link, keys)
    return _greeting(link, answer)


def _answer(link: Link, deadline: Deadline) -> Packet:
    """The daemon's greeting, or its wish for a signature."""
    packet = link.read(deadline)
    for _ in range(_MOST_STALE):
        if packet.command in (constants.CNXN, constants.AUTH):
            return packet
        if packet.command == STLS:
            link.end("it wants TLS")
            raise DeviceError(
                f"{link.serial}: this is wireless debugging of Android 11 and later, which wants "
                "pairing: adb pair HOST:PORT, then adb connect HOST:PORT, and devdiff goes through "
                "that adb server"
            )
        if packet.command not in _STALE:
            break
        packet = link.read(deadline)
    raise link.end(f"what answers does not speak ADB: {packet.command.decode()} for a greeting")


def _token(link: Link, answer: Packet) -> bytes:
    if answer.first != constants.AUTH_TOKEN or len(answer.data) != TOKEN_BYTES:
        raise link.end(
            "what answers does not speak ADB: it wants a key and gives no token of "
            f"{TOKEN_BYTES} bytes to sign (kind {answer.first}, {len(answer.data)} bytes)"
        )
    return answer.data


def _greeting(link: Link, packet: Packet) -> Greeting:
    version, most_bytes = packet.first, packet.second
    if version < OLDEST_VERSION:
        raise link.end(
            f"what answers speaks version {version:#x} of ADB; the oldest there is, is "
            f"{OLDEST_VERSION:#x}"
        )
    if most_bytes < _LEAST_BYTES:
        raise link.end(f"what answers takes {most_bytes} bytes in a message, too few to work with")
    return Greeting(version < VERSION, min(most_bytes, MOST_BYTES), _features(packet.data))


def _features(banner: bytes) -> frozenset[str]:
    """What a daemon says it can, from ``device::name=value;...;features=a,b``."""
    for field in banner.rstrip(b"\0").decode(errors="replace").split("::")[-1].split(";"):
        name, _, value = field.partition("=")
        if name == "features":
            return frozenset(filter(_FEATURE.fullmatch, value.split(",")))
    return frozenset()


def _refused(link: Link, keys: Keys) -> DeviceAuthError:
    return DeviceAuthError(
        f"{link.serial}: the device does not allow this computer's key "
        f"({public_file(keys.own)}): unlock it, confirm the question whether to allow "
        "USB debugging, and run the same command again; if another key is meant, name "
        "it in ADB_VENDOR_KEYS"
    )
