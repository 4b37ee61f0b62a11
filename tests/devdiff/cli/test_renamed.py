"""Former names of options do what the present ones do, and say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devdiff.cli.main import main, parser
from devdiff.cli.renamed import RENAMED, by_new_names
from devdiff.gate.config import Config

# For each former name, in a verb: what is typed, and what it is now.
FORMER = (
    ("export-and-test m.onnx --run-dir d", "export-and-test m.onnx --out d"),
    ("export-and-test m.onnx --scan --images 40", "export-and-test m.onnx --scan --samples 40"),
    ("scan m.onnx --run-dir=d", "scan m.onnx --out=d"),
    ("scan m.onnx --images=40", "scan m.onnx --samples=40"),
    ("bisect m.tflite --run-dir d", "bisect m.tflite --out d"),
    ("check --check-dir d", "check --out d"),
    ("run m.tflite --on local", "run m.tflite --device local"),
    ("run m.tflite --on=local", "run m.tflite --device=local"),
    ("run m.tflite --on litert:builtin", "run m.tflite --host-runtime litert:builtin"),
    ("run m.onnx --on=onnxruntime", "run m.onnx --host-runtime=onnxruntime"),
)


def modern(words: list[str]) -> tuple[list[str], list[str]]:
    found, notes = by_new_names(words[0], words[1:])
    return [words[0], *found], notes


@pytest.mark.parametrize(("former", "present"), FORMER)
def test_a_former_name_is_the_present_one(former: str, present: str) -> None:
    words, notes = modern(former.split())
    assert words == present.split()
    out = ["--out", "d"] if words[0] == "run" else []
    assert parser().parse_args([*words, *out]) == parser().parse_args([*present.split(), *out])
    (note,) = notes
    assert "the old name goes with the next release" in note
    # Nothing is said of one that goes by its present name.
    assert modern(present.split()) == (present.split(), [])


def test_every_former_name_is_tried_and_documented() -> None:
    guide = (Path(__file__).parents[3] / "docs/command-line.md").read_text()
    table = guide.partition("## Former names")[2]
    tried = {
        (words.split()[0], word.partition("=")[0]) for words, _ in FORMER for word in words.split()
    }
    for renamed in RENAMED:
        assert f"`{renamed.old}" in table
        for verb in renamed.verbs:
            assert (verb, renamed.old) in tried
            # Nobody can mistake it for an option that is there.
            assert renamed.old not in parser().subparsers()[verb].options()


def test_a_former_name_is_noted_on_standard_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bisect", "nowhere.tflite", "--run-dir", str(tmp_path / "x"), "--json"]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "devdiff: note: --run-dir is called --out now; the old name goes with the next release",
        "devdiff: nowhere.tflite does not exist",
    ]
    assert "note" not in printed.out
    assert main([*words, "-q"]) == 2
    assert capsys.readouterr().err == "devdiff: nowhere.tflite does not exist\n"


def test_a_former_name_means_nothing_where_it_never_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in ("doctor --run-dir x", "check --images 3", "export m.onnx --out o --on litert"):
        assert main(words.split()) == 2
        assert "there is no option" in capsys.readouterr().err


def test_what_stands_behind_the_end_of_options_is_left_alone() -> None:
    assert by_new_names("check", ["--check-dir", "d", "--", "--check-dir"]) == (
        ["--out", "d", "--", "--check-dir"],
        ["--check-dir is called --out now; the old name goes with the next release"],
    )


def test_a_key_of_the_configuration_by_its_former_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def scanned(key: str) -> tuple[Any, list[str]]:
        (tmp_path / "devdiff.toml").write_text(
            f'[models.m]\nmodel = "m.onnx"\nscan = {{ {key} = 40 }}\n'
        )
        notes: list[str] = []
        (entry,) = Config.load(tmp_path / "devdiff.toml", notes.append).entries
        return entry.scan, notes

    assert scanned("samples")[1] == []
    assert scanned("images")[0] == scanned("samples")[0]
    (note,) = scanned("images")[1]
    assert note.endswith(
        "[models.m] scan: images is called samples now; the old name goes with the next release"
    )
    (tmp_path / "m.onnx").touch()
    scanned("images")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--list"]) == 0
    assert "images is called samples now" in capsys.readouterr().err
