"""Answers of classifiers: which class wins on each side, and what it means when they differ.

The answer to a sample is the class with the highest score; of equal scores, the lowest index. A
sample with a NaN among its scores has no answer.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from devdiff.comparison.intervals import CONFIDENCE, Proportion
from devdiff.system.typed_json import Count, Extended, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array, Quantization

TOP_K: Final = 5
FLIPS_KEPT: Final = 50
HARMED_KEPT: Final = 24
MATRIX_CLASSES: Final = 12
"""Classes with a row and a column of their own; a person reads no more."""

Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Flip(Record, frozen=True):
    """A sample whose answer differs; scores in real units.

    A margin is the distance between a side's best and second best score. ``gap`` is how far, on the
    reference, the candidate's answer lies behind the reference's own: if no score is off by more
    than ``e``, no gap above ``2 e`` can flip. ``tie``: on either side the two answers' scores are
    exactly equal (as stored, for quantized outputs), so that only the order of classes decided.
    """

    sample: Count
    reference_class: Count
    candidate_class: Count
    reference_margin: Extended
    candidate_margin: Extended
    gap: Extended
    tie: bool


class FlipMatrix(Record, frozen=True):
    """How many answers of each class became another: ``counts[r][c]`` from ``classes[r]`` to
    ``classes[c]``, which are those in the most flips, in ascending order.

    Where ``others`` is true, a last row and column stand for all other classes together.
    """

    classes: tuple[Count, ...]
    others: bool
    counts: tuple[tuple[Count, ...], ...]

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts))


class Accuracy(Record, frozen=True):
    """How often each rung gives the true class, and the paired table of the two."""

    reference: Proportion
    candidate: Proportion
    both_right: Count
    only_reference: Count
    only_candidate: Count
    both_wrong: Count


class ClassifierAgreement(Record, frozen=True, omit_defaults=True):
    """Agreement of the two rungs on one classifier output.

    Samples without an answer on both sides are ``undecided`` and no part of the proportions; where
    only one side lacks one (``lost_answers``), the rungs disagree. ``top_k`` counts candidate's
    answers among the reference's ``k`` best, None for ``k`` classes or fewer. ``flips`` are all
    samples with two different answers, ``ties`` those of them that are ties, ``kept_flips`` the at
    most `FLIPS_KEPT` gravest: no tie before a tie, then by descending gap. ``harmed_flips`` are, in
    the same order, those of the at most `HARMED_KEPT` gravest flips away from the true class that
    are not among ``kept_flips``. ``flip_matrix`` counts all flips; None without any.
    """

    output: str
    classes: Count
    k: Count
    top_1: Proportion
    top_k: Proportion | None
    undecided: Count
    lost_answers: Count
    flips: Count
    ties: Count
    kept_flips: tuple[Flip, ...]
    accuracy: Accuracy | None
    harmed_flips: tuple[Flip, ...] = ()
    flip_matrix: FlipMatrix | None = None


class ClassifierAccumulator:
    """Takes in a classifier output's scores in blocks ``[count, classes]`` as stored."""

    def __init__(
        self,
        output: str,
        classes: int,
        reference: Quantization | None,
        candidate: Quantization | None,
        confidence: float = CONFIDENCE,
    ) -> None:
        self._output = output
        self._classes = classes
        self._quantizations = (reference, candidate)
        self._confidence = confidence
        self._samples = 0
        self._undecided = 0
        self._lost = 0
        self._in_top_k = 0
        self._flips = 0
        self._ties = 0
        self._kept: list[Flip] = []
        self._harmed: list[Flip] = []
        self._between: Counter[tuple[int, int]] = Counter()
        # Rows: reference wrong or right; columns: the same of the candidate.
        self._table = np.zeros((2, 2), np.int64)
        self._labelled = False

    def add(
        self, start: int, reference: Array, candidate: Array, labels: Array | None = None
    ) -> None:
        """Samples from ``start`` on; ``labels`` ``[count]`` are their true classes."""
        left, left_decided = answers(reference)
        right, right_decided = answers(candidate)
        both = left_decided & right_decided
        differ = both & (left != right)
        self._samples += len(reference)
        self._undecided += int(np.count_nonzero(~left_decided & ~right_decided))
        self._lost += int(np.count_nonzero(left_decided ^ right_decided))
        flips = np.flatnonzero(differ)
        self._in_top_k += int(np.count_nonzero(both)) - flips.size
        if flips.size:
            self._add_flips(
                start,
                flips,
                (reference[flips], candidate[flips]),
                (left[flips], right[flips]),
                None if labels is None else left[flips] == labels[flips],
            )
        if labels is not None:
            self._labelled = True
            right_answers = [
                (decided & (answers == labels)).astype(np.int64)
                for answers, decided in ((left, left_decided), (right, right_decided))
            ]
            cells = np.bincount(2 * right_answers[0] + right_answers[1], minlength=4)
            self._table += cells.reshape(2, 2)

    def _add_flips(
        self,
        start: int,
        samples: Indices,
        scores: tuple[Array, Array],
        answers: tuple[Indices, Indices],
        harmed: Mask | None,
    ) -> None:
        self._flips += samples.size
        self._between.update(zip(answers[0].tolist(), answers[1].tolist(), strict=True))
        rows = np.arange(samples.size)
        tie: Mask = scores[0][rows, answers[0]] == scores[0][rows, answers[1]]
        tie |= scores[1][rows, answers[0]] == scores[1][rows, answers[1]]
        self._ties += int(np.count_nonzero(tie))
        self._in_top_k += _among_best(scores[0], answers[1], TOP_K)
        real = [_real(s, q) for s, q in zip(scores, self._quantizations, strict=True)]
        gaps = _apart(real[0][rows, answers[0]], real[0][rows, answers[1]])
        order = np.lexsort((samples, -gaps, tie))

        def described(rows: Indices) -> list[Flip]:
            margins = [_margins(side[rows]) for side in real]
            return [
                Flip(
                    start + int(samples[row]),
                    int(answers[0][row]),
                    int(answers[1][row]),
                    float(margins[0][place]),
                    float(margins[1][place]),
                    float(gaps[row]),
                    bool(tie[row]),
                )
                for place, row in enumerate(rows.tolist())
            ]

        self._kept = _gravest(self._kept + described(order[:FLIPS_KEPT]), FLIPS_KEPT)
        if harmed is not None and harmed.any():
            chosen = order[harmed[order]][:HARMED_KEPT]
            self._harmed = _gravest(self._harmed + described(chosen), HARMED_KEPT)

    def result(self) -> ClassifierAgreement:
        """The agreement over everything taken in so far."""
        trials = self._samples - self._undecided
        agreeing = trials - self._lost - self._flips
        return ClassifierAgreement(
            output=self._output,
            classes=self._classes,
            k=TOP_K,
            top_1=self._proportion(agreeing, trials),
            top_k=self._proportion(self._in_top_k, trials) if self._classes > TOP_K else None,
            undecided=self._undecided,
            lost_answers=self._lost,
            flips=self._flips,
            ties=self._ties,
            kept_flips=tuple(self._kept),
            accuracy=self._accuracy() if self._labelled else None,
            harmed_flips=tuple(flip for flip in self._harmed if flip not in self._kept),
            flip_matrix=flip_matrix(self._between),
        )

    def _accuracy(self) -> Accuracy:
        (both_wrong, only_candidate), (only_reference, both_right) = self._table.tolist()
        return Accuracy(
            reference=self._proportion(both_right + only_reference, self._samples),
            candidate=self._proportion(both_right + only_candidate, self._samples),
            both_right=both_right,
            only_reference=only_reference,
            only_candidate=only_candidate,
            both_wrong=both_wrong,
        )

    def _proportion(self, successes: int, trials: int) -> Proportion:
        return Proportion.of(successes, trials, self._confidence)


