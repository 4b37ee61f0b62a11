"""Builds the native runner, once for each version of its sources, flags and compiler."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from android_harness.cache import cache_root, whole_directory
from android_harness.errors import BuildError

SOURCES: Final = Path(__file__).parent / "runner"
PREBUILT: Final = Path(__file__).parent / "prebuilt"
EXECUTABLE: Final = "devdiff-runner"

_BUILD_SECONDS: Final = 600

# Without debug information nothing of the place of the build is in the file: the same sources give
# the same runner everywhere, and its hash in a report means something elsewhere too.
COMMON_FLAGS: Final = (
    "-std=gnu11",
    "-O2",
    "-g0",
    "-s",
    "-fno-ident",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
)


@dataclass(frozen=True, slots=True)
class Target:
    """What the compiler is told for one platform."""

    triple: str
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


# An old glibc's symbols run on every distribution since 2018; runtime libraries ask for as much.
TARGETS: Final[Mapping[str, Target]] = {
    "linux-x86_64": Target("x86_64-linux-gnu.2.28", libraries=("-ldl",)),
}


def source_files() -> tuple[Path, ...]:
    """The C files of the runner, without those that are programs of their own (fuzzing)."""
    return tuple(sorted(p for p in SOURCES.glob("*.c") if not p.name.startswith("fuzz_")))


def zig_version() -> str:
    """The version of the installed ziglang package. Raises `BuildError` when there is none."""
    try:
        return importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError as error:
        raise BuildError(
            "the package ziglang, which compiles the native runner, is not installed; "
            "install it into this environment with: python -m pip install ziglang"
        ) from error


def build_key(abi: str) -> str:
    """A hash of everything a build depends on. Raises `BuildError` for an unknown platform."""
    target = _target(abi)
    digest = hashlib.sha256()
    arguments = (*COMMON_FLAGS, target.triple, *target.flags, *target.libraries)
    digest.update("\0".join((zig_version(), *arguments)).encode())
    for path in sorted((*source_files(), *SOURCES.glob("*.h"))):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def runner_path(abi: str = "linux-x86_64") -> Path:
    """The runner for a platform: shipped with the package, built before, or built now.

    The build takes a few seconds the first time, and is safe when several processes want it at
    once. Raises `BuildError` when there is no such platform or the compiler fails.
    """
    key = build_key(abi)
    shipped = PREBUILT / abi / key / EXECUTABLE
    if shipped.is_file():
        return shipped
    built = cache_root() / "runners" / key / EXECUTABLE
    if built.is_file():
        return built
    try:
        built.parent.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(built.parent.with_suffix(".lock")):
            if not built.is_file():
                with whole_directory(built.parent) as directory:
                    _compile(_target(abi), directory / EXECUTABLE)
    except OSError as error:
        raise BuildError(
            f"cannot build the native runner in {built.parent.parent}: {error}; "
            "make that directory writable or name another one in DEVDIFF_CACHE_DIR"
        ) from error
    return built


def compile_program(
    sources: tuple[Path, ...], output: Path, triple: str, flags: tuple[str, ...]
) -> None:
    """Compiles C files into one program with the packaged compiler. Raises `BuildError`."""
    environment = dict(os.environ)
    for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        environment[name] = str(cache_root() / "zig")
    # Names relative to the sources keep the same text in every build's messages.
    names = [path.name for path in sources]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", triple, *names, *flags]
    try:
        done = subprocess.run(
            [*command, "-o", str(output.absolute())],
            cwd=sources[0].parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"compiling {output.name} took more than {_BUILD_SECONDS} s") from error
    if done.returncode != 0 or not output.is_file():
        raise BuildError(
            f"compiling {output.name} failed with code {done.returncode}: "
            f"{' '.join(command)}\n{done.stdout.strip()[-4000:]}"
        )


def _target(abi: str) -> Target:
    try:
        return TARGETS[abi]
    except KeyError:
        known = ", ".join(sorted(TARGETS))
        raise BuildError(f"there is no native runner for {abi!r}; known are: {known}") from None


def _compile(target: Target, output: Path) -> None:
    flags = (*COMMON_FLAGS, *target.flags, *target.libraries)
    compile_program(source_files(), output, target.triple, flags)
    output.chmod(0o755)
