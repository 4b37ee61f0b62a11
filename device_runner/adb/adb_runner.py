"""The device rung on a phone: the native runner over ADB, resumed as often as the phone allows."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shlex
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from filelock import FileLock

from devdiff.android_harness.build import runner_path
from devdiff.android_harness.errors import HarnessError
from devdiff.device_runner.adb import devices
from devdiff.device_runner.adb.device_store import DEFAULT_BUDGET, ROOT, DeviceStore, StoredFile
from devdiff.device_runner.adb.input_stream import Chunks, ChunkSender
from devdiff.device_runner.errors import (
    DeviceError,
    DeviceLostError,
    RunnerError,
    TransferError,
    TransportTimeoutError,
)
from devdiff.device_runner.retry import Ending, Policy, run_to_end
from devdiff.device_runner.runtimes import runtime
from devdiff.device_runner.tail import RecordCounter
from devdiff.exporter.artifact import sha256_file
from devdiff.system.cache import cache_root
from devdiff.system.scratch import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from devdiff.device_runner.adb.transport import Transport
    from devdiff.device_runner.runner import Job, Outcome

CHUNK_BYTES: Final = 64 << 20
_SMALLEST_CHUNK: Final = 1 << 20
_FULL_BYTES: Final = 1 << 16
"""With less than this free nothing that is written arrives whole."""
_WAITS_S: Final = (0.0, 1.0, 4.0)
_TRAILER: Final = re.compile(rb"\nDEVDIFF-EXIT (\d+)\n\Z")
_TRAILER_BYTES: Final = 32
# Linux 4.13 and later; what Android's own daemon kills for memory is not among them.
_OOM_KILLS: Final = "grep '^oom_kill ' /proc/vmstat"
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How to run on a device.

    ``runtime`` is a runtime library's path or name, None for the pinned one. ``keep_going`` passes
    over samples that kill the runner. ``chunk_bytes`` bounds how much input is sent at once,
    ``silence_s`` how long the device may say nothing while it is connected or sent to.
    """

    runtime: str | None = None
    delegate: Literal["none", "xnnpack", "gpu", "nnapi"] = "xnnpack"
    threads: int = 1
    keep_going: bool = False
    budget: int = DEFAULT_BUDGET
    chunk_bytes: int = CHUNK_BYTES
    silence_s: float = 30.0


