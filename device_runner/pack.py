"""The pack: one stream format for what goes into a runner and what comes out of it.

Every runner, in Python or C, on the host or on a phone, reads an input pack (a file or a pipe) and
writes a result pack. All integers are little-endian; every part starts on a multiple of 8 bytes::

    header  "DDPACK01"
            u64 about_bytes, about (JSON, UTF-8), zeros up to a multiple of 8
            u64 table_bytes, table,               zeros up to a multiple of 8
            u32 crc32 of all of the above after the magic, u32 0
    table   u32 tensors, u32 0, then for each tensor:
            u32 dtype, u32 rank, u32 name_bytes, u32 signature_bytes, u64 dims[rank],
            name (UTF-8), zeros up to 8, signature name (UTF-8, may be empty), zeros up to 8
    record  u32 tag, u32 status, u64 index, u64 nanoseconds, u64 payload_bytes,
            payload (zero-padded; payload_bytes counts the padding, so is a multiple of 8),
            u32 crc32 from tag to the payload's end, u32 0

``dtype`` is a ``TfLiteType`` number. Records: ``SMPL`` is one sample; ``DONE`` ends the stream and
its index is the number of samples before it. ``nanoseconds`` is the time of one invocation (0 in an
input pack). The payload of an ``OK`` sample is, for each tensor of the table in order, u64
dims[rank] of this very sample and then its elements, zero-padded to a multiple of 8. The payload of
a failed sample is the error message in UTF-8, zero-padded.

Limits, so that a damaged stream cannot ask for the moon: see the ``MAX_`` constants.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any, Final

import numpy as np

from devdiff.device_runner.errors import PackError
from devdiff.exporter.artifact import Array, TensorSpec

Buffer = bytes | memoryview

MAGIC: Final = b"DDPACK01"
TAG_SAMPLE: Final = int.from_bytes(b"SMPL", "little")
TAG_DONE: Final = int.from_bytes(b"DONE", "little")
RECORD_HEAD: Final = struct.Struct("<IIQQQ")
RECORD_TAIL: Final = struct.Struct("<II")

MAX_ABOUT_BYTES: Final = 1 << 20
MAX_TABLE_BYTES: Final = 1 << 20
MAX_TENSORS: Final = 256
MAX_RANK: Final = 8
MAX_PAYLOAD_BYTES: Final = 1 << 31

# TfLiteType numbers, from TensorFlow Lite's c_api_types.h.
DTYPE_CODES: Final[Mapping[str, int]] = {
    "float32": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "int8": 9,
    "float16": 10,
    "float64": 11,
    "uint64": 13,
    "uint32": 16,
    "uint16": 17,
}
_DTYPE_NAMES: Final = {code: name for name, code in DTYPE_CODES.items()}


class Status(IntEnum):
    """What became of one sample."""

    OK = 0
    FAILED = 1
    CRASHED = 2


@dataclass(frozen=True, slots=True)
class PackTensor:
    """A tensor as the table names it; ``shape`` is the static one."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    signature_name: str = ""

    @classmethod
    def of(cls, spec: TensorSpec, signature_name: str = "") -> PackTensor:
        return cls(spec.name, spec.dtype, spec.shape, signature_name)


@dataclass(frozen=True, slots=True)
class Header:
    """What a pack says of itself: ``about`` is free JSON, ``tensors`` the table."""

    about: Mapping[str, Any]
    tensors: tuple[PackTensor, ...]


@dataclass(frozen=True, slots=True)
class PackSample:
    """One sample: its arrays when ``status`` is OK, otherwise the message."""

    index: int
    status: Status
    nanoseconds: int
    arrays: tuple[Array, ...]
    message: str = ""


def _padding(size: int) -> bytes:
    return bytes(-size % 8)


def _padded(data: bytes) -> bytes:
    return data + _padding(len(data))


