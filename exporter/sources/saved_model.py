"""SavedModels: a folder with a graph, its variables, and named signatures.

Imported by child processes only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from devdiff.exporter.errors import SourceModelError
from devdiff.exporter.sources.formats import SAVED_MODEL_FILE
from devdiff.exporter.sources.tf_function import (
    Declared,
    TfModel,
    is_outside,
    read_function,
    reason,
)

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.sources.source import ReadRequest, ReadSource

_VARIABLES: Final = "variables/variables.index"


def read(request: ReadRequest) -> ReadSource:
    """A SavedModel; see `devdiff.exporter.sources.source.SourceReader`."""
    return read_function(request, load(request.path, request.signature, request.trust))


def load(path: Path, signature: str | None = None, trust: bool = False) -> TfModel:
    """The signature of that name in a SavedModel folder, or its only one.

    Raises `SourceModelError` when the folder is damaged, has no such signature, or holds operators
    that would have to be trusted and are not.
    """
    definition = _read(path)
    if not trust:
        _refuse_outside(path, definition)
    import tensorflow as tf

    try:
        root = tf.saved_model.load(str(path))
    except Exception as error:
        raise SourceModelError(
            f"{path} cannot be loaded by TensorFlow {tf.__version__}: {reason(error)}; save it "
            "again"
        ) from error
    function = _choose(path, root.signatures, signature)
    specs = function.structured_input_signature[1]
    names = list(specs)
    inputs = tuple(
        Declared(
            name,
            tuple("?" if size is None else int(size) for size in _dims(path, name, specs[name])),
            specs[name].dtype.name,
        )
        for name in names
    )

    def call(*values: Any) -> dict[str, Any]:
        found = function(**dict(zip(names, values, strict=True)))
        return {name: found[name] for name in sorted(found)}

    return TfModel(path, "tensorflow", inputs, call, root)


def _read(path: Path) -> Any:
    """The folder's description, parsed and not loaded."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = path / SAVED_MODEL_FILE
    data = file.read_bytes()
    if not data:
        raise SourceModelError(f"{file} is empty: save or copy it again")
    definition = saved_model_pb2.SavedModel()
    try:
        definition.ParseFromString(data)
    except DecodeError as error:
        raise SourceModelError(
            f"{file} is not a SavedModel, or it is damaged: {error}; save or copy it again"
        ) from error
    if not definition.meta_graphs:
        raise SourceModelError(f"{file} holds no graph: save or copy it again")
    variables = any(
        node.op in ("VarHandleOp", "VariableV2") or "variable" in (node.name or "").lower()
        for graph in definition.meta_graphs
        for node in graph.graph_def.node
    ) or any(
        graph_node.HasField("variable")
        for graph in definition.meta_graphs
        for graph_node in graph.object_graph_def.nodes
    )
    if variables and not (path / _VARIABLES).is_file():
        raise SourceModelError(
            f"{path} lacks {_VARIABLES}, where its weights are: copy the whole folder"
        )
    return definition


def _refuse_outside(path: Path, definition: Any) -> None:
    found = set()
    for graph in definition.meta_graphs:
        found |= {node.op for node in graph.graph_def.node if is_outside(node.op)}
        for function in graph.graph_def.library.function:
            found |= {node.op for node in function.node_def if is_outside(node.op)}
    if found:
        raise SourceModelError(
            f"{path} runs Python or reaches for files ({', '.join(sorted(found))}): it is not "
            "loaded; if you trust whoever made it, give --trust"
        )


def _choose(path: Path, signatures: Any, wanted: str | None) -> Any:
    names = sorted(signatures)
    if _same(signatures, names):
        names = ["serving_default"]
    listed = ", ".join(names)
    if not names:
        raise SourceModelError(
            f"{path} has no signatures, so nothing says what its inputs and outputs are: save it "
            "with tf.saved_model.save(model, folder, signatures=function), or with model.export"
        )
    if wanted is None and len(names) > 1:
        raise SourceModelError(
            f"{path} has the signatures {listed}: choose one, for example --signature {names[0]}"
        )
    if wanted is not None and wanted not in signatures:
        raise SourceModelError(f"{path} has no signature {wanted!r}; it has {listed}")
    return signatures[wanted or names[0]]


def _same(signatures: Any, names: list[str]) -> bool:
    """Whether these are the two names under which Keras' ``model.export`` saves one function."""
    if names != ["serve", "serving_default"]:
        return False
    first, second = (signatures[name] for name in names)
    return bool(
        first.structured_input_signature == second.structured_input_signature
        and first.structured_outputs == second.structured_outputs
    )


def _dims(path: Path, name: str, spec: Any) -> list[int | None]:
    if spec.shape.rank is None:
        raise SourceModelError(
            f"input {name!r} of {path} may have any number of axes: save it with a TensorSpec that "
            "fixes them"
        )
    dims: list[int | None] = spec.shape.as_list()
    return dims
