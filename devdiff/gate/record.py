"""``check.json``: what a check came to, cell by cell, for programs."""

from __future__ import annotations

import datetime
import importlib.metadata
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from devdiff.errors import ReportError, RunDirectoryError
from devdiff.gate.baseline import BaselineRecord, ChangeRecord
from devdiff.gate.requirements import BasisSummary
from devdiff.ladder.run_directory import read_json
from devdiff.system.errors import FormatError
from devdiff.system.exit_code import ExitCode
from devdiff.system.typed_json import Count, Record, Sha256, decode, fields
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CHECK_NAME: Final = "check.json"
KIND: Final = "devdiff check"
SCHEMA_VERSION: Final = 1
_SHOWN_CHARS: Final = 200


class NamedFile(Record, frozen=True):
    """A file that a check was made with."""

    path: str
    sha256: Sha256


class AgreementRecord(Record, frozen=True):
    """Top-1 agreement, from the first rung to the last."""

    agreed: Count
    samples: Count


class CellRecord(Record, frozen=True):
    """One run of a check.

    ``report`` is the run's report.json, null when there was none to write, ``sha256`` its own;
    ``error`` says what kept the run from making one. ``verdict`` is of the run by itself, ``gate``
    what the check counts: that, or what it is beside the baseline. ``basis`` is what the verdict
    stands on, null where nothing ran; ``refused`` says why a pass does not count, since it stands
    on less than is required. ``wall_s`` are the seconds that the run took, null where they are not
    known.
    """

    name: str
    model: str
    compression: str
    device: str
    directory: str
    report: str | None
    sha256: Sha256 | None
    verdict: Verdict
    gate: Verdict
    summary: str
    agreement: AgreementRecord | None
    worst_step: str | None
    error: str | None
    baseline: BaselineRecord | None
    basis: BasisSummary | None = None
    refused: str | None = None
    wall_s: float | None = None

    @property
    def changes(self) -> tuple[ChangeRecord, ...]:
        """What the baseline says of the run."""
        return self.baseline.changes if self.baseline is not None else ()


class CheckRecord(Record, frozen=True):
    """What devdiff check came to. Paths are relative to the file."""

    kind: Literal["devdiff check"]
    schema_version: Literal[1]
    devdiff: str
    finished: str
    verdict: Verdict
    exit_code: ExitCode
    summary: str
    config: NamedFile | None
    baseline: NamedFile | None
    cells: Annotated[tuple[CellRecord, ...], msgspec.Meta(min_length=1)]
    notes: tuple[str, ...]
    command: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return fields(self)


def build(
    cells: Sequence[CellRecord],
    *,
    notes: Sequence[str],
    config: NamedFile | None,
    baseline: NamedFile | None,
    command: Sequence[str],
) -> CheckRecord:
    """The record of a check from those of its cells."""
    verdict = combine(cell.gate for cell in cells)
    return CheckRecord(
        kind=KIND,
        schema_version=SCHEMA_VERSION,
        devdiff=importlib.metadata.version("devdiff"),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        verdict=verdict,
        exit_code=verdict.exit_code,
        summary=summary(cells),
        config=config,
        baseline=baseline,
        cells=tuple(cells),
        notes=tuple(notes),
        command=tuple(command),
    )


def summary(cells: Sequence[CellRecord]) -> str:
    """``3 of 4 passed; 1 fail: reader/int8/local``."""
    passed = [cell for cell in cells if cell.gate is Verdict.PASS]
    parts = [f"{len(passed)} of {len(cells)} passed"]
    for verdict in sorted(Verdict, key=lambda verdict: -verdict.severity):
        names = [cell.name for cell in cells if cell.gate is verdict]
        if names and verdict is not Verdict.PASS:
            parts.append(f"{len(names)} {verdict}: {', '.join(names)}")
    return "; ".join([*parts, *_limits(cells)])


def _limits(cells: Sequence[CellRecord]) -> Iterator[str]:
    """What a smoke run says of itself: how many samples it was limited to."""
    known = [cell.basis for cell in cells if cell.basis is not None]
    parts = dict.fromkeys(
        f"{basis.samples} of {basis.available}" for basis in known if basis.available is not None
    )
    if parts:
        yield f"limited to {', '.join(parts)} samples"


def load(path: Path) -> CheckRecord:
    """The record in a file, checked field by field and against itself.

    Raises `ReportError` when it is no check of this version, damaged, or contradicts itself; the
    message names the field.
    """
    try:
        record = decode(CheckRecord, read_json(path))
    except RunDirectoryError as error:
        raise ReportError(str(error)) from error
    except FormatError as error:
        raise ReportError(
            f"{path} is not a check of this devdiff: {str(error)[:_SHOWN_CHARS]}"
        ) from error
    wrong = next(_contradictions(record), None)
    if wrong is not None:
        raise ReportError(f"{path} contradicts itself: {wrong}; run the check again")
    return record


def _contradictions(record: CheckRecord) -> Iterator[str]:
    names = [cell.name for cell in record.cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        yield f"cells: {twice} is there twice"
    for place, cell in enumerate(record.cells):
        if cell.report is None and cell.verdict is not Verdict.ERROR:
            yield f"cells[{place}].verdict: {cell.verdict}, and there is no report"
    own = combine(cell.gate for cell in record.cells)
    if record.verdict is not own:
        yield f"verdict: {record.verdict}, and its cells come to {own}"
    if record.exit_code is not record.verdict.exit_code:
        yield f"exit_code: {record.exit_code} is not that of {record.verdict}"
