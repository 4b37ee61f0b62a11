"""``check.json``: what a check came to, cell by cell, for programs."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.resources
import json
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import ReportError, RunDirectoryError
from devdiff.ladder.run_directory import read_json
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

CHECK_NAME: Final = "check.json"
KIND: Final = "devdiff check"
SCHEMA_VERSION: Final = 1


def schema() -> dict[str, Any]:
    """The JSON Schema every ``check.json`` of this version conforms to."""
    text = importlib.resources.files("devdiff.gate").joinpath("check.schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def build(
    cells: Sequence[Mapping[str, Any]],
    *,
    notes: Sequence[str],
    config: Mapping[str, str] | None,
    baseline: Mapping[str, str] | None,
    command: Sequence[str],
) -> dict[str, Any]:
    """The record of a check from those of its cells, as plain JSON values."""
    verdict = combine(Verdict(cell["gate"]) for cell in cells)
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "devdiff": importlib.metadata.version("devdiff"),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "verdict": verdict.value,
        "exit_code": verdict.exit_code,
        "summary": summary(cells),
        "config": dict(config) if config else None,
        "baseline": dict(baseline) if baseline else None,
        "cells": [dict(cell) for cell in cells],
        "notes": list(notes),
        "command": list(command),
    }


def summary(cells: Sequence[Mapping[str, Any]]) -> str:
    """``3 of 4 passed; 1 fail: reader/int8/local``."""
    passed = [cell for cell in cells if cell["gate"] == Verdict.PASS.value]
    parts = [f"{len(passed)} of {len(cells)} passed"]
    for verdict in sorted(Verdict, key=lambda one: -one.severity):
        names = [cell["name"] for cell in cells if cell["gate"] == verdict.value]
        if names and verdict is not Verdict.PASS:
            parts.append(f"{len(names)} {verdict.value}: {', '.join(names)}")
    return "; ".join(parts)


def load(path: Path) -> dict[str, Any]:
    """The record in a file, checked against its schema and against itself.

    Raises `ReportError` when it is no check of this version, damaged, or contradicts itself.
    """
    import jsonschema

    try:
        data = read_json(path)
    except RunDirectoryError as error:
        raise ReportError(str(error)) from error
    try:
        jsonschema.validate(data, schema())
    except jsonschema.ValidationError as error:
        raise ReportError(
            f"{path} is not a check of this devdiff: {error.json_path}: {error.message[:200]}"
        ) from error
    wrong = next(_contradictions(data), None)
    if wrong is not None:
        raise ReportError(f"{path} contradicts itself: {wrong}; run the check again")
    return data


def _contradictions(data: Mapping[str, Any]) -> Iterator[str]:
    names = [cell["name"] for cell in data["cells"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        yield f"cells: {twice} is there twice"
    for place, cell in enumerate(data["cells"]):
        if cell["report"] is None and cell["verdict"] != Verdict.ERROR.value:
            yield f"cells[{place}].verdict: {cell['verdict']}, and there is no report"
    own = combine(Verdict(cell["gate"]) for cell in data["cells"])
    if data["verdict"] != own.value:
        yield f"verdict: {data['verdict']}, and its cells come to {own.value}"
    if data["exit_code"] != Verdict(data["verdict"]).exit_code:
        yield f"exit_code: {data['exit_code']} is not that of {data['verdict']}"
