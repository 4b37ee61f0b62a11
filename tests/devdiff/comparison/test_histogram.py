"""Percentiles from the histogram lie within the stated resolution of the exact ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from devdiff.comparison.histogram import RESOLUTION, MagnitudeHistogram

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array

# Below this float32 is subnormal and keeps fewer than seven bits of its mantissa.
SMALLEST = float(np.finfo(np.float32).tiny)
magnitudes = st.one_of(
    st.just(0.0), st.floats(SMALLEST, 3.4028234663852886e38, width=32), st.floats(1, 2, width=32)
)


def histogram_of(values: Array) -> MagnitudeHistogram:
    histogram = MagnitudeHistogram()
    for part in np.array_split(values, 3):
        histogram.add(np.ascontiguousarray(part), np.empty(part.size, np.int64))
    return histogram


@given(
    npst.arrays(np.float32, st.integers(1, 60), elements=magnitudes),
    st.sampled_from([1, 500, 900, 990, 999, 1000]),
)
def test_every_quantile_is_within_the_resolution(values: Array, permille: int) -> None:
    exact = float(np.sort(values)[max(1, -(-values.size * permille // 1000)) - 1])
    got = histogram_of(values).quantile(permille)
    assert got is not None
    assert abs(got - exact) <= RESOLUTION * exact


def test_quantiles_over_many_octaves() -> None:
    values = np.random.default_rng(0).lognormal(0, 3, 10_000).astype(np.float32)
    histogram = histogram_of(values)
    for permille in (500, 900, 990, 999):
        exact = float(np.sort(values)[10 * permille - 1])
        assert histogram.quantile(permille) == pytest.approx(exact, rel=RESOLUTION)


def test_mostly_zeros_have_a_median_of_zero() -> None:
    assert histogram_of(np.array([0, 0, 0, 1, 1], np.float32)).quantile(500) == 0.0


def test_nothing_has_no_quantile() -> None:
    assert MagnitudeHistogram().quantile(500) is None


def test_forgotten_zeros_do_not_count() -> None:
    histogram = histogram_of(np.array([0, 0, 0, 0, 8], np.float32))
    histogram.forget_zeros(4)
    assert histogram.total == 1
    assert histogram.quantile(1) == pytest.approx(8, rel=RESOLUTION)
