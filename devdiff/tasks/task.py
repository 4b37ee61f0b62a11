"""What every task has: answers, scores of single samples, and figures over any choice of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from devdiff.errors import ComparisonError, UsageError
from devdiff.exporter.artifact import Array, TensorSpec


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric. ``column``: its share is a count of yes (1) and no (0) in that column of `Sums`,
    over the samples that `Sums.counted` counts. ``bounded``: a sample moves it by at most 1/N.
    ``share``: it is one, as an accuracy or an error rate, and is shown in percent."""

    name: str
    higher_is_better: bool = True
    bounded: bool = True
    column: int | None = None
    share: bool = True


class Scores(Protocol):
    """What one rung scored on every sample."""

    @property
    def samples(self) -> int: ...

    @property
    def support(self) -> int:
        """How many samples the figures rest on: those with an object, a text, a class that is not
        the most frequent one. Where it is 0, whoever always gives one answer scores as well."""

    def values(self, weights: Array) -> Array:
        """The figures [R, figures] when sample i counts ``weights[r, i]`` times ([R, N])."""

    def changed(self, other: Any) -> int:
        """In how many samples another rung scored otherwise."""

    def by_sample(self) -> Array | None:
        """How good each sample's answer is by itself, float64 [N], higher is better and NaN where
        nothing says; None of tasks whose samples mean nothing alone."""


class Scorer(Protocol):
    """Takes in one rung's answers, in the order of the samples."""

    def add(self, answer: Any, truth: Any, source: Any) -> None:
        """One sample; ``source`` is the source rung's answer to it, None where it did not run."""

    def scores(self) -> Scores: ...


class Task(Protocol):
    """A kind of task over the outputs ``outputs``; the first of ``figures`` is the one judged."""

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def figures(self) -> tuple[Figure, ...]: ...

    def answer(self, outputs: Mapping[str, Array]) -> Any:
        """One sample's answer from its outputs in real units and the source's layout, with the
        batch axis. Raises `ComparisonError` where they hold no answer."""

    def as_truth(self, answer: Any) -> Any:
        """An answer taken for the truth."""

    def scorer(self) -> Scorer: ...


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Scores that add up: ``columns`` float64 [N, K], figures a function of their totals [R, K].

    ``counted`` is the column that counts the samples behind shares of yes and no; ``supported`` is
    their `Scores.support`, None for all. ``single`` makes `Scores.by_sample` of the columns.
    """

    columns: Array
    formula: Callable[[Array], Array]
    counted: int = -1
    supported: int | None = None
    single: Callable[[Array], Array] | None = None

    @property
    def samples(self) -> int:
        return len(self.columns)

    @property
    def support(self) -> int:
        return self.samples if self.supported is None else self.supported

    def values(self, weights: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.formula(weights @ self.columns)

    def changed(self, other: Sums) -> int:
        both_nan = np.isnan(self.columns) & np.isnan(other.columns)
        return int(np.count_nonzero(((self.columns != other.columns) & ~both_nan).any(axis=1)))

    def by_sample(self) -> Array | None:
        if self.single is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.single(self.columns)


class SumScorer:
    """Collects a row of columns a sample.

    With ``discrete``, truths are values that compare equal, and the samples whose truth is not the
    most frequent one are the figures' support.
    """

    def __init__(
        self,
        score: Callable[[Any, Any, Any], Sequence[float] | Array],
        formula: Callable[[Array], Array],
        discrete: bool = False,
    ) -> None:
        self._score = score
        self._formula = formula
        self._rows: list[Array] = []
        self._truths: Counter[Hashable] | None = Counter() if discrete else None

    def add(self, answer: Any, truth: Any, source: Any) -> None:
        self._rows.append(np.asarray(self._score(answer, truth, source), np.float64))
        if self._truths is not None:
            self._truths[truth] += 1

    def scores(self) -> Sums:
        supported = None
        if self._truths is not None:
            supported = len(self._rows) - max(self._truths.values())
        return Sums(np.stack(self._rows), self._formula, supported=supported)


def one_output(
    kind: str, chosen: str | None, specs: Sequence[TensorSpec], fits: Callable[[TensorSpec], bool]
) -> TensorSpec:
    """The output a task reads: the chosen one, else the only one that fits. Raises `UsageError`."""
    by_name = {spec.name: spec for spec in specs}
    if chosen is not None:
        if chosen not in by_name:
            raise UsageError(
                f"--task {kind}: there is no output {chosen!r}; there are {', '.join(by_name)}"
            )
        return by_name[chosen]
    fitting = [spec for spec in specs if fits(spec)]
    if len(fitting) != 1:
        raise UsageError(
            f"--task {kind}: name the output it reads, output=NAME; there are "
            f"{', '.join(spec.describe() for spec in specs)}"
        )
    return fitting[0]


def finite(array: Array, name: str) -> Array:
    """``array``, which must hold no NaN and no infinity. Raises `ComparisonError`."""
    if not np.isfinite(array).all():
        raise ComparisonError(f"output {name} holds NaN or infinity")
    return array
