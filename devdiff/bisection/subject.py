"""What is bisected: files, samples and places, from a finished run or named one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from devdiff.comparison import Tolerances
from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import BisectError, UsageError
from devdiff.exporter.artifact import Artifact, sha256_path
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import ArtifactRecord, Manifest, bind
from devdiff.exporter.worker_client import ExportWorker
from devdiff.inputs import input_set as data
from devdiff.inputs.input_set import InputRequest, InputSet
from devdiff.ladder import pairing, subject
from devdiff.ladder.run_directory import RUN_NAME, read_json
from devdiff.ladder.subject import Subject
from devdiff.options import (
    BISECT_GATES,
    DEFAULT_BISECT,
    DEFAULT_RUNNING,
    BisectSettings,
    Gates,
    ModelSpec,
    Running,
)
from devdiff.report import load

if TYPE_CHECKING:
    from devdiff.progress import Events
    from devdiff.report.model import Attribution, Report


@dataclass(frozen=True, slots=True)
class BisectRequest:
    """What to bisect, and how closely to look.

    ``model`` is a .tflite, or the directory of a finished run as its path. ``between`` are two
    places as `devdiff.bisection.endpoints` reads them; ``against`` is another file of the same
    operators for the second one. ``gates`` None is what the run allowed, without a run nothing but
    a float's rounding. ``chosen`` are the fields of ``running`` that also hold where the run ran
    otherwise and the value is the usual one.
    """

    model: ModelSpec
    between: tuple[str, str] | None = None
    against: Path | None = None
    data: InputRequest = data.SYNTHETIC
    running: Running = DEFAULT_RUNNING
    chosen: tuple[str, ...] = ()
    gates: Gates | None = None
    settings: BisectSettings = DEFAULT_BISECT

    def fingerprint(self) -> dict[str, Any]:
        """Names the request; equal ones may continue each other."""
        files = (self.model.path, self.against, self.model.floating, self.model.source)
        return {
            "bisect": list(self.between or ()),
            "files": [
                [str(path.resolve()), sha256_path(path) if path.is_file() else None]
                for path in files
                if path is not None
            ],
            "shapes": {name: list(shape) for name, shape in self.model.shapes.items()},
            "signature": self.model.signature,
            "trust": self.model.trust,
            "data": self.data.fingerprint(),
            "running": self.running.fingerprint(),
            "chosen": list(self.chosen),
            "gates": self.gates.fingerprint() if self.gates else None,
            "settings": asdict(self.settings),
        }


@dataclass(frozen=True, slots=True, eq=False)
class BisectSubject:
    """What there is to bisect.

    ``files`` are the artifacts by rung, ``float`` and ``int8``; ``blamed`` the two rungs between
    which a run failed. ``shown`` are tested samples that a run saw differ, the worst first.
    ``recorded_device`` is the device that the run ran on, where no other was asked for.
    """

    read: Subject
    files: Mapping[str, tuple[Artifact, ArtifactRecord]]
    samples: InputSet
    running: Running
    gates: Gates
    blamed: tuple[str, str] | None = None
    shown: tuple[int, ...] = ()
    manifest: Manifest | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    recorded_device: str | None = None


def is_run(path: Path) -> bool:
    return (path / RUN_NAME).is_file()


def check(request: BisectRequest) -> None:
    """A first look that needs no framework. Raises `UsageError`."""
    if request.gates is not None:
        _check_limits(request.gates)
    path, keep_float = request.model.path, request.settings.keep_float
    if keep_float < 0:
        raise UsageError(f"--keep-float {keep_float}: give 0 or more layers")
    if is_run(path):
        _check_of_run(request)
        return
    if path.is_dir():
        raise UsageError(f"{path} is no run directory: name one, or a .tflite")
    subject.check_paths(request.model)
    if not request.model.finished:
        raise UsageError(
            f"{path} is a source model: bisect takes the .tflite made from it, or the "
            "directory of a run of devdiff export-and-test"
        )
    if request.against is not None:
        subject.check_paths(ModelSpec(request.against))


def _check_of_run(request: BisectRequest) -> None:
    """Of a run everything is known that tells what was tested. Raises `UsageError`."""
    for flag, given in (
        ("--inputs", request.data.inputs),
        ("--calibration", request.data.calibration),
        ("--source", request.model.source),
        ("--float", request.model.floating),
        ("--shape", " ".join(request.model.shapes)),
        ("--signature", request.model.signature),
        ("--seed", request.data.seed),
        ("--limit", request.data.limit),
    ):
        if given:
            raise UsageError(
                f"{flag} {given}: a run is bisected with its own files and samples; to take "
                "others, name the artifact itself (devdiff bisect FILE.tflite --inputs …)"
            )


def _check_limits(gates: Gates) -> None:
    named = next((value for value in (*gates.atol, *gates.rtol) if ":" in value), None)
    if named is not None:
        raise UsageError(
            f"{named}: every tensor on the way is held to one tolerance; give a number alone"
        )
    Tolerances.parse(gates.atol, gates.rtol, ())
    if gates.max_lsb < 0:
        raise UsageError(f"--max-lsb {gates.max_lsb}: give 0 or more steps")


def from_files(request: BisectRequest, folder: Path, log: Path, events: Events) -> BisectSubject:
    """The files and samples that the request names; the samples are fixed in ``folder``."""
    events.phase("reading the model")
    with ExportWorker(log) as worker:
        read = subject.read(worker, request.model)
        events.phase("preparing inputs")
        samples = data.prepare(
            request.data,
            read.inputs,
            read.index_limits,
            folder,
            calibrate=read.source is not None,
            progress=events.progress,
        )
    read = _paired(read, samples, request.running, log, events)
    found = subject.artifacts(read, None, request.model.path.parent)
    files = _by_rung(found)
    gates = request.gates or BISECT_GATES
    shapes = request.model.shapes
    return BisectSubject(read, files, samples, request.running, gates, shapes=shapes)


def from_run(request: BisectRequest, log: Path, events: Events) -> BisectSubject:
    """What a finished run tested, where, and on what. Raises `UsageError`."""
    folder = request.model.path
    report = load.load(load.locate(folder))
    if not (folder / "inputs").is_dir():
        raise UsageError(
            f"{folder} lacks the inputs of its run: name the artifact itself, and the inputs "
            "(devdiff bisect FILE.tflite --inputs …)"
        )
    asked = read_json(folder / RUN_NAME)["request"]
    paths = [_unchanged(entry) for entry in asked["files"]]
    model = paths[0]
    assert model is not None
    shapes = {name: tuple(shape) for name, shape in asked["shapes"].items()}
    events.phase("reading the model")
    with ExportWorker(log) as worker:
        spec = ModelSpec(model, paths[1], paths[2], shapes, asked["signature"], asked["trust"])
        read = subject.read(worker, spec)
    samples = data.prepare(
        data.SYNTHETIC, read.inputs, read.index_limits, folder / "inputs", calibrate=False
    )
    manifest = None if read.finished else Manifest.load(folder / "artifacts")
    running = _running(asked["running"], request, report)
    read = _paired(read, samples, running, log, events)
    found = subject.artifacts(read, manifest, folder / "artifacts")
    blamed = report.attribution
    return BisectSubject(
        read,
        _by_rung(found),
        samples,
        running,
        request.gates or Gates(**_tuples(asked["gates"])),
        (blamed.reference, blamed.candidate) if blamed else None,
        _shown(report, blamed),
        manifest,
        shapes,
        _recorded_device(report) if request.running.device is None else None,
    )


def _paired(
    read: Subject, samples: InputSet, running: Running, log: Path, events: Events
) -> Subject:
    """The model with the tensors of finished files bound as a test binds them, by running where
    names and shapes leave a choice. What was exported has its manifest, which says so already."""
    if read.source is None or not read.finished:
        return read
    runner = HostRunner.parse(running.hosts[0], running.threads)
    folder = log.with_name("pairing")
    return pairing.pair(
        read, None, samples, log.parent, folder, runner, running.timeout_s, events
    ).subject


def _by_rung(
    found: Sequence[tuple[Artifact, ArtifactRecord]],
) -> dict[str, tuple[Artifact, ArtifactRecord]]:
    return {record.recipe.rung: (artifact, record) for artifact, record in found}


def _unchanged(entry: Sequence[Any] | None) -> Path | None:
    """A file the run tested, if it is still what it was."""
    if entry is None:
        return None
    path = Path(entry[0])
    if not path.exists() or sha256_path(path) != entry[1]:
        raise UsageError(
            f"{path} is not the file any more that the run tested: bring it back, or name the "
            "artifact itself (devdiff bisect FILE.tflite --inputs …)"
        )
    return path


def _running(ran: Mapping[str, Any], request: BisectRequest, report: Report) -> Running:
    """Where the run ran, but for what was asked for now.

    A run that was left to choose its device did, and whatever is attached by now may be another.
    """
    running, asked = Running(**_tuples(ran)), asdict(request.running)
    usual = asdict(DEFAULT_RUNNING)
    chosen = {
        name: value
        for name, value in asked.items()
        if value != usual[name] or name in request.chosen
    }
    if "device" not in chosen and running.device is None:
        chosen["device"] = _recorded_device(report)
    return replace(running, **chosen)


def _recorded_device(report: Report) -> str | None:
    """What ran the device rung, as ``--device`` takes it; None where there was none."""
    found = report.rung("device")
    return found.runner if found is not None else None


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def _shown(report: Report, blamed: Attribution | None) -> tuple[int, ...]:
    """The samples a failed step names: changed answers, failures, the largest errors."""
    found: dict[int, None] = {}
    if blamed is None:
        return ()
    for pair in report.pairs:
        comparison = pair.comparison
        mine = (pair.reference, pair.candidate) == (blamed.reference, blamed.candidate)
        if comparison is None or not mine:
            continue
        for answers in comparison.classifications:
            found |= dict.fromkeys(flip.sample for flip in answers.kept_flips)
        found |= dict.fromkeys(failure.sample for failure in comparison.failures)
        worst = [sample for output in comparison.outputs for sample in output.worst]
        worst.sort(key=lambda sample: -sample.error)
        found |= dict.fromkeys(sample.sample for sample in worst)
    return tuple(found)


def chosen(samples: InputSet, rows: Sequence[int]) -> InputSet:
    """Some of the tested samples, by their places, without labels."""
    few = replace(samples, tested=samples.tested[np.asarray(rows, np.int64)], labels=None)
    digest = hashlib.sha256()
    for row in range(len(few)):
        for name, value in sorted(few.sample(row).items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(value).data)
    return replace(few, sha256=digest.hexdigest())


def other_file(given: BisectSubject, path: Path, log: Path) -> tuple[Artifact, ArtifactRecord]:
    """A second file with the tensors of the first. Raises `BisectError` when they are not."""
    with ExportWorker(log) as worker:
        record = worker.inspect(path)
    first = next(iter(given.files.values()))[1]
    shape = [[(b.artifact.shape, b.artifact.dtype) for b in r.inputs] for r in (first, record)]
    if shape[0] != shape[1]:
        raise BisectError(
            f"{path} and {given.read.model} do not take the same inputs: two forms of one model "
            "have the same operators in the same order"
        )
    try:
        inputs = tuple(
            replace(mine, artifact=other.artifact, signature_name=other.signature_name)
            for mine, other in zip(first.inputs, record.inputs, strict=True)
        )
    except ArtifactError as error:
        raise BisectError(f"{path}: {error}") from error
    return bind(replace(record, inputs=inputs), path.parent), record
