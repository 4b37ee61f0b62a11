"""Two packs are matched by name, kept in step, and refused when they do not belong together."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.comparison import Failure, PairComparison, compare
from devdiff.device_runner.errors import PackError
from devdiff.errors import ComparisonError, UsageError
from devdiff.exporter.artifact import Array, Quantization
from devdiff.system.errors import FormatError
from devdiff.system.typed_json import decode
from tests.support.pair_packs import binding, compare_arrays, float32, rung, write_pack

if TYPE_CHECKING:
    from pathlib import Path

LOGITS = np.random.default_rng(0).standard_normal((40, 1, 10)).astype(np.float32)
BOXES = np.random.default_rng(1).standard_normal((40, 6, 4)).astype(np.float32)


def test_outputs_are_matched_by_name_whatever_their_order(tmp_path: Path) -> None:
    logits, boxes = binding("logits", (1, 10)), binding("boxes", (6, 4))
    left = rung(tmp_path, "source", [logits, boxes], [LOGITS, BOXES])
    right = rung(tmp_path, "float", [boxes, logits], [BOXES, LOGITS])
    got = compare(left, right)
    assert [output.name for output in got.outputs] == ["logits", "boxes"]
    assert [output.differing_elements for output in got.outputs] == [0, 0]
    assert got.output("boxes").shape == (6, 4)
    with pytest.raises(KeyError):
        got.output("masks")


def test_the_table_may_use_tensor_or_signature_names(tmp_path: Path) -> None:
    plain = [binding("a", (1, 10)), binding("b", (6, 4))]
    left = rung(tmp_path, "source", plain, [LOGITS, BOXES])
    mapped = [
        binding("a", (1, 10), tensor="Identity:0", signature="output_1"),
        binding("b", (6, 4), tensor="Identity_1:0", signature="output_0"),
    ]
    as_signature = [
        binding("x", (6, 4), tensor="output_0"),
        binding("y", (1, 10), tensor="output_1"),
    ]
    for name, table, values in (
        ("by-tensor", mapped, [LOGITS, BOXES]),
        ("by-signature", as_signature, [BOXES, LOGITS]),
    ):
        written = rung(tmp_path, name, table, values)
        right = type(written)(name, written.pack, tuple(mapped))
        assert [o.differing_elements for o in compare(left, right).outputs] == [0, 0]


def test_failed_samples_are_counted_named_and_left_out(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    other = LOGITS.copy()
    other[[3, 5]] = 99
    left = rung(tmp_path, "int8", [y], [LOGITS], {3: "bad input", 20: "no memory"})
    right = rung(tmp_path, "device", [y], [other], {5: "killed", 20: "killed"})
    got = compare(left, right)
    assert (got.samples, got.compared, got.reference_failed, got.candidate_failed) == (40, 37, 2, 2)
    assert got.failures == (
        Failure("int8", 3, "failed", "bad input"),
        Failure("int8", 20, "failed", "no memory"),
        Failure("device", 5, "failed", "killed"),
        Failure("device", 20, "failed", "killed"),
    )
    assert got.outputs[0].samples == 37
    assert got.outputs[0].differing_elements == 0
    assert got.classifications[0].top_1.trials == 37


def test_only_the_first_failures_are_kept(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    left = rung(tmp_path, "a", [y], [LOGITS])
    right = rung(tmp_path, "b", [y], [LOGITS], dict.fromkeys(range(40), "no"))
    got = compare(left, right)
    assert (got.compared, got.candidate_failed, len(got.failures)) == (0, 40, 10)
    assert got.outputs[0].max_abs_error is None


def test_sample_numbers_and_labels_stay_in_step_with_failures(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    labels = LOGITS.reshape(40, 10).argmax(axis=1)
    other = LOGITS.copy()
    other[30, 0, (labels[30] + 1) % 10] = 50
    left = rung(tmp_path, "a", [y], [LOGITS], {7: "no"})
    right = rung(tmp_path, "b", [y], [other], {11: "no", 12: "no"})
    got = compare(left, right, labels=labels)
    assert [flip.sample for flip in got.classifications[0].kept_flips] == [30]
    assert [worst.sample for worst in got.outputs[0].worst] == [30]
    accuracy = got.classifications[0].accuracy
    assert accuracy is not None
    assert (accuracy.both_right, accuracy.only_reference, accuracy.reference.trials) == (36, 1, 37)


def test_different_record_sizes_are_kept_in_step(tmp_path: Path) -> None:
    affine = Quantization(0.02, 3)
    values = np.random.default_rng(2).standard_normal((1500, 1, 1000)).astype(np.float32)
    stored = affine.quantize(values, np.dtype(np.int8))
    got = compare_arrays(tmp_path, values, stored, quantization=(None, affine))
    clipped = np.clip(values, (-128 - 3) * 0.02, (127 - 3) * 0.02)
    inside = np.abs(clipped - affine.dequantize(stored)).max()
    assert inside <= 0.0101
    exact = np.abs(values.astype(np.float64) - affine.dequantize(stored)).max()
    assert got.outputs[0].max_abs_error == pytest.approx(exact, rel=1e-6)


def test_samples_of_other_shapes_are_counted_and_the_rest_compared(tmp_path: Path) -> None:
    output = binding("boxes", (6, 4))
    sizes = np.random.default_rng(2).integers(0, 7, 30)
    left = [[np.ones((size, 4), np.float32)] for size in sizes]
    right = [[np.ones((size, 4), np.float32)] for size in sizes]
    right[12] = [np.ones((sizes[12] + 1, 4), np.float32)]
    right[20] = [np.ones((sizes[20] + 2, 4), np.float32)]
    packs = [
        write_pack(tmp_path / f"{name}.pack", [output], samples)
        for name, samples in (("a", left), ("b", right))
    ]
    sides = [rung(tmp_path, name, [output], [BOXES]) for name in ("x", "y")]
    sides = [type(s)(s.name, p, s.outputs) for s, p in zip(sides, packs, strict=True)]
    (got,) = compare(*sides).outputs
    mismatch = got.shape_mismatch
    assert mismatch is not None
    assert (mismatch.samples, mismatch.sample) == (2, 12)
    assert (mismatch.reference, mismatch.candidate) == ((sizes[12], 4), (sizes[12] + 1, 4))
    assert got.elements == 4 * (sizes.sum() - sizes[12] - sizes[20])
    assert got.differing_elements == 0


def test_progress_reaches_the_last_sample(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    seen: list[int] = []
    compare(
        rung(tmp_path, "a", [y], [LOGITS]), rung(tmp_path, "b", [y], [LOGITS]), progress=seen.append
    )
    assert seen[-1] == 40
    assert seen == sorted(seen)


def test_no_samples_compare_to_nothing(tmp_path: Path) -> None:
    got = compare_arrays(tmp_path, np.zeros((0, 1, 3), np.float32), np.zeros((0, 1, 3), np.float32))
    assert (got.samples, got.compared, got.outputs[0].elements) == (0, 0, 0)


def test_other_outputs_are_refused(tmp_path: Path) -> None:
    left = rung(tmp_path, "source", [binding("a", (1, 10))], [LOGITS])
    right = rung(tmp_path, "float", [binding("b", (1, 10))], [LOGITS])
    with pytest.raises(ComparisonError, match="has the outputs a, rung float has b"):
        compare(left, right)


def test_another_number_of_samples_is_refused(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    left, right = rung(tmp_path, "a", [y], [LOGITS]), rung(tmp_path, "b", [y], [LOGITS[:7]])
    with pytest.raises(ComparisonError, match="a has 40 samples and rung b has 7"):
        compare(left, right)


def test_a_table_without_the_output_is_refused(tmp_path: Path) -> None:
    left = rung(tmp_path, "a", [binding("y", (1, 10))], [LOGITS])
    right = rung(tmp_path, "b", [binding("other", (1, 10))], [LOGITS])
    with pytest.raises(ComparisonError, match="no output 'y'; they have 'other'"):
        compare(left, type(right)("b", right.pack, left.outputs))


def test_a_table_of_another_dtype_is_refused(tmp_path: Path) -> None:
    left = rung(tmp_path, "a", [binding("y", (1, 10))], [LOGITS])
    right = rung(tmp_path, "b", [binding("y", (1, 10), "float64")], [LOGITS.astype(np.float64)])
    with pytest.raises(ComparisonError, match=r"float32\[1,10\], but its results hold float64"):
        compare(left, type(right)("b", right.pack, left.outputs))


def test_an_unfinished_pack_is_refused_with_the_next_step(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    left, right = (rung(tmp_path, name, [y], [LOGITS]) for name in "ab")
    right.pack.write_bytes(right.pack.read_bytes()[:-40])
    with pytest.raises(ComparisonError, match=r"rung b.*run the same command again"):
        compare(left, right)


def test_a_damaged_sample_stops_the_comparison(tmp_path: Path) -> None:
    y = binding("y", (1, 10))
    left, right = (rung(tmp_path, name, [y], [LOGITS]) for name in "ab")
    data = bytearray(right.pack.read_bytes())
    data[len(data) // 2] ^= 4
    right.pack.write_bytes(data)
    with pytest.raises(PackError, match="checksum"):
        compare(left, right)


def test_score_lists_are_classifiers_unless_others_are_named(tmp_path: Path) -> None:
    outputs = [
        binding("logits", (1, 10)),
        binding("pooled", (1, 10, 1, 1)),
        binding("one", (1, 1)),
        binding("ids", (1, 10), "int64"),
    ]
    values: list[Array] = [
        LOGITS,
        LOGITS.reshape(40, 1, 10, 1, 1),
        LOGITS[:, :, :1],
        LOGITS.astype(np.int64),
    ]
    left, right = (rung(tmp_path, name, outputs, values) for name in "ab")
    assert [c.output for c in compare(left, right).classifications] == ["logits"]
    chosen = compare(left, right, classifier_outputs=["pooled"])
    assert [c.output for c in chosen.classifications] == ["pooled"]
    assert chosen.classification("pooled") is not None
    assert chosen.classification("logits") is None
    assert compare(left, right, classifier_outputs=[]).classifications == ()
    with pytest.raises(UsageError, match="no output 'classes'"):
        compare(left, right, classifier_outputs=["classes"])
    with pytest.raises(UsageError, match=r"one float32\[1,1\] is no list of class scores"):
        compare(left, right, classifier_outputs=["one"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(39, np.int64), r"labels must be 40 integers.*int64\[39\]"),
        (np.zeros(41, np.int64), r"int64\[41\]"),
        (np.zeros(40), "float64"),
        (np.full(40, 10), "run from 10 to 10, but output 'y' has the classes 0 to 9"),
        (np.full(40, -1), "run from -1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path: Path, labels: Array, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare_arrays(tmp_path, LOGITS, LOGITS, labels=labels)


def test_labels_need_one_output_they_can_belong_to(tmp_path: Path) -> None:
    outputs = [binding("age", (1, 10)), binding("mood", (1, 10)), binding("boxes", (6, 4))]
    left, right = (rung(tmp_path, name, outputs, [LOGITS, LOGITS, BOXES]) for name in "ab")
    labels = np.zeros(40, np.int64)
    with pytest.raises(UsageError, match="name one of age, mood"):
        compare(left, right, labels=labels)
    with pytest.raises(UsageError, match="this model has none"):
        compare(left, right, labels=labels, classifier_outputs=[])
    with pytest.raises(UsageError, match="cannot be of output 'boxes'"):
        compare(left, right, labels=labels, labelled_output="boxes")
    got = compare(left, right, labels=labels, labelled_output="mood")
    assert [c.accuracy is not None for c in got.classifications] == [False, True]


def test_a_comparison_survives_json(tmp_path: Path) -> None:
    y, boxes = binding("y", (1, 10)), binding("boxes", (6, 4))
    affine = Quantization(0.1, 0)
    steps = binding("steps", (1, 10), "int8", quantization=affine)
    stored = affine.quantize(LOGITS, np.dtype(np.int8))
    noisy = LOGITS + float32(0.5) * np.random.default_rng(2).standard_normal(LOGITS.shape).astype(
        np.float32
    )
    noisy[3, 0, 2] = np.nan
    left = rung(tmp_path, "a", [y, boxes, steps], [LOGITS, BOXES, stored], {1: "no"})
    right = rung(tmp_path, "b", [y, boxes, steps], [noisy, BOXES, np.roll(stored, 1)])
    labels = LOGITS.reshape(40, 10).argmax(axis=1)
    got = compare(left, right, labels=labels, labelled_output="y")
    text = json.dumps(got.to_json(), allow_nan=False)
    assert decode(PairComparison, json.loads(text)) == got
    assert got.to_json()["outputs"][1]["snr_db"] == "inf"


@pytest.mark.parametrize("damage", ["lacks", "type", "nested"])
def test_damaged_json_is_refused_and_the_field_is_named(tmp_path: Path, damage: str) -> None:
    data = compare_arrays(tmp_path, LOGITS, LOGITS).to_json()
    if damage == "lacks":
        del data["samples"]
        message = "the whole: the field samples is missing"
    elif damage == "type":
        data["samples"] = "many"
        message = "samples: expected int, got str"
    else:
        data["outputs"][0]["reference"]["peak"] = [1]
        message = r"outputs\[0\]\.reference\.peak: expected float, got list"
    with pytest.raises(FormatError, match=message):
        decode(PairComparison, data)
