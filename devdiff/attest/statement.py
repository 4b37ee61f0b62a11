"""What a report proves, as an in-toto statement.

The predicate is in-toto's own test result (https://in-toto.io/attestation/test-result/v0.1), so
that tools which know nothing of devdiff can act on it; what it has no words for stands in the
extension field ``devdiff``.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from devdiff.attest.envelope import check_shape, shortened, strict_json
from devdiff.errors import UsageError
from devdiff.gate.requirements import Basis, Requirements
from devdiff.verdict import Verdict

TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
PASSED: Final = "PASSED"
WARNED: Final = "WARNED"
"""All steps passed, and on less than was required: no proof that the model is right."""
# What a rung's identity may have parts of, and which of their fields are kept.
_PARTS: Final = {
    "library": ("sha256", "version", "origin", "api"),
    "runner": ("sha256", "abi"),
    "device": ("serial", "model", "platform", "release", "kernel", "soc", "emulator", "virtual"),
}


def make(
    report: Mapping[str, Any], report_sha256: str, requirements: Requirements | None = None
) -> dict[str, Any]:
    """The statement of a valid report whose file has this SHA-256.

    Only a passed run is ``PASSED``: one that is inconclusive has not been shown to be right. Where
    it stands on less than ``requirements`` demand (by default `Requirements`) it is ``WARNED``.
    """
    tests = _tests(report)
    passed = report["verdict"] == Verdict.PASS.value
    refusal = (requirements or Requirements()).refusal(Basis.of(report)) if passed else None
    result = "FAILED" if not passed else PASSED if refusal is None else WARNED
    statement = {
        "_type": TYPE,
        "subject": list(_subjects(report)),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": result,
            "configuration": list(_configuration(report)),
            "passedTests": [name for name, verdict in tests if verdict == Verdict.PASS.value],
            "warnedTests": [] if refusal is None else [f"basis: {refusal}"],
            "failedTests": [name for name, verdict in tests if verdict != Verdict.PASS.value],
            "devdiff": _excerpt(report, report_sha256),
        },
    }
    _check(statement, "the statement")
    return statement


def write(statement: Mapping[str, Any]) -> bytes:
    """The payload to sign."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def read(payload: bytes, name: str) -> dict[str, Any]:
    """The statement in a payload; ``name`` is what messages call it.

    Raises `UsageError` when it is not one that devdiff makes.
    """
    statement = strict_json(payload, name)
    _check(statement, name)
    checked: dict[str, Any] = statement
    return checked


def _check(statement: Any, name: str) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    refusal = f"{name} holds no statement of devdiff"
    text = importlib.resources.files("devdiff.attest").joinpath("schema.json").read_text()
    check_shape(statement, json.loads(text), refusal)
    try:
        message = json_format.ParseDict(statement, statement_pb2.Statement())
        Statement.copy_from_pb(message).validate()
    except (json_format.ParseError, ValueError) as error:
        raise UsageError(f"{refusal}: {shortened(str(error))}") from error


def _subjects(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every file under test once, with the rungs it ran on; names are unique, as in-toto wants."""
    files: dict[str, tuple[str, list[str]]] = {
        sha256: (name, []) for name, sha256 in report["model"]["files"].items()
    }
    for rung in report["rungs"]:
        model = rung["model"]
        _, rungs = files.setdefault(model["sha256"], (model["file"], []))
        if rung["error"] is None:
            rungs.append(rung["name"])
    taken: set[str] = set()
    for sha256, (name, rungs) in files.items():
        unique = f"{name} ({sha256[:12]})" if name in taken else name
        taken.add(unique)
        yield {"name": unique, "digest": {"sha256": sha256}, "annotations": {"rungs": rungs}}


def _tests(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the verdict rests on: steps that count, rungs that could not run, the scan."""
    counted = [pair for pair in report["pairs"] if pair["gates"]] or report["pairs"]
    tests = [
        (
            f"{pair['step']}: {pair['reference']} to {pair['candidate']}",
            pair["judgement"]["verdict"],
        )
        for pair in counted
    ]
    tests += [
        (f"rung {rung['name']}", Verdict.ERROR.value) for rung in report["rungs"] if rung["error"]
    ]
    if "scan" in report:
        clean = report["scan"]["verdict"] == "no finding"
        tests.append(("scan", Verdict.PASS.value if clean else report["scan"]["verdict"]))
    return tests


def _configuration(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the files were tested with, by digest."""
    yield {"name": "inputs", "digest": {"sha256": report["inputs"]["sha256"]}}
    calibration = (report["manifest"] or {}).get("calibration")
    if calibration is not None:
        yield {"name": "calibration set", "digest": {"sha256": calibration["sha256"]}}
    for rung in report["rungs"]:
        for key, role in (("library", "runtime library"), ("runner", "native runner")):
            found = rung["identity"].get(key)
            if isinstance(found, Mapping) and "sha256" in found:
                yield {
                    "name": f"{role} on {rung['name']}",
                    "digest": {"sha256": found["sha256"]},
                }


def _excerpt(report: Mapping[str, Any], report_sha256: str) -> dict[str, Any]:
    """What of the report goes into the statement, in the report's own words.

    So whatever reads a report for what was tested reads a statement, too. Where files lay on the
    machine that tested stays out.
    """
    scan = report.get("scan")
    return {
        "version": report["devdiff"],
        "report": {"sha256": report_sha256},
        **_of(report, "finished", "verdict", "summary"),
        "model": _of(report["model"], "name", "sha256"),
        "inputs": _of(report["inputs"], "sha256", "samples", "synthetic", "labelled"),
        "basis": Basis.of(report).to_json(),
        "allowed": report["options"].get("gates", {}),
        "pairs": [
            {
                **_of(pair, "step", "reference", "candidate", "gates"),
                "judgement": _of(pair["judgement"], "verdict"),
            }
            for pair in report["pairs"]
        ],
        "scan": scan and {"kind": None, **_of(scan, "verdict", "reason", "kind")},
        "rungs": [
            {
                **_of(rung, "name", "runner", "precision", "pruning", "samples", "failed", "error"),
                "model": _of(rung["model"], "file", "sha256"),
                "identity": _identity(rung["identity"]),
                "about": _of(rung["about"], "runtime_version", "delegate", "threads"),
            }
            for rung in report["rungs"]
        ],
    }


def _identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What ran a rung, and where."""
    kept = _of(identity, "runtime", "version", "kernels", "delegate")
    for name, fields in _PARTS.items():
        found = identity.get(name)
        if isinstance(found, Mapping):
            kept[name] = _of(found, *fields)
        elif found is not None:
            kept[name] = str(found)
    return kept


def _of(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}
