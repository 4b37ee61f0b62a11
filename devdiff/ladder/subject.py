"""What is under test: the source model, if there is one, and the artifacts made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.device_runner.host.host_runner import SourceRunner
from devdiff.errors import UsageError
from devdiff.exporter.artifact import Artifact, TensorSpec
from devdiff.exporter.binding import match_to_artifact, match_to_source, renamed
from devdiff.exporter.compression import INT8_ONLY, Compression
from devdiff.exporter.errors import ArtifactError
from devdiff.exporter.manifest import ArtifactRecord, Manifest, SourceModel, bind
from devdiff.exporter.recipe import FLOAT32
from devdiff.exporter.sources.formats import THROUGH_ONNX, format_of

if TYPE_CHECKING:
    from devdiff.exporter.worker_client import ExportWorker
    from devdiff.inputs.input_set import InputSet
    from devdiff.options import ModelSpec


@dataclass(frozen=True, slots=True)
class FinishedArtifact:
    """A .tflite file somebody else made.

    ``stored`` is its record in its own names, where ``record`` pairs it with the source by names
    and shapes; None where there is no source, or a manifest tells.
    """

    path: Path
    record: ArtifactRecord
    stored: ArtifactRecord | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as named by the user, read but not yet converted.

    ``source`` is the source model (None for a .tflite alone), ``finished`` the .tflite files that
    were given, a float32 one before its int8 one. ``inputs`` are in the source's names and layout;
    ``notes`` say how tensors of other names were paired.
    """

    model: Path
    sha256: str
    source: SourceModel | None
    finished: tuple[FinishedArtifact, ...]
    inputs: tuple[TensorSpec, ...]
    index_limits: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def output_names(self) -> tuple[str, ...]:
        if self.source is not None:
            return tuple(spec.name for spec in self.source.outputs)
        return tuple(binding.source.name for binding in self.finished[-1].record.outputs)

    @property
    def files(self) -> Mapping[str, str]:
        """Every file under test, with its SHA-256."""
        files: dict[str, str] = {}
        for given in self.finished:
            files[given.path.name] = given.record.sha256
        if self.source is not None:
            files |= self.source.files
        return files


def check_paths(model: ModelSpec) -> None:
    """A first look that needs no framework. Raises `UsageError` or `SourceModelError`."""
    for _, path in model.files():
        if not path.exists():
            raise UsageError(f"{path} does not exist")
    source, floating = model.source, model.floating
    finished = format_of(model.path) is None
    if source is not None and (not finished or format_of(source) is None):
        raise UsageError(
            "--source names the source model that a finished .tflite MODEL was made from"
        )
    if floating is not None and (not finished or format_of(floating) is not None):
        raise UsageError("--float names the float32 .tflite that an int8 .tflite MODEL belongs to")


def read(worker: ExportWorker, spec: ModelSpec) -> Subject:
    """Read the model, and what is named beside a .tflite, in the worker.

    Raises `SourceModelError` or `ArtifactError` when a file is damaged, or they do not match.
    """
    check_paths(spec)
    model, source, floating = spec.path, spec.source, spec.floating
    shapes, signature, trust = spec.shapes, spec.signature, spec.trust
    if format_of(model) is not None:
        read = worker.describe(model, shapes, signature, trust)
        return Subject(model, read.sha256, read, (), read.inputs, read.index_limits)
    if shapes and source is None:
        raise UsageError("--shape is for models with dynamic axes; a .tflite has fixed ones")
    if signature is not None and source is None:
        raise UsageError("--signature is for SavedModels; a .tflite runs its main graph")
    described = worker.describe(source, shapes, signature, trust) if source is not None else None
    given = [path for path in (floating, model) if path is not None]
    finished = tuple(_read_finished(worker, path, described) for path in given)
    precisions = [artifact.record.recipe.precision for artifact in finished]
    if floating is not None and (precisions[0] != "float32" or precisions[1] == "float32"):
        raise UsageError(
            f"--float {floating.name} is {precisions[0]} and {model.name} is {precisions[1]}: "
            "they must be float32 and a compressed one"
        )
    notes: tuple[str, ...] = ()
    if floating is not None and described is None:
        finished, notes = _paired(finished)
    last = finished[-1].record
    inputs = tuple(binding.source for binding in last.inputs)
    limits = described.index_limits if described else last.index_limits
    return Subject(model, last.sha256, described, finished, inputs, limits, notes)


