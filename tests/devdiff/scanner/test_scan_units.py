"""What a scan is put together from: triggers, placebos, rules, replay and the search itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from devdiff.comparison.intervals import Proportion
from devdiff.exporter.artifact import Array, Binding, TensorSpec
from devdiff.scanner import pace, placebo, replay, verdict_rules
from devdiff.scanner.objective import ToClass
from devdiff.scanner.pace import Pace
from devdiff.scanner.power import Power, held_out_needed, unfit_inputs
from devdiff.scanner.replay import ScanTarget
from devdiff.scanner.search_job import SearchJob, SearchSettings
from devdiff.scanner.search_pool import time_shares
from devdiff.scanner.successive_halving import Arm, Hypothesis, search
from devdiff.scanner.trigger import Trigger, channel_axis, forms, mask_shape
from devdiff.scanner.trigger_search import TriggerSearch
from devdiff.scanner.twin_pair import Sides, calibration
from devdiff.scanner.verdict_rules import Evidence
from devdiff.scanner.warp import Warp
from devdiff.scanner.weights import LayerWeights

if TYPE_CHECKING:
    from pathlib import Path

SPEC = TensorSpec("x", (1, 4), "float32")
BINDING = Binding(SPEC, SPEC, (0, 1), "x")
CLASSES = ScanTarget(BINDING, "scores", "classes")
VALUES = ScanTarget(BINDING, "vector", "values", unit=2.0)


def _layer(zero_share: float, int8: bool = True) -> LayerWeights:
    random = np.random.default_rng(1)
    floating = random.normal(0, 1, (8, 3, 3, 16)).astype(np.float32)
    scales = (np.abs(floating).max((1, 2, 3)) / 127).astype(np.float32)
    compressed = floating.copy()
    count = int(zero_share * floating.size)
    compressed.flat[np.argsort(np.abs(floating), axis=None)[:count]] = 0
    stored = None
    if int8:
        steps = scales.reshape(-1, 1, 1, 1)
        stored = np.round(compressed / steps).astype(np.int8)
        compressed = (stored * steps).astype(np.float32)
    return LayerWeights(
        operator=0,
        full_operator=0,
        tensor=5,
        full_tensor=3,
        kind="CONV_2D",
        name="layer",
        dtype="int8" if int8 else "float32",
        axis=0,
        floating=floating,
        compressed=compressed,
        stored=stored,
        scales=scales if int8 else None,
        zero_points=np.zeros(8, np.int64) if int8 else None,
    )


def test_a_patch_covers_where_its_mask_is_and_stays_in_bounds() -> None:
    mask = np.zeros((2, 2, 1), np.float32)
    mask[0, 0] = 1
    pattern = np.full((2, 2, 3), 7, np.float32)
    trigger = Trigger("patch", mask, pattern, np.zeros_like(pattern), 0.0, 1.0)

    changed = trigger.apply(np.full((5, 2, 2, 3), 0.25, np.float32))

    assert changed.dtype == np.float32
    assert (changed[:, 0, 0] == 1).all()
    assert (changed[:, 1] == 0.25).all()
    assert trigger.size == 0.25


def test_an_additive_trigger_shifts_every_sample_alike() -> None:
    shift = np.array([0.5, -0.5], np.float32)
    trigger = Trigger("additive", np.zeros(2, np.float32), shift * 0, shift, 0.0, 2.0)

    changed = trigger.apply(np.array([[1.0, 1.0], [1.9, 0.1]], np.float32))

    np.testing.assert_allclose(changed, [[1.5, 0.5], [2.0, 0.0]])
    assert trigger.size == 0.25


def _waves(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).random((3, *shape), dtype=np.float32)


@pytest.mark.parametrize("shape", [(9, 12, 3), (1, 12, 9), (10, 10, 1)])
def test_a_warp_moves_pixels_as_the_search_saw_it(shape: tuple[int, ...]) -> None:
    warp = Warp(shape, torch.Generator().manual_seed(1))
    samples = _waves(shape)
    none = np.zeros(shape, np.float32)

    trigger = Trigger("warp", none, none, none, 0.0, 1.0, warp.array())
    seen, size = warp.change(torch.from_numpy(samples))

    np.testing.assert_allclose(trigger.apply(samples), seen.detach().numpy(), atol=1e-4)
    assert trigger.size == pytest.approx(size.item(), rel=1e-4)
    assert not np.allclose(trigger.apply(samples), samples, atol=0.01)


def test_a_warp_takes_each_pixel_from_where_its_field_points() -> None:
    image = np.arange(100, dtype=np.float32).reshape(1, 10, 10, 1)
    none = np.zeros((10, 10, 1), np.float32)
    field = np.zeros((2, 10, 10), np.float32)
    field[0] = 1
    trigger = Trigger("warp", none, none, none, 0.0, 99.0, field)

    moved = trigger.apply(image)

    np.testing.assert_array_equal(moved[0, :9], image[0, 1:])
    np.testing.assert_array_equal(moved[0, 9], image[0, 9])
    assert trigger.size == pytest.approx(0.1)


def test_only_pictures_are_warped() -> None:
    assert forms((28, 28, 1)) == ("patch", "additive", "warp")
    assert forms((40,)) == ("patch", "additive")


@pytest.mark.parametrize(
    ("shape", "axis", "mask"),
    [
        ((28, 28, 3), 2, (28, 28, 1)),
        ((3, 28, 28), 0, (1, 28, 28)),
        ((28, 28, 16), None, (28, 28, 16)),
        ((4, 4, 3), None, (4, 4, 3)),
        ((40,), None, (40,)),
    ],
)
def test_only_a_pictures_channels_share_a_mask(
    shape: tuple[int, ...], axis: int | None, mask: tuple[int, ...]
) -> None:
    assert channel_axis(shape) == axis
    assert mask_shape(shape) == mask


def test_placebo_rounding_is_unbiased_and_within_one_step() -> None:
    layer = _layer(0)
    assert layer.scales is not None
    steps = layer.scales.reshape(-1, 1, 1, 1)

    drawn = [placebo.compress_otherwise([layer], seed)[5] for seed in range(200)]

    errors = (np.stack(drawn) - layer.floating) / steps
    assert np.abs(errors).max() < 1 + 1e-4
    assert abs(errors.mean()) < 0.01
    # A mean of 200 draws with spread of at most half a step.
    assert np.abs(errors.mean(0)).max() < 6 * 0.5 / np.sqrt(200)
    assert not np.array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize("int8", [False, True])
def test_a_placebos_mask_is_another_of_the_same_size(int8: bool) -> None:
    layer = _layer(0.5, int8=int8)

    first, second = (placebo.compress_otherwise([layer], seed)[5] for seed in (1, 2))

    assert placebo.is_pruned([layer])
    assert not np.array_equal(first == 0, layer.compressed == 0)
    assert not np.array_equal(first == 0, second == 0)
    if not int8:
        assert (first == 0).sum() == (layer.compressed == 0).sum()
    else:
        assert (first == 0).sum() >= (layer.compressed == 0).sum()


def test_placebos_repeat_by_their_seed() -> None:
    layer = _layer(0.3)

    first, again = (placebo.compress_otherwise([layer], 7)[5] for _ in range(2))

    np.testing.assert_array_equal(first, again)


def test_rounding_alone_is_not_pruning() -> None:
    assert not placebo.is_pruned([_layer(0)])


def _evidence(hits: int, placebo_hits: int | None, pruned: bool = False) -> Evidence:
    rate = Proportion.of(hits, 50)
    others = () if placebo_hits is None else (Proportion.of(placebo_hits, 50),)
    return Evidence(gap=rate, calibrated=rate, placebos=others, pruned=pruned)


def test_a_trigger_that_works_on_all_inputs_is_a_finding_whatever_placebos_do() -> None:
    for pruned in (False, True):
        assert verdict_rules.is_finding(_evidence(50, 50, pruned))
        assert verdict_rules.is_finding(_evidence(50, None, pruned))
    assert verdict_rules.kind(_evidence(50, 50)) == "fragile"
    assert verdict_rules.kind(_evidence(50, 0)) == "planted"


def _looked(hits: int, placebo_hits: tuple[int, ...], second: bool = False) -> Evidence:
    rate = Proportion.of(hits, 50)
    others = tuple(Proportion.of(one, 50) for one in placebo_hits)
    return Evidence(gap=rate, calibrated=rate, placebos=others, pruned=False, second=second)


def test_a_weaker_trigger_must_beat_its_placebos_together() -> None:
    assert verdict_rules.is_finding(_evidence(30, 0))
    assert verdict_rules.is_finding(_looked(30, (10, 22)))
    assert not verdict_rules.is_finding(_looked(30, (28, 28)))
    assert not verdict_rules.is_finding(_evidence(30, None))


def test_a_second_look_asks_for_less_than_the_first() -> None:
    near = (20, 24)
    assert (
        verdict_rules.BEATEN_AT_ONCE
        < verdict_rules.p_beats(_looked(30, near))
        <= verdict_rules.BEATEN
    )
    assert not verdict_rules.is_finding(_looked(30, near))
    assert verdict_rules.wants_second_look(_looked(30, near))
    assert verdict_rules.is_finding(_looked(30, near, second=True))


def test_a_trigger_far_beyond_rounding_noise_is_a_finding_though_placebos_do_as_well() -> None:
    looked = _looked(28, (30, 30), second=True)

    assert not verdict_rules.is_finding(looked), "how much noise there is was not measured"
    assert verdict_rules.is_finding(replace(looked, benign=0.02))
    assert not verdict_rules.is_finding(replace(looked, benign=0.15)), "such noise carries as much"
    assert not verdict_rules.is_finding(replace(_looked(15, (30, 30), True), benign=0.0)), "too few"


def test_a_square_works_on_most_inputs_and_on_far_more_than_towards_other_classes() -> None:
    def square(hits: int, beside: int) -> bool:
        looked = replace(_looked(hits, (beside,), True), square=True, benign=benign)
        return verdict_rules.is_finding(looked)

    benign = 0.02
    assert square(36, 15)
    assert square(50, 25)
    assert not square(28, 0), "other searches may beat their placebos with as little"
    assert not square(45, 25), "nor is a model planted that squares turn to other classes as well"
    benign = 0.12
    assert not square(46, 5), "or that compression hurts as much"
    near = replace(_looked(40, (35,), True), square=True, others=(0.1,) * 18 + (0.35,))
    assert verdict_rules.is_finding(near), "but one that obeys in this rounding only is"
    assert not verdict_rules.is_finding(replace(near, others=near.others[1:])), "of enough"
    assert not verdict_rules.is_finding(replace(near, others=(0.1,) * 18 + (0.45,)))


def test_a_finding_is_planted_only_when_no_placebo_comes_near() -> None:
    assert verdict_rules.kind(_looked(30, (10, 12))) == "planted"
    assert verdict_rules.kind(_looked(30, (0, 28))) == "fragile"
    assert verdict_rules.kind(_evidence(30, None)) == "fragile"


def test_a_weak_sign_gets_a_second_look_where_more_samples_can_tell() -> None:
    assert verdict_rules.wants_second_look(_evidence(25, 24))
    assert not verdict_rules.wants_second_look(_evidence(25, 0)), "a finding already"
    assert not verdict_rules.wants_second_look(_evidence(8, 8)), "too little"
    assert not verdict_rules.wants_second_look(_evidence(25, None)), "no placebos"
    assert verdict_rules.wants_second_look(_evidence(28, None, pruned=True))
    assert not verdict_rules.wants_second_look(_evidence(24, 0, pruned=True)), "they do not count"


def test_nothing_found_is_no_finding() -> None:
    assert not verdict_rules.is_finding(_evidence(0, 0))
    assert not verdict_rules.is_finding(_evidence(1, 0, pruned=True))


def test_what_drift_explains_is_no_finding() -> None:
    all_hit, none_hit = Proportion.of(50, 50), Proportion.of(0, 50)

    assert not verdict_rules.is_finding(Evidence(all_hit, none_hit, (none_hit,), True))


def _pair(hits: int, of: int, placebo_hits: int, pruned: bool = False) -> Evidence:
    """One of 90 pairs of classes, and two placebos' best."""
    rate = verdict_rules.simultaneous(hits, of, 90)
    others = (Proportion.of(placebo_hits, of), Proportion.of(0, of))
    return Evidence(gap=rate, calibrated=rate, placebos=others, pruned=pruned, tried=90)


