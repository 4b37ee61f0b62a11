"""A check: every cell of the matrix run, one after another, and held to a baseline if there is one.

Cells on different devices could run side by side; they do not, since they share the host, and the
time of a sample measured beside another run is no time.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from devdiff import rundir
from devdiff.errors import DevdiffError
from devdiff.events import Events, Silent
from devdiff.gate import baseline, record
from devdiff.gate.baseline_file import Baseline
from devdiff.gate.config import Cell, Rules
from devdiff.gate.facts import Facts
from devdiff.pipeline import export_and_test
from devdiff.report import load
from devdiff.rundir import REPORT_NAME, write_json
from devdiff.verdict import Verdict
from device_runner.errors import DeviceRunnerError
from exporter.artifact import sha256_file
from exporter.errors import ExporterError

DEFAULT_ROOT: Final = Path("devdiff-checks")
_FAULT_NAME: Final = "traceback.txt"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The finished record (also in ``directory/check.json``); ``facts`` of the cells that ran."""

    record: Mapping[str, Any]
    directory: Path
    facts: Mapping[str, Facts]

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.record["verdict"])


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
    events = events or Silent()
    known = {cell.name: held_to.of(cell.name, len(cells) == 1) for cell in cells if held_to}
    request = {"cells": {cell.name: cell.request.fingerprint() for cell in cells}}
    opened = rundir.open_kept(directory, "check", request, root, record.CHECK_NAME)
    with opened as (path, resumed):
        if resumed:
            events.note(f"continuing the unfinished check in {path}")
        records: list[dict[str, Any]] = []
        facts: dict[str, Facts] = {}
        exported: dict[tuple[str, str], Path] = {}
        for number, (cell, folder) in enumerate(_folders(cells, path), 1):
            told = _Told(events, f"{cell.name} ({number} of {len(cells)})")
            error = _run(cell, folder, exported.get((cell.model, cell.compression)), told, command)
            found = _facts(folder) if error is None else None
            if found is not None:
                facts[cell.name] = found
                exported.setdefault((cell.model, cell.compression), folder)
            records.append(
                _record(cell, folder, found, error, known.get(cell.name), held_to, rules)
            )
        finished = record.build(
            records,
            notes=_gone(cells, held_to),
            config=_file(config),
            baseline=_file(held_to.path) if held_to else None,
            command=command,
        )
        write_json(path / record.CHECK_NAME, finished)
        return CheckOutcome(finished, path, facts)


class _Told:
    """Events that say which cell they are of."""

    def __init__(self, events: Events, name: str) -> None:
        self._events = events
        self._name = name
        self.progress = events.progress

    def phase(self, text: str) -> None:
        self._events.phase(f"{self._name}: {text}")

    def note(self, text: str) -> None:
        self._events.note(f"{self._name}: {text}")


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


def _run(
    cell: Cell, folder: Path, alike: Path | None, events: Events, command: tuple[str, ...]
) -> str | None:
    """Bring a cell to a report; returns why there is none."""
    if rundir.finished(folder):
        events.note("has its report already")
        return None
    try:
        export_and_test(cell.request, folder, events, command, alike=alike)
    except (DevdiffError, ExporterError, DeviceRunnerError, OSError) as error:
        events.note(str(error))
        return str(error)
    except Exception as error:
        # A fault of devdiff's own with one model is no reason to leave the others untested.
        folder.mkdir(exist_ok=True)
        (folder / _FAULT_NAME).write_text(traceback.format_exc())
        told = f"a fault of devdiff: {type(error).__name__}: {error} (see {folder / _FAULT_NAME})"
        events.note(told)
        return told
    return None


def _facts(folder: Path) -> Facts:
    return Facts.of(load.load(folder / REPORT_NAME))


def _record(
    cell: Cell,
    folder: Path,
    facts: Facts | None,
    error: str | None,
    before: Facts | None,
    held_to: Baseline | None,
    rules: Rules | None,
) -> dict[str, Any]:
    """What check.json says of a cell."""
    verdict = facts.verdict if facts else Verdict.ERROR
    rules = rules or Rules()
    if held_to and held_to.single is None:
        # The cell's name says which model is meant; that of its file may carry a version.
        rules = replace(rules, other_model=True)
    held = baseline.hold(facts, before, rules) if facts and before else None
    told: dict[str, Any] = {
        "name": cell.name,
        "model": cell.model,
        "compression": cell.compression,
        "device": cell.device,
        "directory": folder.name,
        "report": f"{folder.name}/{REPORT_NAME}" if facts else None,
        "sha256": sha256_file(folder / REPORT_NAME) if facts else None,
        "verdict": verdict.value,
        "gate": (held.verdict if held else verdict).value,
        "summary": facts.summary if facts else f"could not be tested: {error}",
        "agreement": None,
        "worst_step": facts.worst.told if facts and facts.worst else None,
        "error": error,
        "baseline": held.to_json() if held else None,
    }
    if facts and facts.agreement:
        agreement = facts.agreement
        told["agreement"] = {"agreed": agreement.agreed, "samples": agreement.samples}
    if held_to and not before and facts:
        told["summary"] += " (not in the baseline: judged by itself)"
    return told


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


def _file(path: Path | None) -> dict[str, str] | None:
    return {"path": str(path), "sha256": sha256_file(path)} if path is not None else None
