"""The pack format: what is written is read back, and damage is noticed."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import (
    DTYPE_CODES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    RECORD_HEAD,
    TAG_SAMPLE,
    Header,
    PackSample,
    PackTensor,
    Status,
    decode_payload,
    encode_done,
    encode_header,
    encode_record,
    read_header,
    read_record,
    scan,
)
from tests.support.pack_records import read_records

IMAGE = PackTensor("image", "float32", (1, 2, 3), "x")
SCORES = PackTensor("scores:0", "int8", (5,), "")
HEADER = Header({"model": "abc", "threads": 1}, (IMAGE, SCORES))


def arrays(seed: int = 0) -> tuple[np.ndarray[Any, Any], ...]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((1, 2, 3)).astype(np.float32),
        rng.integers(-128, 128, 5).astype(np.int8),
    )


def stream_of(*records: bytes, header: Header = HEADER) -> bytes:
    return encode_header(header) + b"".join(records)


def whole() -> bytes:
    return stream_of(
        encode_record(0, arrays(0), nanoseconds=123),
        encode_record(1, status=Status.FAILED, message="no memory"),
        encode_record(2, arrays(2)),
        encode_done(3),
    )


def read_all(data: bytes) -> tuple[Header, list[PackSample]]:
    stream = io.BytesIO(data)
    header = read_header(stream)
    return header, list(read_records(stream, header.tensors))


def test_a_stream_is_read_back_as_it_was_written() -> None:
    header, records = read_all(whole())
    assert header == HEADER
    assert [record.index for record in records] == [0, 1, 2]
    assert records[0].nanoseconds == 123
    for got, wanted in zip(records[2].arrays, arrays(2), strict=True):
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == wanted.dtype
    assert (records[1].status, records[1].message) == (Status.FAILED, "no memory")


@pytest.mark.parametrize("dtype", sorted(DTYPE_CODES))
def test_every_dtype_survives(dtype: str) -> None:
    tensor = PackTensor("t", dtype, (3,))
    value = np.array([0, 1, 1], dtype)
    _, (record,) = read_all(
        stream_of(encode_record(0, [value]), encode_done(1), header=Header({}, (tensor,)))
    )
    np.testing.assert_array_equal(record.arrays[0], value)
    assert record.arrays[0].dtype == np.dtype(dtype)


@given(
    shape=npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    dtype=st.sampled_from(sorted(DTYPE_CODES)),
    name=st.text(max_size=20),
)
def test_any_shape_and_name_survives(shape: tuple[int, ...], dtype: str, name: str) -> None:
    tensor = PackTensor(name, dtype, (1,) * len(shape), name[::-1])
    value = np.ones(shape, dtype)
    header, (record,) = read_all(
        stream_of(encode_record(0, [value]), encode_done(1), header=Header({}, (tensor,)))
    )
    assert header.tensors == (tensor,)
    np.testing.assert_array_equal(record.arrays[0], value)


def test_every_part_starts_on_eight_bytes() -> None:
    data = whole()
    stream = io.BytesIO(data)
    read_header(stream)
    assert stream.tell() % 8 == 0
    assert all(extent.start % 8 == 0 for extent in scan(stream))


@given(cut=st.integers(0, len(whole()) - 1))
def test_a_cut_stream_is_never_read_as_whole(cut: int) -> None:
    with pytest.raises(PackError):
        read_all(whole()[:cut])


@given(place=st.integers(0, len(whole()) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_unless_it_is_padding(place: int, bit: int) -> None:
    data = bytearray(whole())
    data[place] ^= 1 << bit
    try:
        header, records = read_all(bytes(data))
    except PackError:
        return
    # What checksums do not cover is the zeros behind each of them.
    wanted_header, wanted = read_all(whole())
    assert header == wanted_header
    assert [(r.index, r.status, r.nanoseconds, r.message) for r in records] == [
        (r.index, r.status, r.nanoseconds, r.message) for r in wanted
    ]
    for record, other in zip(records, wanted, strict=True):
        for got, expected in zip(record.arrays, other.arrays, strict=True):
            np.testing.assert_array_equal(got, expected)


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PackError):
        read_all(MAGIC + data)


def test_another_format_is_named() -> None:
    with pytest.raises(PackError, match=r"not a pack of this version.*PK"):
        read_header(io.BytesIO(b"PK\x03\x04 and so on"))


def test_a_missing_sample_is_noticed() -> None:
    with pytest.raises(PackError, match="holds sample 2 where 1"):
        read_all(stream_of(encode_record(0, arrays()), encode_record(2, arrays()), encode_done(2)))


def test_a_wrong_number_of_samples_is_noticed() -> None:
    with pytest.raises(PackError, match="says 5 samples but holds 1"):
        read_all(stream_of(encode_record(0, arrays()), encode_done(5)))


def test_a_damaged_size_does_not_ask_for_the_moon() -> None:
    head = RECORD_HEAD.pack(TAG_SAMPLE, 0, 0, 0, MAX_PAYLOAD_BYTES + 8)
    with pytest.raises(PackError, match="damaged"):
        read_record(io.BytesIO(head + bytes(64)), HEADER.tensors)


def test_dimensions_no_array_can_have_are_a_pack_error() -> None:
    payload = struct.pack("<2Q", 0, 1 << 63)
    with pytest.raises(PackError, match="too short"):
        decode_payload((PackTensor("y", "float32", (0, 1)),), payload)


def test_a_payload_that_is_too_long_is_refused() -> None:
    payload = struct.pack("<Q", 1) + bytes(8) + bytes(8)
    with pytest.raises(PackError, match="8 bytes too many"):
        decode_payload((PackTensor("y", "int8", (1,)),), payload)


def test_json_nested_without_end_is_a_pack_error() -> None:
    about = b"[" * 100_000
    body = struct.pack("<Q", len(about)) + about + struct.pack("<QII", 8, 0, 0)
    data = MAGIC + body + struct.pack("<II", zlib.crc32(body), 0)
    with pytest.raises(PackError, match="not JSON"):
        read_header(io.BytesIO(data))


def test_an_unknown_dtype_cannot_be_written() -> None:
    with pytest.raises(PackError, match="complex64 has no TFLite type"):
        encode_header(Header({}, (PackTensor("y", "complex64", (1,)),)))


def test_a_long_message_is_cut() -> None:
    _, (record,) = read_all(
        stream_of(encode_record(0, status=Status.CRASHED, message="x" * 10_000), encode_done(1))
    )
    assert record.message == "x" * 4096
    assert record.status is Status.CRASHED


def test_scan_stops_at_the_first_damage() -> None:
    data = bytearray(whole())
    stream = io.BytesIO(bytes(data))
    read_header(stream)
    extents = list(scan(stream))
    assert [extent.done for extent in extents] == [False, False, False, True]
    data[extents[1].start + 40] ^= 1
    stream = io.BytesIO(bytes(data))
    read_header(stream)
    assert [extent.index for extent in scan(stream)] == [0]
