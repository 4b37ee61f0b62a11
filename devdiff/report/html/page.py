"""``report.html``: report.json, and what lies beside it, as one file for people."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from devdiff.comparison import Proportion
from devdiff.inputs.preprocess import Preprocess
from devdiff.report import basis, bindings, task, words
from devdiff.report.html import bisect, cards, document, ladder, scan
from devdiff.report.html.plots import Plotter
from devdiff.report.html.run_files import RunFiles
from devdiff.system.atomic_file import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup

    from devdiff.report.model import Report

PAGE_NAME: Final = "report.html"
PLOTTED_OUTPUTS: Final = 16


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
    environment = document.environment()
    environment.filters |= {
        "plain": _plain,
        "largest_error": words.largest_error,
        "differing": words.differing,
        "what_ran": words.what_ran,
        "rate": words.rate,
        "task_headline": task.headline,
        "interval": lambda value, signed=False: task.interval(value or None, signed),
        "change": lambda value, higher_is_better: task.change(value or None, higher_is_better),
    }
    style, script = document.part("page.css"), document.part("page.js")
    found, bisected = report.scan, report.bisect
    plots, left_out = _plots(report, plotter)
    return environment.get_template("page.html.j2").render(
        report=report,
        basis=basis.sentence(report.basis),
        bindings=bindings.lines(report),
        beside=beside,
        style=style,
        script=script,
        policy=document.policy(style, script),
        ladder=ladder.draw(report),
        plots=plots,
        plots_left_out=left_out,
        gallery=cards.gallery(report, beside),
        scan=found,
        scan_view=scan.view(found, beside, plotter) if found is not None else None,
        bisect=bisected,
        bisect_view=bisect.view(bisected, plotter) if bisected is not None else None,
        preprocess=_option(report.inputs.preprocess),
        command=shlex.join(["devdiff", *report.command]),
    )


def _option(preprocess: Mapping[str, Any]) -> str:
    """The steps as ``--preprocess`` takes them; empty where they are another version's."""
    try:
        return Preprocess.from_json(preprocess).describe()
    except (TypeError, ValueError):
        return ""


def _plots(report: Report, plotter: Plotter) -> tuple[dict[tuple[int, int], list[Markup]], int]:
    """Plots of the outputs that differ, by the places of pair and output; how many are without.

    Steps that count come first.
    """
    wanted = [
        (pair.gates, place, position, output)
        for place, pair in enumerate(report.pairs)
        for position, output in enumerate(pair.outputs)
        if output.differing_elements or output.lsb
    ]
    wanted.sort(key=lambda entry: not entry[0])
    plots = {}
    for _, place, position, output in wanted[:PLOTTED_OUTPUTS]:
        drawn = (plotter.errors(output), plotter.steps(output))
        plots[place, position] = [plot for plot in drawn if plot is not None]
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
