"""What changed answers do, in the order in which a person wants to see them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from devdiff.comparison import Flip
from devdiff.report import flips, terminal
from devdiff.report.class_words import ClassWords
from devdiff.report.html import cards
from tests.support.flip_reports import AFTER, BEFORE, LABELS, report_of

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.report.model import Report


def flip(before: int, after: int) -> Flip:
    return Flip(0, before, after, 1.0, 1.0, 1.0, False)


@pytest.mark.parametrize(
    ("before", "after", "label", "effect"),
    [
        (1, 2, 1, "harmed"),
        (1, 2, 2, "repaired"),
        (1, 2, 3, "neutral"),
        (1, 2, None, "changed"),
        (0, 2, 0, "harmed"),
    ],
)
def test_what_a_flip_does(before: int, after: int, label: int | None, effect: str) -> None:
    assert flips.effect(flip(before, after), label) == effect


def gallery(report: Report) -> cards.Gallery:
    return cards.gallery(report, None, ClassWords(report))


def test_cards_stand_by_the_harm_that_was_done(tmp_path: Path) -> None:
    shown = gallery(report_of(tmp_path, BEFORE, AFTER, LABELS))
    assert [(card.sample, card.effect) for card in shown.cards] == [
        (2, "harmed"),
        (4, "harmed"),
        (5, "harmed"),
        (3, "neutral"),
        (0, "repaired"),
    ]
    assert shown.effects == ("harmed", "neutral", "repaired")


def test_many_that_do_harm_leave_room_for_others(tmp_path: Path) -> None:
    before, after = [1] * 14 + [0] * 66, [2] * 14 + [1] * 66
    labels = [2] * 14 + [0] * 66
    shown = gallery(report_of(tmp_path, before, after, labels))
    effects = [card.effect for card in shown.cards]
    assert effects == ["harmed"] * cards.HARMED_SHOWN + ["repaired"] * 12
    assert (shown.changed, shown.changed_shown) == (80, 48)


def test_the_tally_is_a_plain_recount(tmp_path: Path) -> None:
    (tally,) = gallery(report_of(tmp_path, BEFORE, AFTER, LABELS)).tallies
    changed = [row for row in zip(BEFORE, AFTER, LABELS, strict=True) if row[0] != row[1]]
    assert (tally.changed, tally.samples) == (len(changed), len(BEFORE))
    assert dict(tally.effects) == {
        "harmed": sum(x == label for x, _, label in changed),
        "repaired": sum(y == label for _, y, label in changed),
        "neutral": sum(label not in (x, y) for x, y, label in changed),
    }


def test_without_labels_an_answer_only_changed(tmp_path: Path) -> None:
    shown = gallery(report_of(tmp_path, BEFORE, AFTER, None))
    assert {card.effect for card in shown.cards} == {"changed"}
    assert shown.tallies[0].effects == ()


def test_the_matrix_has_a_row_for_the_class_before(tmp_path: Path) -> None:
    (matrix,) = gallery(report_of(tmp_path, BEFORE, AFTER, LABELS, "abcd")).matrices
    assert matrix.heads == ("1 b", "2 c")
    counts = {head: [cell.count for cell in cells] for head, cells in matrix.rows}
    assert counts == {
        "0 a": [2, 0],
        "1 b": [0, 1],
        "2 c": [1, 0],
        "3 d": [0, 1],
    }
    levels = [cell.level for _, cells in matrix.rows for cell in cells if cell.count]
    assert levels == [4, 2, 2, 2]


def test_classes_are_called_by_their_names_where_they_fit(tmp_path: Path) -> None:
    named = report_of(tmp_path, BEFORE, AFTER, None, "abcd")
    words = ClassWords(named)
    assert [words(2, "y"), words(2), words(9, "y"), words(None)] == ["2 c", "2 c", "9", "None"]
    # Names of another list of classes are not put on this output's.
    assert ClassWords(report_of(tmp_path, BEFORE, AFTER, None, "abc"))(2, "y") == "2"
    # Names that are the numbers themselves say nothing more.
    assert ClassWords(report_of(tmp_path, BEFORE, AFTER, None, "0123"))(2, "y") == "2"


def test_a_terminal_says_the_same_in_words(tmp_path: Path) -> None:
    out = Console(file=io.StringIO(), width=200)
    terminal.show(report_of(tmp_path, BEFORE, AFTER, LABELS, "abcd"), out, tmp_path)
    assert isinstance(out.file, io.StringIO)
    flipped = [line for line in out.file.getvalue().splitlines() if line.startswith("flip")]
    assert flipped == [
        "flip  deployment: row 2 2 c → 1 b, true class 2 c, harmed",
        "flip  deployment: row 4 0 a → 1 b, true class 0 a, harmed",
        "flip  deployment: row 5 1 b → 2 c, true class 1 b, harmed",
    ]
