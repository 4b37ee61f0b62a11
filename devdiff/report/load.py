"""Reading a report again: the one place where reports come back in, as evidence or to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.errors import ReportError, RunDirectoryError, UsageError
from devdiff.ladder.run_directory import REPORT_NAME, RUN_NAME, read_json
from devdiff.report import version_1
from devdiff.report.beside_run import disagreements
from devdiff.report.consistency import contradictions
from devdiff.report.model import SCHEMA_VERSION, Report
from devdiff.system.errors import DevdiffError
from devdiff.system.typed_json import decode

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN_CHARS: Final = 200
_SHOWN_CONTRADICTION: Final = 400
_RUNS_SHOWN: Final = 5


def locate(path: Path) -> Path:
    """The report.json that ``path``, itself one or a run directory, stands for.

    Raises `UsageError`.
    """
    report = path / REPORT_NAME if path.is_dir() else path
    if not report.exists() and path.is_dir() and (runs := _runs_in(path)):
        shown = ", ".join(run.name for run in runs[:_RUNS_SHOWN])
        more = f" and {len(runs) - _RUNS_SHOWN} more" if len(runs) > _RUNS_SHOWN else ""
        raise UsageError(
            f"{path} is a folder of runs: name the one that is meant, the latest is {runs[0]}; "
            f"finished ones in it: {shown}{more}"
        )
    if not report.exists():
        hint = ": its run did not finish" if (path / RUN_NAME).exists() else ""
        raise UsageError(f"{report} does not exist{hint}")
    return report


def _runs_in(folder: Path) -> list[Path]:
    """The finished runs right in a folder, the latest first."""
    reports = [report for report in folder.glob(f"*/{REPORT_NAME}") if report.is_file()]
    return [report.parent for report in sorted(reports, key=lambda report: -report.stat().st_mtime)]


def run_directory(report: Path) -> Path | None:
    """The run directory a report lies in; None when it lies elsewhere."""
    return report.parent if (report.parent / RUN_NAME).exists() else None


def load(path: Path) -> Report:
    """The report in a file, checked field by field, against itself and the run it lies in, if any.

    Those of version 1 are read, too. Raises `ReportError` when it is no report, damaged, concludes
    what does not follow from what it holds, or says otherwise than its run directory; the message
    names the field.
    """
    try:
        data = read_json(path)
    except RunDirectoryError as error:
        raise ReportError(str(error)) from error
    version = data.get("schema_version")
    if version is None:
        raise ReportError(
            f"{path} is not a report: it has no schema_version; name the report.json of a run, or "
            "its run directory"
        )
    if version not in (1, SCHEMA_VERSION) or isinstance(version, bool):
        shown = _shortened(repr(version), _SHOWN_CHARS)
        raise ReportError(
            f"{path} is not a report of this devdiff: its schema_version is {shown}, not "
            f"{SCHEMA_VERSION}; run the test again"
        )
    try:
        report = version_1.read(data) if version == 1 else decode(Report, data, closed=True)
    except DevdiffError as error:
        # Also what the exporter says of a manifest.
        message = _shortened(str(error), _SHOWN_CHARS)
        raise ReportError(f"{path} is not a report of this devdiff: {message}") from error
    wrong = next(contradictions(report), None)
    if wrong is not None:
        raise ReportError(
            f"{path} contradicts itself: {_shortened(wrong, _SHOWN_CONTRADICTION)}; it was changed "
            "after its run, so take the run's own, or run the test again"
        )
    folder = run_directory(path) if path.name == REPORT_NAME else None
    if folder is not None and (other := next(disagreements(data, folder), None)) is not None:
        raise ReportError(
            f"{path} contradicts the run it lies in: {_shortened(other, _SHOWN_CONTRADICTION)}; "
            "one of them was changed after the run, so run the test again"
        )
    return report


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
