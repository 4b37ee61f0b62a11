"""A USB bus that a test plays: the phone on it is an adb daemon that listens on the loopback.

It stands in for ``usb1`` below adb-shell's transport. Transfers are short, late or split as those
of a cable may be; what they carry goes to the daemon and comes from it.
"""

# ruff: noqa: N802, N818  the names are those of usb1

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SERIAL: Final = "0a38played"
PACKET_BYTES: Final = 512
_OUT: Final = 0x01
_IN: Final = 0x81


class USBError(Exception):
    """As in ``usb1``."""


class USBErrorTimeout(USBError):
    """As in ``usb1``, with what the transfer came to before it was late."""

    def __init__(self, received: bytes = b"", transferred: int = 0) -> None:
        super().__init__("late")
        self.received = received
        self.transferred = transferred


class USBErrorAccess(USBError):
    """As in ``usb1``."""


class USBErrorBusy(USBError):
    """As in ``usb1``."""


class USBErrorNotFound(USBError):
    """As in ``usb1``."""


class Endpoint:
    def __init__(self, address: int) -> None:
        self._address = address

    def getAddress(self) -> int:
        return self._address

    def getMaxPacketSize(self) -> int:
        return PACKET_BYTES


class Setting:
    """The interface of adb, or another one."""

    def __init__(self, subclass: int) -> None:
        self._subclass = subclass

    def getClass(self) -> int:
        return 0xFF

    def getSubClass(self) -> int:
        return self._subclass

    def getProtocol(self) -> int:
        return 1

    def getNumber(self) -> int:
        return 0

    def iterEndpoints(self) -> Iterator[Endpoint]:
        return iter((Endpoint(_IN), Endpoint(_OUT)))


class Handle:
    """An open phone."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._daemon = socket.create_connection(("127.0.0.1", bus.port), 5)
        self._daemon.setblocking(False)
        self._count = itertools.count()

    def kernelDriverActive(self, number: int) -> bool:
        return False

    def claimInterface(self, number: int) -> None:
        if self._bus.busy:
            raise USBErrorBusy("busy")

    def releaseInterface(self, number: int) -> None:
        pass

    def close(self) -> None:
        self._daemon.close()

    # As `usb1` does with a handle that nobody holds any more.
    __del__ = close

    def bulkRead(self, endpoint: int, length: int, timeout: int) -> bytearray:
        assert endpoint == _IN
        self._bus.check()
        ready, _, _ = select.select([self._daemon], [], [], timeout / 1000)
        data = self._daemon.recv(length) if ready else b""
        if ready and not data:
            raise USBError("no device")
        # Every third transfer is late with a part of what was wanted.
        if not data or next(self._count) % 3 == 0:
            raise USBErrorTimeout(received=data)
        return bytearray(data)

    def bulkWrite(self, endpoint: int, data: bytes, timeout: int) -> int:
        assert endpoint == _OUT
        self._bus.check()
        self._bus.sizes.append(len(data))
        late = len(data) > 1 and next(self._count) % 3 == 0
        taken = len(data) // 2 if late else len(data)
        self._daemon.setblocking(True)
        self._daemon.sendall(data[:taken])
        self._daemon.setblocking(False)
        if late:
            raise USBErrorTimeout(transferred=taken)
        return taken


class Device:
    def __init__(self, bus: Bus, subclass: int) -> None:
        self._bus = bus
        self._setting = Setting(subclass)

    def iterSettings(self) -> Iterator[Setting]:
        yield self._setting

    def getSerialNumber(self) -> str:
        if self._bus.forbidden:
            raise USBErrorAccess("no rights")
        return SERIAL

    def open(self) -> Handle:
        return Handle(self._bus)


class Bus:
    """A phone beside something that is none; ``sizes`` are those of the transfers to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.busy = self.forbidden = self.unplugged = False
        self.sizes: list[int] = []

    def check(self) -> None:
        if self.unplugged:
            raise USBError("no device")

    def devices(self) -> list[Device]:
        return [Device(self, 0x01), Device(self, 0x42)]


@contextlib.contextmanager
def played_bus(port: int) -> Iterator[Bus]:
    """A bus in place of ``usb1``, whose phone is the daemon at ``port``."""
    bus = Bus(port)

    class USBContext:
        def open(self) -> None:
            pass

        def getDeviceIterator(self, *, skip_on_error: bool) -> Iterator[Device]:
            return iter(bus.devices())

    module: Any = ModuleType("usb1")
    module.CLASS_VENDOR_SPEC = 0xFF
    module.ENDPOINT_DIR_MASK = 0x80
    module.USBContext = USBContext
    for kind in (USBError, USBErrorTimeout, USBErrorAccess, USBErrorBusy, USBErrorNotFound):
        setattr(module, kind.__name__, kind)
    import adb_shell.transport as package

    transport = f"{package.__name__}.usb_transport"
    before = {name: sys.modules.pop(name, None) for name in ("usb1", transport)}
    sys.modules["usb1"] = module
    try:
        yield bus
    finally:
        for name, kept in before.items():
            sys.modules.pop(name, None)
            if kept is not None:
                sys.modules[name] = kept
        vars(package).pop("usb_transport", None)
