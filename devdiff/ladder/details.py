"""What came of each piece of work, in lines for who wants to know all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from devdiff.exporter.artifact import TensorSpec
    from devdiff.exporter.manifest import ArtifactRecord
    from devdiff.inputs.input_set import InputSet
    from devdiff.ladder.judge import JudgedPair
    from devdiff.ladder.ladder import RungResult
    from devdiff.ladder.subject import Subject
    from devdiff.progress import Events


def of_model(read: Subject, events: Events) -> None:
    """Every file, and the tensors in and out."""
    for name, sha256 in read.files.items():
        events.detail(f"{name}: sha256 {sha256[:12]}")
    outputs = (
        read.source.outputs
        if read.source is not None
        else [binding.source for binding in read.finished[-1].record.outputs]
    )
    events.detail(f"takes {_tensors(read.inputs)}; gives {_tensors(outputs)}")


def of_inputs(samples: InputSet, events: Events) -> None:
    """How many there are, from where, and what calibrates."""
    labelled = "unlabelled" if samples.labels is None else "labelled"
    events.detail(
        f"{len(samples)} {labelled} samples of {samples.origin}, sha256 {samples.sha256[:12]}"
    )
    if samples.calibration_samples:
        events.detail(
            f"calibration: {samples.calibration_samples} samples ({samples.calibration_origin})"
        )


def of_warnings(samples: InputSet, events: Events) -> None:
    """What looks like a mistake in the inputs, while there is time to stop.

    With labels, the answers tell whether values are on the scale that the model takes.
    """
    shown = samples if samples.labels is None else samples.borne_out()
    for warning in shown.warnings:
        events.note(f"warning: {warning}")


def of_artifacts(records: Iterable[ArtifactRecord], events: Events) -> None:
    """Size and operators of each file that was made."""
    for record in records:
        events.detail(
            f"{record.file}: {record.bytes / 1e6:.2f} MB, {sum(record.operators.values())} "
            f"operators, sha256 {record.sha256[:12]}"
        )


def of_rung(result: RungResult, events: Events) -> None:
    """How many samples ran, how fast, and on which version."""
    if result.error is not None:
        return
    failed = f", {result.failed} of them failed" if result.failed else ""
    median = f", {result.median_ms:.3g} ms each" if result.median_ms is not None else ""
    version = f", version {result.runtime_version}" if result.runtime_version else ""
    events.detail(f"{result.name}: {result.samples} samples{failed}{median}{version}")


def of_pairs(judged: Sequence[JudgedPair], events: Events) -> None:
    """What each step came to."""
    for judged_pair in judged:
        counted = "" if judged_pair.pair.gates else ", which does not count"
        events.detail(
            f"{judged_pair.pair.step}, {judged_pair.pair.reference} → "
            f"{judged_pair.pair.candidate}: "
            f"{judged_pair.judgement.verdict.value}{counted}"
        )


def _tensors(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(spec.describe() for spec in specs)
