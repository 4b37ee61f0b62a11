"""What libFuzzer and the sanitizers find in what the native runner reads: nothing; and that they
would find what a careless change could bring."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness.build import SOURCES
from tests.support.native_fuzzing import SEEDS, fuzz, fuzzer

if TYPE_CHECKING:
    from pathlib import Path

# So many inputs take a second or a few on an idle machine.
RUNS = {"pack": 20_000, "model": 50_000, "options": 50_000}


def test_every_fuzz_target_has_seeds() -> None:
    targets = {path.stem.removeprefix("fuzz_") for path in SOURCES.glob("fuzz_*.c")}
    assert targets == set(SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("target", SEEDS)
def test_nothing_is_found(clang: None, tmp_path: Path, target: str) -> None:
    ran = fuzz(fuzzer(target), target, tmp_path, f"-runs={RUNS[target]}")
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert f"number_of_executed_units: {RUNS[target]}" in ran.stderr
    # It went on from the seeds into code that they do not reach.
    added = re.search(r"new_units_added: +(\d+)", ran.stderr)
    assert added is not None
    assert int(added[1]) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "file", "line", "found"),
    [
        (
            "pack",
            "pack_read.c",
            " ||\n            bytes > size - offset",
            "AddressSanitizer",
        ),
        ("pack", "pack_read.c", "tensor->rank > PACK_MAX_RANK || ", "runtime error: index 8 out"),
        (
            "model",
            "model_check.c",
            "    if (!inside(walk, target, 4) || !aligned(walk, target, 4)) return false;\n",
            "AddressSanitizer",
        ),
        (
            "model",
            "model_check.c",
            "!inside(walk, target + 4 + count, 1) || ",
            "AddressSanitizer: heap-buffer-overflow",
        ),
        (
            "options",
            "options.c",
            '    if (value == NULL) return fail(failure, STAGE_USAGE, "%s needs a value", word);\n',
            "runtime error: null pointer",
        ),
    ],
)
def test_a_check_that_is_left_out_is_found(
    clang: None, tmp_path: Path, target: str, file: str, line: str, found: str
) -> None:
    """The sources without one of their checks."""
    broken = tmp_path / "runner"
    shutil.copytree(SOURCES, broken)
    whole = (broken / file).read_text()
    assert whole.count(line) == 1
    (broken / file).write_text(whole.replace(line, ""))
    ran = fuzz(fuzzer(target, broken), target, tmp_path, f"-runs={RUNS[target]}")
    assert ran.returncode != 0
    assert found in ran.stderr, ran.stderr[-4000:]
    assert list(tmp_path.glob("crash-*")), "the input that did it is kept"
