"""Guessing is told from knowing a little, and few samples from either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.tasks.chance import AccuracyAgainstChance

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array


def drawn(samples: int, accuracy: float, seed: int, classes: int = 10) -> tuple[Array, Array]:
    """Answers that are right at this rate and otherwise anything, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    others = (labels + rng.integers(1, classes, samples)) % classes
    return np.where(rng.random(samples) < accuracy, labels, others), labels


def standings(samples: int, accuracy: float, classes: int = 10) -> list[str]:
    found = (drawn(samples, accuracy, seed, classes) for seed in range(200))
    return [
        AccuracyAgainstChance.of(answers, labels, classes).standing for answers, labels in found
    ]


@pytest.mark.parametrize("samples", [20, 50, 100, 600])
def test_who_is_right_on_30_percent_of_10_classes_is_not_at_chance(samples: int) -> None:
    assert standings(samples, 0.3).count("at chance") <= 4


@pytest.mark.parametrize(("samples", "classes"), [(100, 10), (600, 10), (1000, 2), (300, 1000)])
def test_guessing_is_seen(samples: int, classes: int) -> None:
    assert standings(samples, 1 / classes, classes).count("at chance") >= 190


@pytest.mark.parametrize(("samples", "classes"), [(10, 10), (19, 1000), (15, 2)])
def test_few_samples_cannot_tell(samples: int, classes: int) -> None:
    assert "at chance" not in standings(samples, 1 / classes, classes)
    answers, labels = drawn(samples, 1 / classes, 1, classes)
    sentence = AccuracyAgainstChance.of(answers, labels, classes).describe("source")
    assert "too few to tell that from chance" in sentence


def test_a_detector_of_rare_events_is_no_guesser() -> None:
    """It is right less often than who never sees any, and finds nine of ten."""
    labels = np.zeros(1000, np.int64)
    labels[:50] = 1
    answers = labels.copy()
    answers[:5] = 0
    answers[50:130] = 1
    found = AccuracyAgainstChance.of(answers, labels, 2)
    assert found.right.successes < 950
    assert found.standing == "above chance"


def test_always_the_same_answer_is_at_chance() -> None:
    labels = np.arange(400) % 4
    assert AccuracyAgainstChance.of(np.zeros(400, np.int64), labels, 4).standing == "at chance"


def test_no_answer_is_a_wrong_one() -> None:
    labels = np.arange(400) % 4
    found = AccuracyAgainstChance.of(np.full(400, -1), labels, 4)
    assert found.right.successes == 0
    assert found.standing == "at chance"


def test_labels_of_one_class_say_little_of_guessing() -> None:
    labels = np.full(100, 3)
    assert AccuracyAgainstChance.of(labels, labels, 10).standing == "above chance"
    assert AccuracyAgainstChance.of(labels + 1, labels, 10).standing == "at chance"
