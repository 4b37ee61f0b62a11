"""The samples worth looking at: whose answer changed, and who is off the most."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from devdiff.report.html.pictures import BUDGET_BYTES, Picture, pixels_of, png
from devdiff.report.html.run_files import Answers, RankedClass, RunFiles
from devdiff.report.words import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.report.model import PairRecord, Report

FLIPS_SHOWN: Final = 24
WORST_SHOWN: Final = 12
_WORST_A_PAIR: Final = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a sample is shown: at which step, and what happened there."""

    step: str
    text: str


@dataclass(slots=True)
class Card:
    """One sample: its row of the user's data, why it is here, and what the rungs answer."""

    sample: int
    row: int
    name: str | None
    label: int | None
    reasons: list[Reason] = field(default_factory=list)
    picture: Picture | None = None
    answers: dict[str, tuple[RankedClass, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gallery:
    """All cards, changed answers first; ``flips`` is how many there are in the whole run.

    ``notes`` say what is not shown and why; ``stretched`` that brightness is not true to the data.
    """

    cards: tuple[Card, ...]
    flips: int
    flips_shown: int
    stretched: bool
    notes: tuple[str, ...]


def gallery(report: Report, beside: RunFiles | None) -> Gallery:
    """The cards of a report, with pictures and answers where the run directory has them."""
    cards: dict[int, Card] = {}
    shown, total = _add_flips(report, cards)
    _add_worst(report, cards)
    chosen = tuple(cards.values())
    if beside is None:
        missing = ("made from report.json alone: no pictures and no answers of every rung",)
        return Gallery(chosen, total, shown, False, missing if chosen else ())
    output = next(
        (answers.output for pair in report.pairs for answers in pair.classifications),
        None,
    )
    if output is not None and chosen:
        _add_answers(chosen, beside.answers(output, cards))
    stretched, left_out = _add_pictures(chosen, beside, report.inputs.preprocess)
    notes = list(beside.problems)
    if left_out:
        notes.append(f"{left_out} pictures are left out to keep this page light")
    return Gallery(chosen, total, shown, stretched, tuple(notes))


def _steps(report: Report) -> list[PairRecord]:
    """The pairs that are one step; the whole way only repeats what they say."""
    compared = [pair for pair in report.pairs if pair.comparison is not None]
    return [pair for pair in compared if pair.step != "all"] or compared


def _card(report: Report, cards: dict[int, Card], sample: int) -> Card:
    if sample not in cards:
        description = report.samples[str(sample)]
        cards[sample] = Card(sample, description.row, description.name, description.label)
    return cards[sample]


def _add_flips(report: Report, cards: dict[int, Card]) -> tuple[int, int]:
    """The gravest changed answers, taking turns between the steps; how many, and of how many."""
    queues = []
    total = 0
    for pair in _steps(report):
        for answers in pair.classifications:
            total += answers.flips
            queues.append([(pair, answers.output, flip) for flip in answers.kept_flips])
    shown = 0
    for place in range(max(map(len, queues), default=0)):
        for queue in queues:
            if place >= len(queue) or shown == FLIPS_SHOWN:
                continue
            pair, output, flip = queue[place]
            text = f"{output}: class {flip.reference_class} → {flip.candidate_class}"
            if flip.tie:
                text += " (exact tie)"
            _card(report, cards, flip.sample).reasons.append(Reason(_where(pair), text))
            shown += 1
    return shown, total


def _add_worst(report: Report, cards: dict[int, Card]) -> None:
    added = 0
    for pair in _steps(report):
        for output in pair.outputs:
            for worst in output.worst[:_WORST_A_PAIR]:
                if worst.sample not in cards:
                    if added == WORST_SHOWN:
                        continue
                    added += 1
                text = (
                    f"{output.name}: largest error {number(worst.error)} "
                    f"({number(worst.reference)} → {number(worst.candidate)} at "
                    f"{list(worst.element)})"
                )
                _card(report, cards, worst.sample).reasons.append(Reason(_where(pair), text))


def _where(pair: PairRecord) -> str:
    return f"{pair.step}, {pair.reference} → {pair.candidate}"


def _add_answers(cards: tuple[Card, ...], found: Mapping[str, Answers]) -> None:
    for card in cards:
        for rung, answers in found.items():
            if card.sample in answers:
                card.answers[rung] = answers[card.sample]


def _add_pictures(
    cards: tuple[Card, ...], beside: RunFiles, preprocess: Mapping[str, Any]
) -> tuple[bool, int]:
    """Whether brightness was stretched, and how many pictures did not fit."""
    images = beside.images([card.sample for card in cards])
    pixels = pixels_of(list(images.values()), preprocess)
    spent = left_out = 0
    for card in cards:
        if card.sample not in images:
            continue
        picture = png(pixels.apply(images[card.sample]))
        if spent + len(picture.uri) > BUDGET_BYTES:
            left_out += 1
            continue
        spent += len(picture.uri)
        card.picture = picture
    return pixels.stretched and bool(images), left_out
