"""Intervals are the exact ones, and the hint about more samples is true."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devdiff.comparison.intervals import (
    Proportion,
    binomial_tail,
    clopper_pearson,
    trials_to_decide,
)


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(1, 20_000))
    return draw(st.integers(0, trials)), trials


@settings(deadline=None)  # the first example imports SciPy
@given(outcomes(), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_interval_is_scipys_exact_one(outcome: tuple[int, int], confidence: float) -> None:
    from scipy.stats import binomtest

    wanted = binomtest(*outcome).proportion_ci(confidence, "exact")
    assert clopper_pearson(*outcome, confidence) == pytest.approx(
        (wanted.low, wanted.high), rel=1e-9, abs=1e-12
    )


def test_published_values() -> None:
    # The rule of three: nothing in n trials leaves up to about 3/n (one-sided 95 %).
    assert clopper_pearson(0, 100, 0.9)[1] == pytest.approx(0.0295, abs=1e-4)
    assert clopper_pearson(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_without_trials_everything_is_possible() -> None:
    proportion = Proportion.of(0, 0)
    assert (proportion.low, proportion.high, proportion.rate) == (0.0, 1.0, None)


def test_more_successes_than_trials_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        clopper_pearson(3, 2)


def test_seventy_two_agreements_are_needed_for_95_percent() -> None:
    assert trials_to_decide(1.0, 0.95) == 72
    assert clopper_pearson(72, 72)[0] >= 0.95 > clopper_pearson(71, 71)[0]


@settings(deadline=None)  # the first example imports SciPy
@given(st.floats(0, 1), st.floats(0.5, 0.999))
def test_the_number_of_trials_decides_and_one_fewer_does_not(rate: float, required: float) -> None:
    trials = trials_to_decide(rate, required)
    if trials is None:
        assert rate == pytest.approx(required, abs=2e-3)
        return

    def decided(n: int) -> bool:
        low, high = clopper_pearson(rate * n, n)
        return low >= required or high < required

    assert decided(trials)
    assert not decided(trials - 1)


def test_a_rate_on_the_limit_is_never_decided() -> None:
    assert trials_to_decide(0.95, 0.95) is None


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.99])
def test_the_binomial_tail_is_the_sum_of_its_terms(rate: float) -> None:
    for trials in (1, 7, 60):
        terms = [
            math.comb(trials, hits) * rate**hits * (1 - rate) ** (trials - hits)
            for hits in range(trials + 1)
        ]
        for hits in range(trials + 1):
            wanted = math.fsum(terms[hits:])
            assert binomial_tail(hits, trials, rate) == pytest.approx(wanted, rel=1e-9)
    assert (binomial_tail(0, 0, rate), binomial_tail(1, 0, rate)) == (1, 0)
