"""The runtime library that an app really ships, out of the app's own archive.

An archive comes from anywhere. Entries are chosen by their exact names and written under names of
our own, read no further than a bound, and refused when they are encrypted, named twice, links, or
swell too much.
"""

from __future__ import annotations

import errno
import json
import lzma
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Final

from filelock import FileLock

from android_harness.cache import cache_root, whole_directory
from device_runner.errors import RuntimeLibraryError
from exporter.artifact import sha256_file

# In the order of preference: an app that has the first runs its models with it.
LIBRARIES: Final = ("libtensorflowlite_jni.so", "libtensorflowlite_c.so", "libLiteRt.so")
# Taken along when they lie beside the library: a delegate is of no use without its runtime.
_COMPANIONS: Final = ("libtensorflowlite_gpu_jni.so", "libtensorflowlite_gpu_delegate.so")
_MAX_BYTES: Final = 1 << 30
# Machine code deflates to a third; what swells a hundredfold is no library.
_MAX_SWELLING: Final = 100
_MAX_INNER: Final = 256
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
_KEPT: Final = "kept.json"
_WANTED: Final = [*LIBRARIES, *_COMPANIONS]


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive does. Raises `OSError`."""
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def library_from_archive(archive: Path, abi: str) -> tuple[Path, str]:
    """The runtime library for ``abi`` (``android-arm64-v8a``, …) out of an app's archive.

    Knows .apk (``lib/<abi>/``), .aar (``jni/<abi>/``), .aab (``<module>/lib/<abi>/``) and archives
    of apks (.xapk, .apks, .apkm). Returns the file in the cache, which is named by the archive's
    hash, and the entry it came from. Raises `RuntimeLibraryError` when there is none or the archive
    is not to be trusted, and `OSError` when it cannot be read.
    """
    system, _, folder = abi.partition("-")
    if system != "android":
        raise RuntimeLibraryError(
            f"{archive.name} is an app's archive, whose libraries are for Android; the device is "
            f"{abi}: name a library for it"
        )
    directory = cache_root() / "runtimes" / f"app-{sha256_file(archive)[:32]}-{folder}"
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(directory.with_name(directory.name + ".lock")):
            kept = _kept(directory)
            if kept is None:
                shutil.rmtree(directory, ignore_errors=True)
                with whole_directory(directory) as partial:
                    kept = _unpack(archive, folder, partial)
    except (*_DAMAGE, OSError) as error:
        # An entry said to lie before the archive's beginning ends as an invalid argument to seek.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise RuntimeLibraryError(
            f"{archive.name} is a damaged or unusual archive: {error or type(error).__name__}; "
            "build or download the app again, or name the library itself"
        ) from error
    return directory / PurePosixPath(kept).name, kept


def _kept(directory: Path) -> str | None:
    """The entry that an earlier call has unpacked, if all it unpacked is still whole."""
    try:
        kept = json.loads((directory / _KEPT).read_text())
        whole = all(sha256_file(directory / name) == h for name, h in kept["sha256"].items())
        return str(kept["member"]) if whole and kept["wanted"] == _WANTED else None
    except (OSError, ValueError, KeyError):
        return None


def _unpack(archive: Path, folder: str, directory: Path) -> str:
    """Unpack the library and what belongs to it; returns the name of the library's entry."""
    with ExitStack() as opened:
        outer = _Archive(archive.name, opened.enter_context(zipfile.ZipFile(archive)))
        found = _find([outer], folder)
        if found is None:
            inner = _inner(outer, opened)
            found = _find(inner, folder)
            if found is None:
                raise RuntimeLibraryError(_nothing(archive, [outer, *inner], folder))
        holder, member = found
        hashes = {}
        for name in (PurePosixPath(member).name, *_COMPANIONS):
            place = str(PurePosixPath(member).with_name(name))
            if place in holder.entries:
                with (directory / name).open("wb") as target:
                    holder.copy(place, target)
                hashes[name] = sha256_file(directory / name)
    kept = {"member": member, "sha256": hashes, "wanted": _WANTED}
    (directory / _KEPT).write_text(json.dumps(kept))
    return member


