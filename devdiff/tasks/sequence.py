"""Sequences: how many edits a text read with CTC, or a row of tokens, is from the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from devdiff.errors import ComparisonError, UnmeasurableError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.task import Figure, Sums, SumScorer, finite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
        return _SequenceScorer(_score, _figures, discrete=True)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token numbers [1, T], or scores of them [1, T, V] or, with ``classes_first``, [1, V, T], of
    which the best is taken. A sequence ends before the first ``end``; ``pad`` is dropped.

    ``alphabet`` has the text of every token in order; without it tokens stand for themselves.
    """

    spec: TensorSpec
    classes_first: bool
    end: int | None
    pad: int | None
    alphabet: tuple[str, ...] | None

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.spec.name,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        rate = "token error rate" if self.alphabet is None else "CER"
        return (
            Figure(rate, higher_is_better=False, bounded=False),
            Figure("exact matches", column=2),
        )

    def answer(self, outputs: Mapping[str, Array]) -> str | tuple[int, ...]:
        values = finite(outputs[self.spec.name], self.spec.name)[0]
        if not is_tokens(self.spec):
            values = values.argmax(axis=0 if self.classes_first else 1)
        tokens = self.cut(values.ravel().astype(np.int64).tolist())
        if self.alphabet is None:
            return tokens
        odd = [token for token in tokens if not 0 <= token < len(self.alphabet)]
        if odd:
            raise ComparisonError(
                f"output {self.spec.name} holds token {odd[0]}, and the alphabet has "
                f"{len(self.alphabet)} lines"
            )
        return "".join(self.alphabet[token] for token in tokens)

    def cut(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The tokens that count."""
        if self.end is not None and self.end in tokens:
            tokens = tokens[: tokens.index(self.end)]
        return tuple(token for token in tokens if token != self.pad)

    def as_truth(self, answer: str | tuple[int, ...]) -> str | tuple[int, ...]:
        return answer

    def scorer(self) -> SumScorer:
        return _SequenceScorer(_score, _figures, discrete=True)


def is_tokens(spec: TensorSpec) -> bool:
    """Whether an output holds a row of token numbers and no scores."""
    shape = spec.shape
    whole = spec.numpy_dtype.kind in "iu" and spec.quantization is None
    return whole and len(shape) == 2 and shape[0] == 1


class _SequenceScorer(SumScorer):
    def scores(self) -> Sums:
        sums = super().scores()
        if not sums.columns[:, 1].any():
            raise UnmeasurableError("all true texts are empty, so that an error rate means nothing")
        return sums


def _score(answer: Sequence[object], truth: Sequence[object], _source: object) -> tuple[float, ...]:
    from rapidfuzz.distance import Levenshtein

    edits = Levenshtein.distance(answer, truth)
    return float(edits), float(len(truth)), float(edits == 0), 1.0


def _figures(totals: Array) -> Array:
    return np.stack([totals[:, 0] / totals[:, 1], totals[:, 2] / totals[:, 3]], axis=1)
