"""Percentiles of a stream of magnitudes, in constant memory.

The bins are read off the number itself: a float32's exponent and the first seven bits of its
mantissa, so that every power of two is split into 128 bins of equal width. A percentile is the
middle of the bin that holds the exact order statistic, hence within `RESOLUTION` of it: 1/256 of
its value, from 1.2e-38 (below which float32 itself loses precision) to the largest float32. What
is larger counts as that.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

RESOLUTION: Final = 2.0**-8
FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_DROPPED_BITS: Final = 16
_BINS: Final = 1 << (31 - _DROPPED_BITS)


class MagnitudeHistogram:
    """Counts of non-negative, finite float32 values."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)
        self.total = 0

    def add(self, magnitudes: npt.NDArray[np.float32], scratch: npt.NDArray[np.int64]) -> None:
        """Count ``magnitudes`` (1-D, contiguous); ``scratch`` is of the same length."""
        np.right_shift(magnitudes.view(np.uint32), _DROPPED_BITS, out=scratch)
        counts = np.bincount(scratch)
        self._counts[: counts.size] += counts
        self.total += magnitudes.size

    def forget_zeros(self, count: int) -> None:
        """Take back ``count`` zeros that were added in place of values that do not count."""
        self._counts[0] -= count
        self.total -= count

    def quantile(self, permille: int) -> float | None:
        """The value that ``permille`` of 1000 of all values do not exceed; None without values."""
        if self.total == 0:
            return None
        rank = max(1, -(-self.total * permille // 1000))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        edges = np.array([place, place + 1], np.uint32) << _DROPPED_BITS
        low, high = (min(float(edge), FLOAT32_MAX) for edge in edges.view(np.float32))
        return low + (high - low) / 2 if place else 0.0
