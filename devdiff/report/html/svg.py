"""A drawing inside the page: shapes whose colours and fonts are the style sheet's.

Text from outside is printable and escaped; nothing else of it gets in. Positions are in pixels of
the view box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from devdiff.system.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGITS: Final = 1


class Drawing:
    """Shapes in the order in which they are painted; ``kind`` is a class of the style sheet.

    With ``title`` and ``description`` it is a picture to screen readers, whose ids begin with
    ``prefix``; without, what it shows stands beside it in words, and they pass over it.
    """

    def __init__(
        self,
        width: float,
        height: float,
        kind: str,
        *,
        prefix: str = "",
        title: str = "",
        description: str = "",
    ) -> None:
        self.width = width
        self.height = height
        self._kind = kind
        self._names = (prefix, title, description)
        self._parts: list[Markup] = []

    def line(self, x: float, y: float, right: float, bottom: float, kind: str) -> None:
        self._add('<path class="{}" d="M{} {}L{} {}"/>', kind, *_short(x, y, right, bottom))

    def path(self, points: Iterable[tuple[float, float]], kind: str) -> None:
        """A line through the points."""
        data = "L".join(" ".join(_short(*point)) for point in points)
        self._add('<path class="{}" d="M{}"/>', kind, data)

    def rect(
        self, x: float, y: float, width: float, height: float, kind: str, name: str = ""
    ) -> None:
        """``name`` is shown where a pointer rests on it."""
        shape = *_short(x, y, max(0.0, width), max(0.0, height)), kind
        if not name:
            self._add('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>', *shape)
            return
        self._add(
            '<rect x="{}" y="{}" width="{}" height="{}" class="{}"><title>{}</title></rect>',
            *shape,
            name,
        )

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        self._add('<circle cx="{}" cy="{}" r="{}" class="{}"/>', *_short(x, y, radius), kind)

    def text(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        """``anchor`` is what of the text lies at ``x``: its start, middle or end."""
        self._add('<text x="{}" y="{}" text-anchor="{}">{}</text>', *_short(x, y), anchor, text)

    def image(self, uri: str, width: float, height: float, name: str) -> None:
        """A picture over the whole, with an id, so that others show it by `use`."""
        self._add(
            '<image id="{}" href="{}" width="{}" height="{}"/>', name, uri, *_short(width, height)
        )

    def use(self, name: str) -> None:
        self._add('<use href="#{}"/>', name)

    def markup(self) -> Markup:
        prefix, title, description = self._names
        size = _short(self.width, self.height)
        inner = Markup().join(self._parts)
        if not title:
            opening = Markup('<svg class="{}" viewBox="0 0 {} {}" aria-hidden="true">')
            return opening.format(self._kind, *size) + inner + Markup("</svg>")
        opening = Markup(
            '<svg class="{0}" viewBox="0 0 {1} {2}" role="img" aria-labelledby="{3}-title '
            '{3}-desc"><title id="{3}-title">{4}</title><desc id="{3}-desc">{5}</desc>'
        )
        text = opening.format(self._kind, *size, prefix, title, printable(description))
        return text + inner + Markup("</svg>")

    def _add(self, shape: str, *values: str) -> None:
        self._parts.append(Markup(shape).format(*(escape(printable(v)) for v in values)))  # noqa: S704 - a constant


def _short(*values: float) -> tuple[str, ...]:
    return tuple(f"{round(value, _DIGITS):g}" for value in values)
