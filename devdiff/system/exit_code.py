"""What a command exits with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; one that a signal ended exits with 128 and its number."""

    PASS = 0
    FAIL = 1
    """A model failed, or evidence was refused."""
    USAGE = 2
    """What was asked cannot be done as asked, or what was given cannot be read."""
    ERROR = 3
    """Something could not run: a device, a library, the machine, or devdiff itself."""
    FINDING = 4
    INCONCLUSIVE = 5
