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

from devdiff.cli.groups.output import QUIET, VERBOSE
from devdiff.report import parts
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


def headline(verdict: str, text: str) -> None:
    """A verb's whole answer where it is to be quiet."""
    parts.headline(verdict, text, stdout())


def _styled(stream: TextIO) -> IO[str]:
    """Where a console writes, so that its escape sequences pass."""
    found: IO[str] = getattr(stream, "styled", stream)
    return found


class Narrator:
    """`devdiff.progress.Events` for people, on standard error; use it as a context manager.

    A terminal gets one moving line with a bar; a pipe or a log gets one plain line a phase. Quiet
    it says nothing; verbose also what came of each phase, and what each took, in a pipe, too.
    """

    def __init__(self, verbosity: str | None = None) -> None:
        quiet = verbosity == QUIET
        self._verbose = verbosity == VERBOSE
        self._begun = time.monotonic()
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
        self._done: tuple[int, int] | None = None

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
        if self._verbose:
            self._say(f"{time.monotonic() - self._begun:.1f} s in all")

    def _finish(self) -> None:
        if self._task is None:
            return
        self._progress.remove_task(self._task)
        self._task = None
        if not (self._live or self._verbose):
            return
        taken = f"{time.monotonic() - self._started:.1f} s"
        if self._verbose and self._done is not None:
            taken += f", {self._done[0]} of {self._done[1]}"
        self._say(f"{self._phase}: {taken}")

    def phase(self, text: str) -> None:
        self._finish()
        self._phase, self._started, self._done = text, time.monotonic(), None
        self._task = self._progress.add_task(escape(text), total=None)
        if not self._live:
            self._console.print(f"devdiff: {escape(text)}", soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        self._done = done, total
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._console.print(f"[cyan]note:[/cyan] {escape(text)}", soft_wrap=True)

    def detail(self, text: str) -> None:
        if self._verbose:
            self._console.print(f"[dim]  {escape(text)}[/dim]", soft_wrap=True)

    def _say(self, text: str) -> None:
        prefix = "" if self._live else "devdiff: "
        self._console.print(f"[dim]{prefix}{escape(text)}[/dim]", soft_wrap=True)
