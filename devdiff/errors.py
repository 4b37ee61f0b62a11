"""What devdiff itself raises on purpose; `devdiff.system.errors` draws the whole tree."""

from __future__ import annotations

from devdiff.system.errors import DevdiffError
from devdiff.system.exit_code import ExitCode


class UsageError(DevdiffError):
    """What was asked cannot be done as asked; the user can change it."""

    exit_code = ExitCode.USAGE


class UnmeasurableError(UsageError):
    """True answers that leave a task's metric without a meaning: no object on any image, say."""


class ComparisonError(DevdiffError):
    """Two rungs cannot be compared: their outputs or their samples do not match."""

    exit_code = ExitCode.USAGE


class RunDirectoryError(DevdiffError):
    """A run directory is in use, finished, or of another run."""

    exit_code = ExitCode.USAGE


class ReportError(UsageError):
    """A report, or a record of a check, is damaged or contradicts itself: it is no evidence."""


class ScanError(DevdiffError):
    """What was given cannot be scanned, so that nothing can be said about it."""

    exit_code = ExitCode.USAGE


class UndecidedError(ScanError):
    """There is too little to scan with, so that nothing found would mean nothing."""


class UnknownOperatorError(ScanError):
    """The model uses an operator, or a form of one, that the differentiable twin does not know."""


class AttestationError(DevdiffError):
    """A statement is not what its key signed, or the files beside it are not what it names."""

    exit_code = ExitCode.FAIL


class HistoryError(DevdiffError):
    """The history of runs cannot be read or written."""

    exit_code = ExitCode.USAGE


class NotTestedError(DevdiffError):
    """A test asked whether a model passed, and something could not run."""

    exit_code = ExitCode.ERROR


class BisectError(DevdiffError):
    """What was given cannot be bisected: two models that do not have the same operators, say."""

    exit_code = ExitCode.USAGE
