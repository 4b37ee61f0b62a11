"""Export alone: both artifacts in a folder, and the float one checked against its source."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from devdiff import ladder, subject
from devdiff.data import inputs as data
from devdiff.data.inputs import InputRequest, InputSet
from devdiff.errors import UsageError
from devdiff.events import Events, Silent
from devdiff.judging import JudgedPair, check_names, judge_pairs
from devdiff.settings import DEFAULT_GATES, Gates
from device_runner.host import SOURCE_RUNNER, HostRunner
from exporter.client import ExportWorker
from exporter.manifest import MANIFEST_NAME, Manifest, Precision

CHECKED_SAMPLES: Final = 20
_WORK_NAME: Final = ".devdiff-export"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, and with which representative dataset."""

    model: Path
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    data: InputRequest = data.SYNTHETIC
    precisions: tuple[Precision, ...] = ("float32", "int8")
    gates: Gates = DEFAULT_GATES


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """The manifest (also in the folder) and the judged comparison of source and float artifact."""

    manifest: Manifest
    folder: Path
    conversion: JudgedPair


def export_model(request: ExportRequest, out: Path, events: Events | None = None) -> ExportOutcome:
    """Export ``request.model`` into ``out`` and compare the float artifact with the source.

    The comparison runs on at most `CHECKED_SAMPLES` samples. What ``out`` held of an earlier export
    is replaced. Raises the packages' errors when the model or the data cannot be used.
    """
    events = events or Silent()
    subject.check_paths(request.model)
    if request.model.suffix != ".onnx":
        raise UsageError(f"{request.model} is finished already: give a source model (.onnx)")
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    work = out / _WORK_NAME
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        log = out / "export.log"
        log.unlink(missing_ok=True)
        events.phase("reading the model")
        with ExportWorker(log) as worker:
            read = subject.read(worker, request.model, shapes=request.shapes)
            check_names(read.output_names, request.gates)
            events.phase("preparing inputs")
            samples = data.prepare(
                request.data,
                read.inputs,
                read.index_limits,
                work / "inputs",
                calibrate=True,
                progress=events.progress,
            )
            for note in samples.notes:
                events.note(note)
            manifest = subject.export(worker, read, samples, out, request.precisions, events.phase)
        conversion = _check(read, manifest, samples, out, work, request, events)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ExportOutcome(manifest, out, conversion)


def _check(
    read: subject.Subject,
    manifest: Manifest,
    samples: InputSet,
    out: Path,
    work: Path,
    request: ExportRequest,
    events: Events,
) -> JudgedPair:
    """The step *conversion*, judged on a few samples."""
    few = replace(samples, tested=samples.tested[:CHECKED_SAMPLES], labels=None)
    events.phase(f"comparing the float artifact with the source on {len(few)} samples")
    artifact = manifest.artifact(out, "float32")
    assert read.source is not None
    rungs = [
        ladder.source_rung(
            read.source.path, read.source.sha256, artifact.inputs, artifact.outputs, SOURCE_RUNNER
        ),
        ladder.artifact_rung("float", artifact, "float32", HostRunner()),
    ]
    results = [
        ladder.run_rung(rung, few, work, out / "export.log", 120.0, lambda done: None)
        for rung in rungs
    ]
    (judged,) = judge_pairs(
        ladder.pairs(rungs),
        results,
        labels=None,
        synthetic=few.synthetic,
        classifiers=(),
        gates=request.gates,
    )
    return judged
