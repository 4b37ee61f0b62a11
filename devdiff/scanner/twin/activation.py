"""Functions of one real value, and softmax: the kernels look them up in tables of 256 steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.twin.site import Run, Site, builds, is_quantized, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Below this a square root's slope would swamp every other gradient; no stored value is so small.
_TINY: Final = 1e-30

_UNARY: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "ABS": torch.abs,
    "CEIL": torch.ceil,
    "COS": torch.cos,
    "ELU": functional.elu,
    "EXP": torch.exp,
    "FLOOR": torch.floor,
    "LOG": torch.log,
    "LOGICAL_NOT": torch.logical_not,
    "LOGISTIC": torch.sigmoid,
    "NEG": torch.neg,
    "ROUND": torch.round,
    "RSQRT": lambda value: torch.rsqrt(value.clamp_min(_TINY)),
    "SIGN": torch.sign,
    "SIN": torch.sin,
    "SQRT": lambda value: torch.where(value > 0, torch.sqrt(value.clamp_min(_TINY)), 0.0),
    "SQUARE": torch.square,
    "TANH": torch.tanh,
}


@builds(*_UNARY)
def unary(site: Site) -> Run:
    return _of_real_values(site, _UNARY[site.operator.kind])


@builds("RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1")
def relu(site: Site) -> Run:
    """On another grid the kernel rounds twice: the product with the ratio's mantissa, then the
    shift by its exponent.
    """
    kind = site.operator.kind
    if not is_quantized(site.output):
        return site.finish(activation=kind)
    mantissa, exponent = math.frexp(site.ratio(0))
    finish = site.finish(activation=kind, halves_up=True)
    if exponent >= 0:
        return lambda value: finish(value * site.ratio(0))

    def run(value: Tensor) -> Tensor:
        product = value * mantissa
        whole = product + (torch.floor(product + 0.5) - product).detach()
        return finish(whole * 2.0**exponent)

    return run


@builds("LEAKY_RELU")
def leaky_relu(site: Site) -> Run:
    """One ratio above zero and another below; the integer kernel keeps eight bits of each."""
    slope, ratio = float(site.options["alpha"]), site.ratio(0)
    if not is_quantized(site.output):
        return _of_real_values(site, lambda value: functional.leaky_relu(value, slope))
    finish = site.finish(halves_up=True)
    above, below = (round(256 * part) / 256 for part in (ratio, ratio * slope))
    return lambda value: finish(torch.where(value >= 0, value * above, value * below))


@builds("GELU")
def gelu(site: Site) -> Run:
    kind = "tanh" if site.options["approximate"] else "none"
    return _of_real_values(site, lambda value: functional.gelu(value, approximate=kind))


@builds("SOFTMAX")
def softmax(site: Site) -> Run:
    beta = float(site.options["beta"])
    return _of_real_values(site, lambda value: torch.softmax(scaled(value, beta), -1))


@builds("LOG_SOFTMAX")
def log_softmax(site: Site) -> Run:
    return _of_real_values(site, lambda value: torch.log_softmax(value, -1))


@builds("L2_NORMALIZATION")
def l2_normalization(site: Site) -> Run:
    return _of_real_values(site, lambda value: functional.normalize(value, dim=-1, eps=1e-6))


@builds("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(site: Site) -> Run:
    """Each value over a power of the squares summed over ``2 * radius + 1`` neighbour channels."""
    radius, bias = int(site.options["radius"]), float(site.options["bias"])
    alpha, beta = float(site.options["alpha"]), float(site.options["beta"])

    def function(value: Tensor) -> Tensor:
        squares = functional.pad(value.square(), (radius, radius))
        sums = squares.unfold(-1, 2 * radius + 1, 1).sum(-1)
        return value * (bias + alpha * sums).pow(-beta)

    return _of_real_values(site, function)


def _of_real_values(site: Site, function: Callable[[Tensor], Tensor]) -> Run:
    scale, factor, finish = site.scale(0), 1 / site.out_scale(), site.finish()
    return lambda value: finish(scaled(function(scaled(value, scale)), factor))
