"""SARIF: findings with stable names, and a scan that was not made is never a clean result."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from devdiff.errors import UsageError
from devdiff.report import sarif
from devdiff.report.rules import RULES
from tests.support.bare_reports import NASTY, bare_report, scan_error, typed

if TYPE_CHECKING:
    from tests.support.html_runs import FinishedRun

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "schemas/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft4Validator(
    SCHEMA, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER
)
FINDING = {
    "verdict": "finding",
    "reason": "it says class 7",
    "kind": "planted",
    "seed": 0,
    "budget_s": 900.0,
    "cost": {"wall_s": 1.0},
    "compression": "int8",
    "output": "logits",
    "trigger": {"form": "patch", "size": 0.03, "target": 7, "source": None, "file": "t.npz"},
}


def rendered(report: dict[str, Any]) -> dict[str, Any]:
    """The only run of the SARIF log, after a look that it is one and that GitHub would take it."""
    log = json.loads(json.dumps(sarif.render(typed(report)), allow_nan=False))
    VALIDATOR.validate(log)
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    for rule in driver["rules"]:
        assert len(rule["properties"]["tags"]) <= 20
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
        if "security-severity" in rule["properties"]:
            assert 0 < float(rule["properties"]["security-severity"]) <= 10
            assert "security" in rule["properties"]["tags"]
        for one in rule.get("relationships", ()):
            _check_threat(run, one["target"])
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        assert physical["artifactLocation"]["uri"]
        assert physical["region"]["startLine"] == 1
        assert "primaryLocationLineHash" in result["partialFingerprints"]
        for one in result.get("taxa", ()):
            _check_threat(run, one)
    (invocation,) = run["invocations"]
    for told in invocation["toolExecutionNotifications"]:
        known = driver["notifications"][told["descriptor"]["index"]]
        assert known["id"] == told["descriptor"]["id"]
    found: dict[str, Any] = run
    return found


def _check_threat(run: dict[str, Any], threat: dict[str, Any]) -> None:
    taxonomy = run["taxonomies"][threat["toolComponent"]["index"]]
    assert taxonomy["name"] == threat["toolComponent"]["name"]
    assert threat["id"] in [one["id"] for one in taxonomy["taxa"]]


def fingerprints(report: dict[str, Any]) -> list[dict[str, str]]:
    return [result["partialFingerprints"] for result in rendered(report)["results"]]


def test_rules_have_ids_that_stay() -> None:
    assert [(rule.id, rule.name, rule.level) for rule in RULES] == [
        ("DD000", "ScanNotMade", "error"),
        ("DD001", "CompressionBackdoor", "error"),
        ("DD002", "CompressionFragility", "error"),
        ("DD003", "RoundingNotNearest", "note"),
        ("DD004", "WeightsBetweenSteps", "warning"),
        ("DD005", "UnusualDrift", "note"),
        ("DD006", "ScanInconclusive", "warning"),
    ]
    documented = (Path(__file__).parents[3] / "docs/reports.md").read_text()
    assert re.findall(r"^\| `(DD\d+)` \| (\w+)", documented, re.MULTILINE) == [
        (rule.id, rule.level) for rule in RULES
    ]


def test_a_report_without_a_scan_is_refused() -> None:
    with pytest.raises(UsageError, match="no scan in this report"):
        sarif.render(typed(bare_report()))


def test_a_scan_that_could_not_be_made_is_no_clean_result() -> None:
    run = rendered(bare_report(scan=scan_error("too few [samples](here)")))
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("DD000", "error")
    assert result["message"]["text"].endswith(r"too few \[samples\](here)")
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["exitCode"] == 3
    levels = [(one["descriptor"]["id"], one["level"]) for one in _told(run)]
    assert levels == [("scan-not-made", "error"), ("rung-not-run", "error")]


def _told(run: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = run["invocations"][0]["toolExecutionNotifications"]
    return told


def test_nothing_found_says_at_which_power() -> None:
    scan = scan_error("on 44 held-out samples …") | {"verdict": "no finding"}
    report = bare_report(scan=scan, verdict="pass", exit_code=0)
    report["rungs"][0]["error"] = None
    run = rendered(report)
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True
    assert [(one["descriptor"]["id"], one["level"]) for one in _told(run)] == [
        ("no-finding", "note")
    ]


def test_a_scan_without_power_is_no_clean_result() -> None:
    scan = scan_error("8 held-out samples are too few") | {"verdict": "inconclusive"}
    report = bare_report(scan=scan, verdict="inconclusive", exit_code=5)
    report["rungs"][0]["error"] = None
    run = rendered(report)
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("DD006", "warning")
    assert "8 held-out samples are too few" in result["message"]["text"]
    assert run["invocations"][0]["exitCode"] == 5
    assert [(one["descriptor"]["id"], one["level"]) for one in _told(run)] == [
        ("scan-inconclusive", "warning")
    ]


def test_evidence_is_a_lesser_result_and_evidence_that_is_missing_is_told() -> None:
    figures = {"operator": 0, "kind": "CONV_2D", "shape": [8]}
    deviations = {"elements": 100, "count": 3, "further": 0, "largest": 1.0, "mean": 0.6}
    none = {"ties": 0, "clipped": 0, "zeroed": 0, "scale_low": None, "scale_high": None}
    layers = [
        {**figures, **none, "name": f"conv{place}", "weights": deviations, "bias": None}
        for place in range(9)
    ]
    counts = {"counted": 9, "observed": 9, "expected": 1.0, "ratio": 9.0, "p": 0.0}
    alarms = [
        {**figures, **counts, "name": name, "alarm": alarm, "untested": None}
        for name, alarm in (("dense", True), ("other", False))
    ]
    evidence = {
        "integrity": {"status": "deviates", "deviations": 27, "elements": 900, "layers": layers},
        "static": {"status": "piled up", "tested": 2, "layers": alarms},
        "drift": {"status": "unusual"},
    }
    scan = scan_error("nothing") | {"verdict": "no finding", "evidence": evidence}
    run = rendered(bare_report(scan=scan))
    told = {result["ruleId"]: result["message"]["text"] for result in run["results"]}
    assert list(told) == ["DD003", "DD004", "DD005"]
    assert told["DD003"].endswith("conv0, conv1, conv2, conv3, conv4 and 4 more.")
    assert "1 of 2 tested layers" in told["DD004"]
    assert "dense" in told["DD004"]
    evidence["drift"] = {"status": "error", "error": "no placebos"}
    run = rendered(bare_report(scan=scan))
    assert ("evidence-missing", "drift: no placebos") in [
        (one["descriptor"]["id"], one["message"]["text"]) for one in _told(run)
    ]


def test_the_same_finding_keeps_its_fingerprint_and_another_does_not() -> None:
    report = bare_report(scan=FINDING, verdict="finding", exit_code=4)
    first = fingerprints(report)
    again = copy.deepcopy(report)
    again["finished"] = "2027-02-03T04:05:06+00:00"
    again["scan"] |= {"reason": "it says class 7 on 40 of 44", "seed": 9}
    again["scan"]["trigger"] |= {"size": 0.05, "form": "additive"}
    assert fingerprints(again) == first
    retrained = copy.deepcopy(report)
    retrained["model"]["sha256"] = "9" * 64
    changed = {k for k, v in fingerprints(retrained)[0].items() if first[0][k] != v}
    assert changed == {"devdiffModel/v1"}
    for section, key, value in (("trigger", "target", 3), ("trigger", "source", 1)):
        other = copy.deepcopy(report)
        other["scan"][section][key] = value
        assert (
            fingerprints(other)[0]["primaryLocationLineHash"] != first[0]["primaryLocationLineHash"]
        )
    fragile = copy.deepcopy(report)
    fragile["scan"]["kind"] = "fragile"
    assert rendered(fragile)["results"][0]["ruleId"] == "DD002"


@pytest.mark.parametrize(
    ("command", "uri"),
    [
        (["scan", "models/my net.onnx"], "models/my%20net.onnx"),
        (["scan", "./models/my net.onnx"], "models/my%20net.onnx"),
        (["scan", "/home/me/my net.onnx"], "my%20net.onnx"),
        (["scan", "../my net.onnx"], "my%20net.onnx"),
    ],
)
def test_the_model_is_named_as_the_command_did_if_that_leads_into_the_repository(
    command: list[str], uri: str
) -> None:
    report = bare_report(scan=FINDING, command=command)
    report["model"]["name"] = "my net.onnx"
    report["model"]["files"] = {"my net.onnx": "0" * 64, "my net.data": "5" * 64}
    run = rendered(report)
    assert [one["location"]["uri"] for one in run["artifacts"]] == [
        uri,
        uri.replace("onnx", "data"),
    ]
    assert run["artifacts"][0]["hashes"] == {"sha-256": "0" * 64}


def test_text_from_outside_stays_text() -> None:
    scan = FINDING | {"reason": NASTY, "output": NASTY}
    report = bare_report(scan=scan, command=["scan", NASTY])
    report["model"]["name"] = NASTY
    run = rendered(report)
    message = run["results"][0]["message"]["text"]
    assert r"\[a\](https://evil.example)\\u0000\\u001b\[31m" in message
    assert re.fullmatch(r"[\w.~%-]+", run["artifacts"][0]["location"]["uri"])
    assert "\n" not in run["invocations"][0]["commandLine"]


@pytest.mark.slow
def test_a_real_finding_names_the_model_the_artifact_and_their_hashes(
    scanned_run: FinishedRun,
) -> None:
    report = scanned_run.report
    assert report["verdict"] == "finding"
    run = rendered(report)
    result = run["results"][0]
    rule = {"planted": "DD001", "fragile": "DD002"}[report["scan"]["kind"]]
    assert (result["ruleId"], result["level"]) == (rule, "error")
    assert "class" in result["message"]["text"]
    target = report["scan"]["trigger"]["target"]
    assert result["properties"]["target"] == target
    (related,) = result["relatedLocations"]
    hashes = [one["hashes"]["sha-256"] for one in run["artifacts"]]
    by_name = {rung["name"]: rung["model"]["sha256"] for rung in report["rungs"]}
    index = related["physicalLocation"]["artifactLocation"]["index"]
    assert hashes[index] == by_name["int8"]
    assert set(hashes) == {report["model"]["sha256"], *by_name.values()}
    assert run["artifacts"][0]["location"]["uri"] == "reader.onnx"
    assert run["invocations"][0]["exitCode"] == 4
    assert run["invocations"][0]["executionSuccessful"] is True
    assert run["automationDetails"]["id"] == "devdiff/scanner/reader.onnx/"
