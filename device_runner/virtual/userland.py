"""What is inside a virtual phone: the first file system, put together from packages and our own."""

from __future__ import annotations

import lzma
import re
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from devdiff.device_runner.errors import VirtualPhoneError
from devdiff.device_runner.virtual.cpio import CpioWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from devdiff.device_runner.virtual.deb import DebMember

ROOTFS: Final = Path(__file__).parent / "rootfs"
ADBD: Final = "usr/sbin/adbd"

_LIBRARIES: Final = re.compile(r"usr/lib/aarch64-linux-gnu/(android/)?[^/]+\.so(\.[^/]*)?")
_ADBD: Final = re.compile(r"usr/lib/android-sdk/platform-tools/adbd")
_BUSYBOX: Final = re.compile(r"usr/bin/busybox")
_KERNEL: Final = re.compile(r"boot/vmlinuz-.+")
# The init loads them by these names.
_MODULES: Final = re.compile(r"usr/lib/modules/.+/(failover|net_failover|virtio_net)\.ko\.xz")
_DIRECTORIES: Final = (
    *("dev", "proc", "sys", "etc", "system", "system/bin", "data", "data/local", "data/local/tmp"),
    *("usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib/modules"),
    *("usr/lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu/android"),
)
_LINKS: Final = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "system/bin/sh": "/bin/sh",
    "usr/lib/ld-linux-aarch64.so.1": "aarch64-linux-gnu/ld-linux-aarch64.so.1",
}
_FEWEST_APPLETS: Final = 150


def wanted(name: str) -> bool:
    """Whether a file of a package goes into the phone (or is its kernel)."""
    kinds = (_LIBRARIES, _ADBD, _BUSYBOX, _KERNEL, _MODULES)
    return any(kind.fullmatch(name) for kind in kinds)


def kernel(members: Mapping[str, DebMember]) -> bytes:
    """The kernel among a package's files. Raises `VirtualPhoneError` when QEMU cannot start it."""
    image = _only(members, _KERNEL)
    if image[56:60] != b"ARM\x64":
        raise VirtualPhoneError("the kernel package holds no plain ARM64 kernel image")
    return image


def adbd(members: Mapping[str, DebMember]) -> bytes:
    """The adbd program among all packages' files."""
    return _only(members, _ADBD)


def write_initramfs(
    stream: IO[bytes], init: bytes, members: Mapping[str, DebMember], libc_version: str
) -> None:
    """Write the phone's first file system as the archive the kernel unpacks.

    ``members`` are the `wanted` files of all packages, by name. The same input writes the same
    bytes. Raises `VirtualPhoneError` when something is missing among them.
    """
    archive = CpioWriter(stream)
    for name in _DIRECTORIES:
        archive.directory(name)
    for name, target in _LINKS.items():
        archive.link(name, target)
    archive.file("init", init, 0o755)
    archive.file(ADBD, adbd(members), 0o755)
    busybox = _only(members, _BUSYBOX)
    archive.file("usr/bin/busybox", busybox, 0o755)
    for name in applets(busybox):
        if name != "busybox":
            archive.link(f"usr/bin/{name}", "busybox")
    for name, member in _matching(members, _MODULES):
        module = PurePosixPath(name).name.removesuffix(".xz")
        archive.file(f"usr/lib/modules/{module}", lzma.decompress(member.content))
    for name, member in _matching(members, _LIBRARIES):
        if member.target:
            archive.link(name, member.target)
        else:
            archive.file(name, member.content, 0o755)
    for path in own_files():
        name = path.relative_to(ROOTFS).as_posix()
        content = path.read_bytes()
        if path.name == "build.prop":
            content += f"ro.devdiff.libc=glibc {libc_version}\n".encode()
        archive.file(name, content, 0o755 if path.parent.name == "bin" else 0o644)
    archive.close()


def own_files() -> tuple[Path, ...]:
    """The files of the phone that come from this package, in a fixed order."""
    return tuple(sorted(path for path in ROOTFS.rglob("*") if path.is_file()))


def applets(busybox: bytes) -> tuple[str, ...]:
    """The commands a busybox program offers, read from the table inside it.

    The program is for another processor and cannot be asked. Raises `VirtualPhoneError` when the
    table is not found.
    """
    start = busybox.find(b"[\0[[\0")
    end = busybox.find(b"\0\0", start)
    table = busybox[start:end] if start >= 0 and end >= 0 else b""
    names = tuple(name.decode("ascii", "replace") for name in table.split(b"\0"))
    if len(names) < _FEWEST_APPLETS or not {"sh", "sha256sum", "df"} <= set(names):
        raise VirtualPhoneError("the busybox package has no table of commands where one is due")
    return names


def _matching(
    members: Mapping[str, DebMember], kind: re.Pattern[str]
) -> Iterable[tuple[str, DebMember]]:
    return sorted((name, member) for name, member in members.items() if kind.fullmatch(name))


def _only(members: Mapping[str, DebMember], kind: re.Pattern[str]) -> bytes:
    found = [member.content for name, member in _matching(members, kind) if member.content]
    if len(found) != 1:
        raise VirtualPhoneError(f"the packages hold {len(found)} files {kind.pattern}, not one")
    return found[0]
