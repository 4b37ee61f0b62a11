"""What this machine has of what devdiff needs."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packaging.requirements import Requirement

from devdiff.device_runner.errors import DeviceRunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PURPOSES: Final = {
    "onnx2tf": "converting ONNX",
    "tensorflow": "converting and quantizing; SavedModel sources",
    "keras": "Keras sources",
    "onnx": "reading source models",
    "onnxsim": "folding constants before conversion",
    "onnxruntime": "the source rung",
    "ai-edge-litert": "the host rungs",
    "numpy": "everything",
    "tflite-runtime": "--host-runtime tflite-runtime",
    "torch": "PyTorch sources, and the scan",
    "onnxscript": "PyTorch sources",
}
"""What is always told of; which versions are right devdiff's own requirements say."""
_BESIDES: Final = ("onnxsim",)
"""What the converter brings along."""
_EXTRAS: Final = ("torch",)
_ALTERNATIVES: Final = ("tflite-runtime",)
"""What devdiff does its work without."""


_PROGRAMS: Final = (
    ("qemu-system-aarch64", "--device virtual", "apt-get install qemu-system-arm"),
    ("adb", "phones held by an adb server (others are reached without it)", "apt-get install adb"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing devdiff uses: whether it is there, and what to do when it is not."""

    name: str
    ok: bool
    required: bool
    found: str
    purpose: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; takes a few seconds, changes nothing but the caches."""
    return [
        _python(),
        *_packages(),
        *_native(),
        *(_program(*entry) for entry in _PROGRAMS),
        _space(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] == (3, 11)
    remedy = "" if ok else "the pinned packages live together on Python 3.11 only: install it"
    return Finding("python", ok, True, version, "everything", remedy)


def _packages() -> Iterator[Finding]:
    """What devdiff's own requirements ask for; of the many that say nothing, what is wrong."""
    asked = [Requirement(text) for text in importlib.metadata.requires("devdiff") or ()]
    named = {one.name for one in asked}
    asked += [Requirement(name) for name in _BESIDES if name not in named]
    found = []
    for one in asked:
        extra = next((name for name in _EXTRAS if _applies(one, name)), None)
        if not _applies(one, "") and extra is None:
            continue
        required = extra is None and one.name not in _ALTERNATIVES
        finding = _package(one, _PURPOSES.get(one.name, "devdiff itself"), required=required)
        if one.name in _PURPOSES or not finding.ok:
            found.append(finding)
    order = list(_PURPOSES)
    yield from sorted(
        found, key=lambda one: order.index(one.name) if one.name in _PURPOSES else len(order)
    )


def _applies(asked: Requirement, extra: str) -> bool:
    """Whether a requirement is one here, with an extra of devdiff or (empty) without any."""
    if asked.marker is None:
        return not extra
    applies = asked.marker.evaluate({"extra": extra})
    return applies and not (extra and asked.marker.evaluate({"extra": ""}))


def _package(asked: Requirement, purpose: str, *, required: bool) -> Finding:
    wanted = f"pip install '{asked.name}{asked.specifier}'"
    try:
        version = importlib.metadata.version(asked.name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(asked.name, False, required, "not installed", purpose, wanted)
    # A build of its own (2.13.0+cpu) is the version that it is a build of.
    if asked.specifier.contains(version, prereleases=True):
        return Finding(asked.name, True, required, version, purpose)
    remedy = f"devdiff is tested with {asked.specifier}: {wanted}"
    return Finding(asked.name, False, required, version, purpose, remedy)


def _native() -> Iterator[Finding]:
    from devdiff.device_runner.native.local_runner import LocalRunner

    try:
        identity = LocalRunner(None, "xnnpack", 1).identity()
    except (DeviceRunnerError, OSError, subprocess.SubprocessError) as error:
        yield Finding(
            "native runner",
            False,
            True,
            "not usable",
            "--device local",
            " ".join(str(error).split()),
        )
        return
    runner, library = identity["runner"], identity["library"]
    yield Finding("native runner", True, True, f"sha256 {runner['sha256'][:12]}", "--device local")
    yield Finding(
        "runtime library",
        True,
        True,
        f"{library['origin']}, sha256 {library['sha256'][:12]}",
        "--device local",
    )


def _program(name: str, purpose: str, remedy: str) -> Finding:
    found = shutil.which(name)
    return Finding(name, found is not None, False, found or "not installed", purpose, remedy)


def _space() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    ok = free > 1 << 30 and os.access(Path.cwd(), os.W_OK)
    remedy = "" if ok else "free some space here, or give --out on another disk"
    return Finding("disk", ok, True, f"{free / 1e9:.1f} GB free here", "run directories", remedy)
