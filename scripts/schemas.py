"""The JSON Schemas of what devdiff writes for programs, generated from its structs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from devdiff.attestation.predicate import Statement
from devdiff.changes.record import RunComparison
from devdiff.gate.record import CheckRecord
from devdiff.recipes.record import RecipesRecord
from devdiff.report.model import BisectSection, Report
from devdiff.system.typed_json import schema

ROOT: Final = Path(__file__).resolve().parent.parent / "devdiff"
STRUCTS: Final[dict[str, tuple[type[Any], str]]] = {
    "report/schema.json": (Report, "report.json and scan.json of devdiff"),
    "report/bisect.schema.json": (BisectSection, "bisect.json of devdiff"),
    "gate/check.schema.json": (CheckRecord, "check.json of devdiff"),
    "changes/compare.schema.json": (RunComparison, "what devdiff compare --json prints"),
    "recipes/recipes.schema.json": (RecipesRecord, "recipes.json of devdiff"),
    "attestation/schema.json": (Statement, "statement of devdiff"),
}


def text(name: str) -> str:
    """What the file of that name in the package has to hold."""
    struct, title = STRUCTS[name]
    # A report is read with nothing unread, also in what are dataclasses of other rooms.
    made = schema(struct, title, closed=struct is Report)
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for name in STRUCTS:
        (ROOT / name).write_text(text(name), encoding="utf-8")
        print(f"devdiff/{name}")


if __name__ == "__main__":
    main()
