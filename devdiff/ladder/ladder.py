"""The ladder: the places where the same inputs are run, and the steps between them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

import numpy as np

from devdiff.device_runner.errors import DeviceRunnerError
from devdiff.device_runner.host.host_runner import SOURCE_RUNNER
from devdiff.device_runner.pack import PackTensor
from devdiff.device_runner.results import ResultReader
from devdiff.device_runner.runner import Job, Runner
from devdiff.errors import RunDirectoryError
from devdiff.exporter.artifact import Array, Artifact, Binding, TensorSpec, sha256_file
from devdiff.ladder.run_directory import read_json, write_json

if TYPE_CHECKING:
    from devdiff.exporter.manifest import PrunedSource
    from devdiff.exporter.recipe import Recipe
    from devdiff.inputs.input_set import InputSet

Step = Literal[
    "pruning",
    "conversion",
    "compression",
    "conversion+compression",
    "deployment",
    "runtime",
    "all",
]
FULL: Final = "full"


class Placed(Protocol):
    """What decides which step lies between two rungs; see `Rung`."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def pruning(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Rung:
    """One place: a model file, the runner it runs in, and how its tensors map to the source's.

    ``precision`` and ``pruning`` (its text form) say what was done to the weights, ``kinds`` which
    operators it has, as far as that is known.
    """

    name: str
    model: Path
    sha256: str
    precision: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    runner: Runner
    pruning: str | None = None
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RungPair:
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
    """What one rung left: its result pack and what really ran.

    ``error`` is set when it could not run; times are per sample, of the invocation only. ``size``
    is the model file's in bytes, None of a folder.
    """

    name: str
    runner: str
    precision: str
    model: str
    sha256: str
    outputs: tuple[Binding, ...]
    pack: Path
    pruning: str | None = None
    kinds: frozenset[str] = frozenset()
    identity: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 0
    failed: int = 0
    results_sha256: str | None = None
    wall_s: float = 0.0
    median_ms: float | None = None
    p90_ms: float | None = None
    error: str | None = None
    size: int | None = None

    @property
    def runtime_version(self) -> str | None:
        """The runtime's version: by its own word, else by the package it came in."""
        library: Mapping[str, Any] = self.identity.get("library") or {}
        version = self.about.get("runtime_version") or library.get("version")
        return str(version) if version else None

    def to_json(self) -> dict[str, Any]:
        """The record of the report; the pack and the bindings are found by other means."""
        return {
            "name": self.name,
            "runner": self.runner,
            "precision": self.precision,
            "pruning": self.pruning,
            "model": {"file": self.model, "sha256": self.sha256},
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
            "bytes": self.size,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], outputs: tuple[Binding, ...], pack: Path) -> Self:
        """The result behind a record that `to_json` wrote. Raises `KeyError` when it is not one."""
        return cls(
            name=data["name"],
            runner=data["runner"],
            precision=data["precision"],
            model=data["model"]["file"],
            sha256=data["model"]["sha256"],
            outputs=outputs,
            pack=pack,
            pruning=data["pruning"],
            identity=data["identity"],
            about=data["about"],
            samples=data["samples"],
            failed=data["failed"],
            results_sha256=data["results_sha256"],
            wall_s=data["time"]["wall_s"],
            median_ms=data["time"]["median_ms"],
            p90_ms=data["time"]["p90_ms"],
            error=data["error"],
            size=data.get("bytes"),
        )


def source_rung(
    path: Path, sha256: str, inputs: Sequence[Binding], outputs: Sequence[Binding], runner: Runner
) -> Rung:
    """The source model itself: its tensors are the source's by definition."""
    return Rung(
        "source",
        path,
        sha256,
        "float32",
        tuple(identity(binding.source) for binding in inputs),
        tuple(identity(binding.source) for binding in outputs),
        runner,
    )


def pruned_rung(source: Rung, path: Path, pruned: PrunedSource) -> Rung:
    """The source with its weights pruned, which is ONNX wherever the source came from."""
    return replace(
        source,
        name="pruned",
        model=path,
        sha256=pruned.sha256,
        pruning=str(pruned.pruning),
        runner=SOURCE_RUNNER,
    )


def artifact_rung(
    name: str,
    artifact: Artifact,
    recipe: Recipe,
    runner: Runner,
) -> Rung:
    return Rung(
        name,
        artifact.path,
        artifact.sha256,
        recipe.precision,
        artifact.inputs,
        artifact.outputs,
        runner,
        str(recipe.pruning) if recipe.pruning else None,
        artifact.kinds,
    )


def identity(spec: TensorSpec) -> Binding:
    """A tensor bound to itself."""
    return Binding(spec, spec, tuple(range(len(spec.shape))), "")


def on_the_way(name: str) -> bool:
    """Whether a rung lies between the source and the device, and not beside that way."""
    return "@" not in name and name != FULL


def pairs(rungs: Sequence[Placed]) -> tuple[RungPair, ...]:
    """The steps of a ladder: neighbours, each side rung against its own, and the whole way."""
    main = [rung for rung in rungs if on_the_way(rung.name)]
    found = [
        RungPair(lower.name, upper.name, _step(lower, upper), True)
        for lower, upper in itertools.pairwise(main)
    ]
    for rung in rungs:
        base, at, _ = rung.name.partition("@")
        if at:
            found.append(RungPair(base, rung.name, "runtime", False))
        elif rung.name == FULL:
            found.append(RungPair(main[0].name, rung.name, _step(main[0], rung), True))
    if len(main) > 2:
        found.append(RungPair(main[0].name, main[-1].name, "all", False))
    return tuple(found)


def _step(lower: Placed, upper: Placed) -> Step:
    if lower.sha256 == upper.sha256:
        return "deployment"
    if upper.name == "pruned":
        return "pruning"
    if lower.name in ("source", "pruned"):
        same = (lower.precision, lower.pruning) == (upper.precision, upper.pruning)
        return "conversion" if same else "conversion+compression"
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
    empty = RungResult(
        rung.name,
        rung.runner.name,
        rung.precision,
        rung.model.name,
        rung.sha256,
        rung.outputs,
        pack,
        rung.pruning,
        rung.kinds,
        size=rung.model.stat().st_size if rung.model.is_file() else None,
    )
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
    # How the outputs map to the source's stands in no report, and its figures are found by it.
    write_json(record, result.to_json() | {"outputs": [asdict(output) for output in rung.outputs]})
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
        result = RungResult.from_json(read_json(record), rung.outputs, pack)
        if result.sha256 != rung.sha256 or sha256_file(pack) != result.results_sha256:
            return None
    except (RunDirectoryError, OSError, KeyError, TypeError):
        return None
    return replace(result, kinds=rung.kinds)
