"""Runs builds for other machines here: processors by QEMU's user mode, C libraries by stand-ins.

No Android lies in any package. What is Android's own in a runner's build (start code, prototypes,
imports) still runs when a small ``libc.so`` of the tests' own answers for the two functions that
only Android has and hands everything else to glibc. Real Android remains the proof for Android.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.android_harness.build import compile_program, runner_path
from devdiff.device_runner import process
from devdiff.device_runner.process import Command
from devdiff.device_runner.runtimes import runtime
from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.device_runner.runner import Job, Outcome

_PACKAGES = (
    "qemu-user-static",
    *("libc6-arm64-cross", "libgcc-s1-arm64-cross", "libstdc++6-arm64-cross"),
    *("libc6-armel-cross", "libgcc-s1-armel-cross"),
)
_ARMV8 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV82 = f"{_ARMV8} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
# Model, part number and features as the kernel would name them. QEMU shows programs the host's
# /proc/cpuinfo instead, which runtimes choose their kernels by, so each has a root of its own.
_CPUS = {
    "cortex-a53": ("0xd03", _ARMV8),
    "cortex-a76": ("0xd0b", _ARMV82),
    # With the streaming extension QEMU computes wrong results: a device that is really broken.
    "max": ("0xd0b", _ARMV82),
    "max,sme=off": ("0xd0b", _ARMV82),
}
# What bionic's start-up does for the runner, on top of glibc's.
_LIBC = """
int *__errno_location(void);
_Noreturn void exit(int code);
int *__errno(void) { return __errno_location(); }
void __libc_init(long *raw, void (*onexit)(void), int (*program)(int, char **, char **),
                 void *const *arrays) {
    char **words = (char **)raw + 1;
    for (int i = 0; i < 8; i++) if (arrays[i]) exit(99);
    if (onexit) exit(98);
    exit(program((int)raw[0], words, words + raw[0] + 1));
}
"""
# Phones whose policy forbids what most allow: new processes, or looking into /proc.
_DENIALS = {
    "": "",
    "fork": "int fork(void) { *__errno() = 13; return -1; }",
    "proc": """
int openat(int folder, const char *path, int flags, ...);
int open(const char *path, int flags, int mode) {
    const char *proc = "/proc/";
    int i = 0;
    while (proc[i] != 0 && path[i] == proc[i]) i++;
    if (proc[i] != 0) return openat(-100, path, flags, mode);
    *__errno() = 13;
    return -1;
}
""",
}


@dataclass(frozen=True)
class Machine:
    """How programs for one platform are started here: words to put before the program's own."""

    abi: str
    words: tuple[str, ...]
    runner: Path


@dataclass(frozen=True)
class ForeignRunner:
    """The native runner's build for another machine as a `devdiff.device_runner.runner.Runner`."""

    machine: Machine
    delegate: str = "xnnpack"

    @property
    def name(self) -> str:
        return self.machine.words[2]

    def identity(self) -> Mapping[str, Any]:
        library = runtime.for_device(self.machine.abi)
        return {"device": None, "library": library.to_json(), "delegate": self.delegate}

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        library = runtime.for_device(self.machine.abi).path
        argv = (*self.machine.words, str(self.machine.runner), "--runtime", str(library))
        options = ("--model", str(job.model), "--delegate", self.delegate, "--threads", "1")
        return process.run(Command((*argv, *options)), job, progress)


def _unpacked() -> Path:
    """QEMU and the C libraries, fetched with the machine's own apt and unpacked without root."""
    target = cache_root() / "test-sysroots" / "2"
    if target.is_dir():
        return target
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("QEMU's user mode and foreign C libraries come from Debian packages")
    with tempfile.TemporaryDirectory() as folder:
        fetched = subprocess.run(
            ["apt-get", "download", *_PACKAGES],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if fetched.returncode != 0:
            pytest.skip(f"apt-get cannot download {' '.join(_PACKAGES)}: {fetched.stderr[-300:]}")
        with whole_directory(target) as directory:
            root = Path(folder) / "root"
            for package in sorted(Path(folder).glob("*.deb")):
                subprocess.run(["dpkg-deb", "-x", package, root], check=True)
            for name in ("qemu-aarch64-static", "qemu-arm-static"):
                shutil.copy(root / "usr/bin" / name, directory)
            for name in ("aarch64-linux-gnu", "arm-linux-gnueabi"):
                shutil.copytree(root / "usr" / name / "lib", directory / name, symlinks=True)
    return target


def _root(libraries: Path, cpu: str, folder: Path) -> Path:
    """A root directory for QEMU: libraries, and what this processor's kernel says of it."""
    part, features = _CPUS[cpu]
    (folder / "proc").mkdir(parents=True)
    (folder / "proc/cpuinfo").write_text(
        f"processor\t: 0\nBogoMIPS\t: 100.00\nFeatures\t: {features}\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
        f"CPU part\t: {part}\nCPU revision\t: 1\n"
    )
    (folder / "lib").symlink_to(libraries)
    return folder


def linux_aarch64(cpu: str, folder: Path) -> Machine:
    """An ARM64 Linux; ``cpu`` is a model of QEMU's, ``folder`` is for its root."""
    place = _unpacked()
    root = _root(place / "aarch64-linux-gnu", cpu, folder / "root")
    words = (str(place / "qemu-aarch64-static"), "-cpu", cpu, "-L", str(root))
    return Machine("linux-aarch64", words, runner_path("linux-aarch64"))


def android_stand_in(abi: str, folder: Path, *, denied: str = "") -> Machine:
    """Something that starts an Android build; ``folder`` is for its C library and root.

    ``denied`` is ``fork`` or ``proc``: what the phone's policy forbids.
    """
    if abi == "android-x86_64":
        _build_stand_in("x86_64-linux-gnu.2.28", folder, denied)
        loader = ("/lib64/ld-linux-x86-64.so.2", "--library-path", str(folder))
        return Machine(abi, loader, runner_path(abi))
    place = _unpacked()
    if abi == "android-arm64-v8a":
        emulator, cpu, linker = "qemu-aarch64-static", "max,sme=off", "ld-linux-aarch64.so.1"
        libraries, triple = place / "aarch64-linux-gnu", "aarch64-linux-gnu.2.28"
    else:
        # Android's 32-bit ARM passes floats in integer registers, as Debian's armel does.
        emulator, cpu, linker = "qemu-arm-static", "", "ld-linux.so.3"
        libraries, triple = place / "arm-linux-gnueabi", "arm-linux-gnueabi.2.28"
    _build_stand_in(triple, folder, denied)
    root = _root(libraries, cpu or "cortex-a53", folder / "root")
    words = (
        *(str(place / emulator), *(("-cpu", cpu) if cpu else ()), "-L", str(root)),
        *(str(libraries / linker), "--library-path", f"{folder}:{libraries}"),
    )
    return Machine(abi, words, runner_path(abi))


def _build_stand_in(triple: str, folder: Path, denied: str) -> None:
    common = ("-shared", "-fPIC", "-O1", "-s", "-ldl")
    libc = _LIBC + _DENIALS[denied]
    for name, source in (("libc.so", libc), ("libdl.so", "int nothing;\n")):
        path = folder / f"{name}.c"
        path.write_text(source)
        flags = (*common, f"-Wl,-soname,{name}", "-Wl,--no-as-needed")
        compile_program((path,), folder / name, triple, flags)
