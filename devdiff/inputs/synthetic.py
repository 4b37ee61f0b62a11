"""Seeded inputs for models that came without any: they say something about numerics only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devdiff.exporter.artifact import Array, TensorSpec

# Coarse grid of an image-like sample: natural images have most of their energy in few low
# frequencies, and networks answer white noise with nearly constant outputs.
_GRID = 7
_UNKNOWN_INTEGER_LIMIT = 2


def sample_stream(
    inputs: tuple[TensorSpec, ...], limits: Mapping[str, int], seed: int
) -> Iterator[dict[str, Array]]:
    """Endless samples, a dict of input name to array of the input's shape and dtype.

    Images are smooth (a random grid of 7 by 7, interpolated, in 0..1 or 0..255), other floats
    standard normal, integers below ``limits[name]`` (else 0 or 1), booleans fair coins.
    """
    generator = np.random.default_rng(seed)
    while True:
        yield {spec.name: _value(spec, limits.get(spec.name), generator) for spec in inputs}


def _value(spec: TensorSpec, limit: int | None, generator: np.random.Generator) -> Array:
    dtype = spec.numpy_dtype
    if dtype.kind == "b":
        return generator.random(spec.shape) < 0.5
    axes = _image_axes(spec.shape)
    if axes is not None and dtype.kind in "fu":
        image = _smooth(spec.shape, axes, generator)
        return image.astype(dtype) if dtype.kind == "f" else (image * 255).astype(dtype)
    if dtype.kind == "f":
        return generator.standard_normal(spec.shape).astype(dtype)
    if limit is None and dtype.itemsize == 1:
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max + 1, spec.shape).astype(dtype)
    return generator.integers(0, limit or _UNKNOWN_INTEGER_LIMIT, spec.shape).astype(dtype)


def _image_axes(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The height and width axes of an image-like shape [B, C, H, W] or [B, H, W, C]."""
    if len(shape) != 4:
        return None
    if shape[1] in (1, 3, 4) and min(shape[2:]) >= _GRID:
        return 2, 3
    if shape[3] in (1, 3, 4) and min(shape[1:3]) >= _GRID:
        return 1, 2
    return None


def _interpolation(size: int) -> Array:
    """Weights [size, grid] of linear interpolation between grid points."""
    position = np.linspace(0, _GRID - 1, size)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(_GRID)[None, :]))


def _smooth(shape: tuple[int, ...], axes: tuple[int, int], generator: np.random.Generator) -> Array:
    height, width = axes
    coarse_shape = [_GRID if axis in axes else size for axis, size in enumerate(shape)]
    value = generator.random(coarse_shape)
    for axis in (height, width):
        weights = _interpolation(shape[axis])
        value = np.moveaxis(np.tensordot(weights, value, axes=(1, axis)), 0, axis)
    return np.clip(value + generator.normal(0, 0.02, shape), 0, 1)
