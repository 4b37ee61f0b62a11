"""Classification: how often the true class has the highest score, or one of the k highest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UsageError
from devdiff.tasks.kind import MadeTask, TaskKind, TaskSetup, is_vector
from devdiff.tasks.task import Figure, SumScorer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array


@dataclass(frozen=True, slots=True)
class Classification:
    """Scores in the output ``output`` with one axis of classes; truths are class indices."""

    output: str
    k: int

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        first = Figure("top-1", column=0)
        return (first,) if self.k == 1 else (first, Figure(f"top-{self.k}", column=1))

    def answer(self, outputs: Mapping[str, Array]) -> Array:
        return outputs[self.output].ravel()

    def as_truth(self, answer: Array) -> int:
        return int(answer.argmax())

    def scorer(self) -> SumScorer:
        count = len(self.figures)
        return SumScorer(
            self._score, lambda totals: totals[:, :count] / totals[:, 2:], discrete=True
        )

    def _score(self, answer: Array, truth: int, source: object) -> tuple[float, float, float]:
        """Among equal scores the lowest class comes first; with a NaN there is no answer."""
        if np.isnan(answer).any():
            return 0.0, 0.0, 1.0
        own = answer[truth]
        ahead = int(np.count_nonzero(answer > own) + np.count_nonzero(answer[:truth] == own))
        return float(ahead == 0), float(ahead < self.k), 1.0


def _make(asked: TaskSetup) -> MadeTask:
    request, samples = asked.request, asked.samples
    spec = asked.output(is_vector, next(iter(asked.classifiers), None))
    k = int(request.number("topk", 5))
    if "topk" not in request.options and k >= spec.elements:
        k = 1
    if not 1 <= k < spec.elements:
        raise UsageError(
            f"--task classification: topk={k} must be from 1 to one less than the "
            f"{spec.elements} classes of output {spec.name}"
        )
    labels = samples.labels
    if labels is None:
        return MadeTask(Classification(spec.name, k))
    if len(labels) and int(labels.max()) >= spec.elements:
        raise UsageError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but output "
            f"{spec.describe()} has the classes 0 to {spec.elements - 1}"
        )
    return MadeTask(Classification(spec.name, k), lambda index: int(labels[index]))


KIND: Final = TaskKind(
    "classification",
    options=("output", "topk"),
    make=_make,
    truth_is_labels=True,
)
