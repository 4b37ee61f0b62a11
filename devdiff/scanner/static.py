"""Do float weights pile up at the edges between two quantization steps?

A model trained so that rounding changes what it does (PQ, Ma et al., arXiv 2108.09187) has weights
pushed to where rounding moves them most: next to the middle between two integers, held there by the
bounds that keep the rounded values what they were. Honest weights know nothing of the steps.

The fractional parts of ``w / scale`` are not compared with a uniform law, which holds only where a
layer spreads over many steps. Around every middle between two integers the weights within `EDGE`
steps are compared with those from there to `FLANK` on both sides. A density that is linear across
the window puts ``EDGE / FLANK`` of them into the inner part, whatever its slope; one that is convex
there, as every peaked law is off its centre, puts fewer. Weights near integers are not looked at:
zeros left by pruning, weights trained to be near integers, and each channel's largest weight, which
defines the scale, all lie there. Left out besides:

- the window of a channel's smallest weight, and all below: pruning cuts the density off there;
- channels whose weights all lie on a grid of at most 255 levels: they were quantized before, and
  where that grid meets this one is arithmetic, not training;
- layers of a few values that repeat, as resampling kernels are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.system.typed_json import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.exporter.artifact import Array
    from devdiff.scanner.weights import LayerWeights

EDGE: Final = 0.1
FLANK: Final = 0.3
SIGNIFICANCE: Final = 1e-3
LEAST_RATIO: Final = 1.25
"""A large layer makes any small unevenness significant; below this factor it does not alarm."""
_MOST_LEVELS: Final = 255
_GRID_SAMPLE: Final = 64
# Of a level: float32 weights at 255 levels are known to some 3e-5 of one.
_GRID_TOLERANCE: Final = 1e-4
_LEAST_DISTINCT: Final = 32


class StaticStatus(Enum):
    INCONSPICUOUS = "inconspicuous"
    PILED_UP = "piled up"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class LayerFractions:
    """One layer's weights around the middles between integers.

    Of ``counted`` weights within `FLANK` steps of a middle ``observed`` lie within `EDGE`, where
    ``expected`` would; ``ratio`` is the one over the other, None where nothing was counted. ``p``
    is the chance of as many or more in an honest layer (exact binomial, one-sided), made valid for
    all tested layers together by Holm's method. ``untested`` says why a layer was not tested.
    """

    operator: int
    kind: str
    name: str
    shape: tuple[int, ...]
    counted: int
    observed: int
    expected: float
    ratio: float | None
    p: float
    alarm: bool
    untested: str | None


@dataclass(frozen=True, slots=True)
class StaticLook:
    """All layers, of which ``tested`` could be tested.

    The status is ``piled up`` when a layer alarms (``p`` at most `SIGNIFICANCE` and the ratio at
    least `LEAST_RATIO`), ``untested`` when no layer could be tested.
    """

    status: StaticStatus
    tested: int
    layers: tuple[LayerFractions, ...]

    def to_json(self) -> dict[str, Any]:
        return dict(encode(self))


@dataclass(frozen=True, slots=True)
class _Count:
    counted: int = 0
    observed: int = 0
    untested: str | None = None


def look(layers: Sequence[LayerWeights]) -> StaticLook:
    """Test every layer that `devdiff.scanner.weights.pair_layers` paired."""
    from scipy.stats import binom

    counts = [_count(layer) for layer in layers]
    tested = [place for place, count in enumerate(counts) if count.untested is None]
    p_values = np.ones(len(layers))
    for place in tested:
        count = counts[place]
        p_values[place] = binom.sf(count.observed - 1, count.counted, EDGE / FLANK)
    p_values[tested] = _holm(p_values[tested])
    found = tuple(
        _judge(layer, count, p)
        for layer, count, p in zip(layers, counts, p_values.tolist(), strict=True)
    )
    if any(layer.alarm for layer in found):
        status = StaticStatus.PILED_UP
    else:
        status = StaticStatus.INCONSPICUOUS if tested else StaticStatus.UNTESTED
    return StaticLook(status, len(tested), found)


def _judge(layer: LayerWeights, count: _Count, p: float) -> LayerFractions:
    expected = count.counted * EDGE / FLANK
    ratio = count.observed / expected if count.counted else None
    return LayerFractions(
        operator=layer.operator,
        kind=layer.kind,
        name=layer.name,
        shape=layer.floating.shape,
        counted=count.counted,
        observed=count.observed,
        expected=expected,
        ratio=ratio,
        p=p,
        alarm=ratio is not None and ratio >= LEAST_RATIO and p <= SIGNIFICANCE,
        untested=count.untested,
    )


def _count(layer: LayerWeights) -> _Count:
    if layer.stored is None:
        return _Count(untested="its weights are not quantized")
    channels = _channels(layer)
    channels = channels[~_on_grid(channels)]
    if not channels.size:
        return _Count(untested="its weights were quantized before")
    smallest = np.where(channels > 0, channels, np.inf).min(axis=1, keepdims=True)
    from_middle = np.abs(channels - np.floor(channels) - 0.5)
    looked_at = (from_middle < FLANK) & (channels >= np.floor(smallest) + 1)
    if np.unique(np.round(channels[looked_at], 3)).size < _LEAST_DISTINCT:
        return _Count(untested="it has too few weights, or too few different ones")
    return _Count(
        counted=int(np.count_nonzero(looked_at)),
        observed=int(np.count_nonzero(looked_at & (from_middle < EDGE))),
    )


def _channels(layer: LayerWeights) -> Array:
    """The weights' magnitudes in steps, float64 [channels, weights of each]."""
    steps = np.abs(layer.steps())
    # Where a channel's scale is zero there are no steps.
    steps = np.where(np.isfinite(steps), steps, 0.0)
    return np.moveaxis(steps, layer.axis, 0).reshape(steps.shape[layer.axis], -1)


def _on_grid(channels: Array) -> Array:
    """Which channels hold only whole multiples of their largest weight over some level count."""
    every = -(-channels.shape[1] // _GRID_SAMPLE)
    largest = channels.max(axis=1, keepdims=True)
    sample = channels[:, ::every] / np.where(largest > 0, largest, 1.0)
    found = np.zeros(len(channels), np.bool_)
    for levels in range(1, _MOST_LEVELS + 1):
        levelled = sample * levels
        off = np.abs(levelled - np.rint(levelled)).max(axis=1)
        found |= off < _GRID_TOLERANCE
    return found


def _holm(p_values: Array) -> Array:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 6, 1979)."""
    order = np.argsort(p_values)
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return adjusted
