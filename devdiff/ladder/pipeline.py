"""One test from model to verdict: what ``devdiff export-and-test`` does, callable from Python."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import UsageError
from devdiff.exporter.artifact import Artifact
from devdiff.exporter.errors import ArtifactError, CompressionError, SourceModelError
from devdiff.exporter.manifest import Manifest
from devdiff.exporter.worker_client import ExportWorker
from devdiff.history.append import append_run
from devdiff.inputs import input_set as data
from devdiff.inputs import retention
from devdiff.inputs.input_set import InputSet
from devdiff.ladder import assembly as ladder_rungs
from devdiff.ladder import class_names, dependence, details, ladder, pairing, subject
from devdiff.ladder.device_selection import check_device, open_device
from devdiff.ladder.judge import check_names, classifier_outputs, judge_pairs
from devdiff.ladder.request import LadderOutcome, LadderRequest
from devdiff.ladder.run_directory import DEFAULT_ROOT, RunDirectory, open_run, write_json
from devdiff.ladder.subject import Subject
from devdiff.options import DEFAULT_SCAN
from devdiff.progress import Events, SilentEvents
from devdiff.report import build
from devdiff.report.html import page
from devdiff.report.model import DataCheckSection, Options, Report, TaskSection
from devdiff.scanner.power import held_out_needed
from devdiff.scanner.sample_selection import FEWEST_SAMPLES
from devdiff.scanner.scan import scan
from devdiff.scanner.verdict_rules import STRONG
from devdiff.system import extras
from devdiff.system.typed_json import converted
from devdiff.tasks import data_check
from devdiff.tasks.measure import measure, with_drops
from devdiff.tasks.request import CLASSIFICATION, TaskRequest
from devdiff.tasks.resolve import ResolvedTask, check_truth, resolve_task
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from devdiff.exporter.artifact import TensorSpec
    from devdiff.exporter.compression import Compression
    from devdiff.ladder.ladder import Rung, RungPair


def export_and_test(
    request: LadderRequest,
    run_dir: Path | None = None,
    events: Events | None = None,
    command: tuple[str, ...] = (),
    *,
    root: Path = DEFAULT_ROOT,
    alike: Path | None = None,
    worker: ExportWorker | None = None,
) -> LadderOutcome:
    """Export the model, run it on every rung, compare, judge, and write the report.

    ``run_dir`` None continues an unfinished run of the same request under ``root``, or makes a new
    directory there. ``alike`` is the directory of a run that differs in its device only: what is
    the same there is taken over. ``worker`` is one that runs already, for tests that convert one
    model alike.
    Raises the packages' errors for what cannot be tested at all; a rung that could not run is an
    ``error`` verdict in the report instead.
    """
    events = events or SilentEvents()
    subject.check_paths(request.model)
    compression = subject.check_compression(request.model.path, request.compression)
    if request.scan is not None:
        _check_scannable(request, compression)
    host = [
        HostRunner.parse(text, request.running.threads)
        for text in dict.fromkeys(request.running.hosts)
    ]
    if not request.running.host_runtimes and host[0].kernels != "xnnpack":
        events.note(
            f"with --delegate {request.running.delegate} the host runs LiteRT's {host[0].kernels} "
            "kernels, too; --host-runtime litert compares with XNNPACK's"
        )
    # A scan decides on this machine; what a device does is beside that.
    check_device(request.running, needed=request.gated)
    with (
        open_run(run_dir, request.model.path.stem, request.fingerprint(), root) as run,
        _tidy_after_bad_input(run),
    ):
        if run.resumed:
            events.note(f"continuing the unfinished run in {run.path}")
        events.detail(f"run directory: {run.path}")
        if alike is not None:
            run.take_over(alike)
        exported = _export(request, compression, run, events, worker)
        samples, settled = exported.samples, exported.task
        paired = pairing.pair(
            exported.subject,
            exported.manifest,
            samples,
            run.artifacts,
            run.path / "pairing",
            host[0],
            request.running.timeout_s,
            events,
        )
        read, manifest = paired.subject, paired.manifest
        outputs = _output_specs(read, manifest)
        others = _measures_others(request)
        if not others:
            samples, note = samples.with_labels_of(outputs)
            if note:
                events.note(note)
        labels = None if others else samples.labels
        classifiers = _classifiers(read, manifest, labels is not None, request, events)
        if settled is None:
            settled = _settled(request, read, outputs, samples, classifiers)
        with open_device(request.running, events, needed=request.gated) as device:
            rungs = ladder_rungs.build(
                read, manifest, exported.unquantized, run, host, device, _full(request)
            )
            results = ladder_rungs.run(rungs, samples, run, request.running.timeout_s, events)
            scanned = None
            if request.scan is not None:
                scan_subject = ladder_rungs.scanned(rungs, results, samples, classifiers)
                scanned = scan(
                    scan_subject, request.scan, run.path / "scan", request.running.timeout_s, events
                )
        checked = None
        if labels is not None:
            checked = data_check.check(
                rungs[0],
                results[0],
                samples,
                classifiers,
                run.path / data_check.FOLDER,
                request.running.timeout_s,
                events,
            )
            samples = data_check.borne_out(samples, checked)
        events.phase("comparing")
        pairs = _pairs(request, rungs)
        judged = judge_pairs(
            pairs,
            results,
            labels=labels,
            synthetic=samples.synthetic,
            classifiers=classifiers,
            gates=request.gates,
        )
        if request.gated:
            checks = dependence.measure(
                rungs,
                results,
                pairs,
                samples,
                run.rungs / "exchanged",
                request.running.timeout_s,
                events,
            )
            judged = dependence.with_dependence(judged, checks)
        measured = None
        if settled is not None:
            events.phase(f"measuring {settled.request.kind}")
            measured = measure(settled, results, pairs, len(samples), request.data.seed)
            judged = with_drops(judged, measured)
        details.of_pairs(judged, events)
        report = build.build(
            subject=read,
            manifest=manifest,
            pairings=paired.pairings,
            samples=samples,
            results=results,
            judged=judged,
            scan=scanned,
            task=converted(TaskSection, measured.to_json()) if measured else None,
            data_check=converted(DataCheckSection, checked.to_json()) if checked else None,
            command=command,
            options=Options(
                running=replace(request.running, host_runtimes=request.running.hosts),
                gates=request.gates,
                classifiers=tuple(classifiers),
            ),
            classes=class_names.known(read, samples, settled),
            texts=_texts(settled),
        )
        write_json(run.report, report.to_json())
        written = _write_page(report, run, events)
        append_run(report, run.path, events)
        _release_inputs(report, read, run)
        return LadderOutcome(report, run.path, report.exit_code, written)


@dataclass(frozen=True, slots=True)
class _Exported:
    """What is known before the first rung runs.

    ``unquantized`` is the float artifact of a finished model's source, ``task`` the measurement
    that was asked for where the source alone settles it.
    """

    subject: Subject
    samples: InputSet
    manifest: Manifest | None
    unquantized: Artifact | None
    task: ResolvedTask | None


def _export(
    request: LadderRequest,
    compression: Compression,
    run: RunDirectory,
    events: Events,
    worker: ExportWorker | None,
) -> _Exported:
    """Read the model, prepare its inputs and convert it."""
    events.phase("reading the model")
    with (
        contextlib.nullcontext(worker)
        if worker
        else ExportWorker(run.logs / "export.log") as worker
    ):
        read = subject.read(worker, request.model)
        details.of_model(read, events)
        for remark in read.notes:
            events.note(remark)
        check_names(read.output_names, request.gates)
        events.phase("preparing inputs")
        samples = data.prepare(
            request.data,
            read.inputs,
            read.index_limits,
            run.inputs,
            calibrate=not read.finished and (compression.calibrated or request.hold_out),
            progress=events.progress,
        )
        details.of_inputs(samples, events)
        details.of_warnings(samples, events)
        samples = replace(samples, notes=(*samples.notes, *read.notes))
        settled = None
        if request.task is not None:
            check_truth(request.task, samples)
        if _measures_others(request) and read.source is not None and _fixed(read.source.outputs):
            # What does not go together is said before minutes are spent on the export.
            settled = _settled(request, read, read.source.outputs, samples, ())
        full = _full(request)
        manifest = unquantized = None
        if not read.finished:
            manifest = subject.export(
                worker, samples, run.artifacts, compression, events.phase, full
            )
            details.of_artifacts(manifest.artifacts, events)
        elif full and request.model.floating is None and read.source is not None:
            unquantized = subject.export_full(worker, samples, run.artifacts, events.phase)
    return _Exported(read, samples, manifest, unquantized, settled)


def _full(request: LadderRequest) -> bool:
    return request.full or request.scan is not None


def _measures_others(request: LadderRequest) -> bool:
    """Whether the task is another than telling classes."""
    return request.task is not None and request.task.kind != CLASSIFICATION


def _pairs(request: LadderRequest, rungs: Sequence[Rung]) -> tuple[RungPair, ...]:
    """The steps between the rungs; only the conversion counts where the rest is the scan's."""
    pairs = ladder.pairs(rungs)
    if request.gated:
        return pairs
    full_name = ladder_rungs.full(rungs).name
    return tuple(
        replace(pair, gates=pair.step == "conversion" and pair.candidate == full_name)
        for pair in pairs
    )


