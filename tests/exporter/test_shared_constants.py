"""Equal constants are stored once, and none is lost that several tensors have."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.quantizers import finish


def _model(buffers: list[int]) -> schema.ModelT:
    """A model with a tensor for each of ``buffers``; all buffers hold the same eight bytes."""
    model = schema.ModelT()
    model.buffers = []
    for _ in range(max(buffers) + 1):
        model.buffers.append(buffer := schema.BufferT())
        buffer.data = np.arange(8, dtype=np.uint8)
    graph = schema.SubGraphT()
    graph.tensors = []
    for place in buffers:
        graph.tensors.append(tensor := schema.TensorT())
        tensor.buffer, tensor.isVariable = place, False
    graph.inputs, graph.outputs, graph.operators = [], [], []
    model.subgraphs = [graph]
    return model


def test_equal_constants_are_stored_once() -> None:
    model = _model([0, 1, 2])
    finish._share_constants(model)
    assert [tensor.buffer for tensor in model.subgraphs[0].tensors] == [0, 0, 0]
    assert [buffer.data is not None for buffer in model.buffers] == [True, False, False]


def test_a_buffer_of_several_tensors_is_lost_for_none() -> None:
    model = _model([0, 1, 1, 1])
    model.subgraphs[0].outputs = [3]
    finish._share_constants(model)
    tensors = model.subgraphs[0].tensors
    assert [tensor.buffer for tensor in tensors] == [0, 0, 0, 1]
    assert all(model.buffers[tensor.buffer].data is not None for tensor in tensors)
