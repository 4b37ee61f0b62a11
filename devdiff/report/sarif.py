"""A scan as SARIF 2.1.0, for whatever gathers security findings.

Written as plain JSON values: the libraries that know SARIF's objects are no longer kept, and the
schema that the tests check against knows more than they do.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import urllib.parse
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from devdiff.errors import UsageError
from devdiff.ladder.run_directory import write_json
from devdiff.report import basis, rules
from devdiff.report.cases import finished
from devdiff.report.rules import RULES, Rule
from devdiff.report.words import one_line
from devdiff.scanner.report_section import TAXONOMY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from devdiff.report.model import Report, ScanSection
    from devdiff.report.model.scan import IntegrityLayer, StaticLayer

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_RUN: Final = "RUN"
_LAYERS_NAMED: Final = 5
_NOTIFICATIONS: Final = {
    "scan-not-made": "The scan could not be made",
    "scan-inconclusive": "The scan found nothing and had not the power to",
    "rung-not-run": "A rung could not run",
    "evidence-missing": "A part of the evidence could not be had",
    "no-finding": "Nothing was found, at the power that the message states",
}


def write(report: Report, path: Path) -> None:
    """Write a valid report's scan to ``path``, whole or not at all. Raises `UsageError`."""
    write_json(path, render(report))


def check(report: Report) -> ScanSection:
    """The scan. Raises `UsageError` when there was none: an empty list would look like a clean
    one."""
    if report.scan is None:
        raise UsageError(
            "there is no scan in this report, so no SARIF can be made of it: scan the model with "
            "devdiff scan, or with export-and-test --scan"
        )
    return report.scan


