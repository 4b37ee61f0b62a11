"""Reads files out of Debian packages without unpacking them onto a disk."""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devdiff.device_runner.errors import VirtualPhoneError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DebMember:
    """One file of a package: its bytes, or where it points when it is a symbolic link."""

    content: bytes
    target: str = ""


def members(deb: Path, wanted: Callable[[str], bool]) -> dict[str, DebMember]:
    """The files and links of a .deb whose names (``usr/lib/…``) are ``wanted``, in its order.

    Raises `VirtualPhoneError` when the package cannot be read.
    """
    found = {}
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for entry in archive:
                    name = entry.name.removeprefix("./").strip("/")
                    if not wanted(name):
                        continue
                    if entry.issym():
                        found[name] = DebMember(b"", entry.linkname)
                    elif entry.isreg():
                        stream = archive.extractfile(entry)
                        assert stream is not None
                        found[name] = DebMember(stream.read())
            # What follows the archive's end has to be read, or dpkg-deb dies of the closed pipe.
            while process.stdout.read(1 << 16):
                pass
    except (OSError, tarfile.TarError) as error:
        raise VirtualPhoneError(f"cannot read the package {deb.name}: {error}") from error
    if process.returncode != 0:
        raise VirtualPhoneError(
            f"cannot read the package {deb.name}: dpkg-deb ended with code {process.returncode}"
        )
    return found
