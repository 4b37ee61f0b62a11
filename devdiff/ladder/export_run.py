"""Export alone: the artifacts in a folder, and the float ones checked against their sources."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import UsageError
from devdiff.exporter.compression import INT8_ONLY, Compression
from devdiff.exporter.manifest import EXPORTED_NAMES, MANIFEST_NAME, Manifest
from devdiff.exporter.recipe import FLOAT32
from devdiff.exporter.sources.formats import format_of
from devdiff.exporter.worker_client import ExportWorker
from devdiff.inputs import input_set as data
from devdiff.inputs.input_set import InputRequest, InputSet
from devdiff.ladder import details, ladder, pairing, subject
from devdiff.ladder.judge import JudgedPair, check_names, judge_pairs
from devdiff.options import DEFAULT_GATES, DEFAULT_RUNNING, Gates, ModelSpec
from devdiff.progress import Events, SilentEvents
from devdiff.report.build import basis_of
from devdiff.report.model import BasisRecord
from devdiff.verdict import Verdict, combine

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKED_SAMPLES: Final = 20
_TIMEOUT_S: Final = DEFAULT_RUNNING.timeout_s
_WORK_NAME: Final = ".devdiff-export"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export, how compressed, and with which representative dataset.

    ``full`` leaves the float32 artifact of the unpruned model beside pruned ones.
    """

    model: ModelSpec
    data: InputRequest = data.SYNTHETIC
    compression: Compression = INT8_ONLY
    full: bool = False
    gates: Gates = DEFAULT_GATES


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """The manifest (also in the folder) and the judged conversions.

    ``conversion`` compares the float artifact with what it was made of, the source or the pruned
    source; ``full_conversion`` the unpruned float artifact with the source, where both were made.
    ``basis`` is what their verdict stands on, in words `devdiff.report.basis.sentence`.
    """

    manifest: Manifest
    folder: Path
    basis: BasisRecord
    conversion: JudgedPair
    full_conversion: JudgedPair | None = None

    @property
    def conversions(self) -> tuple[JudgedPair, ...]:
        return (self.conversion, *([self.full_conversion] if self.full_conversion else []))

    @property
    def verdict(self) -> Verdict:
        return combine(judged.judgement.verdict for judged in self.conversions)


def export_model(
    request: ExportRequest,
    out: Path,
    events: Events | None = None,
    worker: ExportWorker | None = None,
) -> ExportOutcome:
    """Export ``request.model`` into ``out`` and compare float artifacts with their sources.

    ``worker`` is one that runs already, for exports that convert one model alike.
    The comparison runs on at most `CHECKED_SAMPLES` samples. What ``out`` held of an earlier export
    is replaced. Raises the packages' errors when the model or the data cannot be used.
    """
    events = events or SilentEvents()
    subject.check_paths(request.model)
    if format_of(request.model.path) is None:
        raise UsageError(f"{request.model.path} is finished already: give a source model")
    subject.check_compression(request.model.path, request.compression)
    out.mkdir(parents=True, exist_ok=True)
    _clear(out)
    work = out / _WORK_NAME
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        log = out / "export.log"
        log.unlink(missing_ok=True)
        events.phase("reading the model")
        with contextlib.nullcontext(worker) if worker else ExportWorker(log) as worker:
            read = subject.read(worker, request.model)
            details.of_model(read, events)
            check_names(read.output_names, request.gates)
            events.phase("preparing inputs")
            samples = data.prepare(
                request.data,
                read.inputs,
                read.index_limits,
                work / "inputs",
                calibrate=request.compression.calibrated,
                progress=events.progress,
            )
            for note in samples.notes:
                events.note(note)
            details.of_warnings(samples, events)
            details.of_inputs(samples, events)
            manifest = subject.export(
                worker, samples, out, request.compression, events.phase, request.full
            )
            details.of_artifacts(manifest.artifacts, events)
        paired = pairing.pair(
            read, manifest, samples, out, work / "pairing", HostRunner(), _TIMEOUT_S, events
        )
        assert paired.manifest is not None
        manifest = paired.manifest
        conversions = _check(read, manifest, samples, out, work, request, events)
        details.of_pairs(conversions, events)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    stands_on = basis_of(replace(samples, labels=None), conversions)
    return ExportOutcome(manifest, out, stands_on, *conversions)


def export_each(
    request: ExportRequest,
    compressions: Sequence[Compression],
    out: Path,
    events: Events | None = None,
) -> list[ExportOutcome]:
    """`export_model` for each compression, all pruned alike, into a folder of its name in ``out``.

    The model is converted once. Raises what `export_model` raises.
    """
    out.mkdir(parents=True, exist_ok=True)
    log = out / "export.log"
    log.unlink(missing_ok=True)
    with ExportWorker(log) as worker:
        return [
            export_model(
                replace(request, compression=compression),
                out / compression.folder_name,
                events,
                worker,
            )
            for compression in compressions
        ]


def _clear(out: Path) -> None:
    """Remove an earlier export, so that no artifact of another compression stays beside this."""
    manifest = out / MANIFEST_NAME
    if manifest.exists():
        manifest.unlink()
        for name in EXPORTED_NAMES:
            (out / name).unlink(missing_ok=True)


def _check(
    read: subject.Subject,
    manifest: Manifest,
    samples: InputSet,
    out: Path,
    work: Path,
    request: ExportRequest,
    events: Events,
) -> list[JudgedPair]:
    """The steps *conversion*, judged on a few samples."""
    few = replace(samples, tested=samples.tested[:CHECKED_SAMPLES], labels=None)
    events.phase(f"comparing the float artifact with the source on {len(few)} samples")
    pruned = manifest.pruned
    artifact = manifest.artifact(out, "float32", pruned is not None)
    assert read.source is not None
    source = ladder.source_rung(
        read.source.path,
        read.source.sha256,
        artifact.inputs,
        artifact.outputs,
        subject.source_runner(read.source),
    )
    recipe = replace(FLOAT32, pruning=pruned.pruning if pruned else None)
    rungs = [ladder.artifact_rung("float", artifact, recipe, HostRunner())]
    if pruned is None or request.full:
        rungs.insert(0, source)
    if pruned is not None:
        rungs.insert(-1, ladder.pruned_rung(source, manifest.pruned_source(out), pruned))
        if request.full:
            full = manifest.full(out)
            rungs.append(ladder.artifact_rung(ladder.FULL, full, FLOAT32, HostRunner()))
    results = [
        ladder.run_rung(rung, few, work, out / "export.log", _TIMEOUT_S, lambda done: None)
        for rung in rungs
    ]
    return judge_pairs(
        [pair for pair in ladder.pairs(rungs) if pair.step == "conversion"],
        results,
        labels=None,
        synthetic=few.synthetic,
        classifiers=(),
        gates=request.gates,
    )
