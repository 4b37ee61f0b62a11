"""The runner's fuzz targets under libFuzzer with the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.android_harness.build import SOURCES
from devdiff.device_runner.pack import (
    DTYPE_CODES,
    Header,
    PackTensor,
    encode_done,
    encode_header,
    encode_record,
)
from devdiff.system.cache import cache_root, whole_directory
from tests.support.clang import clang_version, compile_with_clang
from tests.support.native_running import zoo_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

FLAGS: Final = (
    "-O1",
    "-fsanitize=fuzzer,address,undefined",
    "-fno-sanitize-recover=all",
)
# A stream that claims gigabytes must not be believed: one block of memory stays below 64 MB.
LIMITS: Final = ("-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=64")


def fuzzer(target: str, sources: Path = SOURCES) -> Path:
    """The fuzz target ``fuzz_TARGET.c`` linked with the runner's other sources, built once."""
    files = sorted(path for path in sources.iterdir() if path.suffix in (".c", ".h"))
    made_of = hashlib.sha256("\0".join((target, clang_version(), *FLAGS)).encode())
    for path in files:
        made_of.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    folder = cache_root() / "test-fuzzers" / made_of.hexdigest()[:32]
    if not folder.is_dir():
        programs = ("main.c", *(path.name for path in files if path.name.startswith("fuzz_")))
        linked = [path for path in files if path.suffix == ".c" and path.name not in programs]
        with whole_directory(folder) as directory:
            compile_with_clang(
                (*linked, sources / f"fuzz_{target}.c"), directory / "fuzzer", *FLAGS
            )
    return folder / "fuzzer"


def _packs() -> Iterator[bytes]:
    def tensors(names: str, *shapes: tuple[int, ...]) -> tuple[PackTensor, ...]:
        return tuple(
            PackTensor(f"{names}{i}", dtype, shape, names)
            for shape in shapes
            for i, dtype in enumerate(sorted(DTYPE_CODES))
        )

    for listed in ((), tensors("x", (2, 3)), tensors("é\u4e2d\U0001f600", (), (0, 4), (1,) * 8)):
        arrays = [np.ones(tensor.shape, tensor.dtype) for tensor in listed]
        header = encode_header(Header({"x": "y"}, listed))
        yield header + encode_done(0)
        records = encode_record(0, arrays) + encode_record(7, arrays)
        yield header + records + encode_done(2)


def _models() -> Iterator[bytes]:
    # The least there is: a description, at the very end of the file; and without its last byte.
    fields = struct.pack("<HH4H", 12, 8, 0, 0, 0, 4)
    description = struct.pack("<iII", 12, 4, 3) + b"abc\0"
    whole = struct.pack("<I", 20) + b"TFL3" + fields + description
    yield from (whole, whole[:-1])
    for path in sorted(zoo_directory().glob("*.tflite")):
        if path.stat().st_size < 10_000:
            yield path.read_bytes()


def _command_lines() -> Iterator[bytes]:
    run = "--runtime /l.so --model m --inputs - --results r"
    yield from (
        f"{words}\0".replace(" ", "\0").encode()
        for words in (
            run,
            f"{run} --delegate gpu --delegate-library /d.so --threads 4 --first 12",
            "--check-inputs -",
            "--threads é",
            "--\x01\\",
        )
    )


SEEDS: Final[Mapping[str, Callable[[], Iterator[bytes]]]] = {
    "pack": _packs,
    "model": _models,
    "options": _command_lines,
}


def fuzz(
    program: Path, target: str, folder: Path, *limits: str, seed: int = 1
) -> subprocess.CompletedProcess[str]:
    """Runs a fuzzer from the target's seeds on; code 0 when nothing was found.

    What it finds is left in ``folder``. ``limits`` are libFuzzer's: ``-runs=`` or
    ``-max_total_time=``.
    """
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(SEEDS[target]()):
        (corpus / f"seed-{number}").write_bytes(content)
    arguments = (f"-seed={seed}", "-max_len=16384", "-print_final_stats=1", *LIMITS, *limits)
    # A shell forks it: what Linux tells a program of its own peak counts its forebear's, too, and
    # libFuzzer would take the size of a large test process for the fuzzer's.
    return subprocess.run(
        [
            "sh",
            "-c",
            '"$@"; exit $?',
            "sh",
            program,
            *arguments,
            f"-artifact_prefix={folder}/",
            corpus,
        ],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