def _texts(settled: ResolvedTask | None) -> Callable[[int], str | None] | None:
    """The true text of a sample; None of tasks whose truth is none."""
    if settled is None or settled.request.kind != "sequence" or settled.truth is None:
        return None
    truth = settled.truth

    def text(index: int) -> str | None:
        answer = truth(index)
        return answer if isinstance(answer, str) else " ".join(map(str, answer))

    return text


def _write_page(report: Report, run: RunDirectory, events: Events) -> Path | None:
    """The page beside the report. The verdict stands without it, so no page is only a note."""
    path = run.path / page.PAGE_NAME
    try:
        page.write(report, path, run.path)
    except OSError as error:
        events.note(f"no page: {error}; try devdiff report {run.path} --html FILE")
        return None
    return path


def _release_inputs(report: Report, read: Subject, run: RunDirectory) -> None:
    """Large inputs go with the verdict; a run in error is continued, and needs them."""
    if report.verdict != Verdict.ERROR:
        rows = [sample.row for sample in report.samples.values()]
        retention.release(run.inputs, read.inputs, rows)


def _output_specs(read: Subject, manifest: Manifest | None) -> list[TensorSpec]:
    record = manifest.artifacts[0] if manifest is not None else read.finished[-1].record
    return [binding.source for binding in record.outputs]


