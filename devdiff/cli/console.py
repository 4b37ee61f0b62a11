"""What a person sees while devdiff works: progress on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from typing import IO, TYPE_CHECKING, Final, Self, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from devdiff.report.parts import escape
from devdiff.system.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.segment import Segment

_PIPE_WIDTH: Final = 160


class _Console(Console):
    """A console that shows only what is printable, whoever the text is from.

    `devdiff.report.parts.escape` has shown names on one line before; this is for what it missed.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                yield segment._replace(text=printable_lines(segment.text))
            else:
                yield segment


def stdout() -> Console:
    """The console for results: colour and width of a terminal, or plain text 160 wide."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return _Console(file=_styled(sys.stdout), width=width, highlight=False)


def _styled(stream: TextIO) -> IO[str]:
    """Where a console writes, so that its escape sequences pass."""
    found: IO[str] = getattr(stream, "styled", stream)
    return found


class Narrator:
    """`devdiff.progress.Events` for people, on standard error; use it as a context manager.

    A terminal gets one moving line with a bar; a pipe or a log gets one plain line a phase.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = _Console(
            file=_styled(sys.stderr), stderr=True, highlight=False, quiet=quiet
        )
        self._live = self._console.is_terminal and not quiet
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._started = 0.0
        self._phase = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        if self._task is None:
            return
        self._progress.remove_task(self._task)
        self._task = None
        if self._live:
            seconds = time.monotonic() - self._started
            self._console.print(f"[dim]{escape(self._phase)}: {seconds:.1f} s[/dim]")

    def phase(self, text: str) -> None:
        self._finish()
        self._phase, self._started = text, time.monotonic()
        self._task = self._progress.add_task(escape(text), total=None)
        if not self._live:
            self._console.print(f"devdiff: {escape(text)}", soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._console.print(f"[cyan]note:[/cyan] {escape(text)}", soft_wrap=True)
