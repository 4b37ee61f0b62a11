"""ONNX to a TensorFlow function, through onnx2tf. Imported by the child process only.

onnx2tf prints, exits, reaches for the network, keeps random state and chokes on many names; this
module feeds it a model it can digest and keeps what is needed to undo the renaming.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnx.shape_inference
import onnx.version_converter

from devdiff.exporter.artifact import TensorSpec
from devdiff.exporter.converters import onnx_aside
from devdiff.exporter.converters.tf_function_io import Converted, ConvertedOutput, worth_unrolling
from devdiff.exporter.errors import ConversionError
from devdiff.exporter.sources.onnx import graph_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.manifest import SourceModel

PHASE: Final = "converting ONNX to TensorFlow"
# Below this opset onnx2tf converts some models without a word and wrongly (Softmax changed its
# meaning in 13).
_OLDEST_OPSET: Final = 13
# onnx2tf asks the network for this file whenever all inputs look like RGB images.
_SAMPLE_IMAGES: Final = "calibration_image_sample_data_20x128x128x3_float32.npy"
# Written out in builtin operators; left alone they would need TensorFlow on the phone (Flex).
_PSEUDO_OPERATORS: Final = ("erf", "gelu")


def convert(source: SourceModel, model: Any, scratch: Path) -> Converted:
    """Convert a loaded model; ``scratch`` must be the working directory (onnx2tf writes there).

    Raises `ConversionError` naming the operator that stopped it.
    """
    return convert_prepared(source, *prepare(source, model), scratch)


def prepare(
    source: SourceModel, model: Any, aside: Path | None = None
) -> tuple[Any, tuple[str, ...]]:
    """The model as onnx2tf can digest it but for its names, and notes.

    Its large weights lie in the folder ``aside`` in the end, where one is given. Raises
    `ConversionError`.
    """
    _refuse_unknown_operators(model)
    return _prepare(model, source, aside)


def prepare_file(source: SourceModel, path: Path, out: Path) -> tuple[str, ...]:
    """As `prepare`, from a file into another with its large weights beside it, for a model whose
    copies fill the memory."""
    prepared, notes = prepare(source, onnx.load(path), out.parent)
    out.write_bytes(prepared.SerializeToString())
    return notes


def convert_file(
    source: SourceModel, path: Path, notes: tuple[str, ...], scratch: Path
) -> Converted:
    """As `convert_prepared`, of what `prepare_file` wrote into the working directory."""
    onnx_aside.read_in_place()
    return convert_prepared(source, onnx.load(path, load_external_data=False), notes, scratch)


def convert_prepared(
    source: SourceModel, prepared: Any, notes: tuple[str, ...], scratch: Path
) -> Converted:
    """Convert what `prepare` gave; see `convert`."""
    to_safe, to_source = _rename(prepared)
    np.save(
        scratch / _SAMPLE_IMAGES,
        np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32),
    )
    safe_inputs = [to_safe[spec.name] for spec in source.inputs]
    safe_outputs = [value.name for value in prepared.graph.output]
    recurrent = _recurrent_steps(prepared)
    unroll = worth_unrolling(list(recurrent.values()))
    if unroll:
        listed = ", ".join(to_source.get(name, name) for name in recurrent)
        notes = (*notes, f"recurrent layers are written out step by step: {listed}")
    keras_model = _run_onnx2tf(prepared, safe_inputs, scratch, to_source, unroll)
    by_name = {tensor.name.split(":")[0]: tensor for tensor in keras_model.inputs}
    if set(by_name) != set(safe_inputs):
        raise ConversionError(
            f"onnx2tf lost inputs: the model has {len(safe_inputs)}, its conversion "
            f"{len(by_name)}; an input that does not influence any output must be removed"
        )
    inputs = []
    for spec, safe in zip(source.inputs, safe_inputs, strict=True):
        shape = tuple(by_name[safe].shape)
        if shape != spec.shape:
            raise ConversionError(f"onnx2tf turned input {spec.describe()} into {list(shape)}")
        inputs.append(spec)
    static = {value.name: value for value in prepared.graph.output}
    outputs = tuple(
        _output(static[safe], to_source[safe], tensor, keras_model.onnx_output_layouts.get(safe))
        for safe, tensor in zip(safe_outputs, keras_model.outputs, strict=True)
    )
    order = tuple(safe_inputs.index(tensor.name.split(":")[0]) for tensor in keras_model.inputs)

    def call(*values: Any) -> list[Any]:
        arranged = [values[place] for place in order]
        results = keras_model(arranged if len(arranged) > 1 else arranged[0])
        return list(results) if isinstance(results, list | tuple) else [results]

    return Converted(call, tuple(inputs), outputs, notes)


def _refuse_unknown_operators(model: Any) -> None:
    """A clear word before the work starts, rather than a ModuleNotFoundError in its middle."""
    spec = importlib.util.find_spec("onnx2tf")
    if spec is None or not spec.submodule_search_locations:
        raise ConversionError("onnx2tf is not installed: run scripts/setup, or see devdiff doctor")
    known = {path.stem for path in (Path(spec.submodule_search_locations[0]) / "ops").glob("*.py")}
    functions = {function.name for function in model.functions}
    unknown: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type not in known and node.op_type not in functions:
            label = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            unknown.setdefault(label, node.name or node.output[0])
    if unknown:
        listed = ", ".join(f"{op} (node {name!r})" for op, name in sorted(unknown.items()))
        raise ConversionError(
            f"onnx2tf cannot convert: {listed}; replace the operator in the source model, or "
            "convert it elsewhere and give devdiff the finished .tflite"
        )


def _prepare(model: Any, source: SourceModel, aside: Path | None) -> tuple[Any, tuple[str, ...]]:
    """Static shapes, a recent opset, constants folded."""
    import onnxsim

    notes = []
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset < _OLDEST_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, _OLDEST_OPSET)
        except Exception as error:
            raise ConversionError(
                f"the model uses opset {opset} and cannot be raised to {_OLDEST_OPSET}: {error}; "
                f"export it again with opset {_OLDEST_OPSET} or newer"
            ) from error
        notes.append(f"opset {opset} raised to {_OLDEST_OPSET}")
    shapes = {spec.name: list(spec.shape) for spec in source.inputs}
    for value in graph_inputs(model):
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, shapes[value.name], strict=True):
            dim.dim_value = size
    # Exporters leave stale shapes behind (dimensions of -1 among them), which would stand against
    # those that follow from the inputs.
    del model.graph.value_info[:]
    for value in model.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.Clear()
    weights = onnx_aside.put_aside(model, aside) if aside is not None else []
    try:
        simplified, sound = onnxsim.simplify(model, overwrite_input_shapes=shapes)
    except Exception as error:  # noqa: BLE001  onnxsim raises what it likes
        simplified, sound = None, False
        notes.append(f"onnxsim could not simplify the model: {' '.join(str(error).split())[:200]}")
    if sound:
        model = simplified
    onnx_aside.put_back(model, weights)
    # What onnxsim kept of unused initializers and old shapes must not confuse onnx2tf.
    model = onnx.shape_inference.infer_shapes(model)
    kept = {value.name for value in graph_inputs(model)}
    lost = [name for name in shapes if name not in kept]
    if lost:
        raise ConversionError(
            f"input {', '.join(lost)} does not influence any output: remove it from the model"
        )
    return model, tuple(notes)


def _rename(model: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Give every value and node a name onnx2tf and Keras accept, in place.

    Returns source name to safe name, and back.
    """
    to_safe: dict[str, str] = {}

    def safe(name: str) -> str:
        if not name:
            return name
        return to_safe.setdefault(name, f"v{len(to_safe)}")

    def walk(graph: Any) -> None:
        for values in (graph.input, graph.output, graph.initializer, graph.value_info):
            for value in values:
                value.name = safe(value.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = safe(sparse.values.name)
        for node in graph.node:
            node.name = f"n_{safe(node.output[0])}" if node.output else ""
            node.input[:] = [safe(name) for name in node.input]
            node.output[:] = [safe(name) for name in node.output]
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    walk(attribute.g)
                for subgraph in attribute.graphs:
                    walk(subgraph)

    walk(model.graph)
    return to_safe, {safe_name: name for name, safe_name in to_safe.items()}


def _recurrent_steps(model: Any) -> dict[str, int]:
    """The number of steps of each recurrent layer, by its first output; 0 where it is not known."""
    graph = model.graph
    shapes = {
        value.name: [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
    }
    return {
        next(filter(None, node.output)): (shapes.get(node.input[0]) or [0])[0]
        for node in graph.node
        if node.op_type in ("GRU", "LSTM", "RNN")
    }


def _run_onnx2tf(
    model: Any, inputs: list[str], scratch: Path, to_source: Mapping[str, str], unroll: bool
) -> Any:
    import onnx2tf

    try:
        return onnx2tf.convert(
            onnx_graph=model,
            output_folder_path=str(scratch / "onnx2tf"),
            disable_model_save=True,
            not_use_onnxsim=True,
            not_use_opname_auto_generate=True,
            keep_shape_absolutely_input_names=inputs,
            replace_to_pseudo_operators=list(_PSEUDO_OPERATORS),
            enable_rnn_unroll=unroll,
            non_verbose=True,
            verbosity="error",
        )
    except (Exception, SystemExit) as error:
        raise ConversionError(_blame(error, to_source)) from error


def _blame(error: BaseException, to_source: Mapping[str, str]) -> str:
    """The operator onnx2tf was working on when it gave up, from its own stack."""
    operator = node = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.parent.name == "ops" and path.parent.parent.name == "onnx2tf":
            operator = path.stem
        candidate = frame.f_locals.get("graph_node")
        if candidate is not None and getattr(candidate, "outputs", None):
            operator = operator or candidate.op
            node = to_source.get(candidate.outputs[0].name, candidate.outputs[0].name)
    at = f" at operator {operator}" if operator else ""
    at += f" (output {node!r})" if node else ""
    reason = "it exited" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    reason = re.sub(r"\s+", " ", reason)[:300]
    return (
        f"onnx2tf gave up{at}: {reason}; replace that operator in the source model, or convert "
        "it elsewhere and give devdiff the finished .tflite"
    )


def _output(value: Any, name: str, tensor: Any, channels_last: bool | None) -> ConvertedOutput:
    """Pair an ONNX output with the tensor onnx2tf made of it."""
    stored = tuple(int(size) for size in tensor.shape)
    rank = len(stored)
    identity = tuple(range(rank))
    moved = (0, *range(2, rank), 1) if rank >= 3 else identity
    permutation = moved if channels_last else identity
    dtype = tensor.dtype.name if hasattr(tensor.dtype, "name") else str(tensor.dtype)
    dims = [int(dim.dim_value) for dim in value.type.tensor_type.shape.dim]
    known = len(dims) == rank and all(size > 0 for size in dims)
    if known and tuple(dims[axis] for axis in permutation) != stored:
        # onnx2tf's own note on the layout can be stale after a late transpose; the shape decides
        # where it can, and the comparison with the source model decides in the end.
        # Where that is open (equal dimensions), whoever runs both finds out.
        orders = (identity, moved, *itertools.permutations(range(rank)))
        fitting = [p for p in orders if tuple(dims[axis] for axis in p) == stored]
        if not fitting:
            raise ConversionError(
                f"onnx2tf turned output {name!r} of shape {dims} into {list(stored)}, which is no "
                "transpose of it"
            )
        permutation = fitting[0]
    inverse = np.argsort(permutation)
    shape = tuple(stored[int(axis)] for axis in inverse)
    return ConvertedOutput(TensorSpec(name, shape, dtype), permutation)
