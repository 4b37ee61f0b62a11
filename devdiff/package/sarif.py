"""A verification as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import datetime
import importlib.metadata
import shlex
from typing import TYPE_CHECKING, Any, Final

from devdiff.ladder.run_directory import write_json
from devdiff.package.rules import RULES
from devdiff.report.sarif import SCHEMA, digest, plain_message, quoted
from devdiff.report.words import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.package.verification import Verification, VerifiedItem
    from devdiff.report.rules import Rule

_CATEGORY: Final = "devdiff/verify"


def write(found: Verification, command: Sequence[str], path: Path) -> None:
    """Write a verification to ``path``, whole or not at all."""
    write_json(path, render(found, command))


def render(found: Verification, command: Sequence[str]) -> dict[str, Any]:
    """The log: a result for each item that something is to be said of.

    A package in which nothing is wrong has no results: it was verified.
    """
    name = one_line(found.name)
    now = datetime.datetime.now(datetime.UTC)
    artifact: dict[str, Any] = {"location": {"uri": quoted(name)}, "roles": ["analysisTarget"]}
    if found.package is not None:
        artifact["hashes"] = {"sha-256": found.package.sha256}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "devdiff",
                        "version": importlib.metadata.version("devdiff"),
                        "semanticVersion": importlib.metadata.version("devdiff"),
                        "rules": [rule.to_sarif() for rule in RULES],
                    }
                },
                "automationDetails": {"id": f"{_CATEGORY}/{quoted(name)}/"},
                "invocations": [
                    {
                        "executionSuccessful": found.verdict != "error",
                        "commandLine": one_line(shlex.join(["devdiff", *command])),
                        "endTimeUtc": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                        "exitCode": found.verdict.exit_code,
                        "exitCodeDescription": found.verdict.value,
                    }
                ],
                "artifacts": [artifact],
                "results": [
                    _result(item, item.rule, name, artifact)
                    for item in found.items()
                    if item.rule is not None
                ],
                "columnKind": "utf16CodeUnits",
                "properties": {"verdict": found.verdict.value, "summary": one_line(found.summary)},
            }
        ],
    }


def _result(
    item: VerifiedItem, rule: Rule, package: str, artifact: dict[str, Any]
) -> dict[str, Any]:
    identity = [rule.id, package, item.name]
    location: dict[str, Any] = {
        # A package has no lines; code scanning shows nothing without one.
        "physicalLocation": {
            "artifactLocation": artifact["location"] | {"index": 0},
            "region": {"startLine": 1},
        },
        "logicalLocations": [
            {"fullyQualifiedName": one_line(item.name) or "model", "kind": "resource"}
        ],
    }
    return {
        "ruleId": rule.id,
        "ruleIndex": RULES.index(rule),
        "level": "error" if item.counts else rule.level,
        "message": {"text": plain_message(f"{item.name}: {item.text}")},
        "locations": [location],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{digest(identity)[:16]}:1",
            "devdiffResult/v1": digest(identity),
        },
    }
