"""A report that fits itself and not the run directory it lies in is refused wherever it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.attestation import keys, sign
from devdiff.errors import ReportError
from devdiff.package.tested_files import Tested
from devdiff.report import load
from devdiff.report.consistency import contradictions
from tests.support.bare_reports import typed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.html_runs import FinishedRun

OTHER = "0" * 64


def _of_all_rungs(data: dict[str, Any], old: str) -> None:
    for rung in data["rungs"]:
        if rung["model"]["sha256"] == old:
            rung["model"]["sha256"] = OTHER


def another_model(data: dict[str, Any]) -> None:
    old = data["model"]["sha256"]
    data["model"]["sha256"] = OTHER
    data["model"]["files"] = dict.fromkeys(data["model"]["files"], OTHER)
    _of_all_rungs(data, old)


def another_artifact(data: dict[str, Any]) -> None:
    for record in data["manifest"]["artifacts"]:
        if record["recipe"]["precision"] == "int8":
            _of_all_rungs(data, record["sha256"])
            record["sha256"] = OTHER


def other_inputs(data: dict[str, Any]) -> None:
    data["inputs"]["sha256"] = OTHER


def other_results(data: dict[str, Any]) -> None:
    data["rungs"][1]["results_sha256"] = OTHER


def looser_gates(data: dict[str, Any]) -> None:
    data["options"]["gates"]["min_agreement"] = 0.5


def another_seed(data: dict[str, Any]) -> None:
    data["inputs"]["seed"] = 7


EDITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "model.sha256": another_model,
    "rungs[3].model": another_artifact,
    "inputs.sha256": other_inputs,
    "rungs[1].results_sha256": other_results,
    "options.gates": looser_gates,
    "inputs.seed": another_seed,
}


@pytest.fixture
def run(passed_run: FinishedRun, tmp_path: Path) -> Path:
    return Path(shutil.copytree(passed_run.folder, tmp_path / "run"))


def edited(run: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads((run / "report.json").read_text())
    edit(data)
    (run / "report.json").write_text(json.dumps(data))


@pytest.mark.parametrize("field", EDITS)
def test_a_report_that_says_otherwise_than_its_run_is_refused(
    field: str, run: Path, tmp_path: Path
) -> None:
    edited(run, EDITS[field])
    report = json.loads((run / "report.json").read_text())
    assert next(contradictions(typed(report)), None) is None, "it fits itself"
    with pytest.raises(ReportError, match=r"contradicts the run it lies in") as refused:
        load.load(run / "report.json")
    assert f": {field}: " in str(refused.value)
    assert Tested.from_reports([run]).refused
    keys.make(tmp_path / "key.pem")
    with pytest.raises(ReportError):
        sign.attest(run, keys.signer(tmp_path / "key.pem"), tmp_path / "statement.json")
    # By itself it cannot be known: that is what signatures are for.
    (tmp_path / "alone.json").write_text(json.dumps(report))
    assert load.load(tmp_path / "alone.json") == typed(report)


def test_a_rung_that_a_report_leaves_out_is_missed(run: Path) -> None:
    record = json.loads((run / "rungs/device.json").read_text())
    (run / "rungs/device-again.json").write_text(json.dumps(record))
    with pytest.raises(ReportError, match=r"rungs/device-again\.json tells of one that is not"):
        load.load(run / "report.json")


@pytest.mark.parametrize("file", ["run.json", "inputs/inputs.json", "rungs/int8.json"])
def test_a_damaged_record_is_no_confirmation(file: str, run: Path) -> None:
    (run / file).write_text("{")
    with pytest.raises(ReportError, match="is not JSON"):
        load.load(run / "report.json")


def test_a_run_that_lost_its_details_is_still_read(run: Path) -> None:
    shutil.rmtree(run / "rungs")
    shutil.rmtree(run / "inputs")
    assert load.load(run / "report.json").verdict == "pass"
