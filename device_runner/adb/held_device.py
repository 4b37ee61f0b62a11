"""A phone that is held: locked, connected as often as it has to be, with a run folder on it."""

from __future__ import annotations

import getpass
import hashlib
import re
import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from filelock import FileLock

from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.device_store import DeviceStore
from devdiff.device_runner.errors import DeviceError, DeviceLostError
from devdiff.system.cache import cache_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from devdiff.device_runner.adb.transport import Transport

WAITS_S: Final = (0.0, 1.0, 4.0)
"""How long a phone that went away is waited for, before each attempt to connect."""
_Answer = TypeVar("_Answer")


class HeldDevice:
    """One phone from the first use to `close`.

    ``budget`` is that of its `DeviceStore` in bytes, ``silence_s`` how long it may say nothing
    while it is connected or sent to. ``note`` is told what the user should know while it happens.
    """

    def __init__(
        self,
        address: devices.DeviceAddress,
        budget: int,
        silence_s: float,
        note: Callable[[str], None],
    ) -> None:
        self.address = address
        self.budget = budget
        self.silence_s = silence_s
        self.run_folder = ""
        self._note = note
        self._open = ExitStack()
        self._transport: Transport | None = None
        self._store: DeviceStore | None = None
        self._locked = False

    @property
    def name(self) -> str:
        return self.address.serial

    def close(self) -> None:
        """Remove the run folder, let the device go."""
        if self._store is not None:
            with suppress(DeviceError):
                self._store.close(self.run_folder)
        self.disconnect()
        self._open.close()
        self._locked = False

    def ask(self, question: Callable[[Transport], _Answer]) -> _Answer:
        """The device's answer, asked for again when the connection breaks meanwhile."""
        for _ in WAITS_S[1:]:
            transport, _store = self.connected()
            try:
                return question(transport)
            except DeviceLostError:
                self.disconnect()
        return question(self.connected()[0])

    def connected(self, sweep: bool = True) -> tuple[Transport, DeviceStore]:
        """The transport and the store, connected anew when they were lost.

        Waits for a phone that went away. ``sweep`` False keeps the run folder of before.
        """
        if self._transport is not None and self._store is not None:
            return self._transport, self._store
        self._lock()
        last: DeviceError | None = None
        for wait in WAITS_S:
            time.sleep(wait)
            try:
                transport = devices.connect(self.address, timeout_s=self.silence_s, note=self._note)
                transport.__enter__()
                self._transport = transport
                self._store = DeviceStore(transport, self.budget)
                if sweep or not self.run_folder:
                    self.run_folder = self._store.open(_host())
                return transport, self._store
            except DeviceLostError as error:
                self.disconnect()
                last = error
        assert last is not None
        raise last

    def _lock(self) -> None:
        """One run at a time on a phone; another one waits here."""
        if self._locked:
            return
        folder = cache_root() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(_phone(self.name).encode()).hexdigest()[:16]
        lock = FileLock(folder / f"{name}.lock")
        with suppress(TimeoutError):
            lock.acquire(blocking=False)
        if not lock.is_locked:
            self._note(f"{self.name} is in use by another devdiff: waiting for it")
            lock.acquire()
        self._open.callback(lock.release)
        self._locked = True

    def disconnect(self) -> None:
        """Let the connection go, not the phone: `connected` makes another one."""
        transport, self._transport, self._store = self._transport, None, None
        if transport is not None:
            with suppress(DeviceError):
                transport.__exit__(None, None, None)


def _phone(serial: str) -> str:
    """One name for a phone: an emulator on this machine is also reached by its port."""
    match = re.fullmatch(r"(?:127\.0\.0\.1|localhost):(\d+)", serial)
    return f"emulator-{int(match[1]) - 1}" if match else serial


def _host() -> str:
    """A name for this user of this computer, harmless in a path."""
    text = f"{socket.gethostname()}/{getpass.getuser()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