def _paired(
    finished: tuple[FinishedArtifact, ...],
) -> tuple[tuple[FinishedArtifact, ...], tuple[str, ...]]:
    """A float32 file whose tensors go by the names of its compressed one, and what was renamed.

    Raises `ArtifactError` when their tensors cannot belong together.
    """
    floating, compressed = finished
    try:
        record = match_to_artifact(floating.record, compressed.record)
    except ArtifactError as error:
        raise ArtifactError(f"--float {floating.path.name}: {error}") from error
    pairs = ", ".join(f"{own} is {bound}" for own, bound in renamed(floating.record, record))
    note = (
        f"{floating.path.name} and {compressed.path.name} name their tensors differently; they are "
        f"paired by order: {pairs}"
    )
    return (replace(floating, record=record), compressed), (note,) if pairs else ()


def _read_finished(
    worker: ExportWorker, path: Path, source: SourceModel | None
) -> FinishedArtifact:
    """A .tflite bound to its source: by the manifest beside it, else by names and shapes."""
    record = worker.inspect(path)
    known = _exported(path.parent, record.sha256, source)
    if known is not None:
        bound = replace(record, recipe=known.recipe, inputs=known.inputs, outputs=known.outputs)
        return FinishedArtifact(path, bound)
    if source is None:
        return FinishedArtifact(path, record)
    return FinishedArtifact(path, match_to_source(record, source), record)


def _exported(folder: Path, sha256: str, source: SourceModel | None) -> ArtifactRecord | None:
    """What an export's manifest beside the artifact says of this very file and source."""
    try:
        manifest = Manifest.load(folder)
    except ArtifactError:
        return None
    if source is not None and set(source.files.values()) != set(manifest.source_files.values()):
        return None
    return next((record for record in manifest.artifacts if record.sha256 == sha256), None)


def source_runner(source: SourceModel, threads: int = 1) -> SourceRunner:
    """Runs a source model in the framework it comes from."""
    return SourceRunner(source.runtime, source.signature, source.trust, threads)


def check_compression(model: Path, compression: Compression | None) -> Compression:
    """What is done to ``model`` when ``compression`` was asked for; None is the usual.

    Raises `UsageError` when one was asked for of a finished file.
    """
    kind = format_of(model)
    if compression is not None and kind is None:
        raise UsageError(
            f"--compress and --recipe are for source models: {model} is finished, and is tested "
            "as it is"
        )
    if compression is not None and compression.pruning and kind not in THROUGH_ONNX:
        raise UsageError(
            f"--compress {compression}: weights are pruned in ONNX, and {model} is converted "
            "without it; prune it in its own framework, or export it to ONNX first"
        )
    return compression or INT8_ONLY


def export(
    worker: ExportWorker,
    inputs: InputSet,
    folder: Path,
    compression: Compression,
    progress: Callable[[str], None],
    full: bool = False,
) -> Manifest:
    """The artifacts in ``folder``: those of an earlier, interrupted run if they are whole.

    ``full`` asks for the unpruned float32 artifact beside pruned ones.
    """
    recipes = (FLOAT32, *([compression.recipe] if compression.recipe else []))
    pruned = compression.pruning is not None
    try:
        manifest = Manifest.load(folder)
        for recipe in recipes:
            manifest.artifact(folder, recipe.precision, pruned)
        if pruned:
            manifest.pruned_source(folder)
        if full:
            manifest.full(folder)
    except ArtifactError:
        return worker.export(
            folder,
            recipes,
            inputs.calibration_arrays if compression.calibrated else {},
            inputs.calibration_origin,
            inputs.seed,
            progress,
            compression.pruning,
            full,
        )
    return manifest


def export_full(
    worker: ExportWorker, inputs: InputSet, folder: Path, progress: Callable[[str], None]
) -> Artifact:
    """The float32 artifact of the source that a finished model was read with."""
    try:
        return Manifest.load(folder).artifact(folder, "float32")
    except ArtifactError:
        manifest = worker.export(
            folder, (FLOAT32,), {}, inputs.calibration_origin, inputs.seed, progress
        )
        return manifest.artifact(folder, "float32")


def artifacts(
    subject: Subject, manifest: Manifest | None, folder: Path
) -> list[tuple[Artifact, ArtifactRecord]]:
    """Every artifact in the order of the ladder, its bytes checked against its record."""
    if manifest is not None:
        pruning = manifest.pruned.pruning if manifest.pruned else None
        return [
            (bind(record, folder), record)
            for record in manifest.artifacts
            if record.recipe.pruning == pruning
        ]
    return [
        (bind(artifact.record, artifact.path.parent), artifact.record)
        for artifact in subject.finished
    ]
