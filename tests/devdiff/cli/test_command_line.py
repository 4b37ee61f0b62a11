"""The command line itself: what cannot be read, or means nothing here, is refused at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from devdiff.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    first, *_ = said.err.splitlines()
    return first.removeprefix("devdiff: ")


def test_a_bare_command_shows_the_help_and_is_no_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert "usage: devdiff" in shown
    assert "export-and-test" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("exprot m.onnx", "there is no command 'exprot'; did you mean export?"),
        ("zzz", "there is no command 'zzz'; there are export-and-test, check, "),
        ("export-and-test m.onnx --inpts x", "there is no option --inpts; did you mean --inputs?"),
        # Abbreviations are options that nobody knows.
        ("export-and-test m.onnx --inp x", "there is no option --inp; did you mean --input?"),
        ("virtual start --mem 9", "there is no option --mem; did you mean --memory?"),
        ("export-and-test m.onnx --zzz", "there is no option --zzz"),
        (
            "export-and-test m.onnx --sarif x",
            "there is no option --sarif here: it is one of devdiff check, report",
        ),
        (
            "export-and-test m.onnx --delegate xnpack",
            "--delegate: there is no choice 'xnpack'; did you mean xnnpack?",
        ),
        ("run m.onnx other.onnx --out x", "'other.onnx' is one argument too many"),
        ("scan m.onnx --samples ten", "argument --samples: 'ten' is no whole number of at least 1"),
        (
            "export-and-test m.onnx --min-agreement 95",
            "argument --min-agreement: '95' is no share between 0 and 1",
        ),
        ("scan m.onnx --budget nan", "argument --budget: 'nan' is no number of more than 0"),
        (
            "export-and-test m.onnx --timeout 0",
            "argument --timeout: '0' is no number of more than 0",
        ),
    ],
)
def test_what_was_mistyped_is_named_with_what_was_meant(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *words.split()).startswith(said)


def test_a_usage_error_has_two_lines_and_is_json_where_json_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scan", "--json", "m.onnx", "--quux"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "verdict": "error",
        "error": "there is no option --quux",
        "exit_code": 2,
        "next_step": "see devdiff scan --help",
    }
    assert said.err.splitlines() == [
        "devdiff: there is no option --quux",
        "see devdiff scan --help",
    ]


@pytest.mark.parametrize("verb", ["export-and-test", "scan"])
def test_a_file_for_input_is_a_file_for_inputs(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("heldout.npz", str(tmp_path)):
        said = refused(capsys, verb, "m.onnx", "--input", name)
        assert said.endswith(f"{name} is a file; did you mean --inputs {name}?")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("export-and-test m.onnx --samples 50", "--samples is for the scan"),
        ("export-and-test m.onnx --budget 50", "--budget is for the scan"),
        ("export-and-test m.onnx --output-kind values", "--output-kind is for the scan"),
        ("export-and-test m.onnx --placebos 2", "--placebos is for the scan"),
        ("export-and-test m.onnx --input image", "--input is for the scan"),
        ("export-and-test m.onnx --preprocess scale=1/255", "is for inputs, and none are given"),
        ("run m.onnx --out o --labels x.npy", "is for inputs, and none are given"),
        ("export-and-test m.tflite --calibration x", "m.tflite is finished"),
        ("scan m.tflite --calibration x", "m.tflite is finished"),
        ("export m.onnx --out o --calibration x --recipe float16", "float16 needs none"),
        ("export-and-test m.onnx --calibration x --compress none", "none needs none"),
        ("export-and-test m.onnx --device none --runtime x.so", "--device none leaves it out"),
        ("export-and-test m.onnx --max-slowdown 2", "name one with --baseline"),
        ("run m.tflite --delegate none --out o", "name it with --device"),
        ("run m.tflite --runtime x.so --out o", "name it with --device"),
        ("export-and-test m.onnx --compress prun:0.5", "did you mean prune?"),
        ("export-and-test m.onnx --recipe int9", "did you mean int8?"),
        (
            "export-and-test m.onnx --inputs x.npz --preprocess resise=224x224",
            "'resise=224x224' is not a step; did you mean resize?",
        ),
    ],
)
def test_an_option_that_means_nothing_here_is_refused(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(capsys, *words.split())


def test_an_option_that_only_permits_is_taken_everywhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "export-and-test nowhere.onnx --trust --keep-going --allow-other-model --device none"
    assert refused(capsys, *words.split()) == "nowhere.onnx does not exist"


def test_a_mistyped_place_is_told_beside_the_devices_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No server answers there, so that nothing of this machine's is looked at.
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "9")
    (tmp_path / "m.onnx").write_bytes(b"x")
    model = str(tmp_path / "m.onnx")
    said = refused(capsys, "export-and-test", model, "--device", "lokal")
    assert said.startswith("--device lokal: did you mean local? there is no device 'lokal'")
    said = refused(capsys, "export-and-test", model, "--device", "virtual:cortex-a35")
    assert "did you mean cortex-a53?" in said
