"""A look at an input set: what the values are, what is odd, and whether a model is right on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from devdiff.device_runner.host.host_runner import HostRunner
from devdiff.errors import UsageError
from devdiff.exporter.artifact import TensorSpec
from devdiff.exporter.worker_client import ExportWorker
from devdiff.inputs import input_set, listing
from devdiff.inputs.input_set import InputSet
from devdiff.inputs.lint import some
from devdiff.inputs.request import InputRequest
from devdiff.inputs.selection import spread
from devdiff.inputs.variants import channel_axis
from devdiff.ladder import details, ladder, single_run, subject
from devdiff.ladder.judge import classifier_outputs
from devdiff.options import DEFAULT_GATES, DEFAULT_RUNNING, ModelSpec
from devdiff.preview.record import ChannelRange, ClassCount, InputsView, TensorView
from devdiff.preview.shapes import specs_of
from devdiff.progress import Events, SilentEvents
from devdiff.report.model import DataCheckSection
from devdiff.report.model.places import InputsRecord
from devdiff.system.typed_json import converted
from devdiff.tasks import data_check
from devdiff.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.device_runner.runner import Runner
    from devdiff.exporter.artifact import Array
    from devdiff.ladder.subject import Subject

MEASURED: Final = 500
"""Samples whose values are measured, where there are more."""
ASKED: Final = 200
"""Labelled samples that the model is asked about, where there are more."""
_BINS: Final = 32


@dataclass(frozen=True, slots=True)
class LookRequest:
    """An input set, and the model that it is for, if it is known."""

    data: InputRequest
    model: ModelSpec | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look came to, and the samples it was at, which last as long as their folder."""

    view: InputsView
    samples: InputSet
    specs: tuple[TensorSpec, ...]

    @property
    def verdict(self) -> Verdict:
        """``pass`` unless the model's answers say that inputs and labels do not suit it."""
        answers = self.view.answers
        return Verdict(answers.verdict) if answers and answers.verdict else Verdict.PASS


def look(request: LookRequest, folder: Path, events: Events | None = None) -> Look:
    """Prepare the samples in the empty ``folder`` as a run would, and look at them.

    A model is read and, with labels, run on some of them; nothing is exported. Raises the packages'
    errors for data that does not fit, or a model that cannot be read.
    """
    events = events or SilentEvents()
    read, notes = None, tuple[str, ...]()
    if request.model is None:
        specs, notes = specs_of(request.data)
        limits: dict[str, int] = {}
    else:
        subject.check_paths(request.model)
        events.phase("reading the model")
        with ExportWorker(folder / "read.log") as worker:
            read = subject.read(worker, request.model)
        details.of_model(read, events)
        specs, limits = read.inputs, dict(read.index_limits)
    events.phase("preparing inputs")
    samples = input_set.prepare(
        request.data,
        specs,
        limits,
        folder / "inputs",
        calibrate=request.data.calibration is not None,
        progress=events.progress,
    )
    answers = None
    if read is not None and samples.labels is not None:
        samples, _ = samples.with_labels_of(_outputs(read))
        answers, note = _asked(read, samples, folder, events)
        notes = (*notes, *([note] if note else []))
    if answers is not None and answers.verdict == "pass":
        samples = samples.borne_out()
    view = InputsView(
        kind="devdiff inputs",
        model=request.model.path.name if request.model is not None else None,
        inputs=converted(InputsRecord, samples.to_json()),
        tensors=tuple(_view(spec, samples) for spec in specs),
        classes=_classes(samples, request.data),
        notes=notes,
        answers=answers,
    )
    return Look(view, samples, specs)


def _asked(
    read: Subject, samples: InputSet, folder: Path, events: Events
) -> tuple[DataCheckSection | None, str | None]:
    """What the model's own answers say of inputs and labels; why not, if they cannot."""
    if samples.labels is None:
        return None, None
    outputs = _outputs(read)
    try:
        bindings = [ladder.identity(spec) for spec in outputs]
        classifiers = classifier_outputs(bindings, {}, True, DEFAULT_GATES)
    except UsageError as error:
        return None, str(error)
    places = spread(np.arange(len(samples)), ASKED, samples.seed)
    few = replace(samples, tested=samples.tested[places], labels=samples.labels[places])
    runner = _runner(read)
    events.phase(f"running on {runner.name}")
    rung = replace(single_run.rung_of(read, runner), name="source" if read.source else "model")
    work = folder / "answers"
    work.mkdir()
    timeout_s = DEFAULT_RUNNING.timeout_s
    result = ladder.run_rung(
        rung,
        few,
        work,
        work / "log.txt",
        timeout_s,
        lambda done: events.progress(done, len(few)),
    )
    if result.error is not None:
        return None, f"the model could not be asked: {result.error}"
    checked = data_check.check(rung, result, few, classifiers, work / "again", timeout_s, events)
    return (converted(DataCheckSection, checked.to_json()) if checked else None), None


def _runner(read: Subject) -> Runner:
    if read.finished:
        return HostRunner.parse(DEFAULT_RUNNING.hosts[0], DEFAULT_RUNNING.threads)
    assert read.source is not None
    return subject.source_runner(read.source)


def _outputs(read: Subject) -> list[TensorSpec]:
    if read.finished:
        return [binding.source for binding in read.finished[-1].record.outputs]
    assert read.source is not None
    return list(read.source.outputs)


def _view(spec: TensorSpec, samples: InputSet) -> TensorView:
    seen = some(samples.arrays[spec.name], samples.tested, MEASURED)
    values = seen.astype(np.float64)
    axis = channel_axis(spec)
    channels: tuple[ChannelRange, ...] = ()
    if axis is not None and spec.shape[axis] > 1:
        moved = np.moveaxis(values, axis + 1, 0)
        channels = tuple(_range(channel) for channel in moved)
    finite = values[np.isfinite(values)]
    counts = np.histogram(finite, _BINS)[0] if finite.size else np.zeros(0, int)
    return TensorView(
        name=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        samples=len(seen),
        values=_range(values),
        channels=channels,
        histogram=tuple(int(count) for count in counts),
    )


def _range(values: Array) -> ChannelRange:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ChannelRange(0.0, 0.0, 0.0, 0.0)
    return ChannelRange(
        float(finite.min()), float(finite.max()), float(finite.mean()), float(finite.std())
    )


def _classes(samples: InputSet, request: InputRequest) -> tuple[ClassCount, ...]:
    """The labels and how often each is there, in the order of the classes."""
    if samples.labels is None:
        return ()
    names = samples.class_names
    if request.classes is not None:
        names = listing.read_classes(request.classes)
    labels, counts = np.unique(samples.labels, return_counts=True)
    return tuple(
        ClassCount(int(label), names[label] if 0 <= label < len(names) else None, int(found))
        for label, found in zip(labels, counts, strict=True)
    )
