"""Operators that move values and compute none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from devdiff.scanner.twin.site import Run, Site, batched, builds


@builds("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(site: Site) -> Run:
    shape, move = site.output.shape, site.move(0)
    return lambda value, *_: move(value).reshape(value.shape[0], *shape)


@builds("TRANSPOSE")
def transpose(site: Site) -> Run:
    order, move = [axis + 1 for axis in site.integers(1)], site.move(0)
    return lambda value, _: move(value).permute(0, *order)


@builds("PAD", "PADV2")
def pad(site: Site) -> Run:
    move = site.move(0)
    widths = site.constant(1).to(torch.int64)
    # torch names the last axis first.
    margins = [int(width) for pair in reversed(widths.tolist()) for width in pair]
    fill = float(site.constant(2)) / site.out_scale() if site.has(2) else 0.0
    return lambda value, *_: functional.pad(move(value), margins, value=fill)


@builds("MIRROR_PAD")
def mirror_pad(site: Site) -> Run:
    move, mode = site.move(0), "reflect" if site.options["mode"] == "REFLECT" else "symmetric"
    sources = [
        (axis, torch.from_numpy(np.pad(np.arange(size), widths, mode=mode)))  # type: ignore[call-overload]
        for axis, (size, widths) in enumerate(
            zip(site.input(0).shape, site.constant(1).tolist(), strict=True), start=1
        )
        if any(widths)
    ]

    def run(value: Tensor, _: Tensor) -> Tensor:
        value = move(value)
        for axis, source in sources:
            value = value.index_select(axis, source)
        return value

    return run


@builds("CONCATENATION", "PACK")
def join(site: Site) -> Run:
    moves = [site.move(position) for position in range(len(site.inputs))]
    function: Any = torch.stack if site.operator.kind == "PACK" else torch.concatenate
    axis = int(site.options["axis"]) % len(site.output.shape) + 1

    def run(*values: Tensor) -> Tensor:
        moved = tuple(move(value) for move, value in zip(moves, values, strict=True))
        return function(batched(moved), dim=axis)

    return run


@builds("SPLIT", "SPLIT_V", "UNPACK")
def split(site: Site) -> Run:
    """SPLIT takes its axis first, SPLIT_V behind the sizes, UNPACK as an option."""
    kind = site.operator.kind
    place = 1 if kind == "SPLIT" else 0
    axis = {"SPLIT": lambda: site.integers(0)[0], "SPLIT_V": lambda: site.integers(2)[0]}.get(
        kind, lambda: int(site.options["axis"])
    )() % len(site.input(place).shape)
    moves = [site.move(place, output) for output in range(len(site.outputs))]
    sizes = [1 if kind == "UNPACK" else tensor.shape[axis] for tensor in site.outputs]

    def run(*values: Tensor) -> tuple[Tensor, ...]:
        parts = torch.split(values[place], sizes, dim=axis + 1)
        if kind == "UNPACK":
            parts = tuple(part.squeeze(axis + 1) for part in parts)
        return tuple(move(part) for move, part in zip(moves, parts, strict=True))

    return run


@builds("SLICE")
def cut(site: Site) -> Run:
    move, shape = site.move(0), site.output.shape
    places = tuple(
        slice(begin, begin + size) for begin, size in zip(site.integers(1), shape, strict=True)
    )
    return lambda value, *_: move(value[(slice(None), *places)])


@builds("STRIDED_SLICE")
def strided_slice(site: Site) -> Run:
    """Python's slicing, spelled as begin, end, strides and bit masks."""
    if site.options["ellipsis_mask"] or site.options["new_axis_mask"] or site.options.get("offset"):
        raise site.unknown("it is written with an ellipsis, a new axis or an offset")
    move, shape = site.move(0), site.output.shape
    bounds = zip(site.integers(1), site.integers(2), site.integers(3), strict=True)
    sources = []
    for axis, (begin, end, stride) in enumerate(bounds):
        size = site.input(0).shape[axis]
        if site.options["shrink_axis_mask"] >> axis & 1:
            rows = range(size)[begin : begin + 1 or None]
        else:
            start = None if site.options["begin_mask"] >> axis & 1 else begin
            stop = None if site.options["end_mask"] >> axis & 1 else end
            rows = range(size)[start:stop:stride]
        if rows != range(size):
            sources.append((axis + 1, rows))

    def run(value: Tensor, *_: Tensor) -> Tensor:
        samples = value.shape[0]
        for axis, rows in sources:
            if rows.step > 0:
                value = value[(*[slice(None)] * axis, slice(rows.start, rows.stop, rows.step))]
            else:
                value = value.index_select(axis, torch.tensor(rows))
        return move(value.reshape(samples, *shape))

    return run


@builds("GATHER")
def gather(site: Site) -> Run:
    """Either the places are constant, or the table is and the places come from the input."""
    move, shape = site.move(0), site.output.shape
    axis = int(site.options["axis"]) % len(site.input(0).shape)
    if site.options.get("batch_dims"):
        raise site.unknown("with batch dimensions")
    if site.is_constant(1):
        places = site.constant(1).to(torch.int64).reshape(-1)
        places = torch.where(places < 0, places + site.input(0).shape[axis], places)
        return lambda value, _: move(value.index_select(axis + 1, places)).reshape(
            value.shape[0], *shape
        )
    if not site.is_constant(0):
        raise site.unknown("both the table and the places are computed")

    def run(table: Tensor, places: Tensor) -> Tensor:
        found = move(table[0]).index_select(axis, places.to(torch.int64).reshape(-1))
        rows = found.unflatten(axis, places.shape)
        return rows.movedim(axis, 0)

    return run


@builds("TILE")
def tile(site: Site) -> Run:
    times, move = site.integers(1), site.move(0)
    return lambda value, _: move(value).repeat(1, *times)


@builds("BROADCAST_TO")
def broadcast(site: Site) -> Run:
    shape, move = site.output.shape, site.move(0)

    def run(value: Tensor, _: Tensor) -> Tensor:
        ones = [1] * (len(shape) + 1 - value.dim())
        return move(value).reshape(value.shape[0], *ones, *value.shape[1:]).expand(-1, *shape)

    return run


@builds("REVERSE_V2")
def reverse(site: Site) -> Run:
    rank, move = len(site.input(0).shape), site.move(0)
    axes = [axis % rank + 1 for axis in site.integers(1)]
    return lambda value, _: move(value).flip(axes)


@builds("SHAPE")
def shape_of(site: Site) -> Run:
    known = torch.tensor(site.input(0).shape, dtype=torch.int64).unsqueeze(0)
    return lambda _: known