def encode_header(header: Header) -> bytes:
    """The header's bytes. Raises `PackError` when it breaks a limit."""
    about = json.dumps(header.about, separators=(",", ":"), sort_keys=True).encode()
    parts = [struct.pack("<II", len(header.tensors), 0)]
    for tensor in header.tensors:
        if tensor.dtype not in DTYPE_CODES:
            raise PackError(f"tensor {tensor.name!r}: dtype {tensor.dtype} has no TFLite type")
        name, signature = tensor.name.encode(), tensor.signature_name.encode()
        parts.append(
            struct.pack(
                f"<IIII{len(tensor.shape)}Q",
                DTYPE_CODES[tensor.dtype],
                len(tensor.shape),
                len(name),
                len(signature),
                *tensor.shape,
            )
        )
        parts += [_padded(name), _padded(signature)]
    table = b"".join(parts)
    if len(about) > MAX_ABOUT_BYTES or len(table) > MAX_TABLE_BYTES:
        raise PackError("pack header too large")
    body = (
        struct.pack("<Q", len(about))
        + _padded(about)
        + struct.pack("<Q", len(table))
        + _padded(table)
    )
    return MAGIC + body + RECORD_TAIL.pack(zlib.crc32(body), 0)


def record_parts(
    index: int,
    arrays: Sequence[Array] = (),
    *,
    status: Status = Status.OK,
    nanoseconds: int = 0,
    message: str = "",
) -> list[Buffer]:
    """One sample's bytes in pieces, so that large arrays go to a pipe without being copied.

    ``arrays`` stand in the table's order; ``message`` is for a failed sample.
    """
    payload: list[Buffer] = []
    size = 0
    if status is Status.OK:
        for array in arrays:
            data = np.ascontiguousarray(array)
            payload.append(struct.pack(f"<{array.ndim}Q", *array.shape))
            payload.append(data.reshape(-1).view(np.uint8).data)
            payload.append(_padding(data.nbytes))
            size += 8 * array.ndim + data.nbytes + len(_padding(data.nbytes))
    else:
        payload.append(_padded(message.encode()[:4096]))
        size = len(payload[0])
    return _sealed(RECORD_HEAD.pack(TAG_SAMPLE, status, index, nanoseconds, size), payload)


def encode_record(
    index: int,
    arrays: Sequence[Array] = (),
    *,
    status: Status = Status.OK,
    nanoseconds: int = 0,
    message: str = "",
) -> bytes:
    """One sample's bytes; ``arrays`` in the table's order, or ``message`` for a failed one."""
    return b"".join(
        record_parts(index, arrays, status=status, nanoseconds=nanoseconds, message=message)
    )


def encode_done(samples: int) -> bytes:
    """The record that ends a stream of ``samples`` samples."""
    return b"".join(_sealed(RECORD_HEAD.pack(TAG_DONE, 0, samples, 0, 0), []))


def _sealed(head: bytes, payload: Sequence[Buffer]) -> list[Buffer]:
    crc = zlib.crc32(head)
    for part in payload:
        crc = zlib.crc32(part, crc)
    return [head, *payload, RECORD_TAIL.pack(crc, 0)]


def _read_exactly(stream: IO[bytes], size: int, section: str) -> bytes:
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise PackError(f"pack ends in the middle of its {section}")
        data += more
    return data


def read_header(stream: IO[bytes]) -> Header:
    """The header of a pack. Raises `PackError` when it is damaged or from another version."""
    magic = _read_exactly(stream, len(MAGIC), "magic")
    if magic != MAGIC:
        raise PackError(f"not a pack of this version: it starts with {magic!r}, not {MAGIC!r}")
    body = b""
    sections = []
    for section, limit in (("about", MAX_ABOUT_BYTES), ("table", MAX_TABLE_BYTES)):
        head = _read_exactly(stream, 8, section)
        (size,) = struct.unpack("<Q", head)
        if size > limit:
            raise PackError(f"pack {section} claims {size} bytes, the limit is {limit}")
        data = _read_exactly(stream, size + -size % 8, section)
        sections.append(data[:size])
        body += head + data
    (crc, _) = RECORD_TAIL.unpack(_read_exactly(stream, RECORD_TAIL.size, "checksum"))
    if crc != zlib.crc32(body):
        raise PackError("pack header is damaged: its checksum does not match")
    try:
        about = json.loads(sections[0])
    except (ValueError, RecursionError) as error:
        raise PackError(f"pack header is not JSON: {error}") from error
    if not isinstance(about, dict):
        raise PackError("pack header is not a JSON object")
    return Header(about, _parse_table(sections[1]))