def flip_matrix(between: Mapping[tuple[int, int], int]) -> FlipMatrix | None:
    """The matrix of flips counted by the classes before and after; None where there are none."""
    flips: Counter[int] = Counter()
    for pair, count in between.items():
        for index in pair:
            flips[index] += count
    if not flips:
        return None
    ranked = sorted(flips, key=lambda index: (-flips[index], index))
    classes = sorted(ranked[:MATRIX_CLASSES])
    others = len(ranked) > len(classes)
    places = {index: place for place, index in enumerate(classes)}
    size = len(classes) + others
    counts = [[0] * size for _ in range(size)]
    for (before, after), count in between.items():
        counts[places.get(before, size - 1)][places.get(after, size - 1)] += count
    return FlipMatrix(tuple(classes), others, tuple(map(tuple, counts)))


def answers(scores: Array) -> tuple[Indices, Mask]:
    """Each row's best class, and whether it has one. NumPy's argmax stops at a NaN."""
    best = scores.argmax(axis=1)
    if scores.dtype.kind != "f":
        return best, np.ones(len(scores), np.bool_)
    return best, ~np.isnan(scores[np.arange(len(scores)), best])


def _gravest(flips: list[Flip], most: int) -> list[Flip]:
    return sorted(flips, key=lambda flip: (flip.tie, -flip.gap, flip.sample))[:most]


def _among_best(scores: Array, classes: Indices, k: int) -> int:
    """In how many rows the given class is among the ``k`` best (lowest index first on ties)."""
    own = scores[np.arange(len(scores)), classes][:, None]
    ahead = scores > own
    ahead |= (scores == own) & (np.arange(scores.shape[1]) < classes[:, None])
    return int(np.count_nonzero(ahead.sum(axis=1) < k))


def _margins(scores: Array) -> Array:
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    return _apart(best, second)


def _apart(higher: Array, lower: Array) -> Array:
    """The distance between scores; none between equal ones, be they infinite."""
    with np.errstate(invalid="ignore"):
        distance = higher - lower
    return np.where(higher == lower, 0.0, distance)


def _real(scores: Array, quantization: Quantization | None) -> Array:
    real = scores if quantization is None else quantization.dequantize(scores)
    # Margins and gaps of two float32 scores are exact in float64.
    return real.astype(np.float64)
