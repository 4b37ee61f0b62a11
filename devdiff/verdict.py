"""The five verdicts, how several become one, and what the process exits with."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from devdiff.system.exit_code import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(StrEnum):
    """What a check, a step, or a whole run came to."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    ERROR = "error"
    FINDING = "finding"

    @property
    def exit_code(self) -> ExitCode:
        """0 pass, 1 fail, 3 error, 4 finding, 5 inconclusive."""
        return _EXIT_CODES[self]

    @property
    def severity(self) -> int:
        """Rank in ``pass < inconclusive < fail < error < finding``.

        What could not run outranks what could; a security finding stands whatever else could not.
        """
        return _SEVERITIES[self]


_SEVERITIES = {verdict: rank for rank, verdict in enumerate(Verdict)}
_EXIT_CODES = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.FAIL: ExitCode.FAIL,
    Verdict.ERROR: ExitCode.ERROR,
    Verdict.FINDING: ExitCode.FINDING,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The most severe of ``verdicts``; of none at all, ``error``, since nothing was checked."""
    return max(verdicts, key=lambda verdict: verdict.severity, default=Verdict.ERROR)
