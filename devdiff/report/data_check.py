"""What a report says of inputs and labels that may not suit the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from devdiff.report import parts, words

if TYPE_CHECKING:
    from rich.console import Console

    from devdiff.report.model import DataCheckSection


def show(check: DataCheckSection, out: Console) -> None:
    """Print the reason, where there is one to print, and what was tried."""
    verdict = check.verdict
    if verdict == "pass":
        return
    mark = f"[{parts.STYLES[verdict]}]{verdict}[/]" if verdict else "note:"
    parts.say(f"{mark} data: {escape(sentence(check))}", out)
    for note in check.notes:
        parts.say(f"note: {escape(note)}", out)
    if check.trials:
        table = parts.table("data as given, or changed", "right", "")
        table.add_row("as given", words.proportion(check.accuracy), "")
        for trial in check.trials:
            table.add_row(
                escape(f"{trial.kind}: {trial.change}"),
                words.proportion(trial.accuracy),
                "mends it" if trial.mends else "",
            )
        out.print(table)
    out.print()


def sentence(check: DataCheckSection) -> str:
    """What was found, and what to do about it."""
    return ": ".join(filter(None, (check.reason, check.advice)))
