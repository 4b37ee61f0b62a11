"""Large weights made int8 before the quantizer sees the model. For child processes only.

The quantizer holds five copies of the model it is given. Weights that are integers already, read
through a DEQUANTIZE, it takes as they are, as it does those of a model that was trained so; what
comes out is the same to the bit, from a quarter of the size.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.tflite_file import integers, operator_name, text

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

# Their weights have a scale for each row.
_KINDS: Final = frozenset({"CONV_2D", "FULLY_CONNECTED"})
_LARGEST: Final = np.float32(127)


def put_in(model: Any, constants: dict[int, Array]) -> dict[int, Array]:
    """``constants`` (uint8, by buffer) with the large weights of ``model`` as int8 in new buffers.

    ``model`` is changed to read them. What others read, too, or has no scale, stays in float32.
    """
    names = [operator_name(code) for code in model.operatorCodes]
    graph = model.subgraphs[0]
    uses = Counter(index for o in graph.operators for index in integers(o.inputs))
    buffers = Counter(tensor.buffer for part in model.subgraphs for tensor in part.tensors)
    made = dict(constants)
    ahead = []
    for operator in graph.operators:
        if names[operator.opcodeIndex] not in _KINDS:
            continue
        index = integers(operator.inputs)[1]
        tensor = graph.tensors[index]
        if tensor.buffer not in constants or tensor.type != schema.TensorType.FLOAT32:
            continue
        if uses[index] > 1 or buffers[tensor.buffer] > 1:
            continue
        values = constants[tensor.buffer].view(np.float32).reshape(integers(tensor.shape))
        quantized, scales = rows(values)
        if not np.isfinite(scales).all() or not scales.all():
            continue
        del made[tensor.buffer]
        model.buffers[tensor.buffer].data = None
        tensor.buffer = 0  # which is empty in every model
        model.buffers.append(schema.BufferT())
        made[len(model.buffers) - 1] = quantized.reshape(-1).view(np.uint8)
        graph.tensors.append(_tensor(tensor, len(model.buffers) - 1, scales))
        reading = schema.OperatorT()
        reading.opcodeIndex = _dequantize(model, names)
        reading.inputs = np.array([len(graph.tensors) - 1], np.int32)
        reading.outputs = np.array([index], np.int32)
        ahead.append(reading)
    graph.operators = [*ahead, *graph.operators]
    return made


def rows(values: Array) -> tuple[Array, Array]:
    """Weights [rows, …] as int8, and the scale of each row, as TensorFlow's quantizer has them."""
    flat = values.reshape(len(values), -1)
    scales = np.maximum(flat.max(axis=1), -flat.min(axis=1)) / _LARGEST
    quantized = np.empty(flat.shape, np.int8)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.float32(1) / scales
        for place, row in enumerate(flat):
            steps = row * inverse[place]
            # Halves go away from zero, where NumPy would take the even neighbour.
            whole = np.copysign(np.floor(np.abs(steps) + np.float32(0.5)), steps)
            quantized[place] = np.clip(np.nan_to_num(whole), -_LARGEST, _LARGEST)
    return quantized.reshape(values.shape), scales


def _tensor(like: Any, buffer: int, scales: Array) -> Any:
    tensor = schema.TensorT()
    tensor.name = f"{text(like.name)}/int8".encode()
    tensor.shape, tensor.hasRank = like.shape, like.hasRank
    tensor.type, tensor.buffer = schema.TensorType.INT8, buffer
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale = scales
    tensor.quantization.zeroPoint = np.zeros(len(scales), np.int64)
    return tensor


def _dequantize(model: Any, names: list[str]) -> int:
    if "DEQUANTIZE" not in names:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        code.version = 1
        model.operatorCodes.append(code)
        names.append("DEQUANTIZE")
    return names.index("DEQUANTIZE")
