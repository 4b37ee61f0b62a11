"""Android's own adb daemon as a process of this machine, and a proxy that spoils the way to it.

The daemon is Debian's package ``adbd``: the installed one, or fetched once with the libraries it
needs into devdiff's cache. It listens on the loopback only and dies with the tests.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness.build import compile_program
from devdiff.android_harness.errors import HarnessError
from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.apt import PrivateApt, machine_mirrors
from devdiff.device_runner.virtual.probe import ProbeReply, probe
from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSTALLED = Path("/usr/lib/android-sdk/platform-tools/adbd")
_PLATFORMS = {"x86_64": ("amd64", "x86_64-linux-gnu"), "aarch64": ("arm64", "aarch64-linux-gnu")}
_START_S = 20
_TOOLS = (
    *("sh", "cat", "chmod", "mv", "rm", "mkdir", "ls", "wc", "tail", "printf", "echo", "stat"),
    *("df", "sleep", "head", "yes", "touch"),
)
_DIE_WITH_PARENT = 1

# The daemon listens on every address and lets everybody in; on a developer's machine it must not.
_LOOPBACK_ONLY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length) {
  int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
  if (address->sa_family == AF_INET6) {
    struct sockaddr_in6 loopback;
    memcpy(&loopback, address, sizeof loopback);
    static const unsigned char mapped[16] = {0,0,0,0,0,0,0,0,0,0,0xff,0xff,127,0,0,1};
    memcpy(&loopback.sin6_addr, mapped, sizeof mapped);
    return real(fd, (const struct sockaddr *)&loopback, sizeof loopback);
  }
  if (address->sa_family == AF_INET) {
    struct sockaddr_in loopback;
    memcpy(&loopback, address, sizeof loopback);
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return real(fd, (const struct sockaddr *)&loopback, sizeof loopback);
  }
  if (address->sa_family == AF_UNIX) return real(fd, address, length);
  errno = EACCES;
  return -1;
}
"""


def _shim() -> Path:
    """The library that keeps the daemon on the loopback."""
    _, triple = _PLATFORMS[platform.machine()]
    target = cache_root() / "tests" / f"loopback-{triple}-1"
    if not target.is_dir():
        with whole_directory(target) as folder:
            source = folder / "loopback.c"
            source.write_text(_LOOPBACK_ONLY)
            compile_program((source,), folder / "loopback.so", f"{triple}.2.28", _SHIM_FLAGS)
    return target / "loopback.so"


_SHIM_FLAGS = ("-shared", "-fPIC", "-O1", "-g0")


def _fetched() -> Path:
    """A folder with adbd and its libraries, out of the cache or from Debian's archive."""
    architecture, _ = _PLATFORMS[platform.machine()]
    target = cache_root() / "tests" / f"adbd-{architecture}-1"
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory() as scratch:
        refusals = ["this machine's apt knows no archive"]
        for number, mirror in enumerate(machine_mirrors()):
            try:
                apt = PrivateApt(Path(scratch, str(number)), mirror, architecture)
                apt.update()
                debs = Path(scratch, "debs")
                debs.mkdir(exist_ok=True)
                packages = apt.download(apt.closure("adbd"), debs)
            except VirtualPhoneError as error:
                refusals.append(str(error))
                continue
            with whole_directory(target) as folder:
                for package in packages.values():
                    subprocess.run(["dpkg-deb", "-x", package.path, folder], check=True)
            return target
    raise VirtualPhoneError("; ".join(refusals))


def adbd_command() -> list[str]:
    """How to start adbd here. Skips the test, or fails it under CI, where that cannot be."""
    try:
        if platform.machine() not in _PLATFORMS or sys.platform != "linux":
            raise VirtualPhoneError("adbd is to be had for Linux on x86-64 and ARM64 only")
        shim = str(_shim())
        if INSTALLED.exists():
            return ["env", f"LD_PRELOAD={shim}", str(INSTALLED)]
        root = _fetched()
    except (VirtualPhoneError, HarnessError, OSError) as error:
        text = f"no adbd: on Debian 13 and later, apt-get install adbd; elsewhere: {error}"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    libraries = root / "usr/lib" / _PLATFORMS[platform.machine()][1]
    loader = next(libraries.glob("ld-linux-*"))
    paths = f"{libraries}:{libraries / 'android'}"
    program = root / INSTALLED.relative_to("/")
    return [*map(str, (loader, "--preload", shim, "--library-path", paths, program))]


def names(folder: Path) -> list[str]:
    """What lies in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def odd_port() -> int:
    """A free port that is odd, as an emulator's daemon has, in the range adb servers look at."""
    for port in range(5585, 5555, -2):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port - 1))
            except OSError:
                continue
            return port
    pytest.fail("all ports of emulators are taken")


@dataclass
class Adbd:
    """A running daemon. What its shell finds is ``path`` and nothing else."""

    home: Path
    port: int = field(default_factory=free_port)
    path: str = "/usr/bin:/bin"
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> Adbd:
        libc = ctypes.CDLL(None)
        with (self.home / "adbd.log").open("ab") as log:
            self._process = subprocess.Popen(
                adbd_command(),
                env={"ADBD_PORT": str(self.port), "PATH": self.path, "HOME": str(self.home)},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL),  # noqa: PLW1509
            )
        end = time.monotonic() + _START_S
        while probe(self.port, 1.0) is not ProbeReply.READY:
            assert self._process.poll() is None, (self.home / "adbd.log").read_text()
            assert time.monotonic() < end, "adbd does not answer"
            time.sleep(0.02)
        return self

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it at once, as a phone that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def hang(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


def tools_without(folder: Path, missing: Sequence[str]) -> str:
    """A PATH on which all of the machine's ordinary tools are, but for the missing ones."""
    folder.mkdir()
    for name in _TOOLS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found and name not in missing:
            (folder / name).symlink_to(found)
    return str(folder)


@pytest.fixture(scope="session")
def adbd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adbd]:
    """One daemon for all tests that leave it alive and well."""
    daemon = Adbd(tmp_path_factory.mktemp("adbd"))
    try:
        yield daemon.start()
    finally:
        daemon.kill()


@pytest.fixture
def own_adbd(tmp_path: Path) -> Iterator[Adbd]:
    """A daemon that the test may ruin."""
    home = tmp_path / "phone"
    home.mkdir()
    daemon = Adbd(home)
    try:
        yield daemon.start()
    finally:
        daemon.kill()
