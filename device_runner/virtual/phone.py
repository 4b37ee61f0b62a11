"""Starts, lists and stops virtual phones: real adb daemons on emulated ARM64 machines.

What runs is Linux with glibc, not Android, and how fast it runs says nothing about phones.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from devdiff.device_runner.errors import RunnerChoiceError, VirtualPhoneError
from devdiff.device_runner.virtual import qemu, registry
from devdiff.device_runner.virtual.enforce import enforcing_archive
from devdiff.device_runner.virtual.hardware import (
    CPUS,
    DEFAULT_CPU,
    DEFAULT_MEMORY_MIB,
    DEFAULT_STORAGE_MIB,
)
from devdiff.device_runner.virtual.image import Image, ensure_image
from devdiff.device_runner.virtual.probe import ProbeReply, probe
from devdiff.device_runner.virtual.qemu import Machine, Memory, Monitor
from devdiff.device_runner.virtual.registry import PhoneRecord, Process
from devdiff.device_runner.virtual.snapshot import Snapshot, ensure_snapshot, wait_for_adbd
from devdiff.system.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

WHAT_IT_IS: Final = (
    "Linux with glibc on an emulated ARM64 CPU, not Android; its timings say nothing about phones"
)
# The kernel, the programs and what adbd needs to go on when the storage is full.
SYSTEM_MIB: Final = 160
# adb calls a daemon on an odd port of these emulator-N, N being the port before; adb servers look
# for the first sixteen by themselves.
_PORTS: Final = range(5555, 5684, 2)
_PROBE_SECONDS: Final = 5.0
_START_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class VirtualPhone:
    """A phone that was started; stays the same phone for good. As a context manager, stops it."""

    record: PhoneRecord

    @property
    def serial(self) -> str:
        """What adb calls it: ``emulator-5554`` and so on."""
        return self.record.serial

    @property
    def port(self) -> int:
        """The port of its adb daemon, on 127.0.0.1 only."""
        return self.record.port

    @property
    def log(self) -> Path:
        """What its kernel, init and adbd print; gone when it is stopped."""
        return self.record.directory / qemu.SERIAL_LOG

    @property
    def alive(self) -> bool:
        return self.record.find_process() is not None

    def answer(self, timeout_s: float = _PROBE_SECONDS) -> ProbeReply:
        """What its daemon says to a new connection."""
        return probe(self.port, timeout_s)

    def stop(self) -> None:
        """End it and remove its files; does nothing when it is gone already."""
        with registry.locked():
            self.record.remove()

    def kill(self) -> None:
        """Take its power away, in the middle of whatever it does; its files stay until a sweep."""
        if process := self.record.find_process():
            process.kill()

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers. Raises `VirtualPhoneError`."""
        with Monitor(self.record.directory) as monitor:
            monitor.call("stop")

    def resume(self) -> None:
        """Let it go on after `pause`. Raises `VirtualPhoneError`."""
        with Monitor(self.record.directory) as monitor:
            monitor.call("cont")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(
    cpu: str = DEFAULT_CPU,
    *,
    memory_mib: int = DEFAULT_MEMORY_MIB,
    storage_mib: int = DEFAULT_STORAGE_MIB,
    name: str = "",
    keys: Sequence[Path] = (),
    snapshot: bool = True,
    owned: bool = True,
    mirror: str | None = None,
    timeout_s: float = _START_SECONDS,
    say: Callable[[str], None] = lambda text: None,
) -> VirtualPhone:
    """Start a phone and return when its adb daemon has run a command.

    ``cpu`` is one of `CPUS`; ``storage_mib`` is the size of /data/local/tmp, inside ``memory_mib``.
    With ``keys`` (``adbkey.pub`` files) the daemon lets in only who has one of them. ``snapshot``
    begins from a stored boot, kept in the cache, where that is possible. An ``owned`` phone is
    removed by the next start or list after this process has died. ``mirror`` is the archive to
    build the image from, should there be none yet; ``say`` is told what takes time. Raises
    `RunnerChoiceError` for a machine there is not, `VirtualPhoneError` for everything else.
    """
    machine = _machine(cpu, memory_mib, storage_mib)
    qemu.version()
    image = ensure_image(mirror=mirror, say=say)
    overlay = enforcing_archive(image, keys) if keys else b""
    begin = _Start(image, machine, name, overlay, owned, timeout_s)
    if snapshot and not keys:
        try:
            stored = ensure_snapshot(image, machine, timeout_s, say)
        except VirtualPhoneError as error:
            say(f"starting without a snapshot: {error}")
        else:
            try:
                return begin.restored(stored)
            except VirtualPhoneError as error:
                stored.forget()
                say(f"the snapshot is of no use, booting instead: {error}")
    return begin.booted()


def running() -> list[VirtualPhone]:
    """This user's phones, by port; removes on the way what is left of dead ones."""
    with registry.locked():
        registry.sweep()
        return [VirtualPhone(record) for record in registry.records() if record.port]


def find(serial: str) -> VirtualPhone:
    """The running phone with a serial or name. Raises `RunnerChoiceError` when there is none."""
    phones = running()
    for phone in phones:
        if serial and serial in (phone.serial, phone.record.name):
            return phone
    known = ", ".join(phone.serial for phone in phones) or "none; devdiff virtual start makes one"
    raise RunnerChoiceError(f"there is no virtual phone {serial!r}; running: {known}")


