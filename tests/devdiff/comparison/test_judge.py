"""What each step may change, and what the verdict says about it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from devdiff.comparison import (
    CompressionExpectation,
    ConversionExpectation,
    DeploymentExpectation,
    Expectation,
    Judgement,
    PairComparison,
    Tolerance,
    Tolerances,
    compare,
    judge,
)
from devdiff.exporter.artifact import Array, Quantization
from devdiff.system.typed_json import decode
from devdiff.verdict import Verdict
from tests.support.pair_packs import binding, compare_arrays, float32, rung

STEP = Quantization(0.00390625, -128)


def judged(
    reference: Array, candidate: Array, expectation: Expectation, **options: Any
) -> Judgement:
    with TemporaryDirectory() as folder:
        return judge(compare_arrays(Path(folder), reference, candidate, **options), expectation)


def deployed(reference: Array, candidate: Array, expectation: Expectation) -> Judgement:
    return judged(reference, candidate, expectation, quantization=(STEP, STEP))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def scores(samples: int, classes: int = 10, seed: int = 0) -> Array:
    return normal(samples, 1, classes, seed=seed)


def flipped(values: Array, flips: int) -> Array:
    """The same scores, but for ``flips`` samples whose best class moves by one."""
    moved = values.copy()
    moved[:flips] = np.roll(values[:flips], 1, axis=-1)
    return moved


# Any step


def test_no_samples_are_an_error() -> None:
    got = judged(scores(0), scores(0), ConversionExpectation())
    assert got.verdict is Verdict.ERROR
    assert got.reasons == ("There are no samples, so nothing was compared.",)
    assert got.passing == {}


def test_samples_that_did_not_run_are_an_error_though_the_others_agree(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    values = scores(20)
    left = rung(tmp_path, "int8", [y], [values])
    right = rung(tmp_path, "device", [y], [values], {4: "delegate refused", 9: "x"})
    got = judge(compare(left, right), ConversionExpectation())
    assert got.verdict is Verdict.ERROR
    assert got.reasons == (
        "2 samples of 20 did not run on rung device, and none may fail (sample 4: delegate "
        "refused).",
    )


def test_nothing_that_ran_on_both_rungs_is_an_error(tmp_path: Path) -> None:
    y = binding("y", (1, 2))
    values = scores(2, 2)
    left = rung(tmp_path, "a", [y], [values], {0: "x"})
    right = rung(tmp_path, "b", [y], [values], {1: "y"})
    got = judge(compare(left, right), CompressionExpectation())
    assert got.verdict is Verdict.ERROR
    assert len(got.reasons) == 2


@pytest.mark.parametrize(
    "expectation", [ConversionExpectation(), CompressionExpectation(), DeploymentExpectation()]
)
def test_a_nan_on_one_side_fails_every_step(expectation: Expectation) -> None:
    a = scores(100)
    b = a.copy()
    b[7, 0, 3] = math.nan
    got = judged(a, b, expectation)
    assert got.verdict is Verdict.FAIL
    assert got.reasons[0] == (
        "Output y is NaN or infinite on one side only in 1 element, and may be in none (first in "
        "sample 7)."
    )
    assert got.passing == {"y": {}}


def test_nan_where_the_reference_has_it_passes() -> None:
    a = scores(100)
    a[:, 0, 9] = math.inf
    a[5, 0, 2] = math.nan
    assert judged(a, a, ConversionExpectation()).verdict is Verdict.PASS


def test_nothing_but_nan_is_an_error_not_a_pass() -> None:
    a = np.full((10, 1, 4), math.nan, np.float32)
    got = judged(a, a, ConversionExpectation())
    assert got.verdict is Verdict.ERROR
    assert "40 NaN" in got.reasons[0]


@pytest.mark.parametrize(
    "expectation", [ConversionExpectation(), CompressionExpectation(), DeploymentExpectation()]
)
def test_outputs_that_are_empty_on_both_sides_pass(expectation: Expectation) -> None:
    empty = np.zeros((8, 0, 4), np.float32)
    assert judged(empty, empty, expectation).verdict is Verdict.PASS


def test_another_shape_fails(tmp_path: Path) -> None:
    y = binding("y", (3, 4))
    left = rung(tmp_path, "a", [y], [np.zeros((2, 3, 4), np.float32)])
    right = rung(tmp_path, "b", [y], [np.zeros((2, 2, 4), np.float32)])
    got = judge(compare(left, right), ConversionExpectation())
    assert got.verdict is Verdict.FAIL
    assert "another shape" in got.reasons[0]
    assert "[3, 4] became [2, 4]" in got.reasons[0]


def test_reasons_of_a_failure_leave_out_what_passed(tmp_path: Path) -> None:
    outputs = [binding("good", (1, 10)), binding("bad", (3, 4))]
    values = [scores(20), normal(20, 3, 4)]
    left = rung(tmp_path, "a", outputs, values)
    right = rung(tmp_path, "b", outputs, [values[0], values[1] + 1])
    got = judge(compare(left, right), ConversionExpectation())
    assert got.verdict is Verdict.FAIL
    assert [reason.split()[1] for reason in got.reasons] == ["bad"]
    assert set(got.passing) == {"good", "bad"}


# Conversion


def test_rounding_of_a_good_conversion_passes_by_default() -> None:
    a = 300 * scores(50)
    b = a * np.float32(1 + 2e-6)
    got = judged(a, b, ConversionExpectation())
    assert got.verdict is Verdict.PASS
    assert got.reasons[0].startswith("Output y is off by at most 0.00")
    assert "atol 1e-05 + rtol 0.0001 × peak" in got.reasons[0]


def test_a_wrong_conversion_fails_and_says_what_would_pass() -> None:
    a = np.zeros((20, 1, 1), np.float32)
    a[:, 0, 0] = np.linspace(0, 1, 20)
    b = a.copy()
    b[11] -= 0.92
    got = judged(a, b, ConversionExpectation())
    assert got.verdict is Verdict.FAIL
    assert got.reasons == (
        "Output y is off by up to 0.92 in sample 11, with 0.00011 allowed (atol 1e-05 + rtol "
        "0.0001 × peak 1); --atol y:0.92 would pass.",
    )


def test_a_flip_within_the_tolerance_is_none() -> None:
    a = np.tile(float32(1, 1 - 1e-5, 0), (50, 1)).reshape(50, 1, 3)
    b = np.tile(float32(1 - 1e-5, 1, 0), (50, 1)).reshape(50, 1, 3)
    assert judged(a, b, ConversionExpectation()).verdict is Verdict.PASS


def test_a_flip_beyond_the_tolerance_is_told() -> None:
    a = scores(100)
    got = judged(a, flipped(a, 3), ConversionExpectation())
    assert got.verdict is Verdict.FAIL
    assert "gives 3 answers of 100 another class across a gap above" in got.reasons[1]


def test_a_dead_output_is_named_beside_the_error() -> None:
    a = scores(20)
    got = judged(a, np.zeros_like(a), ConversionExpectation())
    assert any("zero in all 200 elements on the candidate" in reason for reason in got.reasons)


def test_tolerances_are_per_output() -> None:
    a = scores(20)
    loose = ConversionExpectation(Tolerances(outputs={"y": Tolerance(0.5, 0)}))
    assert judged(a, a + np.float32(0.25), loose).verdict is Verdict.PASS
    assert judged(a, a + np.float32(0.25), ConversionExpectation()).verdict is Verdict.FAIL


finite = st.floats(-1e3, 1e3, width=32).map(lambda v: v if abs(v) > 1e-20 else 0.0)


@settings(max_examples=60, deadline=None)
@given(
    npst.arrays(np.float32, (8, 1, 3), elements=finite),
    npst.arrays(np.float32, (8, 1, 3), elements=finite),
    st.sampled_from([0.0, 1e-5, 1.0]),
    st.sampled_from([0.0, 1e-4, 0.1]),
)
def test_the_tolerance_that_would_pass_passes(a: Array, b: Array, atol: float, rtol: float) -> None:
    got = judged(a, b, ConversionExpectation(Tolerances(Tolerance(atol, rtol))))
    limits = got.passing["y"]
    assert judged(
        a, b, ConversionExpectation(Tolerances(Tolerance(limits["atol"], rtol)))
    ).verdict is (Verdict.PASS)
    if "rtol" in limits:
        again = judged(a, b, ConversionExpectation(Tolerances(Tolerance(atol, limits["rtol"]))))
        assert again.verdict is Verdict.PASS
    if got.verdict is Verdict.FAIL:
        tighter = Tolerances(Tolerance(limits["atol"] * 0.98, rtol))
        assert judged(a, b, ConversionExpectation(tighter)).verdict is Verdict.FAIL


# Compression


def test_enough_agreement_passes() -> None:
    a = scores(400)
    got = judged(a, flipped(a, 4), CompressionExpectation())
    assert got.verdict is Verdict.PASS
    assert got.reasons == (
        "Output y agrees on 396 of 400 answers (99 %; 95 % interval 97.5 % to 99.7 %), with 95 % "
        "required.",
    )
    assert got.passing["y"]["min_agreement"] == pytest.approx(0.9745, abs=1e-4)


def test_too_little_agreement_fails() -> None:
    a = scores(400)
    assert judged(a, flipped(a, 60), CompressionExpectation()).verdict is Verdict.FAIL


def test_few_samples_cannot_decide_and_say_how_many_would() -> None:
    a = scores(60)
    got = judged(a, a, CompressionExpectation())
    assert got.verdict is Verdict.INCONCLUSIVE
    assert got.reasons[0].endswith(
        "with 95 % required: 60 samples cannot decide; about 72 at this rate would (pass)."
    )


def test_between_pass_and_fail_both_numbers_are_given() -> None:
    a = scores(100)
    got = judged(a, flipped(a, 2), CompressionExpectation())
    assert got.verdict is Verdict.INCONCLUSIVE
    assert "would (pass), and 72 if all agreed" in got.reasons[0]
    failing = judged(a, flipped(a, 8), CompressionExpectation())
    assert failing.verdict is Verdict.INCONCLUSIVE
    assert "at this rate would (fail), and 72 if all agreed" in failing.reasons[0]


def test_a_rate_on_the_limit_is_said_to_be_undecidable() -> None:
    a = scores(100)
    got = judged(a, flipped(a, 5), CompressionExpectation())
    assert got.reasons[0].endswith(
        "100 samples cannot decide, and at this very rate no number would."
    )


def test_full_agreement_can_be_demanded() -> None:
    a = scores(10)
    assert judged(a, a, CompressionExpectation(min_agreement=1)).verdict is Verdict.PASS
    assert judged(a, flipped(a, 1), CompressionExpectation(min_agreement=1)).verdict is Verdict.FAIL


@pytest.mark.parametrize("flips", [0, 3, 20, 40])
def test_the_agreement_that_would_pass_passes(flips: int) -> None:
    a = scores(80)
    limit = judged(a, flipped(a, flips), CompressionExpectation()).passing["y"]["min_agreement"]
    again = judged(a, flipped(a, flips), CompressionExpectation(min_agreement=limit))
    assert again.verdict is Verdict.PASS


def test_outputs_without_classes_need_signal() -> None:
    a = normal(50, 6, 4)
    noise = normal(50, 6, 4, seed=1)
    good = judged(a, a + np.float32(0.1) * noise, CompressionExpectation())
    assert good.verdict is Verdict.PASS
    assert re.fullmatch(
        r"Output y has an SNR of (19|20)\.\d dB, with 10 required\.", good.reasons[0]
    )
    bad = judged(a, a + noise, CompressionExpectation())
    assert bad.verdict is Verdict.FAIL
    limits = bad.passing["y"]
    again = CompressionExpectation(
        min_snr_db=limits["min_snr_db"], min_variation_snr_db=limits["min_variation_snr_db"]
    )
    assert judged(a, a + noise, again).verdict is Verdict.PASS


def test_synthetic_inputs_show_agreement_and_gate_the_signal() -> None:
    a = scores(20)
    b = a + np.float32(0.05) * scores(20, seed=1)
    got = judged(a, b, CompressionExpectation(synthetic=True))
    assert got.verdict is Verdict.PASS
    assert "SNR" in got.reasons[0]
    assert "of 20 answers agree, which synthetic inputs show but do not gate" in got.reasons[0]
    assert judged(a, flipped(a, 20), CompressionExpectation(synthetic=True)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "is zero in all"), (0.5, "is the same for all")]
)
def test_an_output_that_died_fails_whatever_agrees(value: float, words: str) -> None:
    a = scores(200)
    a[:, 0, 0] += 100
    b = np.full_like(a, value)
    b[:, 0, 0] += 0 if value == 0 else 1
    got = judged(a, b, CompressionExpectation())
    assert got.verdict is Verdict.FAIL
    assert words in got.reasons[0]
    assert got.passing == {"y": {}}


def test_an_output_that_was_constant_before_is_no_finding() -> None:
    a = np.tile(float32(1, 0), (200, 1)).reshape(200, 1, 2)
    assert judged(a, a, CompressionExpectation()).verdict is Verdict.PASS


# Deployment


def stored(samples: int = 200) -> Array:
    """int8 scores without ties, four steps apart: one step more or less changes no answer."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.arange(-21, 21, 4)) for _ in range(samples)]
    return np.array(rows, np.int8).reshape(samples, 1, -1)


