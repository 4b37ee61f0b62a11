"""Two judges of one stream: devdiff.device_runner.pack, and the runner's parser compiled with
traps."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import zlib
from typing import TYPE_CHECKING

from devdiff.android_harness.build import (
    COMMON_FLAGS,
    SOURCES,
    TARGETS,
    build_key,
    compile_program,
    source_files,
)
from devdiff.device_runner.errors import PackError
from devdiff.device_runner.pack import (
    MAGIC,
    RECORD_HEAD,
    RECORD_TAIL,
    Status,
    read_header,
    read_record,
)
from devdiff.system.cache import cache_root, whole_directory

if TYPE_CHECKING:
    import random
    from pathlib import Path

TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=undefined")
FUZZ = SOURCES / "fuzz_pack.c"


def trapping_directory() -> Path:
    """Where the programs of `trapping_programs` are kept, by everything they are made of."""
    made_of = hashlib.sha256(build_key("linux-x86_64").encode())
    made_of.update("\0".join(TRAPS).encode() + b"\0" + FUZZ.read_bytes())
    return cache_root() / "test-runners" / made_of.hexdigest()[:32]


def trapping_programs() -> Path:
    """A folder with the runner and the fuzzing entry, compiled to trap on undefined behaviour."""
    target = trapping_directory()
    if not target.is_dir():
        platform = TARGETS["linux-x86_64"]
        flags = (*(flag for flag in COMMON_FLAGS if flag != "-s"), *TRAPS, *platform.libraries)
        parser = [path for path in source_files() if path.stem not in ("main", "run")]
        fuzz = (*parser, FUZZ)
        with whole_directory(target) as directory:
            compile_program(source_files(), directory / "runner", platform.triple, flags)
            compile_program(
                fuzz, directory / "fuzz", platform.triple, (*flags, "-DFUZZ_STANDALONE")
            )
    return target


def refused_here(pack: bytes) -> str:
    """Why this stream is no input pack by devdiff.device_runner.pack's reading; empty when it is
    one."""
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
        assert answer["ok"] is False
        assert answer["stage"] == "inputs"
        assert answer["error"]
    subprocess.run([trapping / "fuzz"], input=pack, check=True)


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
