"""What a user may choose about a test, as values; every default stands here, once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

Delegate = Literal["xnnpack", "none", "gpu", "nnapi"]
OutputKind = Literal["classes", "values"]

ATOL: Final = 1e-5
RTOL: Final = 1e-4
"""Relative to the output's peak. Good conversions stay within two millionths of it, wrong ones are
off by most of it."""
MAX_DROP: Final = 0.05
"""What a task's metric may lose: as much as the agreement that compressed classifiers need leaves.
"""
OWN_ANSWERS_MAX_DROP: Final = 0.1
"""Beside the truth, answers that get better make up for those that get worse; beside the source's
own answers every change is a loss."""
OWN_BOXES_MAX_DROP: Final = 0.2
"""COCO's strictest overlaps ask for boxes to within a few per cent, and int8 boxes move by a step.
"""
SEED: Final = 0
HISTORY_LIMIT: Final = 20
"""Runs that are shown, the latest first."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model is meant, for every verb.

    ``path`` is a source model or a finished .tflite; ``source`` and ``floating`` are the source
    model and the float32 artifact of a finished int8 one. ``shapes`` fix dynamic axes by input,
    ``signature`` chooses one of a SavedModel's, ``trust`` allows code in the source's file to run.
    """

    path: Path
    source: Path | None = None
    floating: Path | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    signature: str | None = None
    trust: bool = False

    @property
    def finished(self) -> bool:
        """Whether it is a .tflite, which is tested as it is."""
        return self.path.suffix == ".tflite"

    def files(self) -> Iterator[tuple[str, Path]]:
        """The files it names, by what they are called in a configuration."""
        for key, path in (("model", self.path), ("source", self.source), ("float", self.floating)):
            if path is not None:
                yield key, path


@dataclass(frozen=True, slots=True)
class Running:
    """Where a model runs: ``device`` as `devdiff.ladder.device_selection.open_device` takes it.

    ``host_runtimes`` are named as `HostRunner.parse` takes them; with none, `hosts` chooses.
    ``runtime`` is the device's runtime library: a path, a pinned one's name, or None.
    ``keep_going`` passes over samples that kill the runner on a phone.
    """

    device: str | None = None
    host_runtimes: tuple[str, ...] = ()
    runtime: str | None = None
    delegate: Delegate = "xnnpack"
    threads: int = 1
    keep_going: bool = False
    timeout_s: float = 120.0

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host runtimes, the main one first.

        Left open, it is LiteRT with the kind of kernels the device runs, so that a difference
        between the two is the device's.
        """
        builtin = self.delegate == "none" and self.device != "none"
        return self.host_runtimes or (("litert:builtin",) if builtin else ("litert",))

    def fingerprint(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "host_runtimes": self.hosts}


@dataclass(frozen=True, slots=True)
class Gates:
    """What may differ before a verdict is ``fail``.

    ``atol`` and ``rtol`` are ``VALUE`` or ``OUTPUT:VALUE``, as on the command line; what they leave
    out is `ATOL` and `RTOL`. ``min_variation_snr_db``: a third of what varies is noise; honest int8
    models keep 6 dB and more, ruined ones under 4. ``min_samples``: eight samples see, with 95 %
    confidence, a fault that hits a third of the inputs.
    """

    atol: tuple[str, ...] = ()
    rtol: tuple[str, ...] = ()
    min_agreement: float = 0.95
    min_snr_db: float = 10.0
    min_variation_snr_db: float = 5.0
    max_lsb: int = 1
    exact: bool = False
    min_samples: int = 8
    classifiers: tuple[str, ...] = ()

    def fingerprint(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as worse than a baseline; see `devdiff.gate.baseline`.

    ``max_slowdown`` None: time is told and does not count. ``other_inputs`` and ``other_model``
    allow a comparison with a run over other inputs, or of a model of another name.
    """

    max_snr_loss_db: float = 1.0
    max_slowdown: float | None = None
    other_inputs: bool = False
    other_model: bool = False


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How much a scan may look at: samples, seconds, placebos.

    ``input`` is the one that is changed, the others stay as each sample has them; None takes the
    only float one. ``output`` None chooses one. ``output_kind`` None takes declared scores, and
    any output [1, C >= 2], for class scores.
    """

    samples: int = 100
    budget_s: float = 840.0
    placebos: int = 2
    seed: int = SEED
    input: str | None = None
    output: str | None = None
    output_kind: OutputKind | None = None


@dataclass(frozen=True, slots=True)
class BisectSettings:
    """How closely a bisection looks.

    The first ``samples`` are looked at, and those that differ most where none of them does.
    ``suspects`` operators run alone; ``walk`` cuts behind every one. ``keep_float`` layers are
    exported in float32, the costliest first, to see what that brings.
    """

    samples: int = 8
    suspects: int = 3
    walk: bool = False
    keep_float: int = 3


DEFAULT_RUNNING: Final = Running()
DEFAULT_GATES: Final = Gates()
BISECT_GATES: Final = Gates(max_lsb=0)
"""Of two places that are bisected without a run: any step of a quantized tensor is a difference."""
DEFAULT_RULES: Final = Rules()
DEFAULT_SCAN: Final = ScanSettings()
DEFAULT_BISECT: Final = BisectSettings()
HOST_ONLY: Final = Running(device="none")
