"""What changed between two runs on a terminal: the verdict, then figures, outputs and settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from devdiff.changes import wording
from devdiff.gate.terminal import show_changes
from devdiff.report import basis, parts
from devdiff.report.parts import escape, say
from devdiff.report.words import MISSING

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.changes.record import FigureChange, RunComparison, RunSide

_STYLES: Final = {"worse": "bold red", "better": "green", "same": "dim", "changed": ""}


def title(comparison: RunComparison) -> str:
    """What is compared, and what it comes to."""
    return f"{comparison.before.name} → {comparison.after.name}: {comparison.summary}"


def show(comparison: RunComparison, out: Console) -> None:
    """Print a comparison of two runs."""
    parts.headline(comparison.verdict, title(comparison), out)
    out.print()
    _sides(comparison, out)
    out.print()
    shown = parts.table("what", "where", "before", "after", "change", "")
    for figure in comparison.figures:
        shown.add_row(*_row(figure))
    if comparison.figures:
        out.print(shown)
        out.print()
    for change in comparison.changes:
        show_changes([change], out)
    if comparison.changes:
        out.print()
    for entry in comparison.outputs:
        say(f"outputs: {escape(wording.outputs_line(entry))}", out)
    for group, settings in comparison.settings_by_group():
        for setting in settings:
            before, after = setting.before or MISSING, setting.after or MISSING
            say(f"{group}: {escape(setting.name)}: {escape(before)} → {escape(after)}", out)
    if not comparison.settings:
        say("model, inputs, environment, versions and options: the same", out)
    for note in comparison.notes:
        say(f"note: {escape(note)}", out)


def _sides(comparison: RunComparison, out: Console) -> None:
    shown = parts.table("", "run", "verdict", "model", "how", "device", "rests on")
    for name, side in (("before", comparison.before), ("after", comparison.after)):
        shown.add_row(name, *_side(side))
    out.print(shown)


def _side(side: RunSide) -> tuple[str, ...]:
    verdict = side.verdict.value
    return (
        escape(side.name),
        f"[{parts.STYLES[verdict]}]{verdict}[/]",
        f"{escape(side.model)} ({side.model_sha256[:8]})",
        escape(side.compression),
        escape(side.device),
        escape(basis.samples_of(side.basis)),
    )


def _row(figure: FigureChange) -> tuple[str, ...]:
    meaning = wording.meaning(figure)
    style = _STYLES[figure.direction]
    return (
        escape(wording.subject(figure)),
        escape(wording.place(figure)),
        wording.shown(figure.before, figure.unit),
        wording.shown(figure.after, figure.unit),
        wording.delta(figure),
        f"[{style}]{meaning}[/]" if style and meaning else meaning,
    )
