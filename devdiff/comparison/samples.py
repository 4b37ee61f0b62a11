"""How far two rungs are apart in each single sample: what a comparison sums up, before the sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from devdiff.comparison.elements import PIECE, load, needs_float64
from devdiff.comparison.lsb import comparable

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, Binding

Figures = npt.NDArray[np.float64]


def largest_errors(
    reference: Binding, candidate: Binding, left: Array, right: Array
) -> tuple[Figures, Figures | None]:
    """The largest absolute error of each sample ``[count]`` in real units, and in steps.

    ``left`` and ``right`` are the stored values of an output ``[count, *shape]`` in the source's
    layout. An error is infinite where a NaN or an infinity stands on one side only, or where the
    shapes differ, and NaN where no element is finite. Steps are those of the candidate, counted
    exactly where both sides share them; None when it is not quantized.
    """
    count = len(left)
    quantization = candidate.artifact.quantization
    if left.shape != right.shape:
        beyond = np.full(count, math.inf)
        return beyond, beyond if quantization is not None else None
    left, right = left.reshape(count, -1), right.reshape(count, -1)
    errors = np.full(count, math.nan)
    rows = max(1, PIECE // max(1, left.shape[1]))
    for row in range(0, count if left.shape[1] else 0, rows):
        part = slice(row, row + rows)
        errors[part] = _errors(reference, candidate, left[part], right[part])
    if quantization is None:
        return errors, None
    if not comparable(reference.artifact.quantization, quantization) or not left.shape[1]:
        return errors, errors / quantization.scale
    assert reference.artifact.quantization is not None
    shift = quantization.zero_point - reference.artifact.quantization.zero_point
    steps = np.subtract(right, left, dtype=np.int64) - shift
    return errors, np.abs(steps).max(axis=1).astype(np.float64)


def _errors(reference: Binding, candidate: Binding, left: Array, right: Array) -> Figures:
    """As `devdiff.comparison.elements.ElementSums` takes them: float32 unless it is too small."""
    wide = any(needs_float64(binding.artifact.numpy_dtype) for binding in (reference, candidate))
    values = np.empty((2, *left.shape), np.float64 if wide else np.float32)
    for binding, stored, real in zip((reference, candidate), (left, right), values, strict=True):
        load(stored, binding.artifact.quantization, real)
    with np.errstate(invalid="ignore", over="ignore"):
        peaks: Figures = np.abs(values[0] - values[1]).max(axis=1).astype(np.float64)
    if np.isfinite(peaks).all():
        return peaks
    first, second = values.astype(np.float64)
    finite = np.isfinite(first) & np.isfinite(second)
    apart = ~finite & (first != second) & ~(np.isnan(first) & np.isnan(second))
    first[~finite] = second[~finite] = 0.0
    peaks = np.abs(first - second).max(axis=1)
    peaks[~finite.any(axis=1)] = math.nan
    peaks[apart.any(axis=1)] = math.inf
    return peaks
