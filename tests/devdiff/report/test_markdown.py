"""The Markdown summary: short, whole, and text from outside is only text in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from markdown_it import MarkdownIt

from devdiff.report import markdown
from devdiff.report.words import one_line
from tests.support.bare_reports import NASTY, bare_report, scan_error, typed, with_pair
from tests.support.html_runs import HOSTILE, FinishedRun

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED = {"h2", "h3", "p", "ul", "li", "strong", "code", "pre", "hr"} | {
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


def shown(text: str) -> str:
    """What a reader of the Markdown sees, after a look that there is nothing else in it."""
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert set(re.findall(r"<([a-zA-Z][\w-]*)", html)) <= ALLOWED
    assert "<!--" not in html
    plain = re.sub(r"<[^>]*>", " ", html).replace("&lt;", "<").replace("&gt;", ">")
    return " ".join(plain.replace("&quot;", '"').replace("&amp;", "&").split())


def cells(text: str) -> set[int]:
    """How many cells the rows of each table have, in a set for all of them."""
    html = MarkdownIt("commonmark").enable("table").render(text)
    return {
        len(set(re.findall(r"<t[hd]", row)) and re.findall(r"<t[hd][ >]", row))
        for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    }


def test_a_rung_that_could_not_run_stands_in_the_summary() -> None:
    text = shown(markdown.render(typed(bare_report())))
    assert text.startswith("! ERROR: m.onnx devdiff: rung source could not run")
    assert "the runtime <died>" in text
    assert "devdiff export-and-test m.onnx --inputs 'my photos'" in text


@pytest.mark.parametrize(
    ("verdict", "sign"), [("fail", "✗"), ("inconclusive", "?"), ("error", "!"), ("pass", "✓")]
)
def test_what_stands_against_a_step_is_told(verdict: str, sign: str) -> None:
    text = shown(markdown.render(typed(with_pair(bare_report(), verdict))))
    assert f"source → device all outputs {sign} {verdict}" in text
    told = f"{verdict} , deployment (source → device): for a reason"
    assert (told in text) == (verdict != "pass")


def test_a_step_that_does_not_count_stands_in_brackets() -> None:
    report = with_pair(bare_report(), "fail", gates=False)
    report["pairs"] += with_pair(bare_report(), "pass")["pairs"]
    text = shown(markdown.render(typed(report)))
    assert "(✗ fail)" in text
    assert "for a reason" not in text


def test_a_scan_that_could_not_be_made_says_why() -> None:
    text = shown(markdown.render(typed(bare_report(scan=scan_error()))))
    assert "Scan: ! error The scan says: there are too few samples" in text


def test_names_from_outside_are_text_in_every_place() -> None:
    report = with_pair(bare_report(), "fail")
    report["model"]["name"] = report["rungs"][0]["name"] = report["pairs"][0]["reference"] = NASTY
    report["pairs"][0]["judgement"]["reasons"] = [NASTY, "# no heading", "```"]
    report["inputs"]["origin"] = report["summary"] = NASTY
    report["rungs"][0]["error"] = "1. no list"
    report["command"] = ["scan", NASTY, "````\n</code>"]
    report["scan"] = scan_error(NASTY)
    text = markdown.render(typed(report))
    seen = shown(text)
    assert cells(text) == {5, 9}
    kept = (
        "=x|`*_]]>&<b>[a](https:\u200b//evil.example)\\u0000\\u001b[31m\\ud800\\u202e "
        "www\u200b.evil.example @\u200bsomeone"
    )
    assert seen.count(kept) >= 6


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "a\\|b",
        "\\",
        "|",
        "a\n\n# b",
        "<details>",
        "&lt;",
        "~~a~~",
        "- a",
        "![a](b)",
    ],
)
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert shown(f"x {markdown.plain(text)}") == f"x {one_line(text)}"
    table = markdown.table(("a", "b"), [(markdown.plain(text), "c")])
    assert shown(table) == f"a b {one_line(text)} c"


def test_long_text_is_cut_and_a_report_too_large_for_github_is_only_its_headline() -> None:
    assert markdown.plain("x" * 50, 10) == f"{'x' * 9}…"
    report = bare_report(summary="&" * 5000)
    report["rungs"] *= 1000
    for rung in report["rungs"]:
        rung["error"] = "&" * 5000
    text = markdown.render(typed(report))
    assert len(text) < 5000
    assert "There is too much to show here" in text


def test_many_rows_are_cut_but_none_of_those_that_failed() -> None:
    report = with_pair(bare_report(), "pass")
    report["pairs"] = report["pairs"] * 300 + with_pair(bare_report(), "fail")["pairs"]
    text = shown(markdown.render(typed(report)))
    assert text.count("✓ pass") == 99
    assert text.count("✗ fail") == 1
    assert "201 more rows are in report.json." in text


def test_the_summary_of_a_step_is_appended_where_github_wants_it(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    environ = {markdown.SUMMARY_VARIABLE: str(path)}
    report = bare_report()
    assert markdown.append_step_summary(typed(report), {}) is None
    assert markdown.append_step_summary(typed(report), environ) == path
    assert path.read_text() == f"before\n{markdown.render(typed(report))}\n"
    path.write_bytes(b"x" * (markdown.SUMMARY_BYTES - 200))
    assert markdown.append_step_summary(typed(report), environ) == path
    assert path.read_bytes().endswith(b"this machine; nothing was compared\n\n")
    path.write_bytes(b"x" * (markdown.SUMMARY_BYTES - 10))
    assert markdown.append_step_summary(typed(report), environ) is None
    assert path.stat().st_size == markdown.SUMMARY_BYTES - 10


@pytest.mark.slow
def test_a_real_finding_is_told_with_its_rates(scanned_run: FinishedRun) -> None:
    text = shown(markdown.render(typed(scanned_run.report)))
    assert text.startswith("✗ FINDING: reader.onnx")
    gap = scanned_run.report["scan"]["replay"]["rungs"][-1]["triggered"]
    assert f"rung device: {gap['successes']}/{gap['trials']}" in text
    assert "threat AML.T0018.000: MITRE ATLAS: Poison AI Model" in text


@pytest.mark.slow
def test_a_real_run_shows_every_step_and_the_accuracy(digits_run: FinishedRun) -> None:
    text = markdown.render(typed(digits_run.report))
    assert cells(text) == {6, 9}
    assert "compression float → int8 logits" in shown(text)


@pytest.mark.slow
def test_a_real_run_with_hostile_names_is_only_text(hostile_run: FinishedRun) -> None:
    text: Any = shown(markdown.render(typed(hostile_run.report)))
    assert HOSTILE in text
