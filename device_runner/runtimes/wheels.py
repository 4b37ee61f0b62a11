"""Runtime libraries out of published wheels.

A wheel is fetched once with pip (so the machine's own index configuration applies), checked by
hash, and the one file wanted out of it is kept in the cache.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from filelock import FileLock, Timeout

from devdiff.device_runner.errors import RuntimeLibraryError
from devdiff.exporter.artifact import sha256_file
from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

Api = Literal["tflite", "litert", "unknown"]

_FETCH_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class PinnedRuntime:
    """A runtime library inside one published wheel, both named by SHA-256.

    ``platform`` is the wheel's platform tag, ``abi`` what it runs on.
    """

    name: str
    abi: str
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


def _litert(abi: str, platform: str, wheel_sha256: str, sha256: str) -> PinnedRuntime:
    return PinnedRuntime(
        name="litert",
        abi=abi,
        requirement="ai-edge-litert",
        version="2.3.0",
        platform=platform,
        wheel_sha256=wheel_sha256,
        member="ai_edge_litert/libLiteRt.so",
        sha256=sha256,
        api="litert",
    )


def _litert_lm(abi: str, platform: str, wheel_sha256: str, sha256: str) -> PinnedRuntime:
    return PinnedRuntime(
        name="litert-lm",
        abi=abi,
        requirement="litert-lm-api",
        version="0.18.1",
        platform=platform,
        wheel_sha256=wheel_sha256,
        member="litert_lm/liblitert-lm.so",
        sha256=sha256,
        api="tflite",
    )


# For each platform what is fetched when nothing is named, then what may be named. litert-lm is
# larger (on Linux 47 MB to fetch and 132 MB kept, for Android 14 and 40) and has the TensorFlow
# Lite C API, as most apps' libraries do; for Android it is the only one there is.
_PINS: Final = (
    _litert(
        "linux-x86_64",
        "manylinux_2_27_x86_64",
        "1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23",
        "eec47eb35e2924b3166015887e652a58edc9af823ae38e02bf83bef2548300bb",
    ),
    _litert_lm(
        "linux-x86_64",
        "manylinux_2_27_x86_64",
        "b2fe9b9a87afe991a7b0d29615b0bfc3d41c7a0ac28e9c54436676482bca2e5b",
        "b837c18cc98920ea0f979c454795dcabb6c1f132b9b4a4a309243e67d62e94b9",
    ),
    _litert(
        "linux-aarch64",
        "manylinux_2_27_aarch64",
        "853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae",
        "b57687dc234d2b8b0598aef5a9c961ed24263df8f8b3f56adbee1cff618e544b",
    ),
    _litert_lm(
        "linux-aarch64",
        "manylinux_2_27_aarch64",
        "9c0e02bf7596693d9adbf6bfbb1bf08ae60c61abf9fa22dff19e5afe6af276f2",
        "9a2ad189678a4c2148eb498ac4785272cb37f96dc07a3a6019553963b363c00c",
    ),
    _litert_lm(
        "android-arm64-v8a",
        "android_23_arm64_v8a",
        "95826534a48f79a8fbcc6b47838d1a85cbfdebe7f1c7939d98780167a74fb1de",
        "704b891fe25e9a526af717682e33b8f6310355be9e566821e2530499bffb1cc9",
    ),
    _litert_lm(
        "android-x86_64",
        "android_23_x86_64",
        "1c7940aedcad3ea1946016bf4c457cc438bd9ebe508f52705174568ab1cd0338",
        "0ee82be5fa62e57975f4ab974cce24d7b5a8b8fcaf820ee040ed93c667a72479",
    ),
)


def pinned_for(abi: str) -> Mapping[str, PinnedRuntime]:
    """The pinned libraries for a platform by name, the default first; empty when there is none."""
    return {pin.name: pin for pin in _PINS if pin.abi == abi}


PINNED_NAMES: Final = tuple(dict.fromkeys(pin.name for pin in _PINS))


def fetch_library(pinned: PinnedRuntime) -> Path:
    """The pinned library out of the cache, fetched into it first when it is not there.

    A cached file that is no longer the pinned one is replaced. Safe in several processes at once.
    Raises `RuntimeLibraryError` when pip, the network or the disk does not play along, or when
    what pip delivers is not what is pinned.
    """
    if _intact(pinned):
        return pinned.path
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
    return pinned.path


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
    with tempfile.TemporaryFile() as output:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_FETCH_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise RuntimeLibraryError(
                f"fetching {wanted} took more than {_FETCH_SECONDS} s; try again on a faster "
                f"connection, {instead}"
            ) from error
        output.seek(0)
        words = output.read().decode(errors="replace").strip()
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
