"""A check as a page, JUnit XML and Markdown."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import xmlschema

from devdiff.gate import html, junit, markdown, record
from devdiff.gate.record import CellRecord, CheckRecord, NamedFile
from devdiff.system.typed_json import decode
from tests.support.schemas import check_schema

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parents[2] / "schemas/junit-jenkins-10.xsd"))
HOSTILE = '<img src=x> | *a* "b" & \x00\u202e'


def cell(name: str, gate: str, verdict: str | None = None, **other: Any) -> dict[str, Any]:
    model, compression, device = name.split("/")
    usual: dict[str, Any] = {
        "name": name,
        "model": model,
        "compression": compression,
        "device": device,
        "directory": name.replace("/", "-"),
        "report": f"{name.replace('/', '-')}/report.json",
        "sha256": "a" * 64,
        "verdict": verdict or gate,
        "gate": gate,
        "summary": f"it is {gate}",
        "agreement": {"agreed": 599, "samples": 600},
        "worst_step": "compression (float → int8)",
        "error": None,
        "baseline": None,
    }
    return usual | other


def changed(kind: str, text: str) -> dict[str, Any]:
    return {"verdict": "pass", "changes": [{"kind": kind, "where": "here", "text": text}]}


def made() -> CheckRecord:
    cells = [
        cell("reader/int8/local", "pass", wall_s=61.25),
        cell("reader/int8/127.0.0.1:5555", "pass", "fail", baseline=changed("known", HOSTILE)),
        cell("reader/prune:0.5/local", "fail", baseline=changed("worse", "agreement fell")),
        cell("other/int8/local", "inconclusive", wall_s=4.0),
        cell("other/int8/virtual", "finding"),
        cell("other/int8/x", "error", report=None, sha256=None, agreement=None, error=HOSTILE),
    ]
    built = record.build(
        [decode(CellRecord, entry) for entry in cells],
        notes=[f"{HOSTILE} is in the baseline and was not checked"],
        config=NamedFile("devdiff.toml", "b" * 64),
        baseline=NamedFile("known.json", "c" * 64),
        command=["check"],
    )
    jsonschema.Draft202012Validator(check_schema()).validate(built.to_json())
    return built


def test_the_worst_counts_and_the_summary_names_the_others() -> None:
    built = made()
    assert (built.verdict, built.exit_code) == ("finding", 4)
    assert built.summary == (
        "2 of 6 passed; 1 finding: other/int8/virtual; 1 error: other/int8/x; "
        "1 fail: reader/prune:0.5/local; 1 inconclusive: other/int8/local"
    )


def test_junit_has_a_case_a_run_that_is_red_when_the_check_counts_it() -> None:
    text = junit.render(made())
    SCHEMA.validate(text)
    root = ET.fromstring(text)
    cases = {
        (suite.get("name"), case.get("name"), case.get("classname")): [one.tag for one in case]
        for suite in root
        for case in suite.iter("testcase")
    }
    assert cases == {
        ("reader", "int8 on local", "reader.local"): ["system-out"],
        ("reader", "int8 on 127.0.0.1:5555", "reader.127_0_0_1:5555"): ["system-out"],
        ("reader", "prune:0.5 on local", "reader.local"): ["failure"],
        ("other", "int8 on local", "other.local"): ["failure"],
        ("other", "int8 on virtual", "other.virtual"): ["failure"],
        ("other", "int8 on x", "other.x"): ["error"],
    }
    assert [(suite.get("failures"), suite.get("errors")) for suite in root] == [
        ("1", "0"),
        ("2", "1"),
    ]
    failed = next(root.iter("failure"))
    assert failed.get("type") == "fail"
    assert failed.text is not None
    assert "worse here: agreement fell" in failed.text


def test_junit_has_the_time_that_each_run_took() -> None:
    root = ET.fromstring(junit.render(made()))
    times = {
        f"{suite.get('name')} {case.get('name')}": float(str(case.get("time")))
        for suite in root
        for case in suite.iter("testcase")
    }
    assert times["reader int8 on local"] == 61.25
    assert times["other int8 on local"] == 4.0
    assert times["other int8 on virtual"] == 0.0
    assert [float(str(suite.get("time"))) for suite in root] == [61.25, 4.0]


def test_the_page_is_a_matrix_that_leads_to_the_runs_that_have_a_page(tmp_path: Path) -> None:
    (tmp_path / "reader-int8-local").mkdir()
    (tmp_path / "reader-int8-local/report.html").touch()
    path = tmp_path / "check.html"
    html.write(made(), path)
    text = path.read_text()
    (matrix,) = re.findall(r'<table class="matrix">.*?</table>', text, re.DOTALL)
    heads = re.findall(r'<th scope="col">(.*?)</th>', matrix)
    assert heads == ["Model", "Compression", "local", "127.0.0.1:5555", "virtual", "x"]
    assert matrix.count('class="cell') == 6
    assert re.findall(r'href="([^"]+)" class="cell pass"', matrix) == [
        "reader-int8-local/report.html"
    ]
    assert "1 min 1 s" in matrix
    assert "by itself: fail" in matrix
    # The gravest comes first among what is to be looked at, and a known failure is there, too.
    (attention,) = re.findall(r'<section id="attention".*?</section>', text, re.DOTALL)
    names = re.findall(r"</span>\s+(?:<a[^>]*>)?([\w/:.]+)", attention)
    assert names[:2] == ["other/int8/virtual", "other/int8/x"]
    assert "reader/int8/127.0.0.1:5555" in names
    assert "agreement fell" in attention
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text


def test_markdown_has_a_row_a_run_and_takes_names_for_text() -> None:
    text = markdown.render(made())
    assert text.startswith("## ✗ FINDING: devdiff check\n\ndevdiff: 2 of 6 passed")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 6
    assert all(row.count(" | ") == 5 for row in rows)
    assert "- worse: here: agreement fell" in text
    assert "<img" not in text
    assert "*a*" not in text.replace("\\*", "")


def test_the_summary_of_a_workflows_step_is_appended(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    assert markdown.append_step_summary(made(), {}) is None
    environ = {"GITHUB_STEP_SUMMARY": str(summary)}
    for count in (1, 2):
        assert markdown.append_step_summary(made(), environ) == summary
        assert summary.read_text().count("## ✗ FINDING") == count
