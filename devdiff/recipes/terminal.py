"""A comparison of recipes for people: the verdict, then a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devdiff.recipes.record import RECORD_NAME, RecipesRecord, RowRecord
from devdiff.report import parts
from devdiff.report.parts import escape
from devdiff.report.task import interval
from devdiff.report.terminal import decibels, share

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


def show(record: RecipesRecord, out: Console, directory: Path, plot: Path | None) -> None:
    """Print a trial's record; reports are named as seen from its directory."""
    parts.headline(record.verdict, title(record), out)
    out.print()
    asked = _metric(record)
    columns = ("compression", "verdict", "size", "agreement", "SNR dB", asked or "accuracy")
    shown = parts.table(*columns, "host ms", "device ms")
    for row in record.compressions:
        style = parts.STYLES[row.verdict]
        cells = [escape(row.compression), f"[{style}]{row.verdict}[/]"]
        shown.add_row(*cells, *_figures(row, asked))
    out.print(shown)
    out.print()
    for row in record.compressions:
        if row.verdict != "pass":
            reason = row.error or row.summary
            parts.say(f"{escape(row.compression)}: {escape(str(reason))}", out)
    if plot is not None:
        out.print(f"plot: {escape(str(plot))}", soft_wrap=True)
    out.print(f"recipes: {escape(str(directory / RECORD_NAME))}", soft_wrap=True)


def title(record: RecipesRecord) -> str:
    """What was compressed, and what it came to."""
    return f"{record.model}: {record.summary}"


def _metric(record: RecipesRecord) -> str | None:
    """The metric of the task that was asked for; None where accuracy says it."""
    named = [row.metric.name for row in record.compressions if row.metric is not None]
    return next((name for name in named if name != "top-1"), None)


def _figures(row: RowRecord, metric: str | None) -> list[str]:
    agreement, accuracy, times = row.agreement, row.accuracy, row.ms_per_sample
    right = share(accuracy) if accuracy else "-"
    return [
        "-" if row.bytes is None else f"{row.bytes / 1e3:.1f} kB",
        f"{agreement.agreed}/{agreement.samples}" if agreement else "-",
        decibels(row.snr_db),
        right if metric is None else interval(row.metric),
        *("-" if time is None else f"{time:.3g}" for time in (times.host, times.device)),
    ]
