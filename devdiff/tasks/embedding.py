"""Embeddings: how near they stay to the source's, and whether like still finds like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UnmeasurableError
from devdiff.tasks.kind import MadeTask, TaskKind, TaskSetup, is_vector
from devdiff.tasks.task import Figure, Scorer, Sums, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array

_BLOCK: Final = 512
NEAREST: Final = 5
# Vectors of length one that differ by less are the same but for rounding.
_SAME: Final = 1e-7


@dataclass(frozen=True, slots=True)
class Embedding:
    """Vectors in the output ``output``; truths are class labels, if ``labelled``."""

    output: str
    labelled: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        cosine = Figure("cosine to source", share=False)
        if not self.labelled:
            return (Figure("neighbour kept", column=0), cosine)
        return (Figure("recall@1", column=0), Figure("mean reciprocal rank"), cosine)

    def answer(self, outputs: Mapping[str, Array]) -> Array:
        vector = finite(outputs[self.output].astype(np.float64).ravel(), self.output)
        length = float(np.linalg.norm(vector))
        return vector / length if length > 0 else vector

    def as_truth(self, answer: Array) -> Array:
        return answer

    def scorer(self) -> Scorer:
        return _Retrieval() if self.labelled else _Neighbours()


def _cosine(answer: Array, source: Array | None) -> float:
    """NaN where the source has no answer."""
    return float("nan") if source is None else float(answer @ source)


class _Neighbours:
    """Whether the sample that is nearest by the source's vectors stays among the nearest.

    The cosine to the source alone would be high for any two vectors where all point almost the same
    way, as embeddings with a large constant part do.
    """

    def __init__(self) -> None:
        self._vectors: list[Array] = []
        self._source: list[Array] = []

    def add(self, answer: Array, truth: Array, source: Array | None) -> None:
        self._vectors.append(answer)
        self._source.append(truth)

    def scores(self) -> Sums:
        vectors, source = np.stack(self._vectors), np.stack(self._source)
        count = len(source)
        if count <= 2 * NEAREST:
            raise UnmeasurableError(
                f"{count} samples are too few to tell neighbours, {2 * NEAREST + 1} or more are "
                "needed"
            )
        if np.ptp(source, axis=0).max() <= _SAME:
            raise UnmeasurableError("the vectors of all samples are the same")
        kept = np.concatenate(
            [
                _kept(vectors, source, start, min(start + _BLOCK, count))
                for start in range(0, count, _BLOCK)
            ]
        )
        columns = [kept.astype(np.float64), (vectors * source).sum(axis=1), np.ones(count)]
        return Sums(np.stack(columns, axis=1), lambda totals: totals[:, :2] / totals[:, 2:])


def _kept(vectors: Array, source: Array, start: int, stop: int) -> Array:
    """Whether the source's nearest of each query start..stop is among the `NEAREST` nearest.

    Of equally near ones, others come first: what cannot be told apart is not kept.
    """
    rows = np.arange(stop - start)
    near_source, near = (side[start:stop] @ side.T for side in (source, vectors))
    for near_side in (near_source, near):
        near_side[rows, rows + start] = -np.inf
    own = near[rows, near_source.argmax(axis=1)][:, None]
    ahead = (near >= own - _SAME).sum(axis=1) - 1
    kept: Array = ahead < NEAREST
    return kept


class _Retrieval:
    """Every sample looks for its own class among all others by cosine.

    All vectors of a rung are held: who is nearest cannot be told from single samples.
    """

    def __init__(self) -> None:
        self._vectors: list[Array] = []
        self._labels: list[int] = []
        self._cosines: list[float] = []

    def add(self, answer: Array, truth: int, source: Array | None) -> None:
        self._vectors.append(answer.astype(np.float32))
        self._labels.append(truth)
        self._cosines.append(_cosine(answer, source))

    def scores(self) -> Sums:
        vectors, labels = np.stack(self._vectors), np.array(self._labels)
        ranks = np.concatenate(
            [
                _ranks(vectors, labels, start, min(start + _BLOCK, len(labels)))
                for start in range(0, len(labels), _BLOCK)
            ]
        )
        counted = ranks > 0
        if not counted.any():
            raise UnmeasurableError(
                "no class has two samples, so that none can find another of its own: retrieval "
                "needs several samples a class"
            )
        columns = [
            ranks == 1,
            np.where(counted, 1 / np.maximum(ranks, 1), 0.0),
            self._cosines,
            np.ones(len(ranks)),
            counted,
        ]
        return Sums(np.stack([np.asarray(c, np.float64) for c in columns], axis=1), _figures)


def _ranks(vectors: Array, labels: Array, start: int, stop: int) -> Array:
    """The rank of the nearest sample of the same class for queries start..stop; 0 without one.

    Of equally near ones, others come first: what cannot be told apart is not found.
    """
    near = vectors[start:stop] @ vectors.T
    rows = np.arange(stop - start)
    near[rows, rows + start] = -np.inf
    same = labels[start:stop, None] == labels[None, :]
    same[rows, rows + start] = False
    best = np.where(same, near, -np.inf).max(axis=1)
    ahead = ((near >= best[:, None]) & ~same).sum(axis=1)
    ahead -= best == -np.inf  # the query itself
    ranks: Array = np.where(same.any(axis=1), ahead + 1, 0)
    return ranks


def _figures(totals: Array) -> Array:
    return np.stack(
        [
            totals[:, 0] / totals[:, 4],
            totals[:, 1] / totals[:, 4],
            totals[:, 2] / totals[:, 3],
        ],
        axis=1,
    )


def _make(asked: TaskSetup) -> MadeTask:
    spec, labels = asked.output(is_vector), asked.samples.labels
    if labels is None:
        return MadeTask(Embedding(spec.name, labelled=False))
    return MadeTask(Embedding(spec.name, labelled=True), lambda index: int(labels[index]))


KIND: Final = TaskKind(
    "embedding",
    options=("output",),
    make=_make,
    truth_is_labels=True,
)
