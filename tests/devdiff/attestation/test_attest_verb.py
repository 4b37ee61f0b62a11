"""``devdiff attest`` and ``devdiff verify --attestation`` as a release pipeline meets them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from devdiff.attestation import keys
from devdiff.cli.main import main
from devdiff.package import schema
from tests.support.command import devdiff
from tests.support.packages import MANIFEST, package, report, tflite

if TYPE_CHECKING:
    from tests.support.html_runs import FinishedRun

pytestmark = pytest.mark.slow

MODEL, OTHER = tflite(1), tflite(2)
LADDER = {"source": b"onnx", "float": tflite(3), "int8": MODEL, "device": MODEL}


@dataclass(frozen=True)
class Pipeline:
    """A folder with a report, a pair of keys, and a package that ships the tested model."""

    folder: Path
    report: Path
    app: Path

    def sign(self, report: Path, name: str = "statement.json") -> Path:
        out = self.folder / name
        assert (
            main(["attest", str(report), "--key", f"{self.folder}/key.pem", "--out", str(out)]) == 0
        )
        return out

    def verify(self, *arguments: str | Path) -> int:
        key = self.folder / "key.pub.pem"
        return main(["verify", *map(str, arguments), "--public-key", str(key)])


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    keys.make(tmp_path / "key.pem")
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite": MODEL})
    return Pipeline(tmp_path, report(tmp_path / "report.json", LADDER), app)


def test_the_story_of_the_documents_works_in_processes_of_its_own(
    passed_run: FinishedRun, tmp_path: Path
) -> None:
    run = passed_run.folder
    secret = {keys.PASSPHRASE: "open sesame"}
    made = devdiff("attest", "--new-key", "key.pem", cwd=tmp_path, env=secret)
    assert "public key: key.pub.pem" in made.stdout, made.stderr
    signing = ("attest", run, "--key", "key.pem", "--out", "statement.dsse.json")
    assert devdiff(*signing, cwd=tmp_path).returncode == 2
    signed = devdiff(*signing, cwd=tmp_path, env=secret)
    assert "verdict: pass" in signed.stdout, signed.stderr
    checking = (
        *("verify", "--attestation", "statement.dsse.json", "--public-key", "key.pub.pem"),
        *("--report", run / "report.json", "--artifact", run / "artifacts/int8.tflite"),
    )
    checked = devdiff(*checking, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("PASS  statement.dsse.json: every step stayed within")
    model = passed_run.report["rungs"][-1]["model"]["sha256"][:12]
    assert f"tested: int8.tflite (sha256 {model}) on this machine (local)" in checked.stdout


def test_a_package_is_verified_by_a_statement_in_place_of_a_report(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = pipeline.sign(pipeline.report)
    capsys.readouterr()
    assert pipeline.verify(pipeline.app, "--attestation", statement) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("PASS  ")]
    assert [head.split(":")[0] for head in heads] == [f"PASS  {statement}", "PASS  app.apk"]
    untested = package(pipeline.folder / "other.apk", MANIFEST | {"assets/m.tflite": OTHER})
    assert pipeline.verify(untested, "--attestation", statement) == 1
    assert "FAIL  other.apk: 1 of 1 model not tested" in capsys.readouterr().out


def test_each_model_of_a_package_may_have_its_own_statement(pipeline: Pipeline) -> None:
    app = package(pipeline.folder / "two.apk", MANIFEST | {"a.tflite": MODEL, "b.tflite": OTHER})
    one = pipeline.sign(pipeline.report, "one.json")
    ladder = LADDER | {"int8": OTHER, "device": OTHER}
    two = pipeline.sign(report(pipeline.folder / "other.json", ladder), "two.json")
    assert pipeline.verify(app, "--attestation", one) == 1
    assert pipeline.verify(app, "--attestation", one, two) == 0
    assert pipeline.verify(app, "--attestation", one, "--attestation", two) == 0


@pytest.mark.parametrize(
    ("verdict", "code"), [("fail", 1), ("inconclusive", 5), ("error", 3), ("finding", 4)]
)
def test_a_statement_that_does_not_say_pass_does_not_pass(
    verdict: str, code: int, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = report(pipeline.folder / "bad.json", LADDER, verdict)
    statement = pipeline.sign(bad)
    capsys.readouterr()
    assert pipeline.verify("--attestation", statement) == code
    assert capsys.readouterr().out.startswith(verdict.upper())
    assert pipeline.verify(pipeline.app, "--attestation", statement) == code
    # Not even where the package ships another model, which did pass.
    other = package(pipeline.folder / "other.apk", MANIFEST | {"m.tflite": OTHER})
    ladder = LADDER | {"int8": OTHER, "device": OTHER}
    good = pipeline.sign(report(pipeline.folder / "good.json", ladder), "good-statement.json")
    assert pipeline.verify(other, "--attestation", good) == 0
    assert pipeline.verify(other, "--attestation", good, statement) == code


def test_with_a_statement_only_signed_reports_count(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = pipeline.sign(pipeline.report)
    ladder = LADDER | {"int8": OTHER, "device": OTHER}
    unsigned = report(pipeline.folder / "unsigned.json", ladder)
    arguments = ("--attestation", statement, "--report", pipeline.report)
    assert pipeline.verify(*arguments) == 0
    capsys.readouterr()
    assert pipeline.verify(*arguments, unsigned) == 1
    refused = capsys.readouterr()
    assert refused.out == ""
    assert "unsigned.json is not a report that was signed" in refused.err
    assert refused.err.count("\n") == 1


def test_machines_get_the_verdict_and_what_was_refused_as_json(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = pipeline.sign(pipeline.report)
    capsys.readouterr()

    def told(*arguments: str | Path) -> dict[str, Any]:
        pipeline.verify(*arguments, "--attestation", statement, "--json")
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    alone = told()
    assert (alone["verdict"], alone["exit_code"]) == ("pass", 0)
    whole = told(pipeline.app)
    jsonschema.validate(whole, schema())
    assert whole["attestations"] == alone["attestations"]
    assert list(alone["attestations"][0]["tested"].values()) == ["pass"]
    statement.write_bytes(statement.read_bytes().replace(b'"sig":"', b'"sig":"AAAA', 1))
    refused = told()
    assert (refused["verdict"], refused["exit_code"]) == ("fail", 1)
    statement.write_text("{")
    assert told()["exit_code"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "app.apk"], "name the package and, with --report or --attestation"),
        (["verify", "--report", "report.json"], "name the package"),
        (["verify", "--attestation", "s.json"], "--attestation needs --public-key"),
        (["verify", "app.apk", "--report", "r.json", "--artifact", "m"], "--artifact are for a"),
        (
            ["verify", "--attestation", "s", "--public-key", "k", "--strict-pages"],
            "are about a package: name it",
        ),
        (["attest", "--key", "key.pem"], "name the run directory or the report.json"),
        (["attest", "report.json", "--new-key", "new.pem"], "makes keys and signs nothing"),
        (["attest", "report.json", "--key", "none.pem"], "none.pem: No such file"),
        (["attest", "nowhere", "--key", "key.pem"], "nowhere does not exist"),
        (["attest", "report.json", "--key", "key.pem", "--out", "no/s.json"], "no folder no"),
        (["verify", "--attestation", "none.json", "--public-key", "key.pub.pem"], "No such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(
    arguments: list[str],
    said: str,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(pipeline.folder)
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
