"""``devdiff report``: a page from what a run left, and a line for what is no run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import devdiff
from html_runs import FinishedRun


@pytest.mark.slow
def test_a_run_says_where_its_page_is_and_the_verb_makes_it_again(
    digits_run: FinishedRun, tmp_path: Path
) -> None:
    first = digits_run.folder / "report.html"
    assert f"page: {first}" in digits_run.printed
    done = devdiff("report", digits_run.folder, "--html", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "page: page.html\n"), done.stderr
    assert (tmp_path / "page.html").read_bytes() == first.read_bytes()
    shutil.copy(digits_run.folder / "report.json", tmp_path / "kept.json")
    done = devdiff("report", "kept.json", "--html", "page.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "made from report.json alone" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("not json", "is not JSON"),
        ("[1]", "is not a JSON object"),
        ("{}", "its schema_version is None"),
        ('{"schema_version": 99}', "its schema_version is 99, not 1"),
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
