"""The ladder: the places where the same inputs are run, and the steps between them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from devdiff.data.inputs import InputSet
from devdiff.errors import RunDirectoryError
from devdiff.rundir import read_json, write_json
from device_runner.errors import DeviceRunnerError
from device_runner.pack import PackTensor
from device_runner.results import ResultReader
from device_runner.runner import Job, Runner
from exporter.artifact import Array, Artifact, Binding, TensorSpec, sha256_file

Step = Literal[
    "conversion", "compression", "conversion+compression", "deployment", "runtime", "all"
]


@dataclass(frozen=True, slots=True)
class Rung:
    """One place: a model file, the runner it runs in, and how its tensors map to the source's."""

    name: str
    model: Path
    sha256: str
    precision: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    runner: Runner


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rungs one step apart; ``gates`` says whether the verdict counts it.

    The step ``all`` is the whole way from the first rung to the last, ``runtime`` a change of the
    host runtime alone.
    """

    reference: str
    candidate: str
    step: Step
    gates: bool


@dataclass(frozen=True, slots=True)
class RungResult:
    """What one rung left: its result pack and what really ran. ``error`` is set when it could not
    run; times are per sample, invocation only."""

    rung: Rung
    pack: Path
    samples: int
    failed: int
    about: Mapping[str, Any]
    identity: Mapping[str, Any]
    results_sha256: str | None
    wall_s: float
    median_ms: float | None
    p90_ms: float | None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.rung.name,
            "runner": self.rung.runner.name,
            "precision": self.rung.precision,
            "model": {"file": self.rung.model.name, "sha256": self.rung.sha256},
            "identity": dict(self.identity),
            "about": dict(self.about),
            "samples": self.samples,
            "failed": self.failed,
            "time": {
                "wall_s": round(self.wall_s, 3),
                "median_ms": self.median_ms,
                "p90_ms": self.p90_ms,
            },
            "results_sha256": self.results_sha256,
            "error": self.error,
        }


def source_rung(
    path: Path, sha256: str, inputs: Sequence[Binding], outputs: Sequence[Binding], runner: Runner
) -> Rung:
    """The source model itself: its tensors are the source's by definition."""
    return Rung(
        "source",
        path,
        sha256,
        "float32",
        tuple(_identity(binding.source) for binding in inputs),
        tuple(_identity(binding.source) for binding in outputs),
        runner,
    )


def artifact_rung(name: str, artifact: Artifact, precision: str, runner: Runner) -> Rung:
    return Rung(
        name,
        artifact.path,
        artifact.sha256,
        precision,
        artifact.inputs,
        artifact.outputs,
        runner,
    )


def _identity(spec: TensorSpec) -> Binding:
    return Binding(spec, spec, tuple(range(len(spec.shape))), "")


def pairs(rungs: Sequence[Rung]) -> tuple[Pair, ...]:
    """The steps of a ladder: neighbours, each side rung against its own, and the whole way."""
    main = [rung for rung in rungs if "@" not in rung.name]
    found = [
        Pair(lower.name, upper.name, _step(lower, upper), True)
        for lower, upper in itertools.pairwise(main)
    ]
    for rung in rungs:
        base, at, _ = rung.name.partition("@")
        if at:
            found.append(Pair(base, rung.name, "runtime", False))
    if len(main) > 2:
        found.append(Pair(main[0].name, main[-1].name, "all", False))
    return tuple(found)


def _step(lower: Rung, upper: Rung) -> Step:
    if lower.sha256 == upper.sha256:
        return "deployment"
    if lower.name == "source":
        return "conversion" if upper.precision == "float32" else "conversion+compression"
    return "compression"


def file_name(rung: str) -> str:
    """A rung's name as part of a file name."""
    return rung.replace(":", "-")


def run_rung(
    rung: Rung,
    inputs: InputSet,
    folder: Path,
    log: Path,
    timeout_s: float,
    progress: Callable[[int], None],
) -> RungResult:
    """Run one rung into ``folder``, or take over what an interrupted run measured there.

    A rung that cannot run is a result with ``error`` set, not an exception: the others still count.
    """
    pack = folder / f"{file_name(rung.name)}.pack"
    record = folder / f"{file_name(rung.name)}.json"
    finished = _finished(record, pack, rung)
    if finished is not None:
        progress(len(inputs))
        return finished
    job = Job(
        model=rung.model,
        tensors=tuple(PackTensor.of(b.artifact, b.signature_name) for b in rung.inputs),
        samples=len(inputs),
        encode=_encoder(rung.inputs, inputs),
        results=pack,
        log=log,
        timeout_s=timeout_s,
    )
    started = time.monotonic()
    empty = RungResult(rung, pack, 0, 0, {}, {}, None, 0.0, None, None)
    try:
        identity = rung.runner.identity()
        empty = replace(empty, identity=identity)
        outcome = rung.runner.run(job, progress)
    except DeviceRunnerError as error:
        return replace(empty, wall_s=time.monotonic() - started, error=str(error))
    timing, failed = _timing(pack)
    result = replace(
        empty,
        samples=len(inputs),
        failed=failed,
        about=outcome.about,
        results_sha256=sha256_file(pack),
        wall_s=time.monotonic() - started,
        median_ms=timing[0],
        p90_ms=timing[1],
    )
    write_json(record, result.to_json())
    return result


def _encoder(bindings: tuple[Binding, ...], inputs: InputSet) -> Callable[[int], Sequence[Array]]:
    def encode(index: int) -> Sequence[Array]:
        sample = inputs.sample(index)
        return [binding.encode(sample[binding.source.name]) for binding in bindings]

    return encode


def _timing(pack: Path) -> tuple[tuple[float | None, float | None], int]:
    """Median and 90th percentile of the invocations in milliseconds, and failed samples."""
    reader = ResultReader(pack)
    times, statuses = reader.nanoseconds(), reader.statuses()
    good = times[statuses == 0]
    failed = int(len(statuses) - len(good))
    if len(good) == 0:
        return (None, None), failed
    median, p90 = np.percentile(good / 1e6, [50, 90])
    return (round(float(median), 4), round(float(p90), 4)), failed


def _finished(record: Path, pack: Path, rung: Rung) -> RungResult | None:
    """The result an earlier process of this run recorded, if its files are what it says."""
    try:
        data = read_json(record)
        if data["model"]["sha256"] != rung.sha256 or sha256_file(pack) != data["results_sha256"]:
            return None
    except (RunDirectoryError, OSError, KeyError):
        return None
    timing = data["time"]
    return RungResult(
        rung=rung,
        pack=pack,
        samples=data["samples"],
        failed=data["failed"],
        about=data["about"],
        identity=data["identity"],
        results_sha256=data["results_sha256"],
        wall_s=timing["wall_s"],
        median_ms=timing["median_ms"],
        p90_ms=timing["p90_ms"],
    )
