"""Intervals hold the truth as often as they claim, and drops are paired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.tasks.bootstrap import intervals
from devdiff.tasks.task import Figure, Sums

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

MEAN = (Figure("mean", bounded=False),)
SHARE = (Figure("share", column=0),)


def mean(values: Array) -> Sums:
    columns = np.stack([values, np.ones(len(values))], axis=1).astype(np.float64)
    return Sums(columns, lambda totals: totals[:, :1] / totals[:, 1:])


def test_the_bootstrap_covers_the_true_drop_as_often_as_it_says() -> None:
    """Of 300 simulated tests with 60 samples at 95 %, between 90 % and 99 % hold the truth."""
    rng, held = np.random.default_rng(0), 0
    for trial in range(300):
        before = rng.exponential(1.0, 60)
        after = before - 0.2 + rng.normal(0, 0.3, 60)
        _, ((drop,),) = intervals([mean(before), mean(after)], [(0, 1)], MEAN, trial, 400)
        held += drop.low <= 0.2 <= drop.high
    assert 0.90 * 300 <= held <= 0.99 * 300


def test_exact_intervals_of_lost_answers_never_cover_too_rarely() -> None:
    rng, held = np.random.default_rng(1), 0
    for trial in range(400):
        before = rng.random(80) < 0.9
        after = np.where(rng.random(80) < 0.05, ~before, before)
        _, ((drop,),) = intervals([mean(before), mean(after)], [(0, 1)], SHARE, trial)
        # Each answer turns with 0.05: right ones are lost, wrong ones gained.
        held += drop.low <= 0.05 * 0.9 - 0.05 * 0.1 <= drop.high
    assert held >= 0.95 * 400


def test_what_rungs_share_cancels_in_their_drop() -> None:
    rng = np.random.default_rng(2)
    before = rng.normal(0, 10, 200)
    (first, _), ((drop,),) = intervals([mean(before), mean(before - 0.1)], [(0, 1)], MEAN, 0)
    assert first[0].high - first[0].low > 1
    assert drop.low == pytest.approx(0.1)
    assert drop.high == pytest.approx(0.1)


def test_a_seed_gives_the_same_interval() -> None:
    values = mean(np.random.default_rng(3).random(50))
    assert intervals([values], [], MEAN, 7) == intervals([values], [], MEAN, 7)
    assert intervals([values], [], MEAN, 7) != intervals([values], [], MEAN, 8)


def test_a_rise_of_an_error_is_a_drop() -> None:
    error = (Figure("error", higher_is_better=False, bounded=False),)
    values = np.arange(30.0)
    _, ((drop,),) = intervals([mean(values), mean(values + 2)], [(0, 1)], error, 0)
    assert drop.value == pytest.approx(2)


def test_shares_have_exact_intervals() -> None:
    (row,), _ = intervals([mean(np.arange(20) < 20)], [], SHARE, 0)
    assert row[0].value == 1
    assert row[0].low == pytest.approx(0.025 ** (1 / 20))
    assert row[0].high == 1
