"""The runtime library that an app really ships, out of the app's own archive.

Entries are chosen by their exact names and written under names of our own; what the archive may not
be is told in `archive`.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from devdiff.device_runner.errors import ArchiveError, RuntimeArchiveError, RuntimeLibraryError
from devdiff.device_runner.runtimes.archive import Archive, open_archive
from devdiff.exporter.artifact import sha256_file
from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order of preference: an app that has the first runs its models with it.
LIBRARIES: Final = ("libtensorflowlite_jni.so", "libtensorflowlite_c.so", "libLiteRt.so")
# Taken along when they lie beside the library: a delegate is of no use without its runtime.
_COMPANIONS: Final = ("libtensorflowlite_gpu_jni.so", "libtensorflowlite_gpu_delegate.so")
_MAX_BYTES: Final = 1 << 30
_MAX_INNER: Final = 256
_KEPT: Final = "kept.json"
_WANTED: Final = [*LIBRARIES, *_COMPANIONS]


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
    except ArchiveError as error:
        raise RuntimeArchiveError(f"{error}, or name the library itself") from error
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
    with open_archive(archive) as outer:
        found = _find([outer], folder)
        if found is None:
            inner = _inner(outer)
            found = _find(inner, folder)
            if found is None:
                raise RuntimeArchiveError(_nothing(archive, [outer, *inner], folder))
        holder, member = found
        hashes = {}
        for name in (PurePosixPath(member).name, *_COMPANIONS):
            place = str(PurePosixPath(member).with_name(name))
            if place in holder.members:
                with (directory / name).open("wb") as target:
                    target.writelines(holder.chunks(holder.members[place], _MAX_BYTES))
                hashes[name] = sha256_file(directory / name)
    kept = {"member": member, "sha256": hashes, "wanted": _WANTED}
    (directory / _KEPT).write_text(json.dumps(kept))
    return member


def _find(archives: Sequence[Archive], folder: str) -> tuple[Archive, str] | None:
    """The library that is preferred of all that are there, as an archive and an entry of it."""
    for name in LIBRARIES:
        for archive in archives:
            for place in _places(archive, folder, name):
                return archive, place
    return None


def _places(archive: Archive, folder: str, name: str) -> list[str]:
    """The entries that are this library for this ABI."""
    plain = (f"lib/{folder}/{name}", f"jni/{folder}/{name}", f"base/lib/{folder}/{name}")
    found = [place for place in plain if place in archive.members]
    module = re.compile(rf"[A-Za-z]\w*/lib/{re.escape(folder)}/{re.escape(name)}")
    return found + sorted(filter(module.fullmatch, archive.members.keys() - set(found)))


def _inner(outer: Archive) -> list[Archive]:
    """The apks inside an archive of apks."""
    apks = [member for name, member in outer.members.items() if name.endswith(".apk")]
    size = sum(apk.size for apk in apks)
    if len(apks) > _MAX_INNER or size > _MAX_BYTES:
        raise RuntimeArchiveError(
            f"{outer.label} holds {len(apks)} apks of {size} bytes in all, which is more than an "
            "app has; name the library itself"
        )
    return [outer.inside(apk) for apk in apks]


def _nothing(archive: Path, archives: Sequence[Archive], folder: str) -> str:
    """Why nothing was found, with what there is instead."""
    abis = sorted(
        {
            parts[-2]
            for each in archives
            for parts in (name.split("/") for name in each.members)
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
