"""What changed between two runs, and which of it is worse."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import devdiff
from devdiff.changes import html, terminal, wording
from devdiff.changes.compare import compare_runs
from devdiff.changes.record import FigureChange, FigureValue, RunComparison
from devdiff.cli.main import main
from devdiff.errors import UsageError
from devdiff.options import Rules
from tests.support.html_runs import HOSTILE
from tests.support.packages import report, tflite

if TYPE_CHECKING:
    from tests.support.html_runs import FinishedRun

SCHEMA: dict[str, Any] = json.loads(
    (Path(devdiff.__file__).parent / "changes/compare.schema.json").read_text()
)
LADDER = {"source": b"onnx", "float": tflite(1), "int8": tflite(2), "device": tflite(2)}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return report(tmp_path / "run.json", LADDER)


def compared(before: Path, after: Path, **rules: Any) -> RunComparison:
    found = compare_runs(before, after, Rules(**rules))
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(written)
    assert found.exit_code == found.verdict.exit_code
    return found


def figure(found: RunComparison, measure: str, where: str) -> FigureChange:
    return next(f for f in found.figures if (f.measure, f.where) == (measure, where))


def kinds(found: RunComparison) -> list[str]:
    return [change.kind for change in found.changes]


def test_a_run_beside_itself_has_nothing_that_got_worse(run: Path) -> None:
    found = compared(run, run)
    assert (found.verdict, found.exit_code, found.summary) == ("pass", 0, "nothing got worse")
    assert not found.changes
    assert not found.settings
    assert {f.direction for f in found.figures if f.measure != "latency"} == {"same"}


def test_a_step_that_fails_now_is_worse_and_a_known_failure_is_not(
    run: Path, tmp_path: Path
) -> None:
    failed = report(tmp_path / "failed.json", LADDER, "fail")
    found = compared(run, failed)
    assert (found.verdict, found.exit_code) == ("fail", 1)
    assert found.changes[0].kind == "worse"
    assert found.summary.startswith("got worse: deployment (int8 → device), output ")
    again = compared(failed, failed)
    assert (again.verdict, set(kinds(again))) == ("pass", {"known"})
    mended = compared(failed, run)
    assert (mended.verdict, set(kinds(mended))) == ("pass", {"better"})
    assert "got better" in mended.summary


@pytest.mark.parametrize(
    ("verdict", "code"), [("error", 3), ("finding", 4), ("inconclusive", 5), ("fail", 1)]
)
def test_each_way_of_getting_worse_has_its_exit_code(
    run: Path, tmp_path: Path, verdict: str, code: int
) -> None:
    after = report(tmp_path / "after.json", LADDER, verdict)
    assert compared(run, after).exit_code == code


def test_a_model_that_no_longer_reaches_the_device_is_never_a_pass(
    run: Path, tmp_path: Path
) -> None:
    shorter = dict(list(LADDER.items())[:3])
    after = report(tmp_path / "after.json", shorter)
    found = compared(run, after)
    assert (found.verdict, found.exit_code) == ("error", 3)
    assert "cannot be compared: deployment (int8 → device)" in found.summary
    # The other way round there is only more than there was.
    assert compared(after, run).verdict == "pass"


def test_another_recipe_is_compared_on_the_model_that_ships(tmp_path: Path) -> None:
    def run(name: str, rung: str, verdict: str = "pass") -> Path:
        ladder = {"source": b"onnx", "float": tflite(1), rung: tflite(2)}
        made = report(tmp_path / f"{name}.json", ladder, verdict)
        data = json.loads(made.read_text())
        data["rungs"][-1]["time"]["median_ms"] = 1.0
        made.write_text(json.dumps(data))
        return made

    before, after = run("before", "int8"), run("after", "float16")
    found = compared(before, after)
    assert found.verdict == "pass"
    assert ("note", "compression (float → int8)") in {(c.kind, c.where) for c in found.changes}
    assert figure(found, "latency", "int8, then float16").direction == "changed"
    assert compared(before, run("failed", "float16", "fail")).exit_code == 1


def test_another_model_and_other_inputs_are_compared_and_said(run: Path, tmp_path: Path) -> None:
    data = json.loads(run.read_text())
    data["model"]["name"] = "other.onnx"
    data["inputs"]["sha256"] = "9" * 64
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    found = compared(run, other)
    assert found.verdict == "pass"
    assert "runs of two models" in found.notes[0]
    assert "samples are not paired" in found.notes[1]
    assert {(s.group, s.name) for s in found.settings} >= {("model", "name"), ("inputs", "SHA-256")}


def test_synthetic_samples_after_real_ones_are_never_a_pass(run: Path, tmp_path: Path) -> None:
    data = json.loads(run.read_text())
    data["inputs"] |= {"synthetic": True, "origin": "synthetic, seed 0", "sha256": "9" * 64}
    data["basis"]["inputs"] = "synthetic"
    after = tmp_path / "after.json"
    after.write_text(json.dumps(data))
    found = compared(run, after)
    assert (found.verdict, found.exit_code) == ("inconclusive", 5)
    assert "synthetic ones, which speak of numerics" in found.summary
    assert compared(after, run).verdict == "pass"


def test_time_on_a_device_counts_when_a_limit_is_given(run: Path, tmp_path: Path) -> None:
    data = json.loads(run.read_text())
    for rung, median in zip(data["rungs"], (1.0, 1.0, 1.0, 2.0), strict=True):
        rung["time"]["median_ms"] = median
    before = tmp_path / "before.json"
    before.write_text(json.dumps(data))
    data["rungs"][-1]["time"]["median_ms"] = 3.0
    after = tmp_path / "after.json"
    after.write_text(json.dumps(data))
    found = compared(before, after)
    assert found.verdict == "pass"
    slower = figure(found, "latency", "device")
    assert wording.delta(slower) == "+50.0 %"
    assert slower.direction == "changed"
    assert compared(before, after, max_slowdown=1.2).exit_code == 1
    assert main(["compare", str(before), str(after), "-q"]) == 0
    assert main(["compare", str(before), str(after), "-q", "--max-slowdown", "1.2"]) == 1


def test_what_was_done_otherwise_is_listed_by_group(run: Path, tmp_path: Path) -> None:
    data = json.loads(run.read_text())
    data["devdiff"] = "0.0.9"
    data["rungs"][-1]["about"]["delegate"] = "gpu"
    data["options"]["gates"] = {"max_lsb": 2}
    after = tmp_path / "after.json"
    after.write_text(json.dumps(data))
    found = compared(run, after)
    changed = {(s.group, s.name): s.after for s in found.settings}
    assert changed["versions", "devdiff"] == "0.0.9"
    assert changed["environment", "device: delegate"] == "gpu"
    assert changed["options", "max-lsb"] == "2"
    groups = [group for group, _ in found.settings_by_group()]
    assert groups == ["environment", "versions", "options"]


def test_what_is_no_finished_run_is_refused_with_the_next_step(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = tmp_path / "check"
    (check / "reader-int8-local").mkdir(parents=True)
    (check / "check.json").write_text("{}")
    shutil.copy(run, check / "reader-int8-local/report.json")
    with pytest.raises(UsageError, match=r"name one of them, as .*reader-int8-local"):
        compare_runs(run, check)
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    for name in ("run.json", "outputs.pack"):
        (outputs / name).write_text("{}")
    with pytest.raises(UsageError, match="compare outputs with devdiff diff"):
        compare_runs(run, outputs)
    assert main(["compare", str(run), str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_two_real_runs_show_what_pruning_cost(
    passed_run: FinishedRun, digits_run: FinishedRun
) -> None:
    found = compared(passed_run.folder, digits_run.folder)
    assert (found.verdict, found.exit_code) == ("fail", 1)
    agreement = figure(found, "agreement", "source → device")
    assert agreement.direction == "worse"
    assert agreement.p_value is not None
    assert agreement.p_value < 1e-6
    accuracy = figure(found, "accuracy", "device")
    assert accuracy.before is not None
    assert accuracy.before.count is not None
    assert accuracy.before.count.trials == 600
    assert accuracy.direction == "worse"
    source = next(entry for entry in found.outputs if entry.rung == "source")
    assert (source.same_model, source.same_bytes) == (True, True)
    shipped = next(entry for entry in found.outputs if entry.rung == "device")
    assert shipped.answers is not None
    assert shipped.answers.trials == 600
    assert shipped.answers.successes < 600
    assert shipped.harmed is not None
    assert shipped.repaired is not None
    assert shipped.harmed > shipped.repaired
    # The two kinds of ladder have other steps, which is no error where the model got as far.
    assert ("note", "conversion (source → float)") in {(c.kind, c.where) for c in found.changes}
    size = figure(found, "size", "int8")
    assert size.before is not None
    assert size.before == size.after
    assert figure(found, "latency", "source").p_value is not None


@pytest.mark.slow
def test_a_real_run_beside_a_copy_has_the_same_outputs(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    copy = shutil.copytree(passed_run.folder, tmp_path / "copy")
    found = compared(passed_run.folder, copy)
    assert found.verdict == "pass"
    assert {entry.same_bytes for entry in found.outputs} == {True}
    assert len(found.outputs) == 4
    # Its results are not the report's any more, and nothing is said of them.
    pack = copy / "rungs/int8.pack"
    data = bytearray(pack.read_bytes())
    data[-100] ^= 1
    pack.write_bytes(data)
    changed = next(entry for entry in compared(passed_run.folder, copy).outputs if entry.reason)
    assert changed.rung == "int8"
    assert "was changed" in changed.reason


def test_names_from_outside_are_text_on_the_page(run: Path, tmp_path: Path) -> None:
    data = json.loads(run.read_text())
    data["model"]["name"] = HOSTILE
    data["command"] = ["export-and-test", HOSTILE]
    data["rungs"][-1]["about"]["cpu"] = HOSTILE
    after = tmp_path / "after.json"
    after.write_text(json.dumps(data))
    text = html.render(compared(run, after))
    assert "<img" not in text
    assert "&lt;img src=x onerror=" in text
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "unsafe" not in policy[1]
    assert not re.search(r"\bstyle=|\bon[a-z]+=\"|<link|<iframe|@import", text)


def test_the_page_and_the_terminal_use_the_same_words(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = report(tmp_path / "failed.json", LADDER, "fail")
    page = tmp_path / "page.html"
    assert main(["compare", str(run), str(failed), "--html", str(page)]) == 1
    printed = capsys.readouterr().out
    found = compared(run, failed)
    assert printed.startswith(f"FAIL  {terminal.title(found)}\n")
    shown = " ".join(re.sub("<[^>]*>", " ", page.read_text()).split())
    for change in found.changes:
        assert change.text in printed
        assert change.text in shown
    for entry in found.figures:
        assert wording.place(entry) in printed
        assert wording.place(entry) in shown
    assert f"page: {page}" in printed


@pytest.mark.parametrize(
    ("unit", "value", "low", "high", "text"),
    [
        ("share", 0.9917, 0.981, 0.998, "99.2 % (98.1–99.8)"),
        ("dB", float("inf"), None, None, "∞ dB"),
        ("ms", 0.01234, None, None, "0.0123 ms"),
        ("bytes", 102_400.0, None, None, "102 kB"),
        ("bytes", 3_200_000.0, None, None, "3.2 MB"),
        ("", 0.5, 0.4, 0.6, "0.5 (0.4–0.6)"),
    ],
)
def test_figures_read_as_people_write_them(
    unit: Any, value: float, low: float | None, high: float | None, text: str
) -> None:
    assert wording.shown(FigureValue(value, low, high), unit) == text
    assert wording.shown(None, unit) == "–"
