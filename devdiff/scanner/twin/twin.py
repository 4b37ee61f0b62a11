"""A .tflite graph as a differentiable function of its inputs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from devdiff.errors import UnknownOperatorError
from devdiff.exporter.tflite_graph import Graph, GraphOperator, GraphTensor
from devdiff.scanner.twin.site import BUILDERS, Run, Site, is_quantized, on_grid, scaled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devdiff.exporter.artifact import Array

# What a graph that parses can still do wrong: the twin is as suspicious of it as the interpreter.
_MISFITS: Final = (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError)


@dataclass(frozen=True, slots=True, eq=False)
class _Operation:
    """One operator ready to run; ``done`` are the tensors nothing reads after it."""

    operator: GraphOperator
    run: Run
    done: tuple[int, ...]


class Twin(torch.nn.Module):  # type: ignore[misc]
    """What the interpreter computes, for any number of samples, with gradients.

    The forward pass follows the integer kernels: every quantized tensor is rounded and clamped to
    its own grid, fused activations included; the backward pass takes rounding as the identity (see
    `fake_quant.round_to_range`). Weights are constants: only inputs have gradients. How near it
    comes to the real interpreter is measured by `devdiff.scanner.fidelity`.

    ``outputs`` are tensor indices, the graph's outputs when None; only the operators behind them
    are built (see `before_softmax`). Raises `UnknownOperatorError` naming what the twin lacks.
    """

    def __init__(self, graph: Graph, outputs: Sequence[int] | None = None) -> None:
        super().__init__()
        self.graph = graph
        self.outputs = tuple(graph.outputs if outputs is None else outputs)
        needed = _needed(graph, self.outputs)
        lacking = sorted({o.kind for o in needed if o.kind not in BUILDERS})
        if lacking:
            raise UnknownOperatorError(
                f"the twin does not know {', '.join(lacking)}: a model with such operators has no "
                "gradients here"
            )
        self._needed = needed
        self._constants = {
            tensor.index: _real(tensor) for tensor in graph.tensors if tensor.data is not None
        }
        self._steps: dict[int, _Operation] = {}
        self._ranges: Mapping[int, float] = {}
        self._build(None)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs for a batch.

        ``inputs``: one tensor for each input of the graph, real values in the artifact's layout:
        float32 [N, *shape], where a leading 1 of the shape is left out or not (integer inputs:
        any integer type). Returns real values float32 [N, *shape], a leading 1 left out.
        """
        if len(inputs) != len(self.graph.inputs):
            raise ValueError(f"{len(inputs)} inputs for {len(self.graph.inputs)}")
        values = {
            index: _enter(self.graph.tensors[index], value, self._ranges.get(index, 1.0))
            for index, value in zip(self.graph.inputs, inputs, strict=True)
        }
        for step in self._steps.values():
            values.update(self._run(step.operator, step.run, values))
            for index in step.done:
                values.pop(index, None)
        samples = inputs[0].shape[0]
        return tuple(
            _leave(self.graph.tensors[index], self._carried(index, values), samples)
            for index in self.outputs
        )

    def with_constants(self, constants: Mapping[int, Array]) -> Twin:
        """This twin with other weights, everything they do not touch shared.

        ``constants``: real values float32 in the graph's shape, by index of a constant tensor. They
        are taken as they are: whoever wants them on the tensor's grid puts them there.
        """
        other = copy.copy(self)
        other._constants, other._steps = dict(self._constants), dict(self._steps)
        for index, value in constants.items():
            tensor = self.graph.tensors[index]
            if tensor.data is None or value.shape != tensor.shape:
                raise ValueError(f"{tensor.name!r} is no constant of shape {list(value.shape)}")
            other._constants[index] = torch.from_numpy(np.ascontiguousarray(value, np.float32))
        other._build(set(constants))
        return other

    @property
    def activations(self) -> tuple[int, ...]:
        """The quantized tensors that are given or computed, by index: those with a range."""
        computed = (i for step in self._steps.values() for i in step.operator.outputs)
        return tuple(
            index
            for index in (*self.graph.inputs, *computed)
            if is_quantized(self.graph.tensors[index])
        )

    def with_ranges(self, ranges: Mapping[int, float]) -> Twin:
        """This twin with activations that hold more before they are clamped.

        ``ranges``: how many times as much as the artifact's, infinity for any value, by index of
        one of the `activations`. Steps stay as fine as they were, and what an activation function
        bounds stays bounded.
        """
        other = copy.copy(self)
        other._constants, other._steps = dict(self._constants), {}
        other._ranges = {**self._ranges, **ranges}
        other._build(None)
        return other

    def _build(self, changed: set[int] | None) -> None:
        """Builds the operators that read a changed constant; all of them when None.

        What hangs on constants alone is computed here and becomes a constant itself.
        """
        last_use = {i: operator.index for operator in self._needed for i in operator.inputs}
        everything, changed = changed is None, set(changed or ())
        for operator in self._needed:
            if not everything and changed.isdisjoint(operator.inputs):
                continue
            site = self._site(operator)
            try:
                run = BUILDERS[operator.kind](site)
            except _MISFITS as error:
                raise site.unknown(f"its options or shapes do not fit ({error!r})") from error
            fixed = all(i < 0 or i in self._constants for i in operator.inputs)
            if not fixed and operator.kind != "SHAPE":
                done = {i for i in operator.inputs if last_use[i] == operator.index}
                self._steps[operator.index] = _Operation(
                    operator, run, tuple(done.difference(self.outputs))
                )
                continue
            with torch.no_grad():
                found = self._run(operator, run, {})
            for output, (index, value) in enumerate(found.items()):
                self._constants[index] = scaled(value[0], site.out_scale(output))
                changed.add(index)

    def _site(self, operator: GraphOperator) -> Site:
        tensors = self.graph.tensors
        return Site(
            operator,
            tuple(None if i < 0 else tensors[i] for i in operator.inputs),
            tuple(tensors[i] for i in operator.outputs),
            self._constants,
            self._ranges,
        )

    def _run(
        self, operator: GraphOperator, run: Run, values: Mapping[int, Tensor]
    ) -> dict[int, Tensor]:
        arguments = [self._carried(index, values) for index in operator.inputs]
        try:
            made = run(*arguments)
        except _MISFITS as error:
            raise self._site(operator).unknown(f"it cannot be computed ({error!r})") from error
        return dict(
            zip(operator.outputs, made if isinstance(made, tuple) else (made,), strict=True)
        )

    def _carried(self, index: int, values: Mapping[int, Tensor]) -> Tensor | None:
        if index in values:
            return values[index]
        constant = self._constants.get(index)
        return None if constant is None else constant.unsqueeze(0)


