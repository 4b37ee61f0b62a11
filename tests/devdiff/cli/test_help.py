"""Help: narrow enough to be read, plain in a pipe, with examples that are commands."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.cli.main import main, parser
from devdiff.cli.parsing import WIDTH
from tests.support.command import DIGITS, HELDOUT, devdiff

if TYPE_CHECKING:
    from pathlib import Path

VERBS = parser().subparsers()
PAGES = {"devdiff": parser(), **VERBS}


def examples(verb: str) -> list[list[str]]:
    """The words of each command among a page's examples, without what a shell does with them."""
    _, _, below = (PAGES[verb].epilog or "").partition("examples:\n")
    block = below.partition("\n\n")[0].replace("\\\n", " ")
    lines = [line for line in block.splitlines() if line.strip()]
    words = [shlex.split(line.partition(" > ")[0]) for line in lines]
    assert all(command[0] == "devdiff" for command in words), words
    return [command[1:] for command in words]


@pytest.mark.parametrize("verb", PAGES)
def test_a_page_is_plain_and_has_examples_that_can_be_read(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = PAGES[verb].format_help()
    assert all(len(line) <= WIDTH for line in shown.splitlines())
    assert "\x1b" not in shown
    assert "%(" not in shown
    assert examples(verb)
    for words in examples(verb):
        parser().parse_args(words)


def test_the_first_line_shows_what_must_be_given() -> None:
    usage = {name: page.format_help().splitlines()[0] for name, page in PAGES.items()}
    assert usage["run"] == "usage: devdiff run MODEL --out DIR [OPTIONS]"
    assert usage["diff"] == "usage: devdiff diff REFERENCE CANDIDATE [OPTIONS]"
    assert usage["check"] == "usage: devdiff check [NAME …] [OPTIONS]"
    assert usage["completion"] == "usage: devdiff completion {bash,zsh,fish,tcsh} [OPTIONS]"
    assert usage["attest"] == (
        "usage: devdiff attest [RUN_DIR|report.json] (--key FILE | --new-key FILE) [OPTIONS]"
    )
    assert usage["devdiff"] == "usage: devdiff [OPTIONS] COMMAND"


def test_a_narrow_terminal_gets_narrow_help() -> None:
    reader, writer = pty.openpty()
    with os.fdopen(reader, "rb", buffering=0) as screen:
        done = subprocess.Popen(
            [sys.executable, "-m", "devdiff", "devices", "--help"],
            stdout=writer,
            env={**os.environ, "COLUMNS": "60", "NO_COLOR": "1"},
        )
        os.close(writer)
        shown = b""
        try:
            while chunk := screen.read(65536):
                shown += chunk
        except OSError:  # how a terminal ends
            pass
        assert done.wait(30) == 0
    options = shown.decode().partition("examples:")[0].splitlines()
    assert max(map(len, options)) <= 60


@pytest.mark.slow
def test_the_examples_of_runs_and_their_comparison_run_as_written(tmp_path: Path) -> None:
    """Of run and diff, one behind the other, on a model and an export of it."""
    done = devdiff(
        *("export-and-test", DIGITS, "--inputs", HELDOUT, "--preprocess", "scale=1/255"),
        *("--device", "local", "--out", "devdiff-runs/this-one"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "model.onnx").write_bytes(DIGITS.read_bytes())
    for name in ("int8.tflite", "float.tflite"):
        artifact = tmp_path / "devdiff-runs/this-one/artifacts" / name
        (tmp_path / name).write_bytes(artifact.read_bytes())
    with np.load(HELDOUT) as arrays:
        images = arrays["image"][:50].astype(np.float32) / 255
        np.savez(tmp_path / "samples.npz", image=images, labels=arrays["labels"][:50])
    float_run = ["run", "float.tflite", "--inputs", "samples.npz", "--out", "outputs/float"]
    for words in [*examples("run"), float_run, *examples("diff")]:
        if "devdiff-runs/last-release" in words or "--task" in words:
            continue
        done = devdiff(*words, cwd=tmp_path)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["model.onnx"],
            "there is no command 'model.onnx': it is a file; to test a model, devdiff",
        ),
        (["exprot"], "there is no command 'exprot'; did you mean export?"),
        (["virtual", "sta"], "there is no command 'sta'; did you mean start?"),
        (["virtual", "start", "--cpu", "cortex-a35"], "did you mean cortex-a53?"),
        (["run", "{model}", "--host-runtime", "litret", "--out", "o"], "did you mean litert?"),
        (["export-and-test", "{model}", "--task", "detektion"], "did you mean detection?"),
        (["export-and-test", "{model}", "--device", "virtual2"], "did you mean virtual?"),
        (["run", "{model}", "--device", "locl", "--out", "o"], "did you mean local?"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_one_that_was_meant(
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    # No server answers there, so that nothing of this machine's is looked at.
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "9")
    (tmp_path / "m.tflite").write_bytes(b"x")
    assert main([word.format(model="m.tflite") for word in words]) == 2
    assert said in capsys.readouterr().err


def test_a_mistyped_model_of_the_configuration_is_answered_with_the_one_that_was_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "devdiff.toml").write_text('[models.reader]\nmodel = "m.onnx"\n')
    assert main(["check", "reader2"]) == 2
    assert "has no model 'reader2'; did you mean reader?; it has reader" in capsys.readouterr().err
