"""Plots as SVG inside the page; what each shows stands in its description, too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from devdiff.report.html.svg import Drawing
from devdiff.report.words import number, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from devdiff.comparison import OutputMetrics, Proportion
    from devdiff.report.model.bisect import LayerNoise, LayerRecord

_WIDTH: Final = 420.0
_HEIGHT: Final = 190.0
_LEFT: Final = 52.0
_RIGHT: Final = 10.0
_TOP: Final = 10.0
_BOTTOM: Final = 36.0
_MOST_DB: Final = 80.0
"""Ratios beyond this, infinite ones among them, are drawn here."""
_CLIPPED: Final = 0.001
_NARROW: Final = 0.25
"""With less of its range in use, a tensor has six bits or fewer."""


class Plotter:
    """Draws a page's plots; no two of them share an id."""

    def __init__(self) -> None:
        self._drawn = 0

    def steps(self, output: OutputMetrics) -> Markup | None:
        """How many elements differ by how many quantization steps; None when not counted."""
        histogram = output.lsb
        if histogram is None:
            return None
        reach = histogram.reach
        counts = [histogram.below, *histogram.counts, histogram.above]
        places = range(-reach - 1, reach + 2)
        total = sum(counts)
        parts = [
            f"{percent(count / total)} at {_beyond(place, reach)}"
            for place, count in zip(places, counts, strict=True)
            if count
        ]
        axes = self._axes(
            "Differences in quantization steps", f"Of {total} elements {'; '.join(parts)}."
        )
        top = math.log10(max(counts)) + 1 if max(counts) else 1.0
        axes.horizontal(len(counts))
        axes.vertical(top, [(0.0, "0")] + [(p + 1.0, f"{10**p:,}") for p in _powers(max(counts))])
        axes.label_x("difference in LSB")
        for place, count in enumerate(counts):
            height = math.log10(count) + 1 if count else 0.0
            name = f"{count} elements at {_beyond(place - reach - 1, reach)}"
            axes.bar(place, height, "bar", name)
        for mark in (-reach - 1, -reach // 2, 0, reach // 2, reach + 1):
            text = f"<-{reach}" if mark < -reach else f">{reach}" if mark > reach else str(mark)
            axes.tick_x(axes.middle(mark + reach + 1), text)
        return axes.drawing.markup()

    def placebo(
        self, searched: Sequence[float], transferred: Sequence[float], own: Proportion
    ) -> Markup:
        """Rates the placebos reached, and where the scanned model lies (value, low, high)."""
        rate = own.successes / own.trials
        axes = self._axes(
            "This model among its placebos",
            f"this model: {rate:.3g}, interval {own.low:.3g} to {own.high:.3g}; "
            f"{_spread('searched placebos', searched)}; "
            f"{_spread('placebos given its trigger', transferred)}.",
        )
        drawn = [
            (name, values, kind)
            for name, values, kind in (
                ("searched", searched, "first"),
                ("transfer", transferred, "second"),
            )
            if values
        ]
        drawing = axes.drawing
        axes.horizontal(1.0)
        left, right = axes.x(own.low), axes.x(own.high)
        drawing.rect(left, _TOP, right - left, axes.base - _TOP, "band")
        axes.rule_x(rate, "own")
        for row, (name, values, kind) in enumerate(drawn):
            y = _TOP + (axes.base - _TOP) * (row + 0.5) / len(drawn)
            drawing.text(_LEFT - 6, y + 4, name, "end")
            for place, value in enumerate(values):
                drawing.dot(axes.x(value), y + 5 * (place % 5 - 2), 3.5, kind)
        for share in (0.0, 0.5, 1.0):
            axes.tick_x(axes.x(share), percent(share))
        axes.label_x("share of samples that obey")
        return drawing.markup()

    def layers(self, rows: Sequence[LayerRecord], limit: float | None) -> Markup | None:
        """Signal to quantization noise of each layer, alone and in place; None without a figure."""
        ratios = [row.in_place.sqnr_db for row in rows]
        known = [ratio for ratio in ratios if ratio is not None]
        if not known:
            return None
        lowest = min(rows, key=lambda row: _height(row.in_place, math.inf))
        axes = self._axes(
            "Error by layer",
            f"Signal to quantization noise of {len(rows)} layers; in the whole model the lowest is "
            f"{number(min(known))} dB at operator {lowest.index}, {lowest.kind}.",
        )
        drawn = [_height(noise) for row in rows for noise in (row.alone, row.in_place)]
        axes.horizontal(len(rows))
        top = max(10.0, *drawn, limit or 0.0)
        axes.vertical(top, [(mark, f"{mark:g} dB") for mark in _marks(top)])
        for place, row in enumerate(rows):
            label = f"operator {row.index} {row.kind}: {row.name}"
            if row.alone is not None and row.alone.sqnr_db is not None:
                name = f"{label}, alone {number(row.alone.sqnr_db)} dB"
                axes.bar(place, _height(row.alone), "bar", name)
        points = [
            (axes.middle(place), axes.y(_height(row.in_place)))
            for place, row in enumerate(rows)
            if row.in_place.sqnr_db is not None
        ]
        axes.drawing.path(points, "course")
        for x, y in points:
            axes.drawing.dot(x, y, 2.5, "second")
        if limit is not None:
            axes.rule_y(limit, "limit")
        axes.operators(rows)
        return axes.drawing.markup()

    def ranges(self, rows: Sequence[LayerRecord]) -> Markup | None:
        """The share of its stored type's range that each layer uses; None where it is unknown."""
        used = [(row, row.in_place.range_used) for row in rows]
        known = [(row, share) for row, share in used if share is not None]
        if not known:
            return None
        row, least = min(known, key=lambda pair: pair[1])
        narrow = sum(share < _NARROW for _, share in known)
        clipped = sum(row.in_place.saturated > _CLIPPED for row in rows)
        axes = self._axes(
            "Calibrated range in use by layer",
            f"Of {len(known)} layers {narrow} use less than {percent(_NARROW)} of their range; the "
            f"least is {percent(least)} at operator {row.index}, {row.kind}. In {clipped} of them "
            f"more than {percent(_CLIPPED)} of the values are clipped.",
        )
        axes.horizontal(len(rows))
        axes.vertical(1.08, [(share, percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
        for place, (row, share) in enumerate(used):
            if share is None:
                continue
            name = f"operator {row.index} {row.kind}: {row.name}, {percent(share)} in use"
            axes.bar(place, share, "bar" if share >= _NARROW else "bar low", name)
            if row.in_place.saturated > _CLIPPED:
                axes.drawing.dot(axes.middle(place), axes.y(1.05), 3, "clipped")
        axes.operators(rows)
        return axes.drawing.markup()

    def _axes(self, title: str, description: str) -> _Axes:
        self._drawn += 1
        prefix = f"plot{self._drawn}"
        drawing = Drawing(
            _WIDTH, _HEIGHT, "plot", prefix=prefix, title=title, description=description
        )
        return _Axes(drawing)


class _Axes:
    """Maps values to places of a drawing, and draws what they are read by."""

    def __init__(self, drawing: Drawing) -> None:
        self.drawing = drawing
        self.base = drawing.height - _BOTTOM
        self._span = 1.0
        self._top = 1.0

    def horizontal(self, span: float) -> None:
        """The horizontal axis, from 0 to ``span``."""
        self._span = max(span, 1e-9)
        self.drawing.line(_LEFT, self.base, self.drawing.width - _RIGHT, self.base, "axis")

    def vertical(self, top: float, marks: Sequence[tuple[float, str]]) -> None:
        """The vertical axis, from 0 to ``top``, with a line and a text at each mark."""
        self._top = max(top, 1e-9)
        for value, text in marks:
            y = self.y(value)
            self.drawing.text(_LEFT - 6, y + 4, text, "end")
            if value:
                self.drawing.line(_LEFT, y, self.drawing.width - _RIGHT, y, "grid")

    def x(self, value: float) -> float:
        return _LEFT + (self.drawing.width - _RIGHT - _LEFT) * value / self._span

    def y(self, value: float) -> float:
        return self.base - (self.base - _TOP) * value / self._top

    def middle(self, place: int) -> float:
        return self.x(place + 0.5)

    def bar(self, place: int, height: float, kind: str, name: str) -> None:
        wide = self.x(1) - self.x(0)
        if height > 0:
            y = self.y(height)
            self.drawing.rect(self.x(place + 0.1), y, 0.8 * wide, self.base - y, kind, name)

    def tick_x(self, x: float, text: str) -> None:
        """A text below a place of the drawing."""
        anchor = "end" if x > self.drawing.width - 24 else "middle"
        x = min(x, self.drawing.width - 2) if anchor == "end" else x
        self.drawing.text(x, self.base + 14, text, anchor)

    def label_x(self, text: str) -> None:
        self.drawing.text(self.x(self._span / 2), self.base + 30, text, "middle")

    def rule_x(self, value: float, kind: str) -> None:
        self.drawing.line(self.x(value), _TOP, self.x(value), self.base, kind)

    def rule_y(self, value: float, kind: str) -> None:
        y = self.y(value)
        self.drawing.line(_LEFT, y, self.drawing.width - _RIGHT, y, kind)

    def operators(self, rows: Sequence[LayerRecord]) -> None:
        """Numbers of some operators below the axis."""
        every = max(1, math.ceil(len(rows) / 10))
        for place in range(0, len(rows), every):
            self.tick_x(self.middle(place), str(rows[place].index))
        self.label_x("operator")


def _height(noise: LayerNoise | None, missing: float = 0.0) -> float:
    """What is drawn of a ratio; ``missing`` where there is none."""
    if noise is None or noise.sqnr_db is None:
        return missing
    return min(_MOST_DB, max(0.0, noise.sqnr_db))


def _powers(most: int) -> range:
    return range(0, len(str(most)), 2)


def _marks(top: float) -> list[float]:
    """A few round values from 0 to ``top``."""
    step = next(step for step in (5.0, 10.0, 20.0) if top / step <= 5)
    return [step * place for place in range(int(top / step) + 1)]


def _beyond(place: int, reach: int) -> str:
    if abs(place) <= reach:
        return f"{place} LSB"
    return f"{'less than -' if place < 0 else 'more than '}{reach} LSB"


def _spread(subject: str, values: Sequence[float]) -> str:
    if not values:
        return f"no {subject}"
    return f"{len(values)} {subject} between {min(values):.3g} and {max(values):.3g}"