class RemoteRunner:
    """``--device SERIAL``. Holds the phone, locked, from the first use to `close`.

    ``note`` is told what the user should know while it happens.
    """

    def __init__(
        self,
        address: devices.DeviceAddress,
        options: RemoteOptions,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._address = address
        self._options = options
        self._note = note
        self._open = ExitStack()
        self._transport: Transport | None = None
        self._store: DeviceStore | None = None
        self._described: devices.DeviceFacts | None = None
        self._run = ""
        self._locked = False
        self.sent = 0

    @property
    def name(self) -> str:
        return self._address.serial

    def close(self) -> None:
        """Remove the run folder, let the device go."""
        if self._store is not None:
            with suppress(DeviceError):
                self._store.close(self._run)
        self._disconnect()
        self._open.close()
        self._locked = False

    def identity(self) -> Mapping[str, Any]:
        """The device, the runner and the runtime library, by hash."""
        facts = self._facts()
        runner, library = self._runner(facts), self._library(facts)
        return {
            "device": facts.to_json(),
            "runner": {"path": str(runner), "sha256": sha256_file(runner), "abi": facts.runner_abi},
            "library": library.to_json(),
            "delegate": self._options.delegate,
        }

    def _facts(self) -> devices.DeviceFacts:
        if self._described is None:
            self._described = self._ask(devices.describe)
        return self._described

    def _ask(self, question: Callable[[Transport], _Answer]) -> _Answer:
        """The device's answer, asked for again when the connection breaks meanwhile."""
        for _ in _WAITS_S[1:]:
            transport, _store = self._connected()
            try:
                return question(transport)
            except DeviceLostError:
                self._disconnect()
        return question(self._connected()[0])

    @staticmethod
    def _runner(facts: devices.DeviceFacts) -> Path:
        try:
            return runner_path(facts.runner_abi)
        except HarnessError as error:
            raise RunnerError(f"{facts.serial}: {error}") from error

    def _library(self, facts: devices.DeviceFacts) -> runtime.RuntimeLibrary:
        return runtime.for_device(facts.runner_abi, self._options.runtime)

    def _delegate_library(self, facts: devices.DeviceFacts) -> Path | None:
        """The library of a delegate that lies beside the runtime; in the store nothing does."""
        if self._options.delegate not in ("gpu", "nnapi"):
            return None
        return runtime.delegate_library(self._library(facts), self._options.delegate)

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        """Run ``job`` on the device; a lost phone is waited for, a dying runner tried again."""
        facts = self._facts()
        needed = [
            StoredFile.of(self._runner(facts), 0o755),
            StoredFile.of(self._library(facts).path),
            StoredFile.of(job.model),
        ]
        delegate = self._delegate_library(facts)
        if delegate is not None:
            needed.append(StoredFile.of(delegate))
        before = self._ask(devices.conditions)
        with (
            scratch_directory("chunks") as folder,
            ThreadPoolExecutor(1) as ahead,
        ):
            chunks = Chunks(job, folder, self._chunk_bytes(facts, needed))
            sender = ChunkSender(
                self._address,
                self._options.silence_s,
                self._options.budget,
                needed[0],
                chunks,
                ahead,
            )

            def attempt(first: int, segment: Path) -> Ending:
                return self._attempt(job, first, segment, needed, chunks, sender, progress)

            policy = Policy(
                crashes_a_sample=2, keep_going=self._options.keep_going, losses=len(_WAITS_S)
            )
            try:
                outcome = run_to_end(job, policy, attempt)
            except (DeviceError, RunnerError) as error:
                self._blame_storage(error)
                raise
        progress(job.samples)
        after: Mapping[str, Any] = {}
        with suppress(DeviceLostError):
            after = self._ask(devices.conditions)
        about = {
            **outcome.about,
            "conditions": {"before": before, "after": after},
            "sent_bytes": self.sent + sender.sent,
        }
        return replace(outcome, about=about)

    def _blame_storage(self, error: Exception) -> None:
        """Raises `TransferError` where the phone's storage is full.

        That shows as whatever was to be written next: a file that arrives damaged, a runner that
        does not start.
        """
        free = None
        with suppress(DeviceError):
            free = self._connected()[1].free()
        if free is not None and free < _FULL_BYTES:
            raise TransferError(
                f"{self.name}: the device's storage is full, {free / 1e6:.1f} MB are free in "
                f"{ROOT}: remove something there and run the same command again: it continues "
                f"({error})"
            ) from error

    def _chunk_bytes(self, facts: devices.DeviceFacts, needed: list[StoredFile]) -> int:
        """So much that this chunk, the next one and the last one fit beside what else is needed.

        A power of two, so that a little less room at the next run makes no other chunks.
        """
        if facts.free_bytes is None:
            return self._options.chunk_bytes
        left = facts.free_bytes - sum(file.path.stat().st_size for file in needed)
        room = 1 << max(_SMALLEST_CHUNK, left // 3).bit_length() - 1
        return min(self._options.chunk_bytes, room)

    def _attempt(
        self,
        job: Job,
        first: int,
        segment: Path,
        needed: list[StoredFile],
        chunks: Chunks,
        sender: ChunkSender,
        progress: Callable[[int], None],
    ) -> Ending:
        """One runner process over what is left of one chunk."""
        number = chunks.of(first)
        try:
            transport, store = self._connected()
            sender.wait(number, store)
            chunk = chunks.make(number)
            before = store.sent
            store.ensure([*needed, chunk], needed[0])
            self.sent += store.sent - before
            sender.begin(number + 1)
            command = self._command(needed, chunk, first)
            try:
                _receive(transport, command, segment, job.timeout_s, first, progress)
            except TransportTimeoutError as error:
                return self._after_silence(error, job)
            return self._ending(transport, segment, job)
        except DeviceLostError as error:
            self._disconnect()
            return Ending(death=str(error), lost=True)

    def _command(self, needed: list[StoredFile], chunk: StoredFile, first: int) -> str:
        runner, library, model, *delegate = needed
        options = self._options
        argv = [runner.remote, "--runtime", library.remote, "--model", model.remote]
        argv += ["--inputs", chunk.remote, "--results", "-", "--first", str(first)]
        argv += ["--delegate", options.delegate, "--threads", str(options.threads)]
        for beside in delegate:
            argv += ["--delegate-library", beside.remote]
        return (
            f"cd {shlex.quote(self._run)} && {{ {_OOM_KILLS} > oom; "
            f'sh -c \'echo $$ > pid; exec "$0" "$@"\' {shlex.join(argv)} 2>err; '
            "printf '\\nDEVDIFF-EXIT %d\\n' $?; }"
        )

    def _ending(self, transport: Transport, segment: Path, job: Job) -> Ending:
        """How the runner ended, by the shell's last word behind its results."""
        code = _cut_trailer(segment)
        if code is None:
            raise DeviceLostError(f"{self.name}: the connection ended in the middle of the results")
        if code == 0:
            return Ending()
        output = transport.shell(f"tail -c 4000 {shlex.quote(self._run)}/err").stdout
        with job.log.open("ab") as log:
            log.write(output)
        if code > 128:
            number = code - 128
            name = next((s.name for s in signal.Signals if s == number), f"signal {number}")
            if number == signal.SIGKILL:
                return Ending(death=self._killed(transport), killed=True)
            return Ending(death=f"was killed by {name}")
        for line in reversed(output.splitlines()):
            with suppress(ValueError):
                about = json.loads(line)
                if isinstance(about, dict) and about.get("ok") is False:
                    return Ending(refusal=f"{self.name}: {about.get('error')}")
        return Ending(death=f"ended with code {code}")

    def _killed(self, transport: Transport) -> str:
        """Who ended the runner by SIGKILL: the kernel counts whom it kills for memory."""
        count = transport.shell(
            f"now=$({_OOM_KILLS}); cd {shlex.quote(self._run)} && [ -s oom ] && "
            '[ "$now" != "$(cat oom)" ] && grep MemTotal /proc/meminfo'
        )
        if count.code != 0:
            return "was killed by SIGKILL (by the system for memory, or by somebody)"
        total = int(count.stdout.split()[1]) / 1e3
        return f"was killed by the system, which was out of memory (of {total:.0f} MB)"

    def _after_silence(self, error: TransportTimeoutError, job: Job) -> Ending:
        """Find out whether the runner hangs or the whole phone does, and stop the runner."""
        self._disconnect()
        try:
            transport, _ = self._connected(sweep=False)
            transport.shell(f'kill -9 "$(cat {shlex.quote(self._run)}/pid)"')
        except DeviceError:
            self._disconnect()
            return Ending(death=str(error), lost=True)
        return Ending(death=f"gave no answer for {job.timeout_s:g} s and was stopped")

    def _connected(self, sweep: bool = True) -> tuple[Transport, DeviceStore]:
        """The transport and the store, connected anew when they were lost.

        Waits for a phone that went away. ``sweep`` False keeps the run folder of before.
        """
        if self._transport is not None and self._store is not None:
            return self._transport, self._store
        self._lock()
        last: DeviceError | None = None
        for wait in _WAITS_S:
            time.sleep(wait)
            try:
                transport = devices.connect(
                    self._address, timeout_s=self._options.silence_s, note=self._note
                )
                transport.__enter__()
                self._transport = transport
                self._store = DeviceStore(transport, self._options.budget)
                if sweep or not self._run:
                    self._run = self._store.open(_host())
                return transport, self._store
            except DeviceLostError as error:
                self._disconnect()
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

    def _disconnect(self) -> None:
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
