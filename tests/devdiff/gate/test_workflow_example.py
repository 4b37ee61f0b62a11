"""The workflow of docs/github-actions.md: YAML, with commands that devdiff understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from devdiff.cli.main import parser

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/github-actions.md").read_text()


def workflows() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


def steps() -> Iterator[dict[str, Any]]:
    for workflow in workflows():
        for job in workflow["jobs"].values():
            yield from job["steps"]


def scripts() -> Iterator[str]:
    for step in steps():
        script = step.get("run") or step.get("with", {}).get("script")
        if script:
            yield from script.splitlines()


def test_the_example_is_one_workflow_with_a_virtual_phone_and_an_emulator() -> None:
    (workflow,) = workflows()
    # YAML 1.1 takes the key "on" for a truth value, and GitHub does not.
    assert set(workflow) == {"name", True, "permissions", "jobs"}
    assert set(workflow["jobs"]) == {"arm64", "emulator"}
    used = {step["uses"].partition("@")[0] for step in steps() if "uses" in step}
    assert "reactivecircus/android-emulator-runner" in used
    assert "github/codeql-action/upload-sarif" in used
    assert all(re.fullmatch(r"[\w./-]+@v\d+", step["uses"]) for step in steps() if "uses" in step)
    assert workflow["permissions"]["security-events"] == "write"


def test_its_commands_are_devdiffs() -> None:
    command = parser()
    parsed = []
    for line in scripts():
        for part in line.split("&&"):
            words = shlex.split(part)
            if words and words[0] == "devdiff":
                parsed.append(command.parse_args(words[1:]))
    assert [args.verb for args in parsed] == ["check", "check", "report"]
    assert [args.device for args in parsed[:2]] == [["virtual"], ["emulator-5554"]]
    assert all(args.baseline == Path("devdiff-baseline.json") for args in parsed[:2])
    assert str(parsed[0].sarif) == "sarif"


def test_what_is_uploaded_is_what_the_commands_leave() -> None:
    uploads = [
        path
        for step in steps()
        if step.get("uses", "").startswith("actions/upload-artifact")
        for path in step["with"]["path"].split()
    ]
    assert uploads
    commands = " ".join(scripts())
    for path in uploads:
        assert path.partition("/")[0].partition("*")[0] in commands
    assert all("always()" in step["if"] for step in steps() if "upload" in step.get("uses", ""))
