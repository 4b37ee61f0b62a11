"""What the native runner makes of a runtime library that reports impossible shapes of outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devdiff.android_harness.build import TARGETS, compile_program
from tests.support.native_running import Bench, model_pack

if TYPE_CHECKING:
    from pathlib import Path

TRIPLE = TARGETS["linux-x86_64"].triple
ASK = "LiteRtGetCompiledModelOutputTensorLayouts"
# The real library with one function in front of it, which changes the rank of the first layout
# from one call on up to another.
FRONT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int ASK(void *model, size_t signature, size_t count, uint32_t *layouts, bool update) {
    static int calls;
    int (*ask)(void *, size_t, size_t, uint32_t *, bool) =
        (int (*)(void *, size_t, size_t, uint32_t *, bool))dlsym(RTLD_NEXT, "ASK");
    int status = ask(model, signature, count, layouts, update);
    calls++;
    if (calls >= FIRST && calls <= LAST) layouts[0] = (layouts[0] & ~127u) | RANK;
    return status;
}
"""


def misreporting(real: Path, folder: Path, rank: int, first: int, last: int) -> Path:
    """A runtime library whose first output has ``rank`` axes from the ``first`` time that it is
    asked to the ``last``."""
    stub = folder / "stub.c"
    stub.write_text("int LiteRtCreateEnvironment(void) { return 0; }\n")
    named = f"-Wl,-soname,{real.absolute()}"
    compile_program((stub,), folder / "stub.so", TRIPLE, ("-shared", "-fPIC", "-nostdlib", named))
    source = FRONT
    for word, value in (("ASK", ASK), ("RANK", rank), ("FIRST", first), ("LAST", last)):
        source = source.replace(word, str(value))
    (folder / "front.c").write_text(source)
    flags = ("-shared", "-fPIC", "-O1", "-Wl,--no-as-needed", str(folder / "stub.so"))
    compile_program((folder / "front.c",), folder / "front.so", TRIPLE, flags)
    return folder / "front.so"


@pytest.mark.parametrize("rank", [9, 16, 127])
def test_more_axes_than_a_layout_has_room_for_are_refused(
    bench: Bench, litert: Path, tmp_path: Path, rank: int
) -> None:
    library = misreporting(litert, tmp_path, rank, 1, 1000)
    ran = bench.run(library, "classifier_int8", model_pack("classifier_int8"), tmp_path)
    assert ran.code == 4, (ran.lines, ran.stderr)
    assert ran.lines[-1]["stage"] == "model"
    assert f"{rank} axes, at most 8" in ran.error


def test_axes_that_become_too_many_fail_the_sample_alone(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    """Every sample here has another length than the one before: the runtime is asked once while
    the model is prepared, then before and after each invocation."""
    library = misreporting(litert, tmp_path, 127, 4, 4)
    ran = bench.run(library, "any_length", model_pack("any_length", 3), tmp_path)
    assert ran.code == 0, (ran.lines, ran.stderr)
    assert ran.complete
    assert [bool(record.message) for record in ran.records] == [False, True, False]
    assert "127 axes, at most 8" in ran.records[1].message


def test_an_output_of_another_rank_after_the_invocation_is_no_result(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    library = misreporting(litert, tmp_path, 1, 3, 3)
    ran = bench.run(library, "any_length", model_pack("any_length", 2), tmp_path)
    assert ran.code == 0, (ran.lines, ran.stderr)
    assert ran.complete
    assert [bool(record.message) for record in ran.records] == [True, False]
    assert "depends on the data" in ran.records[0].message
