"""Who wants to know how far a piece of work is."""

from __future__ import annotations

from typing import Final, Protocol

WHOLE: Final = 1_000_000
"""The ``total`` of work that is measured by its share alone."""


class Events(Protocol):
    """Told what happens, as it happens."""

    def phase(self, text: str) -> None:
        """A new piece of work begins."""

    def progress(self, done: int, total: int) -> None:
        """Samples, or other pieces, done within the current phase; see `WHOLE`."""

    def note(self, text: str) -> None:
        """Something the user should know now."""

    def detail(self, text: str) -> None:
        """What came of a piece of work, for who wants to know all."""


class SilentEvents:
    """Events nobody listens to."""

    def phase(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...


class NamedEvents:
    """Events of one of several pieces of work, told with its name."""

    def __init__(self, events: Events, name: str) -> None:
        self._events = events
        self._name = name
        self.progress = events.progress

    def phase(self, text: str) -> None:
        self._events.phase(f"{self._name}: {text}")

    def note(self, text: str) -> None:
        self._events.note(f"{self._name}: {text}")

    def detail(self, text: str) -> None:
        self._events.detail(f"{self._name}: {text}")