def test_identical_files_in_two_places_pass_exactly() -> None:
    a = stored()
    for exact in (False, True):
        assert deployed(a, a, DeploymentExpectation(exact=exact)).verdict is Verdict.PASS


def test_one_step_passes_and_the_differing_elements_are_counted() -> None:
    a = stored()
    b = a.copy()
    b[3, 0, :4] += 1
    got = deployed(a, b, DeploymentExpectation())
    assert got.verdict is Verdict.PASS
    assert got.reasons == (
        "Output y is off by at most 1 LSB, with 1 allowed; 4 of 2200 elements differ.",
    )
    assert got.passing == {"y": {"max_lsb": 1.0}}


def test_two_steps_fail() -> None:
    a = stored()
    b = a.copy()
    b[3, 0, 0] -= 2
    got = deployed(a, b, DeploymentExpectation())
    assert got.verdict is Verdict.FAIL
    assert got.reasons == (
        "Output y is off by up to 2 LSB, with 1 allowed; 1 of 2200 elements differ.",
    )
    assert deployed(a, b, DeploymentExpectation(max_lsb=2)).verdict is Verdict.PASS


def test_exact_demands_that_nothing_differs() -> None:
    a = stored()
    b = a.copy()
    b[3, 0, :4] += 1
    got = deployed(a, b, DeploymentExpectation(exact=True))
    assert got.verdict is Verdict.FAIL
    assert got.reasons == (
        "Output y differs in 4 of 2200 elements and 1 of 200 samples, by up to 1 LSB, with 0 "
        "allowed.",
    )
    floats = scores(8)
    other = floats + np.float32(1e-6) * scores(8, seed=1)
    assert judged(floats, other, DeploymentExpectation(exact=True)).verdict is Verdict.FAIL
    assert judged(floats, other, DeploymentExpectation()).verdict is Verdict.PASS


