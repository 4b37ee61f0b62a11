"""What one output's two sides come to, and the accumulator that finds it block by block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from devdiff.comparison.elements import (
    PIECE,
    ElementSums,
    Extremes,
    Piece,
    Scratch,
    load,
    needs_float64,
)
from devdiff.comparison.histogram import RESOLUTION
from devdiff.comparison.lsb import LsbCounter, LsbHistogram, comparable
from devdiff.comparison.variation import Variation, VariationAccumulator, decibels
from devdiff.comparison.worst import WorstSample, WorstSamples
from devdiff.system.typed_json import Count, Extended, Record

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array, Binding


class OutputSide(Record, frozen=True):
    """One rung's values of one output over all compared samples, in real units.

    ``low``, ``high`` and ``peak`` (the largest magnitude) are of the finite values, None when there
    are none; ``nan`` and ``inf`` count the others. ``constant``: every sample gave the same values
    (never said of a single sample). ``scale`` and ``zero_point`` are None unless quantized.
    """

    dtype: str
    scale: float | None
    zero_point: int | None
    low: Extended | None
    high: Extended | None
    peak: Extended | None
    nan: Count
    inf: Count
    constant: bool
    all_zero: bool


class ShapeMismatch(Record, frozen=True):
    """Samples whose two sides have different shapes, with the first of them as the example."""

    samples: Count
    sample: Count
    reference: tuple[int, ...]
    candidate: tuple[int, ...]


class OutputMetrics(Record, frozen=True):
    """How far the candidate's values of one output are from the reference's, in real units.

    Errors are absolute differences of the ``elements`` that are finite on both sides, and None
    when there are none. Elements where a NaN or an infinity has no equal on the other side are
    ``nonfinite_differing``; they count as differing, not as errors. A percentile is within
    ``percentile_resolution`` times its value of the exact order statistic.

    ``snr_db`` is ``10 log10(sum(reference²) / sum(error²))``, infinite when nothing differs.
    ``cosine`` is None when either side is all zero. ``lsb`` is there when both sides are quantized
    with one scale; ``max_lsb`` is the largest error in steps of the candidate, whenever that is
    quantized. ``flat_positions``, there when the candidate is quantized, counts the elements of the
    output that vary from sample to sample on the reference and never on the candidate: one scale
    for values of very different size leaves the small ones a single step.

    ``variation_snr_db`` is the ratio of the part that varies over the samples, ``variation`` all
    that is known of that part; both are None for fewer than two samples, and for outputs whose
    shape changes from sample to sample.
    """

    name: str
    shape: tuple[int, ...]
    samples: Count
    elements: Count
    differing_elements: Count
    differing_samples: Count
    nonfinite_differing: Count
    first_nonfinite_sample: Count | None
    max_abs_error: Extended | None
    mean_abs_error: Extended | None
    p50_abs_error: Extended | None
    p90_abs_error: Extended | None
    p99_abs_error: Extended | None
    p999_abs_error: Extended | None
    percentile_resolution: float
    rms_error: Extended | None
    snr_db: Extended | None
    cosine: Extended | None
    reference: OutputSide
    candidate: OutputSide
    lsb: LsbHistogram | None
    max_lsb: Extended | None
    flat_positions: Count | None
    worst: tuple[WorstSample, ...]
    shape_mismatch: ShapeMismatch | None
    variation_snr_db: Extended | None
    variation: Variation | None


class OutputAccumulator:
    """Takes in an output's samples in blocks of any size."""

    def __init__(self, reference: Binding, candidate: Binding, scratch: Scratch) -> None:
        self._bindings = (reference, candidate)
        self._scratch = scratch
        self._sums = ElementSums(scratch)
        self._worst = WorstSamples()
        self._constancy = (_Constancy(), _Constancy())
        self._wide = any(needs_float64(binding.artifact.numpy_dtype) for binding in self._bindings)
        quantizations = reference.artifact.quantization, candidate.artifact.quantization
        self._lsb: LsbCounter | None = None
        if comparable(*quantizations):
            assert quantizations[0] is not None
            assert quantizations[1] is not None
            self._lsb = LsbCounter(quantizations[0], quantizations[1])
        self._variation: VariationAccumulator | None = None
        self._shape: tuple[int, ...] | None = None
        self._samples = 0
        self._differing_samples = 0
        self._last_differing = -1
        self._first_nonfinite: int | None = None
        self._mismatch: ShapeMismatch | None = None

    def add(self, start: int, reference: Array, candidate: Array) -> None:
        """Samples from ``start`` on: stored values ``[count, *shape]`` in the source's layout."""
        count = len(reference)
        self._samples += count
        for constancy, values in zip(self._constancy, (reference, candidate), strict=True):
            constancy.add(values)
        if reference.shape != candidate.shape:
            self._add_mismatch(start, count, reference.shape[1:], candidate.shape[1:])
            return
        shape = reference.shape[1:]
        elements = math.prod(shape)
        if elements == 0:
            return
        if self._shape is None:
            step = self._bindings[1].artifact.quantization
            self._shape = shape
            self._variation = VariationAccumulator(shape, self._wide, step.scale if step else None)
        elif shape != self._shape:
            self._variation = None
        left, right = reference.reshape(count, elements), candidate.reshape(count, elements)
        rows, columns = max(1, PIECE // elements), min(elements, PIECE)
        for row in range(0, count, rows):
            for column in range(0, elements, columns):
                part = slice(row, row + rows), slice(column, column + columns)
                self._add_piece(start + row, column, shape, left[part], right[part])

    def _add_piece(
        self, first: int, column: int, shape: tuple[int, ...], left: Array, right: Array
    ) -> None:
        reference, candidate, difference = self._scratch.operands(self._wide, *left.shape)
        load(left, self._bindings[0].artifact.quantization, reference)
        load(right, self._bindings[1].artifact.quantization, candidate)
        piece = self._sums.add(reference, candidate, difference)
        if piece.apart is not None and self._first_nonfinite is None and piece.apart.any():
            self._first_nonfinite = first + int(piece.apart.argmax())
        if self._lsb is not None:
            if piece.differs.any():
                self._lsb.add(left, right)
            else:
                self._lsb.add_equal(left.size)
        if self._variation is not None:
            self._variation.add(
                column,
                reference,
                candidate,
                piece.errors,
                self._scratch.sums,
                finite=piece.apart is None,
            )
        self._count_differing_samples(first, piece)
        self._worst.offer(first, piece.peaks, piece.errors, shape, column, (reference, candidate))

    def _count_differing_samples(self, first: int, piece: Piece) -> None:
        rows = np.flatnonzero(piece.differs)
        if rows.size:
            # A sample larger than a piece comes in several; it counts once.
            again = first + int(rows[0]) == self._last_differing
            self._differing_samples += rows.size - again
            self._last_differing = first + int(rows[-1])

    def _add_mismatch(
        self, start: int, count: int, reference: tuple[int, ...], candidate: tuple[int, ...]
    ) -> None:
        seen = self._mismatch
        if seen is None:
            self._mismatch = ShapeMismatch(count, start, reference, candidate)
        else:
            self._mismatch = ShapeMismatch(
                seen.samples + count, seen.sample, seen.reference, seen.candidate
            )

    def result(self) -> OutputMetrics:
        """The metrics of everything taken in so far."""
        sums, elements = self._sums, self._sums.elements
        quantiles = [sums.histogram.quantile(permille) for permille in (500, 900, 990, 999)]
        p50, p90, p99, p999 = (None if q is None else min(q, sums.max_error) for q in quantiles)
        quantization = self._bindings[1].artifact.quantization
        lsb = self._lsb.result() if self._lsb is not None else None
        max_lsb: float | None = None
        if lsb is not None:
            max_lsb = float(lsb.max_lsb)
        elif quantization is not None and elements:
            max_lsb = sums.max_error / quantization.scale
        variation = self._variation.result() if self._variation is not None else None
        return OutputMetrics(
            name=self._bindings[0].source.name,
            shape=self._bindings[0].source.shape,
            samples=self._samples,
            elements=elements,
            differing_elements=sums.differing,
            differing_samples=self._differing_samples,
            nonfinite_differing=sums.nonfinite_differing,
            first_nonfinite_sample=self._first_nonfinite,
            max_abs_error=sums.max_error if elements else None,
            mean_abs_error=sums.sum_error / elements if elements else None,
            p50_abs_error=p50,
            p90_abs_error=p90,
            p99_abs_error=p99,
            p999_abs_error=p999,
            percentile_resolution=RESOLUTION,
            rms_error=math.sqrt(sums.sum_squared_error / elements) if elements else None,
            snr_db=_snr_db(sums),
            cosine=_cosine(sums),
            reference=self._side(0, sums.reference),
            candidate=self._side(1, sums.candidate),
            lsb=lsb,
            max_lsb=max_lsb,
            flat_positions=self._flat_positions(),
            worst=self._worst.ranked(),
            shape_mismatch=self._mismatch,
            variation_snr_db=variation.snr_db if variation is not None else None,
            variation=variation,
        )

    def _flat_positions(self) -> int | None:
        if self._variation is None or self._bindings[1].artifact.quantization is None:
            return None
        return self._variation.flat_positions()

    def _side(self, which: int, extremes: Extremes) -> OutputSide:
        tensor = self._bindings[which].artifact
        peak = extremes.peak
        finite = extremes.nan == extremes.inf == 0
        return OutputSide(
            dtype=tensor.dtype,
            scale=tensor.quantization.scale if tensor.quantization else None,
            zero_point=tensor.quantization.zero_point if tensor.quantization else None,
            low=extremes.low if peak is not None else None,
            high=extremes.high if peak is not None else None,
            peak=peak,
            nan=extremes.nan,
            inf=extremes.inf,
            constant=self._constancy[which].constant,
            all_zero=finite and peak == 0.0,
        )


class _Constancy:
    """Whether all samples of one side are the same."""

    def __init__(self) -> None:
        self._first: Array | None = None
        self._samples = 0
        self._varies = False

    @property
    def constant(self) -> bool:
        return self._samples > 1 and not self._varies

    def add(self, values: Array) -> None:
        self._samples += len(values)
        if self._varies:
            return
        if self._first is None:
            self._first = values[:1].copy()
        same = values.shape[1:] == self._first.shape[1:]
        # The last sample of a block is the cheapest place to find that they vary.
        self._varies = not (same and self._equal(values[-1:]) and self._equal(values))

    def _equal(self, values: Array) -> bool:
        assert self._first is not None
        same = values == self._first
        if values.dtype.kind == "f":
            same |= (values != values) & (self._first != self._first)
        return bool(same.all())


def _snr_db(sums: ElementSums) -> float | None:
    if sums.elements == 0:
        return None
    return decibels(sums.sum_squared_reference, sums.sum_squared_error)


def _cosine(sums: ElementSums) -> float | None:
    norms = math.sqrt(sums.sum_squared_reference) * math.sqrt(sums.sum_squared_candidate)
    if norms == 0 or not math.isfinite(norms):
        return None
    return max(-1.0, min(1.0, sums.sum_products / norms))
