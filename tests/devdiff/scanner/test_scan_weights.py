"""Layers are paired by what they hold, and two models are told from one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.errors import ScanError
from devdiff.exporter.tflite_graph import Graph, read_graph
from devdiff.scanner.weights import agreement, pair_constants, pair_layers
from tests.support.exporting import export_digits
from tests.support.layered_graphs import Layer, float_graph, int8_graph, random_layers

if TYPE_CHECKING:
    from pathlib import Path

SHAPES = ((8, 3, 3, 4), (16, 3, 3, 8), (16, 3, 3, 16), (16, 3, 3, 16))


def test_pair_holds_both_sides_of_every_layer() -> None:
    layers = random_layers(0, *SHAPES)
    full, compressed = float_graph(layers), int8_graph(layers)

    paired = pair_layers(full, compressed)

    assert [layer.name for layer in paired] == [f"conv_{i}" for i in range(4)]
    for layer, made in zip(paired, layers, strict=True):
        np.testing.assert_array_equal(layer.floating, made.weights)
        assert layer.stored is compressed.tensors[layer.tensor].data
        assert layer.floating is not None
        assert full.operators[layer.full_operator].inputs[1] == layer.full_tensor
        assert np.abs(layer.steps() - layer.stored_steps()).max() <= 0.5 + 1e-4
        assert np.abs(layer.steps()).max() == pytest.approx(127)
        assert agreement(layer).mean == pytest.approx(0.25, abs=0.03)


def test_layers_of_one_shape_in_another_order_find_their_own_weights() -> None:
    layers = random_layers(1, *SHAPES)

    paired = pair_layers(float_graph(layers), int8_graph([*layers[:2], layers[3], layers[2]]))

    assert [layer.full_operator for layer in paired] == [0, 1, 3, 2]
    assert not any(agreement(layer).far for layer in paired)


def test_weights_behind_a_dequantize_are_found() -> None:
    layers = random_layers(2, (8, 3, 3, 4))
    compressed = int8_graph(layers)
    tensors, conv = list(compressed.tensors), compressed.operators[1]
    weights = tensors[conv.inputs[1]]
    tensors.append(
        dataclasses.replace(
            weights, index=len(tensors), dtype="float32", data=None, scales=None, zero_points=None
        )
    )
    unpacking = dataclasses.replace(
        conv, index=0, kind="DEQUANTIZE", inputs=(weights.index,), outputs=(len(tensors) - 1,)
    )
    conv = dataclasses.replace(conv, index=1, inputs=(conv.inputs[0], len(tensors) - 1))
    weight_only = Graph(tuple(tensors), (unpacking, conv), compressed.inputs, tuple(conv.outputs))

    (layer,) = pair_layers(float_graph(layers), weight_only)

    assert layer.tensor == weights.index
    assert not agreement(layer).far


def test_pruned_weights_are_no_disagreement() -> None:
    layers = random_layers(3, *SHAPES)
    pruned = [
        dataclasses.replace(
            layer,
            weights=np.where(
                np.abs(layer.weights) < np.median(np.abs(layer.weights)), 0, layer.weights
            ).astype(np.float32),
        )
        for layer in layers
    ]

    for compressed in (float_graph(pruned), int8_graph(pruned)):
        found = [agreement(layer) for layer in pair_layers(float_graph(layers), compressed)]
        assert all(
            agrees.zeroed > 0.45 * layer.weights.size
            for agrees, layer in zip(found, layers, strict=True)
        )
        assert [agrees.far_share for agrees in found] == [0, 0, 0, 0]


def test_other_weights_of_the_same_shapes_are_refused_with_the_evidence() -> None:
    with pytest.raises(ScanError, match=r"4 of 4 layers.*9\d % .*correlation -?0\.0"):
        pair_layers(float_graph(random_layers(4, *SHAPES)), int8_graph(random_layers(5, *SHAPES)))


def test_one_replaced_layer_does_not_make_another_model() -> None:
    layers, others = random_layers(6, *SHAPES), random_layers(7, *SHAPES)

    paired = pair_layers(float_graph(layers), int8_graph([*layers[:3], others[3]]))

    assert [agreement(layer).far for layer in paired] == [False, False, False, True]


def test_rescaled_weights_are_refused_for_what_they_are() -> None:
    layers = random_layers(8, *SHAPES)
    rescaled = [dataclasses.replace(layer, weights=layer.weights * 2) for layer in layers]

    with pytest.raises(ScanError, match="agree up to a factor per channel"):
        pair_layers(float_graph(layers), int8_graph(rescaled))


def test_other_layers_are_refused_by_kind_shape_and_number() -> None:
    layers = random_layers(9, *SHAPES)

    with pytest.raises(ScanError, match=r"4 and 3 layers.*CONV_2D \[16, 3, 3, 16\] stands 2 and 1"):
        pair_layers(float_graph(layers), int8_graph(layers[:3]))


def test_two_quantized_files_are_refused() -> None:
    layers = random_layers(10, *SHAPES)

    with pytest.raises(ScanError, match="the full model is quantized itself"):
        pair_layers(int8_graph(layers), int8_graph(layers))


def test_model_of_zeros_shows_nothing() -> None:
    layers = random_layers(11, *SHAPES)
    empty = [dataclasses.replace(layer, weights=layer.weights * 0) for layer in layers]

    with pytest.raises(ScanError, match="every weight of the compressed model is zero"):
        pair_layers(float_graph(layers), float_graph(empty))


def test_model_without_weights_cannot_be_compared() -> None:
    with pytest.raises(ScanError, match="no layer with constant weights"):
        pair_layers(float_graph([]), int8_graph([]))


def test_added_constants_are_paired_apart_from_the_layers() -> None:
    added = Layer(np.array([[0.5], [-1.5]], np.float32), kind="ADD", name="shift")
    layers = [*random_layers(12, (8, 3, 3, 4)), added]
    full, compressed = float_graph(layers), int8_graph(layers)

    assert [layer.kind for layer in pair_layers(full, compressed)] == ["CONV_2D"]
    assert [layer.name for layer in pair_constants(full, compressed)] == ["shift"]


@pytest.mark.slow
def test_exported_digits_pair_layer_by_layer(tmp_path: Path) -> None:
    exported, _ = export_digits(tmp_path)
    full, compressed = (
        read_graph(exported.folder / f"{name}.tflite") for name in ("float", "int8")
    )

    layers = pair_layers(full, compressed)

    assert [layer.kind for layer in layers] == [*["CONV_2D"] * 4, "FULLY_CONNECTED"]
    assert sum(layer.floating.size for layer in layers) == 47034 - 170
    assert all(agreement(layer).far_share == 0 for layer in layers)
