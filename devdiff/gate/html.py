"""``check.html``: a check as one page, from which those of its runs are reached."""

from __future__ import annotations

import shlex
import urllib.parse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.comparison.intervals import Proportion
from devdiff.gate.record import CellRecord
from devdiff.gate.requirements import Basis
from devdiff.report.html import document
from devdiff.report.html.page import PAGE_NAME as RUN_PAGE
from devdiff.report.words import duration
from devdiff.system.atomic_file import whole_file
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.gate.record import CheckRecord

PAGE_NAME: Final = "check.html"


@dataclass(frozen=True, slots=True)
class CellView:
    """A run of the check as the page shows it; ``page`` is None where it has none."""

    cell: CellRecord
    page: str | None
    agreement: str
    proportion: Proportion | None
    basis: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A model compressed in one way, and its run on each device; ``span`` rows are the model's,
    which the first of them says."""

    model: str
    compression: str
    span: int
    runs: tuple[CellView | None, ...]


def write(record: CheckRecord, path: Path) -> None:
    """Write the page of a check to ``path``, in the check's directory, whole or not at all."""
    text = render(record, path.parent)
    with whole_file(path) as stream:
        stream.write(text)


def render(record: CheckRecord, directory: Path) -> str:
    """The page as text; it links to the pages that lie in ``directory``."""
    runs = [_view(cell, directory) for cell in record.cells]
    verdicts = [cell.gate for cell in record.cells]
    ranked = sorted(Verdict, key=lambda verdict: -verdict.severity)
    times = [cell.wall_s for cell in record.cells if cell.wall_s is not None]
    return document.render(
        "check.html.j2",
        {"duration": duration},
        record=record,
        title=_title(record),
        tallies=[(found, verdicts.count(found)) for found in ranked if found in verdicts],
        seconds=sum(times),
        devices=list(dict.fromkeys(cell.device for cell in record.cells)),
        rows=_matrix(runs),
        runs=runs,
        attention=[
            run
            for run in sorted(runs, key=lambda run: -run.cell.gate.severity)
            if run.cell.gate is not Verdict.PASS or run.cell.changes
        ],
        command=shlex.join(["devdiff", *record.command]),
    )


def _title(record: CheckRecord) -> str:
    models = list(dict.fromkeys(cell.model for cell in record.cells))
    if len(models) == 1:
        return models[0]
    return f"{len(models)} models, {len(record.cells)} runs"


def _view(cell: CellRecord, directory: Path) -> CellView:
    there = (directory / cell.directory / RUN_PAGE).is_file()
    agreement, shown = cell.agreement, ""
    proportion = None
    if agreement is not None and agreement.samples:
        proportion = Proportion.of(agreement.agreed, agreement.samples)
        shown = f"{100 * agreement.agreed / agreement.samples:.1f} %"
    basis = cell.basis
    return CellView(
        cell,
        f"{urllib.parse.quote(cell.directory)}/{RUN_PAGE}" if there else None,
        shown,
        proportion,
        str(Basis(basis.samples, basis.inputs == "synthetic", basis.labelled)) if basis else "",
    )


def _matrix(runs: Sequence[CellView]) -> list[MatrixRow]:
    devices = list(dict.fromkeys(run.cell.device for run in runs))
    by_place = {(run.cell.model, run.cell.compression, run.cell.device): run for run in runs}
    found: list[MatrixRow] = []
    for model in dict.fromkeys(run.cell.model for run in runs):
        ways = list(dict.fromkeys(run.cell.compression for run in runs if run.cell.model == model))
        for number, compression in enumerate(ways):
            placed = tuple(by_place.get((model, compression, device)) for device in devices)
            found.append(MatrixRow(model, compression, 0 if number else len(ways), placed))
    return found
