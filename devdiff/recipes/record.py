"""``recipes.json``: what each compression of a model came to, for programs."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.resources
import json
from typing import TYPE_CHECKING, Any, Final

from devdiff.compare.jsonform import encode
from devdiff.exporter.artifact import sha256_file
from devdiff.gate.summary import Facts
from devdiff.ladder.run_directory import REPORT_NAME
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RECORD_NAME: Final = "recipes.json"
KIND: Final = "devdiff recipes"
SCHEMA_VERSION: Final = 1


def schema() -> dict[str, Any]:
    """The JSON Schema every ``recipes.json`` of this version conforms to."""
    text = importlib.resources.files("devdiff.recipes").joinpath("recipes.schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def row(
    compression: str, folder: Path, report: Mapping[str, Any] | None, error: str | None
) -> dict[str, Any]:
    """What a record says of one compression; sizes in bytes, times in milliseconds a sample.

    ``report`` None stands for a test that could not be made, for the reason ``error``. Agreement
    and SNR are those of the whole way from the first rung to the last.
    """
    if report is None:
        return {"compression": compression, "verdict": Verdict.ERROR.value, "error": error}
    facts = Facts.of(report)
    whole = facts.whole or (facts.steps[-1] if facts.steps else None)
    levels = (
        [output.snr_db for output in whole.outputs if output.snr_db is not None] if whole else []
    )
    shipped = report["manifest"]["artifacts"][-1]
    agreement = facts.agreement
    hosts = [rung["name"] for rung in report["rungs"] if rung["name"] in _rung_names(report)]
    return {
        "compression": compression,
        "verdict": facts.verdict.value,
        "summary": facts.summary,
        "report": f"{folder.name}/{REPORT_NAME}",
        "report_sha256": sha256_file(folder / REPORT_NAME),
        "artifact_sha256": shipped["sha256"],
        "bytes": shipped["bytes"],
        "recipe": shipped["recipe"],
        "samples": facts.samples,
        "inputs_sha256": facts.inputs_sha256,
        "agreement": (
            {"agreed": agreement.agreed, "samples": agreement.samples} if agreement else None
        ),
        # Infinite where nothing differs, which JSON cannot say.
        "snr_db": encode(min(levels, default=None)),
        "accuracy": _accuracy(report),
        "metric": _metric(report),
        "ms_per_sample": {
            "host": facts.median_ms.get(hosts[-1]) if hosts else None,
            "device": facts.median_ms.get("device"),
        },
    }


def build(model: str, rows: Sequence[Mapping[str, Any]], command: Sequence[str]) -> dict[str, Any]:
    """The record as plain JSON values; its verdict is the gravest among the compressions."""
    verdict = combine(Verdict(one["verdict"]) for one in rows)
    passed = sum(one["verdict"] == Verdict.PASS.value for one in rows)
    return {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "devdiff": importlib.metadata.version("devdiff"),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": model,
        "verdict": verdict.value,
        "exit_code": verdict.exit_code,
        "summary": f"{passed} of {len(rows)} compressions passed",
        "compressions": [dict(one) for one in rows],
        "command": list(command),
    }


def _rung_names(report: Mapping[str, Any]) -> set[str]:
    """The rungs on which the artifact that ships was run on the host."""
    shipped = report["manifest"]["artifacts"][-1]["sha256"]
    return {
        rung["name"]
        for rung in report["rungs"]
        if rung["model"]["sha256"] == shipped
        and rung["name"] != "device"
        and "@" not in rung["name"]
    }


def _accuracy(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Right answers of the last rung, with its interval; None without labels."""
    last = [pair for pair in report["pairs"] if pair["comparison"]][-1:]
    for pair in last:
        for answers in pair["comparison"]["classifications"]:
            if answers["accuracy"] is not None:
                found: dict[str, Any] = answers["accuracy"]["candidate"]
                return found
    return None


def _metric(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first metric of the model's task on the last rung; None without one."""
    task = report.get("task")
    if not task:
        return None
    name = task["metrics"][0]["name"]
    last = [rung for rung in task["rungs"] if "@" not in rung["rung"]][-1]
    value = last["values"].get(name)
    return None if value is None else {"name": name, **value}
