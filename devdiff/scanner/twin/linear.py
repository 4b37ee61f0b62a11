"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.twin.kernel import Kernel
from devdiff.scanner.twin.site import Run, Site, aligned, builds, scaled


@builds("FULLY_CONNECTED")
def fully_connected(site: Site) -> Run:
    """Weights [out, in], constant or computed; the input's axes are merged to rows of ``in``."""
    if site.options.get("weights_format", 0) != 0:
        raise site.unknown("its weights are shuffled")
    shape = site.output.shape
    if not site.is_constant(1):
        factor = site.scale(0) * site.scale(1) / site.out_scale()
        bias = site.constant(2) / site.out_scale() if site.has(2) else None
        finish = site.finish()

        def product(value: Tensor, weights: Tensor, *_: Tensor | None) -> Tensor:
            rows = value.reshape(value.shape[0], -1, weights.shape[2])
            made = torch.matmul(rows * factor, weights.transpose(1, 2))
            made = made if bias is None else made + bias
            return finish(made).reshape(-1, *shape)

        return product

    kernel = Kernel.of(site, 0, 1, 2, channel_axis=-1)

    def run(value: Tensor, *_: Tensor | None) -> Tensor:
        rows = value.reshape(-1, kernel.weights.shape[1])
        made = functional.linear(rows, kernel.weights, kernel.bias)
        return kernel.finish(made).reshape(value.shape[0], *shape)

    return run


@builds("BATCH_MATMUL")
def batch_matmul(site: Site) -> Run:
    """As XNNPACK does it up to LiteRT 2.1: of two computed int8 operands, the right one's stored
    values are multiplied without its zero point being taken off. The builtin kernels take it off.
    """
    flip_x, flip_y = site.options["adj_x"], site.options["adj_y"]
    factor = site.scale(0) * site.scale(1) / site.out_scale()
    kept = 0.0 if site.is_constant(0) or site.is_constant(1) else site.zero_point(1)
    finish = site.finish(activation="NONE")

    def run(left: Tensor, right: Tensor) -> Tensor:
        left, right = aligned(left, right)
        left = left.transpose(-1, -2) if flip_x else left
        right = right.transpose(-1, -2) if flip_y else right
        return finish(torch.matmul(scaled(left, factor), right + kept if kept else right))

    return run
