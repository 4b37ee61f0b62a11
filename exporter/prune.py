"""Pruning of an ONNX model's weights. Imported by the child process only.

Both methods work layer by layer and look at magnitudes alone, as PyTorch's
``torch.nn.utils.prune.l1_unstructured`` and ``ln_structured(n=1, dim=0)`` do:

*prune* sets ``round(rate × n)`` of the ``n`` weights of each layer to zero, those of the smallest
magnitude; of equal ones, those that stand first in the tensor.

*channel-prune* sets ``round(rate × n)`` of the ``n`` output channels of each layer to zero, never
all of them, those of the smallest L1 norm, together with their bias; and keeps them zero where the
operators behind would wake them (`silence`). A layer whose channels are the model's outputs stays
whole: a class score set to zero would be nonsense, not compression. Depthwise convolutions are not
chosen from: they have the channels of the layer before them, and follow it.

Layers are Conv, ConvTranspose, Gemm, and MatMul with a constant operand, in the main graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.exporter.artifact import Array
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.manifest import PrunedLayer
from devdiff.exporter.onnx_weights import Weights, attribute, captured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.recipe import Pruning

# Operators of one input that are zero where that input is zero, whatever their attributes.
_KEEP_ZERO: Final = (
    "Abs", "AveragePool", "Cast", "Celu", "Dropout", "Elu", "Erf", "Gelu", "GlobalAveragePool",
    "GlobalMaxPool", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mish", "Neg", "PRelu",
    "Relu", "Selu", "Sign", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
)  # fmt: skip
_WEIGHT_INPUTS: Final = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (1,), "MatMul": (1, 0)}
_RECURRENT: Final = ("GRU", "LSTM", "RNN")


@dataclass(frozen=True, slots=True)
class _Layer:
    """A node and its weights: ``view`` [groups, channels in a group, …] writes into ``tensor``.

    ``axis`` is that of the output's channels, ``rank`` the output's number of axes (None where it
    is not known), ``depthwise`` whether every channel is made of one input channel alone.
    """

    node: Any
    place: int
    weight: str
    tensor: Array
    view: Array
    axis: int | None
    rank: int | None
    depthwise: bool

    @property
    def channels(self) -> int:
        return self.view.shape[0] * self.view.shape[1]

    def norms(self) -> Array:
        """The L1 norm of each output channel, float64 [channels]."""
        rest = tuple(range(2, self.view.ndim))
        norms: Array = np.abs(self.view).sum(axis=rest, dtype=np.float64)
        return norms.reshape(-1)

    def zero(self, channels: Array) -> None:
        self.view[channels // self.view.shape[1], channels % self.view.shape[1]] = 0


def prune(model: Any, pruning: Pruning) -> tuple[Any, tuple[PrunedLayer, ...], tuple[str, ...]]:
    """The model with its weights pruned, what was done to each layer, and what was left out.

    ``model`` (an `onnx.ModelProto`) may be changed. Raises `CompressionError` when there is nothing
    to prune.
    """
    weights = Weights(model)
    layers = [layer for node in weights.nodes if (layer := _layer(weights, node)) is not None]
    if not layers:
        raise CompressionError(
            f"{pruning}: the model has no convolution or matrix product with constant float "
            "weights, so there is nothing to prune"
        )
    notes: tuple[str, ...] = ()
    if pruning.method == "prune":
        changed = sum(_prune_weights(tensor, pruning.rate) for tensor in _tensors(layers).values())
    else:
        changed, notes = _prune_channels(weights, layers, pruning.rate)
    if not changed:
        raise CompressionError(
            f"{pruning}: no layer is large enough for that rate, or all produce an output; nothing "
            "would be pruned"
        )
    weights.store()
    return weights.model, tuple(_records(layers, pruning)), notes


def _tensors(layers: list[_Layer]) -> dict[str, Array]:
    return {layer.weight: layer.tensor for layer in layers}


def _layer(weights: Weights, node: Any) -> _Layer | None:
    """The node as a layer; None when it has no constant weights."""
    for place in _WEIGHT_INPUTS.get(node.op_type, ()):
        found = weights.constant(node.input[place])
        if found is not None and found[1].size:
            view, axis, rank, depthwise = _channels(weights, node, place, found[1])
            tensor = weights.constant(found[0])
            assert tensor is not None
            return _Layer(node, place, found[0], tensor[1], view, axis, rank, depthwise)
    return None


def _channels(
    weights: Weights, node: Any, place: int, weight: Array
) -> tuple[Array, int | None, int | None, bool]:
    """A view of the weights with the output channels first; their axis in the output; its rank."""
    group = attribute(node, "group", 1)
    match node.op_type:
        case "Conv":
            return weight[np.newaxis], 1, weight.ndim, group > 1 and weight.shape[1] == 1
        case "ConvTranspose":
            split = weight.reshape(group, -1, *weight.shape[1:])
            return np.moveaxis(split, 2, 1), 1, weight.ndim, 1 < group == weight.shape[0]
        case "Gemm":
            rows = weight if attribute(node, "transB", 0) else weight.T
            return rows[np.newaxis], 1, 2, False
    rank = weights.rank(node.output[0])
    if weight.ndim < 2:
        return weight[np.newaxis, np.newaxis], None, rank, False
    from_end = 1 if place == 1 else 2
    axis = None if rank is None else rank - from_end
    return np.moveaxis(weight, -from_end, 0)[np.newaxis], axis, rank, False


def _prune_weights(tensor: Array, rate: float) -> int:
    """Zero the smallest weights; how many they are."""
    flat = tensor.reshape(-1)
    count = round(rate * flat.size)
    if count:
        magnitudes = np.abs(flat)
        edge = np.partition(magnitudes, count - 1)[count - 1]
        smaller, equal = magnitudes < edge, np.flatnonzero(magnitudes == edge)
        flat[equal[: count - np.count_nonzero(smaller)]] = 0
        flat[smaller] = 0
    return count


def _prune_channels(
    weights: Weights, layers: list[_Layer], rate: float
) -> tuple[int, tuple[str, ...]]:
    """Zero the weakest channels of every layer that may lose some; how many, and what may not."""
    outputs = _output_layers(weights, layers)
    changed, kept = 0, []
    by_weight: dict[str, list[_Layer]] = {}
    for layer in layers:
        by_weight.setdefault(layer.weight, []).append(layer)
    chosen = []
    for name, sharing in by_weight.items():
        first = sharing[0]
        used = {(node.output[0] if node else "", place) for node, place in weights.uses(name)}
        if any(layer.depthwise for layer in sharing):
            continue
        if any(layer.node.output[0] in outputs for layer in sharing):
            kept.append(f"{name} (its channels are the model's outputs)")
        elif used != {(layer.node.output[0], layer.place) for layer in sharing} or any(
            layer.view.strides != first.view.strides or layer.view.shape != first.view.shape
            for layer in sharing
        ):
            kept.append(f"{name} (its tensor is also used otherwise)")
        else:
            count = min(round(rate * first.channels), first.channels - 1)
            if count:
                chosen.append((sharing, np.argsort(first.norms(), kind="stable")[:count]))
            changed += count
    for sharing, channels in chosen:
        sharing[0].zero(channels)
        for layer in sharing:
            silence(weights, layers, layer, np.sort(channels))
    notes = (f"channels of these layers were not pruned: {', '.join(kept)}",) if kept else ()
    return changed, notes


def _output_layers(weights: Weights, layers: list[_Layer]) -> set[str]:
    """First outputs of the nodes whose channels reach a model output without being mixed."""
    mixing = {layer.node.output[0] for layer in layers if not layer.depthwise}
    found: set[str] = set()
    pending, seen = list(weights.outputs), set()
    while pending:
        name = pending.pop()
        node = weights.maker(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if node.output[0] in mixing or node.op_type in _RECURRENT:
            found.add(node.output[0])
        else:
            pending += [*node.input, *captured(node)]
    return found


def silence(weights: Weights, layers: list[_Layer], layer: _Layer, channels: Array) -> None:
    """Keep pruned channels zero behind their layer.

    Biases, per-channel sums, batch and instance normalizations and depthwise convolutions get
    zeros there; activations and pools that are zero at zero are passed; whatever mixes channels,
    moves them, or is not zero at zero (a sigmoid) ends the walk: behind it a pruned channel is no
    longer zero, but the same for every input.
    """
    if layer.axis is None or layer.rank is None:
        return
    node = layer.node
    if node.op_type != "MatMul" and len(node.input) > 2 and node.input[2]:
        axis, rank = (0, 1) if node.op_type != "Gemm" else (1, 2)
        if not _zero(weights, node, 2, channels, axis, rank, layer.channels, spread=True):
            return
    pending = [(node.output[0], channels, layer.channels)]
    by_output = {entry.node.output[0]: entry for entry in layers}
    while pending:
        name, dead, size = pending.pop()
        for reader, place in list(weights.readers(name)):
            following = by_output.get(reader.output[0])
            if following is not None and following.depthwise:
                if place != 0 or layer.axis != 1:
                    continue
                multiple = following.channels // size
                spread = (dead[:, np.newaxis] * multiple + np.arange(multiple)).reshape(-1)
                if _follow(weights, following, spread):
                    pending.append((reader.output[0], spread, following.channels))
            elif _stays_zero(weights, reader, place, dead, layer.axis, layer.rank, size):
                pending.append((reader.output[0], dead, size))


def _follow(weights: Weights, layer: _Layer, channels: Array) -> bool:
    """Zero channels of a depthwise convolution whose inputs are zero; False if its bias wakes."""
    if len(list(weights.uses(layer.weight))) == 1:
        layer.zero(channels)
    node = layer.node
    return len(node.input) < 3 or not node.input[2] or _zero(
        weights, node, 2, channels, 0, 1, layer.channels
    )  # fmt: skip


def _stays_zero(
    weights: Weights, node: Any, place: int, channels: Array, axis: int, rank: int, size: int
) -> bool:
    """Whether ``channels`` of an input are zero in the output too, if need be by making it so."""
    operator = node.op_type
    if operator in ("BatchNormalization", "InstanceNormalization"):
        return place == 0 and axis == 1 and all(
            _zero(weights, node, parameter, channels, 0, 1, size) for parameter in (1, 2)
        )  # fmt: skip
    if operator in ("Add", "Sub"):
        return _same_rank(weights, node, rank) and _zero(
            weights, node, 1 - place, channels, axis, rank, size
        )
    if operator == "Mul" or (operator == "Div" and place == 0):
        return _same_rank(weights, node, rank)
    if operator == "Clip":
        return place == 0 and _holds_zero(weights, node)
    return operator in _KEEP_ZERO and place == 0


def _zero(
    weights: Weights,
    node: Any,
    place: int,
    channels: Array,
    axis: int,
    rank: int,
    size: int,
    spread: bool = False,
) -> bool:
    """Set a constant operand to zero at ``channels`` of ``axis``.

    False when it is not constant, or one number for all channels (unless ``spread`` gives each its
    own): such a number is part of an activation written out, as the 3 in ``x·clip(x + 3, 0, 6)``.
    """
    found = weights.constant(node.input[place])
    if found is None or found[1].ndim > rank:
        return False
    missing = rank - found[1].ndim
    shape = [1] * missing + list(found[1].shape)
    if shape[axis] != size and not spread:
        return False
    shape[axis] = size
    array = weights.own(node, place, tuple(shape[min(axis, missing) :]))
    assert array is not None
    array[(slice(None),) * (axis - rank + array.ndim) + (channels,)] = 0
    return True


def _same_rank(weights: Weights, node: Any, rank: int) -> bool:
    return weights.rank(node.output[0]) == rank


def _holds_zero(weights: Weights, node: Any) -> bool:
    """Whether a Clip leaves zero as it is."""
    low, high = attribute(node, "min", -np.inf), attribute(node, "max", np.inf)
    bounds = [low, high]
    for place in (1, 2):
        if len(node.input) > place and node.input[place]:
            found = weights.constant(node.input[place])
            if found is None:
                return False
            bounds[place - 1] = float(found[1].reshape(-1)[0])
    return bool(bounds[0] <= 0 <= bounds[1])


def _records(layers: list[_Layer], pruning: Pruning) -> Iterator[PrunedLayer]:
    """The record of each weight tensor, once."""
    first = {layer.weight: layer for layer in reversed(layers)}
    for name in dict.fromkeys(layer.weight for layer in layers):
        layer = first[name]
        structured = pruning.method == "channel-prune"
        yield PrunedLayer(
            weight=name,
            operator=layer.node.op_type,
            weights=layer.tensor.size,
            zeros=int(np.count_nonzero(layer.tensor == 0)),
            channels=layer.channels if structured else None,
            zero_channels=int(np.count_nonzero(layer.norms() == 0)) if structured else None,
        )
