"""Plots as SVG inside the page: drawn by matplotlib, coloured by the page's style sheet.

Nothing that comes from outside is written into a plot: names stand beside it in the page, where
they are escaped. Titles and descriptions are for screen readers.
"""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

    from devdiff.comparison import OutputMetrics, Proportion

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "{http://www.w3.org/1999/xlink}"
# Stand-ins for the page's own colours, which change with its mode.
_INK: Final = "#010203"
_FIRST: Final = "#010204"
_SECOND: Final = "#010205"
_COLOURS: Final = {_INK: "var(--ink)", _FIRST: "var(--plot-1)", _SECOND: "var(--plot-2)"}
# matplotlib spells out the names of all settings in the type.
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "devdiff",
    "font.size": 9,
    "text.parse_math": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}
_SIZE: Final = (3.6, 2.3)


class Plotter:
    """Draws a page's plots; no two of them share an id."""

    def __init__(self) -> None:
        self._drawn = 0

    def errors(self, output: OutputMetrics) -> Markup | None:
        """What share of an output's elements has a larger error than x; None without errors."""
        points = [
            (output.p50_abs_error, 0.5),
            (output.p90_abs_error, 0.1),
            (output.p99_abs_error, 0.01),
            (output.p999_abs_error, 0.001),
        ]
        elements = output.elements
        points.append((output.max_abs_error, 1 / elements if elements else 1.0))
        curve = [(x, y) for x, y in points if x is not None and 0 < x < math.inf]
        curve = [(x, y) for x, y in curve if y >= 1 / max(elements, 1)]
        if not curve:
            return None
        figure, axes = _figure()
        axes.plot(*zip(*curve, strict=True), color=_FIRST, marker="o", markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain_ticks(axes.xaxis, curve[0][0], curve[-1][0])
        _plain_ticks(axes.yaxis, curve[-1][1], curve[0][1])
        axes.set_xlabel("absolute error")
        axes.set_ylabel("share of elements above")
        caption = "; ".join(
            f"{100 * y:.3g} % of the elements are off by more than {x:.3g}" for x, y in curve[:-1]
        )
        return self._inline(
            figure, "Error distribution", f"{caption}; the largest error is {curve[-1][0]:.3g}."
        )

    def steps(self, output: OutputMetrics) -> Markup | None:
        """How many elements differ by how many quantization steps; None when not counted."""
        histogram = output.lsb
        if histogram is None:
            return None
        reach = histogram.reach
        counts = [histogram.below, *histogram.counts, histogram.above]
        places = list(range(-reach - 1, reach + 2))
        figure, axes = _figure()
        axes.vlines(places, 0, counts, color=_FIRST, linewidth=7)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        powers = [10**power for power in range(0, len(str(max(counts))), 2)]
        axes.set_yticks([0, *powers], ["0", *map(str, powers)])
        axes.yaxis.set_minor_locator(_no_ticks())
        ticks = [
            place
            for place in places
            if place in (-reach - 1, -reach // 2, 0, reach // 2, reach + 1)
        ]
        names = {-reach - 1: f"<-{reach}", reach + 1: f">{reach}"}
        axes.set_xticks(ticks, [names.get(tick, str(tick)) for tick in ticks])
        axes.set_xlabel("difference in LSB")
        axes.set_ylabel("elements")
        kept = ((place, count) for place, count in zip(places, counts, strict=True) if count)
        caption = "; ".join(f"{count} elements at {_beyond(place, reach)}" for place, count in kept)
        return self._inline(figure, "Differences in quantization steps", f"{caption}.")

    def placebo(
        self, searched: Sequence[float], transferred: Sequence[float], own: Proportion
    ) -> Markup:
        """Rates the placebos reached, and where the scanned model lies (value, low, high)."""
        figure, axes = _figure()
        drawn = [
            (name, values, colour)
            for name, values, colour in (
                ("searched", searched, _FIRST),
                ("transfer", transferred, _SECOND),
            )
            if values
        ]
        for row, (_, values, colour) in enumerate(drawn):
            spread = [row + 0.12 * ((place % 5) - 2) for place in range(len(values))]
            axes.scatter(values, spread, color=colour, s=18, alpha=0.8)
        rate = own.successes / own.trials
        axes.axvspan(own.low, own.high, color=_INK, alpha=0.15, linewidth=0)
        axes.axvline(rate, color=_INK, linewidth=1.5)
        axes.set_yticks(range(len(drawn)), [name for name, _, _ in drawn])
        axes.set_ylim(-0.6, len(drawn) - 0.4)
        axes.set_xlim(-0.03, 1.03)
        axes.set_xlabel("share of samples that obey")
        caption = (
            f"this model: {rate:.3g}, interval {own.low:.3g} to {own.high:.3g}; "
            f"{_spread('searched placebos', searched)}; "
            f"{_spread('placebos given its trigger', transferred)}."
        )
        return self._inline(figure, "This model among its placebos", caption)

    def profile(self, values: Sequence[float], label: str) -> Markup:
        """A figure of each layer, in the order of the graph."""
        figure, axes = _figure()
        axes.plot(range(len(values)), values, color=_FIRST, marker=".", linewidth=1)
        axes.set_xlabel("layer")
        axes.set_ylabel(label)
        worst = min(range(len(values)), key=values.__getitem__)
        caption = f"{len(values)} layers; the lowest is {values[worst]:.3g} at layer {worst}."
        return self._inline(figure, f"{label} of each layer", caption)

    def _inline(self, figure: Figure, title: str, description: str) -> Markup:
        import matplotlib

        self._drawn += 1
        buffer = io.BytesIO()
        with matplotlib.rc_context(_SETTINGS):
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        return Markup(_adapt(buffer.getvalue(), f"plot{self._drawn}", title, description))  # noqa: S704 - every text in it was written by ElementTree


def _figure() -> tuple[Figure, Axes]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=_SIZE)
        # Fixed margins: fitting them to the labels doubles the time of a plot.
        return figure, figure.add_axes((0.2, 0.2, 0.73, 0.76))


def _plain_ticks(axis: Axis, low: float, high: float) -> None:
    """At most four powers of ten around ``low`` to ``high``, in plain digits."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = range(first, last + 1, max(1, math.ceil((last - first) / 3)))
    axis.set_ticks([10.0**power for power in powers], [f"{10.0**power:g}" for power in powers])
    axis.set_minor_locator(_no_ticks())


def _no_ticks() -> Locator:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _beyond(place: int, reach: int) -> str:
    if abs(place) <= reach:
        return f"{place} LSB"
    return f"{'less than -' if place < 0 else 'more than '}{reach} LSB"


def _spread(subject: str, values: Sequence[float]) -> str:
    if not values:
        return f"no {subject}"
    return f"{len(values)} {subject} between {min(values):.3g} and {max(values):.3g}"


def _adapt(data: bytes, prefix: str, title: str, description: str) -> str:
    """matplotlib's SVG as an accessible part of the page.

    Style attributes become presentation attributes, since the page's security policy allows only
    its own style sheet; ids are made unique; fonts and colours become the page's.
    """
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(data)  # noqa: S314 - matplotlib's own output
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'href="#([^"]+)"', text))
    for element in root.iter():
        for declaration in element.attrib.pop("style", "").split(";"):
            name, _, value = declaration.partition(":")
            _present(element, name.strip(), value.strip())
        for name, value in list(element.attrib.items()):
            _rename(element, name, value, prefix, used)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("class", "plot")
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    for place, (name, caption) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{_SVG}}}{name}", {"id": f"{prefix}-{name}"})
        element.text = caption
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _present(element: ElementTree.Element, name: str, value: str) -> None:
    """One declaration as a presentation attribute; of a font only the size is kept."""
    if name == "font":
        size = re.search(r"([\d.]+)px", value)
        if size:
            element.set("font-size", size[1])
    elif name and not name.startswith("font"):
        element.set(name, _COLOURS.get(value, value))
    elif name == "font-size":
        element.set(name, value.removesuffix("px"))


def _rename(
    element: ElementTree.Element, name: str, value: str, prefix: str, used: set[str]
) -> None:
    if name == "id":
        if value in used:
            element.set("id", f"{prefix}-{value}")
        else:
            del element.attrib["id"]
    elif name in ("href", f"{_XLINK}href") and value.startswith("#"):
        del element.attrib[name]
        element.set("href", f"#{prefix}-{value[1:]}")
    elif value.startswith("url(#"):
        element.set(name, f"url(#{prefix}-{value[5:]}")
    elif value in _COLOURS:
        element.set(name, _COLOURS[value])
