"""Single runs kept on disk, and the comparison of two of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from devdiff.device_runner.errors import RunnerError
from devdiff.device_runner.host.host_runner import DISTRIBUTIONS, SOURCE_RUNTIMES, HostRunner
from devdiff.device_runner.native.local_runner import LocalRunner
from devdiff.errors import UsageError
from devdiff.exporter.artifact import sha256_file
from devdiff.exporter.manifest import binding_from_json
from devdiff.exporter.sources.formats import format_of
from devdiff.exporter.worker_client import ExportWorker
from devdiff.inputs import input_set as data
from devdiff.inputs.input_set import InputRequest
from devdiff.ladder import ladder, pairing, subject
from devdiff.ladder.judge import JudgedPair, classifier_outputs, judge_pairs
from devdiff.ladder.ladder import Rung, RungPair, RungResult, Step
from devdiff.ladder.run_directory import REPORT_NAME, read_json, write_json
from devdiff.progress import Events, SilentEvents
from devdiff.report import basis

if TYPE_CHECKING:
    from devdiff.device_runner.runner import Runner
    from devdiff.inputs.input_set import InputSet
    from devdiff.options import Gates

SCHEMA_VERSION: Final = 1
_RECORD: Final = "run.json"
_LABELS: Final = "labels.npy"
_BEGUN: Final = ".unfinished"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One model, one place, one input set. ``on`` None is the format's usual host runtime.

    With the ``source`` of a finished .tflite ``model``, inputs and outputs go by the source's names
    and layout, as in a test of the two.
    """

    model: Path
    source: Path | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    signature: str | None = None
    trust: bool = False
    data: InputRequest = data.SYNTHETIC
    on: str | None = None
    runtime: str | None = None
    delegate: Literal["xnnpack", "none"] = "xnnpack"
    threads: int = 1
    timeout_s: float = 120.0


