"""The main graph of a .tflite file as plain values: tensors with their constants, operators.

For whoever has to understand a model rather than run it. It needs NumPy and the flatbuffers schema
of the interpreter's package, no TensorFlow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.artifact import Array
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.tflite_file import DTYPES, integers, operator_name, parse, text

if TYPE_CHECKING:
    from pathlib import Path


def _names(enumeration: type) -> dict[int, str]:
    return {code: name for name, code in vars(enumeration).items() if isinstance(code, int)}


_ENUMERATIONS: Final[Mapping[str, Mapping[int, str]]] = {
    "fused_activation_function": _names(schema.ActivationFunctionType),
    "padding": _names(schema.Padding),
    "mode": _names(schema.MirrorPadMode),
    "in_data_type": DTYPES,
    "out_data_type": DTYPES,
    "output_type": DTYPES,
}


@dataclass(frozen=True, slots=True, eq=False)
class GraphTensor:
    """One tensor of the graph.

    ``dtype`` is NumPy's name for how it is stored ("int4", which NumPy lacks, for packed nibbles).
    A quantized tensor stands for ``(stored - zero_points) * scales``, both of length 1, or of
    length ``shape[axis]`` when every slice along ``axis`` has its own; None otherwise. ``data`` is
    a constant's stored values in ``shape`` (int4 as int8), read-only; None when it is computed.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: Array | None
    zero_points: Array | None
    axis: int
    data: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class GraphOperator:
    """One operator: tensor indices in and out (-1 where an optional input is absent).

    ``options`` are the schema's, in snake case; paddings, fused activations, mirror modes and types
    by name.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A whole model; ``operators`` stand in an order in which they can be run."""

    tensors: tuple[GraphTensor, ...]
    operators: tuple[GraphOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(path: Path) -> Graph:
    """The graph of a .tflite file.

    Raises `ArtifactError` when the file is missing, damaged, or keeps its weights in a way that is
    not read here (sparse, or behind the flatbuffer), and when it has more than one graph.
    """
    try:
        model = parse(path)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if len(model.subgraphs) > 1:
        others = ", ".join(repr(text(graph.name)) for graph in model.subgraphs[1:])
        raise ArtifactError(
            f"{path} has more than one graph (also {others}): models with control flow or several "
            "signatures are not read; export the one that is to be looked at alone"
        )
    try:
        return _graph(model)
    except _UnreadableError as error:
        raise ArtifactError(f"{path}: {error}; export or copy it again") from None


class _UnreadableError(Exception):
    """Why a file that parses cannot be read; `read_graph` puts its name in front."""


def _graph(model: Any) -> Graph:
    graph = model.subgraphs[0]
    names = [operator_name(code) for code in model.operatorCodes or []]
    operators = tuple(
        GraphOperator(
            index,
            names[operator.opcodeIndex],
            tuple(integers(operator.inputs)),
            tuple(integers(operator.outputs)),
            _options(operator),
        )
        for index, operator in enumerate(graph.operators or [])
    )
    computed = {*integers(graph.inputs), *(i for operator in operators for i in operator.outputs)}
    tensors = tuple(
        _tensor(index, tensor, model.buffers or [], index in computed)
        for index, tensor in enumerate(graph.tensors or [])
    )
    found = Graph(tensors, operators, tuple(integers(graph.inputs)), tuple(integers(graph.outputs)))
    state = {index for index, tensor in enumerate(graph.tensors or []) if tensor.isVariable}
    _check_order(found, state)
    return found


def _check_order(graph: Graph, state: set[int]) -> None:
    known = {-1, *graph.inputs, *state}
    known.update(tensor.index for tensor in graph.tensors if tensor.data is not None)
    for operator in graph.operators:
        missing = [i for i in operator.inputs if i not in known]
        if missing:
            raise _UnreadableError(
                f"{operator.kind} reads tensor {graph.tensors[missing[0]].name!r} before anything "
                "has computed it"
            )
        known.update(operator.outputs)
    for index in graph.outputs:
        if index not in known:
            raise _UnreadableError(f"nothing computes the output {graph.tensors[index].name!r}")


def _options(operator: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for options in (operator.builtinOptions, operator.builtinOptions2):
        if options is None:
            continue
        for name, value in vars(options).items():
            key = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
            if key in _ENUMERATIONS and value not in _ENUMERATIONS[key]:
                raise _UnreadableError(f"an operator's {key} is {value}")
            found[key] = _ENUMERATIONS[key][value] if key in _ENUMERATIONS else value
    return found


def _tensor(index: int, tensor: Any, buffers: list[Any], computed: bool) -> GraphTensor:
    name = text(tensor.name)
    dtype = DTYPES.get(tensor.type)
    if dtype is None:
        raise _UnreadableError(f"tensor {name!r} has the unknown type {tensor.type}")
    shape = tuple(integers(tensor.shape))
    try:
        scales, zero_points, axis = _quantization(tensor.quantization, shape)
        data = None if computed else _constant(tensor, shape, dtype, buffers)
    except _UnreadableError as error:
        raise _UnreadableError(f"tensor {name!r}: {error}") from None
    return GraphTensor(index, name, shape, dtype, scales, zero_points, axis, data)


def _quantization(
    parameters: Any, shape: tuple[int, ...]
) -> tuple[Array | None, Array | None, int]:
    if parameters is None or parameters.scale is None or len(parameters.scale) == 0:
        return None, None, 0
    scales = np.array(parameters.scale, np.float32)
    if not np.all(np.isfinite(scales) & (scales >= 0)):
        raise _UnreadableError("a scale is negative or not finite")
    zero_points = np.array(integers(parameters.zeroPoint) or [0], np.int64)
    if len(zero_points) not in (1, len(scales)):
        raise _UnreadableError(f"{len(zero_points)} zero points for {len(scales)} scales")
    axis = int(parameters.quantizedDimension) if len(scales) > 1 else 0
    if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
        raise _UnreadableError(f"{len(scales)} scales along axis {axis} of shape {list(shape)}")
    return scales, np.broadcast_to(zero_points, scales.shape), axis


def _constant(tensor: Any, shape: tuple[int, ...], dtype: str, buffers: list[Any]) -> Array | None:
    buffer = buffers[tensor.buffer]
    if tensor.sparsity is not None:
        raise _UnreadableError("its values are stored sparse, which is not read")
    if buffer.offset > 1 or tensor.externalBuffer:
        raise _UnreadableError("its values lie outside the model's own tables, which is not read")
    stored = np.frombuffer(bytes(() if buffer.data is None else buffer.data), np.uint8)
    if stored.size == 0 and math.prod(shape) > 0:
        return None
    if dtype == "int4":
        values = _nibbles(stored)[: math.prod(shape)]
    else:
        try:
            values = stored.view(np.dtype(dtype))
        except (TypeError, ValueError):
            raise _UnreadableError(f"{len(stored)} bytes of type {dtype} are not read") from None
    if values.size != math.prod(shape):
        raise _UnreadableError(f"{len(stored)} bytes do not fill the shape {list(shape)}")
    values = values.reshape(shape)
    values.flags.writeable = False
    return values


def _nibbles(stored: Array) -> Array:
    """Two's complement nibbles, the lower one of each byte first."""
    pairs = np.stack([stored & 15, stored >> 4], axis=-1).reshape(-1).astype(np.int8)
    return np.where(pairs > 7, pairs - 16, pairs).astype(np.int8)
