"""Arithmetic, comparisons and choices, element by element, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from devdiff.scan.twin.site import Run, Site, aligned, builds, scaled


@builds("ADD", "SUB", "ADD_N")
def add(site: Site) -> Run:
    sign = -1.0 if site.operator.kind == "SUB" else 1.0
    ratios = [site.ratio(position) for position in range(len(site.inputs))]
    finish = site.finish()

    def run(*values: Tensor) -> Tensor:
        first, *others = aligned(*values)
        total = scaled(first, ratios[0])
        for value, ratio in zip(others, ratios[1:], strict=True):
            total = torch.add(total, value, alpha=sign * ratio)
        return finish(total)

    return run


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
