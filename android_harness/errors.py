"""What the harness raises on purpose; `devdiff.system.errors` draws the whole tree."""

from __future__ import annotations

from devdiff.system.errors import DevdiffError
from devdiff.system.exit_code import ExitCode


class HarnessError(DevdiffError):
    """Base of all harness errors."""

    exit_code = ExitCode.ERROR


class BuildError(HarnessError):
    """The native runner could not be built, or there is no build for the platform asked for."""


class ElfError(HarnessError):
    """A file that should be a program or library is none, or is damaged."""