def run_model(request: RunRequest, out: Path, events: Events | None = None) -> dict[str, Any]:
    """Run the model and leave ``run.json``, ``outputs.pack`` and labels in ``out``.

    Returns what ``run.json`` says. Raises `RunnerError` when the model cannot run there, and the
    packages' errors for bad models or data.
    """
    events = events or SilentEvents()
    subject.check_paths(request.model, request.source)
    _check_runner(request)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: give a folder as --out")
    ours = any((out / name).exists() for name in (_RECORD, _BEGUN))
    if out.exists() and any(out.iterdir()) and not ours:
        raise UsageError(f"{out} holds something else already: give an empty folder as --out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # A run that fails, or is killed, must not stand in the way of the next one.
    (out / _BEGUN).touch()
    work = out / ".inputs"
    log = out / "log.txt"
    try:
        events.phase("reading the model")
        with ExportWorker(log) as worker:
            read = subject.read(
                worker,
                request.model,
                request.source,
                shapes=request.shapes,
                signature=request.signature,
                trust=request.trust,
            )
        runner = _runner(request, read)
        events.phase("preparing inputs")
        samples = data.prepare(
            request.data,
            read.inputs,
            read.index_limits,
            work,
            calibrate=False,
            progress=events.progress,
        )
        if read.finished and read.source is not None:
            read = _paired(read, samples, request, work / "pairing", events)
        rung = _rung(read, runner)
        samples, _ = samples.with_labels_of([binding.source for binding in rung.outputs])
        for note in samples.notes:
            events.note(note)
        events.phase(f"running on {runner.name}")
        result = ladder.run_rung(
            rung,
            samples,
            out,
            log,
            request.timeout_s,
            lambda done: events.progress(done, len(samples)),
        )
        if result.error:
            raise RunnerError(result.error)
        if samples.labels is not None:
            np.save(out / _LABELS, samples.labels)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    record = {
        "schema_version": SCHEMA_VERSION,
        "rung": result.to_json(),
        "inputs": samples.to_json(),
        "outputs": [asdict(binding) for binding in rung.outputs],
        "produced_by": dict(read.finished[0].record.produced_by) if read.finished else {},
    }
    write_json(out / _RECORD, record)
    (out / _BEGUN).unlink()
    (out / "outputs.json").unlink()  # the rung's own record, which run.json holds too
    return record


def _check_runner(request: RunRequest) -> None:
    """Raises `UsageError` when ``--on`` names no place where such a file runs."""
    if request.on is None:
        return
    places = SOURCE_RUNTIMES if format_of(request.model) is not None else (*DISTRIBUTIONS, "local")
    if request.on.partition(":")[0] not in places:
        raise UsageError(
            f"{request.model.name} does not run on {request.on}: see devdiff run --help"
        )


def _runner(request: RunRequest, read: subject.Subject) -> Runner:
    """The runner of ``--on``. Raises `UsageError` when it cannot run such a file."""
    if not read.finished:
        assert read.source is not None
        runner = subject.source_runner(read.source, request.threads)
        if request.on not in (None, runner.name):
            raise UsageError(f"{read.model.name} runs on {runner.name}, not on {request.on}")
        return runner
    if request.on == "local":
        return LocalRunner(request.runtime, request.delegate, request.threads)
    return HostRunner.parse(request.on or "litert", request.threads)


def _paired(
    read: subject.Subject, samples: InputSet, request: RunRequest, folder: Path, events: Events
) -> subject.Subject:
    """The model with its tensors bound to its source's, by running where there is a choice."""
    artifacts, host = request.model.parent, HostRunner("litert", threads=request.threads)
    paired = pairing.pair(read, None, samples, artifacts, folder, host, request.timeout_s, events)
    for found in paired.pairings:
        events.note(f"{found.file}: tensors paired with the source's by {found.by}: {found.reason}")
    return paired.subject


def _rung(read: subject.Subject, runner: Runner) -> Rung:
    if read.finished:
        ((artifact, record),) = subject.artifacts(read, None, read.model.parent)
        recipe = record.recipe
        return ladder.artifact_rung("outputs", artifact, recipe, runner)
    assert read.source is not None
    bindings = [ladder.identity(spec) for spec in read.source.outputs]
    inputs = [ladder.identity(spec) for spec in read.source.inputs]
    rung = ladder.source_rung(read.model, read.sha256, inputs, bindings, runner)
    return replace(rung, name="outputs")


@dataclass(frozen=True, slots=True)
class RunDiff:
    """Two runs compared, and what that stands on, as `devdiff.report.basis.make` has it."""

    judged: JudgedPair
    basis: Mapping[str, Any]


def diff_runs(reference: Path, candidate: Path, gates: Gates) -> RunDiff:
    """Compare two folders that `run_model` wrote.

    Raises `UsageError` when one is no such folder, or they ran on different inputs.
    """
    records = [_load(folder) for folder in (reference, candidate)]
    hashes = [record["inputs"]["sha256"] for record in records]
    if hashes[0] != hashes[1]:
        raise UsageError(
            f"{reference} and {candidate} ran on different inputs ({hashes[0][:12]}… and "
            f"{hashes[1][:12]}…): run both on the same --inputs, --preprocess and --seed"
        )
    judged = _judge(reference, candidate, records, gates)
    rungs = [record["rung"] for record in records]
    return RunDiff(judged, basis.make(records[0]["inputs"], [judged.to_json()], rungs))


def _judge(
    reference: Path, candidate: Path, records: list[dict[str, Any]], gates: Gates
) -> JudgedPair:
    labels_file = reference / _LABELS
    labels = np.load(labels_file, allow_pickle=False) if labels_file.exists() else None
    results = [
        _result(folder, record)
        for folder, record in zip((reference, candidate), records, strict=True)
    ]
    produced_by = records[1]["produced_by"] | records[0]["produced_by"]
    classifiers = classifier_outputs(results[0].outputs, produced_by, labels is not None, gates)
    pair = RungPair(results[0].name, results[1].name, _step(results), gates=True)
    (judged,) = judge_pairs(
        [pair],
        results,
        labels=labels,
        synthetic=records[0]["inputs"]["synthetic"],
        classifiers=classifiers,
        gates=gates,
    )
    return judged


def _step(results: list[RungResult]) -> Step:
    """What lies between two runs, by what was run."""
    first, second = results
    if first.sha256 == second.sha256:
        return "deployment"
    if first.precision == second.precision == "float32":
        return "conversion" if first.pruning == second.pruning else "pruning"
    return "compression"


def _result(folder: Path, record: Mapping[str, Any]) -> RungResult:
    """A kept run as a rung's result, named by its folder."""
    outputs = tuple(binding_from_json(binding) for binding in record["outputs"])
    kept = RungResult.from_json(record["rung"], outputs, folder / "outputs.pack")
    return replace(kept, name=folder.name)


def _load(folder: Path) -> dict[str, Any]:
    """A run's record, with its outputs' bytes checked."""
    if not (folder / _RECORD).is_file():
        raise UsageError(f"{folder} holds no run: make one with devdiff run … --out {folder}")
    record = read_json(folder / _RECORD)
    if "request" in record:
        raise UsageError(
            f"{folder} is the directory of a test, which compared its rungs already ({folder}/"
            f"{REPORT_NAME}); diff takes folders that devdiff run --out wrote"
        )
    try:
        if record.get("schema_version") != SCHEMA_VERSION:
            raise UsageError(f"{folder} was written by another version of devdiff: run it again")
        recorded = record["rung"]["results_sha256"]
        if sha256_file(folder / "outputs.pack") != recorded:
            raise UsageError(f"{folder}/outputs.pack was changed after it was written")
    except (KeyError, TypeError) as error:
        raise UsageError(f"{folder}/{_RECORD} is not a run's record: {error!r}") from error
    return record
