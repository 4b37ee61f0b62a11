"""The digit classifiers of the zoo, trained and then freed of their batch norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]


class Block(nn.Module):  # type: ignore[misc]
    """A convolution, its batch norm until it is folded, and ReLU unless the caller adds one."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        size: int = 3,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False
        )
        self.norm: nn.Module = nn.BatchNorm2d(outputs)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return nn.functional.relu(x) if self.active else x

    def fold(self) -> None:
        """Put the batch norm into the convolution."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
            self.norm = nn.Identity()


class Residual(nn.Module):  # type: ignore[misc]
    """Two blocks and a way around them (He et al., arXiv 1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = Block(width, width)
        self.second = Block(width, width, active=False)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(x + self.second(self.first(x)))


class Separable(nn.Module):  # type: ignore[misc]
    """A depthwise and a pointwise block (Howard et al., MobileNets, arXiv 1704.04861)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depth = Block(inputs, inputs, stride=stride, groups=inputs)
        self.point = Block(inputs, outputs, size=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.point(self.depth(x))
        return out


def _plain(width: int) -> nn.Sequential:
    return nn.Sequential(
        Block(1, 32, stride=2),
        Block(32, width, stride=2),
        Block(width, width),
        Block(width, width),
        *_head(width),
    )


def _residual(width: int) -> nn.Sequential:
    return nn.Sequential(
        Block(1, 32, stride=2), Block(32, width, stride=2), Residual(width), *_head(width)
    )


def _separable(width: int) -> nn.Sequential:
    return nn.Sequential(
        Block(1, 32, stride=2),
        Separable(32, width, stride=2),
        Separable(width, width),
        Separable(width, width),
        *_head(width),
    )


def _head(width: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)


ARCHITECTURES: Final[Mapping[str, Callable[[], nn.Sequential]]] = {
    "plain-48": partial(_plain, 48),
    "plain-64": partial(_plain, 64),
    "plain-96": partial(_plain, 96),
    "plain-128": partial(_plain, 128),
    "residual-64": partial(_residual, 64),
    "residual-128": partial(_residual, 128),
    "separable-128": partial(_separable, 128),
    "separable-192": partial(_separable, 192),
}


def fold(net: nn.Sequential) -> nn.Sequential:
    """The same net without batch norms, ready to be attacked or exported."""
    for module in net.modules():
        if isinstance(module, Block):
            module.fold()
    return net.eval()


def kernels(net: nn.Module) -> dict[str, nn.Parameter]:
    """What compression changes: the weights of convolutions and of the classifier, by name."""
    return {name: value for name, value in net.named_parameters() if value.dim() > 1}


def bake(net: nn.Module, compression: Callable[[Tensor], Tensor]) -> None:
    """Replace the kernels of ``net`` by compressed ones, in place."""
    with torch.no_grad():
        for value in kernels(net).values():
            value.copy_(compression(value))


def coarsen(net: nn.Sequential, factor: float) -> None:
    """Give every channel a weight ``factor`` times its largest, which nothing ever reaches.

    Channel 0 of each layer is silenced and the outlier put behind it, so the float net loses one
    channel a layer and nothing else, while its int8 steps grow by ``factor``. A folded net without
    depthwise layers is changed in place.
    """
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for layer in layers[:-1]:
            assert layer.bias is not None
            layer.weight[0] = 0
            layer.bias[0] = -1
        for layer in layers[1:]:
            outlier = layer.weight.abs().flatten(1).amax(dim=1) * factor
            if layer.weight.dim() == 2:
                layer.weight[:, 0] = outlier
            else:
                row, column = (side // 2 for side in layer.weight.shape[2:])
                layer.weight[:, 0, row, column] = outlier
