"""The JSON Schemas in the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import devdiff

_ROOT = Path(devdiff.__file__).parent


def _read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((_ROOT / name).read_text(encoding="utf-8"))
    return loaded


def report_schema() -> dict[str, Any]:
    return _read("report/schema.json")


def bisect_schema() -> dict[str, Any]:
    return _read("report/bisect.schema.json")


def check_schema() -> dict[str, Any]:
    return _read("gate/check.schema.json")


def recipes_schema() -> dict[str, Any]:
    return _read("recipes/recipes.schema.json")


def statement_schema() -> dict[str, Any]:
    return _read("attestation/schema.json")
