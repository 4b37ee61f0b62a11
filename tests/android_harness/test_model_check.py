"""The check that keeps broken model files away from runtimes which would crash on them."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import runner_cases
from tests.support.native_running import Bench, shared_library
from tests.support.pack_judges import trapping_programs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def no_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library without any API: a model that passes the check ends the run there, code 3."""
    return shared_library(tmp_path_factory.mktemp("library"), "int devdiff_test_symbol = 1;\n")


def answer(library: Path, model: Path, folder: Path) -> tuple[int, str]:
    """The exit code, and what the runner says of it."""
    argv = [str(trapping_programs() / "runner"), "--runtime", str(library), "--model", str(model)]
    argv += ["--inputs", "/dev/null", "--results", str(folder / "results.pack")]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False)
    line = json.loads(done.stdout)
    assert line["ok"] is False
    return done.returncode, line["error"]


def check(library: Path, model: Path, folder: Path) -> int:
    return answer(library, model, folder)[0]


@pytest.mark.parametrize("model", runner_cases.INPUTS)
def test_real_models_pass(bench: Bench, no_runtime: Path, tmp_path: Path, model: str) -> None:
    assert check(no_runtime, bench.models / f"{model}.tflite", tmp_path) == 3


@pytest.mark.slow
@pytest.mark.parametrize("model", ["classifier_int8", "positives"])
def test_no_damage_crashes_the_check(
    bench: Bench, no_runtime: Path, tmp_path: Path, model: str
) -> None:
    """Offsets, counts and sizes are overwritten; both outcomes occur, and no signal."""
    whole = (bench.models / f"{model}.tflite").read_bytes()
    generator = random.Random(1)
    outcomes = []
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(0, len(changed) - 4, 4)
            word = generator.choice((0, 1, 4, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            changed[at : at + 4] = word.to_bytes(4, "little")
        (tmp_path / "damaged.tflite").write_bytes(changed)
        outcomes.append(check(no_runtime, tmp_path / "damaged.tflite", tmp_path))
    assert set(outcomes) == {3, 4}


def follow(data: bytes, at: int) -> int:
    """Where the offset stored at ``at`` leads."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def field(data: bytes, table: int, number: int) -> int:
    """Where a table has the field of this number."""
    fields = table - int(struct.unpack_from("<i", data, table)[0])
    offset = int(struct.unpack_from("<H", data, fields + 4 + 2 * number)[0])
    assert offset > 0
    return table + offset


def moved(data: bytes, at: int, content: bytes, modulus: int, remainder: int) -> bytes:
    """The file with ``content`` at its end, ``remainder`` bytes behind a multiple of ``modulus``,
    and the offset at ``at`` leading there."""
    place = len(data) + (remainder - len(data)) % modulus
    changed = bytearray(data) + bytes(place - len(data)) + content
    struct.pack_into("<I", changed, at, place - at)
    return bytes(changed)


NAME = struct.pack("<I", 4) + b"name"


@pytest.mark.parametrize(
    ("number", "content", "modulus", "remainder", "reason"),
    [
        # A tensor's name: what it ends with, and where it stands.
        (3, NAME + b"\0", 4, 0, ""),
        (3, NAME + b"!\0", 4, 0, "a string in it has no end"),
        (3, NAME, 4, 0, "a string in it has no end"),
        (3, NAME + b"\0", 4, 2, "not aligned"),
        # Its shape, of four bytes an axis.
        (0, struct.pack("<Ii", 1, 1), 4, 0, ""),
        (0, struct.pack("<Ii", 1, 1), 4, 1, "not aligned"),
        # The zero points of its quantization: eight bytes each, behind a count of four.
        (None, struct.pack("<Iq", 1, 0), 8, 4, ""),
        (None, struct.pack("<Iq", 1, 0), 8, 0, "not aligned"),
        (None, struct.pack("<I", 0), 8, 0, ""),
    ],
)
def test_strings_have_an_end_and_numbers_their_place(
    bench: Bench,
    no_runtime: Path,
    tmp_path: Path,
    number: int | None,
    content: bytes,
    modulus: int,
    remainder: int,
    reason: str,
) -> None:
    whole = (bench.models / "classifier_int8.tflite").read_bytes()
    graph = follow(whole, follow(whole, field(whole, follow(whole, 0), 2)) + 4)
    tensor = follow(whole, follow(whole, field(whole, graph, 0)) + 4)
    if number is None:
        at = field(whole, follow(whole, field(whole, tensor, 4)), 3)
    else:
        at = field(whole, tensor, number)
    model = tmp_path / "changed.tflite"
    model.write_bytes(moved(whole, at, content, modulus, remainder))
    code, error = answer(no_runtime, model, tmp_path)
    assert code == (4 if reason else 3), error
    if reason:
        assert reason in error
        assert "changed.tflite is damaged" in error
