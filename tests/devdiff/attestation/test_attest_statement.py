"""A statement says what the report says, in words that other tools know."""

from __future__ import annotations

import base64
import copy
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2

from devdiff.attestation import check, keys, sign, statement
from devdiff.errors import AttestationError, UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.package import Tested
from devdiff.system.typed_json import fields
from devdiff.verdict import Verdict
from tests.support.bare_reports import scan_error, typed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.html_runs import FinishedRun

pytestmark = pytest.mark.slow

SHA = "ab" * 32


def made(report: dict[str, Any]) -> dict[str, Any]:
    return fields(statement.make(typed(report), SHA))


def test_its_subjects_are_the_files_that_ran_and_their_source(passed_run: FinishedRun) -> None:
    artifacts = passed_run.folder / "artifacts"
    subjects = made(passed_run.report)["subject"]
    assert {one["name"]: one["annotations"]["rungs"] for one in subjects} == {
        "digits.onnx": ["source"],
        "float.tflite": ["float"],
        "int8.tflite": ["int8", "device"],
    }
    named = {one["name"]: one["digest"]["sha256"] for one in subjects}
    for name in ("float.tflite", "int8.tflite"):
        assert named[name] == sha256_file(artifacts / name)


def test_in_totos_own_test_result_can_be_read_from_it(passed_run: FinishedRun) -> None:
    predicate = made(passed_run.report)["predicate"]
    known = {key: value for key, value in predicate.items() if key != "devdiff"}
    result = json_format.ParseDict(known, test_result_pb2.TestResult())
    assert result.result == "PASSED"
    assert list(result.passed_tests) == [
        "conversion: source to float",
        "compression: float to int8",
        "deployment: int8 to device",
    ]
    digests = {one.name: one.digest["sha256"] for one in result.configuration}
    device = passed_run.report["rungs"][-1]["identity"]
    assert digests["runtime library on device"] == device["library"]["sha256"]
    assert digests["native runner on device"] == device["runner"]["sha256"]
    assert digests["inputs"] == passed_run.report["inputs"]["sha256"]


