"""One operator of the graph as its builder sees it, and the registry from kinds to builders.

Two conventions hold everywhere inside the twin.

*One axis more.* A tensor of graph shape ``[a, b, ...]`` is carried as ``[N, a, b, ...]`` for N
samples, a constant as ``[1, a, b, ...]``. Operators work on the graph's own axes, so whatever they
do to them (merge the batch of one, split it, reverse it), samples never mix.

*Steps.* A quantized tensor is carried as float32 steps, ``stored - zero_point``: real zero is zero,
padding is zero, and products and sums of steps are what the integer kernels accumulate, exact up to
2**24. Its scale enters where the graph goes from one tensor to the next. Constants and everything
that is not quantized are carried as real values, with a scale of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from devdiff.errors import UnknownOperatorError
from devdiff.exporter.tflite_graph import GraphOperator, GraphTensor
from devdiff.scanner.twin.fake_quant import round_to_range

Run = Callable[..., Any]
Builder = Callable[["Site"], Run]
BUILDERS: Final[dict[str, Builder]] = {}

_BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "NONE": (-np.inf, np.inf),
    "RELU": (0, np.inf),
    "RELU6": (0, 6),
    "RELU_0_TO_1": (0, 1),
    "RELU_N1_TO_1": (-1, 1),
}


def builds(*kinds: str) -> Callable[[Builder], Builder]:
    """Registers a builder: it gets a `Site` and returns what computes the operator.

    That function takes every input of the operator as carried (None where one is absent) and
    returns the output, or a tuple of outputs, as carried. A module with builders is named in
    `devdiff.scanner.twin`, which imports it.
    """

    def register(builder: Builder) -> Builder:
        for kind in kinds:
            assert kind not in BUILDERS, f"{kind} has two builders"
            BUILDERS[kind] = builder
        return builder

    return register


def is_quantized(tensor: GraphTensor) -> bool:
    return tensor.scales is not None and "int" in tensor.dtype


def on_grid(
    tensor: GraphTensor,
    low: float = -np.inf,
    high: float = np.inf,
    halves_up: bool = False,
    wider: float = 1.0,
) -> Callable[[Tensor], Tensor]:
    """Rounds steps of a quantized tensor to what it can hold, within ``[low, high]`` real units.

    A tensor whose range is ``wider`` than the artifact's holds so many times as much.
    """
    assert tensor.scales is not None
    assert tensor.zero_points is not None
    scale, zero_point, grid = float(tensor.scales[0]), int(tensor.zero_points[0]), _grid(tensor)
    bounds = (_times(wider, float(bound - zero_point)) for bound in grid)
    least, most = next(bounds), next(bounds)
    least, most = max(least, float(np.round(low / scale))), min(most, float(np.round(high / scale)))
    return lambda steps: round_to_range(steps, least, most, halves_up)


def _times(factor: float, bound: float) -> float:
    """Real zero stays where it is, however much wider a range becomes."""
    return factor * bound if bound else 0.0


def _grid(tensor: GraphTensor) -> tuple[int, int]:
    if tensor.dtype == "int4":
        return -8, 7
    limits = np.iinfo(tensor.dtype)
    return int(limits.min), int(limits.max)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One operator with its tensors.

    ``constants`` are real values, and ``ranges`` how many times as wide as the artifact's a range
    is, both by tensor index.
    """

    operator: GraphOperator
    inputs: tuple[GraphTensor | None, ...]
    outputs: tuple[GraphTensor, ...]
    constants: Mapping[int, Tensor]
    ranges: Mapping[int, float]

    @property
    def options(self) -> Mapping[str, Any]:
        return self.operator.options

    @property
    def output(self) -> GraphTensor:
        return self.outputs[0]

    def input(self, position: int) -> GraphTensor:
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            raise self.unknown(f"without input {position}")
        return tensor

    def has(self, position: int) -> bool:
        return position < len(self.inputs) and self.inputs[position] is not None

    def unknown(self, why: str) -> UnknownOperatorError:
        return UnknownOperatorError(
            f"the model's {self.operator.kind} (operator {self.operator.index}) is used in a way "
            f"that the twin does not know: {why}"
        )

    def is_constant(self, position: int) -> bool:
        return self.input(position).index in self.constants

    def constant(self, position: int) -> Tensor:
        """A constant input in real values, of the graph's shape."""
        tensor = self.input(position)
        if tensor.index not in self.constants:
            raise self.unknown(f"{tensor.name!r} is computed, not constant")
        return self.constants[tensor.index]

    def constant_steps(self, position: int) -> Tensor:
        """A constant, quantized input in its own steps, whole numbers where it lies on its grid."""
        return snapped(self.constant(position) / self.own_scale(position))

    def integers(self, position: int) -> list[int]:
        """A constant integer input (axes, sizes, a shape), flat."""
        return [int(value) for value in self.constant(position).reshape(-1).tolist()]

    def scale(self, position: int) -> float:
        """Real units of one carried step of an input."""
        tensor = self.input(position)
        return 1.0 if tensor.index in self.constants else self._scale(tensor)

    def own_scale(self, position: int) -> float:
        """Real units of one stored step of an input, constant or not."""
        return self._scale(self.input(position))

    def zero_point(self, position: int) -> float:
        """The stored value behind real zero, 0 where the input is not quantized."""
        tensor = self.input(position)
        return float(tensor.zero_points[0]) if tensor.zero_points is not None else 0.0

    def wider(self, output: int = 0) -> float:
        """How many times as wide an output's range is as the artifact's."""
        return self.ranges.get(self.outputs[output].index, 1.0)

    def out_scale(self, output: int = 0) -> float:
        return self._scale(self.outputs[output])

    def _scale(self, tensor: GraphTensor) -> float:
        if not is_quantized(tensor):
            return 1.0
        assert tensor.scales is not None
        if len(tensor.scales) > 1:
            raise self.unknown(f"{tensor.name!r} has a scale for every channel")
        scale = float(tensor.scales[0])
        if scale <= 0:
            raise self.unknown(f"{tensor.name!r} has a scale of {scale}")
        return scale

    def ratio(self, position: int, output: int = 0) -> float:
        """Steps of an output for one carried step of an input."""
        return self.scale(position) / self.out_scale(output)

    def finish(
        self, output: int = 0, activation: str | None = None, halves_up: bool = False
    ) -> Callable[[Tensor], Tensor]:
        """What ends an operator: its fused activation and, on a quantized output, rounding."""
        name = activation or self.options.get("fused_activation_function", "NONE")
        tensor = self.outputs[output]
        if not is_quantized(tensor) and name in _PLAIN:
            return _PLAIN[name]
        if name not in _BOUNDS:
            raise self.unknown(f"fused with {name}")
        low, high = _BOUNDS[name]
        if is_quantized(tensor):
            return on_grid(tensor, low, high, halves_up, self.wider(output))
        return lambda real: torch.clamp(real, low, high)

    def move(self, position: int, output: int = 0) -> Callable[[Tensor], Tensor]:
        """For operators that only move values: an input in steps of an output."""
        source, target = self.input(position), self.outputs[output]
        ratio = self.ratio(position, output)
        same_zero = (
            source.zero_points is None
            or target.zero_points is None
            or int(source.zero_points[0]) == int(target.zero_points[0])
        )
        if ratio == 1.0 and same_zero:
            return _same
        finish = self.finish(output, "NONE")
        return lambda steps: finish(steps * ratio)


def snapped(steps: Tensor) -> Tensor:
    """Steps without the last bits' noise: whole numbers where they were meant to be whole."""
    whole = torch.round(steps)
    return torch.where((steps - whole).abs() < 1e-3 * whole.abs().clamp(1, 100), whole, steps)


def _same(value: Tensor) -> Tensor:
    return value


_PLAIN: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "NONE": _same,
    "RELU": torch.relu,
    "TANH": torch.tanh,
}


def scaled(value: Tensor, factor: float) -> Tensor:
    """``value * factor``, free where the factor is one."""
    return value if factor == 1.0 else value * factor


def aligned(*values: Tensor) -> tuple[Tensor, ...]:
    """Carried tensors whose graph axes broadcast from the right: ones go behind the samples."""
    rank = max(value.dim() for value in values)
    return tuple(
        value.reshape(value.shape[0], *[1] * (rank - value.dim()), *value.shape[1:])
        for value in values
    )


def batched(values: tuple[Tensor, ...]) -> list[Tensor]:
    """Carried tensors, constants repeated for every sample."""
    samples = max(value.shape[0] for value in values)
    return [value.expand(samples, *value.shape[1:]) for value in values]
