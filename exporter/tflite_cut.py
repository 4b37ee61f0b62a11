"""Parts of a .tflite file as .tflite files of their own.

A part is written through the schema's object tree, with the operators and constants of the whole
file untouched, so that a runtime treats it as it treats the whole. Its bytes depend on nothing but
the file and what was asked for.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from devdiff.exporter.artifact import Binding, Quantization, TensorSpec, sha256_file
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.tflite_file import integers, parse, text
from devdiff.exporter.tflite_graph import Graph, GraphTensor, read_graph

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

# The schema demands it of every buffer (force_align); the generated writer forgets it.
_ALIGNMENT: Final = 16
# Describes the inputs and outputs of the whole model to apps, by their places.
_DROPPED_METADATA: Final = ("TFLITE_METADATA",)


@dataclass(frozen=True, slots=True, eq=False)
class ModelPart:
    """One part: its file's bytes, its tensors, and the operators in it by their old indices.

    ``inputs`` and ``outputs`` are bound to themselves under names that say where they stand in the
    whole file (`tensor_key`). Inputs take stored values: their bindings do not quantize.
    """

    data: bytes
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    operators: tuple[int, ...]


def tensor_key(index: int) -> str:
    """The name of tensor ``index`` of the whole file among a part's inputs and outputs."""
    return f"t{index}"


def apart_key(index: int, operator: int) -> str:
    """The name of tensor ``index`` among the inputs of operators that stand side by side."""
    return f"t{index}o{operator}"


class WholeModel:
    """A .tflite file to take parts of.

    Raises `ArtifactError` for what `read_graph` does not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.graph: Graph = read_graph(path)
        self.sha256 = sha256_file(path)
        self._model = parse(path)

    def part(self, inputs: Sequence[int], outputs: Sequence[int]) -> ModelPart:
        """What computes ``outputs`` from ``inputs``, both indices of computed tensors.

        Inputs that are not needed stay inputs, so that parts that begin alike take the same data.
        Raises `ArtifactError` when the outputs depend on an input of the whole file that is not
        among ``inputs``.
        """
        wanted = _between(self.graph, inputs, outputs)
        graph = self._model.subgraphs[0]
        kept = sorted({*inputs, *outputs, *self._used(wanted)})
        names = _unique_names([graph.tensors[i] for i in kept], kept, {*inputs})
        buffers = _Buffers(self._model.buffers)
        places = {index: place for place, index in enumerate(kept)}
        part = schema.SubGraphT()
        part.tensors = [
            _tensor(graph.tensors[index], names[index], buffers, index in inputs) for index in kept
        ]
        part.inputs = [places[index] for index in inputs]
        part.outputs = [places[index] for index in outputs]
        codes = sorted({graph.operators[index].opcodeIndex for index in wanted})
        part.operators = [_operator(graph.operators[index], places, codes) for index in wanted]
        signature = self._signature(inputs, outputs, places)
        return ModelPart(
            self._file(part, codes, buffers, signature),
            tuple(self._binding(i, names[i], signature, "inputs", places[i]) for i in inputs),
            tuple(self._binding(i, names[i], signature, "outputs", places[i]) for i in outputs),
            tuple(wanted),
        )

    def apart(self, data: Mapping[int, Sequence[int]]) -> ModelPart:
        """Some operators side by side in one file, each with inputs of its own.

        ``data`` maps each operator to the computed tensors it takes. The inputs are called
        `apart_key`, in the order of the operators; the outputs stand in that order, too.
        """
        graph = self._model.subgraphs[0]
        buffers = _Buffers(self._model.buffers)
        wanted = {
            index: _between(self.graph, taken, self.graph.operators[index].outputs)
            for index, taken in data.items()
        }
        every = sorted({operator for needed in wanted.values() for operator in needed})
        codes = sorted({graph.operators[index].opcodeIndex for index in every})
        part = schema.SubGraphT()
        part.tensors, part.inputs, part.outputs, part.operators = [], [], [], []
        inputs: list[Binding] = []
        outputs: list[Binding] = []
        for index, needed in wanted.items():
            places = {}
            for tensor in sorted({*data[index], *self._used(needed)}):
                places[tensor] = len(part.tensors)
                name = f"{text(graph.tensors[tensor].name)}#{tensor}#{index}"
                taken = tensor in data[index]
                part.tensors.append(_tensor(graph.tensors[tensor], name, buffers, taken))
            part.operators += [_operator(graph.operators[i], places, codes) for i in needed]
            for side, bindings, tensors in (
                ("inputs", inputs, data[index]),
                ("outputs", outputs, self.graph.operators[index].outputs),
            ):
                for tensor in tensors:
                    getattr(part, side).append(places[tensor])
                    name = part.tensors[places[tensor]].name
                    bound = self._binding(tensor, name, None, side, places[tensor])
                    key = apart_key(tensor, index) if side == "inputs" else tensor_key(tensor)
                    bindings.append(replace(bound, source=replace(bound.source, name=key)))
        file = self._file(part, codes, buffers, None)
        return ModelPart(file, tuple(inputs), tuple(outputs), tuple(wanted))

    def _used(self, operators: Sequence[int]) -> set[int]:
        """Every tensor that operators name."""
        used: set[int] = set()
        for index in operators:
            operator = self._model.subgraphs[0].operators[index]
            used.update((*integers(operator.inputs), *integers(operator.outputs)))
            used.update(integers(operator.intermediates))
        return used - {-1}

    def _file(self, part: Any, codes: Sequence[int], buffers: _Buffers, signature: Any) -> bytes:
        model = schema.ModelT()
        model.version = self._model.version
        model.description = self._model.description
        model.operatorCodes = [self._model.operatorCodes[code] for code in codes]
        part.name = self._model.subgraphs[0].name
        model.subgraphs = [part]
        model.metadata = [
            _metadata(entry, buffers)
            for entry in self._model.metadata or []
            if text(entry.name) not in _DROPPED_METADATA
        ]
        if signature is not None:
            model.signatureDefs = [signature]
        model.buffers = buffers.written
        return serialize(model)

    def _signature(
        self, inputs: Sequence[int], outputs: Sequence[int], places: dict[int, int]
    ) -> Any:
        """The main graph's signature, if there is one, for the part's own tensors."""
        for whole in self._model.signatureDefs or []:
            if whole.subgraphIndex != 0:
                continue
            given = {
                int(entry.tensorIndex): text(entry.name)
                for entry in (*(whole.inputs or []), *(whole.outputs or []))
            }
            signature = schema.SignatureDefT()
            signature.signatureKey = whole.signatureKey
            signature.inputs = _entries(inputs, given, places)
            signature.outputs = _entries(outputs, given, places)
            return signature
        return None

    def _binding(self, index: int, name: str, signature: Any, side: str, place: int) -> Binding:
        tensor = self.graph.tensors[index]
        entries = [] if signature is None else getattr(signature, side)
        signed = next((e.name for e in entries if e.tensorIndex == place), "")
        grid = quantization(tensor) if side == "outputs" else None
        stored = TensorSpec(name, tensor.shape, tensor.dtype, grid)
        dtype = "float32" if grid else tensor.dtype
        source = TensorSpec(tensor_key(index), tensor.shape, dtype)
        return Binding(source, stored, tuple(range(len(tensor.shape))), signed)


def quantization(tensor: GraphTensor) -> Quantization | None:
    """A tensor's only scale and zero point; None without one, or with one for every channel."""
    if tensor.scales is None or tensor.zero_points is None or len(tensor.scales) != 1:
        return None
    return Quantization(float(tensor.scales[0]), int(tensor.zero_points[0]))


