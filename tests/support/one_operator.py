"""Models of one operator, in float32 and in int8, written without a converter.

A converter chooses the operators; here each family of the twin's is met in every form it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from devdiff.exporter.artifact import Array, Quantization

if TYPE_CHECKING:
    from collections.abc import Sequence

Precision = Literal["float32", "int8"]
_INT8_STEPS: Final = 255


@dataclass(frozen=True, slots=True)
class Computed:
    """An input of the model, uniform between ``low`` and ``high``."""

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Constant:
    """A real constant, normal with ``deviation``; ``axis`` has a scale for every channel."""

    shape: tuple[int, ...]
    axis: int | None = None
    deviation: float = 0.3


@dataclass(frozen=True, slots=True)
class Bias:
    """A real constant whose steps are those of the products that it is added to."""

    size: int


Input = Computed | Constant | Bias | list[Any] | None


@dataclass(frozen=True, slots=True)
class Case:
    """An operator with its options (a name of the schema and its fields) and inputs.

    A list among the inputs is a constant int32 (axes, sizes), None an absent input. ``grid`` tells
    how int8 outputs are quantized: over the range of the float outputs, like the first computed
    input, or by this scale and zero point. ``least`` is the share of int8 elements that must be
    exactly the interpreter's; all others may be one step off.
    """

    kind: str
    inputs: tuple[Input, ...]
    options: tuple[str, dict[str, Any]] | None = None
    outputs: int = 1
    grid: Literal["own", "input"] | tuple[float, int] = "own"
    least: float = 1.0
    name: str = ""
    precisions: tuple[Precision, ...] = ("float32", "int8")
    version: int = 1

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Samples:
    """What a model was fed, in real units [N, *shape], and what the interpreter stored."""

    path: Path
    inputs: list[Array]
    outputs: list[Array]


def run(case: Case, precision: Precision, folder: Path, samples: int = 8) -> Samples:
    """Write the case's model and run it in the interpreter as apps do, XNNPACK included."""
    float_path = folder / "float.tflite"
    _write(case, float_path, [None] * case.outputs, [()] * case.outputs)
    interpreter = _started(float_path)
    shapes = [tuple(map(int, d["shape"])) for d in interpreter.get_output_details()]
    _write(case, float_path, [None] * case.outputs, shapes)
    real = _inputs(case, samples)
    answers = _answers(_started(float_path), real)
    if precision == "float32":
        return Samples(float_path, real, answers)
    path = folder / "int8.tflite"
    grids = [_output_grid(case, answer) for answer in answers]
    _write(case, path, grids, shapes)
    specs = [spec for spec in case.inputs if isinstance(spec, Computed)]
    stored = [_steps(value, _input_grid(spec)) for value, spec in zip(real, specs, strict=True)]
    back = [
        Quantization(*_input_grid(spec)).dequantize(value)
        for value, spec in zip(stored, specs, strict=True)
    ]
    return Samples(path, back, _answers(_started(path), stored))


def _started(path: Path) -> Interpreter:
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def _answers(interpreter: Interpreter, inputs: Sequence[Array]) -> list[Array]:
    answers: list[list[Array]] = [[] for _ in interpreter.get_output_details()]
    for sample in zip(*inputs, strict=True):
        for detail, value in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(detail["index"], value)
        interpreter.invoke()
        for answer, detail in zip(answers, interpreter.get_output_details(), strict=True):
            answer.append(interpreter.get_tensor(detail["index"]))
    return [np.stack(answer) for answer in answers]


def _inputs(case: Case, samples: int) -> list[Array]:
    random = np.random.default_rng(0)
    return [
        random.uniform(spec.low, spec.high, (samples, *spec.shape)).astype(np.float32)
        for spec in case.inputs
        if isinstance(spec, Computed)
    ]


def _input_grid(spec: Computed) -> tuple[float, int]:
    scale = float(np.float32((spec.high - spec.low) / _INT8_STEPS))
    return scale, round(-128 - spec.low / scale)


