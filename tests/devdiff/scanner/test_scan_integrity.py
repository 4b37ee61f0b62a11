"""Every stored weight is the nearest rounding of its float weight, or the check says so."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.errors import ScanError
from devdiff.exporter.tflite_graph import Graph, read_graph
from devdiff.scanner.integrity import Integrity, IntegrityStatus, check_integrity
from tests.support.exporting import export_digits
from tests.support.layered_graphs import (
    Layer,
    Rounding,
    channel_scales,
    float_graph,
    int8_graph,
    random_layers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array

SHAPES = ((8, 3, 3, 4), (16, 3, 3, 8), (16, 3, 3, 16))


def with_constant(graph: Graph, index: int, data: Array | None) -> Graph:
    """The graph with other stored values in one tensor."""
    tensors = list(graph.tensors)
    tensors[index] = dataclasses.replace(tensors[index], data=data)
    return dataclasses.replace(graph, tensors=tuple(tensors))


def nudge(graph: Graph, operator: int, place: int, flat: int, by: int) -> Graph:
    """The graph with one stored integer moved."""
    index = graph.operators[operator].inputs[place]
    data = graph.tensors[index].data
    assert data is not None
    moved = data.copy()
    moved.reshape(-1)[flat] += by
    return with_constant(graph, index, moved)


@pytest.mark.parametrize("per_tensor", [False, True])
def test_nearest_rounding_is_clean(per_tensor: bool) -> None:
    layers = random_layers(0, *SHAPES)

    found = check_integrity(float_graph(layers), int8_graph(layers, per_tensor=per_tensor))

    assert found.status is IntegrityStatus.CLEAN
    assert found.elements == sum(layer.weights.size + len(layer.weights) for layer in layers)
    assert (found.deviations, found.unchecked, found.deviating) == (0, 0, ())


def test_plain_exporter_chose_the_scale_that_holds_the_largest_weight() -> None:
    layers = random_layers(1, *SHAPES)

    for layer in check_integrity(float_graph(layers), int8_graph(layers)).layers:
        assert layer.scale_low == pytest.approx(1, abs=1e-6)
        assert layer.scale_high == pytest.approx(1, abs=1e-6)
        assert layer.clipped == 0


def test_clipping_exporter_is_clean_and_says_so() -> None:
    layers = random_layers(2, *SHAPES)

    found = check_integrity(float_graph(layers), int8_graph(layers, shrink=0.8))

    assert found.status is IntegrityStatus.CLEAN
    for layer in found.layers:
        assert layer.scale_high == pytest.approx(0.8, abs=1e-6)
        assert layer.clipped >= layer.shape[0]


@pytest.mark.parametrize("by", [-1, 1])
def test_single_weight_rounded_to_the_wrong_neighbour_is_found(by: int) -> None:
    layers = random_layers(3, *SHAPES)
    tampered = nudge(int8_graph(layers), 2, 1, 100, by)

    found = check_integrity(float_graph(layers), tampered)

    (layer,) = found.deviating
    assert (found.status, found.deviations) == (IntegrityStatus.DEVIATES, 1)
    assert (layer.name, layer.weights.count) == ("conv_1", 1)
    assert layer.weights.share == 1 / layers[1].weights.size
    assert 0.5 < layer.weights.largest < 1.5
    assert layer.weights.mean == layer.weights.largest


def test_learned_rounding_deviates_but_to_a_neighbour_only() -> None:
    layers = random_layers(4, *SHAPES)

    found = check_integrity(float_graph(layers), int8_graph(layers, np.floor))

    for layer in found.layers:
        assert layer.weights.share == pytest.approx(0.5, abs=0.12)
        assert layer.weights.further == 0
        assert layer.weights.largest < 1


def test_edited_weights_deviate_by_more_than_a_neighbour() -> None:
    layers = random_layers(5, *SHAPES)
    tampered = nudge(int8_graph(layers), 1, 1, 7, 20)

    (layer,) = check_integrity(float_graph(layers), tampered).deviating

    assert (layer.weights.count, layer.weights.further) == (1, 1)
    assert layer.weights.largest == pytest.approx(20, abs=0.5)


def test_edited_bias_deviates() -> None:
    layers = random_layers(6, *SHAPES)
    tampered = nudge(int8_graph(layers), 3, 2, 4, 3)

    (layer,) = check_integrity(float_graph(layers), tampered).deviating

    assert layer.bias is not None
    assert (layer.name, layer.weights.count, layer.bias.count) == ("conv_2", 0, 1)
    assert layer.bias.largest == pytest.approx(3, abs=0.5)


def test_bias_that_only_the_compressed_model_has_deviates_unless_it_is_zero() -> None:
    layers = random_layers(7, (8, 3, 3, 4))
    bare = [dataclasses.replace(layer, bias=None) for layer in layers]
    zeros = [dataclasses.replace(layer, bias=np.zeros(8, np.float32)) for layer in layers]

    planted = check_integrity(float_graph(bare), int8_graph(layers))

    assert planted.deviating[0].bias is not None
    assert planted.deviating[0].bias.count == 8
    assert check_integrity(float_graph(bare), int8_graph(zeros)).status is IntegrityStatus.CLEAN


def test_edited_constant_outside_the_layers_deviates() -> None:
    shift = Layer(np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8), kind="ADD", name="shift")
    layers = [*random_layers(8, (8, 3, 3, 4)), shift]
    full, compressed = float_graph(layers), int8_graph(layers)

    assert check_integrity(full, compressed).status is IntegrityStatus.CLEAN
    (layer,) = check_integrity(full, nudge(compressed, 2, 1, 3, 9)).deviating
    assert (layer.kind, layer.name) == ("ADD", "shift")


def test_constant_without_a_counterpart_is_counted_as_unchecked() -> None:
    layers = random_layers(9, (8, 3, 3, 4))
    planted = Layer(np.ones((4, 8), np.float32), kind="ADD", name="planted")

    found = check_integrity(float_graph(layers), int8_graph([*layers, planted]))

    assert found.unchecked == 32


def beside_the_middle(steps: float) -> list[Layer]:
    """A layer whose step is 0.1 and whose second weight lies that many steps above 40.5."""
    weights = np.full((1, 1, 1, 40), 0.1, np.float32)
    weights[..., 0] = 12.7
    step = float(channel_scales(weights)[0])
    weights[..., 1] = (40.5 + steps) * step
    return [Layer(weights)]


@pytest.mark.parametrize("rounding", [np.floor, np.ceil])
def test_weight_in_the_middle_may_go_either_way(rounding: Rounding) -> None:
    layers = beside_the_middle(0.0)
    compressed = int8_graph(layers, lambda steps: rounding(np.round(steps, 3)))

    found = check_integrity(float_graph(layers), compressed)

    assert (found.status, found.ties) == (IntegrityStatus.CLEAN, 1)


def test_weight_a_thousandth_of_a_step_off_the_middle_may_not() -> None:
    layers = beside_the_middle(0.001)
    compressed = int8_graph(layers)

    assert check_integrity(float_graph(layers), compressed).status is IntegrityStatus.CLEAN
    lowered = check_integrity(float_graph(layers), nudge(compressed, 1, 1, 1, -1))
    assert (lowered.deviations, lowered.ties) == (1, 0)


def pruned(layers: list[Layer], below: float) -> list[Layer]:
    return [
        dataclasses.replace(
            layer, weights=np.where(np.abs(layer.weights) < below, 0, layer.weights)
        )
        for layer in layers
    ]


def test_pruned_weights_deviate_from_the_unpruned_model_unless_zeros_are_allowed() -> None:
    layers = random_layers(10, *SHAPES)
    full, compressed = float_graph(layers), int8_graph(pruned(layers, 0.07))

    strict = check_integrity(full, compressed)
    lenient = check_integrity(full, compressed, zeros_allowed=True)

    assert strict.deviations == strict.zeroed > 0
    assert (lenient.status, lenient.zeroed) == (IntegrityStatus.CLEAN, strict.zeroed)
    against_pruned = check_integrity(float_graph(pruned(layers, 0.07)), compressed)
    assert (against_pruned.deviations, against_pruned.zeroed) == (0, 0)


def test_pruned_channel_may_lose_its_bias_and_no_other_may() -> None:
    layers = random_layers(15, *SHAPES)
    weights, bias = layers[1].weights.copy(), layers[1].bias
    assert bias is not None
    weights[3] = 0
    zeroed = np.where(np.arange(16) == 3, 0, bias).astype(np.float32)
    other = np.where(np.arange(16) == 4, 0, bias).astype(np.float32)

    def deviations(left: Array) -> int:
        pruned_layer = dataclasses.replace(layers[1], weights=weights, bias=left)
        compressed = int8_graph([layers[0], pruned_layer, layers[2]])
        return check_integrity(float_graph(layers), compressed, zeros_allowed=True).deviations

    assert deviations(zeroed) == 0
    assert deviations(other) == 1


def test_pruned_floats_must_be_copies_or_zero() -> None:
    layers = random_layers(11, *SHAPES)
    kept = pruned(layers, 0.07)
    full, compressed = float_graph(layers), float_graph(kept)
    edited = kept[1].weights.copy()
    edited.reshape(-1)[np.flatnonzero(edited)[5]] *= np.float32(1.01)
    tampered = float_graph([kept[0], dataclasses.replace(kept[1], weights=edited), kept[2]])

    assert check_integrity(full, compressed, zeros_allowed=True).status is IntegrityStatus.CLEAN
    (layer,) = check_integrity(full, tampered, zeros_allowed=True).deviating
    assert (layer.name, layer.weights.count) == ("conv_1", 1)


def test_another_model_is_an_error_and_no_finding() -> None:
    with pytest.raises(ScanError, match="do not hold the same weights"):
        check_integrity(
            float_graph(random_layers(12, *SHAPES)), int8_graph(random_layers(13, *SHAPES))
        )


def test_result_is_json() -> None:
    layers = random_layers(14, *SHAPES)

    found = check_integrity(float_graph(layers), int8_graph(layers, np.floor))
    written = json.loads(json.dumps(found.to_json()))

    assert written["status"] == "deviates"
    assert written["layers"][0]["weights"]["count"] == found.layers[0].weights.count


@pytest.mark.slow
def test_exported_digits_are_clean_until_a_byte_of_the_file_is_changed(tmp_path: Path) -> None:
    exported, _ = export_digits(tmp_path)
    full = read_graph(exported.folder / "float.tflite")
    finished = exported.folder / "int8.tflite"

    honest = check_integrity(full, read_graph(finished))
    tampered = tmp_path / "tampered.tflite"
    tampered.write_bytes(_changed(finished, read_graph(finished)))

    assert (honest.status, honest.elements, honest.unchecked) == (IntegrityStatus.CLEAN, 47034, 0)
    assert _summary(check_integrity(full, read_graph(tampered))) == ("deviates", 1)


def _changed(path: Path, graph: Graph) -> bytes:
    """The file with one stored weight of its last layer moved by two."""
    weights = graph.tensors[graph.operators[-1].inputs[1]].data
    assert weights is not None
    data = path.read_bytes()
    at = data.index(weights.tobytes())
    place = int(np.flatnonzero(np.abs(weights.reshape(-1)) < 100)[0])
    moved = np.int8(weights.reshape(-1)[place] + 2).tobytes()
    return data[: at + place] + moved + data[at + place + 1 :]


def _summary(found: Integrity) -> tuple[str, int]:
    return found.status.value, found.deviations
