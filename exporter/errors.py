"""What the exporter raises on purpose; `devdiff.system.errors` draws the whole tree."""

from __future__ import annotations

from devdiff.system.errors import DevdiffError
from devdiff.system.exit_code import ExitCode


class ExporterError(DevdiffError):
    """Base of all exporter errors."""

    exit_code = ExitCode.USAGE


class SourceModelError(ExporterError):
    """The model that was given cannot be read, or lacks a choice only the user can make."""


class NotInstalledError(SourceModelError):
    """What this kind of model is read and converted with is not installed."""


class ConversionError(ExporterError):
    """The model is readable but cannot be turned into the requested artifact."""


class CompressionError(ExporterError):
    """A compression that was asked for does not exist, or does nothing to the model."""


class CalibrationError(ExporterError):
    """The representative dataset is empty, not finite, or does not fit the model."""


class ArtifactError(ExporterError):
    """A .tflite file or its manifest is damaged, or is not what its manifest says."""


class WorkerError(ExporterError):
    """The child process that does the export died or could not be started."""

    exit_code = ExitCode.ERROR
