"""A runtime library for the virtual phone that misbehaves on one certain input.

It is the real one, which has to be in the phone's store already, with a thin library in front that
looks at the input before each invocation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from devdiff.android_harness.build import TARGETS, compile_program
from devdiff.device_runner.adb.device_store import StoredFile
from devdiff.device_runner.runtimes import runtime

if TYPE_CHECKING:
    from pathlib import Path

ABI = "linux-aarch64"
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const unsigned char culprit[] = {CULPRIT};
static const unsigned char *input;
static size_t input_size;

/* What the thin library needs of the real one, so that the loader brings it along. */
int LiteRtCreateCompiledModel(void *, void *, void *, void **);
void *real[] = {(void *)LiteRtCreateCompiledModel};

int LiteRtCreateTensorBufferFromHostMemory(const void *type, void *memory, size_t size,
                                           void (*release)(void *), void **buffer) {
    int (*create)(const void *, void *, size_t, void (*)(void *), void **) =
        (int (*)(const void *, void *, size_t, void (*)(void *), void **))dlsym(
            RTLD_NEXT, "LiteRtCreateTensorBufferFromHostMemory");
    if (input == NULL) {
        input = memory;
        input_size = size;
    }
    return create(type, memory, size, release, buffer);
}

static void crash(void) { *(volatile int *)8 = 1; }

static void memory(void) {
    for (;;) {
        volatile char *block = malloc(4 << 20);
        for (size_t i = 0; block != NULL && i < 4 << 20; i += 4096) block[i] = 1;
    }
}

static void hang(void) { sleep(600); }

int LiteRtRunCompiledModel(void *model, size_t signature, size_t inputs, void **in, size_t outputs,
                           void **out) {
    int (*run)(void *, size_t, size_t, void **, size_t, void **) =
        (int (*)(void *, size_t, size_t, void **, size_t, void **))dlsym(
            RTLD_NEXT, "LiteRtRunCompiledModel");
    if (input_size == sizeof culprit && memcmp(input, culprit, sizeof culprit) == 0) DEED();
    return run(model, signature, inputs, in, outputs, out);
}
"""


def broken_runtime(folder: Path, culprit: bytes, deed: Literal["crash", "memory", "hang"]) -> Path:
    """The library that does ``deed`` on an input of exactly these bytes."""
    real = StoredFile.of(runtime.for_device(ABI).path)
    triple = TARGETS[ABI].triple
    empty = folder / "empty.c"
    empty.write_text("int LiteRtCreateCompiledModel(void) { return 0; }\n")
    flags = ("-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{real.remote}")
    compile_program((empty,), folder / "libreal.so", triple, flags)
    source = folder / f"{deed}.c"
    source.write_text(SOURCE.replace("CULPRIT", ",".join(map(str, culprit))).replace("DEED", deed))
    target = folder / f"{deed}.so"
    front = ("-shared", "-fPIC", "-O1", "-Wno-unused-function", str(folder / "libreal.so"))
    compile_program((source,), target, triple, front)
    return target
