"""Which library runs a model on a device, and how it gets here.

A pinned library comes out of a published wheel, fetched once with pip (so the machine's own index
configuration applies), checked by hash, and kept in the cache. Any other library can be named by
its path; it is recorded by hash all the same.
"""

from __future__ import annotations

import importlib.util
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock, Timeout

from android_harness.cache import cache_root, whole_directory
from device_runner.errors import RuntimeLibraryError
from exporter.artifact import sha256_file

Api = Literal["tflite", "litert", "unknown"]

_FETCH_SECONDS: Final = 900
# One function that only an implementation of the API exports, in the order of preference.
_API_SYMBOLS: Final[Mapping[bytes, Api]] = {
    b"\0TfLiteInterpreterCreate\0": "tflite",
    b"\0LiteRtCreateCompiledModel\0": "litert",
}


@dataclass(frozen=True, slots=True)
class PinnedRuntime:
    """A runtime library inside one published wheel, both named by SHA-256."""

    name: str
    requirement: str
    version: str
    platform: str
    wheel_sha256: str
    member: str
    sha256: str
    api: Api

    @property
    def directory(self) -> Path:
        """Where the library is kept once it has been fetched."""
        return cache_root() / "runtimes" / f"{self.name}-{self.version}-{self.sha256[:16]}"

    @property
    def path(self) -> Path:
        return self.directory / Path(self.member).name


LITERT: Final = PinnedRuntime(
    name="litert",
    requirement="ai-edge-litert",
    version="2.3.0",
    platform="manylinux_2_27_x86_64",
    wheel_sha256="1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23",
    member="ai_edge_litert/libLiteRt.so",
    sha256="eec47eb35e2924b3166015887e652a58edc9af823ae38e02bf83bef2548300bb",
    api="litert",
)
# Larger (47 MB to fetch, 132 MB kept); has the TensorFlow Lite C API, as most apps' libraries do.
LITERT_LM: Final = PinnedRuntime(
    name="litert-lm",
    requirement="litert-lm-api",
    version="0.18.1",
    platform="manylinux_2_27_x86_64",
    wheel_sha256="b2fe9b9a87afe991a7b0d29615b0bfc3d41c7a0ac28e9c54436676482bca2e5b",
    member="litert_lm/liblitert-lm.so",
    sha256="b837c18cc98920ea0f979c454795dcabb6c1f132b9b4a4a309243e67d62e94b9",
    api="tflite",
)
PINNED: Final[Mapping[str, PinnedRuntime]] = {p.name: p for p in (LITERT, LITERT_LM)}


@dataclass(frozen=True, slots=True)
class RuntimeLibrary:
    """A runtime library that is there: ``path`` is absolute, ``version`` None when unknown.

    ``api`` is what its symbols suggest; what was really spoken is in the runner's results.
    ``origin`` says in words where it came from.
    """

    path: Path
    sha256: str
    version: str | None
    api: Api
    origin: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path)}


def find(choice: str | os.PathLike[str] | None = None) -> RuntimeLibrary:
    """The library of a name in `PINNED`, of a path, or the default one (`LITERT`).

    Raises `RuntimeLibraryError` when it is not there and cannot be fetched.
    """
    if choice is None:
        return fetch(LITERT)
    pinned = PINNED.get(os.fspath(choice))
    return from_file(Path(choice)) if pinned is None else fetch(pinned)


def from_file(path: Path) -> RuntimeLibrary:
    """A library the user names. Raises `RuntimeLibraryError` when it is not a shared library."""
    try:
        absolute = path.resolve(strict=True)
        with absolute.open("rb") as stream:
            magic = stream.read(4)
        if magic != b"\x7fELF":
            raise RuntimeLibraryError(
                f"{path} is not a shared library for Linux or Android; name a libLiteRt.so, a "
                "libtensorflowlite_c.so, or the library out of your app's lib/ folder"
            )
        return RuntimeLibrary(
            absolute, sha256_file(absolute), None, guess_api(absolute), "named by its path"
        )
    except OSError as error:
        names = ", ".join(PINNED)
        raise RuntimeLibraryError(
            f"cannot read the runtime library {path}: {error.strerror}; name an existing file or "
            f"one of {names}"
        ) from error