def test_an_answer_that_flips_within_a_step_fails_unless_it_was_a_tie() -> None:
    a = np.array([[[5, 4, 0]]] * 10, np.int8)
    b = a.copy()
    b[2] = [[4, 5, 0]]
    got = deployed(a, b, DeploymentExpectation())
    assert got.verdict is Verdict.FAIL
    assert got.reasons == (
        "Output y gives 1 answer of 10 another class beyond exact ties, with 0 allowed (sample 2: "
        "class 0 became 1).",
    )
    tied = np.array([[[5, 5, 0]]] * 10, np.int8)
    after = tied.copy()
    after[2] = [[4, 5, 0]]
    assert deployed(tied, after, DeploymentExpectation()).verdict is Verdict.PASS


def test_silent_zeros_are_named() -> None:
    a = stored() + np.int8(1)
    got = deployed(a, np.full_like(a, -128), DeploymentExpectation())
    assert got.verdict is Verdict.FAIL
    assert any("is zero in all" in reason for reason in got.reasons)


def test_other_scales_on_both_sides_cannot_be_one_file() -> None:
    a = stored()
    got = judged(a, a, DeploymentExpectation(), quantization=(STEP, Quantization(0.5, 0)))
    assert got.verdict is Verdict.ERROR
    assert "do not come from one file" in got.reasons[0]


