"""Result packs come back in blocks, whole, in order, and never with a damaged byte."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import (
    Header,
    PackTensor,
    Status,
    encode_done,
    encode_header,
    encode_record,
    read_header,
)
from devdiff.device_runner.results import Block, Prefix, ResultReader, last_good
from devdiff.exporter.artifact import Array
from tests.support.pack_records import read_records

if TYPE_CHECKING:
    from collections.abc import Sequence

TENSORS = (PackTensor("boxes", "float32", (2, 3)), PackTensor("ids", "int8", (5,)))
Sample = tuple[Array, ...] | str


def sample(index: int, boxes: int = 2) -> tuple[Array, ...]:
    rng = np.random.default_rng(index)
    return (
        rng.standard_normal((boxes, 3)).astype(np.float32),
        rng.integers(-128, 128, 5).astype(np.int8),
    )


def encoded(samples: Sequence[Sample]) -> list[bytes]:
    return [
        encode_record(index, status=Status.FAILED, message=value)
        if isinstance(value, str)
        else encode_record(index, value, nanoseconds=10 * index)
        for index, value in enumerate(samples)
    ]


def write(path: Path, samples: Sequence[Sample], *, done: bool = True) -> Path:
    parts = [encode_header(Header({"runtime": "x"}, TENSORS)), *encoded(samples)]
    if done:
        parts.append(encode_done(len(samples)))
    path.write_bytes(b"".join(parts))
    return path


def flat(blocks: Sequence[Block]) -> list[tuple[int, Status, str, list[Array]]]:
    return [
        (block.start + row, block.status, block.message, [array[row] for array in block.arrays])
        for block in blocks
        for row in range(block.count)
    ]


def assert_same_as_plain_reading(path: Path, blocks: Sequence[Block]) -> None:
    with path.open("rb") as stream:
        records = list(read_records(stream, read_header(stream).tensors))
    got = flat(blocks)
    assert [(r.index, r.status, r.message) for r in records] == [entry[:3] for entry in got]
    for record, (*_, arrays) in zip(records, got, strict=True):
        for wanted, array in zip(record.arrays, arrays, strict=True):
            np.testing.assert_array_equal(wanted, array)
            assert wanted.dtype == array.dtype


def test_equal_samples_come_as_one_stacked_block(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", [sample(i) for i in range(20)])
    reader = ResultReader(path)
    (block,) = reader.read_blocks()
    assert (block.start, block.count, block.status) == (0, 20, Status.OK)
    assert [array.shape for array in block.arrays] == [(20, 2, 3), (20, 5)]
    assert block.nanoseconds.tolist() == [10 * i for i in range(20)]
    assert_same_as_plain_reading(path, [block])
    assert (reader.count, reader.complete, reader.about) == (20, True, {"runtime": "x"})


def test_blocks_are_views_that_cannot_be_written_and_outlive_the_reading(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", [sample(i) for i in range(50)])
    blocks = list(ResultReader(path).read_blocks(max_bytes=1000))
    assert len(blocks) == 5
    assert_same_as_plain_reading(path, blocks)
    with pytest.raises(ValueError, match="read-only"):
        blocks[0].arrays[0][0, 0, 0] = 1


@settings(max_examples=60, deadline=None)
@given(
    samples=st.lists(st.one_of(st.integers(0, 3), st.just("out of memory"), st.just(""))),
    max_bytes=st.integers(1, 2000),
    max_samples=st.one_of(st.none(), st.integers(1, 9)),
)
def test_any_mix_of_shapes_and_failures_reads_as_record_by_record(
    samples: list[int | str], max_bytes: int, max_samples: int | None
) -> None:
    made: list[Sample] = [
        value if isinstance(value, str) else sample(index, boxes=value)
        for index, value in enumerate(samples)
    ]
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "r.pack", made)
        reader = ResultReader(path)
        blocks = list(reader.read_blocks(max_bytes=max_bytes, max_samples=max_samples))
        assert all(block.count <= (max_samples or len(made)) for block in blocks)
        assert_same_as_plain_reading(path, blocks)
        failed = [isinstance(value, str) for value in samples]
        assert reader.statuses().tolist() == [int(value) for value in failed]
        assert reader.nanoseconds().tolist() == [
            0 if bad else 10 * index for index, bad in enumerate(failed)
        ]


def test_part_of_a_block_counts_samples_over_the_whole_pack(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", ["broken", *(sample(i) for i in range(1, 9))])
    block = list(ResultReader(path).read_blocks())[1]
    part = block.part(4, 3)
    assert (part.start, part.count) == (4, 3)
    np.testing.assert_array_equal(part.arrays[0][0], sample(4)[0])
    assert part.nanoseconds.tolist() == [40, 50, 60]


def test_a_pack_without_its_end_is_not_complete_and_says_how_far_it_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", [sample(i) for i in range(7)], done=False)
    reader = ResultReader(path)
    assert (reader.count, reader.complete) == (None, False)
    seen: list[Block] = []
    with pytest.raises(PackError, match="cut off after 7 whole samples; run again"):
        seen.extend(reader.read_blocks())


@given(cut=st.integers(1, 39))
@settings(max_examples=20, deadline=None)
def test_a_cut_end_is_noticed_wherever_it_is(cut: int) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "r.pack", [sample(i) for i in range(3)])
        path.write_bytes(path.read_bytes()[:-cut])
        reader = ResultReader(path)
        assert not reader.complete
        with pytest.raises(PackError, match="cut off after 3"):
            list(reader.read_blocks())


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_never_reaches_the_arrays(data: st.DataObject) -> None:
    samples: list[Sample] = [sample(0), "failed", sample(2), sample(3), sample(4)]
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "r.pack", samples)
        whole = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        try:
            blocks = list(ResultReader(path).read_blocks())
        except PackError as error:
            assert str(path) in str(error)
            return
        for (_, _, message, arrays), wanted in zip(flat(blocks), samples, strict=True):
            if isinstance(wanted, str):
                assert message == wanted
            else:
                for got, value in zip(arrays, wanted, strict=True):
                    np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([0, 2], "record 2 stands where 1 should"),
        ([1], "record 1 stands where 0 should"),
        ([0, 0], "record 0 stands where 1 should"),
    ],
)
def test_gaps_and_repetitions_are_refused(tmp_path: Path, records: list[int], message: str) -> None:
    path = tmp_path / "r.pack"
    parts = [encode_record(index, sample(index)) for index in records]
    header = encode_header(Header({}, TENSORS))
    path.write_bytes(header + b"".join(parts) + encode_done(len(records)))
    with pytest.raises(PackError, match=message):
        list(ResultReader(path).read_blocks())


def test_an_end_record_that_counts_wrong_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.pack"
    header = encode_header(Header({}, TENSORS))
    path.write_bytes(header + encode_record(0, sample(0)) + encode_done(2))
    with pytest.raises(PackError, match="record 2 stands where 1 should"):
        list(ResultReader(path).read_blocks())


def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", [sample(0)])
    path.write_bytes(path.read_bytes() + bytes(8))
    with pytest.raises(PackError, match="bytes follow the end record"):
        list(ResultReader(path).read_blocks())


def test_a_sample_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.pack"
    header = encode_header(Header({}, TENSORS))
    path.write_bytes(header + encode_record(0, sample(0)[:1]) + encode_done(1))
    with pytest.raises(PackError, match="sample 0 is too short for 'ids'"):
        list(ResultReader(path).read_blocks())


def test_a_sample_with_a_tensor_too_many_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.pack"
    header = encode_header(Header({}, TENSORS))
    path.write_bytes(header + encode_record(0, (*sample(0), sample(0)[1])) + encode_done(1))
    with pytest.raises(PackError, match="bytes too many"):
        list(ResultReader(path).read_blocks())


def test_an_empty_file_is_a_pack_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "r.pack"
    path.touch()
    with pytest.raises(PackError, match=r"r\.pack"):
        ResultReader(path)


def test_record_bytes_is_the_size_of_a_static_record(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", [sample(0)])
    assert ResultReader(path).record_bytes == len(encode_record(0, sample(0)))


def test_the_good_part_of_every_truncation_is_found() -> None:
    samples: list[Sample] = [sample(0), "failed", sample(2)]
    header = len(encode_header(Header({"runtime": "x"}, TENSORS)))
    ends = [header]
    for record in encoded(samples):
        ends.append(ends[-1] + len(record))
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / "r.pack", samples)
        whole = path.read_bytes()
        assert last_good(path) == Prefix(3, len(whole), True)
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            if cut < header:
                assert last_good(path) == Prefix(0, 0, False)
            else:
                good = max(k for k, end in enumerate(ends) if end <= cut)
                assert last_good(path) == Prefix(good, ends[good], False)


def test_nothing_behind_a_damaged_record_is_good(tmp_path: Path) -> None:
    path = write(tmp_path / "r.pack", [sample(i) for i in range(5)])
    data = bytearray(path.read_bytes())
    record = len(encode_record(0, sample(0)))
    header = len(data) - 5 * record - 40
    data[header + 2 * record + 50] ^= 1
    path.write_bytes(data)
    assert last_good(path) == Prefix(2, header + 2 * record, False)


def test_a_truncated_pack_can_be_continued_at_its_good_end(tmp_path: Path) -> None:
    samples = [sample(i) for i in range(6)]
    path = write(tmp_path / "r.pack", samples)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    prefix = last_good(path)
    assert 0 < prefix.samples < 6
    with path.open("r+b") as stream:
        stream.truncate(prefix.end)
        stream.seek(prefix.end)
        for record in encoded(samples)[prefix.samples :]:
            stream.write(record)
        stream.write(encode_done(6))
    assert path.read_bytes() == data
