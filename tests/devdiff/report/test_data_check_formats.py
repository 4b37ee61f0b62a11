"""What was found about inputs and labels stands in every format, and nothing in it escapes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from junitparser import Failure, JUnitXml, Skipped
from rich.console import Console

from devdiff.report import build, data_check, junit, markdown
from devdiff.report.html import page
from devdiff.report.model import DataCheckSection, ScanSection
from devdiff.system.typed_json import decode
from devdiff.verdict import Verdict
from tests.support.bare_reports import NASTY, bare_report, scan_error, typed, with_pair


def section(verdict: str | None, **more: Any) -> dict[str, Any]:
    right = {"successes": 66, "trials": 600, "low": 0.086, "high": 0.138, "confidence": 0.95}
    return {
        "rung": "source",
        "output": "logits",
        "classes": 10,
        "accuracy": right,
        "chance": 0.118,
        "p_value": 0.74,
        "standing": "at chance" if verdict else "too few samples",
        "verdict": verdict,
        "reason": "rung source is right on 66 of 600",
        "advice": "check labels",
        "trials": [
            {"kind": "class order", "change": "reversed", "accuracy": right, "mends": True},
        ],
        "notes": ["one thing was not tried"],
        **more,
    }


def checked(verdict: str | None) -> DataCheckSection:
    return decode(DataCheckSection, section(verdict))


def report(verdict: str | None, **more: Any) -> dict[str, Any]:
    overall = verdict or "pass"
    return with_pair(bare_report(data_check=section(verdict, **more)), overall)


def printed(verdict: str | None) -> str:
    stream = io.StringIO()
    data_check.show(checked(verdict), Console(file=stream, width=200))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("verdict", "expected"), [("inconclusive", Failure), (None, Skipped), ("pass", None)]
)
def test_junit_has_a_case_that_is_red_only_where_the_verdict_is(
    verdict: str | None, expected: type | None
) -> None:
    document = JUnitXml.fromstring(junit.render(typed(report(verdict))).encode())
    (suite,) = [suite for suite in document if suite.name == "data"]
    (case,) = list(suite)
    assert [type(outcome) for outcome in case.result] == ([expected] if expected else [])


def test_people_are_told_what_mends_it() -> None:
    for text in (
        printed("inconclusive"),
        markdown.render(typed(report("inconclusive"))),
        page.render(typed(report("inconclusive"))),
    ):
        assert "rung source is right on 66 of 600: check labels" in text
        assert "mends it" in text
    assert "one thing was not tried" in printed("inconclusive")


def test_what_suits_the_model_needs_no_word() -> None:
    assert printed("pass") == ""
    assert "66 of 600" not in markdown.render(typed(report("pass")))


def test_few_samples_are_a_note() -> None:
    assert printed(None).startswith("note: data: rung source is right on 66 of 600")


def test_names_in_it_are_text_and_nothing_else() -> None:
    hostile = report("inconclusive", reason=NASTY, output=NASTY, notes=[NASTY])
    assert "<b>" not in markdown.render(typed(hostile)).replace("&lt;b>", "")
    assert "<b>[a]" not in page.render(typed(hostile))
    JUnitXml.fromstring(junit.render(typed(hostile)).encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("inconclusive", Verdict.INCONCLUSIVE), (None, Verdict.PASS), ("pass", Verdict.PASS)],
)
def test_the_verdict_counts_it(verdict: str | None, expected: Verdict) -> None:
    for outcome, combined in (("no finding", expected), ("finding", Verdict.FINDING)):
        scan = decode(ScanSection, scan_error() | {"verdict": outcome})
        assert build.verdict([], [], scan, checked(verdict)) is combined


def test_a_check_of_the_data_alone_proves_nothing() -> None:
    assert build.verdict([], [], None, checked("pass")) is Verdict.ERROR
