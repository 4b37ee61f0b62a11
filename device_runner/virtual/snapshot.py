"""A phone that has booted, kept in files: others begin from it instead of booting.

A template boots with its memory in a file, then writes the rest of its state beside it and ends.
Every phone begun from it maps that file privately: nothing is read before it is used, phones share
what they do not change, and the file stays as it was.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual import qemu, registry
from devdiff.device_runner.virtual.qemu import Machine, Memory, Monitor
from devdiff.device_runner.virtual.registry import PhoneRecord, Process
from devdiff.system import kept_files
from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from devdiff.device_runner.virtual.image import Image

LISTENING: Final = b"devdiff: adbd listens"
_KEPT: Final = 8
_STORE_SECONDS: Final = 60.0
_LOAD_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored phone; ``directory`` holds its memory and the state of its devices."""

    directory: Path

    @property
    def memory(self) -> Path:
        return self.directory / "memory"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    def load(self, directory: Path) -> None:
        """Have the waiting machine in ``directory`` go on from here.

        Raises `VirtualPhoneError` when it cannot.
        """
        with Monitor(directory, _LOAD_SECONDS) as monitor:
            _leave_memory_out(monitor)
            monitor.call("migrate-incoming", uri=f"exec:cat {shlex.quote(str(self.state))}")
            good = {"running": True, "internal-error": False, "shutdown": False}
            monitor.wait("query-status", good, _LOAD_SECONDS)

    def check(self) -> None:
        """Raises `VirtualPhoneError` when it is not as it was stored."""
        if not kept_files.intact(self.directory, self.directory.name):
            raise VirtualPhoneError("the stored phone was changed since it was made")

    def forget(self) -> None:
        """Remove it, for one that does not load."""
        shutil.rmtree(self.directory, ignore_errors=True)


def ensure_snapshot(
    image: Image, machine: Machine, timeout_s: float, say: Callable[[str], None]
) -> Snapshot:
    """The stored phone of this image, machine and QEMU; made first (two seconds) if needed.

    Safe when several processes want it at once. Raises `VirtualPhoneError` when it cannot be made.
    """
    snapshot = Snapshot(_root() / _key(image, machine))
    if _usable(snapshot):
        return snapshot
    try:
        _root().mkdir(parents=True, exist_ok=True)
        with FileLock(_root().with_suffix(".lock")):
            if _usable(snapshot):
                return snapshot
            for stale in _root().glob(".*"):
                shutil.rmtree(stale, ignore_errors=True)
            say(f"booting a {machine.cpu} once, to start from there later")
            with whole_directory(snapshot.directory) as folder:
                _make(image, machine, Snapshot(folder), timeout_s)
                kept_files.record(folder, snapshot.directory.name)
            _forget_old()
    except OSError as error:
        raise VirtualPhoneError(f"cannot keep a snapshot in {_root()}: {error}") from error
    return snapshot


def wait_for_adbd(record: PhoneRecord, timeout_s: float) -> None:
    """Return when a booting phone says that its adbd listens.

    Raises `VirtualPhoneError`, with the end of what the machine printed, when it does not.
    """
    log = record.directory / qemu.SERIAL_LOG
    deadline = time.monotonic() + timeout_s
    while True:
        output = log.read_bytes() if log.exists() else b""
        if LISTENING in output:
            return
        alive = record.find_process() is not None
        if not alive or time.monotonic() > deadline:
            problem = (
                f"did not finish booting in {timeout_s:g} s" if alive else "ended while booting"
            )
            printed = output.decode(errors="replace").strip()[-2000:] or "nothing"
            raise VirtualPhoneError(f"the virtual phone {problem}; it printed: {printed}")
        time.sleep(0.01)


def _root() -> Path:
    return cache_root() / "virtual" / "snapshots"


def _key(image: Image, machine: Machine) -> str:
    identity = (
        image.key,
        repr(machine),
        qemu.version(),
        qemu.line_words(machine),
        str(qemu.MACHINE),
    )
    return hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32]


def _usable(snapshot: Snapshot) -> bool:
    try:
        # The time of the last use decides which are kept.
        os.utime(snapshot.state)
    except OSError:
        return False
    return snapshot.memory.is_file()


def _make(image: Image, machine: Machine, snapshot: Snapshot, timeout_s: float) -> None:
    record = PhoneRecord(
        token=secrets.token_hex(6),
        port=0,
        cpu=machine.cpu,
        memory_mib=machine.memory_mib,
        storage_mib=machine.storage_mib,
        name="template",
        enforces_keys=False,
        restored=False,
        image=image.key,
        qemu=qemu.version(),
        started_at=time.time(),
        owner=Process.of(os.getpid()),
    )
    memory = Memory(snapshot.memory, shared=True)
    argv = qemu.arguments(image, machine, name=record.machine_name, port=None, memory=memory)
    with registry.locked():
        record = registry.begin(record, lambda: qemu.launch(argv, record.directory))
    try:
        wait_for_adbd(record, timeout_s)
        with Monitor(record.directory, _STORE_SECONDS) as monitor:
            _leave_memory_out(monitor)
            monitor.call("migrate", uri=f"exec:cat > {shlex.quote(str(snapshot.state))}")
            good = {"completed": True, "failed": False, "cancelled": False}
            monitor.wait("query-migrate", good, _STORE_SECONDS)
    finally:
        with registry.locked():
            record.remove()


def _leave_memory_out(monitor: Monitor) -> None:
    """Keep memory that is in a shared file out of the state that is written or read."""
    capability = {"capability": "x-ignore-shared", "state": True}
    monitor.call("migrate-set-capabilities", capabilities=[capability])


def _forget_old() -> None:
    found = []
    for state in _root().glob("*/state"):
        try:
            found.append((state.stat().st_mtime_ns, state.parent))
        except FileNotFoundError:
            continue
    for _, directory in sorted(found, reverse=True)[_KEPT:]:
        shutil.rmtree(directory, ignore_errors=True)