def before_softmax(graph: Graph, output: int) -> int:
    """The tensor of logits behind an output: what the last softmax or logistic was computed from.

    The output itself when it is not one. Probabilities saturate, in int8 all the more: a search
    that is to have gradients everywhere looks at logits.
    """
    made_by = {index: operator for operator in graph.operators for index in operator.outputs}
    index = output
    while index in made_by:
        operator = made_by[index]
        if operator.kind in ("SOFTMAX", "LOGISTIC"):
            return operator.inputs[0]
        if operator.kind not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE"):
            break
        index = operator.inputs[0]
    return output


def _needed(graph: Graph, outputs: Sequence[int]) -> tuple[GraphOperator, ...]:
    wanted, found = set(outputs), []
    for operator in reversed(graph.operators):
        if not wanted.isdisjoint(operator.outputs):
            wanted.update(operator.inputs)
            found.append(operator)
    return tuple(reversed(found))


def _real(tensor: GraphTensor) -> Tensor:
    """A constant in real values: float32, or int64 and bool where it is not quantized."""
    assert tensor.data is not None
    data = tensor.data
    if is_quantized(tensor):
        assert tensor.scales is not None
        assert tensor.zero_points is not None
        along = [1] * data.ndim
        if len(tensor.scales) > 1:
            along[tensor.axis] = -1
        steps = data.astype(np.float64) - tensor.zero_points.reshape(along)
        return torch.from_numpy(np.asarray(steps * tensor.scales.reshape(along), np.float32))
    if data.dtype == np.bool_:
        return torch.from_numpy(data.copy())
    kind = np.float32 if np.issubdtype(data.dtype, np.floating) else np.int64
    return torch.from_numpy(data.astype(kind))


def _enter(tensor: GraphTensor, value: Tensor, wider: float) -> Tensor:
    """A batch as carried: [N, *shape], quantized as whoever runs the artifact quantizes it."""
    short = tensor.shape[:1] == (1,) and value.dim() == len(tensor.shape)
    carried = value.unsqueeze(1) if short else value
    if carried.shape[1:] != tensor.shape:
        raise ValueError(
            f"input {tensor.name!r} takes [N, {', '.join(map(str, tensor.shape))}], "
            f"not {list(value.shape)}"
        )
    if is_quantized(tensor):
        assert tensor.scales is not None
        return on_grid(tensor, wider=wider)(carried / float(tensor.scales[0]))
    if "float" in tensor.dtype:
        return carried.to(torch.float32)
    return carried if tensor.dtype == "bool" else carried.to(torch.int64)


def _leave(tensor: GraphTensor, carried: Tensor, samples: int) -> Tensor:
    """Real values [N, *shape], a leading 1 left out."""
    if is_quantized(tensor):
        assert tensor.scales is not None
        carried = carried * float(tensor.scales[0])
    shape = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
    return carried.expand(samples, *carried.shape[1:]).reshape(samples, *shape)
