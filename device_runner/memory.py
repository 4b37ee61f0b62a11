"""How much memory a runner may take for a model, so that a damaged one cannot take the machine's.

Interpreters compute shapes anew from what lies in the file: two changed bytes among the constants
of a Pad make them ask for gigabytes. What the file itself says of its tensors' sizes bounds what an
undamaged model needs.
"""

from __future__ import annotations

import math
import os
import re
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLE: Final = "DEVDIFF_RUNNER_MEMORY"
_GIB: Final = 1 << 30
# Frameworks before any model, and what models keep outside of their tensors.
_BASE: Final = _GIB
# Four pools with a thread a core, of 8 MiB of stack each, and as much again.
_CORE: Final = 64 << 20
# Kernels pack weights again, and arenas are not filled to the brim.
_FACTOR: Final = 4
# Of source models, and of shapes that are only known when it runs, nothing is said in the file.
_UNKNOWN_BASE: Final = 8 * _GIB
_UNKNOWN_FACTOR: Final = 8

_ITEM_BYTES: Final = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 8: 8, 9: 1, 10: 8, 11: 16, 12: 8}
_OTHER_BYTES: Final = 8
# Fields of the schema's tables, by their place in them.
_SUBGRAPHS, _TENSORS, _SHAPE, _TYPE, _SIGNATURE = 2, 0, 0, 1, 7
_MOST_TENSORS: Final = 1_000_000
_REFUSED: Final = re.compile(
    rb"bad_alloc|MemoryError|[Oo]ut of memory|[Cc]annot (be )?allocate|[Ff]ail\w* to (re)?allocate"
)


def allowed(model: Path) -> int | None:
    """The bytes that a runner of ``model`` may allocate; None without a limit.

    ``DEVDIFF_RUNNER_MEMORY`` is a limit in GiB that is taken instead, or 0 for none.
    """
    named = os.environ.get(VARIABLE, "")
    try:
        return round(float(named) * _GIB) or None
    except (ValueError, OverflowError):
        pass
    try:
        size = _size(model)
        tensors = tensor_bytes(model) if model.suffix == ".tflite" else None
    except OSError:
        return None
    if tensors is None:
        return _UNKNOWN_BASE + _threads() + _UNKNOWN_FACTOR * size
    return _BASE + _threads() + _FACTOR * (tensors + size)


def _threads() -> int:
    """What the stacks of frameworks' threads may take: some for each core, whether used or not."""
    return _CORE * (os.cpu_count() or 1)


def refused(printed: bytes) -> bool:
    """Whether a runner printed that it could not get memory."""
    return _REFUSED.search(printed) is not None


def too_much(limit: int) -> str:
    """What to say of a model that asked for more than ``limit`` bytes."""
    return (
        f"out of memory: the model asks for more than its tensors need (it may take "
        f"{limit / _GIB:.1f} GiB; {VARIABLE}=GIB allows more), it may be damaged"
    )


def tensor_bytes(path: Path) -> int | None:
    """The bytes of all tensors of a .tflite file, by the shapes in it.

    None for what is damaged, or has shapes that are only known when it runs.
    """
    import mmap

    if path.stat().st_size < 8:
        return None
    with (
        path.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        try:
            return sum(_sizes(data))
        except (struct.error, ValueError, IndexError):
            return None


def _size(model: Path) -> int:
    if model.is_dir():
        return sum(path.stat().st_size for path in model.rglob("*") if path.is_file())
    return model.stat().st_size


def _sizes(data: object) -> Iterator[int]:
    """The size of each tensor. Raises `ValueError` for a shape that is not known."""
    root = _offset(data, 0)
    for graph in _tables(data, _field(data, root, _SUBGRAPHS)):
        for tensor in _tables(data, _field(data, graph, _TENSORS)):
            if any(size < 0 for size in _integers(data, _field(data, tensor, _SIGNATURE))):
                raise ValueError("a shape is not fixed")
            kind = _field(data, tensor, _TYPE)
            code = _read(data, "<b", kind) if kind else 0
            shape = _integers(data, _field(data, tensor, _SHAPE))
            if any(size < 0 for size in shape):
                raise ValueError("a shape is none")
            yield math.prod(shape) * _ITEM_BYTES.get(code, _OTHER_BYTES)


def _read(data: object, form: str, place: int) -> int:
    if place < 0:
        raise ValueError("an offset leads out of the file")
    value: int = struct.unpack_from(form, data, place)[0]  # type: ignore[arg-type]
    return value


def _offset(data: object, place: int) -> int:
    return place + _read(data, "<I", place)


def _field(data: object, table: int, field: int) -> int:
    """Where a table's field lies; 0 when it is left out."""
    layout = table - _read(data, "<i", table)
    place = 4 + 2 * field
    if place >= _read(data, "<H", layout):
        return 0
    found = _read(data, "<H", layout + place)
    return table + found if found else 0


def _vector(data: object, field: int) -> tuple[int, int]:
    """The first element's place, and how many there are."""
    if not field:
        return 0, 0
    start = _offset(data, field)
    count = _read(data, "<I", start)
    if count > _MOST_TENSORS:
        raise ValueError("a vector is longer than any")
    return start + 4, count


def _tables(data: object, field: int) -> Iterator[int]:
    start, count = _vector(data, field)
    for place in range(start, start + 4 * count, 4):
        yield _offset(data, place)


def _integers(data: object, field: int) -> list[int]:
    start, count = _vector(data, field)
    return [_read(data, "<i", place) for place in range(start, start + 4 * count, 4)]
