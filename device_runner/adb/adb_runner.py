"""The device rung on a phone: the native runner over ADB, resumed as often as the phone allows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from devdiff.android_harness.build import runner_path
from devdiff.android_harness.errors import HarnessError
from devdiff.device_runner.adb import devices, remote_process
from devdiff.device_runner.adb.device_store import DEFAULT_BUDGET, ROOT, StoredFile
from devdiff.device_runner.adb.held_device import WAITS_S, HeldDevice
from devdiff.device_runner.adb.input_stream import Chunks, ChunkSender
from devdiff.device_runner.errors import (
    DeviceError,
    DeviceLostError,
    RunnerError,
    TransferError,
)
from devdiff.device_runner.retry import Ending, Policy, run_to_end
from devdiff.device_runner.runtimes import runtime
from devdiff.exporter.artifact import sha256_file
from devdiff.system.scratch import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from devdiff.device_runner.runner import Job, Outcome

CHUNK_BYTES: Final = 64 << 20
_SMALLEST_CHUNK: Final = 1 << 20
_FULL_BYTES: Final = 1 << 16
"""With less than this free nothing that is written arrives whole."""


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
        self._options = options
        self._device = HeldDevice(address, options.budget, options.silence_s, note)
        self._described: devices.DeviceFacts | None = None
        self.sent = 0

    @property
    def name(self) -> str:
        return self._device.name

    def close(self) -> None:
        """Remove the run folder, let the device go."""
        self._device.close()

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
            self._described = self._device.ask(devices.describe)
        return self._described

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
        before = self._device.ask(devices.conditions)
        with (
            scratch_directory("chunks") as folder,
            ThreadPoolExecutor(1) as ahead,
        ):
            chunks = Chunks(job, folder, self._chunk_bytes(facts, needed))
            sender = ChunkSender(
                self._device.address,
                self._options.silence_s,
                self._options.budget,
                needed[0],
                chunks,
                ahead,
            )

            def attempt(first: int, segment: Path) -> Ending:
                return self._attempt(job, first, segment, needed, chunks, sender, progress)

            policy = Policy(
                crashes_a_sample=2, keep_going=self._options.keep_going, losses=len(WAITS_S)
            )
            try:
                outcome = run_to_end(job, policy, attempt)
            except (DeviceError, RunnerError) as error:
                self._blame_storage(error)
                raise
        progress(job.samples)
        after: Mapping[str, Any] = {}
        with suppress(DeviceLostError):
            after = self._device.ask(devices.conditions)
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
            free = self._device.connected()[1].free()
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
            transport, store = self._device.connected()
            sender.wait(number, store)
            chunk = chunks.make(number)
            before = store.sent
            store.ensure([*needed, chunk], needed[0])
            self.sent += store.sent - before
            sender.begin(number + 1)
            argv = remote_process.command_line(
                needed, chunk, first, self._options.delegate, self._options.threads
            )
            return remote_process.run(self._device, transport, argv, segment, job, first, progress)
        except DeviceLostError as error:
            self._device.disconnect()
            return Ending(death=str(error), lost=True)