class _Archive:
    """One opened archive: the entries wanted by name, and where it lies for messages."""

    def __init__(self, label: str, opened: zipfile.ZipFile) -> None:
        self.label = label
        self._zip = opened
        self.entries: dict[str, zipfile.ZipInfo] = {}
        self._twice: set[str] = set()
        for info in opened.infolist():
            if info.filename in self.entries:
                self._twice.add(info.filename)
            self.entries[info.filename] = info

    def copy(self, name: str, target: IO[bytes]) -> None:
        """Write an entry's content. Raises `RuntimeLibraryError` when it is not to be trusted."""
        info = self.entries[name]
        why = None
        if name in self._twice:
            why = "is there twice"
        elif info.flag_bits & 0x1:
            why = "is encrypted"
        elif stat.S_ISLNK(info.external_attr >> 16):
            why = "is a link"
        elif info.file_size > _MAX_BYTES:
            why = f"claims {info.file_size} bytes"
        elif info.file_size > _MAX_SWELLING * (info.compress_size + 1024):
            why = f"swells from {info.compress_size} to {info.file_size} bytes"
        if why is not None:
            raise RuntimeLibraryError(
                f"{name} in {self.label} {why}, and was not unpacked; build or download the app "
                "again, or name the library itself"
            )
        # Reading an entry ends at the size it claims and compares its checksum there.
        with self._zip.open(info) as source:
            shutil.copyfileobj(source, target, 1 << 20)


def _find(archives: Sequence[_Archive], folder: str) -> tuple[_Archive, str] | None:
    """The library that is preferred of all that are there, as an archive and an entry of it."""
    for name in LIBRARIES:
        for archive in archives:
            for place in _places(archive, folder, name):
                return archive, place
    return None


def _places(archive: _Archive, folder: str, name: str) -> list[str]:
    """The entries that are this library for this ABI."""
    plain = (f"lib/{folder}/{name}", f"jni/{folder}/{name}", f"base/lib/{folder}/{name}")
    found = [place for place in plain if place in archive.entries]
    module = re.compile(rf"[A-Za-z]\w*/lib/{re.escape(folder)}/{re.escape(name)}")
    return found + sorted(filter(module.fullmatch, archive.entries.keys() - set(found)))


def _inner(outer: _Archive, opened: ExitStack) -> list[_Archive]:
    """The apks inside an archive of apks."""
    names = sorted(name for name in outer.entries if name.endswith(".apk"))
    size = sum(outer.entries[name].file_size for name in names)
    if len(names) > _MAX_INNER or size > _MAX_BYTES:
        raise RuntimeLibraryError(
            f"{outer.label} holds {len(names)} apks of {size} bytes in all, which is more than an "
            "app has; name the library itself"
        )
    archives = []
    folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="devdiff-apks-")))
    for number, name in enumerate(names):
        path = folder / f"{number}.apk"
        with path.open("wb") as stream:
            outer.copy(name, stream)
        inner = opened.enter_context(zipfile.ZipFile(path))
        archives.append(_Archive(f"{name} in {outer.label}", inner))
    return archives


def _nothing(archive: Path, archives: Sequence[_Archive], folder: str) -> str:
    """Why nothing was found, with what there is instead."""
    abis = sorted(
        {
            parts[-2]
            for each in archives
            for parts in (name.split("/") for name in each.entries)
            if len(parts) >= 3 and parts[-1] in LIBRARIES and parts[-3] in ("lib", "jni")
        }
    )
    if abis:
        return (
            f"{archive.name} has a runtime library for {', '.join(abis)}, but none for the "
            f"device's {folder}; name an archive or a library for {folder}"
        )
    return (
        f"{archive.name} holds none of {', '.join(LIBRARIES)} for {folder}: the app does not ship "
        "a runtime of its own (it may use the one of Google Play services); name the library itself"
    )
