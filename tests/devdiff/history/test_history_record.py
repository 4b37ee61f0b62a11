"""What the history keeps of a run is what the report says."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from devdiff.history import record
from devdiff.ladder.run_directory import read_json
from tests.support.bare_reports import typed

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.history.record import RunRecord
    from tests.support.history_runs import Like
    from tests.support.html_runs import FinishedRun


def made(run: FinishedRun, report: dict[str, Any] | None = None) -> RunRecord:
    return record.from_report(
        typed(report or run.report), read_json(run.folder / "run.json"), run.folder
    )


def test_it_has_the_figures_of_every_step_and_rung(
    passed_run: FinishedRun, passed_record: RunRecord
) -> None:
    assert (passed_record.model, passed_record.compression) == ("digits.onnx", "int8")
    assert (passed_record.device, passed_record.verdict) == ("local", "pass")
    for pair in passed_run.report["pairs"]:
        figures = passed_record.worst(pair["step"])
        assert figures is not None
        (output,) = pair["comparison"]["outputs"]
        top_1 = pair["comparison"]["classifications"][0]["top_1"]
        assert (figures.agreed, figures.answered) == (top_1["successes"], top_1["trials"])
        assert figures.max_abs_error == output["max_abs_error"]
        assert figures.snr_db == float(output["snr_db"])
    for rung in passed_run.report["rungs"]:
        assert passed_record.latency(rung["name"]) == rung["time"]["median_ms"]
    runtimes = [rung.runtime for rung in passed_record.rungs]
    assert runtimes[0] == f"onnxruntime {passed_run.report['rungs'][0]['about']['runtime_version']}"
    assert runtimes[-1] == passed_run.report["rungs"][-1]["identity"]["library"]["origin"]
    assert passed_record.rungs[-1].runtime_sha256 is not None


def test_a_run_keeps_its_key_when_its_report_is_written_again(passed_run: FinishedRun) -> None:
    later = copy.deepcopy(passed_run.report) | {
        "finished": "2027-01-01T00:00:00+00:00",
        "verdict": "fail",
    }
    assert made(passed_run, later).key == made(passed_run).key


def test_the_same_test_in_another_directory_or_begun_anew_is_another_run(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    begun = read_json(passed_run.folder / "run.json")
    key = made(passed_run).key
    assert record.from_report(typed(passed_run.report), begun, tmp_path).key != key
    again = {**begun, "started": "2027-01-01T00:00:00+00:00"}
    assert record.from_report(typed(passed_run.report), again, passed_run.folder).key != key


def test_compression_and_device_are_told_as_people_call_them(passed_run: FinishedRun) -> None:
    report = copy.deepcopy(passed_run.report)
    for rung in report["rungs"][1:]:
        rung["pruning"] = "prune:0.5"
    phone = {"serial": "emulator-5554", "model": "Pixel 7", "virtual": False}
    report["rungs"][-1]["identity"]["device"] = phone
    run = made(passed_run, report)
    assert (run.compression, run.device, run.serial) == (
        "prune:0.5+int8",
        "Pixel 7",
        "emulator-5554",
    )
    phone |= {"virtual": True, "cores": {"Cortex-A76": 4}}
    assert made(passed_run, report).device == "virtual Cortex-A76"
    del report["rungs"][-1]
    assert (made(passed_run, report).device, made(passed_run, report).serial) == ("none", None)


def test_a_recipe_is_told_by_its_name(passed_run: FinishedRun) -> None:
    report = copy.deepcopy(passed_run.report)
    for name, precision in (("int8-per-tensor", "int8"), ("float16", "float16")):
        shipped = report["manifest"]["artifacts"][-1]
        shipped["recipe"] |= {"name": name, "precision": precision}
        for rung in report["rungs"]:
            if rung["model"]["sha256"] == shipped["sha256"]:
                rung["precision"] = precision
        assert made(passed_run, report).compression == name
    report["manifest"] = None
    assert made(passed_run, report).compression == "float16"


def test_what_could_not_run_or_be_compared_is_kept_as_such(passed_run: FinishedRun) -> None:
    report = copy.deepcopy(passed_run.report)
    report["verdict"] = "error"
    report["rungs"][-1] |= {"error": "gone", "identity": {}, "about": {}}
    report["rungs"][-1]["time"] = {"wall_s": 0.0, "median_ms": None, "p90_ms": None}
    report["pairs"][2]["comparison"] = None
    report["pairs"][2]["judgement"]["verdict"] = "error"
    run = made(passed_run, report)
    deployment = run.worst("deployment")
    assert deployment is not None
    assert (deployment.verdict, deployment.output, deployment.agreement) == ("error", "", None)
    assert (run.rungs[-1].error, run.latency("device")) == ("gone", None)


def test_the_worst_output_stands_for_a_step(like: Like, passed_record: RunRecord) -> None:
    step = passed_record.steps[0]
    bad, good = (
        {"output": "bad", "agreed": 10, "answered": 600},
        {"output": "good", "agreed": 600, "answered": 600},
    )
    replaced = tuple(type(step)(**{**_fields(step), **change}) for change in (good, bad))
    worst = like("a", steps=replaced).worst(step.step)
    assert worst is not None
    assert worst.output == "bad"
    noisy = tuple(
        type(step)(**{**_fields(step), "agreed": None, "answered": None, "snr_db": snr})
        for snr in (30.0, 3.0, float("inf"))
    )
    worst = like("a", steps=noisy).worst(step.step)
    assert worst is not None
    assert worst.snr_db == 3.0


def test_its_json_is_plain(like: Like) -> None:
    told = json.loads(json.dumps(like("a").to_json(), allow_nan=False))
    deployment = next(one for one in told["steps"] if one["step"] == "deployment")
    assert (deployment["snr_db"], deployment["agreement"]) == ("inf", 1.0)


def _fields(figures: Any) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in figures.__dataclass_fields__}
