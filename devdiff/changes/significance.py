"""Whether a figure changed by more than chance: exact tests, limits, intervals that do not meet."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from devdiff.changes.wording import SIGNIFICANCE
from devdiff.comparison.intervals import binomial_tail
from devdiff.gate import baseline

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from devdiff.changes.record import Direction
    from devdiff.gate.summary import AgreementSummary
    from devdiff.report.model import EstimateRecord


def two_sided(
    now: AgreementSummary | None, before: AgreementSummary | None, paired: bool
) -> float | None:
    """The exact test of two rates that the gate makes one-sided, two-sided; None without both."""
    if now is None or before is None:
        return None
    lower, higher = (
        baseline.p_value(now, before, paired),
        baseline.p_value(before, now, paired),
    )
    return min(1.0, 2 * min(lower, higher))


def mcnemar(harmed: int, repaired: int) -> float:
    """McNemar's exact test, two-sided."""
    return min(1.0, 2 * binomial_tail(max(harmed, repaired), harmed + repaired, 0.5))


def mann_whitney(was: npt.NDArray[np.float64], is_now: npt.NDArray[np.float64]) -> float | None:
    """The p-value of two samples of times, two-sided; None where one is empty."""
    from scipy.stats import mannwhitneyu

    if not len(was) or not len(is_now):
        return None
    return float(mannwhitneyu(was, is_now).pvalue)


def by_test(
    p_value: float | None,
    before: float | None,
    after: float | None,
    *,
    higher_is_better: bool = True,
) -> Direction:
    """What a test at `SIGNIFICANCE` says of a figure before and after."""
    if before is None or after is None or p_value is None or math.isnan(p_value):
        return "changed"
    if p_value > SIGNIFICANCE or before == after:
        return "same"
    return "better" if (after > before) == higher_is_better else "worse"


def by_loss(before: float | None, after: float | None, most: float) -> Direction:
    """What a figure that may lose ``most`` did; higher is better."""
    if before is None or after is None:
        return "changed"
    if before == after or abs(after - before) <= most:
        return "same"
    return "better" if after > before else "worse"


def by_intervals(
    before: EstimateRecord | None, after: EstimateRecord | None, higher_is_better: bool
) -> Direction:
    """What two intervals say: a change only where they do not meet."""
    if before is None or after is None:
        return "changed"
    if None in (before.low, before.high, after.low, after.high):
        return "same" if before.value == after.value else "changed"
    assert before.low is not None
    assert before.high is not None
    assert after.low is not None
    assert after.high is not None
    if after.low > before.high:
        return "better" if higher_is_better else "worse"
    if after.high < before.low:
        return "worse" if higher_is_better else "better"
    return "same"
