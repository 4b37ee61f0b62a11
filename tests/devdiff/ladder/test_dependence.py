"""An output that stopped answering an input fails, whatever its ratio of energies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.comparison import CompressionExpectation, compare, judge
from devdiff.comparison.dependence import Dependence, change, response
from devdiff.exporter.artifact import Array, Quantization
from devdiff.inputs.input_set import InputSet
from devdiff.ladder import dependence
from devdiff.ladder.judge import JudgedPair
from devdiff.ladder.ladder import RungPair, RungResult
from devdiff.progress import SilentEvents
from devdiff.verdict import Verdict
from tests.support import onnx_zoo
from tests.support.command import devdiff
from tests.support.pair_packs import binding, rung

if TYPE_CHECKING:
    from pathlib import Path

PAIR = RungPair("float", "int8", "compression", gates=True)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def inputs(samples: int, **more: Any) -> InputSet:
    arrays = {"x": normal(samples, 1, 4)}
    common: dict[str, Any] = {
        "arrays": arrays,
        "tested": np.arange(samples),
        "labels": None,
        "calibration_arrays": {},
        "calibration_origin": "none",
        "calibration_samples": 0,
        "origin": "test",
        "synthetic": False,
        "sha256": "0" * 64,
        "notes": (),
        "preprocess": {},
        "seed": 0,
    }
    return InputSet(**(common | more))


def checked(
    folder: Path,
    reference: Array,
    candidate: Array,
    samples: InputSet | None = None,
    failed: dict[int, str] | None = None,
) -> JudgedPair:
    """The step of a model of one input, judged with what its packs tell."""
    results = []
    sides = []
    for name, values, broken in (("float", reference, {}), ("int8", candidate, failed or {})):
        output = binding("y", values.shape[1:])
        side = rung(folder, name, [output], [values], broken)
        sides.append(side)
        results.append(
            RungResult(name, "litert", name, "m.tflite", "0" * 64, side.outputs, side.pack)
        )
    judged = JudgedPair(PAIR, None, judge(compare(*sides), CompressionExpectation()))
    samples = samples or inputs(len(reference))
    measured = dependence.measure([], results, [PAIR], samples, folder, 10.0, SilentEvents())
    (found,) = dependence.with_dependence([judged], measured)
    return found


def test_an_output_that_follows_passes(tmp_path: Path) -> None:
    reference = normal(40, 1, 5, 5)
    got = checked(tmp_path, reference, reference + np.float32(0.1) * normal(40, 1, 5, 5, seed=1))
    assert got.judgement.verdict is Verdict.PASS
    assert got.dependence is not None
    (answer,) = got.dependence.responses
    assert answer.followed == pytest.approx(1, abs=0.1)
    assert got.dependence.samples == dependence.SAMPLES
    assert got.to_json()["dependence"]["verdict"] == "pass"


def test_a_constant_with_noise_fails_though_its_ratio_is_good(tmp_path: Path) -> None:
    constant = 10 * normal(1, 1, 5, 5, seed=2)
    reference = constant + normal(40, 1, 5, 5)
    candidate = constant + np.float32(0.05) * normal(40, 1, 5, 5, seed=1)
    got = checked(tmp_path, reference, candidate)
    assert got.judgement.verdict is Verdict.FAIL
    assert "when input x is exchanged between samples" in got.judgement.reasons[-1]
    assert got.judgement.outputs["y"].verdict is Verdict.FAIL
    assert got.judgement.passing["y"] == {}, "no limit passes an output that lost its input"


def test_inputs_that_are_all_the_same_cannot_be_judged(tmp_path: Path) -> None:
    same = inputs(20, arrays={"x": np.ones((20, 1, 4), np.float32)})
    got = checked(tmp_path, normal(20, 1, 5, 5), normal(20, 1, 5, 5), same)
    assert got.dependence is not None
    assert [one.verdict for one in got.dependence.responses] == ["not judged"]
    assert "the same in all samples" in got.dependence.responses[0].reason


@pytest.mark.parametrize("samples", [1, 2, 3, 15, 16, 17, 400])
def test_no_sample_stays_where_it_was_and_the_exchange_is_fixed(samples: int) -> None:
    first, again = (dependence._Exchange.of(inputs(samples), []) for _ in range(2))
    count = min(samples, dependence.SAMPLES)
    assert first.count == count
    assert (first.partner == again.partner).all()
    assert sorted(first.partner) == list(range(count))
    assert samples == 1 or (first.partner != np.arange(count)).all()


def test_a_sample_that_only_the_candidate_cannot_run_is_an_error(tmp_path: Path) -> None:
    values = normal(10, 1, 5, 5)
    got = checked(tmp_path, values, values, failed={3: "it died"})
    assert got.dependence is not None
    assert got.dependence.verdict is Verdict.ERROR
    assert got.judgement.verdict is Verdict.ERROR


def answered(wanted: Array, seen: Array, scale: Quantization | None = None) -> Any:
    return response("x", "y", wanted, seen, 10 * normal(*wanted.shape), scale, integers=False)


def test_what_the_reference_does_not_answer_cannot_be_judged() -> None:
    still = np.zeros((8, 5))
    assert answered(still, normal(8, 5)).verdict == "not judged"
    assert answered(still + 1e-6, still).verdict == "not judged"


def test_a_change_below_the_candidates_steps_cannot_be_judged() -> None:
    small = 0.1 * normal(8, 5)
    assert answered(small, 0 * small, Quantization(0.5, 0)).verdict == "not judged"
    assert answered(small, 0 * small, Quantization(0.01, 0)).verdict == "fail"


def test_whole_numbers_are_compared_by_which_of_them_change() -> None:
    before, after = np.arange(12).reshape(3, 4), np.arange(12).reshape(3, 4)[::-1]
    wanted = change(before, after, integers=True)
    half = wanted.copy()
    half[:, 0] = 0
    got = response("x", "y", wanted, half, before, None, integers=True)
    assert got.followed == pytest.approx(wanted[:, 1:].sum() / wanted.sum())
    assert got.verdict == "pass"


def test_a_check_survives_an_inconclusive_step_without_making_it_a_pass(tmp_path: Path) -> None:
    got = checked(tmp_path, normal(5, 1, 5, 5), normal(5, 1, 5, 5))
    assert got.judgement.verdict is Verdict.INCONCLUSIVE
    assert isinstance(got.dependence, Dependence)


@pytest.mark.slow
def test_an_input_that_int8_loses_fails_and_is_named(tmp_path: Path) -> None:
    model = onnx_zoo.masked(tmp_path / "masked.onnx")
    rng = np.random.default_rng(0)
    mask = (rng.random((40, 1, 16)) < 0.7).astype(np.float32)
    np.savez(tmp_path / "inputs.npz", x=2 * normal(40, 1, 16), mask=mask)
    done = devdiff(
        "export-and-test",
        model,
        *("--inputs", "inputs.npz", "--device", "none", "--out", "run", "--min-snr", "0"),
        *("--min-variation-snr", "-20"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert report["attribution"]["step"] == "compression"
    steps = {pair["step"]: pair.get("dependence") for pair in report["pairs"]}
    assert steps["conversion"]["verdict"] == "pass"
    verdicts = {one["input"]: one["verdict"] for one in steps["compression"]["responses"]}
    assert verdicts == {"x": "fail", "mask": "pass"}
    assert "when input x is exchanged between samples" in done.stdout
