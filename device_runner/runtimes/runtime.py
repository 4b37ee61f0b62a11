"""Which library runs a model on a device, and how it gets here.

What the app ships comes first: a library the user names, or one out of an app's archive. Left to
itself, devdiff takes a pinned library out of a published wheel. Whichever it is, it is recorded by
hash, and it is for the device's processor and system or it is refused.
"""

from __future__ import annotations

import mmap
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.android_harness import elf
from devdiff.android_harness.errors import ElfError
from devdiff.device_runner.delegates import DELEGATES
from devdiff.device_runner.errors import RuntimeLibraryError
from devdiff.device_runner.runtimes.app_archive import library_from_archive
from devdiff.device_runner.runtimes.archive import is_archive
from devdiff.device_runner.runtimes.wheels import (
    PINNED_NAMES,
    Api,
    PinnedRuntime,
    fetch_library,
    pinned_for,
)
from devdiff.exporter.artifact import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping

# One function that only an implementation of the API exports, in the order of preference.
_API_SYMBOLS: Final[Mapping[bytes, Api]] = {
    b"\0TfLiteInterpreterCreate\0": "tflite",
    b"\0LiteRtCreateCompiledModel\0": "litert",
}
_MACHINES: Final[Mapping[str, str]] = {
    "android-arm64-v8a": "aarch64",
    "android-armeabi-v7a": "arm",
    "android-x86_64": "x86_64",
    "linux-aarch64": "aarch64",
    "linux-x86_64": "x86_64",
}
_LARGE_PAGE: Final = 16384


@dataclass(frozen=True, slots=True)
class RuntimeLibrary:
    """A runtime library that is there: ``path`` is absolute, ``version`` None when unknown.

    ``api`` is what its symbols suggest; what was really spoken is in the runner's results.
    ``origin`` says in words where it came from, ``notes`` what else a user should know.
    """

    path: Path
    sha256: str
    version: str | None
    api: Api
    origin: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "notes": list(self.notes)}


def local_abi() -> str:
    """This machine's name among the runner's platforms, or what it would be called there."""
    return f"{platform.system().lower()}-{platform.machine()}"


def find(choice: str | os.PathLike[str] | None = None) -> RuntimeLibrary:
    """The library for this machine; see `for_device`."""
    return for_device(local_abi(), choice)


def for_device(abi: str, choice: str | os.PathLike[str] | None = None) -> RuntimeLibrary:
    """The library for a device of ``abi``, a name of `devdiff.android_harness.build.TARGETS`.

    ``choice`` is the path of a library or of an app's archive (see `library_from_archive`), or the
    name of a pinned library; without one, the platform's first pinned library is taken. Raises
    `RuntimeLibraryError` when there is none, when it cannot be fetched, or when it is for another
    processor or system.
    """
    if abi not in _MACHINES:
        raise RuntimeLibraryError(
            f"there is no native runner, and so no runtime library, for {abi!r}; "
            f"known are: {', '.join(_MACHINES)}"
        )
    pins = pinned_for(abi)
    if choice is None:
        if not pins:
            raise RuntimeLibraryError(
                f"no runtime library is published for {abi}; name one with --runtime: the app "
                "itself (its .apk or .aab), or a libtensorflowlite_c.so for this ABI"
            )
        return fetch(next(iter(pins.values())))
    name = os.fspath(choice)
    if name in pins:
        return fetch(pins[name])
    if name in PINNED_NAMES:
        offered = f"pinned for it: {', '.join(pins)}" if pins else "nothing is pinned for it"
        raise RuntimeLibraryError(
            f"no {name} library is published for {abi} ({offered}); name a library or an app's "
            "archive by its path"
        )
    return from_file(Path(name), abi)


def from_file(path: Path, abi: str | None = None) -> RuntimeLibrary:
    """A library, or an app's archive that holds one, by its path; for this machine without ``abi``.

    Raises `RuntimeLibraryError` when it is neither, or not for ``abi``.
    """
    abi = abi or local_abi()
    try:
        absolute = path.resolve(strict=True)
        origin = "named by its path"
        if is_archive(absolute):
            absolute, member = library_from_archive(absolute, abi)
            origin = f"{member} in {path.name}"
        notes = _check(absolute, origin, abi)
        return RuntimeLibrary(
            absolute, sha256_file(absolute), None, guess_api(absolute), origin, notes
        )
    except OSError as error:
        names = ", ".join(pinned_for(abi)) or "none is pinned for this device"
        raise RuntimeLibraryError(
            f"cannot read the runtime library {path}: {error.strerror}; name an existing file, or "
            f"a pinned library ({names})"
        ) from error


def fetch(pinned: PinnedRuntime) -> RuntimeLibrary:
    """A pinned library, see `fetch_library`. Raises `RuntimeLibraryError`."""
    return RuntimeLibrary(
        fetch_library(pinned),
        pinned.sha256,
        pinned.version,
        pinned.api,
        f"{pinned.requirement} {pinned.version} wheel",
    )


def delegate_library(library: RuntimeLibrary, delegate: str) -> Path | None:
    """The file beside a runtime library that holds a delegate (``gpu`` or ``nnapi``), if any.

    A device that is given it, too, is told of it with the runner's ``--delegate-library``. None
    when there is no such file: the runtime library has the delegate itself, or nobody has.
    """
    beside = (library.path.with_name(name) for name in DELEGATES[delegate].files)
    return next((path for path in beside if path.is_file()), None)


def guess_api(path: Path) -> Api:
    """Which C API a library's symbol names suggest; the first of `tflite`, `litert`."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for symbol, api in _API_SYMBOLS.items():
            if data.find(symbol) >= 0:
                return api
    return "unknown"


def _check(path: Path, origin: str, abi: str) -> tuple[str, ...]:
    """Refuses what the device cannot load, and returns what is worth a note."""
    try:
        found = elf.read(path)
    except ElfError as error:
        raise RuntimeLibraryError(
            f"{error}; name a libLiteRt.so, a libtensorflowlite_c.so, or the app that ships one"
        ) from error
    if found.machine != _MACHINES[abi]:
        raise RuntimeLibraryError(
            f"the runtime library {path.name} ({origin}) is for {found.machine}, the device takes "
            f"{abi} ({_MACHINES[abi]}); name a library for {abi}"
        )
    system = _system(found)
    wanted = abi.partition("-")[0]
    if system not in (None, wanted):
        raise RuntimeLibraryError(
            f"the runtime library {path.name} ({origin}) is for {system}, the device is {wanted} "
            f"({abi}); name a library for {abi}"
        )
    if wanted == "android" and found.bits == 64 and found.page_size < _LARGE_PAGE:
        return (
            f"{path.name} is aligned for pages of {found.page_size} bytes: phones with 16 KiB "
            "pages cannot load it",
        )
    return ()


def _system(found: elf.Elf) -> str | None:
    """Whose C library a library needs; None when it needs none."""
    if "libc.so" in found.needed:
        return "android"
    if any(name.startswith(("libc.so.", "libc.musl-")) for name in found.needed):
        return "linux"
    return None
