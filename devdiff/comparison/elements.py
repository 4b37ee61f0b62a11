"""One pass over pairs of elements: everything that needs no more than sums, extremes and counts.

Differences are taken in float32 where both sides fit it without loss, and in float64 otherwise;
every sum is a float64. The work is cut into pieces whose scratch space stays in a core's cache:
that, and not the arithmetic, decides how long a comparison takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from devdiff.comparison.histogram import FLOAT32_MAX, MagnitudeHistogram
from devdiff.exporter.artifact import Array, Quantization

PIECE: Final = 1 << 16
# BLAS shares longer products among threads, and then waits for them on a busy machine.
_DOT: Final = 1 << 13


class Scratch:
    """Buffers for one piece at a time, shared by all outputs of a comparison."""

    def __init__(self) -> None:
        self._single = np.empty((3, PIECE), np.float32)
        self._double = np.empty((3, PIECE), np.float64)
        self.sums = np.empty((2, PIECE), np.float64)
        # The bins of the histogram are done with before the sums begin.
        self.bins = self.sums[0].view(np.int64)

    def operands(self, wide: bool, rows: int, columns: int) -> tuple[Array, Array, Array]:
        """Reference, candidate and difference, each ``[rows, columns]``."""
        buffers = self._double if wide else self._single
        reference, candidate, difference = buffers[:, : rows * columns]
        shape = (rows, columns)
        return reference.reshape(shape), candidate.reshape(shape), difference.reshape(shape)


def needs_float64(dtype: np.dtype[Any]) -> bool:
    """Whether float32 cannot hold every value of ``dtype``."""
    return not np.can_cast(dtype, np.float32)


def load(stored: Array, quantization: Quantization | None, out: Array) -> None:
    """``stored`` into ``out`` as real numbers, as `Quantization.dequantize` computes them."""
    np.copyto(out, stored)
    if quantization is not None:
        out -= np.float32(quantization.zero_point)
        out *= np.float32(quantization.scale)


@dataclass(slots=True)
class Extremes:
    """What one side's values came to: finite range, and counts of what is not finite."""

    low: float = math.inf
    high: float = -math.inf
    nan: int = 0
    inf: int = 0

    def add(self, low: float, high: float) -> None:
        self.low = min(self.low, low)
        self.high = max(self.high, high)

    @property
    def peak(self) -> float | None:
        """The largest finite magnitude; None when nothing finite was seen."""
        return max(abs(self.low), abs(self.high)) if self.low <= self.high else None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What a piece came to, row by row.

    ``peaks`` ``[rows]`` is the largest error of each, ``differs`` whether any element differs, and
    ``apart`` (None when all is finite) whether a NaN or an infinity stands on one side only.
    ``errors`` ``[rows, columns]`` lies on scratch space and is valid until the next piece.
    """

    peaks: Array
    differs: npt.NDArray[np.bool_]
    apart: npt.NDArray[np.bool_] | None
    errors: Array


class ElementSums:
    """Sums, extremes and counts over pieces ``[rows, columns]`` of both sides."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self.histogram = MagnitudeHistogram()
        self.reference = Extremes()
        self.candidate = Extremes()
        self.max_error = 0.0
        self.sum_error = 0.0
        self.sum_squared_error = 0.0
        self.sum_squared_reference = 0.0
        self.sum_squared_candidate = 0.0
        self.sum_products = 0.0
        self.differing = 0
        self.nonfinite_differing = 0

    @property
    def elements(self) -> int:
        """Elements that are finite on both sides."""
        return self.histogram.total

    def add(self, reference: Array, candidate: Array, difference: Array) -> Piece:
        """Take in one piece; the arrays are contiguous scratch space and may be overwritten."""
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(reference, candidate, out=difference)
        np.abs(difference, out=difference)
        peaks = difference.max(axis=1)
        # A NaN or an infinity on either side, or a difference too large, ends up here.
        if not math.isfinite(peaks.max()):
            return self._add_with_nonfinite(reference, candidate)
        self.reference.add(float(reference.min()), float(reference.max()))
        self.candidate.add(float(candidate.min()), float(candidate.max()))
        self._accumulate(reference, candidate, difference, peaks)
        return Piece(peaks, peaks > 0, None, difference)

    def _accumulate(self, reference: Array, candidate: Array, errors: Array, peaks: Array) -> None:
        count = errors.size
        self.max_error = max(self.max_error, float(peaks.max()))
        magnitudes = errors.reshape(-1)
        if magnitudes.dtype != np.float32:
            magnitudes = np.minimum(magnitudes, FLOAT32_MAX).astype(np.float32)
        self.histogram.add(magnitudes, self._scratch.bins[:count])
        # Magnitudes have no sign bit, and counting integers is the faster of the two.
        bits = errors.reshape(-1).view(np.int32 if errors.dtype == np.float32 else np.int64)
        self.differing += int(np.count_nonzero(bits))
        first, second = self._scratch.sums[:, :count]
        np.copyto(first, reference.reshape(-1))
        np.copyto(second, candidate.reshape(-1))
        self.sum_squared_reference += _dot(first, first)
        self.sum_squared_candidate += _dot(second, second)
        self.sum_products += _dot(first, second)
        np.copyto(first, errors.reshape(-1))
        self.sum_error += float(first.sum())
        self.sum_squared_error += _dot(first, first)

    def _add_with_nonfinite(self, reference: Array, candidate: Array) -> Piece:
        """A piece with elements that cannot be subtracted: they are counted and set aside."""
        reference, candidate = reference.astype(np.float64), candidate.astype(np.float64)
        finite = np.isfinite(reference)
        self._count_nonfinite(self.reference, reference, finite)
        other = np.isfinite(candidate)
        self._count_nonfinite(self.candidate, candidate, other)
        finite &= other
        aside = ~finite
        apart = aside & (reference != candidate)
        apart &= ~(np.isnan(reference) & np.isnan(candidate))
        reference[aside] = candidate[aside] = 0.0
        errors = np.abs(reference - candidate)
        peaks = errors.max(axis=1)
        self._accumulate(reference, candidate, errors, peaks)
        self.histogram.forget_zeros(int(np.count_nonzero(aside)))
        mismatches = int(np.count_nonzero(apart))
        self.nonfinite_differing += mismatches
        self.differing += mismatches
        rows_apart = apart.any(axis=1)
        return Piece(peaks, (peaks > 0) | rows_apart, rows_apart, errors)

    def _count_nonfinite(
        self, side: Extremes, values: Array, finite: npt.NDArray[np.bool_]
    ) -> None:
        nan = int(np.count_nonzero(np.isnan(values)))
        side.nan += nan
        side.inf += values.size - int(np.count_nonzero(finite)) - nan
        if finite.any():
            kept = values[finite]
            side.add(float(kept.min()), float(kept.max()))


def _dot(left: Array, right: Array) -> float:
    parts = range(0, left.size, _DOT)
    return sum(float(np.dot(left[i : i + _DOT], right[i : i + _DOT])) for i in parts)
