"""The recipes of docs/ci: valid for their systems, and made of commands that there are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tree_sitter
import tree_sitter_groovy
import tree_sitter_kotlin

from devdiff.cli.main import parser
from tests.support.command import DATA, DIGITS, HELDOUT
from tests.support.recipes import (
    ACTION,
    ALL,
    CONTAINER,
    GITLAB,
    GRADLE,
    JENKINS,
    ROOT,
    WORKFLOW,
    action_steps,
    commands,
    instructions,
    load,
    scripts,
    workflow_steps,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from types import ModuleType

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (ACTION, "vendor.github-actions"),
        (WORKFLOW, "vendor.github-workflows"),
        (GITLAB, "vendor.gitlab-ci"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_recipe_is_what_its_system_takes(path: Path, schema: str) -> None:
    done = subprocess.run(
        [TOOLS / "check-jsonschema", "--builtin-schema", schema, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_recipe_that_is_not_is_refused(tmp_path: Path) -> None:
    """What a schema that takes everything would not."""
    wrong = tmp_path / "action.yml"
    wrong.write_text(ACTION.read_text().replace("      shell: bash\n", "", 1))
    done = subprocess.run(
        [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.github-actions", wrong],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_script_passes_shellcheck(path: Path, tmp_path: Path) -> None:
    found = list(scripts(path))
    assert found
    for number, script in enumerate(found):
        (tmp_path / f"{number}.sh").write_text(script)
    done = subprocess.run(
        [TOOLS / "shellcheck", "--shell", "bash", *sorted(tmp_path.glob("*.sh"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def parsed(path: Path) -> list[argparse.Namespace]:
    return [parser().parse_args(words) for words in commands(path) if "${words[@]}" not in words]


@pytest.mark.parametrize(
    ("path", "verbs"),
    [
        (ACTION, ["virtual", "virtual"]),
        (WORKFLOW, ["check"]),
        (GITLAB, ["check", "virtual", "virtual", "check"]),
        (JENKINS, ["virtual", "virtual", "check"]),
        (GRADLE, ["check", "verify"]),
        (CONTAINER, ["virtual", "virtual"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_command_is_one_of_devdiffs(path: Path, verbs: list[str]) -> None:
    assert [args.verb for args in parsed(path)] == verbs
    for args in parsed(path):
        if args.verb == "check" and path != GRADLE:
            assert args.junit == Path("check.xml")
            assert args.out == Path("check")
        if args.verb == "virtual" and args.action == "start":
            # Debian's own images know an archive; Ubuntu's runners are told one.
            assert args.mirror == ("$MIRROR" if path == ACTION else None)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_what_is_installed_exists_and_torch_is_for_the_cpu(path: Path) -> None:
    installs = [words for words in commands(path, "pip") if words[0] == "install"]
    if path == WORKFLOW:
        assert not installs  # the action does it
        return
    (pinned,) = [word for word in PROJECT["optional-dependencies"]["scan"] if "torch" in word]
    # A recipe may install in several jobs, and does it alike.
    torch, devdiff = dict.fromkeys(map(tuple, installs))
    assert torch[-1] == pinned
    assert torch[torch.index("--index-url") + 1] == "https://download.pytorch.org/whl/cpu"
    (named,) = re.findall(r"devdiff\[([\w,$]+)\]", devdiff[-1])
    extras = action_default("extras") if named == "$EXTRAS" else named
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert "native" in extras


def action_default(name: str) -> str:
    default: str = load(ACTION)["inputs"][name]["default"]
    return default


def test_the_workflow_gives_the_action_what_it_takes() -> None:
    inputs, outputs = load(ACTION)["inputs"], load(ACTION)["outputs"]
    uses = [step for step in workflow_steps() if step.get("uses", "").startswith("OWNER/")]
    assert len(uses) == 2
    assert {step["uses"] for step in uses} == {f"OWNER/devdiff@v{PROJECT['version']}"}
    for step in uses:
        assert step["with"].keys() <= inputs.keys()
    page = (ROOT / "docs/github-actions.md").read_text()
    for name in (*inputs, *outputs):
        assert f"`{name}`" in page, name
    whole = ACTION.read_text()
    assert set(re.findall(r"inputs\.([\w-]+)", whole)) == set(inputs)
    assert all(
        re.fullmatch(r"[\w./-]+@v[\d.]+", s["uses"]) for s in workflow_steps() if "uses" in s
    )


@pytest.mark.parametrize("steps", [action_steps(), workflow_steps()], ids=["action", "workflow"])
def test_no_script_holds_an_expression(steps: list[Mapping[str, str]]) -> None:
    """GitHub puts its value into the script as it is, and it may be anybody's."""
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def github(script: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub runs ``shell: bash``."""
    (folder / "script.sh").write_text(script)
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "script.sh"],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def script_of(name: str) -> str:
    (script,) = [str(step["run"]) for step in action_steps() if step.get("name") == name]
    return script


@pytest.mark.parametrize(
    ("extras", "version", "installed"),
    [
        ("export,native", "", ["install devdiff[export,native]"]),
        (
            "native,torch",
            "0.1.0",
            [
                "install --index-url https://download.pytorch.org/whl/cpu torch==2.13.0",
                "install devdiff[native,torch]==0.1.0",
            ],
        ),
    ],
)
def test_the_action_installs_what_is_asked_for(
    tmp_path: Path, extras: str, version: str, installed: list[str]
) -> None:
    """Its own script, with a Python that makes an environment whose pip only writes down."""
    pip = '#!/bin/sh\necho "$@" >> installed.txt\n'
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'mkdir -p "$3/bin"\n'
        f"printf '%s' '{pip}' > \"$3/bin/pip\"\n"
        'chmod +x "$3/bin/pip"\n'
    )
    python.chmod(0o755)
    env = {"PYTHON": str(python), "VENV": str(tmp_path / "venv"), "GITHUB_PATH": "path.txt"}
    done = github(
        script_of("Install devdiff"), tmp_path, {**env, "EXTRAS": extras, "VERSION": version}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "installed.txt").read_text().splitlines() == installed
    assert (tmp_path / "path.txt").read_text().strip() == f"{tmp_path}/venv/bin"


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "code"), [("100", 0), ("4", 5)])
def test_the_actions_check_runs_and_hands_on_its_verdict(
    tmp_path: Path, limit: str, code: int
) -> None:
    """On the shipped model; four samples are fewer than a check counts."""
    env = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "CI": "true"}
    (tmp_path / "devdiff.toml").write_text(
        f'[models."digits"]\nmodel = "{DIGITS}"\ninputs = "{HELDOUT}"\n'
        f'preprocess = "{DATA[-1]}"\n[retention]\nkeep-runs = 2\n'
    )
    asked = {"CONFIG": "", "MODELS": "digits", "DEVICE": "local", "BASELINE": "", "TRUSTED": ""}
    files = {"GITHUB_OUTPUT": "output.txt", "GITHUB_STEP_SUMMARY": "summary.md"}
    done = github(
        script_of("Check"), tmp_path, {**env, **asked, **files, "LIMIT": limit, "OUT": "it"}
    )
    assert done.returncode == code, done.stderr
    written = (tmp_path / "output.txt").read_text().splitlines()
    assert written == [f"exit-code={code}", "junit=it.xml", "sarif=it-sarif"]
    assert (tmp_path / "it.xml").exists()
    assert f"limited to {limit} of 600 samples" in (tmp_path / "it/check.json").read_text()
    assert f"limited to {limit} of 600 samples" in (tmp_path / "summary.md").read_text()
    uploaded = next(s for s in action_steps() if "upload-artifact" in s.get("uses", ""))
    patterns = uploaded["with"]["path"].replace("${{ inputs.out }}", "it").split()
    matched = [pattern for pattern in patterns if list(tmp_path.glob(pattern))]
    assert {"it.xml", "it/check.json", "it/*/report.json", "it/*/report.html"} <= set(matched)


def test_the_container_is_built_of_instructions_that_there_are() -> None:
    found = instructions()
    names = [name for name, _ in found]
    assert names[0] == "FROM"
    assert set(names) <= {"FROM", "RUN", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    # Nothing is installed, and nothing left to root, behind the user.
    assert "RUN" not in names[names.index("USER") :]
    by_name = dict(found)
    assert by_name["ENTRYPOINT"] == '["devdiff"]'
    (command,) = re.findall(r'\["(.*)"\]', by_name["CMD"])
    assert parser().parse_args(command.split('", "')).verb == "check"


@pytest.mark.parametrize(
    ("path", "grammar"), [(JENKINS, tree_sitter_groovy), (GRADLE, tree_sitter_kotlin)]
)
def test_it_is_groovy_or_kotlin(path: Path, grammar: ModuleType) -> None:
    reader = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    text = path.read_bytes()
    assert not reader.parse(text).root_node.has_error
    assert reader.parse(text.rstrip().removesuffix(b"}")).root_node.has_error


def test_the_pipeline_of_jenkins_says_what_every_exit_code_does() -> None:
    text = JENKINS.read_text()
    assert "returnStatus: true" in text
    assert re.search(r"code == 5\) \{\s*unstable", text)
    assert re.search(r"code != 0\) \{\s*error", text)


def test_every_recipe_is_on_the_page_of_recipes() -> None:
    page = (ROOT / "docs/ci/README.md").read_text()
    for path in (ROOT / "docs/ci").iterdir():
        assert path.name == "README.md" or f"]({path.name})" in page, path.name
