"""What this machine has of what devdiff needs."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from devdiff.device_runner.errors import DeviceRunnerError

_PACKAGES: Final = (
    ("onnx2tf", "1.29.24", "converting ONNX"),
    ("tensorflow", "2.19.0", "converting and quantizing; SavedModel sources"),
    ("keras", None, "Keras sources"),
    ("onnx", "1.19.1", "reading source models"),
    ("onnxsim", None, "folding constants before conversion"),
    ("onnxruntime", "1.23.0", "the source rung"),
    ("ai-edge-litert", "2.1.0", "the host rungs"),
    ("numpy", None, "everything"),
)
_OPTIONAL_PACKAGES: Final = (
    ("tflite-runtime", "2.14.0", "--host-runtime tflite-runtime"),
    ("torch", "2.13.0", "PyTorch sources, and the scan"),
    ("onnxscript", "0.7.2", "PyTorch sources"),
)


_PROGRAMS: Final = (
    ("qemu-system-aarch64", "--device virtual", "apt-get install qemu-system-arm"),
    ("adb", "phones held by an adb server (others are reached without it)", "apt-get install adb"),
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing devdiff uses: whether it is there, and what to do when it is not."""

    name: str
    ok: bool
    required: bool
    found: str
    purpose: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Requirement]:
    """Look at everything; takes a few seconds, changes nothing but the caches."""
    return [
        _python(),
        *(_package(*entry, required=True) for entry in _PACKAGES),
        *(_package(*entry, required=False) for entry in _OPTIONAL_PACKAGES),
        *_native(),
        *(_program(*entry) for entry in _PROGRAMS),
        _space(),
    ]


def _python() -> Requirement:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info[:2] == (3, 11)
    remedy = "" if ok else "the pinned packages live together on Python 3.11 only: install it"
    return Requirement("python", ok, True, version, "everything", remedy)


def _package(name: str, pinned: str | None, purpose: str, *, required: bool) -> Requirement:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        wanted = f"{name}=={pinned}" if pinned else name
        return Requirement(name, False, required, "not installed", purpose, f"pip install {wanted}")
    if pinned and version != pinned:
        return Requirement(
            name,
            False,
            required,
            version,
            purpose,
            f"devdiff is tested with {pinned}: pip install {name}=={pinned}",
        )
    return Requirement(name, True, required, version, purpose)


def _native() -> Iterator[Requirement]:
    from devdiff.device_runner.native.local_runner import LocalRunner

    try:
        identity = LocalRunner(None, "xnnpack", 1).identity()
    except (DeviceRunnerError, OSError, subprocess.SubprocessError) as error:
        yield Requirement(
            "native runner",
            False,
            True,
            "not usable",
            "--device local",
            " ".join(str(error).split()),
        )
        return
    runner, library = identity["runner"], identity["library"]
    yield Requirement(
        "native runner", True, True, f"sha256 {runner['sha256'][:12]}", "--device local"
    )
    yield Requirement(
        "runtime library",
        True,
        True,
        f"{library['origin']}, sha256 {library['sha256'][:12]}",
        "--device local",
    )


def _program(name: str, purpose: str, remedy: str) -> Requirement:
    found = shutil.which(name)
    return Requirement(name, found is not None, False, found or "not installed", purpose, remedy)


def _space() -> Requirement:
    free = shutil.disk_usage(Path.cwd()).free
    ok = free > 1 << 30 and os.access(Path.cwd(), os.W_OK)
    remedy = "" if ok else "free some space here, or give --run-dir on another disk"
    return Requirement(
        "disk", ok, True, f"{free / 1e9:.1f} GB free here", "run directories", remedy
    )
