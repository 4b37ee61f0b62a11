"""``--limit``: a smoke run says in every format that it is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devdiff.cli.main import main, parser
from devdiff.errors import ReportError
from devdiff.report import load
from tests.support.command import DATA, DIGITS, HELDOUT, devdiff
from tests.support.html_runs import FinishedRun, finished_run

if TYPE_CHECKING:
    from pathlib import Path

LIMITED = "limited to 100 of 600 samples"
BASIS = "100 of 600 real labelled samples (--limit)"


@pytest.fixture(scope="session")
def limited_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    return finished_run(tmp_path_factory.mktemp("limited"), DIGITS, *DATA, "--limit", "100")


@pytest.mark.slow
def test_a_limited_pass_is_a_pass_that_says_so_in_every_format(
    limited_run: FinishedRun, tmp_path: Path
) -> None:
    report = limited_run.report
    assert (report["verdict"], report["exit_code"]) == ("pass", 0)
    assert LIMITED in report["summary"]
    assert report["basis"]["available"] == report["inputs"]["available"] == 600
    assert report["inputs"]["calibration"]["samples"] == 200
    first, _cause, second, *_ = limited_run.printed.splitlines()
    assert first.startswith("PASS  digits.onnx: ")
    assert LIMITED in first
    assert BASIS in second
    words = ["report", str(limited_run.folder)]
    for name in ("html", "junit", "markdown", "csv"):
        words += [f"--{name}", str(tmp_path / name)]
    assert main(words) == 0
    # Its rows are those samples, and the page of numbers says nothing else of a verdict.
    assert len((tmp_path / "csv").read_text().splitlines()) == 101
    assert BASIS in (tmp_path / "junit").read_text()
    assert "100 of 600 (--limit)" in (tmp_path / "html").read_text()
    assert BASIS in (tmp_path / "markdown").read_text().replace("\\", "")


@pytest.mark.slow
def test_the_files_are_those_of_the_whole_run(
    limited_run: FinishedRun, passed_run: FinishedRun
) -> None:
    hashes = [
        [artifact["sha256"] for artifact in run.report["manifest"]["artifacts"]]
        for run in (limited_run, passed_run)
    ]
    assert hashes[0] == hashes[1]
    assert "available" not in passed_run.report["basis"]
    assert "limited" not in passed_run.printed


@pytest.mark.slow
def test_a_report_that_hides_its_limit_contradicts_itself(
    limited_run: FinishedRun, tmp_path: Path
) -> None:
    for name, value in (("basis", None), ("inputs", None), ("inputs", 50)):
        hidden = json.loads(json.dumps(limited_run.report))
        hidden[name]["available"] = value
        (tmp_path / "report.json").write_text(json.dumps(hidden))
        with pytest.raises(ReportError, match=r"available"):
            load.load(tmp_path / "report.json")


def test_every_verb_that_takes_inputs_has_it() -> None:
    verbs = parser().subparsers()
    takes = {name for name, verb in verbs.items() if "--inputs" in verb.options()}
    limits = {name for name, verb in verbs.items() if "--limit" in verb.options()}
    # That of the history is how many runs are shown.
    assert takes == limits - {"history"}
    assert takes >= {"export-and-test", "scan", "export", "run", "bisect", "check", "inputs"}


@pytest.mark.slow
def test_a_limited_check_says_so_and_is_not_held_to_the_whole_ones_baseline(
    tmp_path: Path,
) -> None:
    (tmp_path / "devdiff.toml").write_text(
        f'[models.digits]\nmodel = "{DIGITS}"\ninputs = "{HELDOUT}"\ndevices = "none"\n'
        f'preprocess = "{DATA[-1]}"\n[baseline]\nfile = "gone.json"\n[retention]\nkeep-runs = 1\n'
    )
    for number in (1, 2):
        done = devdiff("check", "--limit", "100", "--junit", "j.xml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"PASS  1 of 1 passed; {LIMITED}")
        assert "not held to gone.json, which is of all samples" in done.stderr
        assert BASIS.partition(" real")[0] in (tmp_path / "j.xml").read_text()
        assert len(list((tmp_path / "devdiff-checks").iterdir())) == 1
        assert ("1 earlier check removed" in done.stderr) == (number == 2)
    (kept,) = (tmp_path / "devdiff-checks").glob("*/check.json")
    assert json.loads(kept.read_text())["cells"][0]["basis"]["available"] == 600


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5"])
def test_a_limit_is_a_number_from_1_up(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-and-test", "m.onnx", f"--limit={value}"]) == 2
    assert "is no whole number of at least 1" in capsys.readouterr().err
