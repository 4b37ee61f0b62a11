"""A pass on synthetic samples, or on few, is no test of a model unless that was said."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devdiff.attestation import keys
from devdiff.cli.main import main
from devdiff.errors import UsageError
from devdiff.gate.config import Config
from devdiff.gate.requirements import Basis, Requirements
from devdiff.package import Tested, verify_package
from devdiff.verdict import Verdict
from tests.support.command import DIGITS, devdiff
from tests.support.packages import MANIFEST, REAL, SAMPLES, known, package, report, tflite

MODEL = tflite(1)
LADDER = {"source": b"onnx", "float": tflite(3), "int8": MODEL}
SYNTHETIC = Basis(100, synthetic=True, labelled=False)
FEW = Basis(3, synthetic=False, labelled=True)


def inputs(samples: int = SAMPLES, synthetic: bool = False) -> dict[str, Any]:
    return {
        "origin": "synthetic, seed 0" if synthetic else "samples.npz",
        "samples": samples,
        "synthetic": synthetic,
        "labelled": False,
        "sha256": "0" * 64,
        "preprocess": {},
        "seed": 0,
        "calibration": {"origin": "a part of them", "samples": 5},
        "notes": [],
    }


@pytest.mark.parametrize(
    ("basis", "required", "words"),
    [
        (REAL, Requirements(), None),
        (SYNTHETIC, Requirements(), "100 synthetic samples, which speak of numerics"),
        (SYNTHETIC, Requirements(accept_synthetic=True), None),
        (SYNTHETIC, Requirements(200, accept_synthetic=True), "--min-samples 100"),
        (FEW, Requirements(), "3 labelled samples, and 8 are required"),
        (FEW, Requirements(min_samples=3), None),
    ],
)
def test_a_basis_is_enough_or_the_reason_says_what_would_be(
    basis: Basis, required: Requirements, words: str | None
) -> None:
    refusal = required.refusal(basis)
    assert (refusal is None) == (words is None)
    assert words is None or words in str(refusal)


@pytest.mark.parametrize("basis", [SYNTHETIC, FEW])
def test_a_model_that_passed_on_too_little_is_untested(tmp_path: Path, basis: Basis) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    tested = known(MODEL, basis=basis)
    check = verify_package(app, tested)
    assert check.verdict is Verdict.FAIL
    assert check.models[0].untested
    assert "passed on" in check.models[0].note
    assert not check.models[0].to_json()["tested"]
    told = Requirements(min_samples=1, accept_synthetic=True)
    assert verify_package(app, tested, requirements=told).verdict is Verdict.PASS


def test_one_run_that_is_enough_stands_for_others_that_are_not(tmp_path: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    both = known(MODEL, basis=SYNTHETIC).joined(known(MODEL))
    assert verify_package(app, both).verdict is Verdict.PASS
    failed = known(MODEL, basis=SYNTHETIC).joined(known(MODEL, verdict=Verdict.FAIL))
    assert verify_package(app, failed).verdict is Verdict.FAIL


def test_a_report_says_what_it_stands_on(tmp_path: Path) -> None:
    tested = Tested.from_reports([report(tmp_path / "report.json", LADDER)])
    (model,) = tested.models.values()
    assert model.bases == (REAL,)
    failed = Tested.from_reports([report(tmp_path / "report.json", LADDER, "fail")])
    (model,) = failed.models.values()
    assert model.bases == ()


def test_verify_asks_for_real_inputs_and_enough_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    said = report(tmp_path / "report.json", LADDER, inputs=inputs(synthetic=True))

    def verify(*options: str) -> int:
        return main(["verify", str(app), "--report", str(said), *options])

    assert verify() == 1
    assert "or take it with --accept-synthetic" in capsys.readouterr().out
    assert verify("--require-real-inputs") == 1
    assert verify("--accept-synthetic") == 0
    assert verify("--accept-synthetic", "--min-samples", "11") == 1
    assert verify("--accept-synthetic", "--require-real-inputs") == 2


def test_a_statement_says_what_it_stands_on_and_is_held_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, public, out = (str(tmp_path / name) for name in ("key.pem", "key.pub.pem", "s.json"))
    keys.make(Path(key))
    said = report(tmp_path / "report.json", LADDER, inputs=inputs(synthetic=True))

    def predicate(*options: str) -> dict[str, Any]:
        assert main(["attest", str(said), "--key", key, "--out", out, *options]) == 0
        payload = json.loads(Path(out).read_text())["payload"]
        found: dict[str, Any] = json.loads(base64.b64decode(payload))["predicate"]
        return found

    found = predicate()
    assert found["result"] == "WARNED"
    assert "synthetic" in found["warnedTests"][0]
    basis = {"samples": SAMPLES, "inputs": "synthetic", "labelled": False}
    assert found["devdiff"]["basis"] == basis
    assert predicate("--accept-synthetic")["result"] == "PASSED"
    checking = ["verify", "--attestation", out, "--public-key", public]
    capsys.readouterr()
    assert main(checking) == 5
    assert capsys.readouterr().out.startswith("INCONCLUSIVE  ")
    assert main([*checking, "--json"]) == 5
    (told,) = json.loads(capsys.readouterr().out)["attestations"]
    assert told["verdict"] == "pass"
    assert "--accept-synthetic" in told["refused"]
    assert main([*checking, "--accept-synthetic"]) == 0
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    assert main([checking[0], str(app), *checking[1:]]) == 1
    assert main([checking[0], str(app), *checking[1:], "--accept-synthetic"]) == 0


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("", Requirements()),
        ("[defaults]\nmin-samples = 300", Requirements(min_samples=300)),
        ("[defaults]\naccept-synthetic = true", Requirements(accept_synthetic=True)),
        ("[defaults]\nrequire-real-inputs = true", Requirements()),
    ],
)
def test_the_configuration_says_what_is_required(
    tmp_path: Path, text: str, required: Requirements
) -> None:
    path = tmp_path / "devdiff.toml"
    path.write_text(f'{text}\n[models.m]\nmodel = "m.onnx"\n')
    (entry,) = Config.load(path).entries
    assert [cell.requirements for cell in entry.cells()] == [required]


def test_a_models_own_requirements_stand_before_those_of_all(tmp_path: Path) -> None:
    path = tmp_path / "devdiff.toml"
    head, tail = "[defaults]\naccept-synthetic = true\n", "require-real-inputs = true"
    path.write_text(f'{head}[models.m]\nmodel = "m.onnx"\n{tail}\n[models.n]\nmodel = "n.onnx"\n')
    entries = Config.load(path).entries
    assert [entry.requirements.accept_synthetic for entry in entries] == [False, True]
    path.write_text(f'[models.m]\nmodel = "m.onnx"\n{tail}\naccept-synthetic = true\n')
    with pytest.raises(UsageError, match=r"\[models\.m\] has both"):
        Config.load(path)


@pytest.mark.slow
def test_a_check_counts_no_pass_on_synthetic_samples(tmp_path: Path) -> None:
    config = f'[models.digits]\nmodel = "{DIGITS}"\ndevices = "none"\n'
    (tmp_path / "devdiff.toml").write_text(config)
    done = devdiff("check", "--json", "--junit", "check.xml", cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["verdict"], cell["gate"]) == ("pass", "inconclusive")
    assert cell["basis"]["inputs"] == "synthetic"
    assert "--accept-synthetic" in cell["refused"]
    assert "<failure" in (tmp_path / "check.xml").read_text()
    done = devdiff("check", "--accept-synthetic", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(DIGITS.with_name("heldout.npz")) as data:
        np.savez(tmp_path / "few.npz", image=data["image"][:40])
    (tmp_path / "devdiff.toml").write_text(
        f'{config}inputs = "few.npz"\npreprocess = "scale=1/255"\nmin-samples = 1000\n'
    )
    done = devdiff("check", "--baseline", "devdiff-checks", "--allow-other-inputs", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    done = devdiff("check", cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert "1000 are required" in done.stdout
