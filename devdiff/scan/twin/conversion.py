"""From real values to steps and back, and between types."""

from __future__ import annotations

import torch
from torch import Tensor

from devdiff.scan.twin.site import Run, Site, builds, scaled


@builds("QUANTIZE")
def quantize(site: Site) -> Run:
    ratio, finish = site.ratio(0), site.finish(activation="NONE")
    return lambda value: finish(scaled(value, ratio))


@builds("DEQUANTIZE")
def dequantize(site: Site) -> Run:
    scale = site.scale(0)
    return lambda value: scaled(value, scale)


@builds("CAST")
def cast(site: Site) -> Run:
    if site.output.dtype == "bool":
        return lambda value: value != 0
    if "float" in site.output.dtype:
        return lambda value: value.to(torch.float32)
    return lambda value: torch.trunc(value).to(torch.int64)


@builds("ONE_HOT")
def one_hot(site: Site) -> Run:
    """Inputs: indices, depth, value where equal, value elsewhere."""
    depth = site.integers(1)[0]
    on, off = site.constant(2), site.constant(3)
    axis = int(site.options["axis"])

    def run(indices: Tensor, *_: Tensor) -> Tensor:
        chosen = indices.unsqueeze(-1) == torch.arange(depth)
        made = torch.where(chosen, on, off)
        return made if axis < 0 else made.movedim(-1, axis + 1)

    return run
