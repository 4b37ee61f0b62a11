"""Regression: the coefficient of determination, and the errors in the output's own unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.errors import UnmeasurableError
from devdiff.tasks import truth as truths
from devdiff.tasks.kind import MadeTask, TaskKind, TaskSetup
from devdiff.tasks.task import Figure, Sums, SumScorer, finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array


@dataclass(frozen=True, slots=True)
class Regression:
    """Values in the output ``output``; truths are float64 [D], one for each of its elements."""

    output: str

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Figure("R²", bounded=False, share=False),
            Figure("MAE", higher_is_better=False, bounded=False, share=False),
            Figure("RMSE", higher_is_better=False, bounded=False, share=False),
        )

    def answer(self, outputs: Mapping[str, Array]) -> Array:
        return finite(outputs[self.output].astype(np.float64).ravel(), self.output)

    def as_truth(self, answer: Array) -> Array:
        return answer

    def scorer(self) -> _RegressionScorer:
        return _RegressionScorer()


class _RegressionScorer(SumScorer):
    """Columns by element: truth, its square, squared error, absolute error; then a one."""

    def __init__(self) -> None:
        super().__init__(self._columns, _figures)
        # Sums of squares of values near zero are exact enough for their variance.
        self._origin: Array | None = None

    def _columns(self, answer: Array, truth: Array, source: object) -> Array:
        if self._origin is None:
            self._origin = truth
        shifted, error = truth - self._origin, answer - truth
        return np.concatenate([shifted, shifted**2, error**2, np.abs(error), [1.0]])

    def scores(self) -> Sums:
        sums = super().scores()
        if not (_variance(sums.columns.sum(axis=0, keepdims=True)) > 0).any():
            raise UnmeasurableError(
                "the true values are the same in all samples, so that there is nothing to explain "
                "(R²): give samples whose truth varies"
            )
        return sums


def _parts(totals: Array) -> list[Array]:
    return np.split(totals[:, :-1] / totals[:, -1:], 4, axis=1)


def _variance(totals: Array) -> Array:
    mean, square, _, _ = _parts(totals)
    variance: Array = square - mean**2
    return variance


def _figures(totals: Array) -> Array:
    """R² averaged over the elements whose truth varies, MAE and RMSE over all."""
    _, _, squared, absolute = _parts(totals)
    variance = _variance(totals)
    varies = variance > 0
    share = np.where(varies, 1 - squared / np.where(varies, variance, 1.0), 0.0)
    return np.stack(
        [
            share.sum(axis=1) / varies.sum(axis=1),
            absolute.mean(axis=1),
            np.sqrt(squared.mean(axis=1)),
        ],
        axis=1,
    )


def _make(asked: TaskSetup) -> MadeTask:
    request, samples = asked.request, asked.samples
    spec = asked.output(lambda tensor: True)
    if request.truth is None:
        return MadeTask(Regression(spec.name))
    values = truths.values(request.truth, samples, asked.rows, spec.elements)[samples.tested]
    return MadeTask(Regression(spec.name), lambda index: values[index])


KIND: Final = TaskKind(
    "regression",
    options=("output",),
    make=_make,
)
