"""What all that is printed on a terminal is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import markup
from rich.table import Table

from devdiff.system.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

STYLES: Final = {
    "pass": "bold green",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "error": "bold magenta",
    "finding": "bold red",
}


def escape(text: str) -> str:
    """Text from outside as it is put into what rich prints: no markup, and only `printable`."""
    return markup.escape(printable(text))


def headline(verdict: str, text: str, out: Console) -> None:
    """The first line of a verb's answer: the verdict, and the sentence behind it."""
    out.print(f"[{STYLES[verdict]}]{verdict.upper()}[/]  {escape(text)}", soft_wrap=True)


def table(*columns: str) -> Table:
    """A table without rules, whose cells fold instead of being cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
