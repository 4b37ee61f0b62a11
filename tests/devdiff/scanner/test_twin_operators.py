"""Every operator the twin knows gives what the interpreter gives, in float32 and in int8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import torch

from devdiff.exporter.tflite_graph import read_graph
from devdiff.scanner.twin import Twin
from tests.support import one_operator
from tests.support.one_operator import Bias, Case, Computed, Constant, Precision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE: Final = Computed((1, 9, 7, 6))
POSITIVE: Final = Computed((1, 9, 7, 6), 0.01, 4.0)
VECTOR: Final = Computed((1, 12))
SOFT: Final = (1 / 256, -128)
SAME, VALID = 0, 1
RELU, RELU6 = 1, 3


def _conv(name: str, inputs: tuple[one_operator.Input, ...], **options: Any) -> Case:
    settings = {"strideH": 1, "strideW": 1, "padding": SAME, **options}
    return Case("CONV_2D", inputs, ("Conv2DOptions", settings), name=name)


def _depthwise(name: str, channels: int, **options: Any) -> Case:
    settings = {"strideH": 1, "strideW": 1, "depthMultiplier": channels // 6, **options}
    inputs = (IMAGE, Constant((1, 3, 3, channels), 3), Bias(channels))
    return Case("DEPTHWISE_CONV_2D", inputs, ("DepthwiseConv2DOptions", settings), name=name)


def _pool(kind: str, name: str, **options: Any) -> Case:
    settings = {"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2, **options}
    return Case(kind, (IMAGE,), ("Pool2DOptions", settings), grid="input", name=name)


def _moves(
    kind: str,
    name: str,
    *more: one_operator.Input,
    options: tuple[str, dict[str, Any]] | None = None,
    outputs: int = 1,
    first: Computed = IMAGE,
) -> Case:
    return Case(kind, (first, *more), options, outputs, "input", name=name)


def _resize(kind: str, name: str, size: list[int], **flags: bool) -> Case:
    options = "ResizeBilinearOptions" if "BILINEAR" in kind else "ResizeNearestNeighborOptions"
    least = 0.98 if "BILINEAR" in kind else 1.0
    return Case(kind, (IMAGE, size), (options, dict(flags)), 1, "input", least, name)


def _slice(name: str, begin: list[int], end: list[int], strides: list[int], **masks: int) -> Case:
    return _moves(
        "STRIDED_SLICE", name, begin, end, strides, options=("StridedSliceOptions", masks)
    )


def _cases() -> Iterator[Case]:
    weights = Constant((8, 3, 3, 6), 0)
    yield _conv("same", (IMAGE, weights, Bias(8)))
    yield _conv("relu", (IMAGE, weights, Bias(8)), fusedActivationFunction=RELU)
    yield _conv("relu6", (IMAGE, weights, Bias(8)), fusedActivationFunction=RELU6)
    yield _conv("strided-valid", (IMAGE, weights, Bias(8)), padding=VALID, strideH=2, strideW=3)
    yield _conv("uneven-same", (Computed((1, 8, 8, 6)), weights, Bias(8)), strideH=2, strideW=2)
    yield _conv("dilated", (IMAGE, weights, Bias(8)), dilationHFactor=2, dilationWFactor=2)
    yield _conv("grouped", (IMAGE, Constant((8, 3, 3, 3), 0), Bias(8)))
    yield _conv("per-tensor", (IMAGE, Constant((8, 3, 3, 6)), Bias(8)))
    yield _depthwise("plain", 6)
    yield _depthwise("multiplied", 12, strideH=2, strideW=2)
    yield _depthwise("relu6", 6, padding=VALID, fusedActivationFunction=RELU6)
    for padding, size in ((SAME, [1, 18, 14, 5]), (VALID, [1, 19, 15, 5])):
        inputs: tuple[one_operator.Input, ...] = (size, Constant((5, 3, 3, 6), 0), IMAGE)
        options = {"strideH": 2, "strideW": 2, "padding": padding}
        yield Case(
            "TRANSPOSE_CONV",
            inputs,
            ("TransposeConvOptions", options),
            least=0.98,
            name=f"{padding}",
            precisions=("float32",) if padding == VALID else ("float32", "int8"),
        )
    dense = Constant((5, 12))
    yield Case("FULLY_CONNECTED", (VECTOR, dense, Bias(5)), ("FullyConnectedOptions", {}))
    yield Case(
        "FULLY_CONNECTED",
        (Computed((1, 4, 12)), Constant((5, 12), 0), None),
        ("FullyConnectedOptions", {"keepNumDims": True, "fusedActivationFunction": RELU}),
        name="kept-axes",
    )
    for flip in (False, True):
        right = Computed((1, 2, 7, 5) if flip else (1, 2, 5, 7), -0.7, 1.1)
        yield Case(
            "BATCH_MATMUL",
            (Computed((1, 2, 4, 5)), right),
            ("BatchMatMulOptions", {"adjX": False, "adjY": flip}),
            name="flipped" if flip else "",
        )
    yield from _reductions()
    yield from _arithmetic()
    yield from _movements()


def _reductions() -> Iterator[Case]:
    for kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        yield _pool(kind, "valid", padding=VALID)
        yield _pool(kind, "same", padding=SAME, filterHeight=3, filterWidth=3)
        yield _pool(kind, "uneven-same", padding=SAME)
    for kind, keep in (("MEAN", True), ("MEAN", False), ("SUM", True)):
        yield Case(
            kind, (IMAGE, [1, 2]), ("ReducerOptions", {"keepDims": keep}), name=f"keep-{keep}",
            least=0.95,
        )  # fmt: skip
    yield Case(
        "MEAN", (IMAGE, [-1]), ("ReducerOptions", {"keepDims": True}), name="last", least=0.9
    )
    for kind in ("REDUCE_MAX", "REDUCE_MIN"):
        yield Case(kind, (IMAGE, [1, 2]), ("ReducerOptions", {"keepDims": True}), grid="input")


def _arithmetic() -> Iterator[Case]:
    other = Computed((1, 9, 7, 6), -0.6, 1.4)
    for kind, table in (("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions")):
        yield Case(kind, (IMAGE, other), (table, {}))
        yield Case(kind, (IMAGE, Constant((6,))), (table, {}), name="constant")
        yield Case(kind, (Constant((1, 1, 1, 1)), IMAGE), (table, {}), name="constant-first")
        yield Case(kind, (IMAGE, Computed((1, 1, 1, 6))), (table, {}), name="broadcast")
        yield Case(kind, (IMAGE, other), (table, {"fusedActivationFunction": RELU}), name="relu")
    floats: tuple[Precision, ...] = ("float32",)
    yield Case("ADD_N", (IMAGE, other, IMAGE), ("AddNOptions", {}), precisions=floats)
    yield Case("DIV", (IMAGE, POSITIVE), ("DivOptions", {}), precisions=floats)
    yield Case("POW", (POSITIVE, other), ("PowOptions", {}), precisions=floats)
    yield Case("FLOOR_DIV", (IMAGE, POSITIVE), ("FloorDivOptions", {}), precisions=floats)
    yield Case("SQUARED_DIFFERENCE", (IMAGE, other), ("SquaredDifferenceOptions", {}), least=0.98)
    for kind in ("MAXIMUM", "MINIMUM"):
        yield Case(kind, (IMAGE, IMAGE), ("MaximumMinimumOptions", {}), grid="input")
    yield Case("PRELU", (IMAGE, Constant((1, 1, 6))), least=0.98)
    for kind in ("ABS", "RELU", "RELU6", "RELU_N1_TO_1", "ELU", "HARD_SWISH"):
        yield Case(kind, (Computed((1, 9, 7, 6), -4, 5),), least=0.98)
    yield Case("RELU", (Computed((1, 9, 7, 6), -4, 5),), grid=(0.05, -128), name="coarse")
    yield Case("RELU", (Computed((1, 9, 7, 6), -4, 5),), grid="input", name="same-grid")
    for kind in ("SQRT", "RSQRT", "LOG"):
        yield Case(kind, (POSITIVE,), least=0.98, precisions=floats)
    for kind in ("EXP", "NEG", "SIN", "COS", "SQUARE", "FLOOR", "CEIL", "ROUND"):
        yield Case(kind, (IMAGE,), precisions=floats)
    yield Case("LEAKY_RELU", (IMAGE,), ("LeakyReluOptions", {"alpha": 0.13}))
    for approximate in (False, True):
        options = {"approximate": approximate}
        yield Case(
            "GELU",
            (IMAGE,),
            ("GeluOptions", options),
            least=0.98,
            name=f"approximate-{approximate}",
        )
    wide = Computed((1, 9, 7, 6), -6, 6)
    yield Case("LOGISTIC", (wide,), grid=SOFT)
    yield Case("TANH", (wide,), grid=(1 / 128, 0))
    yield Case("SOFTMAX", (wide,), ("SoftmaxOptions", {"beta": 1.0}), grid=SOFT, least=0.98)
    yield Case("LOG_SOFTMAX", (wide,), ("LogSoftmaxOptions", {}), precisions=floats)
    yield Case("L2_NORMALIZATION", (IMAGE,), ("L2NormOptions", {}), precisions=floats)
    window = {"radius": 2, "bias": 1.0, "alpha": 0.3, "beta": 0.75}
    yield Case(
        "LOCAL_RESPONSE_NORMALIZATION",
        (IMAGE,),
        ("LocalResponseNormalizationOptions", window),
        precisions=floats,
    )


def _movements() -> Iterator[Case]:
    yield _moves("RESHAPE", "merging", [63, 6])
    yield _moves("RESHAPE", "flat", [1, 378])
    yield _moves("SQUEEZE", "", options=("SqueezeOptions", {"squeezeDims": [0]}))
    yield _moves("EXPAND_DIMS", "", [0])
    yield _moves("TRANSPOSE", "", [0, 3, 1, 2])
    yield _moves("TRANSPOSE", "batch-last", [3, 1, 2, 0])
    yield _moves("PAD", "", [[0, 0], [1, 2], [0, 3], [0, 0]])
    yield _moves("MIRROR_PAD", "reflect", [[0, 0], [2, 2], [1, 3], [0, 0]],
                 options=("MirrorPadOptions", {"mode": 0}))  # fmt: skip
    yield _moves("MIRROR_PAD", "symmetric", [[0, 0], [2, 2], [1, 3], [0, 0]],
                 options=("MirrorPadOptions", {"mode": 1}))  # fmt: skip
    yield _moves("CONCATENATION", "", IMAGE, IMAGE, options=("ConcatenationOptions", {"axis": -1}))
    yield _moves("PACK", "", IMAGE, options=("PackOptions", {"axis": 1, "valuesCount": 2}))
    yield _moves("UNPACK", "", options=("UnpackOptions", {"axis": 3, "num": 6}), outputs=6)
    yield Case("SPLIT", ([3], IMAGE), ("SplitOptions", {"numSplits": 3}), 3, "input")
    yield _moves("SPLIT_V", "", [1, 2, 3], [3], options=("SplitVOptions", {"numSplits": 3}),
                 outputs=3)  # fmt: skip
    yield _moves("SLICE", "", [0, 2, 1, 0], [1, 4, -1, 3])
    yield _slice("steps", [0, 1, 0, 5], [1, 9, 7, 0], [1, 2, 1, -2])
    yield _slice("masks", [0, 3, 2, 1], [0, 0, 5, 4], [1, 1, 1, 1], beginMask=1, endMask=3)
    yield _slice("shrunk", [0, -2, 0, 0], [1, 0, 7, 6], [1, 1, 1, 1], shrinkAxisMask=3)
    yield _moves("GATHER", "", [4, 0, 0, 2], options=("GatherOptions", {"axis": 3}))
    yield _moves("TILE", "", [1, 2, 1, 3])
    yield _moves("REVERSE_V2", "", [1, 2])
    yield Case("BROADCAST_TO", (Computed((1, 1, 7, 1)), [1, 9, 7, 6]), grid="input", version=2)
    square = Computed((1, 6, 4, 8))
    block = {"blockSize": 2}
    yield _moves("SPACE_TO_DEPTH", "", options=("SpaceToDepthOptions", block), first=square)
    yield _moves("DEPTH_TO_SPACE", "", options=("DepthToSpaceOptions", block), first=square)
    yield _moves("SPACE_TO_BATCH_ND", "", [2, 2], [[1, 1], [2, 0]], first=square)
    many = Computed((4, 3, 2, 5))
    yield _moves("BATCH_TO_SPACE_ND", "", [2, 2], [[1, 0], [0, 1]], first=many)
    for kind in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
        yield _resize(kind, "double", [18, 14])
        yield _resize(kind, "odd", [13, 5])
        yield _resize(kind, "half-pixel", [14, 10], halfPixelCenters=True)
        yield _resize(kind, "corners", [14, 10], alignCorners=True)


CASES: Final = tuple(_cases())
_RUNS: Final = [(case, precision) for case in CASES for precision in case.precisions]


@pytest.mark.parametrize(
    ("case", "precision"), _RUNS, ids=[f"{case}-{precision}" for case, precision in _RUNS]
)
def test_an_operator_gives_what_the_interpreter_gives(
    case: Case, precision: Precision, tmp_path: Path
) -> None:
    samples = one_operator.run(case, precision, tmp_path)
    twin = Twin(read_graph(samples.path))
    with torch.no_grad():
        made = twin(*map(torch.from_numpy, samples.inputs))
    assert len(made) == case.outputs
    for index, output, real in zip(twin.outputs, made, samples.outputs, strict=True):
        tensor = twin.graph.tensors[index]
        ours = output.numpy().reshape(real.shape)
        if precision == "float32":
            np.testing.assert_allclose(ours, real, rtol=1e-4, atol=2e-6)
            continue
        assert tensor.scales is not None
        assert tensor.zero_points is not None
        off = np.abs(np.rint(ours / tensor.scales[0]) + tensor.zero_points[0] - real)
        assert off.max() <= 1
        assert np.mean(off == 0) >= case.least
        assert np.unique(real).size > 3
