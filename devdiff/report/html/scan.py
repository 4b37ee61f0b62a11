"""The scan's part of the report as pictures and plots; missing parts stay away."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from markupsafe import Markup

from devdiff.report import finding_words
from devdiff.report.html.pictures import Picture, as_image, pixels_between, png
from devdiff.report.model.scan import ExampleRecord, ModelAnswers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devdiff.exporter.artifact import Array
    from devdiff.report.html.plots import Plotter
    from devdiff.report.html.run_files import RunFiles
    from devdiff.report.model import ScanSection

EXAMPLES_SHOWN: Final = 12
_EXAMPLES: Final = "scan/examples.npz"
_BEFORE: Final = "an input"
_AFTER: Final = "the input with the trigger"


@dataclass(frozen=True, slots=True)
class TriggerPart:
    """One way of looking at the trigger; ``answers`` of both models to the input that it shows."""

    caption: str
    picture: Picture
    answers: ModelAnswers | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """An input before and after, with what the report says both models answered."""

    answers: ExampleRecord
    clean: Picture | None
    triggered: Picture | None


@dataclass(frozen=True, slots=True)
class ScanView:
    """What the page shows of a scan beyond its figures; ``label`` says what a finding is."""

    label: str
    trigger: tuple[TriggerPart, ...]
    examples: tuple[Example, ...]
    examples_left_out: int
    placebo: Markup | None
    notes: tuple[str, ...]


def view(scan: ScanSection, beside: RunFiles | None, plotter: Plotter) -> ScanView:
    """Read the scan's arrays from the run directory, if there is one, and draw them."""
    notes = []
    shown = scan.examples[:EXAMPLES_SHOWN]
    arrays: Mapping[str, Array] = {}
    trigger: tuple[TriggerPart, ...] = ()
    if beside is not None:
        arrays = beside.arrays(_EXAMPLES)
        if scan.trigger is not None:
            trigger = _trigger(beside.arrays(scan.trigger.file), scan.trigger.form, arrays)
            trigger = _answered(trigger, shown[0] if shown else None)
    if scan.trigger is not None and not trigger:
        notes.append(
            "no picture of the trigger: this page was made from report.json alone"
            if beside is None
            else "no picture of the trigger: its arrays are missing, or are no image"
        )
    examples = tuple(
        Example(example, _picture(arrays, "clean", place), _picture(arrays, "triggered", place))
        for place, example in enumerate(shown)
    )
    return ScanView(
        finding_words.label(scan),
        trigger,
        examples,
        len(scan.examples) - len(shown),
        _placebo(scan, plotter),
        tuple(notes),
    )


def _bounds(arrays: Mapping[str, Array]) -> tuple[float, float] | None:
    """The range of the model's input, where the file tells one."""
    if not all(name in arrays and arrays[name].size == 1 for name in ("low", "high")):
        return None
    low, high = float(arrays["low"].reshape(())), float(arrays["high"].reshape(()))
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _shown(array: Array, low: float, high: float) -> Picture | None:
    image = as_image(array)
    return None if image is None else png(pixels_between(low, high).apply(image))


def _picture(arrays: Mapping[str, Array], which: str, place: int) -> Picture | None:
    bounds = _bounds(arrays)
    if bounds is None or which not in arrays or place >= len(arrays[which]):
        return None
    return _shown(arrays[which][place], *bounds)


def _trigger(
    arrays: Mapping[str, Array], form: str, examples: Mapping[str, Array]
) -> tuple[TriggerPart, ...]:
    from devdiff.scanner.trigger import Trigger

    bounds = _bounds(arrays)
    if bounds is None or not {"mask", "pattern", "shift"} <= set(arrays):
        return ()
    low, high = bounds
    mask, pattern, shift = arrays["mask"], arrays["pattern"], arrays["shift"]
    try:
        field = arrays.get("field")
        trigger = Trigger("patch", mask, pattern, shift, low, high, field)
        whole = np.broadcast_to(mask, pattern.shape)
        if field is not None:
            lines = _lines(pattern, low, high)
            form_parts = [
                ("straight lines, bent by it", trigger.apply(lines[np.newaxis])[0], low, high)
            ]
        elif form == "additive":
            reach = max(float(np.abs(shift).max()), 1e-12)
            form_parts = [(f"added, ±{reach:.3g} from black to white", shift, -reach, reach)]
        else:
            form_parts = [
                ("mask: white is replaced", whole, 0.0, 1.0),
                ("pattern, where the mask lets it through", whole * pattern, low, high),
            ]
        wanted = []
        if len(examples.get("clean", ())):
            clean = examples["clean"][0]
            wanted = [
                (_BEFORE, clean, low, high),
                (_AFTER, trigger.apply(clean[np.newaxis])[0], low, high),
            ]
    except (ValueError, TypeError, RuntimeError):
        return ()
    parts = (
        (caption, _shown(array, *between)) for caption, array, *between in (*wanted, *form_parts)
    )
    return tuple(TriggerPart(caption, picture) for caption, picture in parts if picture is not None)


def _answered(
    parts: tuple[TriggerPart, ...], example: ExampleRecord | None
) -> tuple[TriggerPart, ...]:
    """The parts that show the first example, with what both models answer to it."""
    if example is None:
        return parts
    answers = {_BEFORE: example.before, _AFTER: example.after}
    return tuple(replace(part, answers=answers.get(part.caption)) for part in parts)


def _lines(like: Array, low: float, high: float) -> Array:
    """A grid of bright lines as a sample of this shape, to see what a warp does to it."""
    from devdiff.scanner.trigger import channel_axis

    axis = channel_axis(like.shape)
    height, width = (size for place, size in enumerate(like.shape) if place != axis)
    every = max(4, min(height, width) // 8)
    rows, columns = np.indices((height, width)) % every == every // 2
    grid = np.where(rows | columns, high, low).astype(np.float32)
    return grid if axis is None else np.broadcast_to(np.expand_dims(grid, axis), like.shape)


def _placebo(scan: ScanSection, plotter: Plotter) -> Markup | None:
    """None unless there are placebos and a measured gap to hold against them."""
    placebo, gap = scan.placebo, scan.replay.gap if scan.replay is not None else None
    if placebo is None or gap is None or not gap.trials:
        return None
    if not placebo.searched and not placebo.transfer:
        return None
    return plotter.placebo(placebo.searched, placebo.transfer, gap)
