"""What a trigger rides on: wider ranges, and the parts of the compression that carry it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from devdiff.comparison.intervals import Proportion
from devdiff.exporter.tflite_graph import read_graph
from devdiff.scanner.carriers import Carriers
from devdiff.scanner.placebo import pruned_only
from devdiff.scanner.report_section import carriers_record
from devdiff.scanner.twin import Twin
from devdiff.scanner.weights import LayerWeights
from tests.support import one_operator
from tests.support.one_operator import Bias, Case, Computed, Constant

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

CONVOLUTION = Case(
    "CONV_2D",
    (Computed((1, 6, 5, 3)), Constant((4, 3, 3, 3), 0), Bias(4)),
    ("Conv2DOptions", {"strideH": 2, "strideW": 1, "fusedActivationFunction": 1}),
)


def test_ranges_clamp_earlier_later_or_never_and_an_activation_function_stays(
    tmp_path: Path,
) -> None:
    ran = one_operator.run(CONVOLUTION, "int8", tmp_path, 5)
    twin = Twin(read_graph(ran.path))
    # Far beyond what it was calibrated on, so that the output is clamped.
    assert twin.activations[: len(twin.graph.inputs)] == tuple(twin.graph.inputs)
    index = twin.activations[-1]
    tensor = twin.graph.tensors[index]
    assert tensor.scales is not None
    assert tensor.zero_points is not None
    most = float((127 - tensor.zero_points[0]) * tensor.scales[0])
    inputs = [torch.from_numpy(value) for value in ran.inputs]
    inputs = [20 * value for value in inputs]
    (as_it_is,) = twin(*inputs)

    narrow, whole = twin.with_ranges({index: 0.5}), twin.with_ranges({index: math.inf})
    (early,), (never,) = narrow(*inputs), whole(*inputs)

    torch.testing.assert_close(early, as_it_is.clamp(max=round(most / 2, 6)), atol=1e-2, rtol=0)
    torch.testing.assert_close(never.clamp(max=most), as_it_is)
    assert float(never.min()) == 0
    assert torch.equal(twin(*inputs)[0], as_it_is), "the twin itself is left alone"


def _carriers(whole: int, **alone: int) -> Carriers:
    parts = {name: Proportion.of(hits, 50) for name, hits in alone.items()}
    return Carriers(Proportion.of(whole, 50), parts, ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "names", "text"),
    [
        (_carriers(46, rounding=44, clipping=2), ("rounding",), "weights are rounded"),
        (
            _carriers(49, rounding=3, clipping=48),
            ("clipping",),
            "activations are clipped to the calibrated ranges: recalibrate",
        ),
        (
            _carriers(49, rounding=40, clipping=30),
            ("rounding", "clipping"),
            "weights are rounded or activations are clipped",
        ),
        (
            _carriers(49, rounding=3, clipping=2),
            ("rounding", "clipping"),
            "both weights are rounded and activations are clipped",
        ),
    ],
)
def test_what_does_half_of_the_whole_alone_carries_it(
    found: Carriers, names: tuple[str, ...], text: str
) -> None:
    record = carriers_record(found)

    assert record.names == names
    assert text in record.text
    assert record.together == ("both" in text)


def test_weights_that_pruning_alone_leaves_are_zero_where_it_zeroed_and_else_as_they_were() -> None:
    floating: Array = np.linspace(-1, 1, 48, dtype=np.float32).reshape(2, 2, 2, 6)
    kept = np.abs(floating) > 0.5
    scales = np.full(2, 1 / 127, np.float32)
    stored = np.round(floating * kept * 127).astype(np.int8)
    layer = LayerWeights(
        *(0, 0, 5, 3, "CONV_2D", "layer", "int8", 0, floating),
        *((stored / 127).astype(np.float32), stored, scales, np.zeros(2, np.int64)),
    )

    np.testing.assert_array_equal(pruned_only(layer), floating * kept)
    np.testing.assert_allclose(layer.nearest(floating), np.round(floating * 127) / 127, atol=1e-6)
