"""What varies over the samples is measured, and judged, apart from what is constant."""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from devdiff.comparison import (
    CompressionExpectation,
    ConversionExpectation,
    DeploymentExpectation,
    Expectation,
    Judgement,
    OutputMetrics,
    PairComparison,
    RungOutputs,
    compare,
    judge,
)
from devdiff.exporter.artifact import Array, Quantization
from devdiff.system.typed_json import decode
from devdiff.verdict import Verdict
from tests.support.pair_packs import binding, compare_arrays, rung, write_pack


def compared(reference: Array, candidate: Array, step: float | None = None) -> PairComparison:
    """One output; with ``step`` the candidate is rounded to multiples of it, as int8.

    The int8 range begins at zero, or lies around it where there are negative values.
    """
    with TemporaryDirectory() as folder:
        if step is None:
            return compare_arrays(Path(folder), reference, candidate)
        affine = Quantization(step, 0 if candidate.min() < 0 else -128)
        stored = affine.quantize(candidate, np.dtype(np.int8))
        return compare_arrays(Path(folder), reference, stored, quantization=(None, affine))


def metrics(reference: Array, candidate: Array, step: float | None = None) -> OutputMetrics:
    return compared(reference, candidate, step).output("y")


def judged(
    reference: Array,
    candidate: Array,
    step: float | None = None,
    expectation: Expectation | None = None,
) -> Judgement:
    return judge(compared(reference, candidate, step), expectation or CompressionExpectation())


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def head(samples: int = 40, boxes: int = 60, seed: int = 0) -> Array:
    """Boxes in pixels beside two scores [N, 1, 6, boxes], as one-stage detectors join them."""
    rng = np.random.default_rng(seed)
    values = np.empty((samples, 1, 6, boxes), np.float32)
    values[:, 0, :4] = rng.uniform(0, 320, (1, 4, boxes)) + rng.normal(0, 40, (samples, 4, boxes))
    values[:, 0, :4] = values[:, 0, :4].clip(0, 320)
    values[:, 0, 4:] = rng.beta(0.3, 2.0, (samples, 2, boxes))
    return values


def test_the_figure_is_the_ratio_without_each_elements_mean() -> None:
    reference, noise = normal(50, 1, 7, 3) + 100 * normal(1, 1, 7, 3, seed=1), normal(50, 1, 7, 3)
    candidate = reference + np.float32(0.1) * noise
    got = metrics(reference, candidate)
    deviations = reference.astype(np.float64) - reference.mean(axis=0, dtype=np.float64)
    errors = reference.astype(np.float64) - candidate
    expected = 10 * math.log10((deviations**2).sum() / (errors**2).sum())
    assert got.variation_snr_db == pytest.approx(expected, abs=1e-3)
    assert got.variation is not None
    moved = reference.max(axis=0).astype(np.float64) - reference.min(axis=0)
    assert got.variation.spread == pytest.approx(moved.max())
    assert got.snr_db is not None
    assert got.variation_snr_db is not None
    assert got.snr_db > 55 > 25 > got.variation_snr_db


def test_a_large_mean_does_not_cancel_what_varies() -> None:
    reference = 1e6 + normal(64, 1, 5) * 100
    got = metrics(reference, reference + normal(64, 1, 5, seed=1))
    assert got.variation_snr_db == pytest.approx(40, abs=1)


def test_blocks_and_pieces_do_not_change_the_figure(tmp_path: Path) -> None:
    """Samples larger than a piece, and a sample that did not run in the middle."""
    values = normal(9, 1, 3, 30_000) + normal(1, 1, 3, 30_000, seed=1)
    y = binding("y", values.shape[1:])
    left = rung(tmp_path, "a", [y], [values], {4: "it died"})
    right = rung(tmp_path, "b", [y], [values * np.float32(1.01)])
    got = compare(left, right).output("y").variation_snr_db
    ran = np.delete(values, 4, axis=0).astype(np.float64)
    error = 0.01 * ran
    expected = 10 * math.log10(((ran - ran.mean(axis=0)) ** 2).sum() / (error**2).sum())
    assert got == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("samples", [0, 1])
def test_fewer_than_two_samples_do_not_vary(samples: int) -> None:
    got = metrics(normal(samples, 1, 4, 4), normal(samples, 1, 4, 4))
    assert got.variation_snr_db is None
    assert got.variation is None


