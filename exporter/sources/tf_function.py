"""TensorFlow functions as source models: what Keras models and SavedModels have in common.

Imported by child processes only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.exporter.converters.tf_function_io import Converted, ConvertedOutput, worth_unrolling
from devdiff.exporter.errors import ConversionError, SourceModelError
from devdiff.exporter.manifest import SourceModel
from devdiff.exporter.sources import shapes as fixed
from devdiff.exporter.sources.source import ReadRequest, ReadSource

_STATE: Final = re.compile(
    r"Assign(Add|Sub)?(VariableOp)?|ResourceScatter\w+|ResourceApply\w+|Stack(Push|Pop)V2"
)
_RANDOM: Final = re.compile(
    r"(Random(Uniform|StandardNormal|Gamma|Poisson|Shuffle)|TruncatedNormal|Stateful\w*Random"
    r"|StatefulUniform|StatefulStandardNormal|StatefulTruncatedNormal|Multinomial)\w*"
)
# Python, files and debuggers; the second with what saving and restoring variables needs as well.
_OUTSIDE: Final = re.compile(
    r"(Eager)?PyFunc(Stateless)?|(Read|Write)File|MatchingFiles|\w*Reader(V2)?|\w*Recorder\w*"
    r"|\w*(Record|TextLine)Dataset(V2)?|(Save|Load|Snapshot)Dataset\w*|\w*Snapshot\w*|SaveSlices"
    r"|Debug(Identity|Numeric|Nan)\w*|PrintV2|\w*Summary\w*|\w*Rpc\w*|\w*TPU\w*"
)
_CHECKPOINT: Final = re.compile(r"Save(V2)?|MergeV2Checkpoints|Restore(V2|Slice)?|ShardedFilename")
_SAME_VALUES: Final = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "SelectV2")


@dataclass(frozen=True, slots=True)
class Declared:
    """An input as the model declares it; unknown sizes of ``dims`` are ``?``."""

    name: str
    dims: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class TfModel:
    """A model that TensorFlow has loaded.

    ``call`` takes a tensor for each of ``inputs`` and returns its outputs by name. ``unroll`` makes
    its recurrent layers compute step by step from then on, and returns their names; ``root`` keeps
    the variables alive.
    """

    path: Path
    runtime: str
    inputs: tuple[Declared, ...]
    call: Callable[..., Mapping[str, Any]]
    root: Any
    unroll: Callable[[], Sequence[str]] = field(default=tuple)

    def runner(self) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
        """A function from arrays by name to outputs by name, compiled once for each shape."""
        import tensorflow as tf

        function = tf.function(self.call, autograph=False)

        def run(arrays: Mapping[str, Array]) -> dict[str, Array]:
            values = [tf.constant(arrays[declared.name]) for declared in self.inputs]
            return {name: np.asarray(value) for name, value in function(*values).items()}

        return run


@dataclass(frozen=True, slots=True, eq=False)
class FixedFunction:
    """A model with static shapes and its weights as constants, ready to be converted."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    frozen: Any
    index_limits: Mapping[str, int]
    notes: tuple[str, ...]

    def converted(self) -> Converted:
        """The function as the converter takes it; layouts are the source's own."""
        import tensorflow as tf

        return Converted(
            call=lambda *values: tf.nest.flatten(self.frozen(*values)),
            inputs=self.inputs,
            outputs=tuple(
                ConvertedOutput(spec, tuple(range(len(spec.shape)))) for spec in self.outputs
            ),
            notes=self.notes,
        )


def fix(model: TfModel, chosen: Mapping[str, tuple[int, ...]]) -> FixedFunction:
    """The model with every shape fixed.

    Raises `SourceModelError` when a choice is missing, a dtype is none that a phone takes, or the
    model keeps state, draws random numbers or reaches for files; `ConversionError` when TensorFlow
    cannot trace it.
    """
    fixed.check_names(chosen, [declared.name for declared in model.inputs])
    specs = tuple(
        fixed.input_spec(tensor.name, tensor.dims, tensor.dtype, chosen.get(tensor.name))
        for tensor in model.inputs
    )
    if not specs:
        raise SourceModelError(f"{model.path} has no inputs: it computes a constant")
    frozen, names = _freeze(model, specs)
    notes: tuple[str, ...] = ()
    if worth_unrolling(_loop_steps(frozen)):
        unrolled = model.unroll()
        if unrolled:
            frozen, names = _freeze(model, specs)
            notes = (f"recurrent layers are written out step by step: {', '.join(unrolled)}",)
    outputs = tuple(
        TensorSpec(name, shape, tensor.dtype.name)
        for name, shape, tensor in zip(names, _shapes(frozen, specs), frozen.outputs, strict=True)
    )
    for spec in outputs:
        if spec.dtype == "string":
            raise SourceModelError(f"output {spec.name!r} of {model.path} is text, not numbers")
    return FixedFunction(specs, outputs, frozen, _index_limits(frozen, specs), notes)


