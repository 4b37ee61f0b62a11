"""A check and a baseline for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.report import parts
from devdiff.report.parts import escape
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.console import Console

    from devdiff.gate.baseline import BaselineResult, ChangeRecord
    from devdiff.gate.config import Cell
    from devdiff.gate.record import AgreementRecord, CellRecord, CheckRecord
    from devdiff.gate.trust import Code

_CHANGES: Final = {
    "error": "bold magenta",
    "incomparable": "bold magenta",
    "worse": "bold red",
    "known": "yellow",
    "better": "green",
    "note": "cyan",
}


def show(record: CheckRecord, out: Console, directory: Path) -> None:
    """Print what a check came to: the verdict, a row a cell, and what there is to say of each.

    The reports are named as seen from the check's directory.
    """
    parts.headline(record.verdict, record.summary, out)
    out.print()
    table = parts.table(
        "model", "compression", "device", "verdict", "agreement", "worst step", "report"
    )
    for cell in record.cells:
        table.add_row(
            escape(cell.model),
            escape(cell.compression),
            escape(cell.device),
            _verdict(cell),
            _agreement(cell.agreement),
            escape(cell.worst_step or "-"),
            escape(cell.report or "-"),
        )
    out.print(table)
    out.print()
    for cell in record.cells:
        changes = cell.changes
        if cell.gate is not Verdict.PASS or changes:
            parts.say(f"{escape(cell.name)}: {escape(cell.summary)}", out)
            show_changes(changes, out)
    for note in record.notes:
        parts.say(f"note: {escape(note)}", out)
    out.print(f"check: {escape(str(directory / 'check.json'))}", soft_wrap=True)


def show_baseline_result(held: BaselineResult, path: Path, out: Console) -> None:
    """Print a run held to its baseline."""
    verdict = held.verdict.value
    out.print(
        f"baseline {escape(str(path))}: [{parts.STYLES[verdict]}]{verdict}[/]", soft_wrap=True
    )
    show_changes(held.record().changes, out)


def show_changes(changes: Iterable[ChangeRecord], out: Console) -> None:
    """A line for each thing that a baseline says."""
    for change in changes:
        kind = change.kind
        parts.say(
            f"  [{_CHANGES[kind]}]{kind}[/] {escape(change.where)}: {escape(change.text)}", out
        )


def show_matrix(cells: Sequence[Cell], out: Console) -> None:
    """Print what would be run."""
    table = parts.table("model", "compression", "device", "file", "inputs", "scan")
    for cell in cells:
        inputs = cell.request.data.inputs
        table.add_row(
            escape(cell.model),
            escape(cell.compression),
            escape(cell.device),
            escape(str(cell.request.model.path)),
            escape(str(inputs) if inputs else "synthetic"),
            "yes" if cell.request.scan else "no",
        )
    out.print(table)


def show_code(code: Sequence[Code], sha256: str, out: Console) -> None:
    """Print what of a configuration runs code, and how to trust exactly that."""
    for part in code:
        out.print(f"runs code: {escape(str(part))}", soft_wrap=True)
    out.print(f"to trust it as it is: --trust-config-sha256 {sha256}", soft_wrap=True)


def _verdict(cell: CellRecord) -> str:
    """What counts, and the run's own verdict where a baseline made another of it."""
    counted, own = cell.gate, cell.verdict
    shown = f"[{parts.STYLES[counted]}]{counted}[/]"
    return shown if counted == own else f"{shown} (run: {own})"


def _agreement(value: AgreementRecord | None) -> str:
    return f"{value.agreed}/{value.samples}" if value else "-"
