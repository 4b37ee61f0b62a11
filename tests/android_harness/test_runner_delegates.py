"""Delegates other than XNNPACK: really applied, or an error.

No machine that runs the tests has a phone's GPU. What is tested is everything around one: a
delegate library built here against the runtime's public interface takes one kind of operation
(LOGICAL_NOT) and computes it, and others fail in each way that real ones fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.android_harness.build import TARGETS, compile_program
from tests.support.native_running import Bench, Ran, model_pack

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = r"""
#include <stddef.h>
#include <stdint.h>
typedef struct context context;
typedef struct node node;
typedef struct operation operation;
typedef struct tensor tensor;
struct ints { int size, data[]; };
struct builder {
    void *data;
    int (*prepare)(context *, void *delegate, void *data);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
};
struct options { int32_t words[10]; int64_t mark; };

void *TfLiteOpaqueDelegateCreate(const struct builder *builder);
int TfLiteOpaqueContextGetExecutionPlan(context *, struct ints **plan);
int TfLiteOpaqueContextGetNodeAndRegistration(context *, int, node **, operation **);
int TfLiteOpaqueContextReplaceNodeSubsetsWithDelegateKernels(context *, operation *,
                                                             const struct ints *, void *delegate);
int TfLiteOperatorGetBuiltInCode(const operation *);
operation *TfLiteOperatorCreate(int code, const char *name, int version, void *user);
void TfLiteOperatorSetPrepare(operation *, int (*)(context *, node *));
void TfLiteOperatorSetInvoke(operation *, int (*)(context *, node *));
const tensor *TfLiteOpaqueNodeGetInput(const context *, const node *, int);
tensor *TfLiteOpaqueNodeGetOutput(context *, const node *, int);
void *TfLiteOpaqueTensorData(const tensor *);
size_t TfLiteOpaqueTensorByteSize(const tensor *);
void *TfLiteXNNPackDelegateCreate(const void *options);

static int ready(context *c, node *n) { return 0; }

static int invoke(context *c, node *n) {
    const unsigned char *from = TfLiteOpaqueTensorData(TfLiteOpaqueNodeGetInput(c, n, 0));
    tensor *output = TfLiteOpaqueNodeGetOutput(c, n, 0);
    unsigned char *to = TfLiteOpaqueTensorData(output);
    for (size_t i = 0; i < TfLiteOpaqueTensorByteSize(output); i++) to[i] = !from[i];
    return 0;
}

static int prepare(context *c, void *delegate, void *data) {
    struct ints *plan;
    static struct { int size, data[64]; } taken;
    if (FAULT == 3) return 1;
    if (TfLiteOpaqueContextGetExecutionPlan(c, &plan) != 0) return 1;
    for (int i = 0; i < plan->size; i++) {
        node *n;
        operation *o;
        TfLiteOpaqueContextGetNodeAndRegistration(c, plan->data[i], &n, &o);
        if (TfLiteOperatorGetBuiltInCode(o) == 87) taken.data[taken.size++] = plan->data[i];
    }
    if (FAULT == 1) taken.size = 0;
    operation *mine = TfLiteOperatorCreate(51, "TfLiteGpuDelegateV2", 1, NULL);
    TfLiteOperatorSetPrepare(mine, ready);
    TfLiteOperatorSetInvoke(mine, invoke);
    return TfLiteOpaqueContextReplaceNodeSubsetsWithDelegateKernels(
        c, mine, (const struct ints *)&taken, delegate);
}

struct options DEFAULTS(void) {
    struct options options = {{0}, 0x5EED};
    return options;
}

