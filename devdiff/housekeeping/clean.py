"""What a cleaning comes to: what there is, what goes and why, and what stays."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from devdiff.device_runner.errors import DeviceRunnerError
from devdiff.errors import RunDirectoryError, UsageError
from devdiff.housekeeping import kept
from devdiff.housekeeping.kept import Kept
from devdiff.housekeeping.removal import remove
from devdiff.ladder.run_directory import DEFAULT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from devdiff.housekeeping.retention import Retention

CHECK_ROOT: Final = Path("devdiff-checks")
ROOTS: Final = (DEFAULT_ROOT, CHECK_ROOT)
ALL: Final = "everything was asked for"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """``going`` with the reason for each; ``failed`` are those that could not be removed."""

    entries: tuple[Kept, ...]
    going: tuple[tuple[Kept, str], ...]
    removed: bool = False
    failed: tuple[str, ...] = field(default=())

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.entries)

    @property
    def going_bytes(self) -> int:
        return sum(entry.bytes for entry, _ in self.going)

    def reason(self, entry: Kept) -> str | None:
        return next((reason for gone, reason in self.going if gone is entry), None)

    def to_json(self) -> dict[str, Any]:
        """What ``devdiff clean --json`` prints."""
        return {
            "kind": "devdiff clean",
            "removed": self.removed,
            "bytes": self.bytes,
            "going_bytes": self.going_bytes,
            "entries": [
                {
                    "path": str(entry.path),
                    "kind": entry.kind,
                    "state": entry.state,
                    "bytes": entry.bytes,
                    "touched": entry.touched,
                    "goes": self.reason(entry),
                    "stays": entry.refusal,
                }
                for entry in self.entries
            ],
            "failed": list(self.failed),
        }


def plan(
    places: Sequence[Path],
    retention: Retention,
    *,
    caches: bool = False,
    everything: bool = False,
    protected: Mapping[Path, str] | None = None,
    now: float | None = None,
) -> Cleaning:
    """What ``retention`` lets go of the runs in ``places`` and, if asked, of the caches.

    A place is a folder of runs, or a run; left out, those that devdiff makes in the working
    directory. ``protected`` are files whose runs stay, each with the reason. Raises `UsageError`
    for a place that is not there, is a link, or holds no run.
    """
    moment = time.time() if now is None else now
    groups = [_guarded(group, protected or {}) for group in _groups(places)]
    if caches:
        used = any(entry.refusal == kept.IN_USE for group in groups for entry in group)
        cached = sorted(kept.caches(_phones_run), key=lambda entry: -entry.touched)
        if used:
            cached = [replace(entry, refusal="a run is in use") for entry in cached]
        groups.append(cached)
    going: list[tuple[Kept, str]] = []
    for group in groups:
        cached_only = bool(group) and all(entry.kind == "cache" for entry in group)
        limits = replace(retention, keep_runs=None) if cached_only else retention
        if everything:
            going += [(entry, ALL) for entry in group if entry.refusal is None]
        else:
            going += limits.beyond(group, moment)
    return Cleaning(tuple(entry for group in groups for entry in group), tuple(going))


def carry_out(planned: Cleaning) -> Cleaning:
    """Remove what was planned; what cannot be removed is in ``failed`` and stays."""
    failed = []
    for entry, _ in planned.going:
        try:
            remove(entry)
        except RunDirectoryError as error:
            failed.append(str(error))
    return replace(planned, removed=True, failed=tuple(failed))


def _groups(places: Sequence[Path]) -> Iterator[list[Kept]]:
    for place in places or [root for root in ROOTS if root.exists() or root.is_symlink()]:
        if place.is_symlink():
            raise UsageError(f"{place} is a link, which is not followed: name the folder itself")
        if not place.is_dir():
            raise UsageError(f"{place} is no folder: name one that holds runs, or a run")
        single = kept.run(place)
        found = [single] if single is not None else list(kept.runs(place))
        if places and not found:
            raise UsageError(f"{place} holds no run of devdiff: nothing in it is touched")
        yield found


def _guarded(group: Sequence[Kept], protected: Mapping[Path, str]) -> list[Kept]:
    guarded = []
    for entry in group:
        folder = entry.path.resolve()
        reasons = (why for file, why in protected.items() if folder in file.resolve().parents)
        guarded.append(replace(entry, refusal=entry.refusal or next(reasons, None)))
    return guarded


def _phones_run() -> bool:
    from devdiff.device_runner.virtual import registry

    try:
        return any(record.find_process() for record in registry.records())
    except (DeviceRunnerError, OSError):
        return True
