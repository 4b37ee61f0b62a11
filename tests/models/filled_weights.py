"""Weights for graphs that come without: each float constant by the part it plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from tests.models import model_inputs

if TYPE_CHECKING:
    from pathlib import Path

Array = npt.NDArray[Any]

_BATCH_NORM_PARTS: Final = {1: "scale", 2: "shift", 3: "shift", 4: "scale"}


def fill(source: Path, target: Path, seed: int = 0) -> Path:
    """Write ``source`` with seeded random weights in place of all its float constants.

    The light models of the ``onnx`` package have all large weights at 0.02, so all channels carry
    the same values, all classes score the same, and a wrong conversion would go unseen. Kernels get
    He's normal initialisation (He et al., 2015), scales of normalisations U(0.8, 1.2), shifts and
    biases N(0, 0.1); the classifier is then scaled so that its scores for a first photo have a
    standard deviation of 2, the way a trained one's do, or softmax would say 1 whatever comes.
    """
    model = onnx.load(source)
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    wanted = {t.name: tuple(t.dims) for t in graph.initializer if t.data_type == t.FLOAT}
    constants = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    wanted |= {node.output[0]: tuple(shapes[node.input[0]]) for node in constants}

    random = np.random.default_rng(seed)
    filled = [
        numpy_helper.from_array(_values(_part(graph, name), shape, random), name)
        for name, shape in wanted.items()
    ]
    kept = [tensor for tensor in graph.initializer if tensor.name not in wanted]
    spent = {node.input[0] for node in constants}
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    del graph.initializer[:], graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*filled, *(tensor for tensor in kept if tensor.name not in spent)])
    # Before IR version 4 every initializer also had to be an input.
    inputs = [value for value in graph.input if value.name not in shapes]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 4)
    _scale_classifier(model, 2.0, seed)
    target.write_bytes(model.SerializeToString(deterministic=True))
    return target


def _scale_classifier(model: Any, deviation: float, seed: int) -> None:
    """Scale the last layer with a kernel, in place."""
    import onnxruntime

    graph = model.graph
    last = next(node for node in reversed(graph.node) if node.op_type in ("Conv", "Gemm"))
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.append(onnx.ValueInfoProto(name=last.output[0]))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options)
    height, width = session.get_inputs()[0].shape[2:]
    photo = model_inputs.normalized_photos(1, seed, height, width)[0]
    (scores,) = session.run(None, {session.get_inputs()[0].name: photo})
    factor = np.float32(deviation / scores.std())
    for tensor in graph.initializer:
        if tensor.name in last.input[1:]:
            tensor.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(tensor) * factor, tensor.name)
            )


def _part(graph: Any, name: str) -> str:
    """What a constant is for, seen from the first operator that reads it."""
    for node in graph.node:
        for place, read in enumerate(node.input):
            if read == name:
                if node.op_type in ("Unsqueeze", "Reshape"):
                    return _part(graph, node.output[0])
                if node.op_type == "BatchNormalization":
                    return _BATCH_NORM_PARTS[place]
                if node.op_type == "Mul":
                    return "scale"
                return "kernel" if node.op_type in ("Conv", "Gemm") and place == 1 else "shift"
    return "shift"


def _values(part: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    if part == "scale":
        return random.uniform(0.8, 1.2, shape).astype(np.float32)
    if part == "kernel":
        fan_in = max(1, int(np.prod(shape[1:])))
        kernel = random.standard_normal(shape, np.float32)
        kernel *= np.float32(np.sqrt(2 / fan_in))
        return kernel
    return random.normal(0, 0.1, shape).astype(np.float32)
