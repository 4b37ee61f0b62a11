"""Reading result packs: blocks of samples as stacked arrays, in memory that does not grow.

A block is a run of consecutive samples whose records have the same size and shapes, so that one
strided view covers them all. Failed samples, and samples of a model with dynamic shapes, simply
make shorter runs.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import (
    MAX_PAYLOAD_BYTES,
    RECORD_HEAD,
    RECORD_TAIL,
    TAG_DONE,
    TAG_SAMPLE,
    PackTensor,
    Status,
    read_header,
    scan,
)
from devdiff.exporter.artifact import Array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Small enough for a second-level cache, large enough that Python does not count.
BLOCK_BYTES: Final = 1 << 19
_FRAME: Final = RECORD_HEAD.size + RECORD_TAIL.size
_WORD: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """``count`` consecutive samples from ``start`` on that share their status and shapes.

    ``arrays`` holds, for each tensor of the pack's table in its order, a read-only array
    ``[count, *shape]``; it is empty when ``status`` is not OK (such a block has one sample, and
    ``message`` says why). ``nanoseconds`` is uint64 ``[count]``, the time of each invocation.
    """

    start: int
    count: int
    status: Status
    nanoseconds: npt.NDArray[np.uint64]
    arrays: tuple[Array, ...]
    message: str = ""

    def part(self, start: int, count: int) -> Block:
        """``count`` of its samples from sample ``start`` (counted over the whole pack) on."""
        begin = start - self.start
        cut = slice(begin, begin + count)
        return Block(
            start,
            count,
            self.status,
            self.nanoseconds[cut],
            tuple(array[cut] for array in self.arrays),
            self.message,
        )


class ResultReader:
    """A result pack on disk. Raises `PackError` when its header is damaged.

    Only the header and the end are read at first: ``count`` is the number of samples, or None when
    the pack has no end record because what wrote it did not finish.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as stream:
            try:
                self.header = read_header(stream)
            except PackError as error:
                raise PackError(f"{path}: {error}") from error
            self._begin = stream.tell()
            self.count = _count_at_end(stream, self._begin)

    @property
    def about(self) -> Mapping[str, Any]:
        """What the runner said of itself."""
        return self.header.about

    @property
    def tensors(self) -> tuple[PackTensor, ...]:
        """The table: every block's ``arrays`` are in this order."""
        return self.header.tensors

    @property
    def complete(self) -> bool:
        """Whether the pack ends with its end record."""
        return self.count is not None

    @property
    def record_bytes(self) -> int:
        """Size of one record if every tensor has the table's shape."""
        size = _FRAME
        for tensor in self.tensors:
            elements = 1
            for dim in tensor.shape:
                elements *= dim
            stored = elements * np.dtype(tensor.dtype).itemsize
            size += _WORD * len(tensor.shape) + stored + -stored % _WORD
        return size

    def read_blocks(
        self, *, max_bytes: int = BLOCK_BYTES, max_samples: int | None = None
    ) -> Iterator[Block]:
        """All samples in order, in blocks of at most ``max_bytes`` (but at least one sample).

        The checksum of every record is verified: it costs about a fifth of a comparison. Raises
        `PackError` where a record is damaged or missing, or where the pack ends too early.
        """
        expected = 0
        with self.path.open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            position = self._begin
            while True:
                window = self._window(stream, position, size, expected, max_bytes, max_samples)
                taken = 0
                while not window.ends_at(taken):
                    block, taken = window.take(taken, expected)
                    if block is None:
                        if position + taken != size:
                            raise PackError(f"{self.path}: bytes follow the end record")
                        return
                    yield block
                    expected += block.count
                position += taken

    def _window(
        self,
        stream: IO[bytes],
        position: int,
        size: int,
        expected: int,
        max_bytes: int,
        max_samples: int | None,
    ) -> _RecordWindow:
        """As many whole records from ``position`` on as the next one's size lets fit."""
        stream.seek(position)
        head = stream.read(RECORD_HEAD.size)
        if len(head) == RECORD_HEAD.size:
            tag, _, _, _, payload = RECORD_HEAD.unpack(head)
            if tag not in (TAG_SAMPLE, TAG_DONE) or payload > MAX_PAYLOAD_BYTES or payload % _WORD:
                raise PackError(f"{self.path}: record {expected} is damaged")
            record = _FRAME + payload
            if position + record <= size:
                records = max(1, min(max_bytes // record, max_samples or max_bytes))
                length = min(records * record, size - position)
                return _RecordWindow(self.path, self.tensors, _read(stream, position, length))
        raise PackError(
            f"{self.path}: cut off after {expected} whole samples; run again to finish it"
        )

    def nanoseconds(self) -> npt.NDArray[np.uint64]:
        """The time of each sample's invocation, ``[count]``."""
        return self._column(lambda head: head[3], np.dtype(np.uint64))

    def statuses(self) -> npt.NDArray[np.uint8]:
        """The `Status` of each sample as a number, ``[count]``."""
        return self._column(lambda head: min(head[1], Status.CRASHED), np.dtype(np.uint8))

    def _column(self, pick: Any, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        return np.fromiter((pick(head) for head in self._heads()), dtype)

    def _heads(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Tag, status, index, nanoseconds and payload size of each sample; payloads are skipped."""
        with self.path.open("rb", buffering=0) as stream:
            position, expected = self._begin, 0
            while True:
                stream.seek(position)
                data = stream.read(RECORD_HEAD.size)
                head = RECORD_HEAD.unpack(data) if len(data) == RECORD_HEAD.size else (0,) * 5
                if head[0] not in (TAG_SAMPLE, TAG_DONE) or head[2] != expected:
                    raise PackError(f"{self.path}: record {expected} is damaged or missing")
                if head[0] == TAG_DONE:
                    return
                yield head
                position += _FRAME + head[4]
                expected += 1


class _RecordWindow:
    """Some records of a pack in memory; the arrays of its blocks are views on it."""

    def __init__(self, path: Path, tensors: tuple[PackTensor, ...], data: Array) -> None:
        self._path = path
        self._tensors = tensors
        self._data = data
        self._bytes = data.data

    def ends_at(self, offset: int) -> bool:
        """Whether no whole record lies at ``offset``."""
        left = len(self._bytes) - offset
        if left < RECORD_HEAD.size:
            return True
        payload = int(RECORD_HEAD.unpack_from(self._bytes, offset)[4])
        # A damaged size is left to the next window, which names the record.
        return payload % _WORD != 0 or left < _FRAME + payload

    def take(self, offset: int, expected: int) -> tuple[Block | None, int]:
        """The longest block at ``offset`` and the offset behind it; None for the end record."""
        tag, status, index, nanoseconds, payload = RECORD_HEAD.unpack_from(self._bytes, offset)
        record = _FRAME + payload
        if tag not in (TAG_SAMPLE, TAG_DONE):
            raise PackError(f"{self._path}: record {expected} is damaged")
        if tag == TAG_SAMPLE and status == Status.OK:
            return self._take_run(offset, expected, record)
        self._verify(offset, record, 1, expected)
        self._require(index, expected)
        if tag == TAG_DONE:
            return None, offset + record
        body = bytes(self._bytes[offset + RECORD_HEAD.size : offset + record - RECORD_TAIL.size])
        failed = Block(
            expected,
            1,
            Status(min(status, Status.CRASHED)),
            np.array([nanoseconds], np.uint64),
            (),
            body.rstrip(b"\0").decode(errors="replace"),
        )
        return failed, offset + record

    def _take_run(self, offset: int, expected: int, record: int) -> tuple[Block, int]:
        count = (len(self._bytes) - offset) // record
        words = self._data[offset : offset + count * record].view("<u8").reshape(count, -1)
        shapes, offsets = self._layout(offset, record, expected)
        self._require(int(words[0, 1]), expected)
        same = words[:, 0] == TAG_SAMPLE
        same &= words[:, 1] == np.arange(expected, expected + count, dtype=np.uint64)
        same &= words[:, 3] == words[0, 3]
        for shape, data in zip(shapes, offsets, strict=True):
            dims = slice(data // _WORD - len(shape), data // _WORD)
            same &= (words[:, dims] == words[0, dims]).all(axis=1)
        run = count if same.all() else int(same.argmin())
        self._verify(offset, record, run, expected)
        arrays = tuple(
            self._stack(tensor, shape, run, offset + data, record)
            for tensor, shape, data in zip(self._tensors, shapes, offsets, strict=True)
        )
        block = Block(expected, run, Status.OK, words[:run, 2], arrays)
        return block, offset + run * record

    def _layout(
        self, offset: int, record: int, index: int
    ) -> tuple[list[tuple[int, ...]], list[int]]:
        """Shapes of the record at ``offset``, and where in it each tensor's elements begin."""
        shapes, offsets = [], []
        place, end = RECORD_HEAD.size, record - RECORD_TAIL.size
        for tensor in self._tensors:
            rank = len(tensor.shape)
            if place + _WORD * rank > end:
                raise PackError(f"{self._path}: sample {index} is too short for {tensor.name!r}")
            shape = struct.unpack_from(f"<{rank}Q", self._bytes, offset + place)
            place += _WORD * rank
            size = np.dtype(tensor.dtype).itemsize
            for dim in shape:
                size *= dim
            if size > end - place or max(shape, default=0) > MAX_PAYLOAD_BYTES:
                raise PackError(
                    f"{self._path}: sample {index} is too short for {tensor.name!r} of shape "
                    f"{list(shape)}"
                )
            shapes.append(shape)
            offsets.append(place)
            place += size + -size % _WORD
        if place != end:
            raise PackError(f"{self._path}: sample {index} has {end - place} bytes too many")
        return shapes, offsets

    def _stack(
        self, tensor: PackTensor, shape: tuple[int, ...], run: int, offset: int, record: int
    ) -> Array:
        dtype = np.dtype(tensor.dtype).newbyteorder("<")
        strides = [dtype.itemsize]
        for dim in reversed(shape):
            strides.append(strides[-1] * dim)
        inner = tuple(reversed(strides[:-1]))
        array: Array = np.ndarray((run, *shape), dtype, self._data, offset, (record, *inner))
        array.flags.writeable = False
        return array

    def _verify(self, offset: int, record: int, count: int, index: int) -> None:
        view, body = self._bytes, record - RECORD_TAIL.size
        tails = self._data[offset : offset + count * record].view("<u4").reshape(count, -1)[:, -2]
        for row, stored in enumerate(tails.tolist()):
            start = offset + row * record
            if zlib.crc32(view[start : start + body]) != stored:
                raise PackError(
                    f"{self._path}: sample {index + row} is damaged: its checksum does not match"
                )

    def _require(self, index: int, expected: int) -> None:
        if index != expected:
            raise PackError(f"{self._path}: record {index} stands where {expected} should")


def _read(stream: IO[bytes], position: int, length: int) -> Array:
    # A block keeps its buffer alive, so each window gets its own; the allocator hands back the
    # one that was just freed.
    data = np.empty(length, np.uint8)
    view = data.data
    stream.seek(position)
    filled = 0
    while filled < length:
        got = os.readv(stream.fileno(), [view[filled:]])
        if not got:
            raise PackError("a result pack shrank while it was read")
        filled += got
    return data


def _count_at_end(stream: IO[bytes], begin: int) -> int | None:
    size = os.fstat(stream.fileno()).st_size
    if size - begin < _FRAME:
        return None
    stream.seek(size - _FRAME)
    data = stream.read(_FRAME)
    tag, _, index, _, payload = RECORD_HEAD.unpack_from(data)
    (crc, _) = RECORD_TAIL.unpack_from(data, RECORD_HEAD.size)
    whole = crc == zlib.crc32(data[: RECORD_HEAD.size])
    return int(index) if tag == TAG_DONE and payload == 0 and whole else None


@dataclass(frozen=True, slots=True)
class Prefix:
    """The part of a pack that can be trusted: ``samples`` whole records, up to offset ``end``.

    ``complete`` says that the end record is among them.
    """

    samples: int
    end: int
    complete: bool


def last_good(path: Path) -> Prefix:
    """How much of a possibly truncated or damaged pack is whole, so that it can be continued.

    A pack whose header cannot be read has nothing: ``Prefix(0, 0, False)``.
    """
    with path.open("rb") as stream:
        try:
            read_header(stream)
        except PackError:
            return Prefix(0, 0, False)
        samples, end = 0, stream.tell()
        for extent in scan(stream):
            if extent.index != samples:
                break
            if extent.done:
                return Prefix(samples, extent.end, True)
            samples, end = samples + 1, extent.end
    return Prefix(samples, end, False)
