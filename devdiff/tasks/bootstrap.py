"""How sure a metric and its drop are, by what N samples say about samples in general.

Shares of yes and no have exact intervals; all else the percentile bootstrap over samples (Efron,
1979), paired: one choice of samples serves all rungs, so that what they share cancels in their
difference.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from devdiff.comparison.intervals import CONFIDENCE, clopper_pearson
from devdiff.tasks.task import Figure, Scores, Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.exporter.artifact import Array

RESAMPLES: Final = 1000
_CELLS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its two-sided interval."""

    value: float
    low: float
    high: float


def intervals(
    scores: Sequence[Scores],
    pairs: Sequence[tuple[int, int]],
    figures: Sequence[Figure],
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[list[list[Estimate]], list[list[Estimate]]]:
    """Estimates of each figure for each of ``scores``, and of how much worse it is for the second
    of each pair than for the first. All must be scores of the same samples.
    """
    samples = scores[0].samples
    signs = np.array([1.0 if figure.higher_is_better else -1.0 for figure in figures])

    def all_figures(weights: Array) -> Array:
        values = [score.values(weights) for score in scores]
        drops = [(values[before] - values[after]) * signs for before, after in pairs]
        return np.concatenate([*values, *drops], axis=1)

    seen = all_figures(np.ones((1, samples)))[0]
    low, high = seen, seen
    if samples > 1 and any(figure.column is None for figure in figures):
        low, high = _percentiles(all_figures, samples, seed, resamples)
    estimates = [Estimate(*map(float, row)) for row in zip(seen, low, high, strict=True)]
    count = len(figures)
    rows = [estimates[start : start + count] for start in range(0, len(estimates), count)]
    values, drops = rows[: len(scores)], rows[len(scores) :]
    for place, figure in enumerate(figures):
        if figure.column is None:
            continue
        for number, score in enumerate(scores):
            assert isinstance(score, Sums)
            values[number][place] = _share(score, figure.column)
        for number, (before, after) in enumerate(pairs):
            drops[number][place] = _lost(scores[before], scores[after], figure.column)
    return values, drops


def _percentiles(all_figures: Any, samples: int, seed: int, resamples: int) -> tuple[Array, Array]:
    from scipy.stats import DegenerateDataWarning, bootstrap

    def statistic(chosen: Array, axis: int) -> Array:  # noqa: ARG001  by name, from scipy
        rows = np.atleast_2d(chosen).astype(np.int64)
        offsets = samples * np.arange(len(rows))[:, None]
        counts = np.bincount((rows + offsets).ravel(), minlength=rows.shape[0] * samples)
        found: Array = all_figures(counts.reshape(len(rows), samples).astype(np.float64))
        return found.T if np.ndim(chosen) > 1 else found[0]

    with warnings.catch_warnings():
        # An interval that is no number is judged an error; no word beside the report.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(
            (np.arange(samples),),
            statistic,
            n_resamples=resamples,
            batch=max(1, _CELLS // samples),
            vectorized=True,
            axis=-1,
            method="percentile",
            confidence_level=CONFIDENCE,
            rng=np.random.default_rng(seed),
        )
    return np.asarray(result.confidence_interval.low), np.asarray(result.confidence_interval.high)


def _share(scores: Sums, column: int) -> Estimate:
    yes = int(scores.columns[:, column].sum())
    counted = int(scores.columns[:, scores.counted].sum())
    return Estimate(yes / counted, *clopper_pearson(yes, counted))


def _lost(before: Any, after: Any, column: int) -> Estimate:
    """The drop of a share between two rungs: what was lost less what was gained.

    Each of the two has an exact interval of half the error, so that both hold together at least as
    often as is claimed (Bonferroni).
    """
    counted = int(before.columns[:, before.counted].sum())
    difference = before.columns[:, column] - after.columns[:, column]
    lost, gained = int((difference > 0).sum()), int((difference < 0).sum())
    half = 1 - (1 - CONFIDENCE) / 2
    lost_low, lost_high = clopper_pearson(lost, counted, half)
    gained_low, gained_high = clopper_pearson(gained, counted, half)
    return Estimate((lost - gained) / counted, lost_low - gained_high, lost_high - gained_low)
