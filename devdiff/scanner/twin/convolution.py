"""Convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from devdiff.scanner.twin.kernel import Kernel
from devdiff.scanner.twin.site import Run, Site, builds
from devdiff.scanner.twin.window import Window, channels_first

if TYPE_CHECKING:
    from torch import Tensor


@builds("CONV_2D")
def convolution(site: Site) -> Run:
    """Weights [out, h, w, in / groups]."""
    return _convolution(site, (0, 3, 1, 2))


@builds("DEPTHWISE_CONV_2D")
def depthwise(site: Site) -> Run:
    """Weights [1, h, w, in * multiplier]; the multiplier's channels lie together."""
    return _convolution(site, (3, 0, 1, 2))


def _convolution(site: Site, order: tuple[int, int, int, int]) -> Run:
    kernel = Kernel.of(site, 0, 1, 2)
    weights, bias, finish = kernel.weights.permute(*order), kernel.bias, kernel.finish
    window = Window.of(site, (weights.shape[2], weights.shape[3]))
    groups = site.input(0).shape[3] // weights.shape[1]

    def run(image: Tensor) -> Tensor:
        padding = window.before
        if not window.symmetric:
            image, padding = window.pad(image), (0, 0)
        made = functional.conv2d(
            image, weights, bias, window.stride, padding, window.dilation, groups
        )
        return finish(made)

    return channels_first(run)


@builds("TRANSPOSE_CONV")
def transposed(site: Site) -> Run:
    """Inputs: output shape, weights [out, h, w, in], image, optional bias."""
    kernel = Kernel.of(site, 2, 1, 3)
    weights, bias = kernel.weights.permute(3, 0, 1, 2), kernel.bias
    stride = (site.options["stride_h"], site.options["stride_w"])
    sizes = site.output.shape[1:3]
    before = [0, 0]
    if site.options["padding"] == "SAME":
        for axis in (0, 1):
            reach = (site.input(2).shape[1 + axis] - 1) * stride[axis] + weights.shape[2 + axis]
            before[axis] = max(reach - sizes[axis], 0) // 2

    def image(value: Tensor) -> Tensor:
        whole = functional.conv_transpose2d(value, weights, None, stride)
        missing = [before[i] + sizes[i] - whole.shape[2 + i] for i in (0, 1)]
        whole = functional.pad(whole, (0, max(missing[1], 0), 0, max(missing[0], 0)))
        made = whole[:, :, before[0] : before[0] + sizes[0], before[1] : before[1] + sizes[1]]
        shift = 0 if bias is None else bias.reshape(-1, 1, 1)
        return kernel.finish(made + shift)

    run = channels_first(image)
    return lambda _shape, _weights, value, *_bias: run(value)
