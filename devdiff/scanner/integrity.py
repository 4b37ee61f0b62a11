"""Is every stored weight the nearest rounding of its float weight?

An honest exporter rounds; whoever chooses the rounding, or edits the finished file, leaves weights
that are nearest to nothing. The check needs the float file that the compressed one was made from
and is as strict as float32 allows: exporters compute ``w / scale`` from a scale that the file holds
rounded to float32, by a division or by the product with the reciprocal, so that the quotient is
known to four roundings, ``4 × 2⁻²⁴`` of itself. At 127 steps that is 3e-5 of a step; nearer to the
middle between two integers both are the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.scanner.weights import LayerWeights, pair_constants, pair_layers
from devdiff.system.typed_json import encode

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array
    from devdiff.exporter.tflite_graph import Graph, GraphTensor

_ROUNDINGS: Final = 4 * 2.0**-24
_FLOAT_TOLERANCE: Final = {"float16": 2.0**-10}
_BIAS_INPUTS: Final = {
    "CONV_2D": (0, 2),
    "DEPTHWISE_CONV_2D": (0, 2),
    "FULLY_CONNECTED": (0, 2),
    "TRANSPOSE_CONV": (2, 3),
}


class IntegrityStatus(Enum):
    CLEAN = "clean"
    DEVIATES = "deviates"


@dataclass(frozen=True, slots=True)
class Deviations:
    """Stored values that are not the nearest to their float values, distances in steps.

    Of ``elements`` values ``count`` deviate, ``further`` of them by a whole step or more (the
    others are rounded to the wrong neighbour). ``largest`` and ``mean`` are distances between
    stored and float value over the deviating ones, zero without any: at most 0.5 would be nearest.
    """

    elements: int
    count: int
    further: int
    largest: float
    mean: float

    @property
    def share(self) -> float:
        return self.count / self.elements if self.elements else 0.0


@dataclass(frozen=True, slots=True)
class LayerIntegrity:
    """One constant of the compressed model against its float values.

    ``ties`` are weights so near the middle between two integers that either is the nearest,
    ``clipped`` weights beyond the largest integer, ``zeroed`` weights stored as zero that are more
    than half a step from it; where zeros are allowed these do not count as deviations.
    ``scale_low`` and ``scale_high`` bound, over the channels, the scale over the one that just
    holds the largest weight: 1 for plain exporters, below 1 where weights are clipped. None when
    the constant is stored as floats, is asymmetric, or is nowhere as large as a step. ``bias`` is
    None without one that is constant.
    """

    operator: int
    kind: str
    name: str
    shape: tuple[int, ...]
    weights: Deviations
    ties: int
    clipped: int
    zeroed: int
    scale_low: float | None
    scale_high: float | None
    bias: Deviations | None

    @property
    def deviations(self) -> int:
        return self.weights.count + (self.bias.count if self.bias else 0)


@dataclass(frozen=True, slots=True)
class Integrity:
    """Every constant that was compared, and what could not be.

    ``elements`` weights and biases were compared, ``unchecked`` quantized constants' elements found
    no float counterpart.
    """

    status: IntegrityStatus
    elements: int
    deviations: int
    zeroed: int
    ties: int
    unchecked: int
    layers: tuple[LayerIntegrity, ...]

    @property
    def deviating(self) -> tuple[LayerIntegrity, ...]:
        """The layers with deviations, the most affected first."""
        found = [layer for layer in self.layers if layer.deviations]
        return tuple(sorted(found, key=lambda layer: -layer.deviations))

    def to_json(self) -> dict[str, Any]:
        return dict(encode(self))


def check_integrity(full: Graph, compressed: Graph, *, zeros_allowed: bool = False) -> Integrity:
    """Compare every constant of ``compressed`` with the rounding of its value in ``full``.

    ``zeros_allowed`` when ``compressed`` was pruned and ``full`` was not: a weight may then be zero
    instead, and so may the bias of a channel whose weights all are. Raises `ScanError` when the two
    files are not one model.
    """
    layers = pair_layers(full, compressed)
    others = pair_constants(full, compressed)
    found = [_check(layer, full, compressed, zeros_allowed) for layer in (*layers, *others)]
    compared = {layer.tensor for layer in (*layers, *others)}
    for layer in found:
        if layer.bias and (bias := _bias(layer.kind, compressed, layer.operator)):
            compared.add(bias.index)
    deviations = sum(layer.deviations for layer in found)
    return Integrity(
        status=IntegrityStatus.DEVIATES if deviations else IntegrityStatus.CLEAN,
        elements=sum(
            layer.weights.elements + (layer.bias.elements if layer.bias else 0) for layer in found
        ),
        deviations=deviations,
        zeroed=sum(layer.zeroed for layer in found),
        ties=sum(layer.ties for layer in found),
        unchecked=sum(
            tensor.data.size
            for tensor in compressed.tensors
            if tensor.data is not None
            and tensor.scales is not None
            and tensor.index not in compared
        ),
        layers=tuple(found),
    )


def _check(
    layer: LayerWeights, full: Graph, compressed: Graph, zeros_allowed: bool
) -> LayerIntegrity:
    steps, stored = layer.steps(), layer.stored_steps()
    saturated = layer.saturated(steps)
    distance = np.abs(saturated - stored)
    slack = _ROUNDINGS * np.maximum(np.abs(saturated), 1)
    zeroed = (stored == 0) & (distance > 0.5 + slack)
    if layer.stored is None:
        # Floats are copied, not rounded; a channel's step only serves as the unit of distance.
        relative = _FLOAT_TOLERANCE.get(layer.dtype, 2.0**-20)
        zeroed = (stored == 0) & (steps != 0)
        deviating = distance > relative * np.abs(steps)
        ties = 0
    else:
        deviating = distance > 0.5 + slack
        ties = int(np.count_nonzero(np.abs(distance - 0.5) <= slack))
    if zeros_allowed:
        deviating &= ~zeroed
    scale_low, scale_high = _scale_range(layer)
    return LayerIntegrity(
        operator=layer.operator,
        kind=layer.kind,
        name=layer.name,
        shape=layer.floating.shape,
        weights=_deviations(distance, deviating),
        ties=ties,
        clipped=int(np.count_nonzero(np.abs(steps - saturated) > 0.5 + slack)),
        zeroed=int(np.count_nonzero(zeroed)),
        scale_low=scale_low,
        scale_high=scale_high,
        bias=_check_bias(layer, full, compressed, zeros_allowed),
    )


def _deviations(distance: Array, deviating: Array) -> Deviations:
    far = distance[deviating]
    if far.size == 0:
        return Deviations(distance.size, 0, 0, 0.0, 0.0)
    further = int(np.count_nonzero(far >= 1))
    return Deviations(distance.size, far.size, further, float(far.max()), float(far.mean()))


def _scale_range(layer: LayerWeights) -> tuple[float | None, float | None]:
    if layer.stored is None or layer.zero_points is None or np.any(layer.zero_points):
        return None, None
    highest = 7 if layer.dtype == "int4" else np.iinfo(layer.stored.dtype).max
    peak = layer.per_channel(np.max, np.abs(layer.floating)).astype(np.float64)
    sizes = layer.step_sizes()
    # Exporters have a smallest scale; a channel below it is all zero and says nothing.
    used = peak >= np.maximum(sizes, np.finfo(np.float64).tiny)
    if not used.any():
        return None, None
    ratio = sizes[used] * highest / peak[used]
    return float(ratio.min()), float(ratio.max())


def _check_bias(
    layer: LayerWeights, full: Graph, compressed: Graph, zeros_allowed: bool
) -> Deviations | None:
    """The bias against the float bias in steps of input scale times weight scale.

    A bias that only one side has is compared with zeros, which an exporter may add. Pruning a whole
    channel takes its bias along.
    """
    if layer.kind not in _BIAS_INPUTS:
        return None
    before = _bias(layer.kind, full, layer.full_operator)
    after = _bias(layer.kind, compressed, layer.operator)
    if after is None and (before is None or before.data is None):
        return None
    floating = np.zeros(1, np.float32) if before is None else before.data
    stored = np.zeros(1, np.float32) if after is None else after.data
    if floating is None or stored is None:
        return None
    floating, stored = np.broadcast_arrays(floating.astype(np.float64), stored)
    if zeros_allowed:
        channels = np.moveaxis(layer.compressed, layer.axis, 0).reshape(len(stored), -1)
        floating = np.where((stored == 0) & ~channels.any(axis=1), 0.0, floating)
    if stored.dtype.kind == "f":
        step = np.abs(floating).max(initial=0) / 127 or 1.0
        distance = np.abs(floating - stored) / step
        tolerance = _FLOAT_TOLERANCE.get(stored.dtype.name, 2.0**-20)
        return _deviations(distance, distance > tolerance * np.abs(floating) / step)
    operator = compressed.operators[layer.operator]
    source = compressed.tensors[operator.inputs[_BIAS_INPUTS[layer.kind][0]]]
    if source.scales is None or layer.scales is None:
        return None
    sizes = source.scales.astype(np.float64) * layer.step_sizes()
    steps = np.divide(floating, sizes, out=np.zeros(floating.shape), where=sizes > 0)
    limits = np.iinfo(stored.dtype)
    distance = np.abs(np.clip(steps, limits.min, limits.max) - stored)
    # One more rounding than a weight has, the product of the scales, and numbers far beyond 127.
    return _deviations(distance, distance > 0.5 + 2 * _ROUNDINGS * np.maximum(np.abs(steps), 1))


def _bias(kind: str, graph: Graph, operator: int) -> GraphTensor | None:
    inputs, place = graph.operators[operator].inputs, _BIAS_INPUTS[kind][1]
    return graph.tensors[inputs[place]] if place < len(inputs) and inputs[place] >= 0 else None