def test_a_constant_part_cannot_carry_an_output_that_answers_nothing() -> None:
    constant = np.linspace(0, 60, 24, dtype=np.float32).reshape(1, 1, 3, 8)
    reference = constant + np.float32(0.2) * normal(30, 1, 3, 8)
    dead = np.broadcast_to(constant, reference.shape).copy()
    dead[0] += 1e-3  # not the same bytes everywhere, which would be found without this
    got = judged(reference, dead)
    assert got.verdict is Verdict.FAIL
    figures = metrics(reference, dead)
    assert figures.snr_db is not None
    assert figures.snr_db > 40
    assert figures.variation_snr_db == pytest.approx(0, abs=0.3)
    assert "variation SNR of" in got.reasons[0]
    assert judged(
        reference, reference + np.float32(0.02) * normal(30, 1, 3, 8, seed=2)
    ).verdict is (Verdict.PASS)


def test_scores_that_share_one_scale_with_boxes_are_judged_apart() -> None:
    reference = head()
    got = judged(reference, reference, step=320 / 255)
    figures = metrics(reference, reference, step=320 / 255)
    assert figures.variation_snr_db is not None
    assert figures.variation_snr_db > 20, "all channels together look healthy"
    assert got.verdict is Verdict.FAIL
    assert re_found("channels 4-5 of axis 1", got)
    assert "never on the candidate" in got.reasons[0]
    assert figures.variation is not None
    boxes, scores = figures.variation.groups
    assert (scores.channels, scores.count, boxes.channels) == ("4-5", 2, "0-3")


def test_the_same_scores_in_a_tensor_of_their_own_pass() -> None:
    scores = head()[:, :, 4:]
    assert judged(scores, scores, step=1 / 255).verdict is Verdict.PASS


def test_the_axis_of_the_values_is_found_in_either_order() -> None:
    reference = np.ascontiguousarray(head().transpose(0, 1, 3, 2))
    got = judged(reference, reference, step=320 / 255)
    assert got.verdict is Verdict.FAIL
    assert re_found("channels 4-5 of axis 2", got)


def test_a_class_that_the_samples_do_not_show_is_no_kind_of_its_own() -> None:
    """Its scores stay below a step, beside scores of the same tensor that do not."""
    scores = head()[:, :, 4:]
    scores[:, :, 1] *= np.float32(1e-3)
    assert judged(scores, scores, step=1 / 255).verdict is Verdict.PASS


def test_elements_that_never_move_count_beyond_a_small_share() -> None:
    reference = normal(40, 1, 2, 100)
    few, many = reference.copy(), reference.copy()
    few[:, 0, 0, :4] = 0.5
    many[:, 0, 0, :30] = 0.5
    passed = judged(reference, few, step=0.03)
    assert passed.verdict is Verdict.PASS
    assert re_found("4 elements ([0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]) that never", passed)
    failed = judged(reference, many, step=0.03)
    assert failed.verdict is Verdict.FAIL
    assert re_found("30 elements", failed)


def test_a_float_candidate_is_asked_for_what_eight_bits_would_show() -> None:
    """Pruning kills elements that hardly move, as it should; those that move are missed."""
    reference = normal(40, 1, 2, 50)
    reference[:, 0, 0] *= np.float32(1e-4)
    weak, strong = reference.copy(), reference.copy()
    weak[:, 0, 0] = 0
    strong[:, 0, 1, :5] = 0
    assert judged(reference, weak).verdict is Verdict.PASS
    assert re_found("5 elements", judged(reference, strong))


def test_class_maps_may_miss_a_seldom_change() -> None:
    reference = np.zeros((40, 1, 4, 4), np.int64)
    reference[:20] = 3
    reference[5, 0, 0, :2] = 1
    reference[:, 0, 1, 1] = 2
    reference[7, 0, 1, 1] = 3
    candidate = reference.copy()
    candidate[:, 0, 1, 1] = 2
    got = judged(reference, candidate)
    assert got.verdict is Verdict.PASS
    assert not re_found("never move", got)


