"""The constants of .tflite files that do not fit memory many times over.

A constant lies inside the flatbuffer, or behind it at an offset into the file, which TensorFlow's
own tools read and not every interpreter does. Behind it, it is not copied by what works on the
rest. Files for others are written with all of them inside, one after the other from wherever they
lie.
"""

from __future__ import annotations

import mmap
import struct
from typing import TYPE_CHECKING, Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.artifact import Array

_MARK: Final = b"TFL3"
_DATA_FIELD: Final = 4  # of a Buffer, in its table's layout
_ALIGNMENT: Final = 16
_INSIDE_BYTES: Final = 1 << 16
_COPIED_ROWS_BYTES: Final = 16 << 20


def mapped(path: Path) -> mmap.mmap:
    """A file's bytes, read as they are asked for, as long as anything made of them lives."""
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def large(model: Any) -> dict[int, Array]:
    """The large constants of ``model`` (a schema's object tree), as uint8, by their buffer."""
    return {
        place: buffer.data
        for place, buffer in enumerate(model.buffers)
        if buffer.data is not None and len(buffer.data) > _INSIDE_BYTES
    }


def lying_behind(data: bytes, model: Any) -> dict[int, Array]:
    """The constants that lie behind the flatbuffer in ``data``, as uint8, by their buffer."""
    return {
        place: np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        for place, buffer in enumerate(model.buffers)
        if buffer.offset > 1
    }


def behind(model: Any, constants: Mapping[int, Array]) -> bytes:
    """The bytes of ``model`` with ``constants`` behind the flatbuffer, by their buffer.

    What reads such a file and packs it again packs little.
    """
    for place, array in constants.items():
        buffer = model.buffers[place]
        # Any offset takes as much room as the right one.
        buffer.data, buffer.offset, buffer.size = None, 2, array.nbytes
    end = len(packed(model))
    pieces: list[Any] = [b""]
    for place, array in constants.items():
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        model.buffers[place].offset = start
        pieces += [b"\0" * (start - end), np.ascontiguousarray(array).data]
        end = start + array.nbytes
    pieces[0] = packed(model)
    return b"".join(pieces)


def packed(table: Any, mark: bytes | None = _MARK) -> bytes:
    """An object tree as bytes: a model, or with another ``mark`` something else."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(table.Pack(builder), mark)
    return bytes(builder.Output())


def write(model: Any, constants: Mapping[int, Array], path: Path) -> None:
    """Write ``model`` (a schema's object tree) to ``path`` with ``constants`` by their buffer.

    The arrays may be memory maps and transposed views; one is read at a time, in pieces.
    """
    behind = {}
    for place, array in constants.items():
        buffer = model.buffers[place]
        buffer.offset = buffer.size = 0
        if array.nbytes <= _INSIDE_BYTES:
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        else:
            buffer.data = np.zeros(1, np.uint8)  # so that the field is there
            behind[place] = array
    head = bytearray(packed(model))
    root = schema.Model.GetRootAs(head, 0)
    end = len(head)
    starts = {}
    for place, array in behind.items():
        table = root.Buffers(place)._tab
        field = table.Pos + table.Offset(_DATA_FIELD)
        # The length stands right before the elements, which are aligned.
        starts[place] = -(-(end + 4) // _ALIGNMENT) * _ALIGNMENT - 4
        struct.pack_into("<I", head, field, starts[place] - field)
        end = starts[place] + 4 + array.nbytes
    with path.open("wb") as stream:
        stream.write(head)
        for place, array in behind.items():
            stream.write(b"\0" * (starts[place] - stream.tell()))
            stream.write(struct.pack("<I", array.nbytes))
            _write_rows(array, stream)


def _write_rows(array: Array, stream: Any) -> None:
    rows = max(1, _COPIED_ROWS_BYTES // max(1, array.nbytes // max(1, len(array))))
    for first in range(0, len(array), rows):
        stream.write(np.ascontiguousarray(array[first : first + rows]).data)
