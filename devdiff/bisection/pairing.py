"""Which operator of the float graph became which of the int8 one.

Converters name, order and fuse the two alike, but nothing promises it. What is paired here does the
same to the same data: its kind, its output's shape and where its inputs come from agree, looking
through QUANTIZE and DEQUANTIZE. Where several would do, the weights decide, then the names.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.errors import ScanError
from devdiff.scanner.weights import pair_layers

if TYPE_CHECKING:
    from devdiff.bisection.graph import Flow
    from devdiff.exporter.tflite_graph import GraphOperator

FORM_ONLY: Final = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class OperatorPairing:
    """``operators`` maps the int8 graph's to the float graph's, ``tensors`` likewise.

    ``unpaired`` are operators of the int8 graph without a counterpart, those that only change the
    form of a tensor left out.
    """

    operators: Mapping[int, int]
    tensors: Mapping[int, int]
    unpaired: tuple[int, ...]


def pair(floating: Flow, quantized: Flow, inputs: Mapping[int, int]) -> OperatorPairing:
    """Pair two graphs whose inputs are paired already: int8 tensor to float tensor."""
    by_weights = _by_weights(floating, quantized)
    waiting: dict[tuple[str, tuple[int | None, ...]], list[GraphOperator]] = defaultdict(list)
    for index in floating.operators:
        operator = floating.operator(index)
        waiting[operator.kind, _data(floating, operator)].append(operator)
    tensors = dict(inputs)
    operators: dict[int, int] = {}
    unpaired: list[int] = []
    for index in quantized.operators:
        operator = quantized.operator(index)
        taken = _data(quantized, operator)
        if operator.kind in FORM_ONLY:
            if taken[0] in tensors:
                tensors[operator.outputs[0]] = tensors[taken[0]]
            continue
        key = operator.kind, tuple(tensors.get(tensor) for tensor in taken)
        candidates = [
            other
            for other in waiting.get(key, ())
            if _same_shape(floating, other, quantized, operator)
        ]
        if not candidates:
            unpaired.append(index)
            continue
        name = quantized.tensor(operator.outputs[0]).name
        chosen = min(
            candidates,
            key=lambda other: (
                other.index != by_weights.get(index, other.index),
                floating.tensor(other.outputs[0]).name != name,
                other.index,
            ),
        )
        waiting[key].remove(chosen)
        operators[index] = chosen.index
        tensors.update(zip(operator.outputs, chosen.outputs, strict=True))
    return OperatorPairing(operators, tensors, tuple(unpaired))


def _data(flow: Flow, operator: GraphOperator) -> tuple[int, ...]:
    carried = {*flow.inputs_of(operator.index)}
    return tuple(index for index in operator.inputs if index in carried)


def _same_shape(floating: Flow, left: GraphOperator, quantized: Flow, right: GraphOperator) -> bool:
    shapes = [
        [flow.tensor(index).shape for index in operator.outputs]
        for flow, operator in ((floating, left), (quantized, right))
    ]
    return shapes[0] == shapes[1]


def _by_weights(floating: Flow, quantized: Flow) -> dict[int, int]:
    """Weighted operators paired by their weights; nothing where those do not belong together."""
    try:
        layers = pair_layers(floating.graph, quantized.graph)
    except ScanError:
        return {}
    return {layer.operator: layer.full_operator for layer in layers}
