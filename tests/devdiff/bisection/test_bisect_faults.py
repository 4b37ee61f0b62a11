"""Faults put into a branchy model and into devices are found where they were put."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.bisection import isolate
from devdiff.comparison import DeploymentExpectation, Tolerances
from tests.support.bisect_bench import bench, searched, side
from tests.support.branchy import branchy, changed
from tests.support.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.artifact import Array
    from devdiff.exporter.tflite_graph import Graph

OPERATORS = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return branchy(tmp_path_factory.mktemp("branchy") / "branchy.tflite")


@pytest.mark.parametrize(
    "operator",
    [
        pytest.param(operator, marks=[] if operator in (4, 9) else pytest.mark.slow)
        for operator in range(OPERATORS)
    ],
)
def test_an_operator_changed_by_hand_is_the_one_that_is_named(
    model: Path, tmp_path: Path, operator: int
) -> None:
    other = changed(model, tmp_path / "changed.tflite", operator)
    on = bench(tmp_path, side(model), side(other))
    found = searched(on, suspects=2)
    assert found.found.operators == (operator,)
    assert found.isolated.kind == "born"
    assert found.isolated.guilty == (operator,)
    mine, *others = found.isolated.suspects
    assert mine.born
    assert mine.alone.differing
    assert mine.in_place is not None
    assert mine.in_place.beyond
    # What stands behind it computes the same on both sides when it is fed the same.
    assert not any(suspect.born or suspect.alone.differing for suspect in others)
    suspects = len(found.isolated.suspects)
    assert on.runs["candidate"] <= 2 * math.log2(OPERATORS) + suspects


def test_a_walk_looks_at_every_operator(model: Path, tmp_path: Path) -> None:
    on = bench(tmp_path, side(model), side(changed(model, tmp_path / "changed.tflite", 9)))
    walked = isolate.walk(on)
    assert [one.operator for one in walked] == list(range(OPERATORS))
    assert [one.operator for one in walked if one.born] == [9]
    passed_on = [one.operator for one in walked if one.in_place and one.in_place.beyond]
    assert passed_on == [9, 11, 12, 13, 14, 15]
    assert on.runs["candidate"] == 2 * OPERATORS


def test_equal_sides_do_not_differ(model: Path, tmp_path: Path) -> None:
    seen = bench(tmp_path, side(model), side(model)).whole()
    assert not seen.beyond
    assert seen.differing == 0


def test_every_cut_takes_the_same_inputs(model: Path, tmp_path: Path) -> None:
    """So that a device that keeps files by content is sent them once."""
    runner = InProcess()
    other = changed(model, tmp_path / "changed.tflite", 6)
    on = bench(tmp_path, side(model), side(other, runner), samples=1)
    found = searched(on)
    cuts = len(found.cuts) + 1
    assert len({*runner.inputs[:cuts]}) == 1


def grown(outputs: list[Array]) -> list[Array]:
    return [np.asarray(output + np.float32(0.5)) for output in outputs]


def test_a_fault_of_neighbours_together_is_named_with_its_neighbours(
    model: Path, tmp_path: Path
) -> None:
    """A device that fuses a CONCATENATION with the convolution behind it, and fuses it wrongly."""

    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        kinds = [operator.kind for operator in graph.operators]
        together = any(
            kinds[place] == "CONCATENATION" and kinds[place + 1] == "CONV_2D"
            for place in range(len(kinds) - 1)
        )
        return grown(outputs) if together else outputs

    found = searched(bench(tmp_path, side(model), side(model, InProcess(spoil))))
    assert found.found.operators == (13,)
    assert found.isolated.kind == "context"
    assert not any(suspect.born for suspect in found.isolated.suspects)
    assert found.isolated.guilty[-2:] == (12, 13)
    assert len(found.isolated.guilty) < OPERATORS


def test_a_fault_of_nothing_less_than_the_whole_model_is_not_pinned_on_an_operator(
    model: Path, tmp_path: Path
) -> None:
    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        return grown(outputs) if len(graph.operators) == OPERATORS else outputs

    found = searched(bench(tmp_path, side(model), side(model, InProcess(spoil))))
    assert found.isolated.kind == "context"
    assert found.isolated.guilty == tuple(range(OPERATORS))


def test_a_fault_that_comes_and_goes_is_not_explained(model: Path, tmp_path: Path) -> None:
    calls: list[int] = []

    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        calls.append(1)
        return grown(outputs) if len(calls) <= 3 else outputs

    found = searched(bench(tmp_path, side(model), side(model, InProcess(spoil))))
    assert found.isolated.kind == "unexplained"
    assert found.isolated.guilty == ()


def test_small_differences_that_add_up_are_told_from_a_fault(model: Path, tmp_path: Path) -> None:
    """Every operator adds a little: none of them is the one."""

    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        share = np.float32(1 + 1e-3 * len(graph.operators))
        return [np.asarray(output * share) for output in outputs]

    limits = DeploymentExpectation(0, tolerances=Tolerances.parse(["0"], ["5.5e-3"], []))
    found = searched(bench(tmp_path, side(model), side(model, InProcess(spoil)), limits))
    assert found.isolated.kind == "accumulated"
    assert len(found.isolated.suspects) == 3
    assert not any(suspect.born for suspect in found.isolated.suspects)
    before = found.cuts[found.found.clean]
    assert before.differing
    assert not before.beyond


def test_an_operator_that_gives_nan_on_one_side_is_found(model: Path, tmp_path: Path) -> None:
    def spoil(graph: Graph, outputs: list[Array]) -> list[Array]:
        if any(operator.kind == "AVERAGE_POOL_2D" for operator in graph.operators):
            return [np.full_like(output, np.nan) for output in outputs]
        return outputs

    found = searched(bench(tmp_path, side(model), side(model, InProcess(spoil))))
    assert found.isolated.guilty == (14,)
    assert found.isolated.kind == "born"


def test_what_was_measured_is_not_measured_again(model: Path, tmp_path: Path) -> None:
    runner = InProcess()
    other = changed(model, tmp_path / "changed.tflite", 9)
    first = bench(tmp_path, side(model), side(other, runner))
    found = searched(first)
    ran = len(runner.models)
    again = bench(tmp_path, side(model), side(other, runner))
    assert searched(again) == found
    assert len(runner.models) == ran
    assert again.runs == first.runs
