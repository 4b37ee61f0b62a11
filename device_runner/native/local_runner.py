"""The device rung on this machine: the native runner in a process, as it would run on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from devdiff.device_runner import process
from devdiff.device_runner.native import executable
from devdiff.device_runner.process import Command
from devdiff.device_runner.runtimes import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.device_runner.runner import Job, Outcome


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """``--device local``. ``runtime`` is a path, a pinned library's name, or None for the default.

    It runs on this machine's processor: it proves the path to the device and the device's runtime
    library, and says nothing about a phone's kernels or timings.
    """

    runtime: str | None = None
    delegate: Literal["xnnpack", "none"] = "xnnpack"
    threads: int = 1

    @property
    def name(self) -> str:
        return "local"

    def identity(self) -> Mapping[str, Any]:
        """Runner and runtime library by hash. Raises `DeviceRunnerError` when one is missing."""
        runner = executable.identify()
        return {
            "device": "local",
            "runner": {"path": runner["path"], "sha256": runner["sha256"]},
            "library": runtime.find(self.runtime).to_json(),
            "delegate": self.delegate,
        }

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        library = runtime.find(self.runtime)
        argv = executable.command(
            job.model.resolve(), library, delegate=self.delegate, threads=self.threads
        )
        return process.run(Command(tuple(argv)), job, progress)