def announce(phone: VirtualPhone) -> bool:
    """Tell a running adb server of the phone, as emulators do; whether there is a server.

    A server looks for phones when it starts; one that starts later is unknown to it.
    """
    request = f"host:emulator:{phone.port}"
    try:
        port = int(os.environ.get("ANDROID_ADB_SERVER_PORT", "5037"))
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.sendall(f"{len(request):04x}{request}".encode())
            return True
    except (OSError, ValueError, OverflowError):
        return False


@dataclass(frozen=True, slots=True)
class _Start:
    """All that is needed to start one phone, one way or the other."""

    image: Image
    machine: Machine
    name: str
    overlay: bytes
    owned: bool
    timeout_s: float

    def booted(self) -> VirtualPhone:
        with self._placed(None) as record:
            wait_for_adbd(record, self.timeout_s)
            _wait_ready(record, self.timeout_s)
            return VirtualPhone(record)

    def restored(self, snapshot: Snapshot) -> VirtualPhone:
        # Looked at while QEMU starts; nothing of it runs before it is found to be whole.
        with ThreadPoolExecutor(1) as aside:
            checked = aside.submit(snapshot.check)
            with self._placed(snapshot) as record:
                checked.result()
                snapshot.load(record.directory)
                _wait_ready(record, self.timeout_s)
                return VirtualPhone(record)

    @contextlib.contextmanager
    def _placed(self, snapshot: Snapshot | None) -> Iterator[PhoneRecord]:
        """A machine on a port of its own, which is removed if the block raises."""
        with registry.locked():
            registry.sweep()
            record = self._claim(snapshot)
        try:
            yield record
        except BaseException:
            with registry.locked():
                record.remove()
            raise

    def _claim(self, snapshot: Snapshot | None) -> PhoneRecord:
        if self.name and any(record.name == self.name for record in registry.records()):
            raise RunnerChoiceError(f"a virtual phone called {self.name!r} runs already")
        for port in _PORTS:
            # The port before is an emulator's console; the serial is only ours if that is free.
            if not (_free(port - 1) and _free(port)):
                continue
            record = self._record(port, restored=snapshot is not None)
            with contextlib.suppress(qemu.PortTakenError):
                return registry.begin(record, functools.partial(self._launch, record, snapshot))
        raise VirtualPhoneError(
            f"all ports from {_PORTS[0]} to {_PORTS[-1]} are taken; stop some virtual phones or "
            "emulators first"
        )

    def _launch(self, record: PhoneRecord, snapshot: Snapshot | None) -> None:
        initramfs = None
        if self.overlay:
            initramfs = record.directory / "initramfs"
            initramfs.write_bytes(self.image.initramfs.read_bytes() + self.overlay)
        argv = qemu.arguments(
            self.image,
            self.machine,
            name=record.machine_name,
            port=record.port,
            initramfs=initramfs,
            memory=Memory(snapshot.memory, shared=False) if snapshot else None,
            incoming=snapshot is not None,
        )
        qemu.launch(argv, record.directory)
        if initramfs is not None:
            initramfs.unlink()

    def _record(self, port: int, *, restored: bool) -> PhoneRecord:
        return PhoneRecord(
            token=secrets.token_hex(6),
            port=port,
            cpu=self.machine.cpu,
            memory_mib=self.machine.memory_mib,
            storage_mib=self.machine.storage_mib,
            name=self.name,
            enforces_keys=bool(self.overlay),
            restored=restored,
            image=self.image.key,
            qemu=qemu.version(),
            started_at=time.time(),
            owner=Process.of(os.getpid()) if self.owned else None,
        )


def _machine(cpu: str, memory_mib: int, storage_mib: int) -> Machine:
    if cpu not in CPUS:
        meant = did_you_mean(cpu, CPUS)
        raise RunnerChoiceError(
            f"there is no virtual CPU {cpu!r}{meant}; known are: {' · '.join(CPUS)}"
        )
    if storage_mib < 1 or memory_mib < storage_mib + SYSTEM_MIB:
        raise RunnerChoiceError(
            f"a virtual phone keeps its storage in its memory: with {storage_mib} MiB of storage "
            f"it needs at least {storage_mib + SYSTEM_MIB} MiB of memory, not {memory_mib}"
        )
    return Machine(cpu, memory_mib, storage_mib)


def _wait_ready(record: PhoneRecord, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (answer := probe(record.port, _PROBE_SECONDS)) is ProbeReply.SILENT:
        if record.find_process() is None:
            raise VirtualPhoneError(f"{record.serial} ended while starting")
        if time.monotonic() > deadline:
            raise VirtualPhoneError(f"{record.serial} does not answer after {timeout_s:g} s")
        time.sleep(0.01)
    if answer is ProbeReply.LOCKED and not record.enforces_keys:
        raise VirtualPhoneError(f"{record.serial} asks for a key, though it has none")


def _free(port: int) -> bool:
    """Whether nobody listens on a port of the loopback."""
    with socket.socket() as trial:
        # Connections that are fading away do not count, only listeners.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
