"""``report.html``: report.json, and what lies beside it, as one file for people."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devdiff.comparison import Proportion
from devdiff.inputs.preprocess import Preprocess
from devdiff.report import bindings, flips, task, words
from devdiff.report.class_words import ClassWords
from devdiff.report.html import bisect, cards, document, first_screen, ladder, rungs, scan
from devdiff.report.html.places import Shortener
from devdiff.report.html.plots import Plotter
from devdiff.report.html.run_files import RunFiles
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup

    from devdiff.report.model import Report

PAGE_NAME: Final = "report.html"
PLOTTED_OUTPUTS: Final = 16
"""What fields of the report are called where a table shows whatever there is."""


def write(report: Report, path: Path, folder: Path | None = None) -> None:
    """Write the page of ``report`` to ``path``, whole or not at all.

    ``folder`` is its run directory; without it there are no pictures, and the page says so.
    """
    text = render(report, folder)
    with whole_file(path) as stream:
        stream.write(text)


def render(report: Report, folder: Path | None = None) -> str:
    """The page of a valid report as text; see `write`."""
    beside = RunFiles(folder, report) if folder is not None else None
    plotter = Plotter()
    shorten, words_of_classes = Shortener(report, folder), ClassWords(report)
    environment = document.environment(shorten)
    environment.globals["class_words"] = words_of_classes
    environment.filters |= {
        "plain": _plain,
        "largest_error": words.largest_error,
        "differing": words.differing,
        "what_ran": words.what_ran,
        "sentence": words.sentence,
        "rate": words.rate,
        "task_headline": task.headline,
        "estimate": lambda value, metric: task.interval(value or None, share=task.is_share(metric)),
        "change": lambda drop, metric: task.interval(
            task.change(drop or None, metric.higher_is_better), True, share=task.is_share(metric)
        ),
        "range_used": words.range_used,
        "json": json.dumps,
    }
    style = document.part("page.css") + document.part("samples.css")
    script = document.part("page.js") + document.part("filter.js")
    found, bisected = report.scan, report.bisect
    plots, left_out = _plots(report, plotter)
    command = shlex.join(["devdiff", *report.command])
    gallery = cards.gallery(report, beside, words_of_classes)
    return environment.get_template("page.html.j2").render(
        report=report,
        first=first_screen.view(report, gallery),
        bindings=bindings.lines(report),
        beside=beside,
        style=style,
        script=script,
        policy=document.policy(style, script),
        ladder=ladder.rungs(report),
        plots=plots,
        plots_left_out=left_out,
        rung_table=rungs.table(report),
        gallery=gallery,
        filters=_filters(gallery, words_of_classes),
        first_shown=cards.FIRST_SHOWN,
        effects=flips.EFFECTS,
        signs=flips.SIGNS,
        scan=found,
        scan_view=scan.view(found, beside, plotter) if found is not None else None,
        bisect=bisected,
        bisect_view=bisect.view(bisected, plotter) if bisected is not None else None,
        preprocess=_option(report.inputs.preprocess),
        command=command,
        shortened=shorten(command) != command,
    )


def _option(preprocess: Mapping[str, Any]) -> str:
    """The steps as ``--preprocess`` takes them; empty where they are another version's."""
    try:
        return Preprocess.from_json(preprocess).describe()
    except (TypeError, ValueError):
        return ""


def _filters(
    gallery: cards.Gallery, words_of_classes: ClassWords
) -> list[tuple[str, str, list[tuple[Any, str]]]]:
    """By what the cards are filtered: a name of their data, its title, and each value's text."""
    return [
        ("steps", "Step", list(enumerate(gallery.steps))),
        ("classes", "Class", [(index, words_of_classes(index)) for index in gallery.classes]),
        ("effects", "Change", [(effect, effect) for effect in gallery.effects]),
    ]


def _plots(report: Report, plotter: Plotter) -> tuple[dict[tuple[int, int], list[Markup]], int]:
    """Plots of the outputs that differ, by the places of pair and output; how many are without.

    Steps that count come first.
    """
    wanted = [
        (pair.gates, place, position, output)
        for place, pair in enumerate(report.pairs)
        for position, output in enumerate(pair.outputs)
        if output.lsb is not None
    ]
    wanted.sort(key=lambda entry: not entry[0])
    plots = {}
    for _, place, position, output in wanted[:PLOTTED_OUTPUTS]:
        plot = plotter.steps(output)
        plots[place, position] = [plot] if plot is not None else []
    return plots, len(wanted) - len(plots)


def _plain(value: Any) -> Any:
    """Structs as mappings of their fields, for tables that show whatever there is."""
    if isinstance(value, Proportion):
        return words.proportion(value)
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        shown = {label: getattr(value, name) for name, label in names}
        left_out = value.__struct_config__.omit_defaults
        return {
            label: _plain(inner)
            for label, inner in shown.items()
            if inner is not None or not left_out
        }
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
