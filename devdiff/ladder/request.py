"""What one test is asked for, and what comes of it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devdiff.exporter.artifact import sha256_path
from devdiff.exporter.compression import INT8_ONLY, Compression
from devdiff.inputs import input_set as data
from devdiff.inputs.input_set import InputRequest
from devdiff.options import DEFAULT_GATES, DEFAULT_RUNNING, Gates, Running
from devdiff.report.model import Report
from devdiff.scan.options import ScanSettings
from devdiff.tasks.request import TaskRequest


@dataclass(frozen=True, slots=True)
class LadderRequest:
    """Everything that decides what a test does and allows.

    ``source`` and ``floating`` are the source model and the float32 artifact of a finished int8
    ``model``; ``shapes`` fix dynamic axes, ``signature`` chooses one of a SavedModel's, ``trust``
    allows code in the source's file to run. ``compression`` (None: int8) is for a source model;
    ``full`` adds the rung of its float32 artifact as it is without pruning, ``hold_out`` keeps
    calibration samples out of the test also where the compression needs none. With ``scan`` the run
    is scanned for what only the compressed model does. Unless ``gated``, what compression and
    deployment change does not count: the scan decides, and that the full model is the source.
    ``task`` is what the model is for; left out, labels make it classification, which is then
    reported and not judged.
    """

    model: Path
    source: Path | None = None
    floating: Path | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    signature: str | None = None
    trust: bool = False
    compression: Compression | None = None
    full: bool = False
    hold_out: bool = False
    data: InputRequest = data.SYNTHETIC
    running: Running = DEFAULT_RUNNING
    gates: Gates = DEFAULT_GATES
    scan: ScanSettings | None = None
    gated: bool = True
    task: TaskRequest | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Names the test; equal ones may continue each other."""
        return {
            "devdiff": importlib.metadata.version("devdiff"),
            "files": [
                [str(path.resolve()), sha256_path(path)] if path else None
                for path in (self.model, self.source, self.floating)
            ],
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "signature": self.signature,
            "trust": self.trust,
            "compression": asdict(self.compression or INT8_ONLY),
            "full": self.full,
            "hold_out": self.hold_out,
            "data": self.data.fingerprint(),
            "running": self.running.fingerprint(),
            "gates": self.gates.fingerprint(),
            "scan": asdict(self.scan) if self.scan else None,
            "gated": self.gated,
            "task": self.task.fingerprint() if self.task else None,
        }


@dataclass(frozen=True, slots=True)
class LadderOutcome:
    """The finished report (also in ``directory/report.json``) and the exit code it stands for.

    ``page`` is the report for people; None when it could not be written.
    """

    report: Report
    directory: Path
    exit_code: int
    page: Path | None = None
