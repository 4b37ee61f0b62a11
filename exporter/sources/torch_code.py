"""What a PyTorch file would run when it is loaded, found without loading it.

A ``.pt2`` is a zip with a graph in JSON, but its loader unpickles what lies beside it
(``weights_only=False`` where a tensor asks for it, custom objects always), evaluates symbolic sizes
as Python, and makes Python source of names and guards. So an untrusted one may only hold what the
plain loading of tensors needs: everything here names the first thing that goes beyond.
"""

from __future__ import annotations

import ast
import io
import json
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Literal

from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.sources.archive import read_member

TorchKind = Literal["exported-program", "torchscript", "pickled-module", "weights"]

# A magic number, a version, the machine, and the object; its tensors' bytes follow.
_LEGACY_PICKLES: Final = 4
# Members that torch.export.load hands to a pickle loader of its own, or to dlopen.
_FOREIGN: Final = (
    ("custom_obj_", "a custom object, which is unpickled"),
    ("opaque_obj_", "an opaque object, which is unpickled"),
    ("aotinductor/", "compiled machine code"),
)
_TARGETS: Final = re.compile(
    r"torch\.ops\.\w+\.\w+(\.\w+)?|torch\._?sym_\w+|math\.\w+|"
    r"_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|xor|not_|invert"
    r"|eq|ne|lt|le|gt|ge|lshift|rshift)"
)
_SCRIPT_FILES: Final = re.compile(
    r"\b(from_file|torch\.(save|load)|ops\.(?!aten\b|prims?\b)\w+\.\w+)"
)
_FILE_OPERATORS: Final = ("from_file", "save", "_load_from")
_IMPORTING_KEYS: Final = ("__enum__", "default_factory_module")
# Whatever could be more than a name once it stands in generated source.
_CODE: Final = re.compile(r"[()=\[\]{}\"'\\\n\r;@`]")
_NAME: Final = re.compile(r"[\w.\-+]*")
_EXPRESSION_NODES: Final = (
    ast.Expression, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Constant, ast.Name,
    ast.Subscript, ast.Call, ast.Attribute, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
    ast.expr_context, ast.Tuple, ast.keyword,
)  # fmt: skip
_FUNCTIONS: Final = frozenset({
    "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "Float", "FloatPow",
    "FloatTrueDiv", "FloorDiv", "FloorToInt", "Ge", "GreaterThan", "Gt", "IntTrueDiv", "Integer",
    "IsNonOverlappingAndDenseIndicator", "LShift", "Le", "LessThan", "Lt", "Max", "Min", "Mod",
    "ModularIndexing", "Mul", "Ne", "Not", "Or", "PowByNatural", "Pow", "PythonMod", "RShift",
    "Rational", "RoundToInt", "StrictGreaterThan", "StrictLessThan", "Symbol", "ToFloat",
    "TruncToFloat", "TruncToInt", "Unequality", "Where", "abs", "bool", "ceiling", "float",
    "floor", "int", "len", "max", "min", "pow", "round",
})  # fmt: skip
_METHODS: Final = frozenset({
    "ceil", "dim", "floor", "inf", "isnan", "item", "ndim", "numel", "shape", "size", "sqrt",
    "storage_offset", "stride", "sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not",
    "trunc",
})  # fmt: skip


def kind_of(path: Path, members: Mapping[str, int]) -> TorchKind:
    """What a zip that torch wrote holds, by the names of its members and its pickle's words.

    Raises `SourceModelError` when it is nothing of torch's.
    """
    inside = {name.partition("/")[2] for name in members} | set(members)
    if "models/model.json" in inside or "serialized_exported_program.json" in inside:
        return "exported-program"
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return "torchscript"
    pickles = [name for name in members if PurePosixPath(name).name == "data.pkl"]
    if len(pickles) != 1:
        raise SourceModelError(f"{path} is a zip archive, but nothing that torch.save wrote")
    found = _classes(io.BytesIO(read_member(path, pickles[0])))
    return "pickled-module" if found else "weights"


