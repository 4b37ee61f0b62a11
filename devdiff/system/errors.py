"""The root of everything that devdiff raises on purpose, and what grows from it.

Each room keeps its own branch in a module ``errors``. The exit code of the command stands behind
the names, and holds for what is below unless that has one of its own::

    DevdiffError
    ├── FormatError                     2   devdiff.system.errors
    ├── UsageError                      2   devdiff.errors
    │   ├── UnmeasurableError
    │   └── ReportError
    ├── ComparisonError                 2
    ├── RunDirectoryError               2
    ├── ScanError                       2
    │   ├── UndecidedError
    │   └── UnknownOperatorError
    ├── HistoryError                    2
    ├── BisectError                     2
    ├── AttestationError                1
    ├── NotTestedError                  3
    ├── ExporterError                   2   devdiff.exporter.errors
    │   ├── SourceModelError
    │   │   └── NotInstalledError
    │   ├── ConversionError
    │   ├── CompressionError
    │   ├── CalibrationError
    │   ├── ArtifactError
    │   └── WorkerError                 3
    ├── DeviceRunnerError               3   devdiff.device_runner.errors
    │   ├── PackError
    │   ├── RunnerError
    │   ├── RunnerChoiceError           2
    │   │   └── DeviceChoiceError
    │   │       ├── NoDeviceError
    │   │       └── SeveralDevicesError
    │   ├── ArchiveError                2
    │   │   └── TrailingError
    │   ├── RuntimeLibraryError
    │   │   └── RuntimeArchiveError     2   also an ArchiveError
    │   ├── DeviceError
    │   │   ├── DeviceLostError
    │   │   │   └── TransportTimeoutError
    │   │   ├── DeviceAuthError
    │   │   └── TransferError
    │   └── VirtualPhoneError
    └── HarnessError                    3   devdiff.android_harness.errors
        ├── BuildError
        └── ElfError

Exceptions outside this tree tell one module something of another in the same room, which turns
them into one of these: they reach no user.
"""

from __future__ import annotations

from typing import ClassVar

from devdiff.system.exit_code import ExitCode


class DevdiffError(Exception):
    """Base of all errors; the message says what happened, to what, and what to try."""

    exit_code: ClassVar[ExitCode] = ExitCode.ERROR
    """What a command exits with that this error ended."""


class FormatError(DevdiffError):
    """JSON that is not of the form that is read here; the message begins with the field."""

    exit_code = ExitCode.USAGE
