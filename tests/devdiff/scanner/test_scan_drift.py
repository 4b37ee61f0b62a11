"""What compression does to clean answers is measured, and ranked among placebos honestly."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.errors import ScanError
from devdiff.scanner.drift import SIGNIFICANCE, Drift, DriftStatus, PlaceboRank, drift

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

SAMPLES, CLASSES = 200, 10
# The fewest among which the first of four ranks can be significant.
PLACEBOS_NEEDED = math.ceil(4 / SIGNIFICANCE) - 1


def scores(seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 2, (SAMPLES, CLASSES)).astype(np.float32)


def noisy(full: Array, seed: int, sigma: float = 0.05) -> Array:
    return full + np.random.default_rng(seed).normal(0, sigma, full.shape).astype(np.float32)


def among(compressed: Array, placebos: int, sigma: float = 0.05) -> Drift:
    full = scores()
    return drift(full, compressed, [noisy(full, 100 + i, sigma) for i in range(placebos)])


def test_flips_are_counted_with_their_interval_and_their_flow() -> None:
    full = np.tile(np.array([3.0, 1.0, 0.0]), (20, 1))
    full[10:] = [0.0, 1.0, 2.0]
    compressed = full.copy()
    compressed[:4] = [1.0, 3.0, 0.0]
    compressed[10] = [0.0, 4.0, 2.0]

    found = drift(full, compressed, [])

    assert found.flips is not None
    assert (found.flips.successes, found.flips.trials) == (5, 20)
    assert found.flips.low < 0.25 < found.flips.high
    assert [(flow.index, flow.gained, flow.lost) for flow in found.flow] == [
        (1, 5, 0),
        (2, 0, 1),
        (0, 0, 4),
    ]


def test_margin_change_is_in_standard_deviations_of_the_full_margin() -> None:
    full = np.array([[3.0, 0.0], [1.0, 0.0]])  # margins 3 and 1: standard deviation 1
    compressed = np.array([[2.5, 0.0], [0.0, 0.5]])  # margins 2.5 and -0.5

    found = drift(full, compressed, [])

    assert found.margin_change == pytest.approx((-0.5 - 1.5) / 2)


def test_score_of_a_favoured_class_shifts() -> None:
    full = scores()
    compressed = full.copy()
    compressed[:, 7] += 1.0

    found = drift(full, compressed, [])

    assert found.flow[0].index == 7
    assert found.flow[0].lost == 0
    shifts = {flow.index: flow.score_shift or 0.0 for flow in found.flow}
    assert max(shifts, key=lambda index: shifts[index]) == 7


def test_drift_like_the_placebos_is_usual() -> None:
    unusual = 0
    for seed in range(20):
        found = among(noisy(scores(), seed), PLACEBOS_NEEDED)
        unusual += found.status is DriftStatus.UNUSUAL

    # At most one in twenty on average; six has a chance below 0.1 %.
    assert unusual < 6


def test_drift_beyond_all_of_enough_placebos_is_unusual() -> None:
    found = among(noisy(scores(), 1, sigma=0.3), PLACEBOS_NEEDED)

    assert found.status is DriftStatus.UNUSUAL
    assert found.ranks["margin"].first
    assert found.ranks["margin"].p == 1 / (PLACEBOS_NEEDED + 1)


def test_class_that_gains_stands_out_where_the_size_of_the_drift_does_not() -> None:
    full = scores()
    shifted = full.copy()
    shifted[:, 3] += 0.4

    found = among(shifted, PLACEBOS_NEEDED, sigma=0.2)

    assert found.status is DriftStatus.UNUSUAL
    assert found.ranks["largest_gain"].first
    assert not found.ranks["margin"].first


@pytest.mark.parametrize("placebos", [1, 5, 18])
def test_few_placebos_cannot_decide(placebos: int) -> None:
    found = among(noisy(scores(), 1, sigma=0.3), placebos)

    assert found.status is DriftStatus.UNDECIDED
    assert found.ranks["margin"].smallest_p == 1 / (placebos + 1)


def test_slightly_more_drift_than_all_placebos_is_usual() -> None:
    found = among(noisy(scores(), 1, sigma=0.06), PLACEBOS_NEEDED)

    assert found.ranks["margin"].first
    assert 1 < found.ranks["margin"].factor < 1.5
    assert found.status is DriftStatus.USUAL


def test_less_drift_than_a_single_placebo_is_usual() -> None:
    assert among(scores(), 1).status is DriftStatus.USUAL


def test_without_placebos_there_is_a_measurement_and_no_comparison() -> None:
    found = among(noisy(scores(), 1), 0)

    assert found.status is DriftStatus.UNDECIDED
    assert found.ranks == {}
    assert found.relative_rms == pytest.approx(0.05 / 2, rel=0.1)


def test_ties_with_placebos_count_against_a_finding() -> None:
    rank = PlaceboRank.of(2.0, [2.0, 1.0, 1.0])

    assert (rank.p, rank.smallest_p, rank.first) == (0.5, 0.25, False)
    assert rank.factor == 2.0


def test_outputs_of_any_shape_are_compared_by_their_relative_error() -> None:
    full = np.random.default_rng(0).normal(5, 1, (50, 4, 4, 3))
    placebos = [full + np.random.default_rng(i).normal(0, 0.01, full.shape) for i in range(1, 25)]

    found = drift(full, full * 1.1, placebos, classifier=False)

    assert found.status is DriftStatus.UNUSUAL
    assert (found.classes, found.flips, found.margin_change, found.flow) == (None, None, None, ())
    assert found.relative_rms == pytest.approx(0.1 * math.sqrt(26), rel=0.05)
    assert list(found.ranks) == ["relative_rms"]


def test_constant_outputs_have_no_unit_to_measure_in() -> None:
    full = np.tile(np.array([1.0, 0.0]), (20, 1))

    found = drift(full, full, [full])

    assert (found.relative_rms, found.margin_change) == (None, None)
    assert set(found.ranks) == {"flips", "largest_gain"}


@pytest.mark.parametrize(
    ("full", "compressed", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "at least one sample"),
        (np.zeros((9, 1)), np.zeros((9, 1)), "not scores of several classes"),
        (np.zeros((9, 3)), np.zeros((8, 3)), r"shape \[9, 3\], others \[8, 3\]"),
        (np.zeros((9, 3)), np.full((9, 3), np.nan), "NaN or infinite"),
    ],
)
def test_outputs_that_cannot_be_compared_are_an_error(
    full: Array, compressed: Array, message: str
) -> None:
    with pytest.raises(ScanError, match=message):
        drift(full, compressed, [])


def test_result_is_json() -> None:
    written = json.loads(json.dumps(among(noisy(scores(), 1), 3).to_json()))

    assert written["status"] in ("usual", "undecided")
    assert written["flips"]["trials"] == SAMPLES
    assert written["ranks"]["flips"]["smallest_p"] == 0.25
