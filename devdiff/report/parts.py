"""What all that is printed on a terminal is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import markup
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from devdiff.report.words import MISSING
from devdiff.system.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType

STYLES: Final = {
    "pass": "bold green",
    "fail": "bold red",
    "inconclusive": "bold yellow",
    "error": "bold magenta",
    "finding": "bold red",
}
WIDE: Final = 160
"""As wide as lines in a pipe are laid out; on a terminal so wide nothing is broken by us."""
# Narrower than this a folded column is a heap of syllables.
_LEAST_COLUMN: Final = 20
_GAP: Final = 2
_INDENT: Final = 2


def escape(text: str) -> str:
    """Text from outside as it is put into what rich prints: no markup, and only `printable`."""
    return markup.escape(printable(text))


def headline(verdict: str, text: str, out: Console) -> None:
    """The first line of a verb's answer: the verdict, and the sentence behind it."""
    say(f"[{STYLES[verdict]}]{verdict.upper()}[/]  {escape(text)}", out)


def say(text: str, out: Console) -> None:
    """A sentence in rich's markup: broken between words on a terminal, one line in a pipe.

    What begins with spaces stays behind them on every line.
    """
    indent = len(text) - len(text.lstrip(" "))
    breaks = out.is_terminal and out.width < WIDE
    if breaks and indent:
        out.print(_indented(Text.from_markup(text[indent:]), indent))
    else:
        out.print(text, soft_wrap=not breaks)


class TerminalTable:
    """Rows under column heads, without rules, whose cells fold instead of being cut.

    On a terminal that is too narrow for the columns, each row is its first cell, and below it every
    other one behind its column's head.
    """

    def __init__(self, columns: tuple[str, ...], whole: tuple[str, ...] = ()) -> None:
        self._columns = columns
        self._whole = whole
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """A row of cells in rich's markup, in the order of the columns."""
        self._rows.append((*cells, *[""] * (len(self._columns) - len(cells))))

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        if console.is_terminal and self._needed(console) > options.max_width:
            yield from self._stacked(options.max_width)
        else:
            yield self._table()

    def _table(self) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for column in self._columns:
            made.add_column(column, overflow="fold", no_wrap=column in self._whole)
        for row in self._rows:
            made.add_row(*row)
        return made

    def _needed(self, console: Console) -> int:
        """The width in which the columns can be read, long cells folded."""
        options = console.options.update(max_width=10_000)
        widths = []
        for place, column in enumerate(self._columns):
            cells = [
                Text.from_markup(column),
                *(Text.from_markup(row[place]) for row in self._rows),
            ]
            widest = max(Measurement.get(console, options, cell).maximum for cell in cells)
            widths.append(widest if column in self._whole else min(widest, _LEAST_COLUMN))
        return sum(widths) + _GAP * (len(widths) - 1)

    def _stacked(self, width: int) -> Iterator[RenderableType]:
        for row in self._rows:
            if row[0]:
                yield Text.from_markup(row[0], overflow="fold")
            line = Text(overflow="fold")
            for column, cell in zip(self._columns[1:], row[1:], strict=True):
                if cell in ("", MISSING):
                    continue
                pair = Text.from_markup(f"[dim]{column}[/] {cell}" if column else cell)
                if line.plain and _INDENT + line.cell_len + 3 + pair.cell_len > width:
                    yield _indented(line)
                    line = Text(overflow="fold")
                if line.plain:
                    line.append(" · ", "dim")
                line.append_text(pair)
            if line.plain:
                yield _indented(line)


def _indented(line: Text, indent: int = _INDENT) -> RenderableType:
    return Padding(line, (0, 0, 0, indent), expand=False)


def table(*columns: str, whole: tuple[str, ...] = ()) -> TerminalTable:
    """An empty table; the cells of ``whole`` columns are never folded."""
    return TerminalTable(columns, whole)
