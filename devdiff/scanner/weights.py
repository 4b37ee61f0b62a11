"""Which float weights became which stored ones: the layers of two artifacts of one model, paired.

Two exports of one model name and order their constants differently, and a quantized graph has
operators of its own (QUANTIZE, DEQUANTIZE). What stays is that a layer keeps its kind and shape and
that its weights are the same numbers but for a rounding, so the numbers have the last word.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import ScanError
from devdiff.exporter.artifact import Array
from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Where each weighted operator takes its weights. BATCH_MATMUL may have them on either side.
WEIGHT_INPUTS: Final[Mapping[str, tuple[int, ...]]] = {
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "FULLY_CONNECTED": (1,),
    "TRANSPOSE_CONV": (1,),
    "BATCH_MATMUL": (0, 1),
}
FAR_STEPS: Final = 2.0
"""Beyond this a weight is not explained by a rounding, not even by one that compensates errors."""
FAR_SHARE: Final = 0.25
"""A layer with more weights than this far off has other weights."""
_SAME_BUT_FOR_A_FACTOR: Final = 0.99
_SAMPLE: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class LayerWeights:
    """One weighted operator in both artifacts; the arrays have the constant's shape, or [1].

    ``floating`` float32 are the full model's weights, ``compressed`` float32 what the compressed
    model computes with. ``stored`` are its integers of type ``dtype``, ``scales`` float32[k] and
    ``zero_points`` int64[k] with k = 1 or ``shape[axis]``; all three are None when it stores
    floats. ``axis`` is that of the scales, or without several that of the output channels.
    ``operator`` and ``tensor`` are indices into the compressed graph, ``full_operator`` and
    ``full_tensor`` into the full one.
    """

    operator: int
    full_operator: int
    tensor: int
    full_tensor: int
    kind: str
    name: str
    dtype: str
    axis: int
    floating: Array
    compressed: Array
    stored: Array | None
    scales: Array | None
    zero_points: Array | None

    def describe(self) -> str:
        """``CONV_2D 'relu_1' [32, 3, 3, 16]``, the way messages show a layer."""
        return f"{self.kind} {self.name!r} {list(self.floating.shape)}"

    def along_axis(self, values: Array) -> Array:
        """Per-channel ``values`` [k], shaped to broadcast over the weights."""
        shape = [1] * self.floating.ndim
        shape[self.axis] = len(values)
        return values.reshape(shape)

    def per_channel(self, reduce: Callable[..., Array], values: Array) -> Array:
        """``reduce`` (a NumPy reduction) of ``values`` over all that shares one scale: [k]."""
        if self.scales is not None and len(self.scales) == 1:
            return np.reshape(reduce(values), 1)
        return reduce(values, axis=tuple(i for i in range(values.ndim) if i != self.axis))

    def step_sizes(self) -> Array:
        """Float64 [k]: the scales, or what int8's would be (the largest weight over 127)."""
        if self.scales is not None:
            return self.scales.astype(np.float64)
        return self.per_channel(np.max, np.abs(self.floating)).astype(np.float64) / 127

    def in_steps(self, values: Array) -> Array:
        """Real ``values`` of the weights' shape in steps, float64."""
        sizes = np.broadcast_to(self.along_axis(self.step_sizes()), values.shape)
        # A channel of zeros may have a scale of zero; any other weight is then infinitely far.
        with np.errstate(divide="ignore"):
            return np.divide(values, sizes, out=np.zeros(values.shape), where=values != 0)

    def nearest(self, values: Array) -> Array:
        """Real ``values`` float32 at the nearest steps that the stored type can hold."""
        steps = self.saturated(np.round(self.in_steps(values)))
        return (steps * self.along_axis(self.step_sizes())).astype(np.float32)

    def steps(self) -> Array:
        """The full model's weights in steps, float64."""
        return self.in_steps(self.floating)

    def stored_steps(self) -> Array:
        """The compressed model's weights in steps, float64; whole numbers where it is quantized."""
        if self.stored is None or self.zero_points is None:
            return self.in_steps(self.compressed)
        return self.stored.astype(np.float64) - self.along_axis(self.zero_points)

    def saturated(self, steps: Array) -> Array:
        """``steps`` clipped to what the stored type can hold.

        Symmetric quantizers leave the lowest integer out, so it bounds the range only where it is
        used.
        """
        if self.stored is None or self.zero_points is None:
            return steps
        limits = np.iinfo(self.stored.dtype)
        low, high = (-8, 7) if self.dtype == "int4" else (limits.min, limits.max)
        if low < 0 and not np.any(self.stored == low):
            low += 1
        zero = self.along_axis(self.zero_points)
        return np.clip(steps, low - zero, high - zero)


