"""What a .tflite file holds, read without running it. Imported by the child process only.

The object API of the generated schema checks every offset against the buffer, and what it cannot
see (indices, buffer sizes, operators nobody can run) is checked here: the interpreters themselves
trust the file, and a damaged one takes the process down.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.artifact import Binding, Quantization, TensorSpec, sha256_file
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import ArtifactRecord
from devdiff.exporter.recipe import BUILTIN, FLOAT32, Recipe

if TYPE_CHECKING:
    from pathlib import Path

_OPERATOR_NAMES: Final = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
# Tensor types as NumPy spells them.
DTYPES: Final = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}
_ITEM_BYTES: Final = {
    "float32": 4,
    "float16": 2,
    "float64": 8,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "bool": 1,
}


def text(raw: bytes | str | None) -> str:
    """A name as the schema holds it: bytes, or nothing at all."""
    return raw.decode(errors="replace") if isinstance(raw, bytes) else (raw or "")


def parse(path: Path) -> Any:
    """The model as the schema's object tree. Raises `ArtifactError` when it is damaged."""
    data = path.read_bytes()
    if not data:
        raise ArtifactError(f"{path} is empty: export or copy it again")
    if data[4:8] != b"TFL3":
        raise ArtifactError(f"{path} is not a .tflite file: it lacks the TFL3 mark at byte 4")
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except (struct.error, ValueError, TypeError, IndexError, AttributeError, MemoryError) as error:
        raise ArtifactError(
            f"{path} is damaged or truncated ({len(data)} bytes): {error}; export or copy it again"
        ) from error
    problem = _first_problem(model, len(data))
    if problem:
        raise ArtifactError(f"{path} is damaged: {problem}; export or copy it again")
    return model


def _first_problem(model: Any, file_bytes: int) -> str | None:
    """What the schema cannot say: dangling indices, buffers that do not fit their tensors."""
    if model.version != 3:
        return f"schema version {model.version} instead of 3"
    if not model.subgraphs:
        return "it has no graph"
    for buffer in model.buffers or []:
        if buffer.offset > 1 and buffer.offset + buffer.size > file_bytes:
            return "a buffer lies behind the end of the file"
    return next(filter(None, (_graph_problem(graph, model) for graph in model.subgraphs)), None)


def _graph_problem(graph: Any, model: Any) -> str | None:
    buffers = model.buffers or []
    codes = model.operatorCodes or []
    tensors = graph.tensors or []
    for name, indices in (("input", graph.inputs), ("output", graph.outputs)):
        if any(not 0 <= i < len(tensors) for i in integers(indices)):
            return f"a graph {name} names a tensor that does not exist"
    for operator in graph.operators or []:
        if not 0 <= operator.opcodeIndex < len(codes):
            return "an operator has no operator code"
        used = (*integers(operator.inputs), *integers(operator.outputs))
        if any(not -1 <= i < len(tensors) for i in used):
            return "an operator names a tensor that does not exist"
    for tensor in tensors:
        problem = _tensor_problem(tensor, buffers)
        if problem:
            return f"tensor {text(tensor.name)!r}: {problem}"
    return None


def _tensor_problem(tensor: Any, buffers: list[Any]) -> str | None:
    if not 0 <= tensor.buffer < len(buffers):
        return "its buffer does not exist"
    shape = integers(tensor.shape)
    if any(dim < 0 for dim in shape):
        return f"its shape is {shape}"
    data = buffers[tensor.buffer].data
    item = _ITEM_BYTES.get(DTYPES.get(tensor.type, ""))
    if data is None or item is None or tensor.sparsity is not None or len(data) == 0:
        return None
    if len(data) != math.prod(shape) * item:
        return (
            f"its buffer holds {len(data)} bytes, its shape {shape} needs {math.prod(shape) * item}"
        )
    return None


def integers(value: Any) -> list[int]:
    """A vector of the schema (an array, a list, or None when absent)."""
    return [] if value is None else [int(item) for item in value]


def operator_name(code: Any) -> str:
    """The name of an operator code, ``custom:NAME`` when no stock runtime has it."""
    if code.customCode:
        return f"custom:{text(code.customCode)}"
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    return str(_OPERATOR_NAMES.get(builtin, f"operator {builtin}"))


def _spec(tensor: Any) -> TensorSpec:
    dtype = DTYPES.get(tensor.type, f"type {tensor.type}")
    quantization = None
    parameters = tensor.quantization
    if parameters is not None and parameters.scale is not None and len(parameters.scale):
        if len(parameters.scale) > 1:
            raise ArtifactError(f"tensor {text(tensor.name)!r} is quantized per channel")
        zero_points = integers(parameters.zeroPoint) or [0]
        quantization = Quantization(float(parameters.scale[0]), zero_points[0])
    return TensorSpec(text(tensor.name), tuple(integers(tensor.shape)), dtype, quantization)


def _state(model: Any, names: list[str]) -> str | None:
    """What a model keeps between calls: tensors marked variable, or variables that it assigns.

    Graphs that run once, before the first call, may assign what later calls only read.
    """
    once = {
        getattr(operator.builtinOptions, "initSubgraphIndex", -1)
        for graph in model.subgraphs
        for operator in graph.operators or []
        if names[operator.opcodeIndex] == "CALL_ONCE"
    }
    for index, graph in enumerate(model.subgraphs):
        for tensor in graph.tensors or []:
            if tensor.isVariable:
                return f"tensor {text(tensor.name)!r}"
        for operator in graph.operators or []:
            if index not in once and names[operator.opcodeIndex] == "ASSIGN_VARIABLE":
                return "operator ASSIGN_VARIABLE"
    return None


