"""What is under test: the source model, if there is one, and the artifacts made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from devdiff.data.inputs import InputSet
from devdiff.errors import UsageError
from exporter.artifact import Artifact, TensorSpec
from exporter.client import ExportWorker
from exporter.errors import ArtifactError
from exporter.manifest import ArtifactRecord, Manifest, Precision, SourceModel, bind
from exporter.match import match_to_source


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as named by the user, read but not yet converted.

    ``source`` is the source model (None for a .tflite alone), ``finished`` the .tflite that was
    given. ``inputs`` are in the source's names and layout.
    """

    model: Path
    sha256: str
    source: SourceModel | None
    finished: ArtifactRecord | None
    inputs: tuple[TensorSpec, ...]
    index_limits: Mapping[str, int]

    @property
    def files(self) -> Mapping[str, str]:
        """Every file under test, with its SHA-256."""
        files: dict[str, str] = {self.model.name: self.sha256}
        if self.source is not None:
            files |= self.source.files
        return files


def check_paths(model: Path, source: Path | None) -> None:
    """A first look that needs no framework. Raises `UsageError`."""
    for path in filter(None, (model, source)):
        if not path.exists():
            raise UsageError(f"{path} does not exist")
        if not path.is_file():
            raise UsageError(f"{path} is not a file: name an .onnx or a .tflite")
    if model.suffix not in (".onnx", ".tflite"):
        raise UsageError(f"{model}: devdiff takes .onnx and .tflite models, not {model.suffix!r}")
    if source is not None and (model.suffix != ".tflite" or source.suffix != ".onnx"):
        raise UsageError("--source names the .onnx that a finished .tflite MODEL was made from")


def read(
    worker: ExportWorker, model: Path, source: Path | None, shapes: Mapping[str, tuple[int, ...]]
) -> Subject:
    """Read the model, and the source model beside a .tflite, in the worker.

    Raises `SourceModelError` or `ArtifactError` when a file is damaged, or the two do not match.
    """
    check_paths(model, source)
    if model.suffix == ".onnx":
        read = worker.describe(model, shapes)
        return Subject(model, read.sha256, read, None, read.inputs, read.index_limits)
    if shapes and source is None:
        raise UsageError("--shape is for models with dynamic axes; a .tflite has fixed ones")
    finished = worker.inspect(model)
    described = worker.describe(source, shapes) if source is not None else None
    known = _exported(model.parent, finished.sha256, described)
    if known is not None:
        finished = replace(finished, inputs=known.inputs, outputs=known.outputs)
    elif described is not None:
        finished = match_to_source(finished, described)
    inputs = tuple(binding.source for binding in finished.inputs)
    limits = described.index_limits if described else finished.index_limits
    return Subject(model, finished.sha256, described, finished, inputs, limits)


def _exported(folder: Path, sha256: str, source: SourceModel | None) -> ArtifactRecord | None:
    """What an export's manifest beside the artifact says of this very file and source."""
    try:
        manifest = Manifest.load(folder)
    except ArtifactError:
        return None
    if source is not None and source.sha256 not in manifest.source_files.values():
        return None
    return next((record for record in manifest.artifacts if record.sha256 == sha256), None)


def export(
    worker: ExportWorker,
    subject: Subject,
    inputs: InputSet,
    folder: Path,
    precisions: tuple[Precision, ...],
    progress: Callable[[str], None],
) -> Manifest:
    """The artifacts in ``folder``: those of an earlier, interrupted run if they are whole."""
    try:
        manifest = Manifest.load(folder)
        for precision in precisions:
            manifest.artifact(folder, precision)
    except ArtifactError:
        return worker.export(
            folder,
            precisions,
            inputs.calibration_arrays if "int8" in precisions else {},
            inputs.calibration_origin,
            inputs.seed,
            progress,
        )
    return manifest


def artifacts(
    subject: Subject, manifest: Manifest | None, folder: Path
) -> dict[Precision, tuple[Artifact, ArtifactRecord]]:
    """Every artifact under test by precision, its bytes checked against its record."""
    if manifest is not None:
        return {
            record.recipe.precision: (bind(record, folder), record) for record in manifest.artifacts
        }
    finished = subject.finished
    assert finished is not None
    return {finished.recipe.precision: (bind(finished, subject.model.parent), finished)}
