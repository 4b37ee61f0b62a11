"""Answers, flips and ties are what a plain loop over the samples finds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from devdiff.comparison.classify import FLIPS_KEPT, MATRIX_CLASSES, ClassifierAccumulator
from devdiff.exporter.artifact import Array, Quantization
from tests.support.pair_packs import float32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.comparison import ClassifierAgreement


def classify(
    reference: Array,
    candidate: Array,
    labels: Array | None = None,
    quantization: tuple[Quantization | None, Quantization | None] = (None, None),
    blocks: int = 3,
) -> ClassifierAgreement:
    accumulator = ClassifierAccumulator("y", reference.shape[1], *quantization)
    for rows in np.array_split(np.arange(len(reference)), blocks):
        if rows.size:
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            mine = labels[part] if labels is not None else None
            accumulator.add(part.start, reference[part], candidate[part], mine)
    return accumulator.result()


def answer(scores: Sequence[float]) -> int | None:
    if any(math.isnan(score) for score in scores):
        return None
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def check(got: ClassifierAgreement, a: Array, b: Array, labels: Array | None) -> None:
    pairs = [(answer(x), answer(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    decided = [(x, y) for x, y in pairs if x is not None or y is not None]
    flips = [i for i, (x, y) in enumerate(pairs) if None not in (x, y) and x != y]
    assert got.undecided == len(pairs) - len(decided)
    assert got.lost_answers == sum((x is None) != (y is None) for x, y in pairs)
    assert (got.flips, got.top_1.trials) == (len(flips), len(decided))
    assert got.top_1.successes == sum(x == y for x, y in decided)
    if got.top_k is not None:
        ranked = [sorted(range(a.shape[1]), key=lambda c: (-row[c], c))[:5] for row in a.tolist()]
        assert got.top_k.successes == sum(
            y in best for best, (x, y) in zip(ranked, pairs, strict=True) if None not in (x, y)
        )
    ties = [
        i
        for i in flips
        if a[i, pairs[i][0]] == a[i, pairs[i][1]] or b[i, pairs[i][0]] == b[i, pairs[i][1]]
    ]
    assert got.ties == len(ties)
    assert sorted(flip.sample for flip in got.kept_flips) == flips  # fewer than are kept
    for flip in got.kept_flips:
        x, y = pairs[flip.sample]
        assert (flip.reference_class, flip.candidate_class) == (x, y)
        assert flip.tie == (flip.sample in ties)
    if labels is not None:
        right = [
            (x == label, y == label) for (x, y), label in zip(pairs, labels.tolist(), strict=True)
        ]
        assert got.accuracy is not None
        accuracy = got.accuracy
        assert accuracy.both_right == right.count((True, True))
        assert accuracy.only_reference == right.count((True, False))
        assert accuracy.only_candidate == right.count((False, True))
        assert accuracy.both_wrong == right.count((False, False))
        assert accuracy.reference.successes == sum(x for x, _ in right)
        assert accuracy.candidate.successes == sum(y for _, y in right)
        assert accuracy.reference.trials == len(right)


# Few values make ties common.
scores = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0, math.nan])


@st.composite
def score_pairs(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(2, 9)))
    a = draw(npst.arrays(np.float32, shape, elements=scores))
    b = draw(st.one_of(npst.arrays(np.float32, shape, elements=scores), st.just(a)))
    labels = draw(npst.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)))
    return a, b, labels


@settings(deadline=None)
@given(score_pairs())
def test_answers_are_those_of_a_plain_loop(data: tuple[Array, Array, Array]) -> None:
    a, b, labels = data
    check(classify(a, b, labels), a, b, labels)


@settings(deadline=None)
@given(npst.arrays(np.int8, (10, 7)), npst.arrays(np.int8, (10, 7)))
def test_quantized_scores_answer_the_same_as_their_real_values(a: Array, b: Array) -> None:
    affine = Quantization(0.00390625, -128)
    got = classify(a, b, quantization=(affine, affine))
    check(got, a, b, None)
    real = classify(affine.dequantize(a), affine.dequantize(b))
    assert got == real


def test_equal_scores_answer_with_the_lowest_class() -> None:
    a = float32(1, 3, 3, 0).reshape(1, 4)
    b = float32(1, 3, 3.5, 0).reshape(1, 4)
    got = classify(a, b)
    (flip,) = got.kept_flips
    assert (flip.reference_class, flip.candidate_class) == (1, 2)
    assert (flip.tie, got.ties) == (True, 1)
    assert (flip.reference_margin, flip.candidate_margin, flip.gap) == (0.0, 0.5, 0.0)


def test_a_tie_on_the_candidate_counts_too() -> None:
    got = classify(float32(0, 2).reshape(1, 2), float32(1, 1).reshape(1, 2))
    assert (got.flips, got.ties) == (1, 1)


def test_margins_and_gap_are_in_real_units() -> None:
    affine = Quantization(0.5, 0)
    a = np.array([[10, 7, 4]], np.int8)
    b = np.array([[5, 0, 9]], np.int8)
    (flip,) = classify(a, b, quantization=(affine, affine)).kept_flips
    assert (flip.reference_margin, flip.candidate_margin, flip.gap) == (1.5, 2.0, 3.0)


def test_a_lost_answer_is_a_disagreement_and_two_lost_ones_say_nothing() -> None:
    nan = math.nan
    a = float32(1, 0, nan, 0, 1, 0).reshape(3, 2)
    b = float32(nan, 0, nan, 0, 1, 0).reshape(3, 2)
    got = classify(a, b, np.array([0, 0, 0]))
    assert (got.top_1.successes, got.top_1.trials) == (1, 2)
    assert (got.undecided, got.lost_answers, got.flips) == (1, 1, 0)
    assert got.accuracy is not None
    assert (got.accuracy.both_right, got.accuracy.only_reference, got.accuracy.both_wrong) == (
        1,
        1,
        1,
    )


def test_all_flips_are_counted_and_the_gravest_kept() -> None:
    rng = np.random.default_rng(0)
    gaps = rng.permutation(400).astype(np.float32)  # one of them 0: a tie
    a = np.stack([gaps, np.zeros_like(gaps)], axis=1)
    b = np.tile(float32(0, 1), (400, 1))
    got = classify(a, b, blocks=7)
    assert (got.flips, got.ties) == (400, 1)
    assert [flip.gap for flip in got.kept_flips] == list(range(399, 399 - FLIPS_KEPT, -1))
    assert all(gaps[flip.sample] == flip.gap for flip in got.kept_flips)


def test_no_tie_pushes_out_a_flip_that_is_none() -> None:
    a = np.tile(float32(0, 9), (100, 1))
    b = np.tile(float32(1, 1), (100, 1))  # ties on the candidate, across a wide gap
    a[70], b[70] = float32(0, 1), float32(1, 0)
    got = classify(a, b, blocks=1)
    assert (got.flips, got.ties) == (100, 99)
    assert (got.kept_flips[0].sample, got.kept_flips[0].tie) == (70, False)


def test_top_k_is_only_given_where_it_can_fail() -> None:
    assert classify(np.zeros((1, 5), np.float32), np.zeros((1, 5), np.float32)).top_k is None
    assert classify(np.zeros((1, 6), np.float32), np.zeros((1, 6), np.float32)).top_k is not None


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_blocks_do_not_matter(blocks: int) -> None:
    rng = np.random.default_rng(3)
    a = rng.integers(0, 5, (30, 8)).astype(np.float32)
    b = a + rng.integers(0, 2, (30, 8))
    labels = rng.integers(0, 8, 30)
    assert classify(a, b, labels, blocks=blocks) == classify(a, b, labels, blocks=30)


def scores_of(*classes: int, width: int = 4) -> Array:
    return np.eye(width, dtype=np.float32)[list(classes)]


@given(
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), min_size=1, max_size=60),
    st.integers(1, 4),
)
def test_the_matrix_counts_every_flip_once(pairs: list[tuple[int, int]], blocks: int) -> None:
    before, after = (scores_of(*side, width=20) for side in zip(*pairs, strict=True))
    got = classify(before, after, blocks=blocks)
    flips = [(x, y) for x, y in pairs if x != y]
    if not flips:
        assert got.flip_matrix is None
        return
    matrix = got.flip_matrix
    assert matrix is not None
    assert matrix.total == got.flips == len(flips)
    kept = matrix.classes
    assert list(kept) == sorted(kept)
    assert matrix.others == (len({index for flip in flips for index in flip}) > MATRIX_CLASSES)
    for row, x in enumerate(kept):
        for column, y in enumerate(kept):
            assert matrix.counts[row][column] == flips.count((x, y))
        if matrix.others:
            assert matrix.counts[row][-1] == sum(a == x and b not in kept for a, b in flips)
    if matrix.others:
        # No class that is left out is in more flips than one that is not.
        often = {index: sum(index in flip for flip in flips) for flip in flips for index in flip}
        least = min(often[index] for index in kept)
        assert all(often[index] <= least for index in often if index not in kept)


def test_flips_that_do_harm_are_kept_beside_graver_ones() -> None:
    """More flips than are kept, across wide gaps and away from nothing true; few harm."""
    count = FLIPS_KEPT + 10
    before, after = scores_of(*[0] * count), scores_of(*[1] * count)
    before[:5, 0] = 0.5  # a small gap
    labels = np.full(count, 2)
    labels[:5] = 0
    got = classify(before, after, labels)
    assert {flip.sample for flip in got.kept_flips}.isdisjoint(range(5))
    assert [flip.sample for flip in got.harmed_flips] == [0, 1, 2, 3, 4]
    assert got.accuracy is not None
    assert got.accuracy.only_reference == 5


def test_no_flip_is_held_twice() -> None:
    got = classify(scores_of(0, 0, 3), scores_of(1, 2, 3), np.array([0, 2, 3]))
    assert len(got.kept_flips) == 2
    assert got.harmed_flips == ()