@pytest.mark.parametrize("verdict", ["fail", "inconclusive", "error", "finding"])
def test_what_did_not_pass_is_not_passed_and_says_where(
    verdict: str, passed_run: FinishedRun
) -> None:
    report = copy.deepcopy(passed_run.report)
    report["verdict"] = verdict
    if verdict == "finding":
        report["scan"] = scan_error("obeys a patch") | {"verdict": "finding", "kind": "planted"}
        failed = "scan"
    elif verdict == "error":
        report["rungs"][-1]["error"] = "the device went away"
        failed = "rung device"
    else:
        report["pairs"][1]["judgement"]["verdict"] = verdict
        failed = "compression: float to int8"
    predicate = made(report)["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["failedTests"] == [failed]
    assert predicate["devdiff"]["verdict"] == verdict


def test_two_files_of_one_name_stay_apart(passed_run: FinishedRun) -> None:
    report = copy.deepcopy(passed_run.report)
    for rung in report["rungs"][1:]:
        rung["model"]["file"] = "model.tflite"
    names = [one["name"] for one in made(report)["subject"]]
    assert names[1] == "model.tflite"
    assert names[2].startswith("model.tflite (")


def test_the_signature_is_what_dsse_and_ed25519_say(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    """Checked without the library that signed."""
    key = tmp_path / "key.pem"
    public = keys.make(key)
    signed = sign.attest(passed_run.folder, keys.signer(key), tmp_path / "statement.json")
    envelope = json.loads(signed.path.read_text())
    payload = base64.b64decode(envelope["payload"])
    kind = b"application/vnd.in-toto+json"
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    loaded: Any = load_pem_public_key(public.read_bytes())
    loaded.verify(base64.b64decode(envelope["signatures"][0]["sig"]), encoded)
    assert json.loads(payload) == fields(signed.statement)
    assert envelope["payloadType"] == kind.decode()


def test_what_was_signed_verifies_and_gives_its_verdict_to_what_ran(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    public = keys.make(key)
    sign.attest(passed_run.folder, keys.signer(key), tmp_path / "statement.json")
    found = check.read(tmp_path / "statement.json", public)
    artifacts = passed_run.folder / "artifacts"
    check.check_files([found], [passed_run.folder], [artifacts / "int8.tflite"])
    with pytest.raises(AttestationError, match="only a step of the test of another model"):
        check.check_files([found], [], [artifacts / "float.tflite"])
    told = found.to_json()
    device = passed_run.report["rungs"][-1]
    assert told["tested"] == {device["model"]["sha256"]: "pass"}
    assert told["runtimes"] == [device["identity"]["library"]["sha256"]]
    assert told["report_sha256"] == sha256_file(passed_run.folder / "report.json")


def test_a_statement_and_its_report_say_the_same_of_what_was_tested(
    passed_run: FinishedRun,
) -> None:
    report = typed(passed_run.report)
    excerpt = statement.make(report, SHA).predicate.devdiff
    assert Tested.from_report(excerpt, "it") == Tested.from_report(report, "it")


def test_no_path_of_the_machine_that_tested_is_published(passed_run: FinishedRun) -> None:
    published = json.dumps(made(passed_run.report))
    assert str(passed_run.folder.parent) not in published
    assert "/heldout.npz" not in published
    assert passed_run.report["rungs"][-1]["identity"]["library"]["path"] not in published


def test_a_phone_is_told_by_what_it_is(passed_run: FinishedRun) -> None:
    report = copy.deepcopy(passed_run.report)
    facts = {
        "serial": "0A1B",
        "platform": "android",
        "model": "Pixel 7",
        "release": "14",
        "api": 34,
        "abis": ["arm64-v8a"],
        "soc": "",
        "cores": {},
        "cpu_features": [],
        "machine": "aarch64",
        "kernel": "5.10",
        "free_bytes": None,
        "emulator": False,
        "virtual": False,
        "runner_abi": "arm64-v8a",
    }
    report["rungs"][-1]["identity"]["device"] = facts
    report["rungs"][-1]["identity"]["runner"]["abi"] = "arm64-v8a"
    excerpt = statement.make(typed(report), SHA).predicate.devdiff
    (model,) = Tested.from_report(excerpt, "it").models.values()
    assert model.devices == ("Pixel 7, Android 14",)
    assert model.on_phone


def test_a_scan_alone_is_no_test_of_an_artifact(passed_run: FinishedRun, tmp_path: Path) -> None:
    report = copy.deepcopy(passed_run.report)
    for pair in report["pairs"]:
        pair["gates"] = pair["step"] == "conversion"
    found = check.Attested("it", statement.make(typed(report), SHA), "key", Verdict.PASS)
    with pytest.raises(AttestationError, match="was scanned, but no test compared it"):
        check.check_files([found], [], [passed_run.folder / "artifacts/int8.tflite"])


def test_a_statement_lies_beside_its_report_for_others_to_read(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    shutil.copytree(passed_run.folder, tmp_path / "run")
    keys.make(tmp_path / "key.pem")
    signed = sign.attest(tmp_path / "run", keys.signer(tmp_path / "key.pem"))
    assert signed.path == tmp_path / "run/statement.dsse.json"
    assert signed.path.stat().st_mode & 0o777 == 0o644


def test_an_artifact_that_was_changed_after_the_test_is_not_signed(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    shutil.copytree(passed_run.folder, tmp_path / "run")
    keys.make(tmp_path / "key.pem")
    signer = keys.signer(tmp_path / "key.pem")
    artifact = tmp_path / "run/artifacts/int8.tflite"
    with artifact.open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(AttestationError, match=r"int8\.tflite was changed after it was tested"):
        sign.attest(tmp_path / "run", signer)
    artifact.unlink()
    with pytest.raises(AttestationError, match=r"int8\.tflite is gone"):
        sign.attest(tmp_path / "run", signer)
    assert not (tmp_path / "run/statement.dsse.json").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"predicateType": "https://slsa.dev/provenance/v1"}, "predicateType"),
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "_type"),
        ({"subject": []}, "subject"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_statement_of_another_kind_is_refused(
    change: dict[str, Any], told: str, passed_run: FinishedRun
) -> None:
    other = {**made(passed_run.report), **change}
    with pytest.raises(UsageError, match=told):
        statement.read(json.dumps(other).encode(), "it")
