"""A report held against what its own run left beside it.

`devdiff.report.consistency` finds a report that does not fit itself. One that was edited so that it
does still contradicts the run directory it lies in: what was asked, the inputs, and the record of
every rung.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import RunDirectoryError
from devdiff.inputs.retention import RECORD
from devdiff.ladder.ladder import file_name
from devdiff.ladder.run_directory import RUN_NAME, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Of a rung, what a verdict stands on; how long it took and the machine's features are for people.
_OF_A_RUNG: Final = (
    "runner",
    "precision",
    "pruning",
    "model",
    "identity",
    "samples",
    "failed",
    "results_sha256",
    "error",
)
_SHOWN: Final = 80


def disagreements(report: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Each thing that the run directory ``folder`` says otherwise, beginning with the report's
    field. What is not there any more says nothing."""
    try:
        asked = read_json(folder / RUN_NAME).get("request")
        yield from _request(report, asked if isinstance(asked, dict) else {})
        yield from _inputs(report, folder / "inputs" / RECORD)
        yield from _rungs(report, folder / "rungs")
    except RunDirectoryError as error:
        yield str(error)


def _request(report: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    try:
        sha256, data = asked["files"][0][1], asked["data"]
        fields = (
            ("model.sha256", report["model"]["sha256"], sha256),
            ("inputs.synthetic", report["inputs"]["synthetic"], data["inputs"] is None),
            ("inputs.seed", report["inputs"]["seed"], data["seed"]),
            ("options.gates", report["options"]["gates"], asked["gates"]),
            ("options.running", report["options"]["running"], asked["running"]),
        )
    except (KeyError, IndexError, TypeError):
        yield f"{RUN_NAME} does not say what was asked for"
        return
    yield from _differing(fields, RUN_NAME)


def _inputs(report: Mapping[str, Any], record: Path) -> Iterator[str]:
    if record.exists():
        kept = read_json(record)
        name = f"inputs/{record.name}"
        fields = (("inputs.sha256", report["inputs"]["sha256"], kept.get("sha256")),)
        yield from _differing(fields, name)


def _rungs(report: Mapping[str, Any], folder: Path) -> Iterator[str]:
    known = {file_name(rung["name"]): place for place, rung in enumerate(report["rungs"])}
    for record in sorted(folder.glob("*.json")):
        if record.stem not in known:
            yield f"rungs: rungs/{record.name} tells of one that is not there"
            continue
        place, kept = known[record.stem], read_json(record)
        rung = report["rungs"][place]
        fields = ((f"rungs[{place}].{key}", rung.get(key), kept.get(key)) for key in _OF_A_RUNG)
        yield from _differing(tuple(fields), f"rungs/{record.name}")


def _differing(fields: tuple[tuple[str, Any, Any], ...], file: str) -> Iterator[str]:
    for name, ours, theirs in fields:
        if ours != theirs:
            yield f"{name}: {_short(ours)}, and {file} has {_short(theirs)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
