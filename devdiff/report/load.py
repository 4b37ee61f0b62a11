"""Reading a report again: the one place where reports come back in, as evidence or to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import ReportError, RunDirectoryError, UsageError
from devdiff.ladder.run_directory import REPORT_NAME, RUN_NAME, read_json
from devdiff.report.beside_run import disagreements
from devdiff.report.build import SCHEMA_VERSION, schema
from devdiff.report.consistency import contradictions

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
    found = [report for report in folder.glob(f"*/{REPORT_NAME}") if report.is_file()]
    return [one.parent for one in sorted(found, key=lambda one: -one.stat().st_mtime)]


def run_directory(report: Path) -> Path | None:
    """The run directory a report lies in; None when it lies elsewhere."""
    return report.parent if (report.parent / RUN_NAME).exists() else None


def load(path: Path) -> dict[str, Any]:
    """The report in a file, checked against its schema, itself, and the run it lies in, if any.

    Raises `ReportError` when it is no report of this version, damaged, concludes what does not
    follow from what it holds, or says otherwise than its run directory; the message names the
    field.
    """
    import jsonschema
    from jsonschema.exceptions import best_match

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
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ReportError(
            f"{path} is not a report of this devdiff: its schema_version is {version!r}, not "
            f"{SCHEMA_VERSION}; run the test again"
        )
    # jsonschema.validate would check the schema itself every time, for ten times as long.
    misfit = best_match(jsonschema.Draft202012Validator(schema()).iter_errors(data))
    if misfit is not None:
        message = _shortened(misfit.message, _SHOWN_CHARS)
        raise ReportError(f"{path} is not a report of this devdiff: {misfit.json_path}: {message}")
    wrong = next(contradictions(data), None)
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
    return data


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"
