"""A check as Markdown, for a pull request or the page of a pipeline's run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from devdiff.report.markdown import append_to_step, plain, table, verdict_cell
from devdiff.report.words import mark
from devdiff.system.atomic_file import whole_file
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from devdiff.gate.record import AgreementRecord, CheckRecord

_TEXT_CHARS: Final = 600


def write(record: CheckRecord, path: Path) -> None:
    """Write a check's summary to ``path``, whole or not at all."""
    text = render(record)
    with whole_file(path) as stream:
        stream.write(text)


def append_step_summary(
    record: CheckRecord, environ: Mapping[str, str] = os.environ
) -> Path | None:
    """As `devdiff.report.markdown.append_step_summary`, of a check. Raises `OSError`."""
    return append_to_step((render(record), _headline(record) + "\n"), environ)


def render(record: CheckRecord) -> str:
    """The verdict, a row a run, and what is to be said of those that do not simply pass."""
    rows = [
        (
            plain(cell.model),
            plain(cell.compression),
            plain(cell.device),
            verdict_cell(cell.gate),
            _agreement(cell.agreement),
            plain(cell.worst_step or "–"),
        )
        for cell in record.cells
    ]
    head = ("model", "compression", "device", "verdict", "agreement", "worst step")
    parts = [_headline(record), table(head, rows), *_details(record)]
    return "\n\n".join(parts) + "\n"


def _headline(record: CheckRecord) -> str:
    verdict = record.verdict
    summary = plain(record.summary, _TEXT_CHARS)
    return f"## {mark(verdict)} {verdict.upper()}: devdiff check\n\ndevdiff: {summary}"


def _details(record: CheckRecord) -> Iterator[str]:
    for cell in record.cells:
        changes = cell.changes
        if cell.gate is Verdict.PASS and not changes:
            continue
        lines = [f"**{plain(cell.name)}**: {plain(cell.summary, _TEXT_CHARS)}", ""]
        lines += [
            f"- {change.kind}: {plain(change.where)}: {plain(change.text, _TEXT_CHARS)}"
            for change in changes
        ]
        yield "\n".join(lines).rstrip()
    if record.notes:
        yield "\n".join(f"- {plain(note)}" for note in record.notes)


def _agreement(value: AgreementRecord | None) -> str:
    return f"{value.agreed}/{value.samples}" if value else "–"
