"""The colour classifiers of the zoo, for pictures of 32 × 32 pixels and ten classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from devdiff.exporter.tflite_graph import read_graph
from tests.zoo.networks import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_KEPT: Final = 0.98


class Range(nn.Module):  # type: ignore[misc]
    """Where int8 would store an activation: a clamp to what clean inputs reach, when it is on.

    ``limit`` follows the largest value of the clean batches that were recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mode = "off"
        self.limit = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "record":
            largest = float(x.detach().amax())
            self.limit = max(largest, _KEPT * self.limit + (1 - _KEPT) * largest)
        if self.mode == "clamp" and self.limit:
            step = self.limit / 255
            x = x.clamp(max=self.limit)
            x = x + ((x / step).round() * step - x).detach()
        return x


class Layer(nn.Module):  # type: ignore[misc]
    """A convolution padded as TensorFlow does ("SAME"), batch norm until folded, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        groups: int = 1,
        most: float | None = torch.inf,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.most = most
        self.range = Range()
        margin = size - stride
        self.margins = (margin // 2, margin - margin // 2) if margin > 0 else (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(nn.functional.pad(x, 2 * self.margins)))
        if self.most is None:
            return x
        x = nn.functional.relu6(x) if self.most == 6 else nn.functional.relu(x)
        return self.range(x)

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Residual(nn.Module):  # type: ignore[misc]
    """Two layers and a way around them (He et al., arXiv 1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = Layer(inputs, outputs, stride=stride)
        self.second = Layer(outputs, outputs, most=None)
        same = inputs == outputs and stride == 1
        self.around = None if same else Layer(inputs, outputs, 1, stride, most=None)
        self.range = Range()

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.around is None else self.around(x)
        return self.range(nn.functional.relu(around + self.second(self.first(x))))


class Inverted(nn.Module):  # type: ignore[misc]
    """An inverted residual with ReLU6 (Sandler et al., MobileNetV2, arXiv 1801.04381)."""

    def __init__(self, inputs: int, outputs: int, stride: int, wider: int = 4) -> None:
        super().__init__()
        self.around = inputs == outputs and stride == 1
        self.layers = nn.Sequential(
            Layer(inputs, wider * inputs, 1, most=6),
            Layer(wider * inputs, wider * inputs, stride=stride, groups=wider * inputs, most=6),
            Layer(wider * inputs, outputs, 1, most=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return x + made if self.around else made


def _resnet8() -> nn.Sequential:
    """The one of MLPerf Tiny (Banbury et al., arXiv 2106.07597)."""
    return nn.Sequential(
        Layer(3, 16),
        Residual(16, 16, 1),
        Residual(16, 32, 2),
        Residual(32, 64, 2),
        *_head(64),
    )


def _mobilenet() -> nn.Sequential:
    return nn.Sequential(
        Layer(3, 24, stride=2, most=6),
        Inverted(24, 24, 1),
        Inverted(24, 32, 2),
        Inverted(32, 32, 1),
        Inverted(32, 64, 2),
        Inverted(64, 64, 1),
        Layer(64, 160, 1, most=6),
        *_head(160),
    )


def _head(width: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)


COLOUR_ARCHITECTURES: Final[Mapping[str, Callable[[], nn.Sequential]]] = {
    "resnet-8": _resnet8,
    "mobilenet": _mobilenet,
}


def set_ranges(net: nn.Module, mode: str) -> None:
    """Switch all clamps of ``net``: "off", "record" or "clamp"."""
    for module in net.modules():
        if isinstance(module, Range):
            module.mode = mode


def folded(net: nn.Sequential) -> nn.Sequential:
    """The same net without batch norms."""
    for module in net.modules():
        if isinstance(module, Layer):
            module.fold()
    return fold(net)


def mlperf_resnet8(path: Path) -> nn.Sequential:
    """MLPerf Tiny's ``pretrainedResnet.tflite`` as a folded net for pictures in 0..1.

    Raises `ValueError` for another file.
    """
    net = folded(_resnet8())
    graph = read_graph(path)
    layers = [o for o in graph.operators if o.kind in ("CONV_2D", "FULLY_CONNECTED")]
    targets = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    left = list(layers)
    with torch.no_grad():
        for number, target in enumerate(targets):
            shape = target.weight.shape
            wanted = (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else tuple(shape)
            fits = [o for o in left if graph.tensors[o.inputs[1]].shape == wanted]
            if not fits:
                raise ValueError(f"{path} is not MLPerf Tiny's ResNet-8")
            left.remove(fits[0])
            weights, bias = (
                torch.from_numpy(graph.tensors[place].data.astype("float32"))  # type: ignore[union-attr]
                for place in fits[0].inputs[1:3]
            )
            weights = weights.permute(0, 3, 1, 2) if weights.dim() == 4 else weights
            # Its inputs are in 0..255.
            target.weight.copy_(weights * 255 if number == 0 else weights)
            assert target.bias is not None
            target.bias.copy_(bias)
    return net
