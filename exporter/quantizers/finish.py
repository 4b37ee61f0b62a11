"""The last touches of a quantized .tflite, without the rest of TensorFlow. For child processes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import types
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter import tflite_constants
from devdiff.exporter.tflite_file import integers

_METADATA: Final = b"CONVERSION_METADATA"


def lean_tensorflow() -> None:
    """Let this process, which ends soon, import single modules of TensorFlow and not all of it.

    Its quantizer needs no more of it, and 200 MB less.
    """
    if "tensorflow" in sys.modules:
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is not None and spec.submodule_search_locations:
        package = types.ModuleType("tensorflow")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["tensorflow"] = package
        # It loads the libraries that all others are linked to.
        importlib.import_module("tensorflow.python.pywrap_tensorflow")


def finish(made: bytes, mode: str) -> bytes:
    """The model with equal constants stored once, and ``mode`` (one of the converter's names for
    how it was made smaller) in its own description."""
    from tensorflow.lite.python import conversion_metadata_schema_py_generated as description

    model = schema.ModelT.InitFromPackedBuf(made, 0)
    _share_constants(model)
    for entry in model.metadata or []:
        if entry.name == _METADATA:
            buffer = model.buffers[entry.buffer]
            found = description.ConversionMetadataT.InitFromPackedBuf(bytes(buffer.data), 0)
            found.options.modelOptimizationModes = [
                getattr(description.ModelOptimizationMode, mode)
            ]
            buffer.data = np.frombuffer(tflite_constants.packed(found, None), np.uint8)
    return tflite_constants.packed(model)


def _share_constants(model: Any) -> None:
    """Constants that only operators read: inputs, outputs and variables stay apart."""
    first: dict[tuple[int, bytes], int] = {}
    left: set[int] = set()
    for graph in model.subgraphs:
        apart = {*integers(graph.inputs), *integers(graph.outputs)}
        for operator in graph.operators or []:
            apart |= {*integers(operator.outputs), *integers(operator.intermediates)}
        for index, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            if index in apart or tensor.isVariable or data is None or not len(data):
                continue
            key = len(data), hashlib.sha256(data).digest()
            place = first.setdefault(key, tensor.buffer)
            if place != tensor.buffer:
                left.add(tensor.buffer)
                tensor.buffer = place
    # Several tensors may have had one buffer, and not all of them may share.
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    for buffer in left - used:
        model.buffers[buffer].data = None
