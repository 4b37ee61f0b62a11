"""A comparison of recipes for people: the verdict, then a row each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from devdiff.recipes.record import RECORD_NAME
from devdiff.report.parts import STYLES, table
from devdiff.report.terminal import decibels, share


def show(record: Mapping[str, Any], out: Console, directory: Path, plot: Path | None) -> None:
    """Print a trial's record; reports are named as seen from its directory."""
    verdict = record["verdict"]
    headline = f"{record['model']}: {record['summary']}"
    out.print(f"[{STYLES[verdict]}]{verdict.upper()}[/]  {escape(headline)}", soft_wrap=True)
    out.print()
    shown = table(
        "compression", "verdict", "size", "agreement", "SNR dB", "accuracy", "host ms", "device ms"
    )
    for row in record["compressions"]:
        style = STYLES[row["verdict"]]
        cells = [escape(row["compression"]), f"[{style}]{row['verdict']}[/]"]
        shown.add_row(*cells, *(_figures(row) if "bytes" in row else ["-"] * 6))
    out.print(shown)
    out.print()
    for row in record["compressions"]:
        if row["verdict"] != "pass":
            reason = row.get("error") or row.get("summary")
            out.print(f"{escape(row['compression'])}: {escape(str(reason))}", soft_wrap=True)
    if plot is not None:
        out.print(f"plot: {escape(str(plot))}", soft_wrap=True)
    out.print(f"recipes: {escape(str(directory / RECORD_NAME))}", soft_wrap=True)


def _figures(row: Mapping[str, Any]) -> list[str]:
    agreement, accuracy, times = row["agreement"], row["accuracy"], row["ms_per_sample"]
    return [
        f"{row['bytes'] / 1e3:.1f} kB",
        f"{agreement['agreed']}/{agreement['samples']}" if agreement else "-",
        decibels(row["snr_db"]),
        share(accuracy) if accuracy else "-",
        *("-" if times[place] is None else f"{times[place]:.3g}" for place in ("host", "device")),
    ]
