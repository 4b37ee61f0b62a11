"""``check.json``: what a check came to, cell by cell, for programs."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from devdiff.errors import UsageError
from devdiff.ladder.run_directory import read_json
from devdiff.verdict import Verdict, combine

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
    """The record in a file, checked against its schema.

    Raises `RunDirectoryError` when it is no JSON object, `UsageError` when it is no check of this
    version.
    """
    import jsonschema

    data = read_json(path)
    try:
        jsonschema.validate(data, schema())
    except jsonschema.ValidationError as error:
        raise UsageError(
            f"{path} is not a check of this devdiff: {error.json_path}: {error.message[:200]}"
        ) from error
    return data