def _between(graph: Graph, inputs: Collection[int], outputs: Collection[int]) -> list[int]:
    """The operators that lead from ``inputs`` to ``outputs``, in the file's order."""
    made_by = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    todo, found = [*outputs], set()
    while todo:
        tensor = todo.pop()
        if tensor in inputs or tensor < 0:
            continue
        operator = made_by.get(tensor)
        if operator is None:
            if tensor in graph.inputs:
                name = graph.tensors[tensor].name
                raise ArtifactError(f"a part without the input {name!r} cannot be computed")
            continue
        if operator.index not in found:
            found.add(operator.index)
            todo += operator.inputs
    return sorted(found)


def _unique_names(
    tensors: Sequence[Any], indices: Sequence[int], first: set[int]
) -> dict[int, str]:
    """Each tensor's name, with its index where another has it; those of ``first`` are kept."""
    order = sorted(zip(indices, tensors, strict=True), key=lambda pair: pair[0] not in first)
    names: dict[int, str] = {}
    taken: set[str] = set()
    for index, tensor in order:
        name = text(tensor.name)
        if not name or name in taken:
            name = f"{name}#{index}"
        names[index] = name
        taken.add(name)
    return names


class _Buffers:
    """The buffers of a part, each written once; number 0 is the empty one, as the schema wants."""

    def __init__(self, buffers: Sequence[Any]) -> None:
        self._whole = buffers
        self._places = {0: 0}
        self.written: list[Any] = [schema.BufferT()]

    def keep(self, index: int) -> int:
        if index not in self._places:
            self._places[index] = len(self.written)
            self.written.append(_AlignedBuffer.of(self._whole[index]))
        return self._places[index]


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data the writer puts on a multiple of `_ALIGNMENT`."""

    @classmethod
    def of(cls, buffer: Any) -> _AlignedBuffer:
        return cls(buffer.data, buffer.offset, buffer.size)

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the schema's own name
        data = None
        if self.data is not None:
            payload = bytes(self.data)
            builder.StartVector(1, len(payload), _ALIGNMENT)
            builder.head = builder.Head() - len(payload)
            builder.Bytes[builder.Head() : builder.Head() + len(payload)] = payload
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def serialize(model: Any) -> bytes:
    """An object tree as a .tflite file."""
    for place, buffer in enumerate(model.buffers):
        if not isinstance(buffer, _AlignedBuffer):
            model.buffers[place] = _AlignedBuffer.of(buffer)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(whole: Any, name: str, buffers: _Buffers, is_input: bool) -> Any:
    tensor = copy.copy(whole)
    tensor.name = name
    # Whatever computed it before, an input has no constant data.
    tensor.buffer = 0 if is_input else buffers.keep(whole.buffer)
    return tensor


def _operator(whole: Any, places: dict[int, int], codes: list[int]) -> Any:
    operator = copy.copy(whole)
    operator.opcodeIndex = codes.index(whole.opcodeIndex)
    # An optional input that is absent is number -1 in every file.
    places = {**places, -1: -1}
    operator.inputs = [places[index] for index in integers(whole.inputs)]
    operator.outputs = [places[index] for index in integers(whole.outputs)]
    if whole.intermediates is not None:
        operator.intermediates = [places[index] for index in integers(whole.intermediates)]
    operator.debugMetadataIndex = -1
    return operator


def _metadata(whole: Any, buffers: _Buffers) -> Any:
    entry = copy.copy(whole)
    entry.buffer = buffers.keep(whole.buffer)
    return entry


def _entries(indices: Sequence[int], given: dict[int, str], places: dict[int, int]) -> list[Any]:
    entries = []
    for index in indices:
        entry = schema.TensorMapT()
        entry.name = given.get(index) or tensor_key(index)
        entry.tensorIndex = places[index]
        entries.append(entry)
    return entries
