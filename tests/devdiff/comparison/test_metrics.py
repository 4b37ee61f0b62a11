"""Streamed metrics are those of plain NumPy over whole arrays."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from devdiff.comparison import OutputMetrics, OutputSide, compare
from devdiff.comparison.elements import PIECE
from devdiff.comparison.histogram import RESOLUTION
from devdiff.exporter.artifact import Array, Quantization
from tests.support.pair_packs import binding, compare_arrays, float32, rung


def metrics(reference: Array, candidate: Array, **options: Any) -> OutputMetrics:
    with TemporaryDirectory() as folder:
        return compare_arrays(Path(folder), reference, candidate, **options).outputs[0]


def check_side(side: OutputSide, values: Array) -> None:
    finite = values[np.isfinite(values)]
    assert side.nan == np.isnan(values).sum()
    assert side.inf == np.isinf(values).sum()
    if finite.size:
        assert (side.low, side.high) == (finite.min(), finite.max())
        assert side.peak == np.abs(finite).max()
    else:
        assert (side.low, side.high, side.peak) == (None, None, None)
    assert side.all_zero == (values.size > 0 and bool((values == 0).all()))
    first = values[:1]
    same = (values == first) | (np.isnan(values) & np.isnan(first))
    assert side.constant == (len(values) > 1 and bool(same.all()))


def check(got: OutputMetrics, a: Array, b: Array, rel: float = 1e-6) -> None:
    """``got`` against whole-array formulas; ``a`` and ``b`` are real values ``[N, *shape]``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    check_side(got.reference, a)
    check_side(got.candidate, b)
    finite = np.isfinite(a) & np.isfinite(b)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    assert got.samples == len(a)
    assert got.elements == finite.sum()
    assert got.differing_elements == (~equal).sum()
    assert got.differing_samples == (~equal).reshape(len(a), -1).any(axis=1).sum()
    assert got.nonfinite_differing == (~equal & ~finite).sum()
    apart = (~equal & ~finite).reshape(len(a), -1).any(axis=1)
    assert got.first_nonfinite_sample == (int(apart.argmax()) if apart.any() else None)
    x, y = a[finite], b[finite]
    if x.size == 0:
        assert got.max_abs_error is got.rms_error is got.snr_db is got.p50_abs_error is None
        return
    with np.errstate(over="ignore"):
        errors = np.abs(x - y)
    assert got.max_abs_error == pytest.approx(errors.max(), rel=rel)
    assert got.mean_abs_error == pytest.approx(errors.mean(), rel=rel)
    assert got.rms_error == pytest.approx(math.sqrt((errors**2).mean()), rel=rel)
    ordered = np.minimum(np.sort(errors), LARGEST)  # where the histogram ends
    for value, permille in (
        (got.p50_abs_error, 500),
        (got.p90_abs_error, 900),
        (got.p99_abs_error, 990),
        (got.p999_abs_error, 999),
    ):
        exact = ordered[-(-errors.size * permille // 1000) - 1]
        assert value == pytest.approx(exact, rel=RESOLUTION * 1.001, abs=1.2e-38)
    signal, noise = (x**2).sum(), (errors**2).sum()
    if noise == 0:
        assert got.snr_db == math.inf
    elif signal == 0:
        assert got.snr_db == -math.inf
    else:
        assert got.snr_db == pytest.approx(10 * math.log10(signal / noise), rel=1e-5, abs=1e-4)
    if signal and (y**2).sum():
        cosine = (x * y).sum() / math.sqrt(signal) / math.sqrt((y**2).sum())
        assert got.cosine == pytest.approx(cosine, abs=1e-12)
    else:
        assert got.cosine is None


def check_worst(got: OutputMetrics, a: Array, b: Array) -> None:
    with np.errstate(invalid="ignore"):
        errors = np.abs(a.astype(np.float64) - b.astype(np.float64))
    errors[~np.isfinite(errors)] = 0
    peaks = errors.reshape(len(a), -1).max(axis=1)
    wanted = [(-float(peak), sample) for sample, peak in enumerate(peaks) if peak > 0]
    wanted = sorted(wanted)[:10]
    assert [worst.error for worst in got.worst] == pytest.approx([-p for p, _ in wanted], rel=1e-6)
    for worst in got.worst:
        assert worst.error == pytest.approx(peaks[worst.sample], rel=1e-6)
        assert worst.reference == a[(worst.sample, *worst.element)]
        assert worst.candidate == b[(worst.sample, *worst.element)]
        assert errors[(worst.sample, *worst.element)] == pytest.approx(worst.error, rel=1e-6)


def arrays(elements: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Array, Array]]:
    def both(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[Array, Array]]:
        one = npst.arrays(np.float32, shape, elements=elements)
        return st.one_of(st.tuples(one, one), one.map(lambda value: (value, value.copy())))

    shapes = npst.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5)
    return shapes.flatmap(both)