def _parse_table(table: bytes) -> tuple[PackTensor, ...]:
    try:
        count, _ = struct.unpack_from("<II", table)
        if count > MAX_TENSORS:
            raise PackError(f"pack lists {count} tensors, the limit is {MAX_TENSORS}")
        offset = 8
        tensors = []
        for _ in range(count):
            code, rank, name_bytes, signature_bytes = struct.unpack_from("<IIII", table, offset)
            offset += 16
            if rank > MAX_RANK or code not in _DTYPE_NAMES:
                raise PackError(f"pack tensor with rank {rank} and type {code}")
            shape = struct.unpack_from(f"<{rank}Q", table, offset)
            offset += 8 * rank
            names = []
            for size in (name_bytes, signature_bytes):
                if offset + size > len(table):
                    raise PackError("pack table is cut short")
                names.append(table[offset : offset + size].decode())
                offset += size + -size % 8
            tensors.append(PackTensor(names[0], _DTYPE_NAMES[code], shape, names[1]))
    except (struct.error, UnicodeDecodeError) as error:
        raise PackError(f"pack table is damaged: {error}") from error
    return tuple(tensors)


def decode_payload(tensors: Sequence[PackTensor], payload: bytes) -> tuple[Array, ...]:
    """The arrays of one OK sample, read-only views on ``payload``."""
    arrays = []
    offset = 0
    for tensor in tensors:
        rank = len(tensor.shape)
        if offset + 8 * rank > len(payload):
            raise PackError(f"sample is too short for tensor {tensor.name!r}")
        shape = struct.unpack_from(f"<{rank}Q", payload, offset)
        offset += 8 * rank
        dtype = np.dtype(tensor.dtype)
        # An axis of length 0 makes a tensor empty, but not its other axes reasonable.
        extent = dtype.itemsize
        for dim in shape:
            extent *= max(dim, 1)
        elements = 0 if 0 in shape else extent // dtype.itemsize
        size = elements * dtype.itemsize
        if size > len(payload) - offset or extent > MAX_PAYLOAD_BYTES:
            raise PackError(f"sample is too short for tensor {tensor.name!r} of shape {shape}")
        view = np.frombuffer(payload, dtype, count=elements, offset=offset)
        arrays.append(view.reshape(shape))
        offset += size + -size % 8
    if offset != len(payload):
        raise PackError(f"sample has {len(payload) - offset} bytes too many")
    return tuple(arrays)


def read_record(stream: IO[bytes], tensors: Sequence[PackTensor]) -> PackSample | int:
    """The next sample, or the number of samples when the stream ends as it should.

    Raises `PackError` when the record is cut short or its checksum does not match.
    """
    head = _read_exactly(stream, RECORD_HEAD.size, "record")
    tag, status, index, nanoseconds, size = RECORD_HEAD.unpack(head)
    if tag not in (TAG_SAMPLE, TAG_DONE) or size > MAX_PAYLOAD_BYTES or size % 8:
        raise PackError(f"pack record {index} is damaged")
    payload = _read_exactly(stream, size, "sample")
    (crc, _) = RECORD_TAIL.unpack(_read_exactly(stream, RECORD_TAIL.size, "checksum"))
    if crc != zlib.crc32(payload, zlib.crc32(head)):
        raise PackError(f"pack record {index} is damaged: its checksum does not match")
    if tag == TAG_DONE:
        return int(index)
    if status == Status.OK:
        return PackSample(index, Status.OK, nanoseconds, decode_payload(tensors, payload))
    message = payload.rstrip(b"\0").decode(errors="replace")
    return PackSample(index, Status(min(status, Status.CRASHED)), nanoseconds, (), message)


@dataclass(frozen=True, slots=True)
class Extent:
    """Where one whole record lies in its file; ``end`` is the offset behind it."""

    index: int
    done: bool
    start: int
    end: int


def scan(stream: IO[bytes]) -> Iterator[Extent]:
    """The whole, undamaged records from here on; stops at the first that is not.

    For streams that may have been cut off: what follows the last extent is worth nothing.
    """
    start = stream.tell()
    while True:
        head = stream.read(RECORD_HEAD.size)
        if len(head) < RECORD_HEAD.size:
            return
        tag, _, index, _, size = RECORD_HEAD.unpack(head)
        if tag not in (TAG_SAMPLE, TAG_DONE) or size > MAX_PAYLOAD_BYTES:
            return
        payload = stream.read(size)
        tail = stream.read(RECORD_TAIL.size)
        if len(payload) < size or len(tail) < RECORD_TAIL.size:
            return
        if RECORD_TAIL.unpack(tail)[0] != zlib.crc32(payload, zlib.crc32(head)):
            return
        end = start + RECORD_HEAD.size + size + RECORD_TAIL.size
        yield Extent(index, tag == TAG_DONE, start, end)
        start = end