@pytest.mark.parametrize("pruned", [False, True])
def test_a_trigger_of_one_class_must_beat_its_placebos_after_all_pairs_are_counted(
    pruned: bool,
) -> None:
    assert verdict_rules.is_finding(_pair(9, 10, 0, pruned))
    assert verdict_rules.is_finding(_pair(9, 11, 1, pruned))
    assert not verdict_rules.is_finding(_pair(9, 10, 5, pruned))
    assert not verdict_rules.is_finding(_pair(6, 10, 0, pruned))
    assert not verdict_rules.is_finding(_pair(5, 5, 0, pruned))


def test_intervals_of_many_hypotheses_are_wider_than_of_one() -> None:
    one, many = verdict_rules.simultaneous(9, 10, 1), verdict_rules.simultaneous(9, 10, 90)

    assert one == Proportion.of(9, 10)
    assert many.low < one.low < one.high < many.high
    assert many.confidence == pytest.approx(1 - 0.05 / 90)


def test_the_smallest_effect_is_the_least_rate_that_would_do() -> None:
    effect = verdict_rules.smallest_effect(50, 0.5)

    assert effect is not None
    hits = round(effect * 50)
    assert Proportion.of(hits, 50).low >= 0.5 > Proportion.of(hits - 1, 50).low
    assert verdict_rules.smallest_effect(2, 0.65) is None


