"""A small network with a residual and a concatenation, written operator by operator.

Every operator has something that can be changed by hand: a weight, the activation it is fused
with, or the order of its inputs.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.tflite_cut import serialize
from devdiff.exporter.tflite_file import integers, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array

SHAPE: Final = (1, 6, 6, 4)


class Network:
    """A float32 model under construction; methods return the index of the tensor they make."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "branches"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs = [self.tensor("image", SHAPE)]

    def tensor(self, name: str, what: tuple[int, ...] | Array) -> int:
        tensor = schema.TensorT()
        tensor.name = name
        tensor.buffer = 0
        tensor.type = schema.TensorType.FLOAT32
        if isinstance(what, np.ndarray):
            tensor.type = getattr(schema.TensorType, what.dtype.name.upper())
            buffer = schema.BufferT()
            buffer.data = what.reshape(-1).view(np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
            tensor.shape = list(what.shape)
        else:
            tensor.shape = list(what)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, *shape: int, deviation: float = 0.3) -> int:
        values = self._random.normal(0, deviation, shape).astype(np.float32)
        return self.tensor(f"constant {len(self.graph.tensors)}", values)

    def operator(
        self, kind: str, inputs: Sequence[int], shape: tuple[int, ...], **options: Any
    ) -> int:
        """``options`` are the schema's, and ``table`` its name for them."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, kind)
        code.version = 1
        known = [other.builtinCode for other in self.model.operatorCodes]
        if code.builtinCode not in known:
            self.model.operatorCodes.append(code)
            known.append(code.builtinCode)
        operator = schema.OperatorT()
        operator.opcodeIndex = known.index(code.builtinCode)
        table = options.pop("table")
        operator.builtinOptions = getattr(schema, f"{table}T")()
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
        for key, value in options.items():
            assert hasattr(operator.builtinOptions, key), key
            setattr(operator.builtinOptions, key, value)
        output = self.tensor(f"{kind.lower()} {len(self.graph.operators)}", shape)
        operator.inputs, operator.outputs = list(inputs), [output]
        self.graph.operators.append(operator)
        return output

    def conv(self, value: int, channels: tuple[int, int], size: int = 3) -> int:
        inputs, outputs = channels
        operands = [value, self.constant(outputs, size, size, inputs), self.constant(outputs)]
        return self.operator(
            "CONV_2D", operands, (*SHAPE[:3], outputs), table="Conv2DOptions", strideH=1, strideW=1
        )

    def add(self, left: int, right: int) -> int:
        shape = tuple(self.graph.tensors[left].shape)
        return self.operator("ADD", [left, right], shape, table="AddOptions")

    def scaled(self, value: int) -> int:
        shape = tuple(self.graph.tensors[value].shape)
        operands = [value, self.constant(shape[-1])]
        return self.operator("MUL", operands, shape, table="MulOptions")

    def save(self, path: Path, *outputs: int) -> Path:
        self.graph.outputs = list(outputs)
        self.model.subgraphs = [self.graph]
        path.write_bytes(serialize(self.model))
        return path


def branchy(path: Path) -> Path:
    """16 operators: a stem, a residual, three branches of different lengths, and a head."""
    net = Network()
    stem = net.conv(net.graph.inputs[0], (4, 4))
    inner = net.conv(net.scaled(net.conv(stem, (4, 6))), (6, 4))
    residual = net.add(stem, inner)
    long = net.conv(net.conv(net.scaled(residual), (4, 4)), (4, 2), 1)
    short = net.conv(residual, (4, 3), 1)
    # A branch that begins inside another one.
    nested = net.add(net.scaled(short), net.scaled(short))
    joined = net.operator(
        "CONCATENATION", [long, short, nested], (*SHAPE[:3], 8), table="ConcatenationOptions",
        axis=3,
    )  # fmt: skip
    mixed = net.conv(joined, (8, 4), 1)
    pooled = net.operator(
        "AVERAGE_POOL_2D", [mixed], (1, 1, 1, 4), table="Pool2DOptions", padding=1, strideH=1,
        strideW=1, filterHeight=6, filterWidth=6,
    )  # fmt: skip
    weights = net.constant(3, 4, deviation=1.0)
    scores = net.operator(
        "FULLY_CONNECTED", [pooled, weights, net.constant(3)], (1, 3),
        table="FullyConnectedOptions",
    )  # fmt: skip
    return net.save(path, scores)


def changed(path: Path, target: Path, operator: int) -> Path:
    """A copy of a model in which one operator computes something else.

    Its first weight changes sign and grows, it is fused with an activation, or it joins its inputs
    in another order.
    """

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        one = graph.operators[operator]
        for index in integers(one.inputs)[1:]:
            buffer = model.buffers[graph.tensors[index].buffer]
            if buffer.data is not None and len(buffer.data):
                values = np.frombuffer(bytes(buffer.data), np.float32).copy()
                values[0] = -3 * values[0] - 1
                buffer.data = values.view(np.uint8)
                return
        if isinstance(one.builtinOptions, schema.ConcatenationOptionsT):
            one.inputs = [one.inputs[0], *one.inputs[:0:-1]]
        else:
            one.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU

    return rewritten(path, target, change)


def rewritten(path: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a model, changed through the schema's object tree."""
    model = copy.deepcopy(parse(path))
    change(model)
    target.write_bytes(serialize(model))
    return target
