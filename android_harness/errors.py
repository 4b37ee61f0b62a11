"""Everything the harness raises on purpose, in one tree."""

from __future__ import annotations


class HarnessError(Exception):
    """Base of all harness errors; the message says what happened, to what, and what to try."""


class BuildError(HarnessError):
    """The native runner could not be built, or there is no build for the platform asked for."""


class ElfError(HarnessError):
    """A file that should be a program or library is none, or is damaged."""