def _fixed(outputs: Sequence[TensorSpec]) -> bool:
    return all(size > 0 for spec in outputs for size in spec.shape)


def _settled(
    request: LadderRequest,
    read: Subject,
    outputs: Sequence[TensorSpec],
    samples: InputSet,
    classifiers: tuple[str, ...],
) -> ResolvedTask | None:
    """The task that was asked for; with labels, classification where none was."""
    asked = request.task
    if asked is None and samples.labels is not None:
        asked = TaskRequest(CLASSIFICATION, gated=False)
    if asked is None:
        return None
    return resolve_task(asked, outputs, read.inputs, samples, classifiers)


def _classifiers(
    read: Subject,
    manifest: Manifest | None,
    labelled: bool,
    request: LadderRequest,
    events: Events,
) -> tuple[str, ...]:
    """The outputs that are class scores; says so of those that only look like it.

    Where a scan alone decides, it says itself what it takes an output for.
    """
    record = manifest.artifacts[0] if manifest is not None else read.finished[-1].record
    found = classifier_outputs(record.outputs, record.produced_by, labelled, request.gates)
    if request.task is not None and request.task.kind != CLASSIFICATION:
        return found
    if request.scan is not None and not request.gated:
        return found
    for binding in record.outputs:
        shape = binding.source.shape
        if not found and len(shape) == 2 and shape[0] == 1 and shape[1] > 1:
            events.note(
                f"output {binding.source.describe()} is judged by its numbers; if it holds class "
                f"scores, give --classifier {binding.source.name} (or --labels)"
            )
    return found


@contextlib.contextmanager
def _tidy_after_bad_input(run: RunDirectory) -> Iterator[None]:
    """A run that was refused before it began leaves nothing behind."""
    try:
        yield
    except (UsageError, SourceModelError, ArtifactError, CompressionError):
        if not run.resumed:
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def _check_scannable(request: LadderRequest, compression: Compression) -> None:
    """Raises `UsageError` when there are no two models to hold together, or no PyTorch."""
    if shortage := extras.shortage("a scan", "scan"):
        raise UsageError(shortage)
    assert request.scan is not None
    if request.scan.samples < FEWEST_SAMPLES:
        raise UsageError(
            f"--samples {request.scan.samples} is too few for a scan, which searches on one half "
            f"and measures on the other: give {2 * held_out_needed(STRONG)} or more, or leave it "
            f"out ({DEFAULT_SCAN.samples})"
        )
    model = request.model
    alone = model.finished and model.source is None and model.floating is None
    if alone or not (model.finished or compression.recipe or compression.pruning):
        raise UsageError(
            "a scan holds a compressed model beside its full one: give a source model and how it "
            "is compressed (--compress), or with a finished int8 .tflite its --float .tflite or "
            "its --source model"
        )