def _signature(path: Path, model: Any) -> tuple[str | None, dict[int, str], dict[int, str]]:
    """The signature on the main graph: its key, and names by tensor index.

    Raises `ArtifactError` when there are signatures on other graphs, which no runner here calls.
    """
    graphs = {signature.subgraphIndex for signature in model.signatureDefs or []}
    if len(graphs) > 1:
        keys = ", ".join(sorted(text(s.signatureKey) for s in model.signatureDefs))
        raise ArtifactError(
            f"{path} has the signatures {keys}, on {len(graphs)} graphs: devdiff runs the main "
            "graph of a .tflite only; write one file for each signature"
        )
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex == 0:
            return (
                text(signature.signatureKey),
                {int(i.tensorIndex): text(i.name) for i in signature.inputs or []},
                {int(o.tensorIndex): text(o.name) for o in signature.outputs or []},
            )
    return None, {}, {}


def inspect(path: Path) -> ArtifactRecord:
    """Everything the manifest records of one .tflite file, bound to itself (no source model).

    Raises `ArtifactError` when the file is damaged or holds operators that only run together with
    TensorFlow (Flex) or with an app's own code (custom operators).
    """
    model = parse(path)
    graph = model.subgraphs[0]
    names = [operator_name(code) for code in model.operatorCodes or []]
    foreign = sorted({name for name in names if name.startswith("custom:")})
    if foreign:
        raise ArtifactError(
            f"{path} needs operators that no stock runtime has: "
            f"{', '.join(name.removeprefix('custom:') for name in foreign)}; "
            "replace them in the source model by builtin ones"
        )
    stateful = _state(model, names)
    if stateful:
        raise ArtifactError(
            f"{path} keeps state from one call to the next ({stateful}): devdiff runs each sample "
            "by itself. Export it with that state as an input and an output"
        )
    key, input_names, output_names = _signature(path, model)
    operators: Counter[str] = Counter()
    in_float: Counter[str] = Counter()
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            name = names[operator.opcodeIndex]
            operators[name] += 1
            dtypes = {DTYPES.get(subgraph.tensors[i].type) for i in integers(operator.outputs)}
            if "float32" in dtypes:
                in_float[name] += 1
    inputs = {
        i: _identity(graph.tensors[i], input_names.get(i, "")) for i in integers(graph.inputs)
    }
    outputs = tuple(
        _identity(graph.tensors[i], output_names.get(i, "")) for i in integers(graph.outputs)
    )
    if not inputs or not outputs:
        raise ArtifactError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs")
    recipe = _recipe(graph)
    quantized = recipe.precision not in ("float32", "float16")
    return ArtifactRecord(
        file=path.name,
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        recipe=recipe,
        signature=key,
        inputs=tuple(inputs.values()),
        outputs=outputs,
        operators=dict(sorted(operators.items())),
        float_operators=dict(sorted(in_float.items())) if quantized else {},
        index_limits=_index_limits(graph, names, {i: b.source.name for i, b in inputs.items()}),
        produced_by=_producers(graph, names),
    )


def _recipe(graph: Any) -> Recipe:
    """What the file's tensors tell of how it was compressed: the nearest builtin recipe."""
    computed = {i for operator in graph.operators or [] for i in integers(operator.outputs)}
    computed |= set(integers(graph.inputs))
    stored: dict[str, set[str | None]] = {"computed": set(), "constant": set()}
    for index, tensor in enumerate(graph.tensors):
        scaled = tensor.quantization is not None and tensor.quantization.scale is not None
        dtype = DTYPES.get(tensor.type)
        if scaled or dtype == "float16":
            stored["computed" if index in computed else "constant"].add(dtype)
    if "int16" in stored["computed"]:
        return BUILTIN["int16x8"]
    if "int8" in stored["computed"]:
        return BUILTIN["int8"]
    if "int8" in stored["constant"]:
        return BUILTIN["dynamic"]
    return BUILTIN["float16"] if "float16" in stored["constant"] else FLOAT32


def _producers(graph: Any, names: list[str]) -> dict[str, str]:
    """The operator behind each output, past those that only change its form."""
    made_by = {
        i: operator for operator in graph.operators or [] for i in integers(operator.outputs)
    }
    found = {}
    for output in integers(graph.outputs):
        tensor = output
        for _ in range(len(made_by)):
            operator = made_by.get(tensor)
            if operator is None:
                break
            name = names[operator.opcodeIndex]
            found[text(graph.tensors[output].name)] = name
            if name not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE"):
                break
            tensor = int(operator.inputs[0])
    return found


def _index_limits(graph: Any, names: list[str], inputs: dict[int, str]) -> dict[str, int]:
    """Rows of the tables that integer inputs index directly or through a change of type."""
    origin = dict(inputs)
    limits: dict[str, int] = {}
    for operator in graph.operators or []:
        name, used = names[operator.opcodeIndex], integers(operator.inputs)
        if name in ("CAST", "RESHAPE") and used[0] in origin:
            origin[int(operator.outputs[0])] = origin[used[0]]
        if name in ("GATHER", "EMBEDDING_LOOKUP"):
            table, indices = (used[0], used[1]) if name == "GATHER" else (used[1], used[0])
            axis = getattr(operator.builtinOptions, "axis", 0)
            shape = integers(graph.tensors[table].shape)
            if indices in origin and -len(shape) <= axis < len(shape):
                source, rows = origin[indices], shape[axis]
                limits[source] = min(rows, limits.get(source, rows))
    return limits


def _identity(tensor: Any, signature_name: str) -> Binding:
    stored = _spec(tensor)
    source = TensorSpec(
        signature_name or stored.name,
        stored.shape,
        "float32" if stored.quantization else stored.dtype,
    )
    return Binding(source, stored, tuple(range(len(stored.shape))), signature_name)
