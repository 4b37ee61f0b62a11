"""The page of a look at an input set: thumbnails, ranges, classes, and what is odd, in one file."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from devdiff.comparison.wording import number, percent
from devdiff.inputs.selection import spread
from devdiff.preview import terminal
from devdiff.report.html import document
from devdiff.report.html.pictures import (
    BUDGET_BYTES,
    Picture,
    as_image,
    pixels_between,
    pixels_of,
    png,
)
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import Array, TensorSpec
    from devdiff.inputs.input_set import InputSet
    from devdiff.preview.look import Look
    from devdiff.preview.record import ClassCount, TensorView

SHOWN: Final = 24
_CURVE: Final = (160, 48)
_FEWEST_POINTS: Final = 16
_NUMBERS_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One input of a sample: a picture, a curve (an SVG path), or a few numbers."""

    input: str
    picture: Picture | None = None
    curve: str | None = None
    numbers: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample on the page."""

    name: str
    label: str | None
    parts: tuple[Thumbnail, ...]


def write(look: Look, path: Path) -> None:
    """Write the page whole or not at all; the samples of ``look`` must still be there."""
    text = render(look)
    with whole_file(path) as stream:
        stream.write(text)


def render(look: Look) -> str:
    """The page as text."""
    import jinja2

    environment = document.environment()
    environment.loader = jinja2.ChoiceLoader(
        [jinja2.PackageLoader("devdiff.preview"), jinja2.PackageLoader("devdiff.report.html")]
    )
    environment.filters |= {"figure": number, "percent": percent}
    view = look.view
    style = Markup(_style())  # noqa: S704  # no value of anybody's reaches it
    most = max((entry.samples for entry in view.classes), default=1)
    shown, stretched = _samples(look.samples, look.specs, view.classes)
    return environment.get_template("inputs.html.j2").render(
        view=view,
        report={"inputs": view.inputs, "data_check": view.answers},
        headline=terminal.headline(view),
        origin=terminal.origin(view.inputs),
        style=style,
        policy=document.policy(style),
        histograms={tensor.name: _bars(tensor) for tensor in view.tensors},
        most=most,
        total=sum(entry.samples for entry in view.classes),
        shown=shown,
        stretched=stretched,
        version=importlib.metadata.version("devdiff"),
    )


def _style() -> str:
    templates = importlib.resources.files("devdiff.report.html") / "templates"
    own = importlib.resources.files("devdiff.preview") / "templates"
    return (templates / "page.css").read_text("utf-8") + (own / "inputs.css").read_text("utf-8")


def _samples(
    samples: InputSet, specs: Sequence[TensorSpec], classes: Sequence[ClassCount]
) -> tuple[list[Shown], bool]:
    """Samples spread over the set, as the page shows them; whether brightness is not the data's."""
    places = spread(np.arange(len(samples)), SHOWN, samples.seed)
    names = {entry.label: entry.name for entry in classes}
    values = {
        spec.name: [samples.arrays[spec.name][samples.tested[place]] for place in places]
        for spec in specs
    }
    drawn: dict[str, list[Thumbnail]] = {}
    stretched = False
    for spec in specs:
        drawn[spec.name], wide = _thumbnails(spec, values[spec.name], samples.preprocess)
        stretched = stretched or wide
    shown = []
    for number_shown, place in enumerate(places):
        about = samples.describe(int(place))
        label = about["label"]
        known = names.get(label) if label is not None else None
        shown.append(
            Shown(
                about["name"] or f"row {about['row']}",
                None if label is None else f"{label} {known}" if known else str(label),
                tuple(drawn[spec.name][number_shown] for spec in specs),
            )
        )
    return shown, stretched


def _thumbnails(
    spec: TensorSpec, values: Sequence[Array], preprocess: Mapping[str, object]
) -> tuple[list[Thumbnail], bool]:
    images = [as_image(np.asarray(value)) for value in values]
    pictures = [image for image in images if image is not None]
    if len(pictures) == len(values):
        whole = spec.numpy_dtype.kind == "u"
        pixels = pixels_between(0, 255) if whole else pixels_of(pictures, preprocess)
        found, spent = [], 0
        for image in pictures:
            picture = png(pixels.apply(image)) if spent < BUDGET_BYTES else None
            spent += len(picture.uri) if picture is not None else 0
            found.append(Thumbnail(spec.name, picture))
        return found, pixels.stretched
    if spec.elements >= _FEWEST_POINTS and spec.elements == max(spec.shape):
        flat = [np.asarray(value, np.float64).reshape(-1) for value in values]
        low, high = min(float(v.min()) for v in flat), max(float(v.max()) for v in flat)
        return [Thumbnail(spec.name, curve=_curve(value, low, high)) for value in flat], False
    return [Thumbnail(spec.name, numbers=_numbers(np.asarray(value))) for value in values], False


def _curve(value: Array, low: float, high: float) -> str:
    """An SVG path of a signal; where it has more points than pixels, its envelope."""
    width, height = _CURVE
    finite = np.nan_to_num(value)
    if len(finite) > width:
        chunks = np.array_split(finite, width)
        finite = np.array([edge for chunk in chunks for edge in (chunk.min(), chunk.max())])
    across = np.linspace(0, width, len(finite))
    down = height - (finite - low) / ((high - low) or 1.0) * height
    points = (f"{x:.1f} {y:.1f}" for x, y in zip(across, down, strict=True))
    return "M" + "L".join(points)


def _numbers(value: Array) -> str:
    flat = value.reshape(-1)
    more = ", …" if flat.size > _NUMBERS_SHOWN else ""
    return ", ".join(number(float(entry)) for entry in flat[:_NUMBERS_SHOWN]) + more


def _bars(tensor: TensorView) -> list[tuple[int, int, int]]:
    """Place, height and number of each bar of a histogram, 0 to 100 high."""
    most = max(tensor.histogram, default=0) or 1
    return [
        (place, max(1, round(100 * found / most)) if found else 0, found)
        for place, found in enumerate(tensor.histogram)
    ]
