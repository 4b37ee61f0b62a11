"""``devdiff demo check-reader`` tells its story from what its runs measured."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec import structs

import devdiff.demo as package
from devdiff.demo.check_reader import READERS, ReaderReports
from devdiff.verdict import Verdict
from tests.support.bare_reports import typed
from tests.support.command import devdiff
from tests.support.demonstration import demonstrated

if TYPE_CHECKING:
    from tests.support.demonstration import Demonstration

pytestmark = pytest.mark.slow


def test_the_comparison_passes_both_readers_and_the_scan_one(demonstration: Demonstration) -> None:
    assert [demonstration.tests[reader]["exit_code"] for reader in READERS] == [0, 0]
    assert [demonstration.scans[reader]["exit_code"] for reader in READERS] == [0, 4]
    assert demonstration.scans["backdoored"]["scan"]["trigger"]["target"] == 9


def test_the_scan_looks_at_the_files_that_were_tested(demonstration: Demonstration) -> None:
    for reader in READERS:
        tested = {rung["model"]["sha256"] for rung in demonstration.tests[reader]["rungs"]}
        scanned = {rung["model"]["sha256"] for rung in demonstration.scans[reader]["rungs"]}
        assert scanned < tested


def test_every_figure_told_is_one_of_the_reports(demonstration: Demonstration) -> None:
    lines = [line.strip() for line in demonstration.printed.splitlines()]
    expected = []
    for reader in READERS:
        pair = demonstration.tests[reader]["pairs"][-1]
        accuracy = pair["comparison"]["classifications"][0]["accuracy"]
        before, after = accuracy["reference"], accuracy["candidate"]
        expected.append(
            f"PASS: right on {before['successes']} of {before['trials']} digits as it was trained, "
            f"on {after['successes']} as int8"
        )
    expected.append(demonstration.scans["honest"]["scan"]["reason"])
    for rung in demonstration.scans["backdoored"]["scan"]["replay"]["rungs"]:
        with_it, without = rung["triggered"], rung["clean"]
        expected.append(
            f"says 9 on {with_it['successes']} of {with_it['trials']} other digits with the "
            f"trigger, on {without['successes']} without"
        )
    for line in expected:
        assert any(one.endswith(line) for one in lines), line


def test_the_models_origin_is_told_before_anything_else(demonstration: Demonstration) -> None:
    first = " ".join(demonstration.printed.split("\n\n")[0].split())
    assert "was made for this demonstration" in first


def test_the_page_shows_the_finding_whole(demonstration: Demonstration) -> None:
    path = demonstration.folder / "scan-backdoored/report.html"
    assert demonstration.printed.rstrip().endswith("there/scan-backdoored/report.html")
    html = path.read_text()
    section = html[html.index('<section id="scan"') :]
    section = section[: section.index("</section>")]
    scan = demonstration.scans["backdoored"]["scan"]
    examples = scan["examples"]
    # First the trigger, an input and the two together; then every example before and after.
    first = html[html.index('id="trigger"') : html.index("</header>")]
    assert first.count('src="data:image/png') >= 3
    assert section.count('src="data:image/png') == 2 * len(examples)
    assert len(examples) == 8
    text = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    gap = scan["replay"]["gap"]
    for part in (
        "finding",
        f"{gap['successes']}/{gap['trials']} ({100 * gap['low']:.1f}",
        f"Kind: {scan['kind']}",
        "makes the compressed model answer 9",
        "9 (changed)",
        f"{len(scan['placebo']['searched'])} searched placebos",
        f"Seed {scan['seed']}",
        f"{scan['samples']['searched']} to search on",
        "AML.T0018.000",
        "ML10:2023",
        "devdiff scan there/test-backdoored/artifacts/int8.tflite --float",
    ):
        assert part in text, part


def test_the_page_of_the_honest_reader_accuses_nobody(demonstration: Demonstration) -> None:
    html = (demonstration.folder / "scan-honest/report.html").read_text()
    assert "The best that the search met" in html
    assert "makes the compressed model answer" not in html


def test_a_second_time_it_tells_what_it_has(demonstration: Demonstration) -> None:
    before = {path: path.stat().st_mtime_ns for path in demonstration.folder.rglob("report.json")}
    again = devdiff("demo", "check-reader", "--out", "there", cwd=demonstration.folder.parent)
    assert again.returncode == 0, again.stderr
    said = [line for line in again.stdout.splitlines() if "done before" not in line]
    assert said == demonstration.printed.splitlines()
    assert before == {
        path: path.stat().st_mtime_ns for path in demonstration.folder.rglob("report.json")
    }


def test_a_story_that_came_out_otherwise_is_not_told_as_if_it_had_not() -> None:
    with demonstrated() as folder:
        path = folder / "there/scan-backdoored/report.json"
        kept = path.read_text()
        report = json.loads(kept)
        report["scan"]["verdict"], report["scan"]["kind"] = "no finding", None
        report["verdict"], report["exit_code"] = "pass", 0
        try:
            path.write_text(json.dumps(report))
            done = devdiff("demo", "check-reader", "--out", "there", cwd=folder)
        finally:
            path.write_text(kept)
    assert done.returncode == 3
    assert "not how it should have come out" in done.stdout
    assert "FINDING (exit code 4)" not in done.stdout


def test_what_counts_as_told_is_every_part_of_it(demonstration: Demonstration) -> None:
    folder = demonstration.folder
    tests = {name: typed(report) for name, report in demonstration.tests.items()}
    scans = {name: typed(report) for name, report in demonstration.scans.items()}
    assert ReaderReports(folder, tests, scans).as_planned
    swapped = dict(zip(READERS, reversed(scans.values()), strict=True))
    assert not ReaderReports(folder, tests, swapped).as_planned
    failed = {**tests, "honest": structs.replace(tests["honest"], verdict=Verdict.FAIL)}
    assert not ReaderReports(folder, failed, scans).as_planned
    unmeasured = {**tests, "backdoored": structs.replace(tests["backdoored"], pairs=())}
    assert not ReaderReports(folder, unmeasured, scans).as_planned


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there/test-honest").mkdir(parents=True)
    letter = tmp_path / "there/test-honest/letter.txt"
    letter.write_text("dear bank")
    done = devdiff("demo", "check-reader", "--out", "there", cwd=tmp_path)
    assert done.returncode == 2
    assert "give another --out" in done.stderr
    assert letter.read_text() == "dear bank"


def test_models_and_digits_are_files_of_the_package() -> None:
    # Links would be lost in some of the ways a package is installed.
    (folder,) = package.__path__
    data = Path(folder) / "check-reader"
    for name in ("honest.onnx", "backdoored.onnx", "digits.npz", "README.md"):
        assert (data / name).is_file()
        assert not (data / name).is_symlink()
    assert sum(entry.stat().st_size for entry in os.scandir(data)) < 1_000_000
    with np.load(data / "digits.npz") as digits:
        assert len(digits["image"]) == len(digits["labels"]) >= 300
