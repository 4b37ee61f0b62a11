"""Who wants to know how far a piece of work is."""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """Told what happens, as it happens."""

    def phase(self, text: str) -> None:
        """A new piece of work begins."""

    def progress(self, done: int, total: int) -> None:
        """Samples done within the current phase."""

    def note(self, text: str) -> None:
        """Something the user should know now."""


class Silent:
    """Events nobody listens to."""

    def phase(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...
