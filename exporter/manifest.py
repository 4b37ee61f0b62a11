"""What an export says of itself: every tensor, every version, every hash; and its JSON form."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, get_args

from devdiff.exporter.artifact import Artifact, Binding, Quantization, TensorSpec, sha256_file
from devdiff.exporter.errors import ArtifactError, CompressionError
from devdiff.exporter.recipe import Precision, Pruning, Recipe
from devdiff.exporter.sources.formats import SourceFormat
from devdiff.system import plain_json

SCHEMA_VERSION: Final = 1
MANIFEST_NAME: Final = "manifest.json"
PRUNED_NAME: Final = "pruned.onnx"

# Every file an export may leave beside its manifest.
EXPORTED_NAMES: Final = (
    PRUNED_NAME,
    *(
        f"{prefix}{'float' if precision == 'float32' else precision}.tflite"
        for prefix in ("", "pruned-")
        for precision in get_args(Precision)
    ),
)


@dataclass(frozen=True, slots=True)
class SourceModel:
    """The model a team was given, as read in a child process.

    ``files`` maps every file it consists of (the model, external data) to its SHA-256; ``inputs``
    have static shapes, with the user's choices for dynamic axes filled in. ``index_limits`` gives,
    for integer inputs that index a table, the number of its rows. ``runtime`` names the package
    that runs the model as it is: onnxruntime, torch, keras, tf-keras or tensorflow. ``signature``
    is the one that was chosen of a SavedModel, ``trust`` whether code in the file may run.
    """

    path: Path
    format: SourceFormat
    sha256: str
    files: Mapping[str, str]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    index_limits: Mapping[str, int]
    runtime: str = "onnxruntime"
    signature: str | None = None
    trust: bool = False


@dataclass(frozen=True, slots=True)
class CalibrationInfo:
    """Where the representative dataset came from; ``sha256`` covers its tensors as used."""

    origin: str
    samples: int
    sha256: str
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """One artifact as the manifest lists it; ``operators`` counts each builtin operator.

    ``float_operators`` counts operators of an int8 artifact that still compute in float32,
    ``index_limits`` is as in `SourceModel`, ``produced_by`` names the operator behind each output
    (by its tensor's name), looking through quantize, dequantize and reshape.
    """

    file: str
    sha256: str
    bytes: int
    recipe: Recipe
    signature: str | None
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    operators: Mapping[str, int]
    float_operators: Mapping[str, int]
    index_limits: Mapping[str, int]
    produced_by: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PrunedLayer:
    """What pruning left of one weight tensor, by its name in the source model.

    ``operator`` is that of the layer (of the first, when several share the tensor). ``zeros``
    counts all zeros among ``weights``, also those that were there before. ``channels`` and
    ``zero_channels`` count output channels, and are None where single weights were pruned.
    """

    weight: str
    operator: str
    weights: int
    zeros: int
    channels: int | None = None
    zero_channels: int | None = None


@dataclass(frozen=True, slots=True)
class PrunedSource:
    """The source model with its weights pruned: an ONNX file beside the artifacts made of it."""

    file: str
    sha256: str
    pruning: Pruning
    layers: tuple[PrunedLayer, ...]

    @property
    def sparsity(self) -> float:
        """The share of zeros among the weights of all listed layers."""
        return sum(layer.zeros for layer in self.layers) / sum(
            layer.weights for layer in self.layers
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of one export; it stands beside the artifacts as ``manifest.json``.

    ``artifacts`` stand in the order of the ladder, the one that ships last. Where the export
    pruned, ``pruned`` tells of the pruned source, and the unpruned float32 artifact stands first
    if it was asked for.
    """

    source: str
    source_format: str
    source_files: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    calibration: CalibrationInfo | None
    artifacts: tuple[ArtifactRecord, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()
    pruned: PrunedSource | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises `ArtifactError` when the JSON is not a manifest of this version."""
        try:
            if data["schema_version"] != SCHEMA_VERSION:
                raise ArtifactError(
                    f"manifest version {data['schema_version']} is not {SCHEMA_VERSION}; "
                    "export the model again with this devdiff"
                )
            calibration = data["calibration"]
            return cls(
                source=data["source"],
                source_format=data["source_format"],
                source_files=dict(data["source_files"]),
                shapes={name: tuple(shape) for name, shape in data["shapes"].items()},
                calibration=CalibrationInfo(**calibration) if calibration else None,
                artifacts=tuple(record_from_json(record) for record in data["artifacts"]),
                versions=dict(data["versions"]),
                notes=tuple(data["notes"]),
                pruned=_pruned_from_json(data["pruned"]) if data.get("pruned") else None,
            )
        except (KeyError, TypeError, AttributeError, CompressionError) as error:
            raise ArtifactError(f"not an export manifest: {error!r}") from error

    def save(self, folder: Path) -> Path:
        """Write ``manifest.json`` into ``folder``, whole or not at all."""
        path = folder / MANIFEST_NAME
        temporary = path.with_suffix(".json.partial")
        temporary.write_text(json.dumps(self.to_json(), indent=2, sort_keys=True) + "\n")
        temporary.replace(path)
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read ``manifest.json`` of ``folder``. Raises `ArtifactError` when it is damaged."""
        path = folder / MANIFEST_NAME
        try:
            return cls.from_json(plain_json.parse(path.read_text()))
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} is missing: {folder} holds no export") from error
        except UnicodeDecodeError as error:
            raise ArtifactError(f"{path} is not JSON, nor any other text") from error
        except ValueError as error:
            raise ArtifactError(f"{path} is not JSON: {error}") from error

    def artifact(self, folder: Path, precision: Precision, pruned: bool = False) -> Artifact:
        """The artifact of that precision in ``folder``, of the pruned or the unpruned source.

        Raises `ArtifactError` when there is none, or its bytes are not those of the manifest.
        """
        for record in self.artifacts:
            recipe = record.recipe
            if recipe.precision == precision and (recipe.pruning is not None) == pruned:
                return bind(record, folder)
        kind = "pruned" if pruned else "unpruned"
        raise ArtifactError(
            f"{folder} holds no {f'{kind} ' if self.pruned else ''}{precision} artifact"
        )

    def full(self, folder: Path) -> Artifact:
        """The artifact nothing was taken from: float32, unpruned. Raises `ArtifactError`."""
        return self.artifact(folder, "float32")

    def shipped(self, folder: Path) -> Artifact:
        """The artifact that goes to the phone. Raises `ArtifactError`."""
        return bind(self.artifacts[-1], folder)

    def pruned_source(self, folder: Path) -> Path:
        """The pruned ONNX model in ``folder``.

        Raises `ArtifactError` when the export did not prune, or the file is another.
        """
        if self.pruned is None:
            raise ArtifactError(f"{folder} holds no pruned model")
        path = folder / self.pruned.file
        _check_bytes(path, self.pruned.sha256)
        return path


def bind(record: ArtifactRecord, folder: Path) -> Artifact:
    """The file behind ``record``, with its bytes checked. Raises `ArtifactError`."""
    path = folder / record.file
    _check_bytes(path, record.sha256)
    return Artifact(
        path=path,
        sha256=record.sha256,
        inputs=record.inputs,
        outputs=record.outputs,
        signature=record.signature,
        operators=sum(record.operators.values()),
        kinds=frozenset(record.operators),
    )


def _check_bytes(path: Path, sha256: str) -> None:
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if digest != sha256:
        raise ArtifactError(
            f"{path} is not the file its manifest names: SHA-256 {digest[:12]}… instead of "
            f"{sha256[:12]}…; to test a changed file, name it as the model"
        )


def spec_from_json(data: Mapping[str, Any]) -> TensorSpec:
    quantization = data.get("quantization")
    return TensorSpec(
        name=data["name"],
        shape=tuple(data["shape"]),
        dtype=data["dtype"],
        quantization=Quantization(**quantization) if quantization else None,
    )


def binding_from_json(data: Mapping[str, Any]) -> Binding:
    return Binding(
        source=spec_from_json(data["source"]),
        artifact=spec_from_json(data["artifact"]),
        permutation=tuple(data["permutation"]),
        signature_name=data["signature_name"],
    )


def record_from_json(data: Mapping[str, Any]) -> ArtifactRecord:
    return ArtifactRecord(
        file=data["file"],
        sha256=data["sha256"],
        bytes=data["bytes"],
        recipe=Recipe.from_json(data["recipe"]),
        signature=data["signature"],
        inputs=tuple(binding_from_json(b) for b in data["inputs"]),
        outputs=tuple(binding_from_json(b) for b in data["outputs"]),
        operators=dict(data["operators"]),
        float_operators=dict(data["float_operators"]),
        index_limits=dict(data["index_limits"]),
        produced_by=dict(data["produced_by"]),
    )


def _pruned_from_json(data: Mapping[str, Any]) -> PrunedSource:
    return PrunedSource(
        file=data["file"],
        sha256=data["sha256"],
        pruning=Pruning(**data["pruning"]),
        layers=tuple(PrunedLayer(**layer) for layer in data["layers"]),
    )
