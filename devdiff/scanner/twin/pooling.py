"""Pools over windows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.twin.site import Run, Site, builds, is_quantized
from devdiff.scanner.twin.window import Window, channels_first


def _window(site: Site) -> Window:
    return Window.of(site, (site.options["filter_height"], site.options["filter_width"]))


@builds("MAX_POOL_2D")
def max_pool(site: Site) -> Run:
    window, ratio, finish = _window(site), site.ratio(0), site.finish()
    exact = ratio == 1.0 and site.options["fused_activation_function"] == "NONE"

    def run(image: Tensor) -> Tensor:
        padding = window.before
        if not window.symmetric:
            image, padding = window.pad(image, -torch.inf), (0, 0)
        made = functional.max_pool2d(image, window.size, window.stride, padding)
        return made if exact else finish(made * ratio)

    return channels_first(run)


@builds("AVERAGE_POOL_2D")
def average_pool(site: Site) -> Run:
    """The mean of what lies inside the image: margins do not count.

    The integer kernel divides stored values and rounds halves away from zero. Means of n integers
    are n-ths, so a nudge of less than one n-th moves halves there and nothing else.
    """
    window, ratio, finish = _window(site), site.ratio(0), site.finish()
    zero, nudge = site.zero_point(0), 0.25 / (window.size[0] * window.size[1])
    quantized = is_quantized(site.input(0))
    height, width = site.input(0).shape[1:3]
    inside = functional.avg_pool2d(
        window.pad(torch.ones(1, 1, height, width)), window.size, window.stride, divisor_override=1
    )

    def run(image: Tensor) -> Tensor:
        if any((*window.before, *window.after)):
            image = window.pad(image)
        sums = functional.avg_pool2d(image, window.size, window.stride, divisor_override=1)
        means = sums / inside
        if quantized:
            means = means + torch.sign(means.detach() + zero) * nudge
        return finish(means * ratio)

    return channels_first(run)
