"""What one test is asked for, and what comes of it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devdiff.exporter.artifact import sha256_path
from devdiff.exporter.compression import INT8_ONLY, Compression
from devdiff.inputs import input_set as data
from devdiff.inputs.input_set import InputRequest
from devdiff.options import DEFAULT_GATES, DEFAULT_RUNNING, Gates, ModelSpec, Running, ScanSettings
from devdiff.report.model import Report
from devdiff.tasks.request import TaskRequest

if TYPE_CHECKING:
    from devdiff.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LadderRequest:
    """Everything that decides what a test does and allows.

    ``compression`` (None: int8) is for a source model; ``full`` adds the rung of its float32
    artifact as it is without pruning, ``hold_out`` keeps calibration samples out of the test also
    where the compression needs none. With ``scan`` the run is scanned for what only the compressed
    model does. Unless ``gated``, what compression and deployment change does not count: the scan
    decides, and that the full model is the source. ``task`` is what the model is for; left out,
    labels make it classification, which is then reported and not judged.
    """

    model: ModelSpec
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
                for path in (self.model.path, self.model.source, self.model.floating)
            ],
            "shapes": {name: list(shape) for name, shape in self.model.shapes.items()},
            "signature": self.model.signature,
            "trust": self.model.trust,
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

    @property
    def verdict(self) -> Verdict:
        return self.report.verdict
