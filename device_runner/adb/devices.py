"""Which device is meant, and the way to it."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.device_runner.adb.conditions import conditions
from devdiff.device_runner.adb.device_facts import DeviceFacts, describe
from devdiff.device_runner.adb.device_list import ListedDevice, parse
from devdiff.device_runner.errors import (
    DeviceAuthError,
    DeviceChoiceError,
    DeviceError,
    DeviceLostError,
    NoDeviceError,
    SeveralDevicesError,
)

if TYPE_CHECKING:
    from devdiff.device_runner.adb.transport import Transport

__all__ = [
    "NONE_ATTACHED",
    "AttachedDevice",
    "DeviceAddress",
    "DeviceFacts",
    "attached",
    "conditions",
    "connect",
    "describe",
    "none_attached",
    "only",
    "require_usable",
    "resolve",
]

_LOOPBACK: Final = "127.0.0.1"
# Where emulators listen, as adb looks for them: the console on the even port, adbd on the next.
_EMULATOR_PORTS: Final = range(5555, 5586, 2)
_PROBE_S: Final = 3.0
_EMULATOR: Final = re.compile(r"emulator-(\d{1,5})")
_HOST_PORT: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\s/]+)):(?P<port>\d+)"
)
_TLS: Final = "adb-tls-connect"
NONE_ATTACHED: Final = (
    "no device is attached: attach a phone and allow USB debugging on it, start an emulator, or "
    "start a virtual phone: devdiff virtual start"
)


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """A device and the way to it, with the reason why this way was chosen.

    ``host`` and ``port`` are the device's for ``tcp`` and the adb server's for ``server``.
    """

    serial: str
    way: Literal["server", "tcp", "usb"]
    host: str = ""
    port: int = 0
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def summary(self) -> str:
        """For people: the way, and why it."""
        place = {
            "server": f"through the adb server at {self.host}:{self.port}",
            "tcp": f"directly at {self.host}:{self.port}",
            "usb": "directly over USB",
        }[self.way]
        return f"{self.serial}, {place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class AttachedDevice:
    """A device that is there, in whatever ``state`` (adb's words; ``device`` is usable)."""

    address: DeviceAddress
    state: str
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.state == "device"

    def summary(self) -> str:
        about = [self.details["model"].replace("_", " ")] if self.details.get("model") else []
        return f"{self.address.serial} ({', '.join([self.state, *about])})"


def resolve(text: str | None, environment: Mapping[str, str] = os.environ) -> DeviceAddress:
    """The device a user means, by the rules every ADB tool shares.

    ``text`` is a serial, ``emulator-N`` or ``host:port``; without it ``ANDROID_SERIAL`` counts,
    then the only device attached. Raises `NoDeviceError` when there is none, `DeviceChoiceError`
    when there are several or none of that name, `DeviceAuthError` when it does not allow this
    computer yet, and `DeviceError` when it is in no state to be used.
    """
    why = ""
    if text is None and environment.get("ANDROID_SERIAL"):
        text, why = environment["ANDROID_SERIAL"], "named by ANDROID_SERIAL; "
    if text is None:
        return only(attached(environment))
    server, listed = _listed(environment)
    held = next((device for device in listed if device.serial == text), None)
    # What the server lost may have come back at its address without the server's knowing.
    lost = held is not None and held.state == "offline" and (":" in text or "emulator-" in text)
    if held is not None and not lost:
        found = _through(server, held, why)
        require_usable(found)
        return found.address
    if emulator := _EMULATOR.fullmatch(text):
        port = int(emulator[1]) + 1
        if 1 < port < 65536:
            reason = f"{why}{_without(server, held)}"
            return DeviceAddress(text, "tcp", _LOOPBACK, port, reason)
    elif _TLS in text:
        raise DeviceChoiceError(
            f"{text}: a phone with wireless debugging of Android 11 and later is reached through "
            f"an adb server that is paired with it, and {_without(server, None)}: adb pair "
            "HOST:PORT, adb connect HOST:PORT"
        )
    elif ":" in text:
        if (match := _HOST_PORT.fullmatch(text)) and 0 < int(match["port"]) < 65536:
            host, port = match["six"] or match["host"], int(match["port"])
            return DeviceAddress(text, "tcp", host, port, f"{why}{_without(server, held)}")
    elif server is None and text in _usb_serials():
        return DeviceAddress(text, "usb", reason=f"{why}no adb server runs")
    present = attached(environment)
    named = (
        f"{text!r}, which ANDROID_SERIAL names (unset it, or give --device)" if why else repr(text)
    )
    near = difflib.get_close_matches(text, [device.address.serial for device in present], 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise DeviceChoiceError(
        f"there is no device {named}{meant}; attached: {_list(present) or 'none'}. A device is "
        f"named by its serial, emulator-N or host:port{_no_adb(server)}"
    )


def attached(environment: Mapping[str, str] = os.environ) -> list[AttachedDevice]:
    """All devices that are there: held by the adb server, emulators on this machine, on USB."""
    server, listed = _listed(environment)
    found = [_through(server, device) for device in listed]
    held = {serial for device in listed if device.usable for serial in _names(device.serial)}
    ports = [port for port in _EMULATOR_PORTS if f"emulator-{port - 1}" not in held]
    for port in _answering(ports):
        serial = f"emulator-{port - 1}"
        stale = next((device for device in listed if device.serial == serial), None)
        address = DeviceAddress(serial, "tcp", _LOOPBACK, port, _without(server, stale))
        found = [device for device in found if device.address.serial != serial]
        found.append(AttachedDevice(address, "device"))
    if server is None:
        found += [
            AttachedDevice(
                DeviceAddress(serial, "usb", reason="no adb server runs"), trouble or "device"
            )
            for serial, trouble in _usb_serials().items()
        ]
    return _distinct(found)


def connect(
    address: DeviceAddress,
    *,
    timeout_s: float = 30.0,
    allow_s: float = 60.0,
    note: Callable[[str], None] = lambda text: None,
    environment: Mapping[str, str] = os.environ,
) -> Transport:
    """A transport to the device, to be entered; nothing is connected yet.

    ``timeout_s`` is the longest silence to bear. Should the phone ask whether to allow this
    computer, ``note`` is told so, and the user has ``allow_s`` seconds.
    """
    if address.way == "server":
        from devdiff.device_runner.adb.server import ServerTransport

        server = (address.host, address.port)
        return ServerTransport(address.serial, server, timeout_s=timeout_s)
    from devdiff.device_runner.adb.direct import DirectTransport
    from devdiff.device_runner.adb.usb import UsbWire
    from devdiff.device_runner.adb.wire import SocketWire

    usb = address.way == "usb"
    return DirectTransport(
        address.serial,
        UsbWire(address.serial) if usb else SocketWire(address.host, address.port),
        timeout_s=timeout_s,
        allow_s=allow_s,
        note=note,
        environment=environment,
    )


def _listed(
    environment: Mapping[str, str],
) -> tuple[tuple[str, int] | None, list[ListedDevice]]:
    """The adb server that runs, if any, and the devices it holds."""
    from devdiff.device_runner.adb.server import query, server_address

    server = server_address(environment)
    try:
        return server, parse(query(server, "host:devices-l"))
    except OSError:
        return None, []


def _through(server: tuple[str, int] | None, device: ListedDevice, why: str = "") -> AttachedDevice:
    assert server is not None
    reason = f"{why}the adb server holds it"
    return AttachedDevice(
        DeviceAddress(device.serial, "server", *server, reason), device.state, device.details
    )


def _without(server: tuple[str, int] | None, held: ListedDevice | None) -> str:
    if server is None:
        return "no adb server runs"
    where = f"the adb server at {server[0]}:{server[1]}"
    return f"{where} holds it as {held.state}" if held else f"{where} does not hold it"


def _answering(ports: Sequence[int]) -> list[int]:
    """The loopback ports on which an adb daemon answers; whether it takes our key shows later."""
    from devdiff.device_runner.virtual.probe import ProbeReply, probe

    if not ports:
        return []
    with ThreadPoolExecutor(len(ports)) as pool:
        answers = pool.map(lambda port: probe(port, _PROBE_S), ports)
        return [
            port
            for port, answer in zip(ports, answers, strict=True)
            if answer is not ProbeReply.SILENT
        ]


def _usb_serials() -> dict[str, str]:
    """Serials on USB with their trouble, if any; empty where USB cannot be looked at."""
    from devdiff.device_runner.adb.usb import attached

    try:
        return dict(attached())
    except DeviceError:
        return {}


def _names(serial: str) -> tuple[str, ...]:
    """A serial, and what the same emulator would be called by its port on this machine."""
    match = re.fullmatch(r"(?:127\.0\.0\.1|localhost|\[::1\]):(\d+)", serial)
    return (serial, f"emulator-{int(match[1]) - 1}") if match else (serial,)


def _distinct(found: list[AttachedDevice]) -> list[AttachedDevice]:
    """Without the second entry that ``adb connect`` makes for an emulator of this machine."""
    own = {device.address.serial for device in found if device.usable}
    return [device for device in found if not set(_names(device.address.serial)[1:]) & own]


def only(found: Sequence[AttachedDevice]) -> DeviceAddress:
    """The one device that is there; stale entries of the adb server do not count beside it.

    Raises `NoDeviceError`, `DeviceChoiceError`, and what `require_usable` raises.
    """
    present = [device for device in found if device.state != "offline"] or found
    if not present:
        raise NoDeviceError(NONE_ATTACHED)
    if len(present) > 1:
        raise SeveralDevicesError(
            f"{len(present)} devices are attached: {_list(present)}; name one with --device or "
            "ANDROID_SERIAL"
        )
    require_usable(present[0])
    address = present[0].address
    reason = f"the only device attached; {address.reason}"
    return DeviceAddress(address.serial, address.way, address.host, address.port, reason)


def none_attached(environment: Mapping[str, str] = os.environ) -> str:
    """What to do where no device is attached, and what a missing adb hides."""
    return f"{NONE_ATTACHED}{_no_adb(_listed(environment)[0])}"


def _no_adb(server: object) -> str:
    """What a missing adb hides: devices that only its server reaches."""
    if server is not None or shutil.which("adb") is not None:
        return ""
    return (
        "; no adb server runs and adb is not installed (apt-get install adb), so phones on USB are "
        "reached only where this user may open them, and paired ones over Wi-Fi not at all"
    )


def _list(found: Sequence[AttachedDevice]) -> str:
    return ", ".join(device.summary() for device in found)


def require_usable(attached_device: AttachedDevice) -> None:
    """Raises the error for a device that is in no state to be used."""
    serial, state = attached_device.address.serial, attached_device.state
    if attached_device.usable:
        return
    if state in ("unauthorized", "authorizing"):
        raise DeviceAuthError(
            f"{serial}: the device does not allow this computer yet: unlock it, confirm the "
            "question whether to allow USB debugging, and run the same command again"
        )
    if state in ("offline", "connecting", "detached"):
        raise DeviceLostError(
            f"{serial}: the adb server holds it as {state}: see that it is switched on, attach it "
            "again, or for network devices: adb reconnect offline"
        )
    if state.startswith("no permissions"):
        raise DeviceError(
            f"{serial}: this user may not use it ({state}): on Debian or Ubuntu an administrator "
            "can run apt-get install android-sdk-platform-tools-common and add the user to the "
            "group plugdev"
        )
    raise DeviceError(f"{serial}: it is in the state {state!r}; start Android on it first")
