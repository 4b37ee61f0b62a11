"""The native runner of this machine: which file it is, and how it is called."""

from __future__ import annotations

import functools
import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from devdiff.android_harness.build import runner_path
from devdiff.android_harness.errors import HarnessError
from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.runtimes.runtime import RuntimeLibrary, delegate_library, local_abi
from devdiff.exporter.artifact import sha256_file

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL: Final = 1
_MACHINES: Final = ("linux-x86_64", "linux-aarch64")


def command(
    model: Path,
    library: RuntimeLibrary,
    *,
    delegate: str = "xnnpack",
    threads: int = 1,
    inputs: str | None = None,
    results: Path | None = None,
) -> list[str]:
    """The argv that runs ``model`` on this machine.

    ``delegate`` is ``none``, ``xnnpack``, ``gpu`` or ``nnapi``; a file beside the library that
    holds it is named, too.

    Without ``inputs`` (a path, or ``-`` for standard input) and ``results`` the caller adds
    ``--inputs`` and ``--results`` itself. Raises `RunnerError` when the runner cannot be built.
    """
    argv = [str(_runner()), "--runtime", str(library.path.absolute()), "--model", str(model)]
    argv += ["--delegate", delegate, "--threads", str(threads)]
    beside = delegate_library(library, delegate)
    if beside is not None:
        argv += ["--delegate-library", str(beside)]
    if inputs is not None:
        argv += ["--inputs", inputs]
    if results is not None:
        argv += ["--results", str(results)]
    return argv


@functools.cache
def identify() -> dict[str, Any]:
    """The runner's ``sha256`` and ``path``, and what it says ``about`` itself.

    Raises `RunnerError` when it cannot be built or started, or speaks another protocol.
    """
    path = _runner()
    try:
        output = subprocess.run(
            [str(path), "--about"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=True,
        ).stdout
        about = json.loads(output)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise RunnerError(
            f"the native runner {path} does not work on this machine: {error}; delete it to have "
            "it built again"
        ) from error
    if about.get("protocol") != PROTOCOL:
        raise RunnerError(
            f"the native runner {path} speaks protocol {about.get('protocol')}, not {PROTOCOL}; "
            "delete it to have it built again"
        )
    return {"path": str(path), "sha256": sha256_file(path), "about": about}


def _runner() -> Path:
    abi = local_abi()
    if abi not in _MACHINES:
        raise RunnerError(
            f"the native runner is built for {' and '.join(_MACHINES)}, this machine is {abi}; "
            "leave the device rung out here"
        )
    try:
        return runner_path(abi)
    except HarnessError as error:
        raise RunnerError(str(error)) from error
