"""Exact binomial confidence intervals: what N samples can and cannot say about a rate.

The interval is Clopper and Pearson's (Biometrika 26, 1934): its coverage is never below the stated
confidence, whatever the rate and however few the samples.
"""

from __future__ import annotations

import math
from typing import Final, Self

from devdiff.system.typed_json import Count, Record

CONFIDENCE: Final = 0.95
# More samples than this nobody runs; a rate that needs them is as good as on the limit.
_MOST_TRIALS: Final = 10_000_000


class Proportion(Record, frozen=True):
    """``successes`` of ``trials``, and the exact two-sided interval ``[low, high]`` of the rate."""

    successes: Count
    trials: Count
    low: float
    high: float
    confidence: float

    @classmethod
    def of(cls, successes: int, trials: int, confidence: float = CONFIDENCE) -> Self:
        low, high = clopper_pearson(successes, trials, confidence)
        return cls(successes, trials, low, high, confidence)

    @property
    def rate(self) -> float | None:
        """The observed rate; None without trials."""
        return self.successes / self.trials if self.trials else None


def clopper_pearson(
    successes: float, trials: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The exact interval for ``successes`` of ``trials``; ``(0, 1)`` without trials.

    Raises `ValueError` unless ``0 <= successes <= trials`` and ``0 < confidence < 1``.
    """
    if not 0 <= successes <= trials or not 0 < confidence < 1:
        raise ValueError(f"{successes} of {trials} at confidence {confidence}")
    if trials == 0:
        return 0.0, 1.0
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    misses = trials - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, misses + 1, tail))
    high = 1.0 if misses == 0 else float(betaincinv(successes + 1, misses, 1 - tail))
    return low, high


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """The probability of at least ``successes`` of ``trials`` that each succeed at ``rate``."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    from scipy.special import betainc

    return float(betainc(successes, trials - successes + 1, rate))


def smallest_seen(trials: int, confidence: float = CONFIDENCE) -> float:
    """The smallest share of inputs a fault can hit and still be met at least once in ``trials``
    with this confidence: ``1 - (1 - confidence)^(1/trials)``; 1 without trials."""
    return 1.0 - (1.0 - confidence) ** (1.0 / trials) if trials > 0 else 1.0


def trials_to_decide(rate: float, required: float, confidence: float = CONFIDENCE) -> int | None:
    """The smallest number of trials at ``rate`` whose interval lies on one side of ``required``.

    At or above it, when ``rate`` is above; entirely below it, when ``rate`` is below. None when the
    two are so near that no practical number would do.
    """

    def decided(trials: int) -> bool:
        low, high = clopper_pearson(rate * trials, trials, confidence)
        return low >= required or high < required

    if math.isclose(rate, required) or not decided(_MOST_TRIALS):
        return None
    above, below = 1, 0
    while not decided(above):
        below, above = above, above * 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if decided(middle) else (middle, above)
    return above
