"""Small ONNX models, written node by node, each awkward in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

FLOAT = TensorProto.FLOAT


def weights(name: str, *shape: int, seed: int = 0) -> Any:
    values = np.random.default_rng([seed, *name.encode()]).normal(0, 0.3, shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def constant(name: str, values: Array) -> Any:
    return numpy_helper.from_array(values, name)


def value(name: str, shape: list[int | str], dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    initializers: list[Any] | None = None,
    opset: int = 17,
    domains: tuple[str, ...] = (),
) -> Path:
    graph = helper.make_graph(nodes, "zoo", inputs, outputs, initializers or [])
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, path)
    return path


def two_by_two(path: Path) -> Path:
    """Two inputs and two outputs with names no Python function could have.

    The first output is a feature map [1, 4, 8, 8] that converters leave channels-last.
    """
    return save(
        path,
        [
            helper.make_node("Conv", ["image:0", "w1"], ["f"], kernel_shape=[3, 3], pads=[1] * 4),
            helper.make_node("Relu", ["f"], ["features/α@1"]),
            helper.make_node("GlobalAveragePool", ["features/α@1"], ["p"]),
            helper.make_node("Flatten", ["p"], ["flat"]),
            helper.make_node("Concat", ["flat", "kernel"], ["both"], axis=1),
            helper.make_node("Gemm", ["both", "w2", "b2"], ["scores#"]),
        ],
        [value("image:0", [1, 3, 8, 8]), value("kernel", [1, 2])],
        [value("features/α@1", [1, 4, 8, 8]), value("scores#", [1, 5])],
        [weights("w1", 4, 3, 3, 3), weights("w2", 6, 5), weights("b2", 5)],
    )


def cubes(path: Path) -> Path:
    """Two inputs [1, 4, 4, 4] and an output of that shape; all their axes look alike."""
    return save(
        path,
        [
            helper.make_node("Conv", ["color", "w1"], ["f"], kernel_shape=[3, 3], pads=[1] * 4),
            helper.make_node("Conv", ["depth", "w2"], ["g"], kernel_shape=[1, 1]),
            helper.make_node("Sub", ["f", "g"], ["y"]),
        ],
        [value("color", [1, 4, 4, 4]), value("depth", [1, 4, 4, 4])],
        [value("y", [1, 4, 4, 4])],
        [weights("w1", 4, 4, 3, 3), weights("w2", 4, 4, 1, 1)],
    )


def class_map(path: Path) -> Path:
    """A square map [1, 8, 8] of five classes: whether its sides were exchanged, no shape tells."""
    return save(
        path,
        [
            helper.make_node("Conv", ["x", "w"], ["f"], kernel_shape=[3, 3], pads=[1] * 4),
            helper.make_node("ArgMax", ["f"], ["classes"], axis=1, keepdims=0),
        ],
        [value("x", [1, 3, 8, 8])],
        [value("classes", [1, 8, 8], TensorProto.INT64)],
        [weights("w", 5, 3, 3, 3)],
    )


def masked(path: Path) -> Path:
    """A mask by way of -1e6, as attention has it: int8 ranges keep ``mask`` and lose ``x``."""
    numbers = np.linspace(-4, 4, 16, dtype=np.float32).reshape(1, 16)
    return save(
        path,
        [
            helper.make_node("Sub", ["mask", "one"], ["off"]),
            helper.make_node("Mul", ["off", "large"], ["low"]),
            helper.make_node("Add", ["x", "low"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
            helper.make_node("Mul", ["shares", "numbers"], ["weighted"]),
            helper.make_node("Mul", ["mask", "numbers"], ["kept"]),
            helper.make_node("Add", ["weighted", "kept"], ["all"]),
            helper.make_node("Reshape", ["all", "shape"], ["y"]),
        ],
        [value("x", [1, 16]), value("mask", [1, 16])],
        [value("y", [1, 4, 4])],
        [
            constant("one", np.ones((1, 16), np.float32)),
            constant("large", np.full((1, 1), 1e6, np.float32)),
            constant("numbers", numbers),
            constant("shape", np.array([1, 4, 4], np.int64)),
        ],
    )


def dense(path: Path, shape: list[int | str] | None = None, opset: int = 17) -> Path:
    """One small matrix product with a softmax: ``x`` [1, 4] to ``y`` [1, 3]."""
    return save(
        path,
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
            helper.make_node("Softmax", ["h"], ["y"], axis=1),
        ],
        [value("x", shape or [1, 4])],
        [value("y", [1, 3])],
        [weights("w", 4, 3), weights("b", 3)],
        opset,
    )


def embedding(path: Path, dtype: int = TensorProto.INT64) -> Path:
    """Integer ``ids`` [1, 6] below 11 look up a table; ``mean`` [1, 8]."""
    return save(
        path,
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0),
        ],
        [value("ids", [1, 6], dtype)],
        [value("mean", [1, 8])],
        [weights("table", 11, 8)],
    )


def one_node(path: Path, operator: str, dtype: int = FLOAT, domain: str = "") -> Path:
    """A single operator from ``x`` [1, 4] to ``y``."""
    return save(
        path,
        [helper.make_node(operator, ["x"], ["y"], domain=domain, name="the_node")],
        [value("x", [1, 4], dtype)],
        [value("y", [1, 4], dtype)],
        domains=(domain,) if domain else (),
    )


def external(path: Path) -> Path:
    """A dense model whose weights lie in a file of their own."""
    model = onnx.load(dense(path))
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="weights.bin",
        size_threshold=0,
    )
    return path