@dataclass(frozen=True, slots=True)
class WeightAgreement:
    """How well a layer's two sets of weights agree where the compressed model has any.

    Of the ``compared`` weights, those not stored as zero, ``far_share`` are more than `FAR_STEPS`
    steps apart, and ``mean`` is their mean distance in steps. ``correlation`` is the mean cosine of
    a channel's two sets, which a factor per channel leaves alone. ``zeroed`` counts weights stored
    as zero that are more than half a step from it. The three figures are None when there is nothing
    to compare.
    """

    compared: int
    zeroed: int
    far_share: float | None
    mean: float | None
    correlation: float | None

    @property
    def far(self) -> bool:
        """Whether these are other weights, rather than the same ones compressed."""
        return self.far_share is not None and self.far_share > FAR_SHARE


def agreement(layer: LayerWeights) -> WeightAgreement:
    """Compare the layer's weights on both sides."""
    steps, stored = layer.steps(), layer.stored_steps()
    zero = stored == 0
    zeroed = int(np.count_nonzero(zero & (np.abs(steps) > 0.5)))
    distance = np.abs(layer.saturated(steps) - stored)[~zero]
    if distance.size == 0:
        return WeightAgreement(0, zeroed, None, None, None)
    return WeightAgreement(
        compared=distance.size,
        zeroed=zeroed,
        far_share=float(np.mean(distance > FAR_STEPS)),
        mean=float(np.mean(distance)),
        correlation=_correlation(layer, ~zero),
    )


def _correlation(layer: LayerWeights, compared: Array) -> float | None:
    left = np.where(compared, layer.floating, 0).astype(np.float64)
    right = layer.compressed.astype(np.float64)
    dot = layer.per_channel(np.sum, left * right)
    norms = layer.per_channel(np.sum, left**2) * layer.per_channel(np.sum, right**2)
    if not np.any(norms > 0):
        return None
    return float(np.mean(dot[norms > 0] / np.sqrt(norms[norms > 0])))


def pair_layers(full: Graph, compressed: Graph) -> tuple[LayerWeights, ...]:
    """The weighted operators of both artifacts, paired, in the compressed one's order.

    Raises `ScanError` when the two are not one model: they have other layers, or most layers have
    other weights. Weights set to zero (pruning) and single layers with other weights are let
    through; `agreement` tells of them.
    """
    full_sites, compressed_sites = _weighted(full), _weighted(compressed)
    if any(site.tensor.scales is not None for site in full_sites):
        raise ScanError(
            "the full model is quantized itself; give the float file that the compressed one was "
            "made from"
        )
    pairs, left_over = _pair(full_sites, compressed_sites)
    if left_over:
        raise ScanError(
            "the full and the compressed file are not one model: they have "
            f"{len(full_sites)} and {len(compressed_sites)} layers with weights; {left_over}. "
            "Give the float file that the compressed one was made from"
        )
    if not pairs:
        raise ScanError("the model has no layer with constant weights that could be compared")
    layers = tuple(sorted(pairs, key=lambda layer: layer.operator))
    _check_one_model(layers)
    return layers


def pair_constants(full: Graph, compressed: Graph) -> tuple[LayerWeights, ...]:
    """Quantized constants outside the weighted operators with their float values, where they pair.

    What added, multiplied or looked up constants have become. Kinds and shapes that do not stand
    equally often in both artifacts are left out.
    """
    quantized = [site for site in _others(compressed) if site.tensor.scales is not None]
    pairs, _ = _pair(_others(full), quantized)
    return tuple(sorted(pairs, key=lambda layer: layer.operator))


@dataclass(frozen=True, slots=True, eq=False)
class _Site:
    """A constant where an operator reads it."""

    operator: GraphOperator
    tensor: GraphTensor
    values: Array
    name: str

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        return self.operator.kind, self.tensor.shape


def _weighted(graph: Graph) -> list[_Site]:
    return [
        site
        for operator in graph.operators
        for place in WEIGHT_INPUTS.get(operator.kind, ())
        if (site := _site(graph, operator, place)) is not None
    ]


def _others(graph: Graph) -> list[_Site]:
    return [
        site
        for operator in graph.operators
        if operator.kind not in (*WEIGHT_INPUTS, "QUANTIZE", "DEQUANTIZE")
        for place in range(len(operator.inputs))
        if (site := _site(graph, operator, place)) is not None
    ]


