"""The QEMU machine a virtual phone is: its command line, and the monitor that steers it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.hardware import CPUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.device_runner.virtual.image import Image

PROGRAM: Final = "qemu-system-aarch64"
SERIAL_LOG: Final = "serial.log"
QEMU_LOG: Final = "qemu.log"
PID_FILE: Final = "qemu.pid"
MONITOR: Final = "monitor"
GUEST_PORT: Final = 5555

# Raise it when the machine below changes: snapshots of another machine do not fit.
MACHINE: Final = 1
# Everything that only costs time in a machine that lives for minutes and holds no secret.
_KERNEL_WORDS: Final = (
    *("console=ttyAMA0", "quiet", "loglevel=0", "panic=-1", "cryptomgr.notests=1", "rodata=off"),
    *("mitigations=off", "nokaslr", "lsm=", "audit=0", "initcall_blacklist=jent_mod_init"),
)
_START_SECONDS: Final = 60
# The longest path a Unix socket may have, less the zero at its end.
_SOCKET_PATH: Final = 107


@dataclass(frozen=True, slots=True)
class Machine:
    """What a phone is made of: a CPU out of `CPUS`, memory and /data/local/tmp in MiB."""

    cpu: str
    memory_mib: int
    storage_mib: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The phone's memory in a file: ``shared`` writes to it, otherwise it is only begun from it."""

    path: Path
    shared: bool


def arguments(
    image: Image,
    machine: Machine,
    *,
    name: str,
    port: int | None,
    initramfs: Path | None = None,
    memory: Memory | None = None,
    incoming: bool = False,
) -> list[str]:
    """The argv that starts a phone in the current directory and returns when it runs.

    ``name`` shows in the list of processes; ``port`` on the loopback leads to the phone's adbd.
    With ``incoming`` the machine waits for the state of another. The emulator never uses KVM.
    """
    command = line_words(machine)
    platform = "virt" if memory is None else "virt,memory-backend=ram"
    argv = [PROGRAM, "-name", name, "-machine", platform, "-accel", "tcg"]
    argv += ["-cpu", CPUS[machine.cpu], "-smp", "1", "-m", f"{machine.memory_mib}M"]
    if memory is not None:
        share = "on" if memory.shared else "off"
        path = str(memory.path).replace(",", ",,")
        argv += ["-object"]
        argv += [
            f"memory-backend-file,id=ram,mem-path={path},size={machine.memory_mib}M,share={share}"
        ]
    argv += ["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    argv += ["-serial", f"file:{SERIAL_LOG}", "-D", QEMU_LOG]
    argv += ["-qmp", f"unix:{MONITOR},server=on,wait=off"]
    argv += ["-kernel", str(image.kernel), "-initrd", str(initramfs or image.initramfs)]
    argv += ["-append", command]
    forward = "" if port is None else f",hostfwd=tcp:127.0.0.1:{port}-:{GUEST_PORT}"
    argv += ["-netdev", f"user,id=net,restrict=on{forward}"]
    argv += ["-device", "virtio-net-pci,netdev=net,romfile="]
    if incoming:
        argv += ["-incoming", "defer"]
    return [*argv, "-daemonize", "-pidfile", PID_FILE]


def line_words(machine: Machine) -> str:
    """The kernel's command line."""
    ours = (f"devdiff.cpu={machine.cpu}", f"devdiff.storage={machine.storage_mib << 20}")
    return " ".join((*_KERNEL_WORDS, *ours))


@functools.cache
def version() -> str:
    """The version of the installed QEMU, as it says itself. Raises `VirtualPhoneError`."""
    if shutil.which(PROGRAM) is None:
        raise VirtualPhoneError(
            f"{PROGRAM}, which the virtual phone runs in, is not installed; an administrator can "
            "run: apt-get install qemu-system-arm"
        )
    try:
        output = subprocess.run(
            [PROGRAM, "--version"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise VirtualPhoneError(f"{PROGRAM} does not work on this machine: {error}") from error
    return output.splitlines()[0] if output else "unknown"


class PortTakenError(Exception):
    """Somebody else listens where the phone should."""


def launch(argv: list[str], directory: Path) -> None:
    """Start a machine in ``directory``; it goes on when this process ends.

    Raises `PortTakenError`, or `VirtualPhoneError` when QEMU cannot start.
    """
    version()
    if len(os.fsencode(directory / MONITOR)) > _SOCKET_PATH:
        raise VirtualPhoneError(
            f"the path {directory} is too long for the sockets in it; name a shorter folder in "
            "DEVDIFF_RUNTIME_DIR"
        )
    # QEMU in the background keeps what it inherits; a pipe of ours would never end.
    with (directory / QEMU_LOG).open("wb") as log:
        try:
            done = subprocess.run(
                argv,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_START_SECONDS,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise VirtualPhoneError(f"cannot start {PROGRAM}: {error}") from error
    if done.returncode != 0:
        output = (directory / QEMU_LOG).read_text(errors="replace").strip()
        if "host forwarding" in output:
            raise PortTakenError(output)
        raise VirtualPhoneError(f"{PROGRAM} did not start: {output or f'code {done.returncode}'}")


class Monitor:
    """QEMU's control socket (QMP) of one machine; use it as a context manager.

    Every call raises `VirtualPhoneError` when the machine is gone, refuses, or is too slow.
    """

    def __init__(self, directory: Path, timeout_s: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(directory / MONITOR))
            self._stream = self._socket.makefile("rwb")
        except OSError as error:
            self._socket.close()
            raise VirtualPhoneError(f"the machine in {directory} is not there: {error}") from error
        try:
            self._read()
            self.call("qmp_capabilities")
        except VirtualPhoneError:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()

    def call(self, command: str, **arguments: object) -> Any:
        """Execute a command and return its answer."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._stream.write(json.dumps(request).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise VirtualPhoneError(f"the machine does not take {command}: {error}") from error
        while True:
            answer = self._read()
            if "error" in answer:
                raise VirtualPhoneError(f"the machine refuses {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def wait(self, command: str, states: Mapping[str, bool], timeout_s: float) -> None:
        """Repeat a query until its ``status`` is one of ``states``: True is good, False is not."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.call(command).get("status")
            if (good := states.get(status)) is True:
                return
            if good is False or time.monotonic() > deadline:
                raise VirtualPhoneError(f"the machine's {command} says {status!r}")
            time.sleep(0.002)

    def _read(self) -> dict[str, Any]:
        try:
            line = self._stream.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise VirtualPhoneError(f"the machine's monitor does not answer: {error}") from error
        if not isinstance(answer, dict):
            raise VirtualPhoneError("the machine is gone")
        return answer
