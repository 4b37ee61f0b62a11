"""What devdiff writes for programs is described by schemas that are made from its structs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec import structs

from devdiff.errors import ReportError
from devdiff.report import load
from devdiff.report.model import Report
from devdiff.system.typed_json import decode, encode
from scripts.schemas import ROOT, STRUCTS, text
from tests.support.packages import report, tflite
from tests.support.schemas import report_schema

OLD = Path(__file__).parent / "data/report-version-1.json"


@pytest.mark.parametrize("name", STRUCTS)
def test_the_schema_in_the_package_is_the_one_of_its_struct(name: str) -> None:
    """``scripts/schemas`` writes it anew."""
    kept = (ROOT / name).read_text(encoding="utf-8")
    assert kept == text(name)
    jsonschema.Draft202012Validator.check_schema(json.loads(kept))


@pytest.mark.parametrize("verdict", ["pass", "fail", "error", "inconclusive", "finding"])
def test_a_report_of_every_verdict_fits_the_schema_and_comes_back_equal(
    tmp_path: Path, verdict: str
) -> None:
    path = report(tmp_path / "report.json", {"source": b"onnx", "int8": tflite(1)}, verdict)
    read = load.load(path)
    written = json.loads(json.dumps(read.to_json(), allow_nan=False))
    jsonschema.Draft202012Validator(report_schema()).validate(written)
    assert written == json.loads(path.read_text())
    assert decode(Report, written) == read


def test_infinities_are_words_in_json_and_numbers_in_the_struct(tmp_path: Path) -> None:
    path = report(tmp_path / "report.json", {"source": b"onnx", "float": tflite(1)})
    read = load.load(path)
    (output,) = read.pairs[0].outputs
    assert output.snr_db == math.inf
    (pair, *_) = read.to_json()["pairs"]
    assert pair["comparison"]["outputs"][0]["snr_db"] == "inf"


def test_what_is_absent_is_left_out_or_null_as_the_schema_has_it(tmp_path: Path) -> None:
    path = report(tmp_path / "report.json", {"source": b"onnx", "float": tflite(1)})
    written = load.load(path).to_json()
    assert written["attribution"] is None
    assert not {"scan", "task", "data_check", "bisect"} & set(written)


@pytest.mark.parametrize("older", [False, True])
def test_a_report_of_version_1_is_read_with_what_it_lacked_filled_in(
    tmp_path: Path, older: bool
) -> None:
    """A real one, and what still older ones lacked besides."""
    data: dict[str, Any] = json.loads(OLD.read_text(encoding="utf-8"))
    assert data["schema_version"] == 1
    assert "bindings" not in data
    basis = data["basis"]
    if older:
        del data["basis"]
        for pair in data["pairs"]:
            del pair["judgement"]["outputs"]
            for output in pair["comparison"]["outputs"]:
                del output["variation"], output["variation_snr_db"]
    (tmp_path / "report.json").write_text(json.dumps(data))
    read = load.load(tmp_path / "report.json")
    assert read.schema_version == 2
    assert encode(read.basis) == basis
    assert read.bindings == ()
    assert read.verdict == data["verdict"] == "pass"
    jsonschema.Draft202012Validator(report_schema()).validate(read.to_json())


def test_a_report_of_version_1_is_held_to_its_figures_too(tmp_path: Path) -> None:
    data = json.loads(OLD.read_text(encoding="utf-8"))
    data.update(verdict="error", exit_code=3)
    (tmp_path / "report.json").write_text(json.dumps(data))
    with pytest.raises(ReportError, match="contradicts itself: verdict: error"):
        load.load(tmp_path / "report.json")
    data["pairs"][1]["comparison"]["outputs"][0]["snr_db"] = "loud"
    (tmp_path / "report.json").write_text(json.dumps(data))
    words = r"pairs\[1\]\.comparison\.outputs\[0\]\.snr_db: expected float, got str"
    with pytest.raises(ReportError, match=words):
        load.load(tmp_path / "report.json")


def test_a_report_of_another_version_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"schema_version": 3, "pairs": []}')
    with pytest.raises(ReportError, match=r"schema_version is 3, not 2; run the test again"):
        load.load(tmp_path / "report.json")


def test_a_struct_cannot_be_changed(tmp_path: Path) -> None:
    read = load.load(report(tmp_path / "report.json", {"source": b"onnx", "float": tflite(1)}))
    with pytest.raises(AttributeError):
        read.verdict = "pass"  # type: ignore[misc,assignment]
    assert structs.replace(read, summary="other").summary == "other"
