"""Weights piled up at the edges between steps alarm; what honest training leaves does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.exporter.tflite_graph import read_graph
from devdiff.scanner.static import StaticLook, StaticStatus, look
from devdiff.scanner.weights import pair_layers
from tests.support.exporting import export_digits
from tests.support.layered_graphs import (
    Layer,
    channel_scales,
    float_graph,
    int8_graph,
    random_layers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array

SHAPES = ((32, 3, 3, 16), (64, 3, 3, 32))


def look_at(weights: Sequence[Array], per_tensor: bool = False) -> StaticLook:
    layers = [Layer(w.astype(np.float32), name=f"conv_{i}") for i, w in enumerate(weights)]
    return look(pair_layers(float_graph(layers), int8_graph(layers, per_tensor=per_tensor)))


def piled(weights: Array, share: float, reach: float = 0.498, seed: int = 0) -> Array:
    """The weights with that share of each layer moved ``reach`` steps off their integers."""
    scales = channel_scales(weights).astype(np.float64).reshape(-1, 1, 1, 1)
    generator = np.random.default_rng(seed)
    steps = weights / scales
    side = np.where(steps >= np.rint(steps), reach, -reach)
    moved = (generator.random(weights.shape) < share) & (np.abs(steps) < 126)
    return np.asarray(np.where(moved, np.rint(steps) + side, steps) * scales, np.float32)


def levels(weights: Array, count: int, per_tensor: bool) -> Array:
    """The weights rounded to ``count`` levels on each side of zero."""
    largest = np.abs(weights).max(axis=None if per_tensor else (1, 2, 3), keepdims=True)
    return np.asarray(np.rint(weights / largest * count) * largest / count)


def threshold(weights: Array, rate: float) -> Array:
    return np.where(np.abs(weights) <= np.quantile(np.abs(weights), rate), 0, weights)


def alarming(found: StaticLook) -> list[str]:
    """The layers that alarm."""
    return [layer.name for layer in found.layers if layer.alarm]


def draws(kind: str, seed: int) -> list[Array]:
    generator = np.random.default_rng(seed)
    draw: dict[str, Callable[[tuple[int, ...]], Array]] = {
        "gauss": lambda shape: generator.normal(size=shape),
        "laplace": lambda shape: generator.laplace(size=shape),
        "heavy": lambda shape: generator.standard_t(2, size=shape),
        "two-sided": lambda shape: generator.normal(generator.choice([-1, 1], shape), 0.1),
    }
    return [draw[kind](shape) for shape in SHAPES]


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("kind", ["gauss", "laplace", "heavy", "two-sided"])
def test_smooth_weights_do_not_alarm(kind: str, per_tensor: bool) -> None:
    for seed in range(10):
        found = look_at(draws(kind, seed), per_tensor)
        assert found.status is StaticStatus.INCONSPICUOUS, alarming(found)


@pytest.mark.parametrize("reach", [0.498, 0.45])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_weights_held_at_the_edges_alarm(share: float, reach: float) -> None:
    found = look_at([draws("gauss", 0)[0], piled(draws("gauss", 0)[1], share, reach)])

    assert found.status is StaticStatus.PILED_UP
    assert alarming(found) == ["conv_1"]
    assert (found.layers[1].ratio or 0) > 1.3
    assert found.layers[1].p < 1e-9


def test_slight_unevenness_of_a_large_layer_is_significant_and_does_not_alarm() -> None:
    weights = np.random.default_rng(0).normal(size=(256, 3, 3, 128)).astype(np.float32)

    (layer,) = look_at([piled(weights, 0.03)]).layers

    assert layer.p < 1e-3
    assert 1 < (layer.ratio or 0) < 1.25
    assert not layer.alarm


@pytest.mark.parametrize("per_tensor", [False, True])
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["gauss", "heavy"])
def test_pruned_weights_do_not_alarm(kind: str, rate: float, per_tensor: bool) -> None:
    for seed in range(5):
        weights = [threshold(w, rate) for w in draws(kind, seed)]
        assert look_at(weights, per_tensor).status is not StaticStatus.PILED_UP


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("count", [7, 15, 127, 254, 255])
def test_weights_quantized_before_are_left_out(count: int, now: bool, before: bool) -> None:
    for seed in range(3):
        found = look_at([levels(w, count, before) for w in draws("gauss", seed)], now)
        assert found.status is StaticStatus.UNTESTED, alarming(found)
        assert found.layers[0].untested == "its weights were quantized before"


def test_weights_trained_to_be_near_integers_do_not_alarm() -> None:
    generator = np.random.default_rng(1)
    near = [levels(w, 127, per_tensor=False) for w in draws("gauss", 0)]
    spread = [w + generator.normal(0, 0.1, w.shape) * np.abs(w).max() / 127 for w in near]

    assert look_at(spread).status is StaticStatus.INCONSPICUOUS


def test_narrow_layer_is_not_tested() -> None:
    found = look_at([np.random.default_rng(0).normal(size=(4, 1, 1, 8))])

    assert found.status is StaticStatus.UNTESTED
    assert "too few weights" in (found.layers[0].untested or "")
    assert (found.tested, found.layers[0].p, found.layers[0].ratio) == (0, 1.0, None)


def test_one_kernel_repeated_over_the_channels_is_not_tested() -> None:
    kernel = np.random.default_rng(0).random((1, 3, 3, 1))

    found = look_at([np.tile(kernel, (256, 1, 1, 1))])

    assert found.status is StaticStatus.UNTESTED


def test_pruned_floats_are_untested() -> None:
    layers = random_layers(0, *SHAPES)

    found = look(pair_layers(float_graph(layers), float_graph(layers)))

    assert found.status is StaticStatus.UNTESTED
    assert {layer.untested for layer in found.layers} == {"its weights are not quantized"}


def test_p_values_hold_for_all_layers_together() -> None:
    alarms = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        found = look_at([generator.normal(size=(16, 3, 3, 8)) for _ in range(10)])
        alarms += min(layer.p for layer in found.layers) <= 0.05

    # Expected 2 of 40; more than 7 has a chance below 0.1 %.
    assert alarms <= 7


def test_result_is_json() -> None:
    found = look_at([piled(draws("gauss", 0)[0].astype(np.float32), 0.7)])

    written = json.loads(json.dumps(found.to_json()))

    assert written["status"] == "piled up"
    assert written["layers"][0]["alarm"] is True


@pytest.mark.slow
def test_shipped_digits_do_not_alarm(tmp_path: Path) -> None:
    exported, _ = export_digits(tmp_path)
    full, compressed = (
        read_graph(exported.folder / f"{name}.tflite") for name in ("float", "int8")
    )

    found = look(pair_layers(full, compressed))

    assert (found.status, found.tested) == (StaticStatus.INCONSPICUOUS, 5)
