"""A check as JUnit XML: a suite a model, a test case for each run, by what the check counts.

`devdiff.report.junit` has a case for each output of each step of one run; here a baseline has its
say, so that a file is green when, and only when, the check is.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite
from junitparser.junitparser import FinalResult, SystemOut

from devdiff.report.cases import finished
from devdiff.report.words import one_line
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.gate.record import CellRecord, CheckRecord

_LONGEST_S: Final = 1e9
_OUTCOMES: Final[Mapping[str, type[FinalResult]]] = {
    "fail": Failure,
    "inconclusive": Failure,
    "finding": Failure,
    "error": Error,
}


def write(record: CheckRecord, path: Path) -> None:
    """Write a check's record as JUnit XML to ``path``, whole or not at all."""
    text = render(record)
    with whole_file(path) as stream:
        stream.write(text)


def render(record: CheckRecord) -> str:
    """The XML document of a check's record."""
    suites: dict[str, TestSuite] = {}
    for cell in record.cells:
        suite = suites.get(cell.model)
        if suite is None:
            suite = suites[cell.model] = TestSuite(one_line(cell.model))
            suite.timestamp = finished(record).strftime("%Y-%m-%dT%H:%M:%S")
            suite.add_property("devdiff", one_line(record.devdiff))
            if record.baseline:
                suite.add_property("baseline.sha256", record.baseline.sha256)
        suite.add_testcase(_case(cell))
    document = JUnitXml()
    for suite in suites.values():
        document.append(suite)  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    return buffer.getvalue().decode()


def _case(cell: CellRecord) -> TestCase:
    # Readers take what stands before the last dot for a package.
    where = ".".join(one_line(name).replace(".", "_") for name in (cell.model, cell.device))
    case = TestCase(one_line(f"{cell.compression} on {cell.device}"), where, _seconds(cell))
    lines = [cell.summary, *sentences(cell)]
    text = "\n".join(one_line(line) for line in lines)
    kind = _OUTCOMES.get(cell.gate)
    if kind is None:
        out = SystemOut(text)
        case.extend([out])  # type: ignore[no-untyped-call]
    else:
        outcome = kind(one_line(cell.summary), cell.gate)
        outcome.text = text
        case.result = outcome
    return case


def _seconds(cell: CellRecord) -> float:
    """What the run took, as a number that every reader knows."""
    seconds = cell.wall_s or 0.0
    return round(min(max(0.0, seconds), _LONGEST_S), 3) if math.isfinite(seconds) else 0.0


def sentences(cell: CellRecord) -> list[str]:
    """A line for each thing that the baseline says of a run, and where its report lies."""
    lines = [f"{change.kind} {change.where}: {change.text}" for change in cell.changes]
    return lines + ([f"report: {cell.report}"] if cell.report else [])
