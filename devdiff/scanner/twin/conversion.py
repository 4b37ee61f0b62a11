"""From real values to steps and back, and between types."""

from __future__ import annotations

import torch
from torch import Tensor

from devdiff.scanner.twin.site import Run, Site, builds, is_quantized, scaled


@builds("QUANTIZE")
def quantize(site: Site) -> Run:
    """From float32 as it is computed; from another grid by a ratio of eight fractional bits.

    A float NaN becomes the largest stored value, as on x86 (ARM makes it zero).
    """
    ratio = site.ratio(0)
    if is_quantized(site.input(0)):
        finish = site.finish(activation="NONE", halves_up=True)
        ratio = round(256 * ratio) / 256
        return lambda value: finish(value * ratio)
    finish = site.finish(activation="NONE")
    return lambda value: finish(torch.nan_to_num(value * ratio, nan=torch.inf))


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
    """Inputs: indices, depth, value where equal, value elsewhere.

    The kernel copies the two values as they are stored, whatever the scales say: converters give
    the second one a scale of its own, and "no" becomes 0.5 on the device.
    """
    depth, axis = site.integers(1)[0], int(site.options["axis"])
    on, off = (_stored(site, position) for position in (2, 3))

    def run(indices: Tensor, *_: Tensor) -> Tensor:
        made = torch.where(indices.unsqueeze(-1) == torch.arange(depth), on, off)
        return made if axis < 0 else made.movedim(-1, axis + 1)

    return run


def _stored(site: Site, position: int) -> Tensor:
    """A constant as stored, in steps of the output."""
    source, real = site.input(position), site.constant(position)
    if source.scales is None or site.output.zero_points is None:
        return real
    steps = torch.round(real / float(source.scales[0]))
    return steps + site.zero_point(position) - float(site.output.zero_points[0])
