"""What the documents tell a newcomer to type works, and what they point to is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.cli.main import parser
from tests.support.command import DEMONSTRATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from devdiff.device_runner.virtual.phone import VirtualPhone

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def commands(document: Path) -> list[str]:
    """The lines of a document's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL)
    whole = [re.sub(r"\\\n\s*", "", block) for block in blocks]
    plain = [re.sub(r" > \S+$", "", block, flags=re.MULTILINE) for block in whole]
    lines = [line.split("  #")[0].strip() for block in plain for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def here(command: str) -> str:
    """The command as a machine without phones runs it: those attached here are not the test's."""
    unnamed = "export-and-test" in command and "--device" not in command
    return f"{command} --device local" if unnamed else command


@pytest.mark.slow
def test_the_readmes_first_command_installs_and_tests_the_shipped_model() -> None:
    first = commands(ROOT / "README.md")[0]
    assert first.startswith("scripts/setup && .venv/bin/devdiff export-and-test ")
    done = subprocess.run(
        ["bash", "-c", here(first)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "PASS  digits.onnx" in done.stdout


# The demonstration takes as long as all others together; its own tests run it as README has it.
OTHERS = [line for line in commands(ROOT / "README.md")[2:] if line != DEMONSTRATION]


@pytest.mark.slow
@pytest.mark.parametrize("command", OTHERS)
def test_the_readmes_other_commands_run_as_written(
    command: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shutil.copy(ROOT / "examples/digits/digits.onnx", tmp_path / "model.onnx")
    with np.load(ROOT / "examples/digits/heldout.npz") as arrays:
        images = arrays["image"].astype(np.float32) / 255
        np.savez(tmp_path / "samples.npz", image=images, labels=arrays["labels"])
    if "emulator-5554" in command:
        # Another phone may have that serial here.
        start_phone: Callable[..., VirtualPhone] = request.getfixturevalue("start_phone")
        command = command.replace("emulator-5554", start_phone().serial)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", here(command)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_has_the_demonstration_that_its_tests_run() -> None:
    assert DEMONSTRATION in commands(ROOT / "README.md")
    assert len(OTHERS) == len(commands(ROOT / "README.md")) - 3


def test_the_readmes_second_command_is_what_the_gate_runs() -> None:
    second = commands(ROOT / "README.md")[1]
    assert second == "scripts/test --all"
    assert second in (ROOT / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_commands_exist(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith("https://"):
            assert (document.parent / target).exists(), target
    verbs = parser()
    for line in commands(document):
        for part in line.split("&&"):
            words = part.split()
            if words and words[0] in ("devdiff", ".venv/bin/devdiff"):
                verbs.parse_args([word for word in words[1:] if word not in ("…", "\\")])
            elif words and words[0].startswith("scripts/"):
                assert (ROOT / words[0]).exists(), words[0]


def test_every_path_of_the_architecture_is_there() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rooms = "|".join(path.name for path in (ROOT / "devdiff").iterdir())
    named = re.findall(rf"`((?:devdiff/)?(?:{rooms})(?:/[\w./]*|\.py))`", text)
    assert len(named) > 30
    missing = [name for name in named if not (ROOT / "devdiff" / name).exists()]
    assert [name for name in missing if not (ROOT / name).exists()] == []
