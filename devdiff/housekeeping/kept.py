"""Runs and caches that lie on the disk: what is devdiff's, how large and how old it is.

What is not recognised is not devdiff's to remove. Symbolic links are never followed, neither those
that stand for a run nor those inside one.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from filelock import FileLock, Timeout

from devdiff.errors import RunDirectoryError, UsageError
from devdiff.exporter.export_cache import ExportCache
from devdiff.exporter.manifest import MANIFEST_NAME
from devdiff.ladder.run_directory import LOCK_NAME, RUN_NAME, read_json
from devdiff.system.cache import cache_root
from devdiff.system.scratch import abandoned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Kind = Literal["run", "check", "recipes", "bisection", "cache", "left over"]
IN_USE: Final = "in use by another devdiff"
GOING: Final = ".going"
"""The ending of what is being removed, after the name of the process that does it."""

# The record that a finished one ends in, by what it is.
_RESULTS: Final[dict[str, Kind]] = {
    "report.json": "run",
    "check.json": "check",
    "recipes.json": "recipes",
    "bisect.json": "bisection",
}
# What devdiff writes at the top of a run directory; anything else there is somebody's own.
_FILES: Final = frozenset(
    {
        *_RESULTS,
        *(LOCK_NAME, RUN_NAME, "report.html", "baseline.json", "export.log"),
        *("index.html", "check.html", "recipes.html", "recipes.svg"),
        *("model-explorer.json", "layers.csv", "layers.svg"),
    }
)
_FOLDERS: Final = frozenset(
    {
        *("inputs", "artifacts", "rungs", "logs", "pairing", "scan", "data-check"),
        *("bisect", "repro", "kept", "fed"),
    }
)
_TRACE: Final = ".traceback.txt"
# Folders of the cache whose entries are made again when they are needed.
CACHES: Final = ("runners", "runtimes", "virtual/images", "virtual/snapshots", "zig")
# Who builds holds a lock beside, or in the folder above, what is being built.
_BUILDS: Final = {"zig": "runners", "virtual/images": "virtual", "virtual/snapshots": "virtual"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A run directory, or an entry of a cache.

    ``bytes`` is what it takes on the disk, ``touched`` when something in it was written last, in
    seconds since 1970. ``refusal`` says why it is not to be removed, whatever its size and age.
    """

    path: Path
    kind: Kind
    bytes: int
    touched: float
    state: str = ""
    refusal: str | None = None


def runs(root: Path) -> Iterator[Kept]:
    """The run directories in ``root``, such as ``devdiff-runs``, the newest first, and beside them
    what a removal left that was killed.

    Raises `UsageError` where ``root`` is a link: it may lead anywhere.
    """
    found = [kept for entry in _folders(root) if (kept := run(entry)) is not None]
    yield from sorted(found, key=lambda kept: -kept.touched)


def run(path: Path) -> Kept | None:
    """What ``path`` is if it is a run directory, None if it is anything else."""
    if path.name.endswith(GOING):
        return Kept(path, "left over", *_extent(path)) if abandoned(path.name) else None
    record = path / RUN_NAME
    if path.is_symlink() or not record.is_file() or record.is_symlink():
        return None
    try:
        data = read_json(record)
    except (RunDirectoryError, OSError):
        return None
    if not {"fingerprint", "request", "started"} <= data.keys():
        return None
    result = next((name for name in _RESULTS if (path / name).is_file()), None)
    request = data["request"] if isinstance(data["request"], dict) else {}
    kind = _RESULTS[result] if result else _kind(request)
    refusal = _in_use(path) or _foreign(path)
    return Kept(path, kind, *_extent(path), _verdict(path, result), refusal)


def caches(busy: Callable[[], bool]) -> Iterator[Kept]:
    """Entries of the cache folder, and of the cache of exports if there is one.

    ``busy`` tells whether a virtual phone runs, which has its files open.
    """
    for name in CACHES:
        refusal = _building(cache_root() / _BUILDS.get(name, name))
        if name.startswith("virtual") and busy():
            refusal = "a virtual phone runs"
        for entry in _folders(cache_root() / name, links=False):
            hidden = entry.name.startswith(".") or entry.name.endswith(GOING)
            if not hidden or abandoned(entry.name):
                yield _cached(entry, name, refusal)
    exports = ExportCache.from_environment()
    if exports is not None:
        for entry in _folders(exports.root, links=False):
            if (entry / MANIFEST_NAME).is_file():
                yield _cached(entry, "exports", None)


def _cached(entry: Path, name: str, refusal: str | None) -> Kept:
    size, written = _extent(entry)
    # Some are marked when they are used.
    touched = max(written, entry.lstat().st_mtime)
    return Kept(entry, "cache", size, touched, name, refusal)


def _building(folder: Path) -> str | None:
    held = any(_held(lock) for lock in folder.glob("*.lock"))
    return "another devdiff is building one" if held else None


def _folders(root: Path, links: bool = True) -> Sequence[Path]:
    """The folders in ``root`` that are no links, in the order of their names."""
    if root.is_symlink():
        if links:
            raise UsageError(f"{root} is a link, which is not followed: name the folder itself")
        return []
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def _kind(request: dict[str, object]) -> Kind:
    """What an unfinished run was to become."""
    by_key: dict[str, Kind] = {"cells": "check", "recipes": "recipes", "bisect": "bisection"}
    return next((kind for key, kind in by_key.items() if key in request), "run")


def _verdict(path: Path, result: str | None) -> str:
    if result is None:
        return "unfinished"
    try:
        verdict = read_json(path / result).get("verdict")
    except (RunDirectoryError, OSError):
        return "unreadable"
    return verdict if isinstance(verdict, str) else "unreadable"


def _in_use(path: Path) -> str | None:
    return IN_USE if _held(path / LOCK_NAME) else None


def _held(lock: Path) -> bool:
    """Whether a lock is held; one that cannot be asked is."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(blocking=False):
            return False
    except (Timeout, OSError):
        return True


def _foreign(path: Path) -> str | None:
    """Why a run directory holds more than devdiff put there."""
    for entry in sorted(path.iterdir()):
        folder = entry.is_dir() and not entry.is_symlink()
        if entry.is_symlink():
            return f"it holds the link {entry.name}"
        if folder and (entry.name in _FOLDERS or (entry / RUN_NAME).is_file()):
            continue
        if not folder and (entry.name in _FILES or entry.name.endswith((_TRACE, ".partial"))):
            continue
        return f"it holds {entry.name}, which devdiff did not put there"
    return None


def _extent(path: Path) -> tuple[int, float]:
    """The bytes on the disk of all that is below ``path``, and when it was written last."""
    total, last = 0, 0.0
    for folder, _, files in os.walk(path):
        for name in (*files, ""):
            try:
                found = os.lstat(Path(folder) / name)
            except OSError:
                continue
            if not stat.S_ISLNK(found.st_mode) and name != LOCK_NAME:
                last = max(last, found.st_mtime if name else 0.0)
            total += found.st_blocks * 512
    return total, last or path.lstat().st_mtime
