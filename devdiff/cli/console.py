"""What a person sees while devdiff works: progress on a terminal, plain lines in a pipe."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Final, Self, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from devdiff.cli.groups.output import QUIET, VERBOSE
from devdiff.progress import WHOLE
from devdiff.report import parts
from devdiff.report.parts import escape
from devdiff.system.printable import printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from rich.segment import Segment

HEARTBEAT_S: Final = 30.0
"""A pipe in which nothing was said for so long is told that work goes on."""
_STYLING: Final = re.compile(r"\x1b\[[0-9;]*m")


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


class Results(_Console):
    """The console for results, which knows how many rows of the terminal they have taken."""

    def __init__(self) -> None:
        self._counted = _Counted(_styled(sys.stdout))
        width = None if sys.stdout.isatty() else parts.WIDE
        # As much of a stream as rich writes to.
        super().__init__(file=self._counted, width=width, highlight=False)  # type: ignore[arg-type]

    def repeat(self, verdict: str, text: str) -> None:
        """The headline once more, where the first one has scrolled off the terminal."""
        # A log may ask for colours; nothing scrolls off one.
        if self._counted.isatty() and self._counted.rows(self.width) >= self.height:
            self.print()
            parts.headline(verdict, text, self)


class _Counted:
    """A stream that counts what is written to it in rows of a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._widths = [0]
        self.flush = stream.flush
        self.isatty = stream.isatty
        self.fileno = stream.fileno
        self.encoding = getattr(stream, "encoding", None)

    def write(self, text: str) -> int:
        first, *others = _STYLING.sub("", text).split("\n")
        self._widths[-1] += cell_len(first)
        self._widths += map(cell_len, others)
        return self._stream.write(text)

    def rows(self, columns: int) -> int:
        """How many rows of so many columns are taken, the unfinished last one left out."""
        return sum(max(1, -(-width // columns)) for width in self._widths[:-1])


def stdout() -> Results:
    """The console for results: colour and width of a terminal, or plain text 160 wide."""
    return Results()


def headline(verdict: str, text: str) -> None:
    """A verb's whole answer where it is to be quiet."""
    parts.headline(verdict, text, stdout())


def _styled(stream: TextIO) -> IO[str]:
    """Where a console writes, so that its escape sequences pass."""
    found: IO[str] = getattr(stream, "styled", stream)
    return found


class _DoneColumn(ProgressColumn):
    """``120 of 600``, or per cent where the whole is no number of things."""

    def render(self, task: Task) -> Text:
        if not task.total:
            return Text()
        return Text(_done(int(task.completed), int(task.total)), style="progress.download")


def _done(done: int, total: int) -> str:
    """How far a piece of work is; a share of `WHOLE` has no count of its own."""
    return f"{100 * done // total} %" if total == WHOLE else f"{done} of {total}"


class Narrator:
    """`devdiff.progress.Events` for people, on standard error; use it as a context manager.

    A terminal gets one moving line with a bar; a pipe or a log gets one plain line a phase, and
    one every ``heartbeat_s`` seconds in which there was nothing else to say. Quiet it says nothing;
    verbose also what came of each phase, and what each took, in a pipe, too.
    """

    def __init__(self, verbosity: str | None = None, heartbeat_s: float = HEARTBEAT_S) -> None:
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
            _DoneColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._started = 0.0
        self._phase = ""
        self._done: tuple[int, int] | None = None
        self._heartbeat_s = heartbeat_s
        self._heart = (
            None
            if quiet or self._live
            else threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        )
        self._over = threading.Event()
        self._spoken = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        if self._heart is not None:
            self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
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
            self._print(f"devdiff: {escape(text)}")

    def progress(self, done: int, total: int) -> None:
        self._done = done, total
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._print(f"[cyan]note:[/cyan] {escape(text)}")

    def detail(self, text: str) -> None:
        if self._verbose:
            self._print(f"[dim]  {escape(text)}[/dim]")

    def _say(self, text: str) -> None:
        prefix = "" if self._live else "devdiff: "
        self._print(f"[dim]{prefix}{escape(text)}[/dim]")

    def _print(self, text: str) -> None:
        self._spoken = time.monotonic()
        self._console.print(text, soft_wrap=not self._live)

    def _beat(self) -> None:
        """Say that a long phase goes on, how far it is, and how long it has taken."""
        while not self._over.wait(max(0.01, self._spoken + self._heartbeat_s - time.monotonic())):
            if time.monotonic() - self._spoken < self._heartbeat_s:
                continue
            if self._task is None:
                self._spoken = time.monotonic()
                continue
            so_far = [f"{time.monotonic() - self._started:.0f} s so far"]
            if self._done is not None:
                so_far.insert(0, _done(*self._done))
            self._print(f"devdiff: {escape(self._phase)}: {', '.join(so_far)}")
