"""Which virtual phones there are: one directory each, and the process that must match it.

A directory outlives its phone when something was killed; a process outlives its directory never
for long. `sweep` brings both together, and nothing is ever killed by its number alone: a process
is a phone's only if it started when the phone did and carries the phone's name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.qemu import PID_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RECORD: Final = "phone.json"
_NAME_PREFIX: Final = "devdiff-virtual-"
_DEATH_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with its number.

    ``started`` is in clock ticks since the machine's boot.
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this number now; None when it has ended (even if unburied)."""
        try:
            # The command's name is in brackets and may hold anything, so count from its end.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def kill(self) -> None:
        """End it at once, and return when it has ended. Raises `VirtualPhoneError` if it stays."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The handle holds on to whoever has the number now; look who that is only then.
            if not self.alive:
                return
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], _DEATH_SECONDS)[0]:
                raise VirtualPhoneError(f"process {self.pid} does not end; kill it by hand")
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise VirtualPhoneError(f"not allowed to end process {self.pid}") from error
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class PhoneRecord:
    """What is kept about a phone. Sizes in MiB; ``started_at`` in seconds since 1970.

    ``port`` is adbd's on 127.0.0.1. ``owner`` is the process the phone belongs to, if any.
    """

    token: str
    port: int
    cpu: str
    memory_mib: int
    storage_mib: int
    name: str
    enforces_keys: bool
    restored: bool
    image: str
    qemu: str
    started_at: float
    process: Process | None = None
    owner: Process | None = None

    @property
    def serial(self) -> str:
        return f"emulator-{self.port - 1}"

    @property
    def machine_name(self) -> str:
        """The name of the QEMU process, which no other has."""
        return _NAME_PREFIX + self.token

    @property
    def directory(self) -> Path:
        return _phones() / f"{self.port}-{self.token}"

    def write(self) -> None:
        part = self.directory / f".{_RECORD}"
        part.write_text(json.dumps(dataclasses.asdict(self)))
        part.rename(self.directory / _RECORD)

    def find_process(self) -> Process | None:
        """The living process of this phone, also when only QEMU itself wrote down which it is."""
        if self.process is not None:
            return self.process if self.process.alive else None
        return _process_by_name(self.directory, self.machine_name)

    def remove(self) -> None:
        """End the phone and forget it; nothing of it is left."""
        if (process := self.find_process()) is not None:
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def runtime_root() -> Path:
    """The directory of this user's running phones: ``DEVDIFF_RUNTIME_DIR`` or the usual place.

    Raises `VirtualPhoneError` when it cannot be made, or belongs to somebody else.
    """
    root = _place()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = root.lstat()
    except OSError as error:
        raise VirtualPhoneError(
            f"cannot keep virtual phones in {root}: {error.strerror}; name another folder in "
            "DEVDIFF_RUNTIME_DIR"
        ) from error
    # Anybody may make folders in the temporary one; theirs could hand us processes to kill.
    if owner.st_uid != os.getuid() or root.is_symlink():
        raise VirtualPhoneError(
            f"{root} belongs to somebody else; name another folder in DEVDIFF_RUNTIME_DIR"
        )
    return root


def _place() -> Path:
    named = os.environ.get("DEVDIFF_RUNTIME_DIR")
    # Not the user's runtime directory: that one goes when the user logs out, and phones stay.
    usual = Path(tempfile.gettempdir()) / f"devdiff-{os.getuid()}"
    return Path(named).absolute() if named else usual


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Only one process at a time starts, sweeps or removes phones of this user."""
    with FileLock(runtime_root() / "lock"):
        yield


def begin(record: PhoneRecord, launch: Callable[[], None]) -> PhoneRecord:
    """Make a phone's directory and have ``launch`` start its machine there. Call it `locked`.

    Returns the record with the process in it. Whatever is raised, by ``launch`` too, leaves
    nothing behind.
    """
    try:
        record.directory.mkdir(parents=True)
        record.write()
        launch()
        process = record.find_process()
        if process is None:
            raise VirtualPhoneError("the virtual phone ended as soon as it was started")
        record = dataclasses.replace(record, process=process)
        record.write()
    except BaseException as error:
        record.remove()
        if isinstance(error, OSError):
            raise VirtualPhoneError(f"cannot start a virtual phone: {error}") from error
        raise
    return record


def records() -> list[PhoneRecord]:
    """All phones whose process lives, by port; changes nothing."""
    found = [record for _, record in _entries() if record is not None and record.find_process()]
    return sorted(found, key=lambda record: record.port)


def sweep() -> None:
    """Remove what is left of dead phones, and phones whose owner is dead. Call it `locked`."""
    for directory, record in _entries():
        if record is None:
            # Killed between making the directory and writing the record.
            token = directory.name.partition("-")[2]
            if process := _process_by_name(directory, _NAME_PREFIX + token):
                process.kill()
            shutil.rmtree(directory, ignore_errors=True)
        elif record.find_process() is None or (record.owner and not record.owner.alive):
            record.remove()


def any_left() -> bool:
    """Whether there may be something to `sweep`; makes no folder where there is none."""
    return (_place() / "phones").is_dir()


def _phones() -> Path:
    return runtime_root() / "phones"


def _entries() -> list[tuple[Path, PhoneRecord | None]]:
    try:
        directories = sorted(_phones().iterdir())
    except FileNotFoundError:
        return []
    return [(directory, _read(directory)) for directory in directories]


def _read(directory: Path) -> PhoneRecord | None:
    try:
        data = json.loads((directory / _RECORD).read_text())
        for name in ("process", "owner"):
            data[name] = data[name] and Process(**data[name])
        record = PhoneRecord(**data)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if record.directory == directory else None


def _process_by_name(directory: Path, name: str) -> Process | None:
    try:
        process = Process.of(int((directory / PID_FILE).read_text()))
        if process is None:
            return None
        words: list[Any] = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return process if name.encode() in words and process.alive else None
