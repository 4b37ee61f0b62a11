"""One tree of errors: each has its words and its exit code, and the drawing shows all of them."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import devdiff
from devdiff.cli import failures
from devdiff.system import errors
from devdiff.system.errors import DevdiffError
from devdiff.system.exit_code import ExitCode
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(devdiff.__file__).parent
# A child's word to its parent, and a script that runs where no devdiff is.
OF_THEIR_OWN = {
    (ROOT / name).resolve() for name in ("device_runner/host/child.py", "bisection/standalone.py")
}
# What tells one module of a room something of another, and is caught there.
WITHIN_A_ROOM = {
    "CommandLineError",
    "Interrupted",
    "LayoutError",
    "PortTakenError",
    "RefusalError",
    "RefusedError",
    "ServiceUnknownError",
    "WireClosedError",
}


def _modules() -> list[Path]:
    """All of the package, through its links too."""
    found = []
    for package in (ROOT, *(path.resolve() for path in ROOT.iterdir() if path.is_symlink())):
        found += [path for path in package.rglob("*.py") if path.is_file()]
    return sorted(set(found))


def _tree() -> dict[str, type[DevdiffError]]:
    for package in ("devdiff", "devdiff.exporter", "devdiff.device_runner"):
        importlib.import_module(f"{package}.errors")
    for name in ("devdiff.android_harness.errors", "devdiff.package.packed"):
        importlib.import_module(name)

    def below(kind: type[DevdiffError]) -> Iterator[type[DevdiffError]]:
        for inner in kind.__subclasses__():
            yield inner
            yield from below(inner)

    return {kind.__name__: kind for kind in below(DevdiffError)}


def _drawn() -> dict[str, tuple[str, ExitCode | None]]:
    """Each name of the drawing with the one it hangs from and the code behind it."""
    found: dict[str, tuple[str, ExitCode | None]] = {}
    path = ["DevdiffError"]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ]*)[├└]── (\w+)(?: +(\d))?", line)
        if match:
            del path[1 + len(match[1]) // 4 :]
            found[match[2]] = (path[-1], ExitCode(int(match[3])) if match[3] else None)
            path.append(match[2])
    return found


TREE = _tree()


@pytest.mark.parametrize("name", sorted(TREE))
def test_every_error_has_words_a_code_and_its_place_in_the_drawing(name: str) -> None:
    kind = TREE[name]
    assert kind.__dict__.get("__doc__"), "it says nothing of itself"
    coded = [
        base for base in kind.__mro__ if "exit_code" in base.__dict__ and base is not Exception
    ]
    assert coded[0] is not DevdiffError, "nobody chose its exit code"
    assert kind.exit_code in (ExitCode.FAIL, ExitCode.USAGE, ExitCode.ERROR)
    parent, code = _drawn()[name]
    assert parent == kind.__bases__[0].__name__
    assert code is kind.__dict__.get("exit_code"), "a code is drawn where it is set"
    assert failures.exit_code(kind("x")) is kind.exit_code


def test_the_drawing_shows_nothing_that_is_not_there() -> None:
    assert set(_drawn()) == set(TREE)


def test_no_exception_of_ours_grows_elsewhere() -> None:
    """Private ones aside: those cannot be meant for another room."""
    roots = set()
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            bases = {ast.unparse(base) for base in node.bases}
            if bases & {"Exception", "RuntimeError", "ValueError", "OSError", "KeyboardInterrupt"}:
                roots.add(node.name)
    assert roots == {"DevdiffError", *WITHIN_A_ROOM}


def test_no_module_writes_an_exit_code_as_a_number() -> None:
    """0 aside, which means the same everywhere."""
    found = []
    for path in set(_modules()) - OF_THEIR_OWN:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and _is_command(path, node):
                found += [
                    f"{path}:{inner.lineno}"
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Return) and _written(inner.value)
                ]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.exit", "SystemExit"):
                found += [f"{path}:{node.lineno}" for value in node.args if _written(value)]
            if isinstance(node, ast.keyword) and node.arg == "exit_code" and _written(node.value):
                found.append(f"{path}:{node.value.lineno}")
            if isinstance(node, ast.Compare) and "exit_code" in ast.unparse(node.left):
                found += [f"{path}:{node.lineno}" for value in node.comparators if _written(value)]
    assert not found


def _is_command(path: Path, function: ast.FunctionDef) -> bool:
    counts = function.returns is not None and ast.unparse(function.returns) == "int"
    return counts and (path.parent.name == "cli" or function.name in ("main", "_main"))


def _written(value: ast.expr | None) -> bool:
    if isinstance(value, ast.IfExp):
        return _written(value.body) or _written(value.orelse)
    return isinstance(value, ast.Constant) and type(value.value) is int and value.value != 0


def test_verdicts_and_errors_share_their_codes() -> None:
    assert {verdict: verdict.exit_code for verdict in Verdict} == {
        Verdict.PASS: ExitCode.PASS,
        Verdict.FAIL: ExitCode.FAIL,
        Verdict.ERROR: ExitCode.ERROR,
        Verdict.FINDING: ExitCode.FINDING,
        Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    }
    assert [int(code) for code in ExitCode] == [0, 1, 2, 3, 4, 5]
