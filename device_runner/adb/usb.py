"""The byte pipe to a phone on a USB cable; needs the extra ``usb`` (libusb1)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.adb.wire import WireClosedError
from devdiff.device_runner.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.device_runner.adb.channel import Deadline

_STALE_BYTES: Final = 16 << 10
_STALE_S: Final = 0.05
_NO_RIGHTS: Final = (
    "this user may not open it: on Debian or Ubuntu an administrator can run "
    "apt-get install android-sdk-platform-tools-common and add the user to the group plugdev"
)


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


def _phones() -> Iterator[tuple[Any, int]]:
    """adb-shell's transport to each phone on USB, and the size of the packets it takes."""
    usb1, usb_transport = _library()
    interface_of = usb_transport.interface_matcher(
        usb_transport.CLASS, usb_transport.SUBCLASS, usb_transport.PROTOCOL
    )
    for device in usb_transport.UsbTransport.USB1_CTX.getDeviceIterator(skip_on_error=True):
        setting = interface_of(device)
        if setting is None:
            continue
        sizes = [
            int(endpoint.getMaxPacketSize())
            for endpoint in setting.iterEndpoints()
            if not endpoint.getAddress() & usb1.ENDPOINT_DIR_MASK
        ]
        if sizes and sizes[0] > 0:
            yield usb_transport.UsbTransport(device, setting), sizes[0]


def attached() -> Iterator[tuple[str, str]]:
    """Serials of the phones on USB, each with its trouble: empty when it can be opened.

    Raises `DeviceError` when USB cannot be used at all.
    """
    usb1, _ = _library()
    for phone, _ in _phones():
        try:
            yield str(phone.serial_number), ""
        except usb1.USBErrorAccess:
            yield "(unreadable)", _NO_RIGHTS
        except usb1.USBError as error:
            yield "(unreadable)", str(error)


class UsbWire:
    """One phone on USB, by its serial."""

    def __init__(self, serial: str) -> None:
        self._serial = serial
        self._phone: Any = None
        self._packet_bytes = 0

    def connect(self, transport_timeout_s: float) -> None:
        """Open the phone's ADB interface. Raises `DeviceError` when it cannot be had."""
        usb1, _ = _library()
        for phone, packet_bytes in _phones():
            try:
                if phone.serial_number != self._serial:
                    continue
                phone.connect(transport_timeout_s)
            except usb1.USBErrorBusy as error:
                phone.close()
                raise DeviceError(
                    f"{self._serial}: another program holds it, most likely an adb server that "
                    "this command does not reach; see ANDROID_ADB_SERVER_PORT"
                ) from error
            except usb1.USBErrorAccess as error:
                raise DeviceError(f"{self._serial}: {_NO_RIGHTS}") from error
            except usb1.USBError as error:
                raise WireClosedError(str(error)) from error
            self._phone, self._packet_bytes = phone, packet_bytes
            self._drain()
            return
        raise WireClosedError("no such phone on USB")

    def _drain(self) -> None:
        """Forget what the phone still had to say to the program before."""
        while self._receive(_STALE_BYTES, _STALE_S):
            pass

    def close(self) -> None:
        if self._phone is not None:
            self._phone.close()
            self._phone = None

    def read(self, count: int, deadline: Deadline) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = self._receive(count - len(data), deadline.left())
            data += piece
            if piece:
                deadline.moved()
        return bytes(data)

    def write(self, head: bytes, body: bytes, deadline: Deadline) -> None:
        # The daemon takes the head of a packet and its body from separate transfers.
        self._send(head, deadline)
        if body:
            self._send(body, deadline)
            if len(body) % self._packet_bytes == 0:
                # A transfer that ends at a full packet has no end without an empty one.
                self._send(b"", deadline)

    def _receive(self, most: int, seconds: float) -> bytes:
        """What one transfer brings within the time; less than ``most``, or nothing, when late."""
        usb1, exceptions = _library()[0], _exceptions()
        try:
            return bytes(self._open().bulk_read(most, max(seconds, 0.001)))
        except exceptions.UsbReadFailedError as error:
            # adb-shell hides a short transfer behind its exception.
            if isinstance(error.usb_error, usb1.USBErrorTimeout):
                return bytes(error.usb_error.received)
            raise WireClosedError(str(error.usb_error or error)) from error

    def _send(self, data: bytes, deadline: Deadline) -> None:
        usb1, exceptions = _library()[0], _exceptions()
        view = memoryview(data)
        while True:
            try:
                sent = self._open().bulk_write(bytes(view), max(deadline.left(), 0.001))
            except exceptions.UsbWriteFailedError as error:
                trouble = error.__context__
                if not isinstance(trouble, usb1.USBErrorTimeout):
                    raise WireClosedError(str(trouble or error)) from error
                sent = trouble.transferred
            view = view[sent:]
            if not view:
                return
            if sent:
                deadline.moved()

    def _open(self) -> Any:
        if self._phone is None:
            raise WireClosedError("closed by this end")
        return self._phone


def _exceptions() -> ModuleType:
    from adb_shell import exceptions

    assert isinstance(exceptions, ModuleType)
    return exceptions
