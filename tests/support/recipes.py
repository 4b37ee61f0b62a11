"""What the recipes for CI systems hold: their shell scripts, and the commands in these."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/ci"
ACTION = ROOT / "action.yml"
WORKFLOW = FOLDER / "github-workflow.yml"
GITLAB = FOLDER / "gitlab-ci.yml"
JENKINS = FOLDER / "Jenkinsfile"
GRADLE = FOLDER / "devdiff.gradle.kts"
CONTAINER = FOLDER / "Containerfile"
ALL = (ACTION, WORKFLOW, GITLAB, JENKINS, GRADLE, CONTAINER)


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def action_steps() -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = load(ACTION)["runs"]["steps"]
    return steps


def workflow_steps() -> list[dict[str, Any]]:
    return [step for job in load(WORKFLOW)["jobs"].values() for step in job["steps"]]


def scripts(path: Path) -> Iterator[str]:
    """The shell scripts of a recipe, as the shell gets them."""
    text = path.read_text()
    if path in (ACTION, WORKFLOW):
        for step in action_steps() if path == ACTION else workflow_steps():
            script = step.get("run") or step.get("with", {}).get("script")
            if script:
                yield script
    elif path == GITLAB:
        jobs = load(path)
        before = jobs[".devdiff"]["before_script"]
        for job in jobs.values():
            if isinstance(job, dict) and "script" in job:
                yield "\n".join([*before, *job["script"]])
    elif path == JENKINS:
        yield from re.findall(r"'''\n(.*?)'''", text, re.DOTALL)
    elif path == GRADLE:
        yield from re.findall(r'"""\n(.*?)"""', text, re.DOTALL)
        commands = re.findall(r'val command = "(.*)"', text)
        for wrapped in re.findall(r'commandLine\("bash", "-c", "(.*)"\)', text):
            yield wrapped.replace("$command", commands.pop(0))
    else:
        for instruction, rest in instructions():
            if instruction == "RUN":
                yield rest


def instructions() -> list[tuple[str, str]]:
    """The instructions of the container's file, continued lines joined."""
    lines = [line for line in CONTAINER.read_text().splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", "")
    found = [line.partition(" ") for line in whole.splitlines() if line.strip()]
    return [(instruction, rest.strip()) for instruction, _, rest in found]


def commands(path: Path, program: str = "devdiff") -> Iterator[list[str]]:
    """The words behind every call of ``program`` in a recipe."""
    for script in scripts(path):
        for line in script.splitlines():
            for part in re.split(r"&&|\|\||;|(?<!\|)\|(?!\|)", line.split(" # ")[0]):
                if part.strip().startswith("#"):
                    continue
                words = [word for word in shlex.split(part) if word not in ("exec", "sudo")]
                if words and Path(words[0]).name == program:
                    yield words[1:]
