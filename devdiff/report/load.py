"""Reading a report again, to make other formats of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from devdiff.errors import UsageError
from devdiff.ladder.run_directory import REPORT_NAME, RUN_NAME, read_json
from devdiff.report.build import SCHEMA_VERSION, schema

_SHOWN_CHARS: Final = 200


def locate(path: Path) -> Path:
    """The report.json that ``path``, itself one or a run directory, stands for.

    Raises `UsageError`.
    """
    report = path / REPORT_NAME if path.is_dir() else path
    if not report.exists():
        hint = ": its run did not finish" if (path / RUN_NAME).exists() else ""
        raise UsageError(f"{report} does not exist{hint}")
    return report


def run_directory(report: Path) -> Path | None:
    """The run directory a report lies in; None when it lies elsewhere."""
    return report.parent if (report.parent / RUN_NAME).exists() else None


def load(path: Path) -> dict[str, Any]:
    """The report in a file, checked against its schema.

    Raises `RunDirectoryError` when it is no JSON object, `UsageError` when it is no report of this
    version.
    """
    import jsonschema
    from jsonschema.exceptions import best_match

    data = read_json(path)
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} is not a report of this devdiff: its schema_version is {version!r}, not "
            f"{SCHEMA_VERSION}; run the test again"
        )
    # jsonschema.validate would check the schema itself every time, for ten times as long.
    error = best_match(jsonschema.Draft202012Validator(schema()).iter_errors(data))
    if error is not None:
        message = error.message
        if len(message) > _SHOWN_CHARS:
            message = f"{message[:_SHOWN_CHARS]}…"
        raise UsageError(f"{path} is not a report of this devdiff: {error.json_path}: {message}")
    return data
