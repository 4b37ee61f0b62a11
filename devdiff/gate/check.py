"""A check: every cell of the matrix run, one after another, and held to a baseline if there is one.

Cells on different devices could run side by side; they do not, since they share the host, and the
time of a sample measured beside another run is no time.
"""

from __future__ import annotations

import datetime
import re
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import structs

from devdiff.errors import RunDirectoryError
from devdiff.exporter.artifact import sha256_file
from devdiff.gate import baseline, html, record
from devdiff.gate.record import AgreementRecord, CellRecord, CheckRecord, NamedFile
from devdiff.gate.requirements import Basis
from devdiff.gate.summary import Facts
from devdiff.ladder import run_directory
from devdiff.ladder.pipeline import export_and_test
from devdiff.ladder.run_directory import REPORT_NAME, write_json
from devdiff.options import Rules
from devdiff.progress import Events, NamedEvents, SilentEvents
from devdiff.report import load
from devdiff.system.errors import DevdiffError
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from devdiff.gate.baseline_file import Baseline
    from devdiff.gate.config import Cell
    from devdiff.report.model import Report

DEFAULT_ROOT: Final = Path("devdiff-checks")


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The finished record (also in ``directory/check.json``); ``facts`` of the cells that ran.

    ``page`` is the check for people; None when it could not be written.
    """

    record: CheckRecord
    directory: Path
    facts: Mapping[str, Facts]
    page: Path | None = None

    @property
    def verdict(self) -> Verdict:
        return self.record.verdict


def run_check(
    cells: Sequence[Cell],
    directory: Path | None = None,
    events: Events | None = None,
    *,
    root: Path = DEFAULT_ROOT,
    held_to: Baseline | None = None,
    rules: Rules | None = None,
    config: Path | None = None,
    command: tuple[str, ...] = (),
) -> CheckOutcome:
    """Run the cells into one directory, each in a run directory of its own, and judge the whole.

    ``directory`` None continues an unfinished check of the same cells under ``root``, or makes a
    new one; cells that came to a verdict are not run again. A cell that cannot run is an ``error``
    and does not keep the others from running. Raises `RunDirectoryError` when ``directory`` is
    not this check's, `UsageError` when the baseline cannot be of these cells.
    """
    events = events or SilentEvents()
    known = {cell.name: held_to.of(cell.name, len(cells) == 1) for cell in cells if held_to}
    request = {"cells": {cell.name: cell.request.fingerprint() for cell in cells}}
    opened = run_directory.open_kept(directory, "check", request, root, record.CHECK_NAME)
    with opened as (path, resumed):
        if resumed:
            events.note(f"continuing the unfinished check in {path}")
        records: list[CellRecord] = []
        facts: dict[str, Facts] = {}
        exported: dict[tuple[object, ...], Path] = {}
        for number, (cell, folder) in enumerate(_folders(cells, path), 1):
            cell_events = NamedEvents(events, f"{cell.name} ({number} of {len(cells)})")
            begun = time.monotonic()
            earlier = _earlier(folder)
            report, error = _run(cell, folder, exported.get(cell.on_the_host), cell_events, command)
            took = earlier if earlier is not None else time.monotonic() - begun
            found = None
            if report is not None:
                found = facts[cell.name] = Facts.of(report)
                exported.setdefault(cell.on_the_host, folder)
            kept = _record(cell, folder, found, error, known.get(cell.name), held_to, rules)
            kept = structs.replace(kept, wall_s=round(took, 3))
            records.append(_required(kept, cell, report))
        finished = record.build(
            records,
            notes=_gone(cells, held_to),
            config=_file(config),
            baseline=_file(held_to.path) if held_to else None,
            command=command,
        )
        write_json(path / record.CHECK_NAME, finished.to_json())
        return CheckOutcome(finished, path, facts, _write_page(finished, path, events))


def _write_page(finished: CheckRecord, directory: Path, events: Events) -> Path | None:
    """The page beside the record. The verdict stands without it, so no page is only a note."""
    path = directory / html.PAGE_NAME
    try:
        html.write(finished, path)
    except OSError as error:
        events.note(f"no page: {error}; try devdiff open {directory}")
        return None
    return path


def _folders(cells: Sequence[Cell], root: Path) -> Iterator[tuple[Cell, Path]]:
    """A folder for each cell, named after it as far as file names allow."""
    taken: set[str] = set()
    for cell in cells:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", cell.name).lstrip(".")
        name, number = plain, 1
        while name in taken:
            number += 1
            name = f"{plain}-{number}"
        taken.add(name)
        yield cell, root / name


def _earlier(folder: Path) -> float | None:
    """Seconds that a run took which came to its verdict before; None for one that did not yet."""
    try:
        if not run_directory.finished(folder):
            return None
        started = run_directory.read_json(folder / run_directory.RUN_NAME)["started"]
        ended = run_directory.read_json(folder / REPORT_NAME)["finished"]
        taken = datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(started)
    except (RunDirectoryError, KeyError, TypeError, ValueError):
        return None
    return max(0.0, taken.total_seconds())


def _run(
    cell: Cell, folder: Path, alike: Path | None, events: Events, command: tuple[str, ...]
) -> tuple[Report | None, str | None]:
    """Bring a cell to a report; returns it, or why there is none."""
    try:
        if run_directory.finished(folder):
            events.note("has its report already")
        else:
            export_and_test(cell.request, folder, events, command, alike=alike)
        return load.load(folder / REPORT_NAME), None
    except (DevdiffError, OSError) as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001
        # A fault of devdiff's own with one model is no reason to leave the others untested.
        trace = folder.with_name(f"{folder.name}.traceback.txt")
        trace.write_text(traceback.format_exc())
        reason = f"a fault of devdiff: {type(error).__name__}: {error} (see {trace})"
    events.note(reason)
    return None, reason


def _record(
    cell: Cell,
    folder: Path,
    facts: Facts | None,
    error: str | None,
    before: Facts | None,
    held_to: Baseline | None,
    rules: Rules | None,
) -> CellRecord:
    """What check.json says of a cell."""
    verdict = facts.verdict if facts else Verdict.ERROR
    rules = rules or Rules()
    if held_to and held_to.single is None:
        # The cell's name says which model is meant; that of its file may carry a version.
        rules = replace(rules, other_model=True)
    held = baseline.hold(facts, before, rules) if facts and before else None
    summary = facts.summary if facts else f"could not be tested: {error}"
    if held_to and not before and facts:
        summary += " (not in the baseline: judged by itself)"
    agreement = facts.agreement if facts else None
    return CellRecord(
        name=cell.name,
        model=cell.model,
        compression=cell.compression,
        device=cell.device,
        directory=folder.name,
        report=f"{folder.name}/{REPORT_NAME}" if facts else None,
        sha256=sha256_file(folder / REPORT_NAME) if facts else None,
        verdict=verdict,
        gate=held.verdict if held else verdict,
        summary=summary,
        agreement=AgreementRecord(agreement.agreed, agreement.samples) if agreement else None,
        worst_step=facts.worst.title if facts and facts.worst else None,
        error=error,
        baseline=held.record() if held else None,
    )


def _required(record: CellRecord, cell: Cell, report: Report | None) -> CellRecord:
    """The record of a cell with its basis; a pass on less than is required is ``inconclusive``.

    So is what a baseline excuses.
    """
    basis = Basis.of(report) if report is not None else None
    held = structs.replace(record, basis=basis.record() if basis else None)
    if basis is None or record.gate is not Verdict.PASS:
        return held
    refusal = cell.requirements.refusal(basis)
    if refusal is None:
        return held
    summary = f"{refusal} ({record.summary})"
    return structs.replace(held, gate=Verdict.INCONCLUSIVE, refused=refusal, summary=summary)


def _gone(cells: Sequence[Cell], held_to: Baseline | None) -> list[str]:
    """What the baseline knows of these models and this check does not run."""
    if held_to is None:
        return []
    here, models = {cell.name for cell in cells}, {cell.model for cell in cells}
    return [
        f"{name} is in the baseline and was not checked"
        for name in held_to.cells
        if name not in here and name.partition("/")[0] in models
    ]


def _file(path: Path | None) -> NamedFile | None:
    return NamedFile(str(path), sha256_file(path)) if path is not None else None
