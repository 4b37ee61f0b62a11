"""Of adb-shell only what is public is used, so that a release of it breaks nothing."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("android_harness", "devdiff", "device_runner", "exporter", "scripts", "tests")
FOREIGN = ("adb_shell", "adbutils")
# Named in adb-shell's documentation. Its `hidden_helpers` are what they are called.
PUBLIC = {
    "adb_shell": {"constants", "exceptions"},
    "adb_shell.adb_device": None,
    "adb_shell.auth.keygen": None,
    "adb_shell.auth.sign_pythonrsa": None,
    "adb_shell.exceptions": None,
    "adb_shell.transport": {"", "usb_transport"},
    "adb_shell.transport.tcp_transport": None,
}
ROOM = ROOT / "device_runner/adb"


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Modules and names out of them (empty: the module itself) that a file imports, anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.module, alias.name


def private_names(tree: ast.AST) -> list[str]:
    """What a file imports from adb libraries without being invited to."""
    found = []
    for module, name in imported(tree):
        if module.split(".")[0] not in FOREIGN:
            continue
        allowed = PUBLIC.get(module, set())
        private = any(part.startswith("_") for part in (*module.split("."), name))
        if private or (allowed is not None and name not in allowed):
            found.append(f"{module}:{name}")
    return found


def users() -> Iterator[tuple[Path, ast.AST]]:
    """The files that name one of the libraries."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            content = path.read_bytes()
            if any(name.encode() in content for name in FOREIGN):
                yield path, ast.parse(content)


def test_no_private_name_of_an_adb_library_is_imported() -> None:
    looked_at = dict(users())
    found = {str(path): names for path, tree in looked_at.items() if (names := private_names(tree))}
    assert found == {}
    assert ROOM / "packet.py" in looked_at


@pytest.mark.parametrize(
    "text",
    [
        "from adb_shell.adb_device import _AdbIOManager",
        "from adb_shell.hidden_helpers import get_banner",
        "import adb_shell.hidden_helpers",
        "def f():\n  from adbutils._adb import AdbConnection",
    ],
)
def test_a_private_name_would_be_found(text: str) -> None:
    assert private_names(ast.parse(text))


def private_attributes(tree: ast.AST) -> list[str]:
    """Attributes that begin with an underscore, of anything but the object itself."""
    return [
        f"{ast.unparse(node)}, line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]


def test_no_private_attribute_of_another_object_is_touched_there() -> None:
    found = {
        path.name: names
        for path in sorted(ROOM.glob("*.py"))
        if (names := private_attributes(ast.parse(path.read_bytes())))
    }
    assert found == {}
    assert private_attributes(ast.parse("self._phone._transport.bulkRead(1)"))
