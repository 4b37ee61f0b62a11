"""What ran where, and on which inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from devdiff.inputs.lint import DataWarning
from devdiff.system.typed_json import Count, Record, Sha256


class FileRecord(Record, frozen=True):
    """A model file by its name and SHA-256."""

    file: str
    sha256: Sha256


class CalibrationRecord(Record, frozen=True):
    """Where the representative dataset came from."""

    origin: str
    samples: Count


class InputsRecord(Record, frozen=True, omit_defaults=True):
    """The inputs of a run; ``preprocess`` are the steps that were declared, by name.

    ``available`` are the samples that a run without a limit would have tested, null where all were.
    """

    origin: str
    samples: Count
    synthetic: bool
    labelled: bool
    sha256: Sha256
    preprocess: Mapping[str, Any]
    seed: int
    calibration: CalibrationRecord
    notes: tuple[str, ...]
    available: Count | None = None
    warnings: tuple[DataWarning, ...] = ()


class DeviceRecord(Record, frozen=True):
    """A device as it describes itself; ``cores`` counts its CPU cores by kind."""

    serial: str
    model: str
    virtual: bool
    platform: str = ""
    release: str | None = None
    api: int | None = None
    abis: tuple[str, ...] = ()
    soc: str | None = None
    cores: Mapping[str, int] = msgspec.field(default_factory=dict)
    cpu_features: tuple[str, ...] = ()
    machine: str = ""
    kernel: str = ""
    free_bytes: int | None = None
    emulator: bool = False
    runner_abi: str | None = None


class RunnerRecord(Record, frozen=True, omit_defaults=True):
    """The native runner's file."""

    sha256: Sha256
    path: str = ""
    abi: str | None = None


class LibraryRecord(Record, frozen=True):
    """A runtime library: as `devdiff.device_runner.runtimes.runtime.RuntimeLibrary`."""

    sha256: Sha256
    origin: str
    version: str | None = None
    api: str = ""
    path: str = ""
    notes: tuple[str, ...] = ()


class Identity(Record, frozen=True, omit_defaults=True):
    """What ran a rung; ``device`` is a word where it is no device: ``local``."""

    runtime: str | None = None
    version: str | None = None
    kernels: str | None = None
    delegate: str | None = None
    device: DeviceRecord | str | None = None
    runner: RunnerRecord | None = None
    library: LibraryRecord | None = None

    @property
    def phone(self) -> DeviceRecord | None:
        """The device, where it is one or an emulation of one."""
        return self.device if isinstance(self.device, DeviceRecord) else None
