"""Reading an ONNX model with suspicion. Imported by the child process only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from google.protobuf.message import DecodeError
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from devdiff.exporter.artifact import TensorSpec, sha256_file
from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.manifest import SourceModel
from devdiff.exporter.sources import shapes as fixed
from devdiff.exporter.sources.source import ReadRequest, ReadSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read(request: ReadRequest) -> ReadSource:
    """An ONNX model; see `devdiff.exporter.sources.source.SourceReader`."""
    model = load(request.path)
    return ReadSource(describe(request.path, model, request.shapes), onnx=model)


def load(path: Path) -> Any:
    """The checked `onnx.ModelProto`, external data included.

    Raises `SourceModelError` when it is not ONNX, is damaged, or lacks its external data.
    """
    if path.stat().st_size == 0:
        raise SourceModelError(f"{path} is empty: export or copy it again")
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise SourceModelError(
            f"{path} is not an ONNX model, or it is damaged: {_line(error)}"
        ) from error
    if not model.HasField("graph") or not model.graph.node:
        raise SourceModelError(f"{path} holds no ONNX graph: export or copy it again")
    missing = [name for name in external_files(model) if not (path.parent / name).is_file()]
    if missing:
        raise SourceModelError(
            f"{path} keeps weights in {', '.join(missing)}, which is not beside it: "
            f"copy it into {path.parent}"
        )
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise SourceModelError(f"{path} is not a valid ONNX model: {_line(error)}") from error
    return model


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def external_files(model: Any) -> list[str]:
    """Names of the files the weights lie in, relative to the model."""
    found = {
        ExternalDataInfo(tensor).location
        for tensor in model.graph.initializer
        if uses_external_data(tensor)
    }
    return sorted(found)


def _dims(value: Any) -> list[int | str]:
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else dim.dim_param or "?"
        for dim in value.type.tensor_type.shape.dim
    ]


def _dtype(value: Any) -> str:
    if not value.type.HasField("tensor_type"):
        raise SourceModelError(f"{value.name} is not a tensor but {value.type.WhichOneof('value')}")
    element = value.type.tensor_type.elem_type
    if element == onnx.TensorProto.STRING:
        return "string"
    return str(onnx.helper.tensor_dtype_to_np_dtype(element).name)


def graph_inputs(model: Any) -> list[Any]:
    """The graph's inputs that are not initializers."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def describe(path: Path, model: Any, shapes: Mapping[str, tuple[int, ...]]) -> SourceModel:
    """Names, static shapes and dtypes of a loaded model, and the hashes of its files.

    ``shapes`` are the user's choices for dynamic inputs. Raises `SourceModelError` when a choice is
    missing or does not fit, or an input has a dtype a phone's runtime does not take.
    """
    found = graph_inputs(model)
    fixed.check_names(shapes, [value.name for value in found])
    inputs = [
        fixed.input_spec(value.name, _dims(value), _dtype(value), shapes.get(value.name))
        for value in found
    ]
    if not inputs:
        raise SourceModelError(f"{path} has no inputs: it computes a constant")
    outputs = tuple(
        TensorSpec(
            value.name,
            tuple(size if isinstance(size, int) else -1 for size in _dims(value)),
            _dtype(value),
        )
        for value in model.graph.output
    )
    files = {path.name: sha256_file(path)}
    files |= {name: sha256_file(path.parent / name) for name in external_files_on_disk(path)}
    limits = _index_limits(model, {spec.name for spec in inputs if "int" in spec.dtype})
    return SourceModel(path, "onnx", files[path.name], files, tuple(inputs), outputs, limits)


def _index_limits(model: Any, integer_inputs: set[str]) -> dict[str, int]:
    """Rows of the tables that integer inputs index, directly or reshaped or cast."""
    tables = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    origin = {name: name for name in integer_inputs}
    limits: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in ("Cast", "Reshape", "Squeeze", "Unsqueeze") and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        if node.op_type == "Gather" and node.input[1] in origin and node.input[0] in tables:
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            name, rows = origin[node.input[1]], tables[node.input[0]][axis]
            limits[name] = min(rows, limits.get(name, rows))
    return limits


def external_files_on_disk(path: Path) -> list[str]:
    """External data files of the model at ``path``."""
    return external_files(onnx.load(path, load_external_data=False))
