"""``devdiff report``: every format from what a run left, and a line for what cannot be made."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from devdiff.report import markdown
from tests.support.bare_reports import bare_report, typed
from tests.support.command import devdiff

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.html_runs import FinishedRun


@pytest.mark.slow
def test_a_run_says_where_its_page_is_and_the_verb_makes_it_again(
    digits_run: FinishedRun, tmp_path: Path
) -> None:
    first = digits_run.folder / "report.html"
    assert "page: run/report.html" in digits_run.printed
    done = devdiff("report", digits_run.folder, "--html", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "page: page.html\n"), done.stderr
    assert (tmp_path / "page.html").read_bytes() == first.read_bytes()
    shutil.copy(digits_run.folder / "report.json", tmp_path / "kept.json")
    done = devdiff("report", "kept.json", "--html", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "made from report.json alone" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json", "is not JSON"),
        ("[1]", "is not a JSON object"),
        ("{}", "it has no schema_version"),
        ('{"schema_version": 99}', "its schema_version is 99, not 2"),
        ('{"schema_version": 1}', "is not a report of this devdiff"),
    ],
)
def test_what_is_no_report_is_refused_in_a_line(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    done = devdiff("report", "report.json", "--html", "page.html", cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


@pytest.mark.slow
def test_a_run_that_did_not_finish_is_told_from_no_run(tmp_path: Path) -> None:
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun/run.json").write_text(json.dumps({}))
    begun = devdiff("report", "begun", "--html", "page.html", cwd=tmp_path)
    missing = devdiff("report", "nowhere", "--html", "page.html", cwd=tmp_path)
    assert (begun.returncode, missing.returncode) == (2, 2)
    assert begun.stderr.endswith("does not exist: its run did not finish\n")
    assert missing.stderr.endswith("nowhere does not exist\n")


@pytest.mark.parametrize(
    ("place", "told"), [("none/page.html", "there is no folder none"), (".", "is a folder")]
)
def test_a_place_that_cannot_hold_the_page_is_told_first(
    place: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text("{}")
    done = devdiff("report", "report.json", "--html", place, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.slow
def test_several_formats_are_made_in_one_call(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(bare_report()))
    flags = ("--html", "a.html", "--junit", "b.xml", "--markdown", "c.md")
    done = devdiff("report", "report.json", *flags, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "page: a.html\njunit: b.xml\nmarkdown: c.md\n"
    assert (tmp_path / "c.md").read_text() == markdown.render(typed(bare_report()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "give --html FILE, --junit FILE, --sarif FILE, --markdown FILE or --csv FILE"),
        (("--junit", "a.xml", "--sarif", "a.sarif"), "there is no scan in this report"),
        (("--junit", "a.xml", "--csv", "a.csv"), "a CSV needs the run directory"),
        (("--junit", "a", "--markdown", "./a"), "--junit and --markdown name the same file: a"),
        (("--markdown", "a.md", "--junit", "none/a.xml"), "there is no folder none"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_line_before_anything_is_written(
    flags: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    (tmp_path / "report.json").write_text(json.dumps(bare_report()))
    done = devdiff("report", "report.json", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_report_that_says_no_number_is_refused(tmp_path: Path) -> None:
    report = bare_report()
    report["rungs"][0]["time"]["wall_s"] = float("nan")
    (tmp_path / "report.json").write_text(json.dumps(report))
    done = devdiff("report", "report.json", "--junit", "a.xml", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is not JSON" in done.stderr


@pytest.mark.slow
def test_a_step_of_a_workflow_gets_the_summary_and_does_without_if_it_must(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(bare_report()))
    arguments = ("report", "report.json", "--junit", "a.xml")
    summary = tmp_path / "summary.md"
    done = devdiff(*arguments, cwd=tmp_path, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert (done.returncode, done.stderr) == (0, "")
    assert summary.read_text() == f"{markdown.render(typed(bare_report()))}\n"
    done = devdiff(*arguments, cwd=tmp_path, env={"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert done.returncode == 0
    assert done.stderr.startswith("note: no summary of this step: ")


@pytest.mark.slow
def test_a_test_and_a_scan_leave_their_summary_too(
    broken_run: FinishedRun, scanned_run: FinishedRun
) -> None:
    for run in (broken_run, scanned_run):
        summary = (run.folder.parent / "summary.md").read_text()
        assert summary == f"{markdown.render(typed(run.report))}\n"


@pytest.mark.slow
def test_a_scan_has_every_format(scanned_run: FinishedRun, tmp_path: Path) -> None:
    flags = ("--html", "--junit", "--sarif", "--markdown", "--csv")
    wanted = [word for flag in flags for word in (flag, flag.strip("-"))]
    done = devdiff("report", scanned_run.folder, *wanted, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(wanted[1::2])
