"""The runner's pack parser against devdiff.device_runner.pack: both take and refuse the same
streams.

The parser under test is compiled with traps on undefined behaviour, so that an out-of-range shift,
an overflow or a misaligned access is a signal here and not a surprise elsewhere.
"""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devdiff.device_runner.pack import (
    DTYPE_CODES,
    MAGIC,
    RECORD_HEAD,
    Header,
    PackTensor,
    Status,
    encode_done,
    encode_header,
    encode_record,
)
from tests.support.pack_judges import assert_agreed, refused_here, resealed, trapping_programs

if TYPE_CHECKING:
    import random
    from pathlib import Path


@pytest.fixture(scope="session")
def trapping() -> Path:
    return trapping_programs()


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
tensor_lists = st.lists(
    st.builds(PackTensor, names, st.sampled_from(sorted(DTYPE_CODES)), shapes, names), max_size=4
)


@st.composite
def packs(draw: st.DrawFn) -> bytes:
    tensors = tuple(draw(tensor_lists))
    first, count = draw(st.integers(0, 5)), draw(st.integers(0, 3))
    parts = [encode_header(Header({"x": "é" * draw(st.integers(0, 9))}, tensors))]
    for index in range(first, first + count):
        arrays = [np.ones(tensor.shape, tensor.dtype) for tensor in tensors]
        parts.append(encode_record(index, arrays))
    return b"".join([*parts, encode_done(count)])


# The same examples every time; scripts/fuzz_runner.py looks for new ones.
checked = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
)


@checked
@given(packs())
def test_whole_packs_are_taken(trapping: Path, pack: bytes) -> None:
    assert refused_here(pack) == ""
    assert_agreed(trapping, pack)


@checked
@given(packs(), st.randoms(use_true_random=False))
def test_packs_cut_short_are_refused(trapping: Path, pack: bytes, generator: random.Random) -> None:
    short = pack[: generator.randrange(len(pack))]
    assert refused_here(short) != ""
    assert_agreed(trapping, short)


@checked
@given(packs(), st.randoms(use_true_random=False))
def test_flipped_bits_are_judged_alike(
    trapping: Path, pack: bytes, generator: random.Random
) -> None:
    changed = bytearray(pack)
    for _ in range(generator.randint(1, 3)):
        changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    assert_agreed(trapping, bytes(changed))


@settings(checked, max_examples=200)
@given(packs(), st.randoms(use_true_random=False))
def test_damage_behind_a_right_checksum_is_judged_alike(
    trapping: Path, pack: bytes, generator: random.Random
) -> None:
    assert_agreed(trapping, resealed(pack, generator))


@pytest.mark.parametrize(
    "pack",
    [
        b"",
        b"DDPACK02" + bytes(64),
        MAGIC + struct.pack("<Q", 1 << 62),
        MAGIC + struct.pack("<QQ", 0, 1 << 21),
        encode_header(Header({}, ())) + encode_done(1),
        encode_header(Header({}, ())) + encode_record(3) + encode_record(3) + encode_done(2),
        encode_header(Header({}, ())) + encode_record(0, status=Status.FAILED, message="no"),
        encode_header(Header({}, ())) + RECORD_HEAD.pack(0x4C504D53, 0, 0, 0, 1 << 31),
        encode_header(Header({}, ())) + RECORD_HEAD.pack(0x4C504D53, 0, 0, 0, 1 << 60),
    ],
)
def test_known_traps_are_refused(trapping: Path, pack: bytes) -> None:
    assert refused_here(pack) != ""
    assert_agreed(trapping, pack)


@pytest.mark.parametrize("shape", [(1 << 33, 1 << 33, 4), (1 << 62, 4, 1), (1 << 31, 1 << 31, 0)])
def test_a_shape_whose_size_overflows_is_refused(
    trapping: Path, shape: tuple[int, int, int]
) -> None:
    tensor = PackTensor("x", "float32", (1, 1, 1))
    record = bytearray(encode_record(0, [np.zeros((1, 1, 1), np.float32)]))
    struct.pack_into("<QQQ", record, RECORD_HEAD.size, *shape)
    record[-8:-4] = zlib.crc32(record[:-8]).to_bytes(4, "little")
    pack = encode_header(Header({}, (tensor,))) + bytes(record) + encode_done(1)
    assert refused_here(pack) != ""
    assert_agreed(trapping, pack)


def test_checksums_agree_at_every_length(trapping: Path) -> None:
    """Long runs of bytes are folded, the rest goes through a table; both ends must meet."""
    generator = np.random.default_rng(3)
    sizes = [*range(300), 4093, 4096, 100_003]
    arrays = [generator.integers(0, 256, size).astype(np.uint8) for size in sizes]
    parts = [encode_record(index, [array]) for index, array in enumerate(arrays)]
    header = encode_header(Header({}, (PackTensor("x", "uint8", (1,)),)))
    pack = header + b"".join(parts) + encode_done(len(parts))
    assert refused_here(pack) == ""
    assert_agreed(trapping, pack)


def test_claims_cost_no_memory(trapping: Path) -> None:
    """A record that claims two gigabytes and ends at once is refused under a small limit."""
    pack = encode_header(Header({}, ())) + RECORD_HEAD.pack(0x4C504D53, 0, 0, 0, 1 << 31)
    limited = f"ulimit -v 65536; exec {trapping / 'runner'} --check-inputs -"
    done = subprocess.run(["/bin/sh", "-c", limited], input=pack, capture_output=True, check=False)
    assert done.returncode == 5
    assert "ends in the middle" in json.loads(done.stdout)["error"]
