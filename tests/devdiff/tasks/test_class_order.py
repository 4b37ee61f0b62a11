"""Another numbering of the classes is found where there is one, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from devdiff.tasks.class_order import orders

if TYPE_CHECKING:
    from devdiff.exporter.artifact import Array


def answers_of(labels: Array, accuracy: float, classes: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    wrong = rng.integers(0, classes, len(labels))
    return np.where(rng.random(len(labels)) < accuracy, labels, wrong)


def labels_of(samples: int, classes: int) -> Array:
    return np.random.default_rng(9).integers(0, classes, samples)


BY_TEXT = np.array(sorted(range(12), key=str))


@pytest.mark.parametrize(
    ("given", "change"),
    [
        (lambda label: label - 1, "the model's class is the label + 1"),
        (lambda label: label + 1, "the model's class is the label - 1"),
        (lambda label: 11 - label, "the 12 classes in reversed order"),
        (lambda label: np.argsort(BY_TEXT)[label], "labels number 12 names that were sorted"),
        (lambda label: BY_TEXT[label], "the model numbers 12 names that were sorted as text"),
        (lambda label: np.where(label == 3, 7, np.where(label == 7, 3, label)), "labels 3 and 7"),
        (lambda label: (5 * label + 2) % 12, "label → the model's class: 0 → "),
    ],
)
def test_usual_and_unusual_orders_are_named(given: object, change: str) -> None:
    true = 1 + labels_of(600, 10)  # room for a shift on both sides
    labels = given(true)  # type: ignore[operator]
    best = orders(answers_of(true, 0.95, 12), labels, 12)[0]
    assert best.mends
    assert best.change.startswith(change)
    assert best.right > 540


@pytest.mark.parametrize("accuracy", [0.1, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize(("samples", "classes"), [(30, 10), (300, 10), (300, 2), (100, 1000)])
def test_no_other_order_mends_what_is_right_or_just_not_good(
    accuracy: float, samples: int, classes: int
) -> None:
    labels = labels_of(samples, classes)
    for seed in range(10):
        found = orders(answers_of(labels, accuracy, classes, seed), labels, classes)
        assert not any(order.mends for order in found)


def test_a_fit_is_counted_on_samples_it_did_not_see() -> None:
    """With as many classes as samples any labels can be assigned to any answers."""
    rng = np.random.default_rng(0)
    labels, answers = rng.permutation(200), rng.permutation(200)
    assert max(order.right for order in orders(answers, labels, 200)) < 20
