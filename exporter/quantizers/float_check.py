"""Layers that a recipe keeps in float32: whether the model has them, and whether they were kept."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.exporter.errors import CompressionError
from devdiff.exporter.tflite_graph import Graph, GraphTensor, read_graph

if TYPE_CHECKING:
    from devdiff.exporter.recipe import Recipe

_SHOWN: Final = 8


def check(recipe: Recipe, floating: Path) -> None:
    """Raises `CompressionError` when the float32 artifact has no such layer or operator."""
    if not (recipe.keep_layers or recipe.keep_operators):
        return
    graph = read_graph(floating)
    layers = {
        graph.tensors[index].name for operator in graph.operators for index in operator.outputs
    }
    for name in recipe.keep_layers:
        if name not in layers:
            raise CompressionError(f"recipe {recipe.name}: {_absent('layer', name, layers)}")
    kinds = {operator.kind for operator in graph.operators}
    for name in recipe.keep_operators:
        if name not in kinds:
            raise CompressionError(f"recipe {recipe.name}: {_absent('operator', name, kinds)}")


def check_made(recipe: Recipe, floating: Path, made: bytes) -> None:
    """Whether every layer that should be is in float32 in ``made``, a .tflite file's bytes.

    Quantizers pass over names they do not know without a word. Raises `CompressionError`.
    """
    if not (recipe.keep_layers or recipe.keep_operators):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.tflite"
        path.write_bytes(made)
        graph = read_graph(path)
    wanted = set(recipe.keep_layers)
    for operator in read_graph(floating).operators:
        if operator.kind in recipe.keep_operators:
            wanted |= {tensor.name for tensor in _written(read_graph(floating), operator.index)}
    quantized = {
        tensor.name
        for node in graph.operators
        for tensor in _written(graph, node.index)
        if node.kind not in ("QUANTIZE", "DEQUANTIZE") and tensor.dtype != "float32"
    }
    if missed := sorted(wanted & quantized):
        raise CompressionError(
            f"recipe {recipe.name}: the {recipe.quantizer} quantizer did not keep "
            f"{', '.join(missed[:_SHOWN])} in float32; try the other quantizer, or leave it out"
        )


def _written(graph: Graph, index: int) -> list[GraphTensor]:
    return [graph.tensors[output] for output in graph.operators[index].outputs]


def _absent(subject: str, name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    shown = ", ".join(sorted(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    hint = f"did you mean {near[0]}?" if near else f"there are {shown}"
    return f"the float32 artifact has no {subject} {name!r}; {hint}"
