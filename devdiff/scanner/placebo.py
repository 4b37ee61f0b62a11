"""The full model compressed otherwise: what a search finds there, compression alone explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.exporter.artifact import Array
    from devdiff.scanner.weights import LayerWeights

MASK_NOISE: Final = 0.5
"""Spread of the log-normal noise on magnitudes in another pruning mask. At this value about as many
clean answers change as under the real mask, where a mask drawn at random ruins the model."""
_PRUNED_SHARE: Final = 0.02


def is_pruned(layers: Sequence[LayerWeights]) -> bool:
    """Whether the compressed model has zeros that rounding does not explain."""
    zeroed = sum(int(np.count_nonzero(_zeroed(layer))) for layer in layers)
    return zeroed > _PRUNED_SHARE * sum(layer.floating.size for layer in layers)


def is_quantized(layers: Sequence[LayerWeights]) -> bool:
    return any(layer.stored is not None for layer in layers)


def compress_otherwise(layers: Sequence[LayerWeights], seed: int) -> Mapping[int, Array]:
    """Real-valued weights float32 by constant tensor of the compressed graph.

    Pruned layers lose as many weights by another mask, for which magnitudes are made noisy; int8
    layers are rounded stochastically to their own scales: up or down with the probability that
    keeps the expectation. Layers whose pruning took whole channels keep theirs.
    """
    random = np.random.default_rng(seed)
    pruned = is_pruned(layers)
    changed: dict[int, Array] = {}
    for layer in layers:
        weights = layer.floating
        if pruned:
            weights = _masked(layer, random)
        if layer.scales is not None:
            scales = _along(layer, layer.scales)
            steps = np.divide(weights, scales, dtype=np.float64)
            rounded = np.floor(steps + random.random(steps.shape))
            # What was pruned stays exactly zero.
            limit = np.iinfo(layer.dtype).max
            weights = np.clip(np.where(weights == 0, 0, rounded), -limit, limit) * scales
        changed[layer.tensor] = np.ascontiguousarray(weights, np.float32)
    return changed


def _along(layer: LayerWeights, values: Array) -> Array:
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if axis == layer.axis else 1 for axis in range(layer.floating.ndim)])


def _zeroed(layer: LayerWeights) -> Array:
    """Where the compressed model has a zero that rounding does not explain."""
    largest = np.abs(layer.floating).max(initial=0.0)
    step = largest / 127 if layer.scales is None else _along(layer, layer.scales)
    floor = 1e-6 * largest if layer.stored is None else np.maximum(step, 1e-6 * largest)
    zeroed: Array = (layer.compressed == 0) & (np.abs(layer.floating) > floor)
    return zeroed


def pruned_only(layer: LayerWeights) -> Array:
    """The full model's weights float32, zero where the compressed model's were pruned."""
    return np.where(_zeroed(layer), 0, layer.floating).astype(np.float32)


def _masked(layer: LayerWeights, random: np.random.Generator) -> Array:
    zeros = layer.compressed == 0
    count = int(np.count_nonzero(zeros))
    if not _zeroed(layer).any() or _whole_channels(zeros, layer.axis):
        return np.where(zeros & _zeroed(layer), 0, layer.floating)
    noise = np.exp(MASK_NOISE * random.standard_normal(layer.floating.shape))
    order = np.argsort(np.abs(layer.floating) * noise, axis=None, kind="stable")
    masked = layer.floating.copy()
    masked.flat[order[:count]] = 0
    return masked


def _whole_channels(zeros: Array, axis: int) -> bool:
    others = tuple(place for place in range(zeros.ndim) if place != axis)
    channels = zeros.all(axis=others)
    return (
        bool(channels.any())
        and int(zeros.sum()) <= int(channels.sum()) * (zeros.size // zeros.shape[axis]) * 1.05
    )
