"""Builds the native runner, once for each version of its sources, flags and compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from devdiff.android_harness.errors import BuildError
from devdiff.android_harness.stubs import LIBRARIES, assembly
from devdiff.system import extras, kept_files
from devdiff.system.cache import cache_root, whole_directory
from devdiff.system.scratch import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCES: Final = Path(__file__).parent / "runner"
BIONIC: Final = Path(__file__).parent / "bionic"
PREBUILT: Final = Path(__file__).parent / "prebuilt"
EXECUTABLE: Final = "devdiff-runner"

_BUILD_SECONDS: Final = 600
_COMPILER: Final = "ziglang"

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


# Android's own start code, headers and link stubs in place of any toolchain's. Its linker refuses
# programs that are not position-independent and warns of much else, so nothing is left to
# defaults: one page of memory may have 16 KiB, 32-bit Android 6 reads only the older hash table.
_BIONIC_FLAGS: Final = (
    "-DDEVDIFF_OWN_LIBC_H",
    "-ffreestanding",
    "-nostdlib",
    "-nostdlibinc",
    "-fno-sanitize=undefined",
    "-fno-stack-protector",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fPIE",
    "-pie",
    "-Wl,-z,max-page-size=16384",
    "-Wl,-z,common-page-size=16384",
    "-Wl,-z,now",
    "-Wl,-z,relro",
    "-Wl,-z,noexecstack",
    "-Wl,--hash-style=both",
    "-Wl,--build-id=none",
)


# What the C library and the compiler check at run time: a write past a buffer ends the process by
# a signal. Android's own names for this are newer than the oldest Android that is promised.
_GLIBC_FLAGS: Final = ("-fstack-protector-strong", "-D_FORTIFY_SOURCE=3")


@dataclass(frozen=True, slots=True)
class Target:
    """What the compiler is told for one platform; ``bionic`` for Android."""

    triple: str
    flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    bionic: bool = False


def _android(triple: str, linker: str, *flags: str) -> Target:
    interpreter = f"-Wl,--dynamic-linker=/system/bin/{linker}"
    return Target(triple, (*_BIONIC_FLAGS, interpreter, *flags), bionic=True)


# An old glibc's symbols run on every distribution since 2018; runtime libraries ask for as much.
TARGETS: Final[Mapping[str, Target]] = {
    "android-arm64-v8a": _android("aarch64-linux-android", "linker64"),
    "android-armeabi-v7a": _android("arm-linux-androideabi", "linker", "-mcpu=generic+v7a"),
    "android-x86_64": _android("x86_64-linux-android", "linker64"),
    "linux-aarch64": Target("aarch64-linux-gnu.2.28", _GLIBC_FLAGS, libraries=("-ldl",)),
    "linux-x86_64": Target("x86_64-linux-gnu.2.28", _GLIBC_FLAGS, libraries=("-ldl",)),
}


def source_files() -> tuple[Path, ...]:
    """The C files of the runner, without those that are programs of their own (fuzzing)."""
    return tuple(sorted(p for p in SOURCES.glob("*.c") if not p.name.startswith("fuzz_")))


def zig_version() -> str:
    """The version of the packaged compiler: the installed one, else the one devdiff asks for.

    By it a runner that is shipped is found also where there is nothing to compile another with.
    """
    return extras.installed(_COMPILER) or extras.pinned(_COMPILER) or ""


def build_key(abi: str) -> str:
    """A hash of everything a build depends on. Raises `BuildError` for an unknown platform."""
    target = _target(abi)
    digest = hashlib.sha256()
    arguments = [*COMMON_FLAGS, target.triple, *target.flags, *target.libraries]
    files = [*source_files(), *SOURCES.glob("*.h")]
    if target.bionic:
        arguments += [assembly(library) for library in LIBRARIES]
        files += [*BIONIC.glob("*.[ch]")]
    digest.update("\0".join((zig_version(), *arguments)).encode())
    for path in sorted(files):
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def runner_path(abi: str = "linux-x86_64") -> Path:
    """The runner for a platform: shipped with the package, built before, or built now.

    One that is not as it was built, by its hash, is passed over and built anew.
    The build takes a few seconds the first time, and is safe when several processes want it at
    once. Raises `BuildError` when there is no such platform or the compiler fails.
    """
    key = build_key(abi)
    shipped = PREBUILT / abi / key / EXECUTABLE
    if kept_files.intact(shipped.parent, key):
        return shipped
    built = cache_root() / "runners" / key / EXECUTABLE
    if kept_files.intact(built.parent, key):
        return built
    try:
        built.parent.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(built.parent.with_suffix(".lock")):
            if not kept_files.intact(built.parent, key):
                shutil.rmtree(built.parent, ignore_errors=True)
                with whole_directory(built.parent) as directory:
                    _compile(_target(abi), directory / EXECUTABLE)
                    kept_files.record(directory, key)
    except OSError as error:
        raise BuildError(
            f"cannot build the native runner in {built.parent.parent}: {error}; "
            "make that directory writable or name another one in DEVDIFF_CACHE_DIR"
        ) from error
    return built


def compile_program(
    sources: tuple[Path, ...], output: Path, triple: str, flags: tuple[str, ...]
) -> None:
    """Compiles C files into one program with the packaged compiler.

    The compiler runs in the first file's folder. Raises `BuildError`.
    """
    if extras.installed(_COMPILER) is None:
        raise BuildError(
            f"{output.name} has to be compiled here, which needs {_COMPILER}: "
            f"{extras.install('native')}"
        )
    environment = dict(os.environ)
    for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"):
        environment[name] = str(cache_root() / "zig")
    # Names relative to the sources keep the same text in every build's messages.
    names = [os.path.relpath(path, sources[0].parent) for path in sources]
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
    if not target.bionic:
        compile_program(source_files(), output, target.triple, flags)
    else:
        with scratch_directory("stubs") as folder:
            stubs = [_stub(target, library, folder) for library in LIBRARIES]
            sources = (*source_files(), *sorted(BIONIC.glob("*.c")))
            compile_program(sources, output, target.triple, (*flags, *map(str, stubs)))
    output.chmod(0o755)


def _stub(target: Target, library: str, folder: Path) -> Path:
    """A library to link against in place of the device's of this name."""
    source = folder / f"{library}.s"
    source.write_text(assembly(library))
    flags = ("-nostdlib", "-shared", f"-Wl,-soname,{library}", "-Wl,--build-id=none")
    compile_program((source,), folder / library, target.triple, flags)
    return folder / library
