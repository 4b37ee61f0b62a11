"""Two kept runs side by side: what `devdiff diff` does, callable from Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devdiff.errors import UsageError
from devdiff.inputs import listing, readers
from devdiff.ladder import details, kept_run
from devdiff.ladder.judge import JudgedPair, check_names, classifier_outputs, judge_pairs
from devdiff.ladder.ladder import RungPair, RungResult, Step
from devdiff.options import DEFAULT_GATES, Gates
from devdiff.progress import Events, SilentEvents
from devdiff.report.build import basis_of
from devdiff.report.model import BasisRecord
from devdiff.system.typed_json import fields
from devdiff.tasks.measure import TaskResult, measure, with_drops
from devdiff.tasks.request import CLASSIFICATION, TaskRequest
from devdiff.tasks.resolve import check_truth, resolve_task

if TYPE_CHECKING:
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.kept_run import KeptRun
    from devdiff.verdict import Verdict


@dataclass(frozen=True, slots=True)
class DiffRequest:
    """Two runs as `devdiff.ladder.kept_run.read` takes them, the reference first.

    ``labels`` are true classes for a run that had none; ``classes`` is a file with the model's
    class names in order, for labels that were numbered by the order of their names. ``task`` is
    what the model is for; the reference's answers stand for the truth where there is none.
    """

    reference: str
    candidate: str
    gates: Gates = DEFAULT_GATES
    task: TaskRequest | None = None
    labels: Path | None = None
    classes: Path | None = None


@dataclass(frozen=True, slots=True)
class DiffOutcome:
    """The judged pair, what it stands on, and what came of the task, if one was asked for."""

    judged: JudgedPair
    basis: BasisRecord
    task: TaskResult | None = None

    @property
    def verdict(self) -> Verdict:
        return self.judged.judgement.verdict

    def to_json(self) -> dict[str, Any]:
        return {
            **self.judged.to_json(),
            "basis": fields(self.basis),
            **({"task": self.task.to_json()} if self.task is not None else {}),
        }


def diff_runs(request: DiffRequest, events: Events | None = None) -> DiffOutcome:
    """Compare and judge two kept runs.

    Raises `UsageError` when one is none, they ran on different inputs, or what is asked for does
    not go with them; `NotTestedError` when one could not run.
    """
    events = events or SilentEvents()
    first, second = kept_run.read(request.reference), kept_run.read(request.candidate)
    for run in (first, second):
        events.detail(f"{run.result.name}: {run.result.model} on {run.result.runner}")
    if first.samples.sha256 != second.samples.sha256:
        raise UsageError(
            f"{request.reference} and {request.candidate} ran on different inputs "
            f"({first.samples.sha256[:12]}… and {second.samples.sha256[:12]}…): run both on the "
            "same --inputs, --preprocess and --seed (a test keeps the samples that calibrate out, "
            "unless --calibration names others)"
        )
    results = [first.result, second.result]
    outputs = [binding.source for binding in first.result.outputs]
    task = request.task
    samples, _ = _labelled(request, first, second).with_labels_of(outputs)
    if task is not None:
        check_truth(task, samples)
        if task.kind != CLASSIFICATION:
            samples = replace(samples, labels=samples.labels if task.kind == "embedding" else None)
    classifiers = _classifiers(request.gates, first, second, samples.labels is not None)
    names = (first.result.name, second.result.name)
    if names[0] == names[1]:
        names = (request.reference, request.candidate)
        results = [replace(result, name=name) for result, name in zip(results, names, strict=True)]
    events.phase("comparing")
    pair = RungPair(*names, _step(results), gates=True)
    judged = judge_pairs(
        [pair],
        results,
        labels=samples.labels if task is None or task.kind == CLASSIFICATION else None,
        synthetic=samples.synthetic,
        classifiers=classifiers,
        gates=request.gates,
    )
    details.of_pairs(judged, events)
    if task is None:
        return DiffOutcome(judged[0], basis_of(samples, judged, results))
    events.phase(f"measuring {task.kind}")
    resolved = resolve_task(task, outputs, first.inputs, samples, classifiers)
    measured = measure(resolved, results, [pair], len(samples), samples.seed)
    (judged_pair,) = with_drops(judged, measured)
    return DiffOutcome(judged_pair, basis_of(samples, [judged_pair], results), measured)


def _labelled(request: DiffRequest, first: KeptRun, second: KeptRun) -> InputSet:
    """The samples with the labels that are meant. Raises `UsageError`."""
    samples = first.samples if first.samples.labels is not None else second.samples
    if request.labels is not None:
        labels = readers.read_labels(request.labels, samples.rows)[samples.tested]
        samples = replace(samples, labels=labels, guessed_classes=None)
    if request.classes is not None:
        samples = samples.with_classes(listing.read_classes(request.classes))
    return samples


def _classifiers(gates: Gates, first: KeptRun, second: KeptRun, labelled: bool) -> tuple[str, ...]:
    """Class scores as a test took them, else as they are found. Raises `UsageError`."""
    outputs = first.result.outputs
    names = [binding.source.name for binding in outputs]
    check_names(names, gates)
    if gates.classifiers:
        return gates.classifiers
    known = [name for name in (*first.classifiers, *second.classifiers) if name in names]
    if known:
        return tuple(dict.fromkeys(known))
    produced_by = {**(second.produced_by or {}), **(first.produced_by or {})}
    return classifier_outputs(outputs, produced_by, labelled, gates)


def _step(results: list[RungResult]) -> Step:
    """What lies between two runs, by what was run."""
    first, second = results
    if first.sha256 == second.sha256:
        return "deployment"
    if first.precision == second.precision == "float32":
        return "conversion" if first.pruning == second.pruning else "pruning"
    return "compression"
