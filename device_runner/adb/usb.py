"""The byte pipe to a phone on a USB cable; needs the extra ``usb`` (libusb1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.adb.wire import WireClosedError
from devdiff.device_runner.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from devdiff.device_runner.adb.channel import Deadline

_STALE_BYTES: Final = 16 << 10
_STALE_S: Final = 0.05


def _library() -> tuple[ModuleType, Any]:
    """The modules ``usb1`` and adb-shell's USB transport."""
    try:
        import usb1
        from adb_shell.transport import usb_transport
    except (ImportError, OSError) as error:
        raise DeviceError(
            "reaching phones over USB without an adb server needs libusb1: install it with "
            "pip install devdiff[usb], or start an adb server: adb start-server"
        ) from error
    return usb1, usb_transport


def attached() -> Iterator[tuple[str, str]]:
    """Serials of the phones on USB, each with its trouble: empty when it can be opened.

    Raises `DeviceError` when USB cannot be used at all.
    """
    usb1, usb_transport = _library()
    for found in usb_transport.UsbTransport.find_all_adb_devices():
        try:
            yield str(found.serial_number), ""
        except usb1.USBErrorAccess:
            yield "(unreadable)", _NO_RIGHTS
        except usb1.USBError as error:
            yield "(unreadable)", str(error)


_NO_RIGHTS: Final = (
    "this user may not open it: on Debian or Ubuntu an administrator can run "
    "apt-get install android-sdk-platform-tools-common and add the user to the group plugdev"
)


class UsbWire:
    """One phone on USB, by its serial."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._device: Any = None

    def connect(self, transport_timeout_s: float) -> None:
        """Open the phone's ADB interface. Raises `DeviceError` when it cannot be had."""
        usb1, usb_transport = _library()
        for found in usb_transport.UsbTransport.find_all_adb_devices():
            try:
                if found.serial_number != self._serial:
                    continue
                found.connect(transport_timeout_s)
            except usb1.USBErrorBusy as error:
                raise DeviceError(
                    f"{self._serial}: another program holds it, most likely an adb server that "
                    "this command does not reach; see ANDROID_ADB_SERVER_PORT"
                ) from error
            except usb1.USBErrorAccess as error:
                raise DeviceError(f"{self._serial}: {_NO_RIGHTS}") from error
            except usb1.USBError as error:
                raise WireClosedError(str(error)) from error
            self._device = found
            self._drain(usb1)
            return
        raise WireClosedError("no such phone on USB")

    def _drain(self, usb1: ModuleType) -> None:
        """Forget what the phone still had to say to the program before."""
        while True:
            try:
                self._handle().bulkRead(
                    self._device._read_endpoint, _STALE_BYTES, timeout=int(_STALE_S * 1000)
                )
            except usb1.USBErrorTimeout:
                return
            except usb1.USBError as error:
                raise WireClosedError(str(error)) from error

    def close(self) -> None:
        if self._device is not None:
            self._device.close()
            self._device = None

    def _handle(self) -> Any:
        # adb-shell's own reading and writing hide a short transfer behind their exceptions.
        handle = None if self._device is None else self._device._transport
        if handle is None:
            raise WireClosedError("closed by this end")
        return handle

    def read(self, count: int, deadline: Deadline) -> bytes:
        usb1, _ = _library()
        data = bytearray()
        while len(data) < count:
            limit = max(1, int(deadline.left() * 1000))
            try:
                data += self._handle().bulkRead(
                    self._device._read_endpoint, count - len(data), timeout=limit
                )
            except usb1.USBErrorTimeout as late:
                data += late.received
                deadline.left()
                continue
            except usb1.USBError as error:
                raise WireClosedError(str(error)) from error
            deadline.moved()
        return bytes(data)

    def write(self, head: bytes, body: bytes, deadline: Deadline) -> None:
        # The daemon takes the head of a packet and its body from separate transfers.
        self._send(head, deadline)
        if body:
            self._send(body, deadline)
            if len(body) % self._packet_bytes() == 0:
                # A transfer that ends at a full packet has no end without an empty one.
                self._send(b"", deadline)

    def _send(self, data: bytes, deadline: Deadline) -> None:
        usb1, _ = _library()
        view = memoryview(data)
        while True:
            limit = max(1, int(deadline.left() * 1000))
            try:
                sent = self._handle().bulkWrite(
                    self._device._write_endpoint, bytes(view), timeout=limit
                )
            except usb1.USBErrorTimeout as late:
                sent = late.transferred
            except usb1.USBError as error:
                raise WireClosedError(str(error)) from error
            view = view[sent:]
            if not view:
                return
            if sent:
                deadline.moved()

    def _packet_bytes(self) -> int:
        for endpoint in self._device._setting.iterEndpoints():
            if endpoint.getAddress() == self._device._write_endpoint:
                return int(endpoint.getMaxPacketSize())
        raise WireClosedError("its write endpoint is gone")
