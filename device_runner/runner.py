"""The one protocol every runner speaks: a model and samples in, a result pack out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from devdiff.device_runner.pack import PackTensor
from devdiff.exporter.artifact import Array


@dataclass(frozen=True, slots=True)
class Job:
    """One model over one input set.

    ``encode(i)`` gives sample ``i`` as the model takes it: one array per entry of ``tensors``, in
    that order. ``results`` becomes a complete result pack of ``samples`` records; what an earlier,
    interrupted run left there is kept and continued. ``log`` collects what the runner prints.
    ``timeout_s`` is how long one sample may take (the first one includes loading the model).
    """

    model: Path
    tensors: tuple[PackTensor, ...]
    samples: int
    encode: Callable[[int], Sequence[Array]]
    results: Path
    log: Path
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ran (the runner's own words) and how many samples an earlier run had already done."""

    about: Mapping[str, Any]
    resumed: int


class Runner(Protocol):
    """Runs jobs somewhere: in a process on this machine, or on a device."""

    @property
    def name(self) -> str:
        """Short name for reports: ``litert``, ``tflite-runtime``, ``local``."""

    def identity(self) -> Mapping[str, Any]:
        """What will run, by version and hash, as far as it is known before running."""

    def run(self, job: Job, progress: Callable[[int], None]) -> Outcome:
        """Run ``job``, calling ``progress`` with the number of samples done.

        Raises `RunnerError` when the model cannot be loaded or the runner keeps dying; a sample
        that fails or kills the runner is a record of the result pack, not an exception.
        """
