"""Images resized: each output row and column is a fixed mixture of the input's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.twin.site import Run, Site, builds
from devdiff.scanner.twin.window import channels_first


def _places(site: Site, axis: int) -> Tensor:
    """Where the output's pixels lie in the input, in pixels: float64 [output size]."""
    given, made = site.input(0).shape[axis], site.output.shape[axis]
    pixels = torch.arange(made, dtype=torch.float64)
    if site.options["align_corners"] and made > 1:
        return pixels * ((given - 1) / (made - 1))
    if site.options["half_pixel_centers"]:
        return (pixels + 0.5) * (given / made) - 0.5
    return pixels * (given / made)


@builds("RESIZE_NEAREST_NEIGHBOR")
def nearest(site: Site) -> Run:
    move = site.move(0)
    sources = []
    for axis in (1, 2):
        places = _places(site, axis)
        if site.options["align_corners"] or site.options["half_pixel_centers"]:
            places = places + 0.5
        last = site.input(0).shape[axis] - 1
        sources.append(torch.floor(places).clamp(0, last).to(torch.int64))
    sizes = site.output.shape[1:3]
    plain = [
        torch.arange(made) * given // made
        for given, made in zip(site.input(0).shape[1:3], sizes, strict=True)
    ]
    if all(torch.equal(*pair) for pair in zip(sources, plain, strict=True)):
        return channels_first(
            lambda image: functional.interpolate(move(image), sizes, mode="nearest")
        )
    rows, columns = sources
    return lambda value, _: move(value).index_select(2, rows).index_select(3, columns)


@builds("RESIZE_BILINEAR")
def bilinear(site: Site) -> Run:
    ratio, finish = site.ratio(0), site.finish(activation="NONE", halves_up=True)
    rows, columns = (_mixture(site, axis) for axis in (1, 2))
    rows = rows * ratio

    def run(value: Tensor, _: Tensor) -> Tensor:
        return finish(torch.einsum("yh,xw,nbhwc->nbyxc", rows, columns, value))

    return run


def _mixture(site: Site, axis: int) -> Tensor:
    """Weights float32 [output size, input size] with rows that sum to one."""
    last = site.input(0).shape[axis] - 1
    places = _places(site, axis).clamp(0, last)
    below = torch.floor(places).to(torch.int64)
    above = (below + 1).clamp(max=last)
    share = (places - below).unsqueeze(1)
    steps = torch.eye(last + 1, dtype=torch.float64)
    return (steps[below] * (1 - share) + steps[above] * share).to(torch.float32)
