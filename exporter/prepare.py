"""A source model made ready for recipes: pruned, converted, as float32. For the worker only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from devdiff.exporter.artifact import Array, sha256_file
from devdiff.exporter.converters.tf_function_io import Converted
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.manifest import PRUNED_NAME, PrunedSource, SourceModel
from devdiff.exporter.quantizers import calibration
from devdiff.exporter.recipe import Pruning

if TYPE_CHECKING:
    from devdiff.exporter.sources.reader import ReadSource


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """What a source model was converted into; every recipe begins with it.

    ``inputs`` and ``outputs`` are signature names in the order of ``converted``. ``saved_model``,
    ``floating`` (the float32 artifact) and ``pruned_path`` (there if it was pruned) lie in the
    worker's scratch folder.
    """

    source: SourceModel
    pruning: Pruning | None
    pruned: PrunedSource | None
    pruned_path: Path
    converted: Converted
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    saved_model: Path
    floating: Path
    notes: tuple[str, ...]

    def calibration(self, paths: Mapping[str, str]) -> dict[str, Array]:
        """The representative dataset, arrays [N, *shape] by signature name, of source names' files.

        Raises `CalibrationError` when it does not fit or is not finite.
        """
        return {
            signature: calibration.load(spec, paths)
            for spec, signature in zip(self.converted.inputs, self.inputs, strict=True)
        }


def make(
    read: ReadSource, pruning: Pruning | None, scratch: Path, phase: Callable[[str], None]
) -> PreparedModel:
    """Prune and convert ``read``; what is written on the way goes into ``scratch``.

    Raises `CompressionError` or `ConversionError`.
    """
    pruned, notes = None, read.notes
    if pruning is not None:
        read, pruned, more = _prune(read, pruning, scratch, phase)
        notes += more
    phase("loading TensorFlow")
    from devdiff.exporter.quantizers import tflite_converter

    converted = _convert(read, scratch, phase)
    inputs = tflite_converter.signature_names([spec.name for spec in converted.inputs])
    outputs = tflite_converter.signature_names([out.source.name for out in converted.outputs])
    saved_model = scratch / "saved_model"
    tflite_converter.save_function(converted, inputs, outputs, saved_model)
    phase("writing the float32 artifact")
    floating = write(scratch / "float.tflite", tflite_converter.to_float32(saved_model))
    return PreparedModel(
        source=read.source,
        pruning=pruning,
        pruned=pruned,
        pruned_path=scratch / PRUNED_NAME,
        converted=converted,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        saved_model=saved_model,
        floating=floating,
        notes=(*notes, *converted.notes),
    )


def _convert(read: ReadSource, scratch: Path, phase: Callable[[str], None]) -> Converted:
    if read.function is not None:
        converted: Converted = read.function.converted()
        return converted
    from devdiff.exporter.converters import onnx_to_tf

    phase("converting ONNX to TensorFlow")
    return onnx_to_tf.convert(read.source, read.onnx, scratch)


def _prune(
    read: ReadSource, pruning: Pruning, folder: Path, phase: Callable[[str], None]
) -> tuple[ReadSource, PrunedSource, tuple[str, ...]]:
    """The model with its weights pruned, also left in ``folder``; its record, and notes."""
    from devdiff.exporter import prune

    if read.onnx is None:
        raise CompressionError(
            f"{pruning}: weights are pruned in ONNX, and {read.source.path.name} is converted "
            "without it; prune it in its own framework, or export it to ONNX first"
        )
    phase(f"pruning ({pruning})")
    model, layers, notes = prune.prune(read.onnx, pruning)
    path = write(folder / PRUNED_NAME, model.SerializeToString())
    record = PrunedSource(path.name, sha256_file(path), pruning, layers)
    return replace(read, onnx=model), record, notes


def write(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all."""
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(data)
    temporary.replace(path)
    return path
