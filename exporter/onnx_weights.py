"""The constants of an ONNX graph as arrays that can be changed. Imported by the child process only.

A constant may lie in an initializer or a Constant node, pass through Identity and Transpose, and be
read by several nodes; here each is found where it lies and changed for those that should see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnx.inliner
import onnx.shape_inference
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array

_FLOATS: Final = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


class Weights:
    """A model's main graph, and its constants as writable arrays; `store` writes them back.

    ``model`` is a changed copy in form only: functions are inlined, and Constant nodes have become
    initializers.
    """

    def __init__(self, model: Any) -> None:
        self.model = onnx.inliner.inline_local_functions(model) if model.functions else model
        _lift_constants(self.model)
        graph = self.model.graph
        self.nodes = list(graph.node)
        self.outputs = [value.name for value in graph.output]
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._arrays: dict[str, Array] = {}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self._readers: dict[str, list[tuple[Any, int]]] = {}
        for node in self.nodes:
            for place, name in enumerate(node.input):
                self._readers.setdefault(name, []).append((node, place))
            for name in captured(node):
                self._readers.setdefault(name, []).append((node, -1))
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        self._ranks = {
            value.name: len(value.type.tensor_type.shape.dim)
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
            if value.type.tensor_type.HasField("shape")
        }

    def maker(self, name: str) -> Any | None:
        """The node that computes a value; None for inputs and initializers."""
        return self._makers.get(name)

    def readers(self, name: str) -> list[tuple[Any, int]]:
        """Who reads a value, and as which input; -1 when a node's inner graph reads it."""
        return self._readers.get(name, [])

    def rank(self, name: str) -> int | None:
        """The number of axes of a value, where shape inference knows it."""
        return self._ranks.get(name)

    def constant(self, name: str) -> tuple[str, Array] | None:
        """The initializer behind a floating-point value, and a writable view of it as that value.

        None when the value is computed from something that is not constant.
        """
        tensor = self._tensors.get(name)
        if tensor is not None and tensor.data_type in _FLOATS:
            if name not in self._arrays:
                self._arrays[name] = np.array(numpy_helper.to_array(tensor))
            return name, self._arrays[name]
        node = self.maker(name)
        if node is None or node.op_type not in ("Identity", "Transpose"):
            return None
        found = self.constant(node.input[0])
        if found is None or node.op_type == "Identity":
            return found
        order = attribute(node, "perm", tuple(range(found[1].ndim))[::-1])
        return found[0], found[1].transpose(order)

    def uses(self, initializer: str) -> Iterator[tuple[Any, int]]:
        """Every node that reads an initializer, through Identity and Transpose too.

        A graph output that is the initializer itself counts as read by no node: (None, -1).
        """
        pending = [initializer]
        while pending:
            name = pending.pop()
            if name in self.outputs:
                yield None, -1
            for node, place in self.readers(name):
                if node.op_type in ("Identity", "Transpose"):
                    pending.append(node.output[0])
                else:
                    yield node, place

    def own(self, node: Any, place: int, shape: tuple[int, ...] | None = None) -> Array | None:
        """The constant a node reads as input ``place``, as an array that nobody else reads.

        ``shape`` is one that it is broadcast to. None when the input is not constant.
        """
        name = node.input[place]
        found = self.constant(name)
        if found is None:
            return None
        array = found[1]
        wanted = array.shape if shape is None else shape
        alone = name in self._tensors and len(self.readers(name)) == 1 and name not in self.outputs
        if alone and array.shape == wanted:
            return array
        fresh = f"{name}/{node.output[0]}/{place}"
        copy = np.array(np.broadcast_to(array, wanted))
        self._tensors[fresh] = _add_initializer(self.model)
        self._tensors[fresh].name = fresh
        self._arrays[fresh] = copy
        self._readers[name].remove((node, place))
        self._readers[fresh] = [(node, place)]
        node.input[place] = fresh
        return copy

    def store(self) -> None:
        """Write every array that was looked at back into the model."""
        for name, array in self._arrays.items():
            self._tensors[name].CopyFrom(numpy_helper.from_array(array, name))


def captured(node: Any) -> Iterator[str]:
    """Names that the inner graphs of a node (If, Loop, Scan) read."""
    for value in node.attribute:
        for graph in (*([value.g] if value.HasField("g") else []), *value.graphs):
            for inner in graph.node:
                yield from inner.input
                yield from captured(inner)
            for output in graph.output:
                yield output.name


def attribute(node: Any, name: str, default: Any) -> Any:
    for value in node.attribute:
        if value.name == name:
            return onnx.helper.get_attribute_value(value)
    return default


def _lift_constants(model: Any) -> None:
    """Turn Constant nodes that hold a tensor into initializers."""
    graph = model.graph
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if node.op_type != "Constant" or node.attribute[0].name != "value":
            continue
        lifted = _add_initializer(model)
        lifted.CopyFrom(node.attribute[0].t)
        lifted.name = node.output[0]
        del graph.node[index]


def _add_initializer(model: Any) -> Any:
    # Before version 4 every initializer had to be declared as an input too.
    model.ir_version = max(model.ir_version, 4)
    return model.graph.initializer.add()
