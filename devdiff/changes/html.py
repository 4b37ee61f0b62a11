"""What changed between two runs as one file for people."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from devdiff.changes import wording
from devdiff.changes.record import FigureChange
from devdiff.report import basis
from devdiff.report.html import document
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devdiff.changes.record import FigureValue, RunComparison

_LEFT: Final = 4.0
_WIDTH: Final = 112.0
_UPPER: Final = 7.0
_LOWER: Final = 17.0


@dataclass(frozen=True, slots=True)
class Line:
    """An interval in a drawing, and the value in it; ``tone`` is a class of the style sheet."""

    low: float
    at: float
    high: float
    y: float
    tone: str


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and its drawing; no lines where it has no intervals."""

    figure: FigureChange
    lines: tuple[Line, ...]


def write(comparison: RunComparison, path: Path) -> None:
    """Write the page to ``path``, whole or not at all."""
    text = render(comparison)
    with whole_file(path) as stream:
        stream.write(text)


def render(comparison: RunComparison) -> str:
    """The page of a comparison as text."""
    rows = _rows(comparison.figures)
    return document.render(
        "compare.html.j2",
        {
            "subject": wording.subject,
            "place": wording.place,
            "figure": wording.shown,
            "delta": wording.delta,
            "meaning": wording.meaning,
            "outputs": wording.outputs_line,
            "samples_of": basis.samples_of,
        },
        comparison=comparison,
        changed=[row for row in rows if row.figure.direction != "same"],
        unchanged=[row for row in rows if row.figure.direction == "same"],
        before_command=shlex.join(["devdiff", *comparison.before.command]),
        after_command=shlex.join(["devdiff", *comparison.after.command]),
    )


def _rows(figures: Sequence[FigureChange]) -> list[Row]:
    """The figures; all rates are drawn on one axis, so that they can be compared."""
    bounds = [
        bound
        for figure in figures
        if figure.unit == "share"
        for side in (figure.before, figure.after)
        if side is not None and side.low is not None and side.high is not None
        for bound in (side.low, side.high)
    ]
    low, high = min(bounds, default=0.0), max(bounds, default=1.0)
    return [Row(figure, tuple(_lines(figure, low, high))) for figure in figures]


def _lines(figure: FigureChange, low: float, high: float) -> list[Line]:
    if figure.unit != "share":
        return []
    drawn = []
    for side, y, tone in ((figure.before, _UPPER, "earlier"), (figure.after, _LOWER, "later")):
        line = _line(side, y, tone, low, high)
        if line is not None:
            drawn.append(line)
    return drawn


def _line(side: FigureValue | None, y: float, tone: str, low: float, high: float) -> Line | None:
    if side is None or side.low is None or side.high is None:
        return None
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(_LEFT + _WIDTH * (value - low) / span, 1)

    return Line(place(side.low), place(side.value), place(side.high), y, tone)