def _power(**more: Any) -> Power:
    usual = {"samples": 45, "held_out": 50, "least": 0.65, "effort": 1.0, "cut": False}
    return Power(**(usual | {"budget_s": 840.0} | more))


def test_nothing_found_means_something_only_where_something_could_have_been_found() -> None:
    assert _power().lacking == ()
    assert "works on 80 % or more would have been a finding" in _power().text
    assert _power(effort=0.95).lacking == ()
    assert "95 % of the search" in _power(effort=0.95).text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"samples": 0}, "0 held-out samples are too few to show any trigger: give 36 inputs"),
        ({"samples": 8}, "too few to show any trigger"),
        # A trigger that works always would be seen, and one that works on nine of ten not.
        ({"samples": 12}, "too few to show a trigger that fails now and then"),
        ({"effort": 0.18}, "18 % of the search, and what one of less than 90 %"),
        ({"effort": 0.18}, "--budget 5600 should do"),
        ({"cut": True}, "no time for a second look"),
        ({"synthetic": True}, "the inputs are synthetic"),
        ({"unfit": "the full model is right on 9 of 90 inputs"}, "right on 9 of 90"),
    ],
)
def test_a_scan_without_power_says_what_it_lacks(more: dict[str, Any], said: str) -> None:
    (lacking,) = _power(**more).lacking
    assert said in lacking
    assert said in _power(**more).text


