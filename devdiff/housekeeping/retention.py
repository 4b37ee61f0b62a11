"""Which runs go: those beyond a number, an age or a size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.errors import UsageError
from devdiff.report.words import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from devdiff.housekeeping.kept import Kept

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(m|h|d|w)")
_SECONDS: Final = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|TB)")
_BYTES: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept; None is no limit.

    ``keep_runs`` of the newest in each folder, none older than ``max_age_s`` seconds, and of the
    newest as many as fit into ``max_bytes`` together. ``larger_than`` bytes is a limit for each.
    """

    keep_runs: int | None = None
    max_age_s: float | None = None
    max_bytes: int | None = None
    larger_than: int | None = None

    @property
    def unlimited(self) -> bool:
        limits = (self.keep_runs, self.max_age_s, self.max_bytes, self.larger_than)
        return all(limit is None for limit in limits)

    def beyond(self, kept: Sequence[Kept], now: float) -> Iterator[tuple[Kept, str]]:
        """What goes of ``kept`` (the newest first), with the reason; what must stay does, and
        counts."""
        total = 0
        for number, entry in enumerate(kept, 1):
            total += entry.bytes
            if entry.refusal is not None:
                continue
            reason = self._reason(entry, number, total, now)
            if reason is not None:
                yield entry, reason

    def _reason(self, entry: Kept, number: int, total: int, now: float) -> str | None:
        if entry.kind == "left over":
            return "left by a removal that was killed"
        if self.max_age_s is not None and now - entry.touched > self.max_age_s:
            return f"older than {age(self.max_age_s)}"
        if self.larger_than is not None and entry.bytes > self.larger_than:
            return f"larger than {size(self.larger_than)}"
        if self.keep_runs is not None and number > self.keep_runs:
            return f"not among the newest {self.keep_runs}"
        if self.max_bytes is not None and total > self.max_bytes:
            return f"beyond {size(self.max_bytes)} in all"
        return None


def parse_age(text: str) -> float:
    """Seconds of ``30d``, ``12h``, ``2w``. Raises `UsageError`."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no age: write 30m, 12h, 30d or 4w")
    return float(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Bytes of ``500MB``, ``2GB``. Raises `UsageError`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no size: write 500MB or 2GB")
    return int(float(found[1]) * _BYTES[found[2]])


def age(seconds: float) -> str:
    """An age as `parse_age` reads it, in the largest unit that leaves a whole number or one digit
    behind the point."""
    for unit in ("d", "h"):
        if seconds >= _SECONDS[unit]:
            return f"{seconds / _SECONDS[unit]:.3g} {unit}"
    return f"{seconds / 60:.0f} m"
