"""The ladder as a drawing: where everything lies, so that the template only writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.ladder.ladder import on_the_way
from devdiff.report.words import rate, what_ran

if TYPE_CHECKING:
    from devdiff.report.model import PairRecord, Report

_BOX: Final = 46
_GAP: Final = 62
_NAME_CHARS: Final = 28
_RAN_CHARS: Final = 48


@dataclass(frozen=True, slots=True)
class Box:
    """A rung; ``y`` is its upper edge."""

    y: int
    height: int
    name: str
    ran: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Arrow:
    """A step between two boxes, from ``y`` to ``end``; ``rate`` is its headline figure."""

    y: int
    end: int
    step: str
    verdict: str
    rate: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """The way from the first rung to the last; side rungs stand in the table only."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    height: int
    description: str


def draw(report: Report) -> Ladder | None:
    """None for a report without rungs."""
    rungs = {rung.name: rung for rung in report.rungs}
    if not rungs:
        return None
    way, steps = _way(report)
    boxes, arrows = [], []
    for place, name in enumerate(way):
        y = 2 + place * (_BOX + _GAP)
        rung = rungs.get(name)
        ran = "" if rung is None else rung.error or what_ran(rung)
        boxes.append(
            Box(
                y,
                _BOX,
                _short(name, _NAME_CHARS),
                _short(ran, _RAN_CHARS),
                rung is None or rung.error is not None,
            )
        )
        if place < len(steps):
            pair = steps[place]
            arrows.append(
                Arrow(
                    y + _BOX,
                    y + _BOX + _GAP,
                    pair.step,
                    pair.judgement.verdict,
                    _short(rate(pair), _RAN_CHARS),
                )
            )
    summary = ", then ".join(
        f"{pair.step} from {pair.reference} to {pair.candidate}: "
        f"{pair.judgement.verdict}, {rate(pair)}"
        for pair in steps
    )
    return Ladder(tuple(boxes), tuple(arrows), boxes[-1].y + _BOX + 2, summary or way[0])


def _way(report: Report) -> tuple[list[str], list[PairRecord]]:
    """Rungs and steps from the first on, each step beginning where the last one ended."""
    way = [report.rungs[0].name]
    steps = []
    for pair in report.pairs:
        beside = pair.step in ("all", "runtime") or not on_the_way(pair.candidate)
        if pair.reference == way[-1] and not beside:
            steps.append(pair)
            way.append(pair.candidate)
    return way, steps


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