# Form


@pytest.mark.parametrize("flips", [0, 5, 100])
def test_a_judgement_and_what_it_judged_survive_json(tmp_path: Path, flips: int) -> None:
    a = scores(100)
    pair = compare_arrays(tmp_path, a, flipped(a, flips))
    for expectation in (ConversionExpectation(), CompressionExpectation(), DeploymentExpectation()):
        got = judge(pair, expectation)
        text = json.dumps(got.to_json(), allow_nan=False)
        assert decode(Judgement, json.loads(text)) == got
        again = decode(PairComparison, json.loads(json.dumps(pair.to_json(), allow_nan=False)))
        assert judge(again, expectation) == got


@settings(max_examples=40, deadline=None)
@given(
    npst.arrays(np.float32, (3, 1, 4), elements=st.floats(width=32)),
    npst.arrays(np.float32, (3, 1, 4), elements=st.floats(width=32)),
    st.sampled_from(
        [
            ConversionExpectation(),
            CompressionExpectation(),
            CompressionExpectation(synthetic=True),
            DeploymentExpectation(),
        ]
    ),
)
def test_every_reason_is_one_sentence_whatever_the_values(
    a: Array, b: Array, expectation: Expectation
) -> None:
    got = judged(a, b, expectation)
    assert got.reasons
    for reason in got.reasons:
        assert reason[0].isupper()
        assert reason.endswith(".")
        assert "\n" not in reason
    json.dumps(got.to_json(), allow_nan=False)


