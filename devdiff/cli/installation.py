"""What this machine has of what devdiff needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement

from devdiff.device_runner.errors import DeviceRunnerError
from devdiff.system import extras

if TYPE_CHECKING:
    from collections.abc import Iterator

_PURPOSES: Final = {
    "numpy": "everything",
    "ai-edge-litert": "the host rungs",
    "tflite-runtime": "--host-runtime tflite-runtime",
    "onnx": "ONNX sources",
    "onnxruntime": "ONNX sources, the source rung",
    "onnx2tf": "converting ONNX",
    "onnxsim": "folding constants before conversion",
    "tensorflow": "converting and quantizing; SavedModel sources",
    "keras": "Keras sources",
    "torch": "the scan, and PyTorch sources",
    "onnxscript": "PyTorch sources",
    "ziglang": "compiling the native runner where none is shipped; virtual phones",
}
"""What is always told of; which versions are right devdiff's own requirements say."""
_EXTRAS: Final = ("export", "scan", "torch", "native")
_BESIDES: Final = {"onnxsim": "export"}
"""What an extra's converter brings along."""
_ALTERNATIVES: Final = ("tflite-runtime",)
"""What devdiff does its work without."""


_PROGRAMS: Final = (
    ("qemu-system-aarch64", "--device virtual", "apt-get install qemu-system-arm"),
    ("adb", "phones held by an adb server (others are reached without it)", "apt-get install adb"),
)


@dataclass(frozen=True, slots=True)
class Component:
    """One thing devdiff uses: whether it is there, and what to do when it is not."""

    name: str
    ok: bool
    required: bool
    found: str
    purpose: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Component]:
    """Look at everything; takes a few seconds, changes nothing but the caches."""
    return [
        _python(),
        *_packages(),
        *_native(),
        *(_program(*entry) for entry in _PROGRAMS),
        _space(),
    ]


def _python() -> Component:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] == (3, 11)
    remedy = "" if ok else "the pinned packages live together on Python 3.11 only: install it"
    return Component("python", ok, True, version, "everything", remedy)


def _packages() -> Iterator[Component]:
    """What devdiff's own requirements ask for; of the many that say nothing, what is wrong."""
    findings = [_package(asked) for asked in extras.requirements()]
    for extra in _EXTRAS:
        asked_for = [*extras.requirements(extra)]
        asked_for += [Requirement(name) for name, of in _BESIDES.items() if of == extra]
        findings += [_package(asked, extra) for asked in asked_for]
    first: dict[str, Component] = {}
    for finding in findings:
        # An extra is told of once, though another contains it.
        if finding.name in _PURPOSES or (finding.required and not finding.ok):
            first.setdefault(finding.name, finding)
    order = [*_PURPOSES, *first]
    yield from sorted(first.values(), key=lambda finding: order.index(finding.name))


def _package(asked: Requirement, extra: str = "") -> Component:
    purpose = _PURPOSES.get(asked.name, "devdiff itself")
    required = not extra and asked.name not in _ALTERNATIVES
    wanted = f"pip install '{asked.name}{asked.specifier}'"
    version = extras.installed(asked.name)
    if version is None:
        remedy = extras.install(extra) if extra else wanted
        return Component(asked.name, False, required, "not installed", purpose, remedy)
    # A build of its own (2.13.0+cpu) is the version that it is a build of.
    if asked.specifier.contains(version, prereleases=True):
        return Component(asked.name, True, required, version, purpose)
    remedy = f"devdiff is tested with {asked.specifier}: {wanted}"
    return Component(asked.name, False, required, version, purpose, remedy)


def _native() -> Iterator[Component]:
    from devdiff.device_runner.native.local_runner import LocalRunner

    try:
        identity = LocalRunner(None, "xnnpack", 1).identity()
    except (DeviceRunnerError, OSError, subprocess.SubprocessError) as error:
        # Where it would only have to be compiled, what compiles it is told of already.
        yield Component(
            "native runner",
            False,
            extras.installed("ziglang") is not None,
            "not usable",
            "--device local",
            " ".join(str(error).split()),
        )
        return
    runner, library = identity["runner"], identity["library"]
    yield Component(
        "native runner", True, True, f"sha256 {runner['sha256'][:12]}", "--device local"
    )
    yield Component(
        "runtime library",
        True,
        True,
        f"{library['origin']}, sha256 {library['sha256'][:12]}",
        "--device local",
    )


def _program(name: str, purpose: str, remedy: str) -> Component:
    found = shutil.which(name)
    return Component(name, found is not None, False, found or "not installed", purpose, remedy)


def _space() -> Component:
    free = shutil.disk_usage(Path.cwd()).free
    ok = free > 1 << 30 and os.access(Path.cwd(), os.W_OK)
    remedy = "" if ok else "free some space here, or give --out on another disk"
    return Component("disk", ok, True, f"{free / 1e9:.1f} GB free here", "run directories", remedy)
