"""The formats that a finished run's report is given in.

A new format is a module with a function ``write``, and a `ReportFormat` in `FORMATS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.report.model import Report


class Writer(Protocol):
    """Writes a report to a file, whole or not at all; ``folder`` is its run directory, if any."""

    def __call__(self, report: Report, folder: Path | None, file: Path, /) -> None: ...


class Check(Protocol):
    """Raises `UsageError` when the report, or what lies beside it, gives nothing to write."""

    def __call__(self, report: Report, folder: Path | None, /) -> None: ...


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """``name`` is the option's, ``noun`` what the file is called, ``help`` one line for people."""

    name: str
    help: str
    write: Writer
    check: Check | None = None
    noun: str = ""

    @property
    def title(self) -> str:
        return self.noun or self.name


# Each imports what it is made with only when it is asked for.
def _html(report: Report, folder: Path | None, file: Path) -> None:
    from devdiff.report.html import page

    page.write(report, file, folder)


def _junit(report: Report, _folder: Path | None, file: Path) -> None:
    from devdiff.report import junit

    junit.write(report, file)


def _sarif(report: Report, _folder: Path | None, file: Path) -> None:
    from devdiff.report import sarif

    sarif.write(report, file)


def _check_sarif(report: Report, _folder: Path | None) -> None:
    from devdiff.report import sarif

    sarif.check(report)


def _markdown(report: Report, _folder: Path | None, file: Path) -> None:
    from devdiff.report import markdown

    markdown.write(report, file)


def _csv(report: Report, folder: Path | None, file: Path) -> None:
    from devdiff.report import samples

    samples.write(report, folder, file)


def _check_csv(_report: Report, folder: Path | None) -> None:
    from devdiff.report import samples

    samples.check(folder)


FORMATS: Final[Mapping[str, ReportFormat]] = {
    known.name: known
    for known in (
        ReportFormat(
            "html", "a page for people, one file that needs no network", _html, noun="page"
        ),
        ReportFormat("junit", "JUnit XML: a test case for each output of each step", _junit),
        ReportFormat(
            "sarif", "SARIF 2.1.0: what the scan found, for code scanning", _sarif, _check_sarif
        ),
        ReportFormat("markdown", "a summary for a pull request", _markdown),
        ReportFormat(
            "csv", "a row for each sample: largest errors, answers, times", _csv, _check_csv
        ),
    )
}
