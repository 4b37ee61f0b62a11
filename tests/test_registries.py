"""Families that grow by members: whoever is in a family's folder is registered, and fits."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest

from devdiff.device_runner.delegates import DELEGATES
from devdiff.exporter import recipe
from devdiff.exporter.converters.converter import CONVERTERS, Converter
from devdiff.exporter.quantizers.quantizer import QUANTIZERS, Quantizer
from devdiff.exporter.sources.formats import CHOICES, FORMATS, SourceFormat
from devdiff.exporter.sources.source import ReadSource, SourceForm, SourceReader
from devdiff.inputs.preprocess import STEPS, Preprocess
from devdiff.options import Running
from devdiff.report import formats as report_formats
from devdiff.tasks.kinds import KINDS
from devdiff.tasks.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.tasks.kind import TaskKind

ROOT = Path(__file__).resolve().parents[1]


def trees(folder: str) -> Iterator[tuple[str, ast.Module]]:
    """Name and syntax of the modules in a folder of the product, from which nothing is imported."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts if parts[0] == "devdiff" else ("devdiff", *parts))
        yield name.removesuffix(".__init__"), ast.parse(path.read_text())


def defining(folder: str, function: str) -> dict[str, ast.FunctionDef]:
    """The modules in a folder that have a function of that name."""
    return {
        name: node
        for name, tree in trees(folder)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == function
    }


def parameters(function: ast.FunctionDef) -> int:
    return len(function.args.posonlyargs) + len(function.args.args)


def wanted(protocol: type, method: str) -> int:
    """How many arguments a member's function is given."""
    return len(inspect.signature(getattr(protocol, method)).parameters) - 1


def test_every_reader_of_sources_is_registered() -> None:
    readers = {
        name: node
        for name, node in defining("exporter/sources", "read").items()
        if ast.unparse(node.returns or ast.Constant("")) == ReadSource.__name__
        and parameters(node) == wanted(SourceReader, "read")
    }
    assert set(readers) == {kind.reader for kind in FORMATS.values()}
    assert set(FORMATS) == set(get_args(SourceFormat))
    suffixes = [suffix for kind in FORMATS.values() for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert [s for s in suffixes if s not in CHOICES and s not in (".pth", ".hdf5")] == []


def test_every_converter_is_registered() -> None:
    found = defining("exporter/converters", "convert")
    assert set(found) == set(CONVERTERS.values())
    assert {parameters(node) for node in found.values()} == {wanted(Converter, "convert")}
    assert set(CONVERTERS) == set(get_args(SourceForm))


def test_every_quantizer_is_registered() -> None:
    found = defining("exporter/quantizers", "quantize")
    assert set(found) == set(QUANTIZERS.values())
    assert {parameters(node) for node in found.values()} == {wanted(Quantizer, "quantize")}
    assert set(QUANTIZERS) == set(get_args(recipe.Quantizer))
    assert {known.quantizer for known in recipe.BUILTIN.values()} == set(QUANTIZERS)


def test_every_recipe_goes_by_its_name() -> None:
    assert {known.name: known for known in recipe.BUILTIN.values()} == dict(recipe.BUILTIN)
    precisions = {known.precision for known in recipe.BUILTIN.values()}
    assert precisions == set(get_args(recipe.Precision)) - {"float32"}
    for name in recipe.BUILTIN:
        assert f"`{name}`" in (ROOT / "docs/recipes.md").read_text(), name


def test_every_kind_of_task_is_registered() -> None:
    offered = {
        name
        for name, tree in trees("devdiff/tasks")
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "KIND"
    }
    methods = {"answer", "as_truth", "scorer", "figures"}
    tasks = {
        name
        for name, tree in trees("devdiff/tasks")
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name != Task.__name__
        if methods <= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    }
    assert offered == tasks
    kinds: list[TaskKind] = [importlib.import_module(name).KIND for name in sorted(offered)]
    assert sorted(KINDS) == sorted(kind.name for kind in kinds)
    text = (ROOT / "docs/tasks.md").read_text()
    for kind in kinds:
        assert f"`{kind.name}" in text


def test_every_format_of_a_report_is_registered() -> None:
    writers = {
        name.removeprefix("devdiff.report.")
        for name in defining("devdiff/report", "write")
        if name != report_formats.__name__
    }
    tree = ast.parse(inspect.getsource(report_formats))
    used = {
        f"{(node.module or '').removeprefix('devdiff.report').lstrip('.')}.{alias.name}".lstrip(".")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("devdiff.report")
        for alias in node.names
    }
    assert writers == used - {"model.Report"}
    assert set(report_formats.FORMATS) == {
        node.id.removeprefix("_")
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and hasattr(report_formats, node.id)
        if node.id.removeprefix("_") in report_formats.FORMATS
    }


def test_every_delegate_can_be_asked_for() -> None:
    chosen = get_type_hints(Running)["delegate"]
    assert set(get_args(chosen)) == set(DELEGATES)
    source = (ROOT / "android_harness/runner/delegate.c").read_text()
    for delegate in DELEGATES.values():
        assert all(f'"{name}"' in source for name in delegate.files)
    assert [name for name, known in DELEGATES.items() if not known.phones_only] == [
        "xnnpack",
        "none",
    ]


def test_every_step_of_preprocessing_is_a_field_and_is_read_back() -> None:
    fields = set(Preprocess.__dataclass_fields__) - {"resize_mode"}
    assert fields == set(STEPS)
    examples: dict[str, Any] = {"resize": "8x9", "crop": "4x4", "layout": "NHWC", "channels": "L"}
    for name, step in STEPS.items():
        text = name if step.switch else f"{name}={examples.get(name, '2')}"
        declared = Preprocess.parse(text)
        assert Preprocess.parse(declared.describe()) == declared
        assert declared.of_sound is (step.of == "sound")
        assert declared.of_images is (step.of == "images")
    with pytest.raises(ValueError, match=r".") as caught:
        STEPS["scale"].parse("much")
    assert isinstance(caught.value, ValueError)


def test_every_module_with_operators_of_the_twin_is_registered() -> None:
    modules = {
        name.rpartition(".")[2]
        for name, tree in trees("devdiff/scanner/twin")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "builds"
    }
    package = ast.parse((ROOT / "devdiff/scanner/twin/__init__.py").read_text())
    (families,) = [
        node.value
        for node in package.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_FAMILIES"
    ]
    assert isinstance(families, ast.Tuple)
    assert {ast.unparse(name) for name in families.elts} == modules