def read_function(request: ReadRequest, loaded: TfModel) -> ReadSource:
    """What a reader makes of a loaded model: its function with fixed shapes, and its description.

    Raises as `fix`.
    """
    function = fix(loaded, request.shapes)
    described = SourceModel(
        request.path,
        request.kind,
        "",
        {},
        function.inputs,
        function.outputs,
        function.index_limits,
    )
    named = request.named(described)
    return ReadSource(
        replace(named, runtime=loaded.runtime, signature=request.signature), function=function
    )


def _shapes(frozen: Any, specs: Sequence[TensorSpec]) -> list[tuple[int, ...]]:
    """Shapes of the outputs; by running the function once where a loop hides them."""
    import tensorflow as tf

    if all(tensor.shape.is_fully_defined() for tensor in frozen.outputs):
        return [tuple(tensor.shape.as_list()) for tensor in frozen.outputs]
    zeros = [tf.zeros(spec.shape, spec.dtype) for spec in specs]
    return [tuple(value.shape.as_list()) for value in tf.nest.flatten(frozen(*zeros))]


def _freeze(model: TfModel, specs: Sequence[TensorSpec]) -> tuple[Any, list[str]]:
    """The traced function with constants for variables, and its outputs' names in order."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    names: list[str] = []

    def call(*values: Any) -> list[Any]:
        found = model.call(*values)
        names[:] = found
        return [tf.identity(value) for value in found.values()]

    # Only letters and digits are safe in a graph, whatever the source's names are.
    signature = [tf.TensorSpec(s.shape, s.dtype, name=f"v{i}") for i, s in enumerate(specs)]
    try:
        function = tf.function(call, autograph=False).get_concrete_function(*signature)
        _check_operators(model, function)
        # Not lowered: the converter takes loops and branches as functions.
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
    except SourceModelError:
        raise
    except Exception as error:
        raise ConversionError(
            f"TensorFlow cannot run {model.path} with inputs "
            f"{', '.join(spec.describe() for spec in specs)}: {reason(error)}"
        ) from error
    return frozen, names


def reason(error: BaseException) -> str:
    """A framework's message on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _check_operators(model: TfModel, function: Any) -> None:
    definition = function.graph.as_graph_def()
    used = {node.op for node in definition.node}
    for inner in definition.library.function:
        used |= {node.op for node in inner.node_def}
    outside = sorted(op for op in used if is_outside(op) or _CHECKPOINT.fullmatch(op))
    if outside:
        raise SourceModelError(
            f"{model.path} reaches for Python or files ({', '.join(outside)}): no phone can run it"
        )
    state = sorted(op for op in used if _STATE.fullmatch(op))
    if state:
        raise SourceModelError(
            f"{model.path} keeps state from one call to the next ({', '.join(state)}): devdiff "
            "runs each sample by itself. Export it with that state as an input and an output "
            "(stateful=False in a recurrent layer)"
        )
    random = sorted(op for op in used if _RANDOM.fullmatch(op))
    if random:
        raise SourceModelError(
            f"{model.path} draws random numbers ({', '.join(random)}): its answers differ from "
            "call to call, so there is nothing to compare; export it for inference"
        )


def is_outside(operator: str) -> bool:
    """Whether an operator runs Python, or reads or writes files that are not the model's."""
    return _OUTSIDE.fullmatch(operator) is not None


def _loop_steps(frozen: Any) -> list[int]:
    """Steps of each loop over a sequence, where they are known."""
    lists = [op for op in frozen.graph.get_operations() if op.type == "TensorListFromTensor"]
    return [int(op.inputs[0].shape[0] or 0) for op in lists if op.inputs[0].shape.rank]


def _index_limits(frozen: Any, specs: Sequence[TensorSpec]) -> dict[str, int]:
    """Rows of the tables that integer inputs index, directly or through a change of form."""
    origin = {
        tensor.name: spec.name
        for tensor, spec in zip(frozen.inputs, specs, strict=True)
        if "int" in spec.dtype
    }
    limits: dict[str, int] = {}
    for operation in frozen.graph.get_operations():
        sources = [origin[i.name] for i in operation.inputs if i.name in origin]
        if not sources:
            continue
        if operation.type in _SAME_VALUES:
            origin |= {output.name: sources[-1] for output in operation.outputs}
        elif operation.type == "GatherV2" and operation.inputs[1].name in origin:
            shape = operation.inputs[0].shape
            rows = shape[0] if shape.rank else None
            if rows:
                name = origin[operation.inputs[1].name]
                limits[name] = min(int(rows), limits.get(name, int(rows)))
    return limits
