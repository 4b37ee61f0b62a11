"""Convolutions. Weights and scales are constants, so they are multiplied once, when built."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from devdiff.scan.twin.site import Run, Site, builds
from devdiff.scan.twin.window import Window, channels_first


@builds("CONV_2D")
def convolution(site: Site) -> Run:
    """Weights [out, h, w, in / groups]."""
    return _convolution(site, site.constant(1).permute(0, 3, 1, 2))


@builds("DEPTHWISE_CONV_2D")
def depthwise(site: Site) -> Run:
    """Weights [1, h, w, in * multiplier]; the multiplier's channels lie together."""
    return _convolution(site, site.constant(1).permute(3, 0, 1, 2))


def _convolution(site: Site, kernel: Tensor) -> Run:
    window = Window.of(site, (kernel.shape[2], kernel.shape[3]))
    kernel = kernel * site.ratio(0)
    bias = site.constant(2) / site.out_scale() if site.has(2) else None
    groups = site.input(0).shape[3] // kernel.shape[1]
    finish = site.finish()

    def run(image: Tensor) -> Tensor:
        padding = window.before
        if not window.symmetric:
            image, padding = window.pad(image), (0, 0)
        made = functional.conv2d(
            image, kernel, bias, window.stride, padding, window.dilation, groups
        )
        return finish(made)

    return channels_first(run)


@builds("TRANSPOSE_CONV")
def transposed(site: Site) -> Run:
    """Inputs: output shape, weights [out, h, w, in], image, optional bias."""
    kernel = site.constant(1).permute(3, 0, 1, 2) * site.ratio(2)
    bias = site.constant(3) / site.out_scale() if site.has(3) else None
    stride = (site.options["stride_h"], site.options["stride_w"])
    sizes = site.output.shape[1:3]
    before = [0, 0]
    if site.options["padding"] == "SAME":
        for axis in (0, 1):
            reach = (site.input(2).shape[1 + axis] - 1) * stride[axis] + kernel.shape[2 + axis]
            before[axis] = max(reach - sizes[axis], 0) // 2
    finish = site.finish()

    def image(value: Tensor) -> Tensor:
        whole = functional.conv_transpose2d(value, kernel, None, stride)
        missing = [before[i] + sizes[i] - whole.shape[2 + i] for i in (0, 1)]
        whole = functional.pad(whole, (0, max(missing[1], 0), 0, max(missing[0], 0)))
        made = whole[:, :, before[0] : before[0] + sizes[0], before[1] : before[1] + sizes[1]]
        return finish(made if bias is None else made + bias.reshape(-1, 1, 1))

    run = channels_first(image)
    return lambda _shape, _weights, value, *_bias: run(value)