def fetch(pinned: PinnedRuntime = LITERT) -> RuntimeLibrary:
    """The pinned library out of the cache, fetched into it first when it is not there.

    A cached file that is no longer the pinned one is replaced. Safe in several processes at once.
    Raises `RuntimeLibraryError` when pip, the network or the disk does not play along, or when
    what pip delivers is not what is pinned.
    """
    library = RuntimeLibrary(
        pinned.path,
        pinned.sha256,
        pinned.version,
        pinned.api,
        f"{pinned.requirement} {pinned.version} wheel",
    )
    if _intact(pinned):
        return library
    try:
        pinned.directory.parent.mkdir(parents=True, exist_ok=True)
        lock = pinned.directory.with_name(pinned.directory.name + ".lock")
        with FileLock(lock, timeout=_FETCH_SECONDS):
            if not _intact(pinned):
                shutil.rmtree(pinned.directory, ignore_errors=True)
                with whole_directory(pinned.directory) as directory:
                    _unpack(pinned, _download(pinned, directory), directory)
    except Timeout as error:
        raise RuntimeLibraryError(
            f"another process has been fetching {pinned.requirement} for {_FETCH_SECONDS} s; "
            f"if none is running, delete {error.lock_file}"
        ) from error
    except OSError as error:
        raise RuntimeLibraryError(
            f"cannot keep the runtime library in {pinned.directory.parent}: {error}; free space "
            "there or name another directory in DEVDIFF_CACHE_DIR"
        ) from error
    return library


def guess_api(path: Path) -> Api:
    """Which C API a library's symbol names suggest; the first of `tflite`, `litert`."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for symbol, api in _API_SYMBOLS.items():
            if data.find(symbol) >= 0:
                return api
    return "unknown"


def _intact(pinned: PinnedRuntime) -> bool:
    try:
        return sha256_file(pinned.path) == pinned.sha256
    except OSError:
        return False


def _download(pinned: PinnedRuntime, directory: Path) -> Path:
    """The pinned wheel in ``directory``, which pip has brought there."""
    if importlib.util.find_spec("pip") is None:
        raise RuntimeLibraryError(
            f"pip, which fetches the runtime library {pinned.requirement}, is not installed; "
            "install it with: python -m ensurepip"
        )
    wanted = f"{pinned.requirement}=={pinned.version}"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
    command += ["--quiet", "--no-deps", "--only-binary=:all:", "--retries", "2"]
    command += ["--platform", pinned.platform, "--python-version", "3.11"]
    command += ["--implementation", "cp", "--dest", str(directory), wanted]
    instead = "or name a library file of your own as the runtime"
    with tempfile.TemporaryFile() as said:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=_FETCH_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise RuntimeLibraryError(
                f"fetching {wanted} took more than {_FETCH_SECONDS} s; try again on a faster "
                f"connection, {instead}"
            ) from error
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    wheels = sorted(directory.glob("*.whl"))
    if code != 0 or len(wheels) != 1:
        raise RuntimeLibraryError(
            f"pip could not fetch {wanted} for {pinned.platform}; check the connection and pip's "
            f"index configuration and try again, {instead}. pip said: "
            f"{words[-1500:] or f'nothing (code {code})'}"
        )
    found = sha256_file(wheels[0])
    if found != pinned.wheel_sha256:
        raise RuntimeLibraryError(
            f"{wheels[0].name} has SHA-256 {found}, but {pinned.wheel_sha256} is pinned: this "
            f"package index serves another file. It was not used. Use another index, {instead}"
        )
    return wheels[0]


def _unpack(pinned: PinnedRuntime, wheel: Path, directory: Path) -> None:
    """Takes the one member wanted out of the wheel and removes the wheel."""
    target = directory / Path(pinned.member).name
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(pinned.member) as source,
            target.open("wb") as stream,
        ):
            shutil.copyfileobj(source, stream, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise RuntimeLibraryError(
            f"{wheel.name} does not hold {pinned.member}: {error}; this version of devdiff cannot "
            "use it, name a library file of your own as the runtime"
        ) from error
    if sha256_file(target) != pinned.sha256:
        raise RuntimeLibraryError(f"{pinned.member} of {wheel.name} is not the pinned library")
    wheel.unlink()
