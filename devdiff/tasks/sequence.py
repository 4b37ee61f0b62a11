"""Text read by a network with CTC: how many edits its reading is from the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.task import Figure, Sums, SumScorer, finite


@dataclass(frozen=True, slots=True)
class Reading:
    """Scores [1, T, C] or [T, 1, C] or, with ``classes_first``, [1, C, T]; of each step the best
    class is read, repeats are one, and ``blank`` separates (Graves et al., ICML 2006).

    ``alphabet`` has the symbols of the other classes in order; without it classes stand for
    themselves.
    """

    spec: TensorSpec
    blank: int
    classes_first: bool
    alphabet: tuple[str, ...] | None

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.spec.name,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Figure("CER", higher_is_better=False, bounded=False),
            Figure("exact matches", column=2),
        )

    def answer(self, outputs: Mapping[str, Array]) -> str | tuple[int, ...]:
        scores = finite(outputs[self.spec.name], self.spec.name)
        # The axis of one is the batch, wherever it stands.
        scores = scores[:, 0] if scores.shape[0] > 1 else scores[0]
        best = scores.argmax(axis=0 if self.classes_first else 1)
        starts = np.flatnonzero(np.diff(best, prepend=-1))
        read = tuple(int(c) for c in best[starts] if c != self.blank)
        if self.alphabet is None:
            return read
        return "".join(self.alphabet[c - (c > self.blank)] for c in read)

    def as_truth(self, answer: str | tuple[int, ...]) -> str | tuple[int, ...]:
        return answer

    def scorer(self) -> SumScorer:
        return _SequenceScorer(_score, _figures)


class _SequenceScorer(SumScorer):
    def scores(self) -> Sums:
        sums = super().scores()
        if not sums.columns[:, 1].any():
            raise UsageError("all true texts are empty, so that an error rate means nothing")
        return sums


def _score(answer: Sequence[object], truth: Sequence[object], source: object) -> tuple[float, ...]:
    from rapidfuzz.distance import Levenshtein

    edits = Levenshtein.distance(answer, truth)
    return float(edits), float(len(truth)), float(edits == 0), 1.0


def _figures(totals: Array) -> Array:
    return np.stack([totals[:, 0] / totals[:, 1], totals[:, 2] / totals[:, 3]], axis=1)
