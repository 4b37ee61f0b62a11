"""ONNX has no magic number: its files are known by the fields of their protobuf messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Field numbers and wire types (0 a number, 2 a length and as many bytes) of onnx.proto.
_MODEL: Final[Mapping[int, int]] = {
    **dict.fromkeys((1, 5), 0),
    **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), 2),
}
_GRAPH: Final = (1, 2, 5, 10, 11, 12, 13, 14, 15, 16)
_NODE: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
_MODEL_GRAPH: Final = 7
_GRAPH_NODE: Final = 1
_GRAPH_OUTPUT: Final = 12
_NODE_OPERATOR: Final = 4
_BYTES: Final = 2
_MAX_VARINT: Final = 10


class _NotThisError(Exception):
    """The bytes are no such message."""


class _EndError(_NotThisError):
    """They end before the message does."""


def begins_like_onnx(head: bytes) -> bool:
    """Whether a file with this beginning may be a ModelProto, as far as it goes."""
    stream = _Stream([head])
    try:
        _read_model(stream)
    except _EndError:
        return True
    except _NotThisError:
        return False
    return True


def is_onnx(blocks: Iterable[bytes]) -> bool:
    """Whether a file's content, in blocks, is a ModelProto with a graph of nodes and outputs.

    Only the sizes are followed and nothing is held in memory; what is something else ends within
    its first fields.
    """
    try:
        return _read_model(_Stream(blocks)) == 1
    except _NotThisError:
        return False


def _read_model(stream: _Stream) -> int:
    """How many graphs a ModelProto has."""
    graphs = 0
    while not stream.at_end:
        field, wire = stream.key()
        if _MODEL.get(field) != wire:
            raise _NotThisError
        if wire != _BYTES:
            stream.varint()
        elif field == _MODEL_GRAPH:
            _check_graph(stream, stream.varint())
            graphs += 1
        else:
            stream.skip(stream.varint())
    return graphs


def _check_graph(stream: _Stream, size: int) -> None:
    end, nodes, outputs = stream.at + size, 0, 0
    for field in _fields(stream, end, _GRAPH):
        length = stream.varint()
        if field == _GRAPH_NODE:
            node_end = stream.at + length
            operator = False
            for inner in _fields(stream, node_end, _NODE):
                operator |= inner == _NODE_OPERATOR
                stream.skip(stream.varint())
            if not operator:
                raise _NotThisError
            nodes += 1
        else:
            outputs += field == _GRAPH_OUTPUT
            stream.skip(length)
    if not nodes or not outputs:
        raise _NotThisError


def _fields(stream: _Stream, end: int, known: tuple[int, ...]) -> Iterator[int]:
    """The fields of a message that ends at ``end``, all of which hold bytes."""
    while stream.at < end:
        field, wire = stream.key()
        if wire != _BYTES or field not in known:
            raise _NotThisError
        yield field
    if stream.at != end:
        raise _NotThisError


class _Stream:
    """Reads a protobuf message from blocks, forward only."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._block = b""
        self._next = 0
        self._passed = 0

    @property
    def at(self) -> int:
        """How many bytes were read."""
        return self._passed + self._next

    @property
    def at_end(self) -> bool:
        while self._next >= len(self._block):
            self._passed += len(self._block)
            self._next = 0
            self._block = next(self._blocks, b"")
            if not self._block:
                return True
        return False

    def varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT):
            if self.at_end:
                raise _EndError
            byte = self._block[self._next]
            self._next += 1
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise _NotThisError

    def key(self) -> tuple[int, int]:
        """A field's number and wire type."""
        value = self.varint()
        return value >> 3, value & 7

    def skip(self, count: int) -> None:
        while count > 0:
            if self.at_end:
                raise _EndError
            step = min(count, len(self._block) - self._next)
            self._next += step
            count -= step
