"""What a devdiff that was killed left behind, removed by the next one that begins a run."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from devdiff.device_runner.errors import DeviceRunnerError
from devdiff.device_runner.virtual import registry
from devdiff.system import scratch

if TYPE_CHECKING:
    from pathlib import Path


@functools.cache
def sweep() -> None:
    """Remove temporary folders and virtual phones whose owners are dead; once a process.

    Nothing depends on it, so that nothing it meets is an error.
    """
    scratch.sweep()
    with contextlib.suppress(DeviceRunnerError, OSError):
        if registry.any_left():
            with registry.locked():
                registry.sweep()


def sweep_run(folder: Path) -> None:
    """Remove half-written files of a run directory, which this process has locked."""
    with contextlib.suppress(OSError):
        for left in folder.rglob("*.partial"):
            if left.is_file():
                left.unlink(missing_ok=True)