void *CREATE(const struct options *options) {
    static const struct builder builder = {NULL, prepare, NULL, NULL, NULL, 0};
    if (FAULT == 2 || options->mark != 0x5EED) return NULL;
    if (FAULT == 4) return TfLiteXNNPackDelegateCreate(NULL);
    return TfLiteOpaqueDelegateCreate(&builder);
}
"""
NAMES = {
    "gpu": ("TfLiteGpuDelegateOptionsV2Default", "TfLiteGpuDelegateV2Create"),
    "nnapi": ("TfLiteNnapiDelegateOptionsDefault", "TfLiteNnapiDelegateCreate"),
}
WORKS, TAKES_NOTHING, CANNOT_BE_CREATED, REFUSES, IS_XNNPACK = range(5)


def delegate_library(
    target: Path, runtime: Path, delegate: str = "gpu", fault: int = WORKS
) -> Path:
    source = target.with_suffix(".c")
    source.write_text(LIBRARY)
    defaults, create = NAMES[delegate]
    flags = ("-shared", "-fPIC", "-O1", f"-DFAULT={fault}", f"-DDEFAULTS={defaults}")
    triple = TARGETS["linux-x86_64"].triple
    compile_program((source,), target, triple, (*flags, f"-DCREATE={create}", str(runtime)))
    return target


def run(bench: Bench, library: Path, folder: Path, delegate: str, *options: str) -> Ran:
    results = folder / "results.pack"
    argv = [str(bench.runner), "--runtime", str(library), "--inputs", "-", "--results"]
    argv += [str(results), "--model", str(bench.models / "types.tflite"), "--delegate", delegate]
    return bench.call([*argv, *options], model_pack("types"), results)


@pytest.mark.slow
@pytest.mark.parametrize("delegate", NAMES)
def test_an_applied_delegate_is_counted_and_computes(
    bench: Bench, tflite: Path, tmp_path: Path, delegate: str
) -> None:
    library = delegate_library(tmp_path / "delegate.so", tflite, delegate)
    ran = run(bench, tflite, tmp_path, delegate, "--delegate-library", str(library))
    assert ran.code == 0, ran.lines
    assert ran.complete
    assert ran.about["delegate"] == delegate
    assert ran.about["delegate_library"] == str(library)
    assert (ran.about["nodes_delegated"], ran.about["nodes_total"]) == (1, 3)
    plain = run(bench, tflite, tmp_path, "none")
    for mine, other in zip(ran.records, plain.records, strict=True):
        for one, two in zip(mine.arrays, other.arrays, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_a_delegate_beside_the_runtime_library_is_found(
    bench: Bench, tflite: Path, tmp_path: Path
) -> None:
    library = tmp_path / "libtensorflowlite_jni.so"
    library.symlink_to(tflite)
    delegate_library(tmp_path / "libtensorflowlite_gpu_jni.so", tflite)
    ran = run(bench, library, tmp_path, "gpu")
    assert ran.code == 0, ran.lines
    assert ran.about["delegate_library"] == str(tmp_path / "libtensorflowlite_gpu_jni.so")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TAKES_NOTHING, "took none of the model's 3 nodes"),
        (CANNOT_BE_CREATED, "cannot be created"),
        (REFUSES, "the GPU delegate was asked for, but"),
        (IS_XNNPACK, "the GPU delegate was asked for, but took none"),
    ],
)
def test_a_delegate_that_is_not_applied_is_an_error(
    bench: Bench, tflite: Path, tmp_path: Path, fault: int, words: str
) -> None:
    library = delegate_library(tmp_path / "delegate.so", tflite, "gpu", fault)
    ran = run(bench, tflite, tmp_path, "gpu", "--delegate-library", str(library))
    assert ran.code == 3
    assert words in ran.error
    assert ran.records == []


@pytest.mark.slow
@pytest.mark.parametrize("delegate", NAMES)
def test_a_delegate_that_is_nowhere_is_an_error(
    bench: Bench, tflite: Path, tmp_path: Path, delegate: str
) -> None:
    ran = run(bench, tflite, tmp_path, delegate)
    assert ran.code == 3
    assert NAMES[delegate][1] in ran.error
    assert "--delegate-library" in ran.error


@pytest.mark.slow
def test_a_delegate_library_without_the_delegate_is_an_error(
    bench: Bench, tflite: Path, tmp_path: Path
) -> None:
    library = delegate_library(tmp_path / "delegate.so", tflite, "nnapi")
    ran = run(bench, tflite, tmp_path, "gpu", "--delegate-library", str(library))
    assert ran.code == 3
    assert "delegate.so does not export TfLiteGpuDelegateV2Create" in ran.error


@pytest.mark.parametrize(
    ("delegate", "words"),
    [("gpu", "LiteRT finds no GPU accelerator"), ("nnapi", "which LiteRT does not have")],
)
def test_litert_without_the_hardware_is_an_error(
    bench: Bench, litert: Path, tmp_path: Path, delegate: str, words: str
) -> None:
    ran = run(bench, litert, tmp_path, delegate)
    assert ran.code == 3
    assert ran.lines[-1]["stage"] == "runtime"
    assert words in ran.error


def test_a_delegate_library_needs_an_absolute_path(
    bench: Bench, litert: Path, tmp_path: Path
) -> None:
    ran = run(bench, litert, tmp_path, "gpu", "--delegate-library", "libgpu.so")
    assert ran.code == 2
    assert "absolute path" in ran.error