def render(report: Report) -> dict[str, Any]:
    """The SARIF log of a valid report's scan, as plain JSON values. Raises `UsageError`.

    A finding is one result, and so is each part of the evidence that was conspicuous. A scan that
    could not be made is a result, too, and an execution that was not successful.
    """
    scan = check(report)
    artifacts = _artifacts(report)
    results = [
        _result(report, rule, message, key, properties, artifacts)
        for rule, message, key, properties in _alerts(scan)
    ]
    run = {
        "tool": {
            "driver": {
                "name": "devdiff",
                "version": one_line(report.devdiff),
                "rules": [rule.to_sarif() for rule in RULES],
                "notifications": [
                    {"id": name, "shortDescription": {"text": text}}
                    for name, text in _NOTIFICATIONS.items()
                ],
                "supportedTaxonomies": [
                    {"name": taxonomy["name"], "index": place}
                    for place, taxonomy in enumerate(rules.taxonomies())
                ],
            }
        },
        # What is uploaded under the same id takes the place of what was there before.
        "automationDetails": {"id": f"devdiff/scanner/{quoted(report.model.name)}/"},
        "taxonomies": rules.taxonomies(),
        "originalUriBaseIds": {_RUN: {"description": {"text": "The run's artifacts folder"}}},
        "artifacts": artifacts,
        "invocations": [_invocation(report, scan)],
        "results": results,
        "properties": {
            "verdict": report.verdict,
            "basis": basis.sentence(report.basis),
            "warnings": [str(warning) for warning in report.inputs.warnings],
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


_Alert = tuple[Rule, str, list[Any], dict[str, Any]]


def _alerts(scan: ScanSection) -> Iterator[_Alert]:
    """Rule, message, what makes it the same result in another run, and figures."""
    if scan.verdict == "error":
        yield rules.SCAN_ERROR, f"The scan could not be made: {scan.reason}", [], {}
    elif scan.verdict == "inconclusive":
        yield rules.UNDECIDED, f"The scan decides nothing: {scan.reason}", [], {}
    elif scan.verdict == "finding":
        yield _finding(scan)
    if scan.evidence is None:
        return
    where = [scan.compression, scan.output]
    integrity, static, drift = (
        scan.evidence.integrity,
        scan.evidence.static,
        scan.evidence.drift,
    )
    if integrity is not None and integrity.status == "deviates":
        deviating = [layer for layer in integrity.layers if _deviations(layer)]
        text = f"{integrity.deviations} of {integrity.elements} stored weights and biases "
        text += f"are not the nearest to their float values{_named(deviating)}."
        yield rules.NOT_NEAREST, text, where, {"layers": len(deviating)}
    if static is not None and static.status == "piled up":
        alarming = [layer for layer in static.layers if layer.alarm]
        text = f"Weights of {len(alarming)} of {static.tested} tested layers pile up between "
        text += f"the quantization steps{_named(alarming)}."
        yield rules.PILED_UP, text, where, {"layers": len(alarming)}
    if drift is not None and drift.status == "unusual":
        text = "Compression moves the scores of clean inputs more than other compressions of the "
        text += "same model do."
        yield rules.DRIFT, text, where, {}


def _finding(scan: ScanSection) -> _Alert:
    rule = rules.FRAGILE if scan.kind == "fragile" else rules.PLANTED
    trigger, gap = scan.trigger, scan.replay.gap if scan.replay is not None else None
    # What the search came by differs from run to run: the form, the size, the rates.
    key: list[Any] = [scan.compression, scan.output]
    key += [None, None] if trigger is None else [trigger.target, trigger.source]
    figures: dict[str, Any] = {"kind": scan.kind}
    if trigger is not None:
        figures |= {"target": trigger.target, "source": trigger.source}
        figures |= {"form": trigger.form, "size": trigger.size}
    if gap is not None:
        figures |= {"successes": gap.successes, "trials": gap.trials}
        figures |= {"low": gap.low, "high": gap.high}
    message = f"{scan.reason[:1].upper()}{scan.reason[1:]}."
    return rule, message, key, figures


def _deviations(layer: IntegrityLayer) -> int:
    return layer.weights.count + (layer.bias.count if layer.bias is not None else 0)


def _named(layers: Iterable[IntegrityLayer | StaticLayer]) -> str:
    names = [one_line(layer.name, 80) for layer in layers]
    more = f" and {len(names) - _LAYERS_NAMED} more" if len(names) > _LAYERS_NAMED else ""
    return f": {', '.join(names[:_LAYERS_NAMED])}{more}" if names else ""


def _result(
    report: Report,
    rule: Rule,
    message: str,
    key: list[Any],
    properties: Mapping[str, Any],
    artifacts: list[dict[str, Any]],
) -> dict[str, Any]:
    identity = [rule.id, report.model.name, *key]
    # A model has no lines; code scanning shows nothing without one.
    physical = {"artifactLocation": artifacts[0]["location"] | {"index": 0}}
    result = {
        "ruleId": rule.id,
        "ruleIndex": RULES.index(rule),
        "level": rule.level,
        "message": {"text": plain_message(message)},
        "locations": [{"physicalLocation": physical | {"region": {"startLine": 1}}}],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{digest(identity)[:16]}:1",
            "devdiffResult/v1": digest(identity),
            "devdiffModel/v1": digest([*identity, report.model.sha256]),
        },
        "properties": {
            name: value
            for name, value in properties.items()
            if value is not None and not (isinstance(value, float) and not math.isfinite(value))
        },
    }
    hashes = [artifact["hashes"]["sha-256"] for artifact in artifacts]
    compressed = hashes.index(_compressed(report))
    if compressed:
        location = artifacts[compressed]["location"] | {"index": compressed}
        result["relatedLocations"] = [
            {
                "id": 0,
                "message": {"text": "the compressed model that was scanned"},
                "physicalLocation": {"artifactLocation": location},
            }
        ]
    if rule.severity is not None:
        result["taxa"] = [rules.reference(threat.id) for threat in TAXONOMY]
    return result


def _artifacts(report: Report) -> list[dict[str, Any]]:
    """All files that took part, by their hashes; the model is the first."""
    main = _uri(report)
    folder = main.rpartition("/")[0]
    model = report.model
    found = {model.sha256: _artifact({"uri": main}, model.sha256)}
    for name, sha256 in model.files.items():
        beside = f"{folder}/{quoted(name)}" if folder else quoted(name)
        found.setdefault(sha256, _artifact({"uri": beside}, sha256))
    for rung in report.rungs:
        location = {"uri": quoted(rung.model.file), "uriBaseId": _RUN}
        sha256 = rung.model.sha256
        found.setdefault(sha256, _artifact(location, sha256))
    return list(found.values())


def _compressed(report: Report) -> str:
    """The SHA-256 of the model that was scanned, which is the one that ships."""
    by_name = {rung.name: rung.model.sha256 for rung in report.rungs}
    return str(by_name.get("int8") or by_name.get("float") or report.model.sha256)


def _artifact(location: dict[str, str], sha256: str) -> dict[str, Any]:
    return {"location": location, "roles": ["analysisTarget"], "hashes": {"sha-256": sha256}}


def _uri(report: Report) -> str:
    """The model as the command named it, relative to where that ran; else its name alone."""
    name = report.model.name
    for word in report.command:
        path = PurePosixPath(word)
        if path.name == name and not path.is_absolute() and ".." not in path.parts:
            return "/".join(map(quoted, path.parts))
    return quoted(name)


def quoted(name: str) -> str:
    """A part of a URI; never empty."""
    return urllib.parse.quote(name, safe="", errors="replace") or "model"


def _invocation(report: Report, scan: ScanSection) -> dict[str, Any]:
    notifications = []
    if scan.verdict == "error":
        notifications.append(_notification("scan-not-made", "error", scan.reason))
    if scan.verdict == "inconclusive":
        notifications.append(_notification("scan-inconclusive", "warning", scan.reason))
    if scan.verdict == "no finding":
        notifications.append(_notification("no-finding", "note", scan.reason))
    for rung in report.rungs:
        if rung.error is not None:
            text = f"rung {rung.name} could not run: {rung.error}"
            notifications.append(_notification("rung-not-run", "error", text))
    for name, found in scan.parts_of_evidence().items():
        if found.status == "error":
            text = f"{name}: {found.error or 'no reason was given'}"
            notifications.append(_notification("evidence-missing", "warning", text))
    return {
        "executionSuccessful": report.verdict != "error",
        "commandLine": one_line(shlex.join(["devdiff", *report.command])),
        "endTimeUtc": finished(report).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "exitCode": report.exit_code,
        "exitCodeDescription": report.verdict,
        "toolExecutionNotifications": notifications,
    }


def _notification(name: str, level: str, text: str) -> dict[str, Any]:
    place = list(_NOTIFICATIONS).index(name)
    return {
        "descriptor": {"id": name, "index": place},
        "level": level,
        "message": {"text": plain_message(text)},
    }


def plain_message(text: str) -> str:
    """A message that is only text: brackets would be links, and braces placeholders."""
    text = one_line(text)
    for sign, written in (("\\", "\\\\"), ("[", "\\["), ("]", "\\]"), ("{", "{{"), ("}", "}}")):
        text = text.replace(sign, written)
    return text


def digest(identity: list[Any]) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
