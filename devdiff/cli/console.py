"""What a person sees while devdiff works: progress on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

_PIPE_WIDTH: Final = 160


def stdout() -> Console:
    """The console for results: colour and width of a terminal, or plain text 160 wide."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


class Narrator:
    """`devdiff.progress.Events` for people, on standard error; use it as a context manager.

    A terminal gets one moving line with a bar; a pipe or a log gets one plain line a phase.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
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
