"""Names of the product say what a value is: ``rung`` or ``reason``, not ``one`` or ``told``."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("devdiff", "exporter", "device_runner", "android_harness", "scripts")
NARRATING = {"one", "told", "said", "what"}
# Fields of the report, which readers know by these names.
ALLOWED = {("devdiff/report/model/scan.py", "what")}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Path and syntax of every module; `Path.rglob` does not follow the links within devdiff."""
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and (path.suffix == ".py" or is_python_script(path)):
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def is_python_script(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline()
    return first.startswith(b"#!") and b"python" in first


def defined(node: ast.AST) -> str | None:
    """The name that a node gives to a value, if it gives one."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            return name
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case ast.ClassDef(name=name) | ast.alias(asname=name) | ast.ExceptHandler(name=name):
            return name
        case ast.MatchAs(name=name) | ast.MatchStar(name=name) | ast.MatchMapping(rest=name):
            return name
    return None


def narrating(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of every definition whose name narrates."""
    for node in ast.walk(tree):
        name = defined(node)
        if name is not None and name.strip("_").lower() in NARRATING:
            yield getattr(node, "lineno", 0), name


def test_names_say_what_a_value_is() -> None:
    found = [(path, *place) for path, tree in modules() for place in narrating(tree)]
    wrong = [
        f"{path}:{line}: `{name}` narrates; name the value (rung, entry, reason …)"
        for path, line, name in found
        if (path, name) not in ALLOWED
    ]
    assert not wrong, "\n".join(wrong)
    assert {(path, name) for path, _, name in found} == ALLOWED, "an exception is out of date"


@pytest.mark.parametrize(
    "code",
    [
        "one = 1",
        "for one in (): pass",
        "[one for one in ()]",
        "(told := 1)",
        "lambda what: 1",
        "def name(*, told): pass",
        "def _told(): pass",
        "async def said(): pass",
        "class Name:\n    what: int",
        "self.said = 1",
        "with place as one: pass",
        "import place as what",
        "try: pass\nexcept OSError as what: pass",
        "match place:\n    case [one, *_]: pass",
        "match place:\n    case {**told}: pass",
        "class _Said: pass",
    ],
)
def test_every_kind_of_definition_counts(code: str) -> None:
    assert list(narrating(ast.parse(code)))


@pytest.mark.parametrize("code", ["print(one)", "placebo.what", "call(what=1)", "'told'"])
def test_using_a_name_is_not_defining_it(code: str) -> None:
    assert not list(narrating(ast.parse(code)))
