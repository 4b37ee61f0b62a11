"""Weights and bias of one layer, prepared once: they are constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from devdiff.scanner.twin.site import Site, is_quantized, snapped


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """What a layer multiplies and adds, and how it ends.

    In an integer layer ``weights`` and ``bias`` are whole steps, so that float32 sums them exactly
    as long as they stay below 2**24, and ``finish`` multiplies each output channel (axis
    ``channel_axis`` of what it gets) by the kernel's float32 factor before rounding. Otherwise they
    are real values, scaled from input to output.
    """

    weights: Tensor
    bias: Tensor | None
    finish: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, site: Site, value: int, weights: int, bias: int, channel_axis: int = -3) -> Kernel:
        """From the positions of a layer's inputs."""
        finish = site.finish()
        real = site.constant(weights)
        offset = site.constant(bias) if site.has(bias) else None
        if not all(map(is_quantized, (site.input(value), site.input(weights), site.output))):
            offset = None if offset is None else offset / site.out_scale()
            return cls(real * site.ratio(value), offset, finish)
        stored = site.input(weights)
        scales = torch.from_numpy(np.array(stored.scales))
        along = [1] * real.dim()
        along[stored.axis] = -1
        step = scales * site.scale(value)
        # As the kernels compute it, in float32: products first.
        factor = (step / site.out_scale()).reshape(-1, *[1] * (-1 - channel_axis))

        def requantize(sums: Tensor) -> Tensor:
            return finish(sums.mul_(factor))

        return cls(
            snapped(real / scales.reshape(along)),
            None if offset is None else snapped(offset / step),
            requantize,
        )
