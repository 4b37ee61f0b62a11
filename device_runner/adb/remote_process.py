"""One runner process on a phone: its command line, its results as they come, and how it ended."""

from __future__ import annotations

import json
import re
import shlex
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.errors import DeviceError, DeviceLostError, TransportTimeoutError
from devdiff.device_runner.retry import Ending
from devdiff.device_runner.tail import RecordCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from devdiff.device_runner.adb.device_store import StoredFile
    from devdiff.device_runner.adb.held_device import HeldDevice
    from devdiff.device_runner.adb.transport import Transport
    from devdiff.device_runner.runner import Job

_TRAILER: Final = re.compile(rb"\nDEVDIFF-EXIT (\d+)\n\Z")
_TRAILER_BYTES: Final = 32
# Linux 4.13 and later; what Android's own daemon kills for memory is not among them.
_OOM_KILLS: Final = "grep '^oom_kill ' /proc/vmstat"


def run(
    device: HeldDevice,
    transport: Transport,
    argv: Sequence[str],
    segment: Path,
    job: Job,
    first: int,
    progress: Callable[[int], None],
) -> Ending:
    """Run ``argv`` in the run folder of the device, its results in ``segment``; how it ended.

    Raises `DeviceLostError` when the connection ends before it does.
    """
    try:
        _receive(
            transport, _command(device.run_folder, argv), segment, job.timeout_s, first, progress
        )
    except TransportTimeoutError as error:
        return _after_silence(device, error, job)
    return _ending(device, transport, segment, job)


def command_line(
    needed: Sequence[StoredFile], chunk: StoredFile, first: int, delegate: str, threads: int
) -> list[str]:
    """The runner's arguments; ``needed`` are runner, runtime library, model and perhaps the
    library of a delegate."""
    runner, library, model, *libraries = needed
    argv = [runner.remote, "--runtime", library.remote, "--model", model.remote]
    argv += ["--inputs", chunk.remote, "--results", "-", "--first", str(first)]
    argv += ["--delegate", delegate, "--threads", str(threads)]
    for beside in libraries:
        argv += ["--delegate-library", beside.remote]
    return argv


def _command(folder: str, argv: Sequence[str]) -> str:
    return (
        f"cd {shlex.quote(folder)} && {{ {_OOM_KILLS} > oom; "
        f'sh -c \'echo $$ > pid; exec "$0" "$@"\' {shlex.join(argv)} 2>err; '
        "printf '\\nDEVDIFF-EXIT %d\\n' $?; }"
    )


def _receive(
    transport: Transport,
    command: str,
    segment: Path,
    idle_s: float,
    first: int,
    progress: Callable[[int], None],
) -> None:
    """Write what the command prints into ``segment`` as it comes."""
    counter = RecordCounter(segment)
    try:
        with segment.open("wb") as out:
            for data in transport.stream(command, idle_s=idle_s):
                out.write(data)
                out.flush()
                progress(first + counter.count())
    finally:
        counter.close()


def _cut_trailer(segment: Path) -> int | None:
    """Take the shell's exit line off the end of the results; None when it is not there."""
    with segment.open("r+b") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _TRAILER_BYTES))
        match = _TRAILER.search(stream.read())
        if match is None:
            return None
        stream.truncate(size - len(match[0]))
        return int(match[1])


def _ending(device: HeldDevice, transport: Transport, segment: Path, job: Job) -> Ending:
    """How the runner ended, by the shell's last word behind its results."""
    code = _cut_trailer(segment)
    if code is None:
        raise DeviceLostError(f"{device.name}: the connection ended in the middle of the results")
    if code == 0:
        return Ending()
    output = transport.shell(f"tail -c 4000 {shlex.quote(device.run_folder)}/err").stdout
    with job.log.open("ab") as log:
        log.write(output)
    if code > 128:
        number = code - 128
        name = next((s.name for s in signal.Signals if s == number), f"signal {number}")
        if number == signal.SIGKILL:
            return Ending(death=_killed(device, transport), killed=True)
        return Ending(death=f"was killed by {name}")
    for line in reversed(output.splitlines()):
        with suppress(ValueError):
            about = json.loads(line)
            if isinstance(about, dict) and about.get("ok") is False:
                return Ending(refusal=f"{device.name}: {about.get('error')}")
    return Ending(death=f"ended with code {code}")


def _killed(device: HeldDevice, transport: Transport) -> str:
    """Who ended the runner by SIGKILL: the kernel counts whom it kills for memory."""
    count = transport.shell(
        f"now=$({_OOM_KILLS}); cd {shlex.quote(device.run_folder)} && [ -s oom ] && "
        '[ "$now" != "$(cat oom)" ] && grep MemTotal /proc/meminfo'
    )
    if count.code != 0:
        return "was killed by SIGKILL (by the system for memory, or by somebody)"
    total = int(count.stdout.split()[1]) / 1e3
    return f"was killed by the system, which was out of memory (of {total:.0f} MB)"


def _after_silence(device: HeldDevice, error: TransportTimeoutError, job: Job) -> Ending:
    """Find out whether the runner hangs or the whole phone does, and stop the runner."""
    device.disconnect()
    try:
        transport, _ = device.connected(sweep=False)
        transport.shell(f'kill -9 "$(cat {shlex.quote(device.run_folder)}/pid)"')
    except DeviceError:
        device.disconnect()
        return Ending(death=str(error), lost=True)
    return Ending(death=f"gave no answer for {job.timeout_s:g} s and was stopped")
