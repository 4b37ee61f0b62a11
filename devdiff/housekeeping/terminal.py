"""A cleaning on a terminal: a line for each run and cache, and the totals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from devdiff.housekeeping.retention import age
from devdiff.report import parts
from devdiff.report.parts import escape
from devdiff.report.words import size

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.housekeeping.clean import Cleaning


def show(cleaning: Cleaning, unlimited: bool, out: Console) -> None:
    """Print what there is and what goes; ``unlimited``: no limit says what does."""
    if not cleaning.entries:
        out.print("there are no runs of devdiff here", soft_wrap=True)
        return
    now = time.time()
    table = parts.table("", "size", "age", "kind", "state", "path", "why")
    for entry in cleaning.entries:
        reason = cleaning.reason(entry)
        table.add_row(
            ("removed" if cleaning.removed else "goes") if reason else "stays",
            size(entry.bytes),
            age(max(0.0, now - entry.touched)),
            entry.kind,
            escape(entry.state),
            escape(str(entry.path)),
            escape(reason or entry.refusal or ""),
        )
    out.print(table)
    out.print()
    for failure in cleaning.failed:
        out.print(f"not removed: {escape(failure)}", soft_wrap=True)
    out.print(escape(summary(cleaning, unlimited)), soft_wrap=True)


def summary(cleaning: Cleaning, unlimited: bool) -> str:
    """One line: how much there is, how much goes, and what to do next."""
    found = len(cleaning.entries)
    held = f"{found} {'entry' if found == 1 else 'entries'}, {size(cleaning.bytes)}"
    goes = f"{len(cleaning.going)} of {held}"
    if cleaning.removed:
        gone = len(cleaning.going) - len(cleaning.failed)
        return f"{gone} of {held} removed, {size(cleaning.going_bytes)}"
    if unlimited and not cleaning.going:
        return (
            f"{held}: nothing goes without a limit; give --older-than, --larger-than, --keep, "
            "--max-size or --all, or [retention] in devdiff.toml"
        )
    if not cleaning.going:
        return f"{held}: all within the limits"
    return f"{goes} would go, {size(cleaning.going_bytes)}; nothing was removed: add --yes"