LARGEST = float(np.finfo(np.float32).max)
# Squares of what is smaller vanish even in float64.
ordinary = st.floats(-1e6, 1e6, width=32).map(lambda v: v if abs(v) > 1e-30 else 0.0)
wild = st.one_of(
    ordinary,
    st.sampled_from([math.nan, math.inf, -math.inf, LARGEST, -LARGEST, 0.0, -0.0]),
)


@settings(max_examples=60, deadline=None)
@given(arrays(ordinary))
def test_finite_values_give_numpys_figures(pair: tuple[Array, Array]) -> None:
    got = metrics(*pair)
    check(got, *pair)
    check_worst(got, *pair)


@settings(max_examples=100, deadline=None)
@given(arrays(wild))
def test_nan_infinity_and_overflow_are_counted_and_set_aside(pair: tuple[Array, Array]) -> None:
    got = metrics(*pair)
    check(got, *pair)
    check_worst(got, *pair)


@pytest.mark.parametrize("shape", [(2, PIECE + 77), (3, 1, 2 * PIECE), (700, 10, 100), (5000, 1)])
@pytest.mark.parametrize("broken", [False, True])
def test_pieces_and_blocks_leave_no_seams(shape: tuple[int, ...], broken: bool) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal(shape).astype(np.float32)
    b = a + rng.standard_normal(shape).astype(np.float32) * (rng.random(shape) < 0.3)
    if broken:
        b.reshape(-1)[:: PIECE // 3] = math.nan
        a.reshape(-1)[-1] = math.inf
    got = metrics(a, b)
    check(got, a, b)
    check_worst(got, a, b)


@pytest.mark.parametrize(
    "dtypes",
    [
        ("float64", "float64"),
        ("float32", "float64"),
        ("float16", "float32"),
        ("int64", "int64"),
        ("int32", "float32"),
        ("uint8", "int8"),
        ("bool", "bool"),
    ],
)
def test_every_dtype_is_compared_by_value(dtypes: tuple[str, str]) -> None:
    rng = np.random.default_rng(1)
    a = (rng.random((50, 3, 7)) * 100).astype(dtypes[0])
    b = (rng.random((50, 3, 7)) * 100).astype(dtypes[1])
    check(metrics(a, b), a, b)


def test_float64_differences_are_not_rounded_to_float32() -> None:
    a = np.full((2, 3), 1.0)
    b = a + 1e-12
    assert metrics(a, b).max_abs_error == pytest.approx(1e-12, rel=1e-3)


def test_integers_are_exact_up_to_float64() -> None:
    a = np.array([[2**40]], np.int64)
    assert metrics(a, a + 1).max_abs_error == 1.0


def test_identical_outputs_have_an_infinite_snr_and_no_error() -> None:
    a = float32(1, 2, 3).reshape(3, 1)
    got = metrics(a, a)
    assert (got.snr_db, got.max_abs_error, got.differing_elements) == (math.inf, 0.0, 0)
    assert got.worst == ()
    assert got.cosine == pytest.approx(1.0)


def test_nan_on_both_sides_coincides_and_on_one_does_not() -> None:
    a = float32(math.nan, 1, math.inf, 2).reshape(4, 1)
    b = float32(math.nan, 1, -math.inf, math.nan).reshape(4, 1)
    got = metrics(a, b)
    assert (got.nonfinite_differing, got.first_nonfinite_sample) == (2, 2)
    assert (got.differing_elements, got.differing_samples, got.elements) == (2, 2, 1)


def test_a_constant_output_is_noticed_even_when_it_varies_within_a_sample() -> None:
    a = np.tile(float32(1, 2, 3), (400, 1))
    assert metrics(a, a).reference.constant
    b = a.copy()
    b[200, 1] += 1
    assert not metrics(a, b).candidate.constant
    assert not metrics(a[:1], a[:1]).reference.constant


def test_equal_errors_rank_the_earlier_sample_first() -> None:
    a = np.zeros((40, 2), np.float32)
    b = np.ones((40, 2), np.float32)
    assert [w.sample for w in metrics(a, b).worst] == list(range(10))


SCALES = st.integers(1, 10_000).map(lambda k: float(np.float32(k / 1000)))


@settings(max_examples=50, deadline=None)
@given(
    npst.arrays(np.int8, (7, 3, 2)),
    npst.arrays(np.int8, (7, 3, 2)),
    SCALES,
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
)
def test_steps_are_counted_exactly_when_the_scale_is_one(
    a: Array, b: Array, scale: float, zero_points: tuple[int, int]
) -> None:
    left, right = (Quantization(scale, zero_point) for zero_point in zero_points)
    got = metrics(a, b, quantization=(left, right))
    steps = (b.astype(int) - right.zero_point) - (a.astype(int) - left.zero_point)
    assert got.lsb is not None
    assert got.lsb.counts == tuple(int((steps == k).sum()) for k in range(-8, 9))
    assert (got.lsb.below, got.lsb.above) == ((steps < -8).sum(), (steps > 8).sum())
    assert got.lsb.max_lsb == got.max_lsb == np.abs(steps).max()
    assert got.differing_elements == (steps != 0).sum()
    check(got, left.dequantize(a), right.dequantize(b), rel=1e-5)


def test_sixteen_bits_are_counted_too() -> None:
    affine = Quantization(0.5, 0)
    a = np.array([[-32768, 0, 5]], np.int16)
    b = np.array([[32767, 1, 5]], np.int16)
    got = metrics(a, b, quantization=(affine, affine))
    assert got.lsb is not None
    assert (got.lsb.max_lsb, got.lsb.above, got.lsb.counts[8], got.lsb.counts[9]) == (
        65535,
        1,
        1,
        1,
    )


def test_with_other_scales_only_the_largest_error_is_given_in_steps_of_the_candidate() -> None:
    a = np.array([[10, 20]], np.int8)
    got = metrics(a, a, quantization=(Quantization(1.0, 0), Quantization(0.5, 0)))
    assert got.lsb is None
    assert got.max_lsb == pytest.approx(10 / 0.5)


def test_a_float_against_a_quantized_output_is_compared_in_real_units() -> None:
    affine = Quantization(0.25, 3)
    a = np.array([[1.0, 2.0, -1.0]], np.float32)
    b = np.array([[7, 11, 0]], np.int8)
    got = metrics(a, b, quantization=(None, affine))
    assert got.max_abs_error == 0.25
    assert got.max_lsb == 1.0
    assert got.lsb is None
    assert (got.candidate.scale, got.candidate.zero_point) == (0.25, 3)


@pytest.mark.parametrize("permutations", [((0, 2, 3, 1), None), ((0, 2, 3, 1), (0, 3, 1, 2))])
def test_layouts_are_undone_before_comparing(
    tmp_path: Path, permutations: tuple[tuple[int, ...], tuple[int, ...] | None]
) -> None:
    rng = np.random.default_rng(2)
    a = rng.standard_normal((30, 1, 3, 4, 5)).astype(np.float32)
    b = a.copy()
    b[17, 0, 2, 1, 3] += 8
    sides = []
    for name, values, axes in zip(("source", "float"), (a, b), permutations, strict=True):
        output = binding("y", (1, 3, 4, 5), permutation=axes)
        stored = values if axes is None else np.transpose(values, (0, *(1 + k for k in axes)))
        sides.append(rung(tmp_path, name, [output], [np.ascontiguousarray(stored)]))
    got = compare(*sides).outputs[0]
    assert got.differing_elements == 1
    assert [(w.sample, w.element) for w in got.worst] == [(17, (0, 2, 1, 3))]
    check(got, a, b)


@given(
    small=st.floats(1e-3, 0.4),
    samples=st.integers(2, 300),
    columns=st.integers(1, 40),
)
@settings(max_examples=30, deadline=None)
def test_values_too_small_for_their_scale_are_counted_as_flat(
    small: float, samples: int, columns: int
) -> None:
    random = np.random.default_rng(0)
    large = random.uniform(-100, 100, (samples, columns)).astype(np.float32)
    large[0], large[1] = -100, 100
    little = (small * random.uniform(-1, 1, (samples, columns))).astype(np.float32)
    little[0], little[1] = -small, small
    reference = np.concatenate([large, little], axis=1)
    scale = Quantization(1.0, 0)
    candidate = scale.quantize(reference, np.dtype(np.int8))
    got = metrics(reference, candidate, quantization=(None, scale))
    assert got.snr_db is not None
    assert got.snr_db > 20
    assert got.flat_positions == columns


def test_flat_elements_are_counted_for_quantized_candidates_alone() -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert metrics(values, np.zeros_like(values)).flat_positions is None
