"""Steps are charged with what they cost, and what could not be measured is never a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.comparison.judge import Judgement
from devdiff.exporter.artifact import Array, Quantization
from devdiff.ladder.judge import JudgedPair
from devdiff.ladder.ladder import RungPair, RungResult, Step
from devdiff.tasks.classification import Classification
from devdiff.tasks.embedding import Embedding
from devdiff.tasks.measure import TaskResult, measure, with_drops
from devdiff.tasks.regression import Regression
from devdiff.tasks.request import TaskRequest
from devdiff.tasks.resolve import OWN_ANSWERS, ResolvedTask
from devdiff.tasks.segmentation import Segmentation
from devdiff.verdict import Verdict
from tests.support.pair_packs import binding, rung

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.tasks.task import Task


def result(
    folder: Path,
    name: str,
    values: Array,
    quantization: Quantization | None = None,
    failed: Mapping[int, str] | None = None,
    error: str | None = None,
) -> RungResult:
    """A rung with one output ``y``, samples stacked."""
    output = binding("y", values.shape[1:], str(values.dtype), quantization=quantization)
    outputs = rung(folder, name, [output], [values], failed)
    return RungResult(
        name,
        "test",
        "float32",
        "m",
        "0" * 64,
        (output,),
        outputs.pack,
        samples=len(values),
        error=error,
    )


def measured(
    task: Task,
    truth: Any,
    results: list[RungResult],
    step: Step = "compression",
    max_drop: float = 0.05,
    gated: bool = True,
) -> tuple[TaskResult, Judgement | None]:
    """The task on two rungs, and the judgement of the step between them."""
    request = TaskRequest("classification", max_drop=max_drop, gated=gated)
    settled = ResolvedTask(request, task, truth, "test" if truth else OWN_ANSWERS)
    pair = RungPair(results[0].name, results[1].name, step, True)
    found = measure(settled, results, [pair], results[0].samples, seed=0)
    return found, found.steps[0].judgement


def classes(right: int, samples: int) -> Array:
    """Scores of two classes: class 1 wins in the first ``right`` samples."""
    scores = np.zeros((samples, 1, 2), np.float32)
    scores[:right, 0, 1] = 1
    scores[right:, 0, 0] = 1
    return scores


def ones(index: int) -> int:
    return 1


@pytest.mark.parametrize(
    ("right", "verdict", "said"),
    [
        (100, Verdict.PASS, "a drop of 0 (95 % interval -0.0429 to 0.0429; 0 of 100"),
        (95, Verdict.INCONCLUSIVE, "with this very drop no number of samples would decide"),
        (96, Verdict.INCONCLUSIVE, "samples of this kind would decide"),
        (70, Verdict.FAIL, "top-1 1 became 0.7, a drop of 0.3"),
    ],
)
def test_a_drop_is_judged_by_its_whole_interval(
    tmp_path: Path, right: int, verdict: Verdict, said: str
) -> None:
    results = [
        result(tmp_path, "float", classes(100, 100)),
        result(tmp_path, "int8", classes(right, 100)),
    ]
    _, judgement = measured(Classification("y", 1), ones, results)
    assert judgement is not None
    assert judgement.verdict is verdict
    assert said in judgement.reasons[0]


def test_a_better_candidate_passes(tmp_path: Path) -> None:
    results = [
        result(tmp_path, "float", classes(50, 100)),
        result(tmp_path, "int8", classes(90, 100)),
    ]
    _, judgement = measured(Classification("y", 1), ones, results)
    assert judgement is not None
    assert judgement.verdict is Verdict.PASS


def test_stored_integers_are_read_in_real_units(tmp_path: Path) -> None:
    true = np.linspace(-1, 1, 100)
    stored = np.round(true / 0.01).astype(np.int8)[:, None, None]
    results = [
        result(tmp_path, "float", true.astype(np.float32)[:, None, None]),
        result(tmp_path, "int8", stored, Quantization(0.01, 0)),
    ]
    found, judgement = measured(Regression("y"), lambda index: true[index : index + 1], results)
    assert found.rungs[1].values["MAE"].value == pytest.approx(0.0025, abs=5e-4)
    assert judgement is not None
    assert judgement.verdict is Verdict.PASS


def test_a_compression_that_changes_nothing_is_as_sure_as_its_samples(tmp_path: Path) -> None:
    maps = np.zeros((10, 1, 2, 4, 4), np.float32)
    maps[:, :, 1, 2:] = 1
    truth = maps[0, 0].argmax(0)
    task = Segmentation.of(binding("y", (1, 2, 4, 4)).source, (4, 4), None, 0.5, None)
    results = [result(tmp_path, name, maps) for name in ("float", "int8")]
    found, judgement = measured(task, lambda index: truth, results)
    assert judgement is not None
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert found.steps[0].drops["mean IoU"].high > 0.02
    _, judgement = measured(task, lambda index: truth, results, step="deployment")
    assert judgement is not None
    assert judgement.verdict is Verdict.PASS


def test_nan_on_a_rung_is_an_error_that_names_the_sample(tmp_path: Path) -> None:
    values = np.arange(30, dtype=np.float32)[:, None, None]
    broken = values.copy()
    broken[7] = np.nan
    results = [result(tmp_path, "float", values), result(tmp_path, "int8", broken)]
    found, judgement = measured(Regression("y"), lambda index: values[index, 0], results)
    assert found.rungs[0].error is None
    assert found.rungs[1].error == "rung int8, sample 7: output y holds NaN or infinity"
    assert judgement is not None
    assert judgement.verdict is Verdict.ERROR


def test_a_failed_sample_or_rung_is_an_error(tmp_path: Path) -> None:
    good = result(tmp_path, "float", classes(30, 30))
    for ending in ({"failed": {3: "no memory"}}, {"error": "the device is gone"}):
        bad = result(tmp_path, "int8", classes(30, 30), **ending)
        _, judgement = measured(Classification("y", 1), ones, [good, bad])
        assert judgement is not None
        assert judgement.verdict is Verdict.ERROR


def test_without_truth_steps_are_judged_against_the_sources_own_answers(tmp_path: Path) -> None:
    source = result(tmp_path, "source", classes(40, 100))
    for right, verdict in ((40, Verdict.PASS), (50, Verdict.INCONCLUSIVE), (90, Verdict.FAIL)):
        candidate = result(tmp_path, "int8", classes(right, 100))
        found, judgement = measured(Classification("y", 1), None, [source, candidate])
        assert judgement is not None
        assert judgement.verdict is verdict
        assert "judged against the source's own answers" in judgement.reasons[0]
        assert found.rungs[0].values["top-1"].value == 1
        assert found.rungs[1].values["top-1"].value == pytest.approx(1 - (right - 40) / 100)
        assert found.to_json()["from_source"]


def test_a_finished_file_alone_is_judged_against_its_own_answers_on_the_host(
    tmp_path: Path,
) -> None:
    results = [
        result(tmp_path, "int8", classes(50, 100)),
        result(tmp_path, "device", classes(100, 100)),
    ]
    _, judgement = measured(Classification("y", 1), None, results, step="deployment")
    assert judgement is not None
    assert judgement.verdict is Verdict.FAIL
    assert "judged against the own answers of rung int8" in judgement.reasons[0]


def test_a_source_that_always_answers_the_same_leaves_nothing_to_judge_by(tmp_path: Path) -> None:
    """Whoever always gives that one answer would score as well."""
    vectors = np.ones((40, 1, 4), np.float32)
    maps = np.zeros((40, 1, 2, 4, 4), np.float32)
    segmentation = Segmentation.of(binding("y", (1, 2, 4, 4)).source, (4, 4), None, 0.5, None)
    tasks: list[tuple[Task, Array]] = [
        (Classification("y", 1), classes(40, 40)),
        (Regression("y"), vectors),
        (Embedding("y", labelled=False), vectors),
        (segmentation, maps),
    ]
    for task, values in tasks:
        results = [result(tmp_path, name, values) for name in ("source", "int8")]
        _, judgement = measured(task, None, results)
        assert judgement is not None
        assert judgement.verdict is Verdict.INCONCLUSIVE
        assert "the source's own answers leave nothing to judge by" in judgement.reasons[0]


def test_who_leaves_the_one_answer_of_the_source_fails(tmp_path: Path) -> None:
    results = [
        result(tmp_path, "source", classes(100, 100)),
        result(tmp_path, "int8", classes(10, 100)),
    ]
    _, judgement = measured(Classification("y", 1), None, results)
    assert judgement is not None
    assert judgement.verdict is Verdict.FAIL


def test_a_few_maps_with_anything_on_them_do_not_pass_for_many(tmp_path: Path) -> None:
    """Ten of a hundred hold an object, and the rest is background on either side."""
    maps = np.zeros((100, 1, 2, 4, 4), np.float32)
    maps[:10, :, 1, 3] = 1
    task = Segmentation.of(binding("y", (1, 2, 4, 4)).source, (4, 4), None, 0.5, None)
    lost = np.zeros_like(maps)
    for name, values, verdict in (
        ("kept", maps, Verdict.INCONCLUSIVE),
        ("lost", lost, Verdict.FAIL),
    ):
        results = [result(tmp_path, "source", maps), result(tmp_path, name, values)]
        found, judgement = measured(task, None, results)
        assert found.to_json()["support"] == 10
        assert judgement is not None
        assert judgement.verdict is verdict


def test_the_samples_that_a_step_makes_worse_stand_first(tmp_path: Path) -> None:
    """Rows of a map that are of class 1: one loses a row, one both, one gains what was missing."""
    truth = np.zeros((8, 4, 4), np.int64)
    truth[:, :2] = 1

    def scores(*rows: int) -> Array:
        maps = np.zeros((8, 1, 2, 4, 4), np.float32)
        maps[:, :, 0] = 0.5
        for place, count in enumerate(rows):
            maps[place, :, 1, :count] = 1
        return maps

    before = scores(2, 2, 2, 1, 2, 2, 2, 2)
    after = scores(2, 1, 0, 2, 2, 2, 2, 2)
    task = Segmentation.of(binding("y", (1, 2, 4, 4)).source, (4, 4), None, 0.5, None)
    results = [result(tmp_path, "source", before), result(tmp_path, "int8", after)]
    found, _ = measured(task, lambda index: truth[index], results)
    changed = found.steps[0].most_changed
    assert [entry.sample for entry in changed] == [2, 1, 3]
    # Half of class 1 and two thirds of class 0 are right where one of two rows is lost.
    assert changed[1].before == 1
    assert changed[1].after == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert changed[2].after == 1


def test_a_metric_that_cannot_fall_any_further_does_not_pass(tmp_path: Path) -> None:
    """A wrong truth, or outputs read wrongly: 0.04 stays 0.04, and nothing is lost."""
    results = [result(tmp_path, name, classes(40, 1000)) for name in ("float", "int8")]
    found, judgement = measured(Classification("y", 1), ones, results)
    assert found.steps[0].drops["top-1"].high < 0.05
    assert judgement is not None
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "leaves no room" in judgement.reasons[0]


def test_few_samples_do_not_pass_though_none_changed(tmp_path: Path) -> None:
    values = np.arange(19, dtype=np.float32)[:, None, None]
    results = [result(tmp_path, name, values) for name in ("float", "int8")]
    _, judgement = measured(Regression("y"), lambda index: values[index, 0], results)
    assert judgement is not None
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "it rests on 19 samples, too few" in judgement.reasons[0]


def test_a_cosine_to_a_source_that_did_not_run_is_no_number(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 1, 4)).astype(np.float32)
    results = [
        result(tmp_path, "source", vectors, error="no"),
        result(tmp_path, "float", vectors),
    ]
    found, _ = measured(Embedding("y", labelled=True), lambda index: index % 3, results)
    values = found.to_json()["rungs"][1]["values"]
    assert values["cosine to source"]["value"] is None
    assert values["recall@1"]["value"] is not None


def test_a_truth_that_allows_no_metric_is_an_error_of_every_step(tmp_path: Path) -> None:
    values = np.arange(30, dtype=np.float32)[:, None, None]
    results = [result(tmp_path, name, values) for name in ("float", "int8")]
    found, judgement = measured(Regression("y"), lambda index: np.ones(1), results)
    assert "the same in all samples" in (found.rungs[0].error or "")
    assert judgement is not None
    assert judgement.verdict is Verdict.ERROR


def test_the_graver_verdict_stands(tmp_path: Path) -> None:
    results = [
        result(tmp_path, "float", classes(100, 100)),
        result(tmp_path, "int8", classes(10, 100)),
    ]
    found, _ = measured(Classification("y", 1), ones, results)
    for own, expected, reasons in (
        (Verdict.PASS, Verdict.FAIL, 1),
        (Verdict.FAIL, Verdict.FAIL, 2),
        (Verdict.ERROR, Verdict.ERROR, 2),
    ):
        judged = JudgedPair(found.steps[0].pair, None, Judgement(own, ("its own",), {}))
        (both,) = with_drops([judged], found)
        assert both.judgement.verdict is expected
        assert len(both.judgement.reasons) == reasons


def test_metrics_nobody_asked_for_are_not_judged(tmp_path: Path) -> None:
    results = [
        result(tmp_path, "float", classes(100, 100)),
        result(tmp_path, "int8", classes(10, 100)),
    ]
    found, judgement = measured(Classification("y", 1), ones, results, gated=False)
    assert judgement is None
    assert found.steps[0].drops["top-1"].value == pytest.approx(0.9)
