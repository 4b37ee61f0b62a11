"""``devdiff verify`` as a release pipeline meets it: one line, a table, JSON, an exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from devdiff.cli.main import main
from devdiff.package import schema
from tests.support.app_archives import packed
from tests.support.command import devdiff
from tests.support.packages import JNI, MANIFEST, library, package, report, tflite

if TYPE_CHECKING:
    from pathlib import Path

MODEL, OTHER = tflite(1), tflite(2)
LADDER = {"source": b"onnx", "float": tflite(3), "int8": MODEL, "device": MODEL}


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    return report(tmp_path / "report.json", LADDER)


def verify(*arguments: str | Path) -> int:
    return main(["verify", *map(str, arguments)])


def test_a_package_of_tested_models_passes(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/m.tflite": MODEL})
    assert verify(app, "--report", tested) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("PASS  app.apk: its model was tested and passed, 2 warnings\n")
    assert "\x1b" not in printed.out
    assert "warning the package: ships no runtime library" in printed.out
    assert "devdiff: reading app.apk" in printed.err


def test_the_verdict_comes_first_and_is_the_exit_code(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL, "b.tflite": OTHER})
    assert verify(app, "--report", tested) == 1
    assert capsys.readouterr().out.startswith("FAIL  app.apk: 1 of 2 models not tested: b.tflite\n")
    failed = report(tmp_path / "failed.json", LADDER, "fail")
    alone = package(tmp_path / "alone.apk", MANIFEST | {"a.tflite": MODEL})
    assert verify(alone, "--report", failed) == 1
    assert "a.tflite: tested, with the verdict fail" in capsys.readouterr().out
    assert verify(alone, "--report", tested, "--report", failed) == 1
    assert verify(alone, "--report", tested, failed) == 1


@pytest.mark.parametrize(("verdict", "code"), [("inconclusive", 5), ("error", 3), ("finding", 4)])
def test_a_models_verdict_is_the_packages(tmp_path: Path, verdict: str, code: int) -> None:
    said = report(tmp_path / "report.json", LADDER, verdict)
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    assert verify(app, "--report", said) == code


@pytest.mark.parametrize("option", ["--strict-runtime", "--strict-pages"])
def test_strict_options_turn_warnings_into_failures(
    tmp_path: Path, tested: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {f"lib/arm64-v8a/{JNI}": library(page=4096), "a.tflite": MODEL}
    app = package(tmp_path / "app.apk", MANIFEST | entries)
    assert verify(app, "--report", tested) == 0
    assert "4 KiB" in capsys.readouterr().out
    assert verify(app, "--report", tested, option) == 1
    assert "\nfail " in capsys.readouterr().out


def test_machines_get_json_that_keeps_its_schema(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    entries: dict[str, bytes] = {
        "base.apk": packed(MANIFEST | {"a.tflite": MODEL, "chat.litertlm": b"LITERTLM1"}),
        f"lib/arm64-v8a/{JNI}": library(),
        "lib/x86_64/libbroken.so": b"\x7fELF",
        "assets/odd.tflite": b"?",
    }
    app = package(tmp_path / "app.xapk", entries)
    assert verify(app, "--report", tested, "--json", "--strict-pages") == 1
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, schema())
    assert result["schema_version"] == 1
    assert (result["verdict"], result["exit_code"]) == ("fail", 1)
    assert [model["tested"] for model in result["models"]] == [False, True, False]
    assert {remark["topic"] for remark in result["remarks"] if remark["fails"]} == {"pages"}


def test_a_terminal_is_not_written_to_by_names_from_outside(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = package(tmp_path / "app.apk", MANIFEST | {"assets/[red]m[/red].tflite": OTHER})
    assert verify(app, "--report", tested) == 1
    assert "not tested: assets/[red]m[/red].tflite" in capsys.readouterr().out


def test_what_cannot_be_checked_is_one_line_and_exit_code_two(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encrypted = bytearray(packed({"a": MODEL}))
    encrypted[6] |= 1
    whole = packed({"a.tflite": MODEL})
    files = {
        "no zip archive": b"hello",
        "is encrypted": bytes(encrypted),
        "cut short": whole[:-9],
        "leads elsewhere": packed({"../a.tflite": MODEL}),
        "holds no model": packed({"a.txt": b"x"}),
        "swells from": packed({"a.tflite": MODEL[:8] + bytes(9_000_000)}, 8),
    }
    for words, data in files.items():
        (tmp_path / "app.apk").write_bytes(data)
        assert verify(tmp_path / "app.apk", "--report", tested, "--json") == 2
        printed = capsys.readouterr()
        assert words in printed.err
        assert "app.apk" in printed.err
        assert json.loads(printed.out)["exit_code"] == 2
    assert verify(tmp_path / "nowhere.apk", "--report", tested) == 2
    assert verify(tmp_path, "--report", tested) == 2
    (tmp_path / "app.apk").write_bytes(whole)
    assert verify(tmp_path / "app.apk", "--report", tmp_path / "no.json") == 2


def test_evidence_that_was_changed_tests_nothing(
    tmp_path: Path, tested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have spoken against a model, so that nothing passes beside it."""
    app = package(tmp_path / "app.apk", MANIFEST | {"a.tflite": MODEL})
    changed = report(tmp_path / "changed.json", LADDER, "fail")
    data = json.loads(changed.read_text()) | {"verdict": "pass", "exit_code": 0}
    changed.write_text(json.dumps(data))
    assert verify(app, "--report", changed, "--json") == 1
    result = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, schema())
    assert [model["tested"] for model in result["models"]] == [False]
    (remark,) = [one for one in result["remarks"] if one["topic"] == "evidence"]
    assert remark["fails"]
    assert "contradicts itself: verdict: pass" in remark["text"]
    assert verify(app, "--report", tested, changed) == 1
    assert "fail " in capsys.readouterr().out


def test_a_configuration_says_what_may_ship_untested_and_is_named(
    tmp_path: Path, tested: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not looked for: one that lies about must not make a release green."""
    (tmp_path / "devdiff.toml").write_text(
        '[models.m]\nmodel = "m.onnx"\n[verify]\nallow = "vendor/*"\nskip = ["*.zip"]\n'
    )
    entries = {"m.tflite": MODEL, "vendor/o.tflite": OTHER, "a.zip": b"PK\3\4" + bytes(60)}
    app = package(tmp_path / "app.apk", MANIFEST | entries)
    monkeypatch.chdir(tmp_path)
    assert verify(app, "--report", tested, "--skip", "a.zip") == 1
    assert verify(app, "--report", tested, "--config", "devdiff.toml") == 0
    few = ("--min-samples", "11")
    assert verify(app, "--report", tested, "--config", "devdiff.toml", *few) == 1


@pytest.mark.slow
def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    done = devdiff("verify", "app.apk", cwd=tmp_path)
    assert done.returncode == 2
    assert "--report" in done.stderr
    assert "Traceback" not in done.stderr
