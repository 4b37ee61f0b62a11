"""What a real shell offers when Tab is pressed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from devdiff.cli.completion import SHELLS
from devdiff.cli.main import main, parser
from devdiff.exporter.recipe import BUILTIN
from tests.support.command import devdiff

if TYPE_CHECKING:
    from pathlib import Path

# bash sets these before it calls a completer; what it would offer is then in COMPREPLY.
PRESS = """
set -u
source "$1"; shift
complete -p devdiff
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
function=$(complete -p devdiff | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" devdiff "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash, in a folder with some files."""
    folder = tmp_path_factory.mktemp("completion")
    for name in ("model.onnx", "model.tflite", "samples.npz", "own.json", "notes.txt"):
        (folder / name).touch()
    (folder / "photos").mkdir()
    done = devdiff("completion", "bash", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    path = folder / "devdiff.bash"
    path.write_text(done.stdout)
    return path


def offered(script: Path, line: str) -> list[str]:
    """What bash offers at the end of a line, the word that is being typed last."""
    done = subprocess.run(
        ["bash", "--norc", "-c", PRESS, "bash", str(script), *line.split(" ")],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    registered, *words = done.stdout.splitlines()
    assert registered.endswith(" devdiff")
    return [word for word in words if word]


def test_every_command_is_offered(script: Path) -> None:
    assert offered(script, "devdiff ") == list(parser().subparsers())
    assert offered(script, "devdiff exp") == ["export-and-test", "export"]
    assert offered(script, "devdiff virtual st") == ["start", "stop"]


def test_every_option_of_a_verb_is_offered_behind_it(script: Path) -> None:
    for verb in ("run", "export-and-test", "bisect", "check"):
        own = parser().subparsers()[verb].options()
        assert sorted(offered(script, f"devdiff {verb} m --")) == sorted(own)
    assert offered(script, "devdiff scan m.onnx --rec") == ["--recipe"]
    # Former names are taken, and not offered.
    assert offered(script, "devdiff scan m.onnx --run-d") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("export m.onnx --recipe ai-edge-d", ["ai-edge-dynamic"]),
        ("export m.onnx --recipe ow", ["own.json"]),
        ("export-and-test m.onnx --compress ch", ["channel-prune:"]),
        ("export-and-test m.onnx --delegate x", ["xnnpack"]),
        ("export-and-test m.onnx --device lo", ["local"]),
        ("run m.tflite --host-runtime tfl", ["tflite-runtime"]),
        ("diff a b --task dete", ["detection"]),
        ("virtual start --cpu neo", ["neoverse-n1"]),
        ("completion f", ["fish"]),
        ("demo ", ["check-reader"]),
    ],
)
def test_names_are_offered_where_they_may_stand(script: Path, line: str, words: list[str]) -> None:
    assert [word for word in offered(script, f"devdiff {line}") if ":xnn" not in word] in (
        words,
        [*words, *(f"{words[0]}:{kernels}" for kernels in ("builtin", "reference"))],
    )


def test_every_recipe_is_offered(script: Path) -> None:
    assert set(BUILTIN) <= set(offered(script, "devdiff export m.onnx --recipe "))


def test_files_are_offered_by_what_is_wanted(script: Path) -> None:
    assert sorted(offered(script, "devdiff run ")) == ["model.onnx", "model.tflite", "photos"]
    assert offered(script, "devdiff run model.onnx --inputs sam") == ["samples.npz"]
    assert offered(script, "devdiff run model.onnx --out ph") == ["photos"]
    assert offered(script, "devdiff run model.onnx --out no") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_a_script_that_knows_the_verbs(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for verb in parser().subparsers():
        assert verb in script
    assert "ai-edge-dynamic" in script


def test_a_shell_that_nobody_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bsh"]) == 2
    assert "did you mean bash?" in capsys.readouterr().err