def kind_of_pickle(path: Path) -> TorchKind:
    """The same for the bare pickles that torch.save wrote before version 1.6."""
    with path.open("rb") as stream:
        found = [name for _ in range(_LEGACY_PICKLES) for name in _classes(stream)]
    return "pickled-module" if found else "weights"


def _classes(data: IO[bytes]) -> list[str]:
    """Classes and functions that the next pickle of ``data`` would call, tensors' own aside."""
    found: list[str] = []
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "GLOBAL":
                found.append(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                found.append(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    except (ValueError, IndexError, OverflowError):
        return [*found, "an unreadable pickle"]
    plain = re.compile(r"torch(\.storage|\._utils|\._tensor)?\.\w+|collections\.OrderedDict")
    return [name for name in found if not plain.fullmatch(name)]


def forbidden(path: Path, members: Mapping[str, int]) -> str | None:
    """What in a ``.pt2`` could run code while it is loaded; None when nothing can."""
    for name in members:
        for mark, kind in _FOREIGN:
            if mark in name:
                return f"{name} is {kind}"
    with zipfile.ZipFile(path) as archive:
        for name in members:
            if name.endswith(".json"):
                try:
                    data = json.loads(archive.read(name))
                except (ValueError, RecursionError) as error:
                    raise SourceModelError(f"{path} is damaged: {name}: {error}") from error
                found = next(_suspicious(data, ""), None)
                if found:
                    return f"{name}: {found}"
    return None


def script_forbidden(path: Path, members: Mapping[str, int]) -> str | None:
    """What in a TorchScript file reaches for files or for operators of its own; None when nothing.

    Its code is TorchScript and not Python, but that has operators for files, too.
    """
    with zipfile.ZipFile(path) as archive:
        for name in members:
            if name.endswith(".py") and "/code/" in name:
                found = _SCRIPT_FILES.search(archive.read(name).decode(errors="replace"))
                if found:
                    return f"{name} calls {found[0]}"
    return None


def _suspicious(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, nested in value.items():
            if inner in _IMPORTING_KEYS:
                yield f"{inner!r} imports a module"
            if _CODE.search(inner):
                yield f"the name {inner!r}"
            # Stack traces and module paths, which nothing evaluates.
            if inner != "metadata":
                yield from _suspicious(nested, inner)
    elif isinstance(value, list):
        for item in value:
            yield from _suspicious(item, key)
    elif isinstance(value, str):
        yield from _suspicious_text(value, key)


def _suspicious_text(value: str, key: str) -> Iterator[str]:
    if key == "target" and not _TARGETS.fullmatch(value):
        yield f"the operator {value!r}"
    elif (
        key == "target" and value.split(".")[-2 if value.count(".") > 3 else -1] in _FILE_OPERATORS
    ):
        yield f"the operator {value!r} opens files"
    elif key in ("expr_str", "guards_code"):
        if not _harmless(value):
            yield f"the expression {value[:60]!r}"
    elif _CODE.search(value):
        # The tree specifications are JSON within the JSON.
        try:
            inner = json.loads(value)
        except (ValueError, RecursionError):
            yield f"the text {value[:60]!r}"
        else:
            yield from _suspicious(inner, key)


def _harmless(expression: str) -> bool:
    """Whether a symbolic size or guard is arithmetic on sizes and nothing else."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _EXPRESSION_NODES):
            return False
        if isinstance(node, ast.Name) and "__" in node.id:
            return False
        if isinstance(node, ast.Constant) and not _NAME.fullmatch(str(node.value)):
            return False
        if isinstance(node, ast.Attribute) and node.attr not in _METHODS:
            return False
        if isinstance(node, ast.Call):
            function = node.func
            known = isinstance(function, ast.Attribute) or (
                isinstance(function, ast.Name) and function.id in _FUNCTIONS
            )
            if not known:
                return False
    return True
