"""Models to measure with, written as ONNX files without a framework to export them from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]

OPSET: Final = 17
CLASSES: Final = 1000

# Table 2 of Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018):
# expansion, output channels, repeats, stride of the first.
_BOTTLENECKS: Final = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class _Graph:
    """Collects nodes and weights; each method returns the name of what it made."""

    def __init__(self, seed: int, batch_norm: bool) -> None:
        self._random = np.random.default_rng(seed)
        self._batch_norm = batch_norm
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, name: str, value: Array) -> str:
        self.weights.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def conv(
        self,
        value: str,
        channels: tuple[int, int],
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activate: bool = True,
    ) -> str:
        """Convolution, batch norm (or the bias it folds to) and, if ``activate``, ReLU6."""
        inputs, outputs = channels
        fan_in = inputs // groups * kernel * kernel
        shape = (outputs, inputs // groups, kernel, kernel)
        stem = f"conv_{len(self.nodes)}"
        scale = np.sqrt((2.0 if activate else 1.0) / fan_in)
        kernels = self.weight(f"{stem}.weight", self._random.normal(0.0, scale, shape))
        bias = self._random.normal(0.0, 0.1, outputs)
        geometry = {
            "kernel_shape": [kernel, kernel],
            "strides": [stride, stride],
            "pads": [kernel // 2] * 4,
            "group": groups,
        }
        if self._batch_norm:
            value = self.node("Conv", value, kernels, **geometry)
            value = self.node(
                "BatchNormalization",
                value,
                self.weight(f"{stem}.scale", self._random.uniform(0.8, 1.2, outputs)),
                self.weight(f"{stem}.bias", bias),
                self.weight(f"{stem}.mean", self._random.normal(0.0, 0.1, outputs)),
                self.weight(f"{stem}.variance", self._random.uniform(0.8, 1.2, outputs)),
            )
        else:
            value = self.node("Conv", value, kernels, self.weight(f"{stem}.bias", bias), **geometry)
        if activate:
            value = self.node("Clip", value, "zero", "six")
        return value

    def bottleneck(self, value: str, channels: tuple[int, int], expansion: int, stride: int) -> str:
        inputs, outputs = channels
        wide = inputs * expansion
        inside = value if expansion == 1 else self.conv(value, (inputs, wide))
        inside = self.conv(inside, (wide, wide), kernel=3, stride=stride, groups=wide)
        inside = self.conv(inside, (wide, outputs), activate=False)
        if stride == 1 and inputs == outputs:
            inside = self.node("Add", value, inside)
        return inside

    def linear(self, value: str, inputs: int, outputs: int, name: str = "classifier") -> str:
        weight = self.weight(f"{name}.weight", self.normal(outputs, inputs))
        bias = self.weight(f"{name}.bias", self._random.normal(0.0, 0.1, outputs))
        return self.node("Gemm", value, weight, bias, transB=1)

    def normal(self, *shape: int) -> Array:
        """A matrix for a dense layer with as many inputs as it has columns."""
        return self._random.normal(0.0, np.sqrt(1.0 / shape[1]), shape)


def mobilenet_v2(path: Path, side: int = 224, batch_norm: bool = True, seed: int = 0) -> Path:
    """Write MobileNetV2 with random weights to ``path`` and return it.

    Input ``image`` float32 [1, 3, side, side], output ``logits`` float32 [1, 1000]; 52 convolutions
    and 3.5 million weights. ``batch_norm`` keeps the batch norms as nodes, the way training
    frameworks export them; without, they are folded. The weights keep activations of normalised
    images in a trained net's range, so that int8 is neither trivial nor hopeless.
    """
    graph = _Graph(seed, batch_norm)
    graph.weight("zero", np.array(0.0, np.float32))
    graph.weight("six", np.array(6.0, np.float32))
    value = graph.conv("image", (3, 32), kernel=3, stride=2)
    channels = 32
    for expansion, outputs, repeats, stride in _BOTTLENECKS:
        for repeat in range(repeats):
            value = graph.bottleneck(
                value, (channels, outputs), expansion, stride if repeat == 0 else 1
            )
            channels = outputs
    value = graph.conv(value, (channels, 1280))
    value = graph.node("Flatten", graph.node("GlobalAveragePool", value))
    graph.linear(value, 1280, CLASSES)
    return _save(graph, path, "mobilenet_v2", [1, 3, side, side], [1, CLASSES])


def _save(graph: _Graph, path: Path, name: str, image: list[int], logits: list[int]) -> Path:
    """Write the graph, whose last node makes the logits."""
    graph.nodes[-1].output[:] = ["logits"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [_tensor("image", image)],
            [_tensor("logits", logits)],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def wide(path: Path, mib: int, seed: int = 0) -> Path:
    """Write a net of about ``mib`` MiB of random weights to ``path`` and return it.

    Input ``image`` float32 [1, 3, 32, 32], output ``logits`` float32 [1, 10]. Half of the weights
    are those of convolutions, some with batch norms; the others of dense layers, as Gemm and as
    MatMul. It computes little for its size.
    """
    budget = mib * 2**20 // 4
    graph, folded = _Graph(seed, batch_norm=True), _Graph(seed, batch_norm=False)
    folded.nodes, folded.weights = graph.nodes, graph.weights
    graph.weight("zero", np.array(0.0, np.float32))
    graph.weight("six", np.array(6.0, np.float32))
    value, channels, used = "image", 3, 0
    for outputs in (64, 256, 512):
        value = graph.conv(value, (channels, outputs), kernel=3, stride=2)
        used, channels = used + 9 * channels * outputs, outputs
    wanted, number = min(1024, max(256, mib * 8)), 0
    while used + 9 * channels * wanted < budget // 2:
        value = (folded if number % 2 else graph).conv(value, (channels, wanted), kernel=3)
        used, channels, number = used + 9 * channels * wanted, wanted, number + 1
    value, inputs = graph.node("Flatten", value), 16 * channels
    hidden = max(64, 3 * (budget - used) // 5 // inputs)
    value = graph.node("Relu", graph.linear(value, inputs, hidden, "first"))
    used += inputs * hidden
    last = max(64, (budget - used) // hidden)
    kernel = graph.weight("second.weight", graph.normal(last, hidden).T)
    value = graph.node("Relu", graph.node("MatMul", value, kernel))
    graph.linear(value, last, 10, "logits")
    return _save(graph, path, "wide", [1, 3, 32, 32], [1, 10])


def _tensor(name: str, shape: list[int]) -> Any:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write MobileNetV2 with random weights.")
    parser.add_argument("path", type=Path)
    parser.add_argument("--side", type=int, default=224, help="pixels (default 224)")
    parser.add_argument("--folded", action="store_true", help="without batch-norm nodes")
    args = parser.parse_args()
    print(mobilenet_v2(args.path, args.side, batch_norm=not args.folded))


if __name__ == "__main__":
    main()