def _site(graph: Graph, operator: GraphOperator, place: int) -> _Site | None:
    """The numeric constant the operator takes at ``place``, looked for through a DEQUANTIZE."""
    if place >= len(operator.inputs) or operator.inputs[place] < 0:
        return None
    tensor = graph.tensors[operator.inputs[place]]
    if tensor.data is None:
        sources = [o for o in graph.operators if tensor.index in o.outputs]
        if not sources or sources[0].kind != "DEQUANTIZE":
            return None
        tensor = graph.tensors[sources[0].inputs[0]]
    if tensor.data is None:
        return None
    if tensor.scales is None:
        # Integers without a scale are shapes, axes and indices.
        if not tensor.dtype.startswith("float"):
            return None
        values = np.atleast_1d(tensor.data).astype(np.float32)
    else:
        stored = np.atleast_1d(tensor.data)
        shape = [-1 if axis == tensor.axis else 1 for axis in range(stored.ndim)]
        assert tensor.zero_points is not None
        values = stored - tensor.zero_points.reshape(shape)
        values = (values * tensor.scales.reshape(shape)).astype(np.float32)
    name = graph.tensors[operator.outputs[0]].name.split(";")[0]
    return _Site(operator, tensor, values, name)


def _pair(full: Sequence[_Site], compressed: Sequence[_Site]) -> tuple[list[LayerWeights], str]:
    """Pairs by kind and shape, and in words which kinds and shapes found no counterpart."""
    groups: dict[tuple[str, tuple[int, ...]], tuple[list[_Site], list[_Site]]]
    groups = defaultdict(lambda: ([], []))
    for side, sites in enumerate((full, compressed)):
        for site in sites:
            groups[site.key][side].append(site)
    pairs: list[LayerWeights] = []
    unequal = []
    for (kind, shape), (left, right) in groups.items():
        if len(left) == len(right):
            pairs += _match(left, right)
        else:
            unequal.append(f"{kind} {list(shape)} stands {len(left)} and {len(right)} times")
    more = f" and {len(unequal) - 3} more" if len(unequal) > 3 else ""
    return pairs, ", ".join(unequal[:3]) + more


def _match(full: list[_Site], compressed: list[_Site]) -> list[LayerWeights]:
    """In order; where that puts different weights together, so that the weights agree best."""
    pairs = [_layer(left, right) for left, right in zip(full, compressed, strict=True)]
    if len(pairs) == 1 or not any(agreement(layer).far for layer in pairs):
        return pairs
    from scipy.optimize import linear_sum_assignment

    distances = np.array([[_apart(left, right) for left in full] for right in compressed])
    rows, columns = linear_sum_assignment(distances)
    return [
        _layer(full[column], compressed[row]) for row, column in zip(rows, columns, strict=True)
    ]


def _apart(full: _Site, compressed: _Site) -> float:
    """Distance of some weights that are not zero, relative to their size."""
    left, right = full.values.reshape(-1), compressed.values.reshape(-1)
    some = slice(None, None, max(1, left.size // _SAMPLE))
    left, right = left[some].astype(np.float64), right[some].astype(np.float64)
    left = left[right != 0]
    right = right[right != 0]
    return float(np.abs(left - right).sum() / (np.abs(left).sum() + np.abs(right).sum() + 1e-30))


def _layer(full: _Site, compressed: _Site) -> LayerWeights:
    tensor = compressed.tensor
    assert tensor.data is not None
    channels = 3 if compressed.operator.kind == "DEPTHWISE_CONV_2D" else 0
    return LayerWeights(
        operator=compressed.operator.index,
        full_operator=full.operator.index,
        tensor=tensor.index,
        full_tensor=full.tensor.index,
        kind=compressed.operator.kind,
        name=compressed.name,
        dtype=tensor.dtype,
        axis=channels if tensor.scales is None or len(tensor.scales) == 1 else tensor.axis,
        floating=full.values,
        compressed=compressed.values,
        stored=None if tensor.scales is None else np.atleast_1d(tensor.data),
        scales=tensor.scales,
        zero_points=tensor.zero_points,
    )


def _check_one_model(layers: Sequence[LayerWeights]) -> None:
    found = [(layer, agreement(layer)) for layer in layers]
    compared = [agrees for _, agrees in found if agrees.compared]
    if not compared:
        raise ScanError(
            "every weight of the compressed model is zero, so nothing shows that it was made from "
            "the full one"
        )
    far = [(layer, agrees) for layer, agrees in found if agrees.far]
    if 2 * len(far) <= len(compared):
        return
    layer, worst = max(far, key=lambda item: item[1].far_share or 0.0)
    correlations = [agrees.correlation or 0.0 for _, agrees in far]
    factor = min(correlations) > _SAME_BUT_FOR_A_FACTOR
    raise ScanError(
        f"the full and the compressed file do not hold the same weights: in {len(far)} of "
        f"{len(compared)} layers they are far apart, most in {layer.describe()}, where "
        f"{100 * (worst.far_share or 0.0):.0f} % of the weights are off by more than "
        f"{FAR_STEPS:g} quantization steps (correlation {worst.correlation or 0.0:.3f}). "
        + (
            "They agree up to a factor per channel, so one was rescaled or folded otherwise: "
            "export both from one source with one tool"
            if factor
            else "Give the float file that the compressed one was made from"
        )
    )
