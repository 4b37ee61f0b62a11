"""What a report says of the models that were tested, and of those that were not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from devdiff.package import Tested, verify_package
from devdiff.system.errors import DevdiffError
from devdiff.verdict import Verdict
from tests.support.packages import MANIFEST, package, report, sha256, tflite

if TYPE_CHECKING:
    from pathlib import Path

ONNX, FLOAT, INT8 = b"onnx", tflite(1), tflite(2)
LADDER = {"source": ONNX, "float": FLOAT, "int8": INT8, "device": INT8}
LIBRARY: dict[str, Any] = {
    "path": "/tmp/lib.so",
    "sha256": "a" * 64,
    "version": None,
    "origin": "lib/arm64-v8a/libtensorflowlite_jni.so in app.apk",
}
PHONE: dict[str, Any] = {
    "device": {"serial": "R5", "model": "Pixel 7", "release": "14", "virtual": False},
    "runner": {"sha256": "b" * 64, "abi": "android-arm64-v8a"},
    "library": LIBRARY,
}


def changed(path: Path, rung: str, **changes: Any) -> Path:
    """The report with fields of one of its rungs changed."""
    data = json.loads(path.read_text())
    next(each for each in data["rungs"] if each["name"] == rung).update(changes)
    path.write_text(json.dumps(data))
    return path


def test_the_end_of_the_ladder_is_what_was_tested(tmp_path: Path) -> None:
    tested = Tested.from_reports([report(tmp_path / "report.json", LADDER)])
    assert list(tested.models) == [sha256(INT8)]
    model = tested.models[sha256(INT8)]
    assert (model.verdict, model.compared) == (Verdict.PASS, True)
    assert model.evidence == (str(tmp_path / "report.json"),)
    assert set(tested.steps) == {sha256(ONNX), sha256(FLOAT)}


def test_a_step_on_the_way_is_not_tested_and_the_reason_is_given(tmp_path: Path) -> None:
    tested = Tested.from_reports([report(tmp_path / "report.json", LADDER)])
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/f.tflite": FLOAT})
    check = verify_package(app, tested)
    assert check.verdict is Verdict.FAIL
    assert "only a step of the test in" in check.models[0].note


def test_a_phone_and_its_runtime_are_those_of_the_device_rung(tmp_path: Path) -> None:
    path = changed(report(tmp_path / "report.json", LADDER), "device", identity=PHONE)
    tested = Tested.from_reports([path])
    model = tested.models[sha256(INT8)]
    assert model.devices == ("Pixel 7, Android 14",)
    assert model.on_phone
    (runtime,) = tested.runtimes.values()
    assert (runtime.sha256, runtime.abi) == ("a" * 64, "android-arm64-v8a")


def test_this_machine_is_no_phone(tmp_path: Path) -> None:
    identity = {"device": "local", "library": LIBRARY}
    path = changed(report(tmp_path / "report.json", LADDER), "device", identity=identity)
    model = Tested.from_reports([path]).models[sha256(INT8)]
    assert model.devices == ("this machine (local)",)
    assert not model.on_phone


def test_a_device_that_could_not_run_is_none(tmp_path: Path) -> None:
    path = report(tmp_path / "report.json", LADDER, "error")
    tested = Tested.from_reports([changed(path, "device", identity=PHONE)])
    assert tested.runtimes == {}
    assert tested.models[sha256(INT8)].devices == ("the host only",)
    assert tested.models[sha256(INT8)].verdict is Verdict.ERROR


def test_a_device_that_names_no_library_tests_no_runtime(tmp_path: Path) -> None:
    path = changed(report(tmp_path / "report.json", LADDER), "device", identity={})
    assert Tested.from_reports([path]).runtimes == {}


@pytest.mark.parametrize(
    ("identity", "field"),
    [
        ({"library": "x"}, "library: expected object"),
        ({"library": {}}, "library: the field sha256 is missing"),
        ({"library": LIBRARY, "runner": 1}, "runner: expected object"),
        ({"kernel": "x"}, "identity: there is no field kernel"),
    ],
)
def test_an_identity_of_another_form_is_no_evidence_and_its_field_is_named(
    tmp_path: Path, identity: dict[str, Any], field: str
) -> None:
    path = changed(report(tmp_path / "report.json", LADDER), "device", identity=identity)
    tested = Tested.from_reports([path])
    assert (tested.models, tested.runtimes) == ({}, {})
    (refused,) = tested.refused
    assert field in refused.why


def test_a_scan_without_a_finding_is_no_test(tmp_path: Path) -> None:
    tested = Tested.from_reports([report(tmp_path / "scan.json", LADDER, scan="no finding")])
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite": INT8})
    check = verify_package(app, tested)
    assert check.verdict is Verdict.FAIL
    assert "no test compared it" in check.models[0].note


def test_a_finding_counts_beside_a_test_that_passed(tmp_path: Path) -> None:
    reports = [
        report(tmp_path / "test.json", LADDER),
        report(tmp_path / "scan.json", LADDER, "finding", scan="finding"),
    ]
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite": INT8})
    for order in (reports, reports[::-1], reports[1:]):
        check = verify_package(app, Tested.from_reports(order))
        assert check.verdict is Verdict.FINDING
    model = Tested.from_reports(reports).models[sha256(INT8)]
    assert len(model.evidence) == 2


def test_several_reports_know_several_models(tmp_path: Path) -> None:
    one = report(tmp_path / "one.json", {"source": ONNX, "float": FLOAT})
    two = report(tmp_path / "two.json", LADDER)
    tested = Tested.from_reports([one, two])
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/a": FLOAT, "assets/b": INT8})
    assert verify_package(app, tested).verdict is Verdict.PASS


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99}', "\x00", "[" * 9999])
def test_what_is_no_report_is_no_evidence_and_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    tested = Tested.from_reports([tmp_path])
    assert tested.models == {}
    (refused,) = tested.refused
    assert refused.evidence == str(tmp_path / "report.json")
    assert refused.why.startswith("is not ")


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevdiffError, match="does not exist"):
        Tested.from_reports([tmp_path / "nowhere.json"])