def test_every_output_is_judged_by_itself(tmp_path: Path) -> None:
    good, bad = binding("good", (1, 3)), binding("bad", (1, 3))
    values = np.ones((20, 1, 3), np.float32)
    left = rung(tmp_path, "source", [good, bad], [values, values])
    right = rung(tmp_path, "float", [good, bad], [values, values + 1])
    found = judge(
        compare(left, right), ConversionExpectation(Tolerances.parse((), (), ["good", "bad"]))
    )
    assert found.verdict is Verdict.FAIL
    assert {name: one.verdict for name, one in found.outputs.items()} == {
        "good": Verdict.PASS,
        "bad": Verdict.FAIL,
    }
    assert found.outputs["bad"].reasons == found.reasons
    assert found.outputs["good"].reasons[0].startswith("Output good is off by at most 0")
    assert decode(Judgement, found.to_json()) == found


def test_samples_that_did_not_run_count_against_every_output(tmp_path: Path) -> None:
    outputs = [binding("a", (1, 3)), binding("b", (1, 3))]
    values = np.ones((4, 1, 3), np.float32)
    left = rung(tmp_path, "source", outputs, [values, values])
    for failed in ({1: "killed"}, dict.fromkeys(range(4), "killed")):
        right = rung(tmp_path, "float", outputs, [values, values], failed)
        found = judge(
            compare(left, right), ConversionExpectation(Tolerances.parse((), (), ["a", "b"]))
        )
        for one in found.outputs.values():
            assert one.verdict is Verdict.ERROR
            assert "did not run on rung float" in one.reasons[0]
        assert set(found.outputs) == {"a", "b"}