def _output_grid(case: Case, answer: Array) -> tuple[float, int]:
    if isinstance(case.grid, tuple):
        return case.grid
    if case.grid == "input":
        return next(_input_grid(spec) for spec in case.inputs if isinstance(spec, Computed))
    low, high = min(float(answer.min()), 0.0), max(float(answer.max()), 1e-3)
    return _input_grid(Computed((), low, high))


def _steps(real: Array, grid: tuple[float, int]) -> Array:
    return Quantization(*grid).quantize(real, np.dtype(np.int8))


def _write(
    case: Case,
    path: Path,
    grids: Sequence[tuple[float, int] | None],
    shapes: Sequence[tuple[int, ...]],
) -> None:
    random = np.random.default_rng(1)
    quantized = grids[0] is not None
    file = _File()
    places: list[int] = []
    steps: list[Any] = []
    for spec in case.inputs:
        if spec is None:
            places.append(-1)
        elif isinstance(spec, list):
            places.append(file.tensor(np.array(spec, np.int32)))
        elif isinstance(spec, Computed):
            grid = _input_grid(spec) if quantized else None
            places.append(file.tensor(spec.shape, grid))
            steps.append(grid)
        elif isinstance(spec, Bias):
            real = random.normal(0, 0.3, spec.size).astype(np.float32)
            places.append(file.bias(real, steps if quantized else None))
        else:
            real = random.normal(0, spec.deviation, spec.shape).astype(np.float32)
            places.append(file.constant(real, spec.axis, steps if quantized else None))
    outputs = [file.tensor(s, g) for s, g in zip(shapes, grids, strict=True)]
    file.save(path, case, places, outputs)


class _File:
    """A model under construction."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "one operator"
        self.model.buffers = [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors = []
        self.computed: list[int] = []

    def tensor(
        self, what: Array | tuple[int, ...], grid: tuple[Any, Any] | None = None, axis: int = 0
    ) -> int:
        """A computed tensor of a shape, or a constant; ``grid`` are its scales and zero points."""
        tensor = schema.TensorT()
        tensor.name = f"tensor {len(self.graph.tensors)}"
        tensor.buffer = 0
        tensor.type = schema.TensorType.FLOAT32 if grid is None else schema.TensorType.INT8
        if isinstance(what, np.ndarray):
            tensor.type = getattr(schema.TensorType, what.dtype.name.upper())
            tensor.shape = list(what.shape)
            buffer = schema.BufferT()
            buffer.data = list(what.tobytes())
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        else:
            tensor.shape = list(what)
            self.computed.append(len(self.graph.tensors))
        if grid is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.atleast_1d(np.float32(grid[0])).tolist()
            tensor.quantization.zeroPoint = np.atleast_1d(grid[1]).tolist()
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, real: Array, axis: int | None, steps: list[Any] | None) -> int:
        if steps is None:
            return self.tensor(real)
        others = tuple(i for i in range(real.ndim) if i != axis)
        peaks = np.abs(real).max(axis=None if axis is None else others, keepdims=True)
        scales = (peaks / 127).astype(np.float32)
        stored = np.rint(real / scales).astype(np.int8)
        steps.append((scales.reshape(-1), 0))
        return self.tensor(stored, (scales.reshape(-1), np.zeros(scales.size, int)), axis or 0)

    def bias(self, real: Array, steps: list[Any] | None) -> int:
        if steps is None:
            return self.tensor(real)
        scales = np.atleast_1d(np.float32(steps[0][0]) * np.float32(steps[1][0]))
        stored = np.rint(real / scales).astype(np.int32)
        return self.tensor(stored, (scales, np.zeros(scales.size, int)))

    def save(self, path: Path, case: Case, inputs: list[int], outputs: list[int]) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, case.kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = case.version
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, inputs, outputs
        if case.options is not None:
            name, fields = case.options
            operator.builtinOptions = getattr(schema, f"{name}T")()
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            for key, value in fields.items():
                assert hasattr(operator.builtinOptions, key), key
                setattr(operator.builtinOptions, key, value)
        self.graph.operators = [operator]
        self.graph.inputs = [i for i in self.computed if i not in outputs]
        self.graph.outputs = outputs
        self.model.operatorCodes = [code]
        self.model.subgraphs = [self.graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
