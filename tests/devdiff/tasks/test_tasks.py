"""Each task's figure is what its definition says, on cases small enough to count by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devdiff.errors import ComparisonError, UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.tasks.classification import Classification
from devdiff.tasks.embedding import Embedding
from devdiff.tasks.regression import Regression
from devdiff.tasks.segmentation import Segmentation
from devdiff.tasks.sequence import Reading, Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devdiff.tasks.task import Task


def figures(task: Task, outputs: Sequence[Array], truths: Sequence[Any]) -> dict[str, float]:
    """The figures over these samples of a task with one output."""
    (name,) = task.outputs
    scorer = task.scorer()
    for output, truth in zip(outputs, truths, strict=True):
        answer = task.answer({name: output})
        scorer.add(answer, truth, answer)
    scores = scorer.scores()
    values = scores.values(np.ones((1, scores.samples)))[0]
    return {f.name: float(v) for f, v in zip(task.figures, values, strict=True)}


def test_classification_counts_the_best_and_the_k_best() -> None:
    usual = np.array([0.4, 0.3, 0.2, 0.1], np.float32)
    scores = [(row + usual)[None] for row in np.eye(4, dtype=np.float32)]
    found = figures(Classification("y", 2), scores, [0, 0, 1, 3])
    assert found == {"top-1": 0.5, "top-2": 0.75}


def test_of_equal_scores_the_first_class_is_the_answer() -> None:
    flat = [np.zeros((1, 3), np.float32)] * 3
    assert figures(Classification("y", 2), flat, [0, 1, 2]) == {
        "top-1": pytest.approx(1 / 3),
        "top-2": pytest.approx(2 / 3),
    }


def test_a_nan_is_a_wrong_answer() -> None:
    assert figures(Classification("y", 1), [np.array([[np.nan, 1.0]])], [1]) == {"top-1": 0.0}


def test_regression_explains_and_errs() -> None:
    true, said = [1.0, 2.0, 3.0, 6.0], [1.0, 2.5, 2.0, 6.0]
    found = figures(
        Regression("y"),
        [np.array([[value]], np.float32) for value in said],
        [np.array([value]) for value in true],
    )
    assert found == {
        "R²": pytest.approx(1 - 1.25 / 14),
        "MAE": pytest.approx(1.5 / 4),
        "RMSE": pytest.approx(np.sqrt(1.25 / 4)),
    }


def test_far_from_zero_regression_is_as_exact() -> None:
    true = 1e6 + np.arange(50.0)
    said = true + np.tile([0.5, -0.5], 25)
    found = figures(Regression("y"), [np.array([[v]]) for v in said], [np.array([v]) for v in true])
    assert found["R²"] == pytest.approx(1 - 0.25 / np.var(true), abs=1e-6)


def test_a_truth_that_never_varies_cannot_be_explained() -> None:
    with pytest.raises(UsageError, match="the same in all samples"):
        figures(Regression("y"), [np.ones((1, 1))] * 3, [np.ones(1)] * 3)


SIZE = (4, 4)
MAP = TensorSpec("mask", (1, 3, 2, 2), "float32")


def scores_of(classes: list[list[int]]) -> Array:
    one_hot: Array = np.eye(3, dtype=np.float32)[np.array(classes)].transpose(2, 0, 1)[None]
    return one_hot


def test_segmentation_averages_over_the_classes_that_are_there() -> None:
    """Class 0: 2 of 3 pixels shared, class 1: 1 of 2; class 2 is nowhere; one pixel is ignored."""
    task = Segmentation.of(MAP, SIZE, None, 0.5, 255)
    outputs = [scores_of([[0, 0], [0, 2]]), scores_of([[1, 1], [1, 1]])]
    truths = [np.array([[0, 0], [1, 255]]), np.array([[1, 255], [255, 255]])]
    found = figures(task, outputs, truths)
    assert found["mean IoU"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["pixel accuracy"] == pytest.approx(3 / 4)


def test_segmentation_reads_either_layout_and_a_single_channel() -> None:
    outputs = [scores_of([[0, 1], [2, 0]])]
    truth = [np.array([[0, 1], [2, 0]])]
    last = TensorSpec("mask", (1, 2, 2, 3), "float32")
    turned = [outputs[0].transpose(0, 2, 3, 1)]
    assert figures(Segmentation.of(last, SIZE, None, 0.5, None), turned, truth)["mean IoU"] == 1
    single = Segmentation.of(TensorSpec("mask", (1, 1, 2, 2), "float32"), SIZE, None, 0.0, None)
    logits = [np.array([[[[-1, 2], [3, -4]]]], np.float32)]
    assert figures(single, logits, [np.array([[0, 1], [1, 0]])])["mean IoU"] == 1


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 1, 2, 2), (1, 2, 2, 1)])
def test_segmentation_takes_class_numbers_as_they_are(shape: tuple[int, ...]) -> None:
    task = Segmentation.of(TensorSpec("map", shape, "int64"), SIZE, None, 0.5, None)
    assert task.size == (2, 2)
    output = np.array([[0, 1], [20, 0]]).reshape(shape)
    found = figures(task, [output, output], [output.reshape(2, 2), np.array([[0, 1], [0, 0]])])
    assert found["pixel accuracy"] == pytest.approx(7 / 8)
    assert found["mean IoU"] == pytest.approx((4 / 5 + 1 + 1 / 2) / 3)


def test_class_numbers_beyond_the_classes_are_an_error() -> None:
    task = Segmentation.of(TensorSpec("map", (1, 2, 2), "int64"), SIZE, None, 0.5, None, 3)
    with pytest.raises(ComparisonError, match="class numbers 0 to 3, and there are 3"):
        task.answer({"map": np.array([[[0, 1], [3, 0]]])})


def test_scores_in_three_dimensions_are_no_class_map() -> None:
    with pytest.raises(UsageError, match=r"integers \[1,H,W\]"):
        Segmentation.of(TensorSpec("map", (1, 2, 2), "float32"), SIZE, None, 0.5, None)


def test_masks_of_unknown_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="classes 0 to 9, output mask"):
        figures(
            Segmentation.of(MAP, SIZE, None, 0.5, None),
            [scores_of([[0, 0], [0, 0]])],
            [np.array([[0, 9], [0, 0]])],
        )


def test_embeddings_find_their_own_class() -> None:
    """Two pairs; only the last sample finds both of the other pair before its partner."""
    vectors = [[1, 0.0], [1, 0.1], [0, 1.0], [1, 0.3]]
    outputs = [np.array([v], np.float32) for v in vectors]
    found = figures(Embedding("e", labelled=True), outputs, [0, 0, 1, 1])
    assert found["recall@1"] == pytest.approx(3 / 4)
    assert found["mean reciprocal rank"] == pytest.approx((1 + 1 + 1 + 1 / 3) / 4)


def test_ranks_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    vectors, labels = rng.normal(size=(60, 8)), rng.integers(0, 12, 60)
    labels[0] = 99  # has no partner, and is not counted
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ranks = []
    for query in range(60):
        order = [o for o in np.argsort(-(unit @ unit[query])) if o != query]
        own = [rank for rank, other in enumerate(order, 1) if labels[other] == labels[query]]
        ranks += own[:1]
    found = figures(
        Embedding("e", labelled=True), [v[None] for v in vectors], [int(c) for c in labels]
    )
    assert found["recall@1"] == pytest.approx(np.mean(np.array(ranks) == 1))
    assert found["mean reciprocal rank"] == pytest.approx(np.mean(1 / np.array(ranks)))


def test_embeddings_without_partners_are_refused() -> None:
    with pytest.raises(UsageError, match="no class has two samples"):
        figures(Embedding("e", labelled=True), [np.ones((1, 2))] * 2, [0, 1])


def against_source(source: Array, other: Array) -> dict[str, float]:
    """The figures of vectors ``other`` [N, D] where those of ``source`` stand for the truth."""
    task = Embedding("e", labelled=False)
    scorer = task.scorer()
    for theirs, mine in zip(source, other, strict=True):
        first = task.answer({"e": theirs[None]})
        scorer.add(task.answer({"e": mine[None]}), task.as_truth(first), first)
    values = scorer.scores().values(np.ones((1, len(source))))[0]
    return {f.name: float(v) for f, v in zip(task.figures, values, strict=True)}


def test_without_labels_embeddings_keep_the_sources_neighbours() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(100, 16)).astype(np.float32)
    assert against_source(source, source) == {
        "neighbour kept": 1,
        "cosine to source": pytest.approx(1),
    }
    near = against_source(source, source + 0.05 * rng.normal(size=source.shape))
    assert near["neighbour kept"] > 0.95


def test_a_cosine_that_a_constant_part_carries_does_not_hide_lost_neighbours() -> None:
    rng = np.random.default_rng(0)
    constant = np.full(16, 10.0)
    source = constant + rng.normal(size=(100, 16))
    dead = np.tile(constant, (100, 1))
    assert against_source(source, dead)["cosine to source"] > 0.99
    assert against_source(source, dead)["neighbour kept"] == 0
    shuffled = against_source(source, source[rng.permutation(100)])
    assert shuffled["neighbour kept"] < 0.2


READ = TensorSpec("steps", (1, 7, 4), "float32")


def steps(classes: list[int], count: int = 4) -> Array:
    return np.eye(count, dtype=np.float32)[classes][None]


def test_ctc_drops_repeats_and_blanks() -> None:
    task = Reading(READ, 0, False, ("a", "b", "c"))
    assert task.answer({"steps": steps([0, 1, 1, 0, 1, 3, 0])}) == "aac"
    last = Reading(READ, 3, False, ("a", "b", "c"))
    assert last.answer({"steps": steps([3, 1, 1, 3, 1, 2, 3])}) == "bbc"
    turned = Reading(TensorSpec("steps", (1, 4, 7), "float32"), 0, True, None)
    assert turned.answer({"steps": steps([0, 1, 1, 0, 1, 3, 0]).transpose(0, 2, 1)}) == (1, 1, 3)
    first = Reading(TensorSpec("steps", (7, 1, 4), "float32"), 0, False, None)
    assert first.answer({"steps": steps([0, 1, 1, 0, 1, 3, 0]).transpose(1, 0, 2)}) == (1, 1, 3)


def test_error_rate_is_edits_a_character() -> None:
    task = Reading(READ, 0, False, ("a", "b", "c"))
    outputs = [steps([1, 0, 2, 0, 3, 0, 0]), steps([1, 0, 0, 0, 0, 0, 0])]
    found = figures(task, outputs, ["abd", "a"])
    assert found == {"CER": pytest.approx(1 / 4), "exact matches": 0.5}


TOKENS = TensorSpec("tokens", (1, 6), "int64")


def test_tokens_are_read_up_to_the_end_without_padding() -> None:
    task = Tokens(TOKENS, classes_first=False, end=2, pad=0, alphabet=None)
    assert task.answer({"tokens": np.array([[5, 5, 0, 7, 2, 9]])}) == (5, 5, 7)
    spelled = Tokens(TOKENS, False, 2, 0, ("", "?", "", "x", "y", "lo", "w", "ng"))
    assert spelled.answer({"tokens": np.array([[5, 7, 2, 9, 9, 9]])}) == "long"
    with pytest.raises(ComparisonError, match="token 9, and the alphabet has 8 lines"):
        spelled.answer({"tokens": np.array([[5, 9, 2, 0, 0, 0]])})


def test_scores_of_tokens_are_read_step_by_step_and_repeats_stay() -> None:
    task = Tokens(READ, False, None, None, None)
    assert task.answer({"steps": steps([3, 1, 1, 0, 1, 3, 0])}) == (3, 1, 1, 0, 1, 3, 0)
    turned = Tokens(TensorSpec("steps", (1, 4, 7), "float32"), True, None, None, None)
    assert turned.answer({"steps": steps([3, 1, 1, 0, 1, 3, 0]).transpose(0, 2, 1)})[:2] == (3, 1)


def test_token_errors_are_edits_a_token() -> None:
    task = Tokens(TOKENS, False, 2, 0, None)
    outputs = [np.array([[5, 6, 7, 8, 2, 0]]), np.array([[5, 6, 7, 2, 0, 0]])]
    found = figures(task, outputs, [(5, 6, 7, 8), (5, 7, 7, 9)])
    assert found == {"token error rate": pytest.approx(2 / 8), "exact matches": 0.5}


def test_empty_texts_have_no_error_rate() -> None:
    with pytest.raises(UsageError, match="all true texts are empty"):
        figures(Reading(READ, 0, False, ("a", "b", "c")), [steps([0] * 7)], [""])


@pytest.mark.parametrize(
    "task",
    [Regression("y"), Embedding("y", labelled=False), Segmentation.of(MAP, SIZE, None, 0.5, None)],
)
def test_nan_is_no_answer(task: Task) -> None:
    (name,) = task.outputs
    with pytest.raises(ComparisonError, match=f"output {name} holds NaN"):
        task.answer({name: np.full((1, 3, 2, 2), np.nan, np.float32)})