def test_a_dead_class_is_found_though_the_answers_agree() -> None:
    reference = normal(400, 1, 10)
    reference[:, 0, :5] -= 6
    candidate = reference.copy()
    candidate[:, 0, 2] = -6
    got = judged(reference, candidate, step=0.08)
    assert got.verdict is Verdict.FAIL
    assert re_found("1 element ([0, 2]) that never moves on the candidate", got)


def test_an_output_that_hardly_varies_cannot_be_judged_and_does_not_fail() -> None:
    reference = 10 + np.float32(1e-3) * normal(30, 1, 4, 4)
    step = 0.08
    candidate = reference.copy()
    candidate[:, 0, 0, 0] += np.where(np.arange(30) % 2, step, 0).astype(np.float32)
    got = judged(reference, candidate, step=step)
    assert got.verdict is Verdict.PASS
    assert re_found("too little beside the candidate's step", got)


def test_what_drowns_in_rounding_cannot_be_judged() -> None:
    """As in an untrained net: a thousand scores near zero, of which a few move by some steps."""
    reference = np.zeros((60, 1, 1000), np.float32)
    reference[:, 0, 0] = 0.3
    reference[:, 0, 1:4] = np.random.default_rng(0).uniform(0.0, 0.02, (60, 3))
    demanding = CompressionExpectation(synthetic=True, min_variation_snr_db=40)
    got = judged(reference, reference, step=1 / 256, expectation=demanding)
    assert got.verdict is Verdict.PASS
    assert re_found("too little beside the candidate's step", got)


def test_scores_are_judged_apart_from_boxes_that_move_as_little() -> None:
    reference = head()
    reference[:, :, :4] = reference[:1, :, :4] + np.float32(0.2) * normal(40, 1, 4, 60)
    got = judged(reference, reference, step=320 / 255)
    assert got.verdict is Verdict.FAIL
    assert re_found("channels 4-5 of axis 1", got)


def test_rounding_noise_is_no_variation() -> None:
    reference = np.full((20, 1, 4, 4), 10, np.float32)
    reference[::2] += np.float32(1e-6)
    got = metrics(reference, reference + normal(20, 1, 4, 4) * np.float32(1e-5))
    assert got.variation_snr_db is None
    assert judged(reference, reference).verdict is Verdict.PASS


def test_what_is_not_finite_on_both_sides_is_left_out() -> None:
    reference = normal(20, 1, 4, 4)
    reference[3, 0, 0, 0] = reference[0, 0, 1, 1] = np.inf
    reference[5, 0, 2, 2] = np.nan
    got = metrics(reference, reference + np.float32(0.01) * normal(20, 1, 4, 4, seed=1))
    assert got.variation_snr_db == pytest.approx(40, abs=1.5)


def test_an_output_of_changing_shape_has_no_figure(tmp_path: Path) -> None:
    y = binding("y", (1, 4))
    sides = []
    for name in ("a", "b"):
        values = [[normal(1, size)] for size in (2, 4, 2, 4)]
        sides.append(RungOutputs(name, write_pack(tmp_path / f"{name}.pack", [y], values), (y,)))
    assert compare(*sides).output("y").variation is None


def test_figures_survive_json() -> None:
    pair = compared(head(), head(), step=320 / 255)
    data = json.loads(json.dumps(pair.to_json()))
    assert decode(PairComparison, data) == pair


@pytest.mark.parametrize(
    "expectation", [ConversionExpectation(), CompressionExpectation(), DeploymentExpectation()]
)
def test_a_pass_by_numbers_takes_samples_enough(expectation: Expectation) -> None:
    few, enough = normal(7, 1, 3, 3), normal(8, 1, 3, 3)
    got = judged(few, few, expectation=expectation)
    assert got.verdict is Verdict.INCONCLUSIVE
    assert re_found("compared on 7 samples, and a pass takes 8 (--min-samples): give 1 more", got)
    assert judged(enough, enough, expectation=expectation).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "expectation", [ConversionExpectation(), CompressionExpectation(), DeploymentExpectation()]
)
def test_few_samples_are_enough_to_fail(expectation: Expectation) -> None:
    few = normal(3, 1, 3, 3)
    assert judged(few, -few, expectation=expectation).verdict is Verdict.FAIL


def re_found(text: str, judgement: Judgement) -> bool:
    return any(text in reason for reason in judgement.reasons)
