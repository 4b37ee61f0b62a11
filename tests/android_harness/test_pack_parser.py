"""The runner's pack parser against device_runner.pack: both take and refuse the same streams.

The parser under test is compiled with traps on undefined behaviour, so that an out-of-range shift,
an overflow or a misaligned access is a signal here and not a surprise elsewhere.
"""

from __future__ import annotations

import io
import json
import random
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from android_harness.build import (
    COMMON_FLAGS,
    SOURCES,
    TARGETS,
    build_key,
    compile_program,
    source_files,
)
from android_harness.cache import cache_root, whole_directory
from device_runner.errors import PackError
from device_runner.pack import (
    DTYPE_CODES,
    MAGIC,
    RECORD_HEAD,
    RECORD_TAIL,
    Header,
    PackTensor,
    Status,
    encode_done,
    encode_header,
    encode_record,
    read_header,
    read_record,
)

TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=undefined")


@pytest.fixture(scope="session")
def trapping() -> Path:
    """The runner and the fuzzing entry, compiled to trap on undefined behaviour."""
    target = cache_root() / "test-runners" / build_key("linux-x86_64")
    if not target.is_dir():
        platform = TARGETS["linux-x86_64"]
        flags = (*(flag for flag in COMMON_FLAGS if flag != "-s"), *TRAPS, *platform.libraries)
        parser = [path for path in source_files() if path.stem not in ("main", "run")]
        fuzz = (*parser, SOURCES / "fuzz_pack.c")
        with whole_directory(target) as directory:
            compile_program(source_files(), directory / "runner", platform.triple, flags)
            compile_program(
                fuzz, directory / "fuzz", platform.triple, (*flags, "-DFUZZ_STANDALONE")
            )
    return target


def refused_here(pack: bytes) -> str:
    """Why this stream is no input pack by device_runner.pack's reading; empty when it is one."""
    stream = io.BytesIO(pack)
    count, last = 0, -1
    try:
        tensors = read_header(stream).tensors
        while True:
            record = read_record(stream, tensors)
            if isinstance(record, int):
                return "" if record == count else "wrong count"
            if record.status is not Status.OK:
                return "a failed sample"
            if record.index <= last:
                return "not in rising order"
            count, last = count + 1, record.index
    except PackError as error:
        return str(error)


def assert_agreed(trapping: Path, pack: bytes) -> None:
    done = subprocess.run(
        [trapping / "runner", "--check-inputs", "-"], input=pack, capture_output=True, check=False
    )
    reason = refused_here(pack)
    assert done.returncode == (5 if reason else 0), (reason, done.stdout)
    if reason:
        answer = json.loads(done.stdout)
        assert answer["ok"] is False and answer["stage"] == "inputs" and answer["error"]
    subprocess.run([trapping / "fuzz"], input=pack, check=True)


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


def resealed(pack: bytes, generator: random.Random) -> bytes:
    """The pack with a few words changed in one part whose checksum is then made right again, so
    that the damage reaches the parser behind the checksum."""
    about = struct.unpack_from("<Q", pack, 8)[0]
    table = 16 + about + -about % 8
    end = table + 8 + struct.unpack_from("<Q", pack, table)[0]
    end += -(end - table) % 8
    parts = [(len(MAGIC), table + 8, end)]
    at = end + RECORD_TAIL.size
    while at < len(pack):
        size = RECORD_HEAD.size + RECORD_HEAD.unpack_from(pack, at)[4]
        parts.append((at, at, at + size))
        at += size + RECORD_TAIL.size
    start, changeable, stop = generator.choice(parts)
    changed = bytearray(pack)
    for _ in range(generator.randint(1, 3)):
        where = generator.randrange(changeable, max(stop - 3, changeable + 1), 4)
        word = generator.choice(
            [0, 1, 2, 7, 8, 9, 255, 256, 257, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x4C504D53]
        )
        changed[where : where + 4] = word.to_bytes(4, "little")
    changed[stop : stop + 4] = zlib.crc32(changed[start:stop]).to_bytes(4, "little")
    return bytes(changed)


# The same examples every time; scripts/fuzz_runner looks for new ones.
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
