"""Whether labels number the classes otherwise than the model does, and how.

A few orders are usual mistakes and need no fitting. Any other is the best assignment of labels to
answers by the table of the two (Kuhn, Naval Research Logistics 2, 1955), fitted on one half of the
samples and counted on the other, so that it owes nothing to what it was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.comparison.intervals import binomial_tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.exporter.artifact import Array

SURE: Final = 0.001
_SHOWN: Final = 12
# The assignment takes a second for as many, and time grows with the third power of a side.
_MOST_CELLS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class ClassOrder:
    """Labels renumbered: how many samples are ``right`` then, and whether that ``mends`` it
    (`explains`)."""

    change: str
    right: int
    mends: bool


def orders(answers: Array, labels: Array, classes: int, seed: int = 0) -> list[ClassOrder]:
    """What other numberings of the classes make of ``answers`` and ``labels``, int64 [N] below
    ``classes``, -1 for no answer; the best first, of two alike the simpler."""
    plain = answers == labels
    found = [
        _order(change, plain, answers == renumbered)
        for change, renumbered in _usual(labels, classes)
    ]
    usual = max((order.right for order in found if order.mends), default=-1)
    # Fewer errors than that cannot be told from luck, whatever takes them away.
    wrong = int(np.count_nonzero(~plain))
    enough = binomial_tail(wrong, wrong, 0.5) <= SURE
    few = len(np.unique(labels)) * len(np.unique(answers)) <= _MOST_CELLS
    whole = _assignment(answers, labels) if enough and few else {}
    fitted = _fitted(answers, labels, seed) if whole else plain
    if any(label != answer for label, answer in whole.items()) and fitted.sum() > usual:
        found.append(_order(_describe(whole), plain, fitted))
    found.sort(key=lambda order: -order.right)
    return found


def _usual(labels: Array, classes: int) -> Iterator[tuple[str, Array]]:
    yield "the model's class is the label + 1", labels + 1
    yield "the model's class is the label - 1", labels - 1
    counts = dict.fromkeys((classes, int(labels.max(initial=0)) + 1))
    for number in counts:
        if number > 1:
            yield f"the {number} classes in reversed order", number - 1 - labels
        if number > 10:
            # Names that are numbers, in the order of their digits: 0, 1, 10, 11, 2, …
            by_text = np.array(sorted(range(number), key=str))
            inverse = np.argsort(by_text)
            if labels.max(initial=0) < number:
                yield f"labels number {number} names that were sorted as text", by_text[labels]
                yield f"the model numbers {number} names that were sorted as text", inverse[labels]


def _order(change: str, plain: Array, renumbered: Array) -> ClassOrder:
    return ClassOrder(change, int(np.count_nonzero(renumbered)), explains(plain, renumbered))


def explains(plain: Array, changed: Array, tried: int = 1, halving: bool = True) -> bool:
    """Whether a change takes away at least half of the errors (unless ``halving`` is false, any
    number), and not by luck, though it is the best of ``tried``; which samples are right without
    and with it are bool [N]."""
    gained = int(np.count_nonzero(changed & ~plain))
    lost = int(np.count_nonzero(plain & ~changed))
    if halving and 2 * np.count_nonzero(~changed) > np.count_nonzero(~plain):
        return False
    if gained <= lost:
        return False
    return binomial_tail(gained, gained + lost, 0.5) * tried <= SURE


def _fitted(answers: Array, labels: Array, seed: int) -> Array:
    """Which samples are right by the assignment that the other half of them gives."""
    order = np.random.default_rng(seed).permutation(len(labels))
    halves = order[::2], order[1::2]
    right = np.zeros(len(labels), np.bool_)
    for fit, held in (halves, halves[::-1]):
        assigned = _assignment(answers[fit], labels[fit])
        # A label that the first half does not have keeps its number.
        wanted = np.array([assigned.get(int(label), int(label)) for label in labels[held]])
        right[held] = answers[held] == wanted
    return right


def _assignment(answers: Array, labels: Array) -> dict[int, int]:
    """The model's class for each label there is, one for one, with the most right answers."""
    from scipy.optimize import linear_sum_assignment

    kinds, rows = np.unique(labels, return_inverse=True)
    given = answers >= 0
    # Labels without answers of their own are assigned to one that is nobody's, theirs first.
    choices = np.unique(np.concatenate([answers[given], kinds]))
    table = np.zeros((len(kinds), len(choices)))
    np.add.at(table, (rows[given], np.searchsorted(choices, answers[given])), 1)
    table[np.arange(len(kinds)), np.searchsorted(choices, kinds)] += 0.5
    best_rows, best_columns = linear_sum_assignment(table, maximize=True)
    return {
        int(kinds[row]): int(choices[column])
        for row, column in zip(best_rows, best_columns, strict=True)
    }


def _describe(assigned: dict[int, int]) -> str:
    moved = [(label, answer) for label, answer in sorted(assigned.items()) if label != answer]
    if len(moved) == 2 and moved[0] == moved[1][::-1]:
        return f"labels {moved[0][0]} and {moved[0][1]} swapped"
    shown = ", ".join(f"{label} → {answer}" for label, answer in moved[:_SHOWN])
    more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
    return f"label → the model's class: {shown}{more}"
