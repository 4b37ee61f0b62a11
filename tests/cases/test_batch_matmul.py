"""Why one runtime misreads words: what docs/cases/text-recognition.md says of XNNPACK, shown on one
operator of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

SHAPES = ([1, 8, 40, 40], [1, 8, 40, 15], [1, 8, 40, 15])
SCALES = (0.004, 0.09, 0.02)
ZERO_POINTS = (-128, -27, 41)


def batch_matmul() -> bytes:
    """An int8 model of one BATCH_MATMUL."""
    model, graph, operator, code = (
        schema.ModelT(),
        schema.SubGraphT(),
        schema.OperatorT(),
        schema.OperatorCodeT(),
    )
    code.builtinCode = schema.BuiltinOperator.BATCH_MATMUL
    code.deprecatedBuiltinCode = schema.BuiltinOperator.BATCH_MATMUL
    code.version = 2
    operator.inputs, operator.outputs = [0, 1], [2]
    operator.builtinOptionsType = schema.BuiltinOptions.BatchMatMulOptions
    operator.builtinOptions = schema.BatchMatMulOptionsT()
    graph.operators, graph.inputs, graph.outputs = [operator], [0, 1], [2]
    graph.tensors = []
    for place, (shape, scale, zero) in enumerate(zip(SHAPES, SCALES, ZERO_POINTS, strict=True)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = f"t{place}", shape, schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
        graph.tensors.append(tensor)
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(left: Array, right: Array, kernels: OpResolverType) -> Array:
    interpreter = Interpreter(
        model_content=batch_matmul(), experimental_op_resolver_type=kernels, num_threads=1
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), (left, right), strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), int)


def product(left: Array, right: Array, right_zero: int) -> Array:
    exact = (left.astype(float) - ZERO_POINTS[0]) @ (right.astype(float) - right_zero)
    steps = exact * SCALES[0] * SCALES[1] / SCALES[2] + ZERO_POINTS[2]
    return np.asarray(np.clip(np.round(steps), -128, 127), int)


@pytest.mark.conformance
@pytest.mark.slow
def test_xnnpack_of_the_pinned_host_runtime_leaves_out_a_zero_point() -> None:
    """When this fails after the runtime was raised, the pages that speak of it are out of date."""
    random = np.random.default_rng(0)
    left, right = (random.integers(-128, 128, shape, np.int8) for shape in SHAPES[:2])
    builtin = run(left, right, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    xnnpack = run(left, right, OpResolverType.AUTO)

    right_product = product(left, right, ZERO_POINTS[1])
    assert np.abs(builtin - right_product).max() <= 1
    assert np.abs(xnnpack - right_product).max() > 100
    assert np.abs(xnnpack - product(left, right, 0)).max() <= 1
