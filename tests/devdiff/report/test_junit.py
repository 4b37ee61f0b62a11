"""JUnit XML: what did not run is an error, what does not count is skipped, nothing is missing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import xmlschema

from devdiff.report import junit
from tests.support.bare_reports import NASTY, bare_report, scan_error, typed, with_pair

if TYPE_CHECKING:
    from tests.support.html_runs import FinishedRun

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[2] / "schemas/junit-jenkins-10.xsd"))


def parsed(report: dict[str, Any]) -> ElementTree.Element:
    """The report as JUnit XML, after a look that it is."""
    text = junit.render(typed(report))
    SCHEMA.validate(text)
    return ElementTree.fromstring(text)


def outcomes(root: ElementTree.Element) -> dict[str, str | None]:
    """What every test case came to, by its name: ``failure fail``, ``error …``, None for passed."""
    found: dict[str, str | None] = {}
    for case in root.iter("testcase"):
        name = str(case.get("name"))
        assert name not in found
        told = [f"{one.tag} {one.get('type')}" for one in case]
        assert len(told) <= 1
        found[name] = told[0] if told else None
    return found


def test_a_rung_that_could_not_run_is_an_error() -> None:
    root = parsed(bare_report())
    assert outcomes(root) == {"rung source": "error could not run"}
    (error,) = root.iter("error")
    assert error.get("message") == "the runtime <died>"


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("fail", "failure fail"),
        ("inconclusive", "failure inconclusive"),
        ("error", "error not compared"),
        ("pass", None),
    ],
)
def test_every_verdict_has_its_outcome(verdict: str, told: str | None) -> None:
    root = parsed(with_pair(bare_report(), verdict))
    assert outcomes(root)["all outputs: source → device (deployment)"] == told
    case = next(one for one in root.iter("testcase") if "deployment" in str(one.get("name")))
    assert case.get("classname") == "m_onnx.emulator-5554"


@pytest.mark.parametrize(
    ("verdict", "told"),
    [("fail", "skipped does not count"), ("error", "error not compared"), ("pass", None)],
)
def test_a_step_that_does_not_count_is_skipped_unless_it_could_not_be_compared(
    verdict: str, told: str | None
) -> None:
    report = with_pair(bare_report(), verdict, gates=False, step="runtime")
    report["pairs"] += with_pair(bare_report(), "pass")["pairs"]
    root = parsed(report)
    assert outcomes(root)["all outputs: source → device (runtime)"] == told
    skipped = [one.get("message") for one in root.iter("skipped")]
    assert skipped == ["fail, in a step that the verdict does not count"] * (verdict == "fail")


def test_where_no_step_counts_all_do() -> None:
    report = with_pair(bare_report(), "fail", gates=False, step="runtime")
    assert outcomes(parsed(report))["all outputs: source → device (runtime)"] == "failure fail"


def test_a_verdict_that_no_case_explains_is_a_case_of_its_own() -> None:
    report = bare_report()
    report["rungs"][0]["error"] = None
    assert outcomes(parsed(report)) == {"rung source": None, "verdict": "error error"}


def test_a_scan_that_could_not_be_made_is_an_error() -> None:
    root = parsed(with_pair(bare_report(scan=scan_error()), "error"))
    assert outcomes(root)["scan"] == "error error"


def test_text_from_outside_stays_text_and_loses_what_xml_has_no_room_for() -> None:
    report = with_pair(bare_report(), "fail")
    report["model"]["name"] = report["rungs"][0]["name"] = report["pairs"][0]["reference"] = NASTY
    report["pairs"][0]["judgement"]["reasons"] = [NASTY, ""]
    root = parsed(report)
    (failure,) = root.iter("failure")
    message = str(failure.get("message"))
    assert message.startswith("=x|`*_]]>&<b>[a](https://evil.example)\\u0000\\u001b[31m")
    assert str(failure.text).splitlines()[0] == message
    assert {one.get("package") for one in root} == {message}


def test_times_are_numbers_that_every_reader_knows() -> None:
    report = with_pair(bare_report(), "pass")
    for rung, seconds in zip(report["rungs"], (1e300, 1.23456e-7), strict=True):
        rung["time"] = rung["time"] | {"wall_s": seconds}
    times = [case.get("time") for case in parsed(report).iter("testcase")]
    assert times == ["1000000000.0", "0.0", "0.0"]


@pytest.mark.slow
def test_a_real_run_has_a_case_for_each_output_of_each_step(digits_run: FinishedRun) -> None:
    root = parsed(digits_run.report)
    found = outcomes(root)
    assert found["logits: source → pruned (pruning)"] == "failure fail"
    assert found["logits: int8 → device (deployment)"] is None
    assert found["logits: source → device (all)"] == "skipped does not count"
    pairs = [name for name in found if "→" in name]
    assert len(pairs) == len(digits_run.report["pairs"])
    properties = {one.get("name"): one.get("value") for one in root.iter("property")}
    assert properties["model.sha256"] == digits_run.report["model"]["sha256"]
    assert str(properties["candidate.ran"]).startswith(("ai-edge-litert", "litert"))
    suites = {one.get("name"): one for one in root}
    assert float(str(suites["rungs"].get("time"))) > 0
    assert "top-1" in str(suites["pruning: source → pruned"].findtext("system-out"))


@pytest.mark.slow
def test_outputs_of_one_step_are_told_apart(digits_run: FinishedRun) -> None:
    report = copy.deepcopy(digits_run.report)
    pair = next(one for one in report["pairs"] if one["step"] == "pruning")
    other = copy.deepcopy(pair["comparison"]["outputs"][0]) | {"name": "boxes"}
    pair["comparison"]["outputs"].append(other)
    pair["judgement"]["outputs"]["boxes"] = {"verdict": "pass", "reasons": ["fine"]}
    found = outcomes(parsed(report))
    assert found["logits: source → pruned (pruning)"] == "failure fail"
    assert found["boxes: source → pruned (pruning)"] is None


@pytest.mark.slow
def test_a_device_that_could_not_run_is_an_error_in_every_case_it_has_part_in(
    broken_run: FinishedRun,
) -> None:
    found = outcomes(parsed(broken_run.report))
    assert found["rung device"] == "error could not run"
    assert found["logits: int8 → device (deployment)"] == "error not compared"
    assert found["logits: source → float (conversion)"] is None


@pytest.mark.slow
def test_a_scan_without_power_is_a_failure() -> None:
    scan = scan_error() | {"verdict": "inconclusive"}
    root = parsed(bare_report(scan=scan, verdict="inconclusive", exit_code=5))
    assert outcomes(root)["scan"] == "failure inconclusive"


@pytest.mark.slow
def test_a_finding_is_a_failure(scanned_run: FinishedRun) -> None:
    root = parsed(scanned_run.report)
    assert outcomes(root)["scores: scan"] == "failure finding"
    assert [one.get("name") for one in root][-1] == "scan"


@pytest.mark.slow
def test_too_few_samples_are_no_pass(hostile_run: FinishedRun) -> None:
    assert hostile_run.report["verdict"] == "inconclusive"
    told = set(outcomes(parsed(hostile_run.report)).values())
    assert "failure inconclusive" in told
    assert not any(one and one.startswith("error") for one in told)
