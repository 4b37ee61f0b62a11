"""A .tflite with stand-ins for its large constants, filled with the constants themselves.

Imported by the child process only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter import tflite_constants
from devdiff.exporter.errors import ConversionError
from devdiff.exporter.tflite_file import integers, operator_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.converters.stand_ins import StandIn

# How the converter turns a TensorFlow function's constants, by who reads them as which input; what
# is not here stays in its order.
_TURNED: Final[Mapping[tuple[str, int], tuple[int, ...]]] = {
    ("CONV_2D", 1): (3, 0, 1, 2),
    ("FULLY_CONNECTED", 1): (1, 0),
    ("TRANSPOSE_CONV", 1): (2, 0, 1, 3),
}


def fill(data: bytes, stand_ins: Sequence[StandIn], path: Path) -> None:
    """Write to ``path`` what the converter made in ``data``, with real constants.

    ``data`` has its constants behind the flatbuffer. Raises `ConversionError` when a stand-in is
    not found again as it was: the converter computed with it, and nothing can be put in its place.
    """
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    constants = tflite_constants.lying_behind(data, model)
    readers = _readers(model)
    by_value = {np.float32(stand_in.value): stand_in for stand_in in stand_ins}
    missing = {stand_in.value for stand_in in stand_ins}
    for place, stored in list(constants.items()):
        if stored.nbytes % 4 or place not in readers:
            continue
        values = stored.view(np.float32)
        stand_in = by_value.get(values[0])
        if stand_in is None or values.min() != values.max():
            continue
        constants[place] = _turned(stand_in, *readers[place])
        missing.discard(stand_in.value)
    if missing:
        raise ConversionError(f"{len(missing)} large constants were computed with")
    tflite_constants.write(model, constants, path)


def _readers(model: Any) -> dict[int, tuple[tuple[int, ...], str, int]]:
    """Of each constant's buffer the shape it is stored in, and who reads it, as which input."""
    names = [operator_name(code) for code in model.operatorCodes]
    readers = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            for place, index in enumerate(integers(operator.inputs)):
                if index >= 0:
                    tensor = graph.tensors[index]
                    shape = tuple(integers(tensor.shape))
                    readers[tensor.buffer] = shape, names[operator.opcodeIndex], place
    return readers


def _turned(stand_in: StandIn, shape: tuple[int, ...], reader: str, place: int) -> Array:
    array = stand_in.array()
    order = _TURNED.get((reader, place))
    if order is not None:
        # A product of one matrix for all samples has leading axes of size 1.
        array = array.reshape(array.shape[array.ndim - len(order) :])
        if array.transpose(order).shape == shape:
            return array.transpose(order)
    if array.size != np.prod(shape, dtype=np.int64):
        raise ConversionError(f"a constant {list(stand_in.shape)} became {list(shape)}")
    return array.reshape(shape)
