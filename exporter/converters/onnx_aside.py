"""Large weights of an ONNX model kept in files. Imported by the child process only.

Simplifying and converting copy a model a dozen times. Weights that only a product, a convolution or
a table look-up reads need not be among what is copied: they are inputs while the model is
simplified, and data of a file beside it when it is converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LARGE_BYTES: Final = 1 << 20
"""Weights of this many bytes are put aside."""
# Who reads them without a need for their values, as which input.
_READERS: Final = frozenset(
    {("Conv", 1), ("ConvTranspose", 1), ("Gemm", 1), ("MatMul", 0), ("MatMul", 1), ("Gather", 0)}
)


@dataclass(frozen=True, slots=True)
class Aside:
    """One float32 weight; ``file`` lies in the working directory and holds nothing else."""

    name: str
    dims: tuple[int, ...]
    file: str


def put_aside(model: Any, folder: Path) -> list[Aside]:
    """Turn large weights into inputs of the graph, and write them into ``folder``, in place.

    Batch norms behind them are folded first, which nobody else can do without their values.
    """
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    readers = _readers(model)
    _fold_norms(model, initializers, readers)
    outputs = {value.name for value in model.graph.output}
    given = {value.name for value in model.graph.input}
    asides = []
    for place in reversed(range(len(model.graph.initializer))):
        tensor = model.graph.initializer[place]
        used = readers.get(tensor.name, ())
        plain = tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.raw_data) >= LARGE_BYTES
        if not plain or not used or tensor.name in outputs or tensor.name in given:
            continue
        if any((node.op_type, position) not in _READERS for node, position in used):
            continue
        aside = Aside(tensor.name, tuple(tensor.dims), f"weight-{place}.bin")
        (folder / aside.file).write_bytes(tensor.raw_data)
        model.graph.input.append(
            onnx.helper.make_tensor_value_info(aside.name, onnx.TensorProto.FLOAT, aside.dims)
        )
        asides.append(aside)
        del model.graph.initializer[place]
    return asides


def put_back(model: Any, asides: Sequence[Aside]) -> None:
    """Make them weights again, in place, whose data are in their files."""
    by_name = {aside.name: aside for aside in asides}
    for place in reversed(range(len(model.graph.input))):
        aside = by_name.get(model.graph.input[place].name)
        if aside is None:
            continue
        del model.graph.input[place]
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type = aside.name, onnx.TensorProto.FLOAT
        tensor.dims.extend(aside.dims)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", aside.file


def read_in_place() -> None:
    """Let onnx_graphsurgeon take weights that lie in files as they are, without a copy."""
    from onnx_graphsurgeon.ir.tensor import LazyValues

    load = LazyValues.load

    def mapped(self: Any) -> Any:
        tensor = self.tensor
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return load(self)
        (file,) = (entry.value for entry in tensor.external_data if entry.key == "location")
        # Whoever writes into it gets a copy of what it writes.
        return np.asarray(np.memmap(file, np.float32, "c", shape=tuple(tensor.dims)))

    LazyValues.load = mapped


def _readers(model: Any) -> dict[str, list[tuple[Any, int]]]:
    """Who reads each value, as which input; -1 for the inner graphs of a node."""
    from devdiff.exporter.onnx_weights import captured

    readers: dict[str, list[tuple[Any, int]]] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, place))
        for name in captured(node):
            readers.setdefault(name, []).append((node, -1))
    return readers


def _fold_norms(
    model: Any, initializers: Mapping[str, Any], readers: Mapping[str, Sequence[tuple[Any, int]]]
) -> None:
    """Batch norms right behind convolutions with large weights of their own, into these."""
    outputs = {value.name for value in model.graph.output}
    done = []
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in initializers:
            continue
        weight = initializers[node.input[1]]
        used = readers.get(node.output[0], ())
        if len(weight.raw_data) < LARGE_BYTES or len(readers[weight.name]) > 1 or len(used) != 1:
            continue
        norm = used[0][0]
        known = [*norm.input[1:], *node.input[2:]]
        single = norm.op_type == "BatchNormalization" and used[0][1] == 0
        if not single or node.output[0] in outputs or any(n not in initializers for n in known):
            continue
        _fold(node, norm, initializers, model)
        done.append(norm)
    for norm in done:
        model.graph.node.remove(norm)


def _fold(conv: Any, norm: Any, initializers: Mapping[str, Any], model: Any) -> None:
    values = [numpy_helper.to_array(initializers[name]) for name in norm.input[1:5]]
    scale, shift, mean, variance = (value.astype(np.float64) for value in values)
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    weight = initializers[conv.input[1]]
    array = np.array(numpy_helper.to_array(weight))
    array *= factor.astype(np.float32).reshape(-1, *[1] * (array.ndim - 1))
    weight.raw_data = array.tobytes()
    before = 0.0
    if len(conv.input) > 2 and conv.input[2]:
        before = numpy_helper.to_array(initializers[conv.input[2]]).astype(np.float64)
    bias = model.graph.initializer.add()
    bias.CopyFrom(
        numpy_helper.from_array(
            ((before - mean) * factor + shift).astype(np.float32), f"{norm.output[0]}/folded bias"
        )
    )
    del conv.input[2:]
    conv.input.append(bias.name)
    conv.output[0] = norm.output[0]
