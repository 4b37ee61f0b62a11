"""What the page shows before anything else: verdict, cause, basis, next steps and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from devdiff.report import basis, finding_words, headline, next_steps
from devdiff.report.html.pictures import Picture
from devdiff.report.words import one_line
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devdiff.report.html.cards import Card, Gallery
    from devdiff.report.model import Report

PICTURES_SHOWN: Final = 4
_SENTENCE_CHARS: Final = 600


@dataclass(frozen=True, slots=True)
class SamplePicture:
    """An input, with what became of its answer, or what is known of it."""

    name: str
    picture: Picture
    before: int | None = None
    after: int | None = None
    label: int | None = None


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """``label`` names the kind of a finding; ``pictures`` are inputs, not those of a trigger."""

    sentence: str
    label: str
    basis: tuple[basis.BasisFact, ...]
    next_steps: tuple[next_steps.NextStep, ...]
    pictures: tuple[SamplePicture, ...]
    caption: str
    origin: str
    finished: str


def view(report: Report, gallery: Gallery) -> FirstScreen:
    """Everything on it, from the report and the pictures that the page has anyway."""
    found = report.scan is not None and report.verdict is Verdict.FINDING
    pictures, caption = ((), "") if found else _pictures(report, gallery)
    return FirstScreen(
        sentence=one_line(headline.sentence(report), _SENTENCE_CHARS).replace(
            " %", "\N{NO-BREAK SPACE}%"
        ),
        label=finding_words.label(report.scan) if found and report.scan is not None else "",
        basis=basis.facts(report),
        next_steps=next_steps.next_steps(report),
        pictures=pictures,
        caption=caption,
        origin=_origin(report.inputs.origin),
        finished=report.finished.replace("T", " ").replace("+00:00", " UTC"),
    )


def _pictures(report: Report, gallery: Gallery) -> tuple[tuple[SamplePicture, ...], str]:
    """Changed answers of the step that decides, else inputs with the largest errors.

    None of synthetic inputs: noise shows nobody anything.
    """
    if report.inputs.synthetic:
        return (), ""
    cards = {card.sample: card for card in gallery.cards}
    changed = tuple(_changed(report, cards))[:PICTURES_SHOWN]
    if changed:
        return changed, "Inputs whose answer changed the most"
    pictures = [
        SamplePicture(_name(card), card.picture, label=card.label)
        for card in gallery.cards
        if card.picture is not None
    ]
    return tuple(pictures[:PICTURES_SHOWN]), "Inputs with the largest errors"


def _changed(report: Report, cards: dict[int, Card]) -> Iterator[SamplePicture]:
    pair = headline.culprit(report)
    for answers in pair.classifications if pair is not None else ():
        for flip in answers.kept_flips:
            card = cards.get(flip.sample)
            if card is not None and card.picture is not None:
                yield SamplePicture(
                    _name(card),
                    card.picture,
                    flip.reference_class,
                    flip.candidate_class,
                    card.label,
                )


def _origin(origin: str) -> str:
    """Without the folders of the machine: the page is made for sending."""
    return PurePath(origin).name if origin.startswith("/") else origin


def _name(card: Card) -> str:
    return card.name or f"row {card.row}"