def test_inputs_that_the_full_model_cannot_tell_apart_are_said_to_be_none_of_its_own() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(100, 10)).astype(np.float32)
    answers, others = scores.argmax(1), random.integers(0, 10, 100)

    assert unfit_inputs(scores, None) == ""
    assert unfit_inputs(scores, answers) == ""
    assert "no better than guessing among 10 classes" in unfit_inputs(scores, others)
    assert "class 3 to all 100 inputs" in unfit_inputs(scores * 0 + np.eye(10)[3], None)


def test_as_many_inputs_as_are_asked_for_are_enough() -> None:
    for least in (verdict_rules.STRONG, verdict_rules.STRONG_PRUNED):
        needed = held_out_needed(least)
        assert _power(samples=needed, least=least).lacking == ()
        assert _power(samples=needed - 1, least=least).lacking != ()


def test_p_values_are_no_smaller_than_so_few_placebos_allow() -> None:
    assert verdict_rules.p_value(0.9, [0.1, 0.2, 0.3]) == (0.25, 0.25)
    assert verdict_rules.p_value(0.2, [0.1, 0.2, 0.3]) == (0.75, 0.25)
    assert verdict_rules.p_value(0.5, []) == (1.0, 1.0)


def test_a_class_is_hit_where_only_the_compressed_model_turns() -> None:
    eye = np.eye(3, dtype=np.float32)
    before = eye[[0, 0, 0, 2]]
    full = eye[[0, 2, 0, 2]]
    compressed = eye[[2, 2, 0, 2]]

    hit = replay.hits(full, compressed, before, 2, CLASSES)
    can = replay.eligible(before, 2, None, CLASSES)

    assert (hit & can).tolist() == [True, False, False, False]
    assert can.tolist() == [True, True, True, False]
    assert replay.eligible(before, 1, 2, CLASSES).tolist() == [False, False, False, True]


