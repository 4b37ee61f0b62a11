"""Arithmetic, comparisons and choices, element by element, with broadcasting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from devdiff.scanner.twin.site import Run, Site, aligned, builds, is_quantized, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@builds("ADD", "SUB", "ADD_N")
def add(site: Site) -> Run:
    """The integer kernel multiplies stored steps by ratios of 21 bits, adds a half and shifts."""
    sign = -1.0 if site.operator.kind == "SUB" else 1.0
    positions = range(len(site.inputs))
    ratios = [site.ratio(position) for position in positions]
    integer = all(is_quantized(site.input(position)) for position in positions)
    constants: dict[int, Tensor] = {}
    if integer:
        ratios = _fixed_point(site)
        for position in positions:
            if site.is_constant(position):
                constants[position] = site.constant_steps(position).unsqueeze(0)
    finish = site.finish(halves_up=integer)

    def run(*carried: Tensor) -> Tensor:
        first, *others = aligned(*(constants.get(i, value) for i, value in enumerate(carried)))
        total = scaled(first, ratios[0])
        for value, ratio in zip(others, ratios[1:], strict=True):
            total = torch.add(total, value, alpha=sign * ratio)
        return finish(total)

    return run


def _fixed_point(site: Site) -> list[float]:
    """Output steps for a stored step of each input, to 21 bits of the largest ratio."""
    exact = [site.own_scale(position) / site.out_scale() for position in range(len(site.inputs))]
    unit = 2.0 ** (math.floor(math.log2(max(exact))) - 20)
    return [round(ratio / unit) * unit for ratio in exact]


@builds("MUL")
def multiply(site: Site) -> Run:
    factor = site.scale(0) * site.scale(1) / site.out_scale()
    finish = site.finish()

    def run(*values: Tensor) -> Tensor:
        left, right = aligned(*values)
        return finish(scaled(left * right, factor))

    return run


def _divide(left: Tensor, right: Tensor) -> Tensor:
    whole = not left.is_floating_point()
    return torch.div(left, right, rounding_mode="trunc" if whole else None)


def _prelu(value: Tensor, slope: Tensor) -> Tensor:
    return torch.where(value >= 0, value, value * slope)


_BINARY: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "DIV": _divide,
    "FLOOR_DIV": lambda left, right: torch.div(left, right, rounding_mode="floor"),
    "FLOOR_MOD": torch.remainder,
    "MAXIMUM": torch.maximum,
    "MINIMUM": torch.minimum,
    "POW": torch.pow,
    "PRELU": _prelu,
    "SQUARED_DIFFERENCE": lambda left, right: torch.square(left - right),
    "EQUAL": torch.eq,
    "NOT_EQUAL": torch.ne,
    "GREATER": torch.gt,
    "GREATER_EQUAL": torch.ge,
    "LESS": torch.lt,
    "LESS_EQUAL": torch.le,
    "LOGICAL_AND": torch.logical_and,
    "LOGICAL_OR": torch.logical_or,
}


@builds(*_BINARY)
def binary(site: Site) -> Run:
    """Any function of two real values."""
    function, finish = _BINARY[site.operator.kind], site.finish()
    scales, factor = (site.scale(0), site.scale(1)), 1 / site.out_scale()

    def run(*values: Tensor) -> Tensor:
        left, right = aligned(*values)
        made = function(scaled(left, scales[0]), scaled(right, scales[1]))
        return finish(scaled(made, factor))

    return run


@builds("SELECT", "SELECT_V2")
def select(site: Site) -> Run:
    yes, no = site.move(1), site.move(2)

    def run(condition: Tensor, left: Tensor, right: Tensor) -> Tensor:
        return torch.where(*aligned(condition, yes(left), no(right)))

    return run
