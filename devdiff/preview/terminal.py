"""A look at an input set on a terminal: ranges, classes, and what is odd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.comparison.wording import count, number, percent
from devdiff.report import data_check, parts
from devdiff.report.parts import escape

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.preview.record import ChannelRange, InputsView
    from devdiff.report.model.places import InputsRecord

_BAR: Final = 24
_CLASSES_SHOWN: Final = 20
_CHANNELS: Final = {3: "RGB", 4: "RGBA"}


def show(view: InputsView, out: Console) -> None:
    """Print all of it."""
    out.print(escape(headline(view)), soft_wrap=True)
    out.print()
    table = parts.table("input", "shape", "type", "low", "high", "mean", "std")
    for tensor in view.tensors:
        shape = "×".join(map(str, tensor.shape))
        table.add_row(escape(tensor.name), shape, tensor.dtype, *_figures(tensor.values))
        for place, channel in enumerate(tensor.channels):
            table.add_row(f"  channel {place}", "", "", *_figures(channel))
    out.print(table)
    out.print()
    if view.classes:
        _classes(view, out)
    for warning in view.warnings:
        mark = f"[{parts.STYLES['inconclusive']}]warning:[/]"
        out.print(f"{mark} {escape(str(warning))}", soft_wrap=True)
    for note in (*view.inputs.notes, *view.notes):
        out.print(f"note: {escape(note)}", soft_wrap=True)
    _answers(view, out)


def headline(view: InputsView) -> str:
    """What there is, for which model, and whether anything is odd."""
    inputs = view.inputs
    sort = "synthetic" if inputs.synthetic else "labelled" if inputs.labelled else "unlabelled"
    there = count(inputs.samples, f"{sort} sample")
    if inputs.available is not None:
        there = f"{inputs.samples} of {count(inputs.available, f'{sort} sample')} (--limit)"
    model = f" for {view.model}" if view.model else ""
    odd = len(view.warnings)
    doubt = view.answers is not None and view.answers.verdict == "inconclusive"
    found = count(odd, "warning") if odd else "nothing odd about the values"
    if doubt:
        found = "they do not suit the model" + (f"; {found}" if odd else "")
    return f"{there} of {origin(inputs)}{model}: {found}"


def origin(inputs: InputsRecord) -> str:
    """Where samples come from, without the folders of this machine."""
    return inputs.origin if inputs.synthetic else Path(inputs.origin).name


def _figures(values: ChannelRange) -> list[str]:
    return [number(value) for value in (values.low, values.high, values.mean, values.std)]


def _classes(view: InputsView, out: Console) -> None:
    most = max(entry.samples for entry in view.classes)
    total = sum(entry.samples for entry in view.classes)
    table = parts.table("class", "samples", "share", "")
    for entry in view.classes[:_CLASSES_SHOWN]:
        name = f"{entry.label} {entry.name}" if entry.name else str(entry.label)
        bar = "█" * max(1, round(_BAR * entry.samples / most))
        table.add_row(escape(name), str(entry.samples), percent(entry.samples / total), bar)
    out.print(table)
    if len(view.classes) > _CLASSES_SHOWN:
        out.print(f"and {len(view.classes) - _CLASSES_SHOWN} more classes", soft_wrap=True)
    out.print()


def _answers(view: InputsView, out: Console) -> None:
    if view.answers is None:
        if view.model is not None and view.inputs.labelled is False:
            out.print("note: without labels nobody can say whether the model is right on them")
        return
    if view.answers.verdict == "pass":
        out.print(f"labels: {escape(view.answers.reason)}", soft_wrap=True)
        return
    out.print()
    data_check.show(view.answers, out)
