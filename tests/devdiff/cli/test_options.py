"""Options of all verbs: one name and one meaning for one thing, and every default stated once."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import devdiff.cli
from devdiff import options
from devdiff.cli.groups import gates, inputs, model, running, scan
from devdiff.cli.groups.model import shapes
from devdiff.cli.groups.values import shown
from devdiff.cli.main import main, parser
from devdiff.comparison.expectation import CompressionExpectation, DeploymentExpectation
from devdiff.comparison.tolerance import DEFAULT_TOLERANCE
from devdiff.errors import UsageError
from devdiff.gate.requirements import Requirements

if TYPE_CHECKING:
    import argparse

    from devdiff.cli.parsing import Parser

ROOT: Final = Path(__file__).parents[3]
VERBS: Final = parser().subparsers()
GUIDE: Final = (ROOT / "docs/command-line.md").read_text()
LEAVES: Final = [leaf for verb in VERBS.values() for leaf in verb.leaves()]
GROUPS: Final = (
    "model",
    "runs",
    "what is compared",
    "what is looked at",
    "what goes",
    "configuration",
    "compression",
    "input set",
    "where it runs",
    "what is allowed",
    "what the model is for",
    "scan",
    "how closely to look",
    "key",
    "signed evidence (devdiff attest)",
    "what counts as a test",
    "baseline",
    "formats",
    "shell",
    "output",
)
# What is one in one verb and several in another.
COUSINS: Final = {"--device", "--key"}


def actions(leaf: Parser) -> dict[str, argparse.Action]:
    return {
        name: action
        for action in leaf._actions
        for name in action.option_strings
        if name.startswith("--")
    }


def test_an_option_is_read_alike_in_every_verb() -> None:
    seen: dict[str, tuple[Any, ...]] = {}
    for leaf in LEAVES:
        for name, action in actions(leaf).items():
            if name in COUSINS:
                continue
            read = (action.nargs, action.type, action.choices, action.dest, type(action))
            assert seen.setdefault(name, read) == read, f"{name} of {leaf.prog}"


@pytest.mark.parametrize("verb", ["export-and-test", "scan", "bisect", "run", "export"])
def test_a_model_is_named_alike_in_every_verb(verb: str) -> None:
    words = ["m.onnx", "--shape", "x:1,3", "y:2", "--shape", "z:4x5", "--signature", "s", "--trust"]
    required = ["--out", "o"] if verb in ("run", "export") else []
    spec = model.of(parser().parse_args([verb, *words, *required]))
    assert spec == options.ModelSpec(
        Path("m.onnx"), shapes={"x": (1, 3), "y": (2,), "z": (4, 5)}, signature="s", trust=True
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("export m.onnx --out o --source s.onnx", "there is no option --source here"),
        ("export m.onnx --out o --float f.tflite", "there is no option --float here"),
        ("diff a b --trust", "there is no option --trust here"),
        ("diff a b --shape x:1", "there is no option --shape here"),
        ("run m.tflite --out o --float f.tflite", "there is no option --float here"),
        ("run m.tflite --out o --calibration c.npz", "there is no option --calibration here"),
    ],
)
def test_an_option_that_a_verb_cannot_use_is_refused_by_its_name(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    assert said in capsys.readouterr().err


def test_a_run_is_bisected_as_it_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text('{"request": {}}')
    for words in (
        ["--shape", "x:1,3"],
        ["--signature", "serve"],
        ["--source", "m.onnx"],
        ["--seed", "1"],
    ):
        assert main(["bisect", str(tmp_path), *words]) == 2
        assert f"{words[0]} {words[1].split(':')[0]}: a run is bisected with its own" in (
            capsys.readouterr().err
        )


def test_a_shape_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="the shape of x is given twice"):
        shapes(["x:1,3", "x:1,4"])


def test_what_is_left_out_is_what_the_dataclasses_have() -> None:
    test = parser().parse_args(["export-and-test", "m.onnx"])
    assert running.of(test) == options.Running()
    assert gates.of(test) == options.Gates()
    assert inputs.of(test).seed == options.SEED
    assert scan.of(parser().parse_args(["scan", "m.onnx"])) == options.ScanSettings()
    assert CompressionExpectation() == CompressionExpectation(
        options.Gates().min_agreement,
        options.Gates().min_snr_db,
        False,
        options.Gates().min_variation_snr_db,
        options.Gates().min_samples,
    )
    assert DeploymentExpectation().max_lsb == options.Gates().max_lsb
    assert (DEFAULT_TOLERANCE.atol, DEFAULT_TOLERANCE.rtol) == (options.ATOL, options.RTOL)
    assert Requirements().min_samples == options.Gates().min_samples


def test_what_is_given_reaches_the_dataclasses() -> None:
    """Every field of them has an option, so that no option is read and forgotten."""
    words = (
        "export-and-test m.onnx --device d --host-runtime a --host-runtime b --runtime r "
        "--delegate gpu --threads 3 --keep-going --timeout 7 --atol 1 --rtol 2 --min-agreement "
        "0.5 --min-snr 3 "
        "--min-variation-snr 2 --max-lsb 4 --exact --min-samples 9 --classifier c --samples 11 "
        "--budget 12 --placebos 13 --seed 14 --input i --output o --output-kind values"
    )
    args = parser().parse_args(words.split())
    chosen: tuple[Any, ...] = (running.of(args), gates.of(args), scan.of(args))
    for value in chosen:
        other = type(value)()
        for field in dataclasses.fields(value):
            assert getattr(value, field.name) != getattr(other, field.name), field.name


def test_no_module_of_the_command_states_a_number_of_its_own_as_a_default() -> None:
    """Defaults and the figures of help texts are read from the dataclasses."""
    for path in sorted(Path(devdiff.cli.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (
                isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
            ):
                continue
            for keyword in node.keywords:
                if keyword.arg == "default" and isinstance(keyword.value, ast.Constant):
                    number = isinstance(keyword.value.value, int | float)
                    # A count that is left out is one, and a flag that is left out is off.
                    assert not number or keyword.value.value in (True, False, 1), (
                        path,
                        node.lineno,
                    )
                if keyword.arg == "help":
                    claims = [
                        part.value
                        for part in ast.walk(keyword.value)
                        if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    ]
                    figures = re.findall(r"default:? \d\S*", " ".join(claims))
                    assert figures in ([], ["default 1)"]), (path, node.lineno, figures)


DOCUMENTED: Final = {
    "--seed": str(options.SEED),
    "--min-agreement": shown(options.DEFAULT_GATES.min_agreement),
    "--min-snr": shown(options.DEFAULT_GATES.min_snr_db),
    "--min-variation-snr": shown(options.DEFAULT_GATES.min_variation_snr_db),
    "--min-samples": str(options.DEFAULT_GATES.min_samples),
    "--max-lsb": str(options.DEFAULT_GATES.max_lsb),
    "--atol": shown(options.ATOL),
    "--rtol": shown(options.RTOL),
    "--timeout": shown(options.DEFAULT_RUNNING.timeout_s),
    "--threads": str(options.DEFAULT_RUNNING.threads),
    "--delegate": options.DEFAULT_RUNNING.delegate,
    "--samples": str(options.DEFAULT_SCAN.samples),
    "--budget": shown(options.DEFAULT_SCAN.budget_s),
    "--placebos": str(options.DEFAULT_SCAN.placebos),
    "--max-drop": shown(options.MAX_DROP),
    "--max-snr-loss": shown(options.DEFAULT_RULES.max_snr_loss_db),
}


def test_the_documents_state_the_same_defaults() -> None:
    """The table of them, every figure in brackets behind an option, and sentences about them."""
    (section,) = re.findall(r"^## Defaults\n(.*?)\n## ", GUIDE, re.DOTALL | re.MULTILINE)
    table = dict(re.findall(r"^\| `(--[a-z-]+)` \| `([^`]+)` \|", section, re.MULTILINE))
    assert table == DOCUMENTED
    defaults = 0
    for path in sorted(ROOT.glob("docs/**/*.md")):
        for name, value in re.findall(r"`(--[a-z-]+)` \(([\d.e-]+)[ )]", path.read_text()):
            of_bisect = {"--max-lsb": str(options.BISECT_GATES.max_lsb)}
            known = DOCUMENTED | (of_bisect if path.name == "bisect.md" else {})
            assert known[name] == value, (path, name)
            defaults += 1
    assert defaults > 3
    drops = (options.MAX_DROP, options.OWN_ANSWERS_MAX_DROP, options.OWN_BOXES_MAX_DROP)
    texts = {
        name: (ROOT / f"docs/{name}.md").read_text() for name in ("comparison", "tasks", "scan")
    }
    tasks = " ".join(texts["tasks"].split())
    assert f"The default is {shown(drops[0])} (as much as" in tasks
    assert f"without truth it is {shown(drops[1])}, for detection {shown(drops[2])}." in tasks
    pair = f"`--atol {shown(options.ATOL)}` and `--rtol {shown(options.RTOL)}`"
    assert f"The defaults are {pair}" in texts["comparison"]
    assert f"of the usual {shown(options.DEFAULT_SCAN.budget_s)}," in texts["scan"]


@pytest.mark.parametrize(("name", "value"), DOCUMENTED.items())
def test_help_shows_the_default(name: str, value: str) -> None:
    described = VERBS["export-and-test"]._option_string_actions[name].help or ""
    assert re.search(rf"default {re.escape(value)}\b", described), described


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_groups_stand_in_one_order(leaf: Parser) -> None:
    titles = leaf.titles()
    assert [title for title in GROUPS if title in titles] == titles
    assert titles[-1] == "output"


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.prog)
def test_every_verb_can_be_quiet_and_verbose_and_takes_no_abbreviation(leaf: Parser) -> None:
    assert {"-v", "--verbose", "-q", "--quiet"} <= set(leaf._option_string_actions)
    assert not leaf.allow_abbrev


def test_what_is_said_before_the_command_holds_unless_it_is_said_otherwise_behind_it() -> None:
    for words, verbosity in (
        ("-q doctor", "quiet"),
        ("-q doctor -v", "verbose"),
        ("doctor", None),
        ("doctor --verbose", "verbose"),
    ):
        assert parser().parse_args(words.split()).verbosity == verbosity
    assert main(["doctor", "-q", "-v"]) == 2


def test_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from devdiff.cli.main import parser\n"
        "parser().format_help()\n"
        "heavy = {'numpy', 'rich', 'onnx', 'onnxruntime', 'tensorflow', 'torch', 'keras', 'PIL',\n"
        "         'scipy', 'jsonschema', 'shtab', 'sqlalchemy', 'matplotlib', 'subprocess'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
