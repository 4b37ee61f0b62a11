"""Graphs of weighted layers in a row, as floats and as an honest exporter would store them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from devdiff.exporter.artifact import Array
from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor

Rounding = Callable[[Array], Array]
ACTIVATION_SCALE: Final = 0.02


@dataclass(frozen=True)
class Layer:
    """``weights`` float32 with output channels first, ``bias`` float32 [channels] or None."""

    weights: Array
    bias: Array | None = None
    kind: str = "CONV_2D"
    name: str = "layer"


@dataclass
class _Builder:
    tensors: list[GraphTensor] = field(default_factory=list)
    operators: list[GraphOperator] = field(default_factory=list)

    def tensor(
        self, name: str, data: Array | None, dtype: str, scales: Any = None, zero: int = 0
    ) -> int:
        index = len(self.tensors)
        found = None if scales is None else np.atleast_1d(np.asarray(scales, np.float32))
        zeros = None if found is None else np.full(len(found), zero, np.int64)
        shape = (1, 8, 8, 4) if data is None else data.shape
        self.tensors.append(GraphTensor(index, name, shape, dtype, found, zeros, 0, data))
        return index

    def operator(self, kind: str, inputs: Sequence[int], output: int) -> None:
        number = len(self.operators)
        self.operators.append(GraphOperator(number, kind, tuple(inputs), (output,), {}))

    def graph(self) -> Graph:
        last = len(self.tensors) - 1
        return Graph(tuple(self.tensors), tuple(self.operators), (0,), (last,))


def float_graph(layers: Sequence[Layer]) -> Graph:
    builder = _Builder()
    source = builder.tensor("input", None, "float32")
    for layer in layers:
        inputs = [source, builder.tensor("w", layer.weights, "float32")]
        if layer.bias is not None:
            inputs.append(builder.tensor("b", layer.bias, "float32"))
        source = builder.tensor(f"{layer.name};fused", None, "float32")
        builder.operator(layer.kind, inputs, source)
    return builder.graph()


def channel_scales(weights: Array) -> Array:
    """Symmetric int8 scales, one for each output channel, with a floor as converters have it."""
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    return np.asarray(np.maximum(largest, 5e-7) / 127, np.float32)


def int8_graph(
    layers: Sequence[Layer],
    rounding: Rounding = np.rint,
    *,
    shrink: float = 1.0,
    per_tensor: bool = False,
) -> Graph:
    """The layers between a QUANTIZE and a DEQUANTIZE, scales ``shrink`` times what holds them."""
    builder = _Builder()
    image = builder.tensor("input", None, "float32")
    source = builder.tensor("quantized", None, "int8", ACTIVATION_SCALE, -3)
    builder.operator("QUANTIZE", [image], source)
    for layer in layers:
        scales = channel_scales(layer.weights) * np.float32(shrink)
        if per_tensor:
            scales = scales.max(keepdims=True)
        sizes = scales.astype(np.float64)
        shaped = sizes.reshape((-1,) + (1,) * (layer.weights.ndim - 1))
        stored = np.clip(rounding(layer.weights / shaped), -127, 127).astype(np.int8)
        inputs = [source, builder.tensor("qw", stored, "int8", scales)]
        if layer.bias is not None:
            size = np.float64(np.float32(ACTIVATION_SCALE)) * sizes
            bias = np.rint(np.clip(layer.bias / size, -(2**31), 2**31 - 1)).astype(np.int32)
            inputs.append(builder.tensor("qb", bias, "int32", size))
        source = builder.tensor(f"{layer.name};fused", None, "int8", ACTIVATION_SCALE, -3)
        builder.operator(layer.kind, inputs, source)
    builder.operator("DEQUANTIZE", [source], builder.tensor("output", None, "float32"))
    return builder.graph()


def random_layers(seed: int, *shapes: tuple[int, ...]) -> list[Layer]:
    """Gaussian convolutions with biases."""
    generator = np.random.default_rng(seed)
    return [
        Layer(
            generator.normal(0, 0.1, shape).astype(np.float32),
            generator.normal(0, 0.1, shape[0]).astype(np.float32),
            name=f"conv_{place}",
        )
        for place, shape in enumerate(shapes)
    ]