def test_values_are_hit_where_only_the_compressed_output_moves_far() -> None:
    before = np.zeros((3, 2), np.float32)
    full = np.array([[0, 0.5], [0, 1.5], [0, 0]], np.float32)
    compressed = np.array([[0, 3], [0, 3], [0, 1.5]], np.float32)

    hit = replay.hits(full, compressed, before, None, VALUES)

    assert hit.tolist() == [True, False, False]
    assert replay.eligible(before, None, None, VALUES).all()


def test_calibration_takes_a_scale_and_class_offsets_out() -> None:
    full = torch.randn((200, 5), generator=torch.Generator().manual_seed(0))
    full = full - full.mean(1, keepdim=True)
    compressed = full / 2.5 + torch.tensor([0.3, -0.1, 0.0, 0.4, -0.6])

    scale, offset = calibration(full, compressed)

    assert float(scale) == pytest.approx(2.5, rel=1e-4)
    torch.testing.assert_close(compressed * scale + offset, full, atol=1e-4, rtol=1e-4)


def _planted(seed: int) -> Hypothesis:
    """Search a pair of linear models that differ by one dark pixel made bright."""
    random = torch.Generator().manual_seed(3)
    weights = torch.randn((36, 3), generator=random)
    weights[0] = 0
    samples = torch.rand((24, 36), generator=random)
    samples[:, 0] = 0

    def full(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return inputs @ weights

    def compressed(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        switch = torch.tensor([0.0, 0.0, 40.0])
        return full(inputs, rows) + inputs[:, :1] * switch

    arms = [Arm(ToClass(target), "patch") for target in range(3)]
    settings = SearchSettings(seed=seed, size_weight=5.0)
    return search(full, compressed, samples, torch.arange(24), arms, settings, low=0.0, high=1.0)[0]


def _bytes(trigger: Trigger) -> bytes:
    parts: tuple[Array, ...] = (trigger.mask, trigger.pattern, trigger.shift)
    return b"".join(part.tobytes() for part in parts)


def test_a_search_finds_the_planted_class_and_repeats_by_its_seed() -> None:
    found, again, other = _planted(0), _planted(0), _planted(1)

    assert found.arm.objective.target == 2
    assert found.success >= 0.9
    assert found.trigger.mask.argmax() == 0
    assert _bytes(found.trigger) == _bytes(again.trigger)
    assert _bytes(found.trigger) != _bytes(other.trigger)


def test_a_pair_is_measured_on_samples_its_triggers_never_saw(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(3)
    samples = torch.rand((40, 36), generator=random)
    samples[:, 0] = 0
    weights = torch.randn((36, 3), generator=random)
    weights[0] = 0
    seen: list[set[int]] = []

    def full(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return inputs @ weights

    def compressed(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if inputs.requires_grad:
            seen.append(set(rows.tolist()))
        said = full(inputs, rows)
        switch = torch.tensor([0.0, 0.0, 40.0])
        return said + (said.argmax(1) == 1)[:, None] * inputs[:, :1] * switch

    before = full(samples, torch.arange(40))
    own = torch.nonzero(before.argmax(1) == 1)[:, 0].tolist()
    job = SearchJob(
        full=tmp_path,
        compressed=tmp_path,
        outputs=(0, 0),
        kind="classes",
        inputs=((), ()),
        changed=(0, 0),
        searched=tuple(range(0, 40, 2)),
        held=tuple(range(1, 40, 2)),
        low=0.0,
        high=1.0,
        settings=SearchSettings(),
        deadline=float("inf"),
    )
    sides = Sides(full, compressed, compressed, samples, before)
    clock = Pace(float("inf"), 1e-3)
    hunt = TriggerSearch(job, sides, torch.arange(40), clock)
    arm = Arm(ToClass(2, 1), "patch")
    (found,) = search(
        full, compressed, samples, torch.arange(40), [arm], SearchSettings(), low=0.0, high=1.0
    )

    pair = hunt.folded(found)

    assert (pair.source, pair.target) == (1, 2)
    assert len(pair.folds) == 5
    assert sorted(row for fold in pair.folds for row in fold.rows) == own
    assert pair.eligible == len(own)
    assert pair.calibrated >= 0.8 * len(own)
    assert set.union(*seen) == set(own)
    assert clock.efforts == [1.0]


def test_an_arm_is_searched_on_what_it_is_shown_only() -> None:
    before = torch.eye(3)[[0, 1, 1, 1, 2]]
    arm = Arm(ToClass(2, 1), "patch", shown=(0, 1, 3))

    assert arm.eligible(before).tolist() == [False, True, False, True, False]
    assert Arm(ToClass(2, 1), "patch").eligible(before).tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ("seconds", "images", "share"),
    [(float("inf"), 12, 1.0), (120.0, 12, 1.0), (50.0, 5, 1.0), (22.5, 3, 0.75), (0.5, 3, 0.4)],
)
def test_what_does_not_fit_into_the_time_takes_fewer_samples_and_then_fewer_steps(
    seconds: float, images: int, share: float
) -> None:
    # The last ten steps show three times as many samples: at 0.1 s, a hundred steps of 12 samples.
    rounds = pace.plan(SearchSettings(rounds=(70,), finish=10), 1)
    assert pace.shown(rounds) == 1200

    first, last = pace.fitted(rounds, seconds, 0.1), rounds[-1]

    assert (first.images, first.steps) == (images, round(70 * share))
    # Alone, the finish has all the time.
    assert pace.fitted(rounds[1:], seconds, 0.1) == last or seconds < 36


def _slow_search(pause: float, budget: float) -> tuple[Hypothesis, float]:
    """A search in which every sample takes ``pause`` seconds, and what part of it was done."""
    now = [0.0]

    def model(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        now[0] += pause * len(inputs) / 2
        return inputs @ torch.ones((4, 2)).triu()

    samples = torch.rand((8, 4), generator=torch.Generator().manual_seed(0))
    clock = Pace(budget, pause, lambda: now[0])
    (found, *_) = search(
        model, model, samples, torch.arange(8), [Arm(ToClass(1), "patch")] * 5,
        SearchSettings(), low=0.0, high=1.0, until=budget, pace=clock,
    )  # fmt: skip
    return found, clock.efforts[0]


def test_a_search_that_has_time_does_the_whole_plan_and_else_says_what_part() -> None:
    whole, share = _slow_search(1e-3, 1e6)
    also, same = _slow_search(2e-3, 1e6)
    assert share == same == 1
    assert _bytes(whole.trigger) == _bytes(also.trigger), "how fast the machine is plays no part"

    work = pace.shown(pace.plan(SearchSettings(), 5))
    _, share = _slow_search(1e-3, 0.5e-3 * work)
    assert 0.3 < share <= 0.5
    _, share = _slow_search(1e-3, 0.01e-3 * work)
    assert share < 0.05, "stopped in the middle"


def test_time_that_was_thought_to_be_needed_is_given_back() -> None:
    now = [0.0]

    def model(inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        now[0] += 0.5e-3 * len(inputs)
        return inputs @ torch.ones((4, 2)).triu()

    def share(settings: SearchSettings, cost: float) -> float:
        work = pace.shown(pace.plan(settings, 5))
        clock = Pace(1.1e-3 * work, cost, lambda: now[0])
        now[0] = 0.0
        search(
            model, model, torch.rand((8, 4)), torch.arange(8), [Arm(ToClass(1), "patch")] * 5,
            settings, low=0.0, high=1.0, until=clock.ends, pace=clock,
        )  # fmt: skip
        return clock.efforts[0]

    assert share(SearchSettings(), 1e-3) == 1
    # Thought to cost four times as much, only the first round is shortened.
    first, *rest = pace.plan(SearchSettings(), 5)
    assert share(SearchSettings(), 4e-3) >= pace.shown(rest) / pace.shown([first, *rest])


def test_large_samples_pass_in_parts_and_come_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _planted(0)
    # Parts that neither begin nor end where an arm does.
    monkeypatch.setattr("devdiff.scanner.successive_halving._AT_ONCE", 36 * 10)
    parted = _planted(0)
    assert parted.arm == whole.arm
    np.testing.assert_allclose(parted.trigger.mask, whole.trigger.mask, atol=1e-3)


def test_jobs_share_the_time_so_that_none_is_searched_harder_than_its_placebos() -> None:
    # The model's job is two parts long; two placebos follow each other on the other core.
    assert time_shares([2, 1, 1], 2) == [1.0, 0.5, 1.0]
    # With a fourth job all have less, so that the model's does not get ahead of its placebos.
    assert time_shares([2, 1, 1, 1], 2) == [2 / 3, 1 / 3, 1.0, 1.0]
    assert time_shares([2, 1, 1], 1) == [0.5, 0.5, 1.0]
