"""A verification as a page, JUnit XML and SARIF: red when, and only when, the verdict is."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema

from devdiff.cli.main import main
from devdiff.package.rules import RULES
from devdiff.report.rules import RULES as SCAN_RULES
from tests.support.html_runs import HOSTILE
from tests.support.packages import JNI, MANIFEST, library, package, report, tflite

SCHEMAS = Path(__file__).parents[2] / "schemas"
JUNIT = xmlschema.XMLSchema(str(SCHEMAS / "junit-jenkins-10.xsd"))
SARIF = json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
MODEL, OTHER = tflite(1), tflite(2)
LADDER = {"source": b"onnx", "float": tflite(3), "int8": MODEL, "device": MODEL}


class Formats:
    """What ``verify`` wrote, each held against its schema."""

    def __init__(self, folder: Path, *words: str | Path, verb: str = "verify") -> None:
        files = [folder / name for name in ("page.html", "junit.xml", "verify.sarif")]
        asked = [f"--{name}" for name in ("html", "junit", "sarif")]
        options = [word for pair in zip(asked, map(str, files), strict=True) for word in pair]
        self.code = main([verb, *map(str, words), *options])
        self.page, self.junit, sarif = (path.read_text() for path in files)
        JUNIT.validate(self.junit)
        self.sarif: dict[str, Any] = json.loads(sarif)
        jsonschema.validate(self.sarif, SARIF)

    @property
    def cases(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for suite in ET.fromstring(self.junit):
            for case in suite.iter("testcase"):
                outcome = [f"{entry.tag} {entry.get('type')}" for entry in case]
                name = f"{suite.get('name')}: {case.get('name')}"
                found[name] = outcome[0] if outcome else None
        return found

    @property
    def results(self) -> list[tuple[str, str, str]]:
        """Rule, level and place of every result."""
        return [
            (
                result["ruleId"],
                result["level"],
                result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
            )
            for result in self.sarif["runs"][0]["results"]
        ]


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    return report(tmp_path / "report.json", LADDER)


def test_a_package_that_passes_is_green_in_every_format(tmp_path: Path, tested: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite": MODEL})
    found = Formats(tmp_path, app, "--report", tested)
    assert found.code == 0
    assert "✓ pass" in found.page
    assert found.cases["models: assets/m.tflite"] is None
    assert {outcome for outcome in found.cases.values() if outcome} == {"skipped does not count"}
    assert {level for _, level, _ in found.results} <= {"warning", "note"}
    (run,) = found.sarif["runs"]
    assert run["invocations"][0]["exitCode"] == 0
    assert run["artifacts"][0]["location"]["uri"] == "app.apk"


def test_an_untested_model_is_red_in_every_format(tmp_path: Path, tested: Path) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL, "b.tflite": OTHER})
    found = Formats(tmp_path, app, "--report", tested)
    assert found.code == 1
    assert "✗ fail" in found.page
    assert "1 of 2 models not tested: b.tflite" in found.page
    assert found.cases["models: b.tflite"] == "failure fail"
    assert ("DV001", "error", "b.tflite") in found.results


@pytest.mark.parametrize(
    ("verdict", "outcome", "rule"),
    [
        ("fail", "failure fail", "DV002"),
        ("inconclusive", "failure inconclusive", "DV002"),
        ("error", "error error", "DV002"),
        ("finding", "failure finding", "DV002"),
    ],
)
def test_a_models_verdict_is_its_case(
    tmp_path: Path, verdict: str, outcome: str, rule: str
) -> None:
    ran = report(tmp_path / "report.json", LADDER, verdict)
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    found = Formats(tmp_path, app, "--report", ran)
    assert found.code != 0
    assert found.cases["models: a.tflite"] == outcome
    assert (rule, "error", "a.tflite") in found.results


def test_what_strict_options_make_of_a_warning_is_red(tmp_path: Path, tested: Path) -> None:
    entries = {f"lib/arm64-v8a/{JNI}": library(page=4096), "a.tflite": MODEL}
    app = package(tmp_path / "app.apk", MANIFEST | entries)
    lax = Formats(tmp_path, app, "--report", tested)
    assert lax.code == 0
    assert ("DV006", "warning", f"lib/arm64-v8a/{JNI}") in lax.results
    strict = Formats(tmp_path, app, "--report", tested, "--strict-pages")
    assert strict.code == 1
    assert ("DV006", "error", f"lib/arm64-v8a/{JNI}") in strict.results
    assert any(
        name.startswith(f"package: lib/arm64-v8a/{JNI}") and outcome == "failure fail"
        for name, outcome in strict.cases.items()
    )
    assert JNI in strict.page


def test_signed_statements_have_their_place_in_every_format(tmp_path: Path, tested: Path) -> None:
    key = tmp_path / "key.pem"
    assert main(["attest", "--new-key", str(key), "-q"]) == 0
    statement = tmp_path / "s.json"
    signed = ("--key", str(key), "--out", str(statement), "-q")
    assert main(["attest", str(tested), *signed]) == 0
    evidence = ("--attestation", statement, "--public-key", tmp_path / "key.pub.pem")
    found = Formats(tmp_path, *evidence)
    assert found.code == 0
    assert found.cases == {f"statements: {statement}": None}
    assert found.results == []
    assert "the statement was signed" in found.page.lower()
    strict = Formats(tmp_path, *evidence, "--min-samples", "100")
    assert strict.code == 5
    assert strict.cases == {f"statements: {statement}": "failure inconclusive"}
    assert strict.results == [("DV004", "error", str(statement))]


@pytest.mark.parametrize(
    ("verdict", "few", "outcome"),
    [
        ("pass", "1", None),
        ("pass", "100", "failure inconclusive"),
        ("fail", "1", "failure fail"),
        ("error", "1", "error error"),
    ],
)
def test_what_is_signed_is_shown_as_it_will_verify(
    tmp_path: Path, verdict: str, few: str, outcome: str | None
) -> None:
    ran = report(tmp_path / "report.json", LADDER, verdict)
    key, statement = tmp_path / "key.pem", tmp_path / "s.json"
    assert main(["attest", "--new-key", str(key), "-q"]) == 0
    words = (ran, "--key", key, "--out", statement, "--min-samples", few)
    found = Formats(tmp_path, *words, verb="attest")
    # Signing is what was asked for, whatever the run came to.
    assert found.code == 0
    assert found.cases == {f"statements: {statement}": outcome}
    evidence = ("--attestation", statement, "--public-key", tmp_path / "key.pub.pem")
    verified = Formats(tmp_path, *evidence, "--min-samples", few)
    assert verified.cases == found.cases
    assert verified.results == found.results


def test_a_pair_of_keys_has_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attest", "--new-key", str(tmp_path / "k.pem"), "--html", "x.html"]) == 2
    assert "--new-key makes keys and signs nothing" in capsys.readouterr().err
    assert not (tmp_path / "k.pem").exists()


def test_names_from_outside_are_text(tmp_path: Path, tested: Path) -> None:
    name = f"assets/{HOSTILE.replace('/', '')}.tflite"
    app = package(tmp_path / "app.apk", MANIFEST | {name: OTHER})
    found = Formats(tmp_path, app, "--report", tested)
    assert found.code == 1
    assert "<img" not in found.page
    assert "&lt;img src=x" in found.page
    assert not re.search(r"\bstyle=|<link|<iframe", found.page)
    assert [place for rule, _, place in found.results if rule == "DV001"] == [name]


def test_no_rule_has_the_id_of_another() -> None:
    ids = [rule.id for rule in (*RULES, *SCAN_RULES)]
    assert len(ids) == len(set(ids))


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--html", "--junit", "--sarif"):
        words = ["verify", "nowhere.apk", "--report", str(tested), option, str(tmp_path)]
        assert main(words) == 2
        assert f"{option} {tmp_path}: name a file" in capsys.readouterr().err
