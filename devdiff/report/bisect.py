"""The bisection's section of the report on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_STYLES: Final = {"fail": "bold red", "pass": "bold green"}


def show(section: Mapping[str, Any], out: Console, path: Path) -> None:
    """Print what was found; ``path`` is where its JSON lies."""
    verdict = section["verdict"]
    out.print(
        f"[{_STYLES[verdict]}]{verdict.upper()}[/]  {escape(section['reason'])}", soft_wrap=True
    )
    out.print()
    if section["suspects"]:
        _operators("suspect", section["suspects"], out)
    if section.get("walk"):
        _operators("operator", section["walk"], out)
    runs = section["runs"]
    out.print(
        f"{section['operators']} operators; the search took {runs['search']['candidate']} runs of "
        f"{escape(section['sides']['candidate']['name'])} (2 log2 of the operators is "
        f"{runs['allowed']:g}), {runs['all']['candidate']} in all",
        soft_wrap=True,
    )
    inputs = section["inputs"]
    out.print(f"inputs: {inputs['samples']} samples of {escape(inputs['origin'])}", soft_wrap=True)
    if section["repro"]:
        out.print(f"repro: {escape(str(path.parent / section['repro']))}", soft_wrap=True)
    out.print(f"report: {escape(str(path))}", soft_wrap=True)


def _operators(title: str, rows: Any, out: Console) -> None:
    """A row for each operator: what it does to equal inputs, and what differs behind it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (title, "kind", "alone", "relative", "in place", "relative", "the difference is"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["index"]),
            row["kind"],
            *_figures(row["alone"]),
            *_figures(row["in_place"]),
            _whence(row),
        )
    out.print(table)
    out.print()


def _whence(row: Mapping[str, Any]) -> str:
    if row["born"]:
        return "born here"
    beyond = row["in_place"] is not None and row["in_place"]["beyond"]
    return "passed on" if beyond else "-"


def _figures(seen: Mapping[str, Any] | None) -> tuple[str, str]:
    """The largest error in steps (or as it is), and relative to the tensor's peak."""
    if seen is None:
        return "-", "-"
    if seen["failure"]:
        return "fails", "-"
    tensors = seen["tensors"]
    steps = [one["max_lsb"] for one in tensors if one["max_lsb"] is not None]
    errors = [one["max_abs"] for one in tensors if one["max_abs"] is not None]
    shares = [one["relative"] for one in tensors if one["relative"] is not None]
    largest = f"{max(steps):g} LSB" if steps else (f"{max(errors):.3g}" if errors else "-")
    return largest, f"{100 * max(shares):.3g} %" if shares else "-"
