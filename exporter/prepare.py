"""A source model made ready for recipes: pruned, converted, as float32. For the worker only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from devdiff.exporter import apart
from devdiff.exporter.artifact import Array, sha256_file
from devdiff.exporter.converters.converter import converter
from devdiff.exporter.converters.tf_function_io import Converted
from devdiff.exporter.errors import CompressionError
from devdiff.exporter.manifest import PRUNED_NAME, PrunedSource, SourceModel
from devdiff.exporter.quantizers import calibration
from devdiff.exporter.recipe import Pruning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devdiff.exporter.sources.source import ReadSource

T = TypeVar("T")

_SIMPLIFYING: Final = "simplifying the model"
_LOADING: Final = "loading TensorFlow"
_WRITING: Final = "writing the float32 artifact"


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """What a source model was converted into; every recipe begins with it.

    ``inputs`` and ``outputs`` are signature names in the order of ``converted``. ``saved_model``,
    ``floating`` (the float32 artifact) and ``pruned_path`` (there if it was pruned) lie in the
    worker's scratch folder. What is made of a ``large`` one is made with `devdiff.exporter.apart`;
    its ``saved_model`` has stand-ins for the large constants, which lie in ``constants``.
    """

    source: SourceModel
    large: bool
    pruning: Pruning | None
    pruned: PrunedSource | None
    pruned_path: Path
    converted: Converted
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    saved_model: Path
    constants: Path | None
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
    source, saved_model = read.source, scratch / "saved_model"
    step: Callable[[Callable[[], T]], T] = _here
    if large := is_large(read):
        # What is held here, every copy of this process would hold, too.
        step, whole = apart.run, write(scratch / "large.onnx", read.onnx.SerializeToString())
        read = replace(read, onnx=None)
        phase(_SIMPLIFYING)
        ready = scratch / "prepared.onnx"
        more = step(partial(_prepare_file, source, whole, ready))
        load = partial(_convert_file, source, ready, more, scratch, phase)
    else:
        load = partial(_convert, read, scratch, phase)
    constants = scratch / "constants" if large else None
    converted, inputs, outputs = step(partial(_save, load, saved_model, constants, phase))
    phase(_WRITING)
    floating = scratch / "float.tflite"
    step(partial(_to_float32, saved_model, floating, constants))
    return PreparedModel(
        source=source,
        large=large,
        pruning=pruning,
        pruned=pruned,
        pruned_path=scratch / PRUNED_NAME,
        converted=converted,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        saved_model=saved_model,
        constants=constants,
        floating=floating,
        notes=(*notes, *converted.notes),
    )


def phases(read: ReadSource, pruning: Pruning | None) -> list[str]:
    """What `make` will say that it does, in order."""
    conversion = converter(read.form).PHASE
    return [
        *([_pruning_phase(pruning)] if pruning is not None else ()),
        *([_SIMPLIFYING] if is_large(read) else ()),
        _LOADING,
        *([conversion] if conversion else ()),
        _WRITING,
    ]


def _pruning_phase(pruning: Pruning) -> str:
    return f"pruning ({pruning})"


def is_large(read: ReadSource) -> bool:
    """Whether the steps of this model's export run in processes of their own."""
    if read.onnx is None:
        return False  # its framework is in this process already
    return int(read.onnx.ByteSize()) >= apart.LARGE


def _here(step: Callable[[], T]) -> T:
    return step()


def _prepare_file(source: SourceModel, path: Path, out: Path) -> tuple[str, ...]:
    from devdiff.exporter.converters import onnx_to_tf

    return onnx_to_tf.prepare_file(source, path, out)


def _convert_file(
    source: SourceModel,
    path: Path,
    notes: tuple[str, ...],
    scratch: Path,
    phase: Callable[[str], None],
) -> Converted:
    from devdiff.exporter.converters import onnx_to_tf

    phase(onnx_to_tf.PHASE)
    converted = onnx_to_tf.convert_file(source, path, notes, scratch)
    apart.give_back()
    return converted


def _save(
    load: Callable[[], Converted],
    saved_model: Path,
    constants: Path | None,
    phase: Callable[[str], None],
) -> tuple[Converted, list[str], list[str]]:
    """Convert the model and write it as a SavedModel; its description, and signature names.

    Large constants lie in the folder ``constants``, where there is one.
    """
    phase(_LOADING)
    from devdiff.exporter.converters.stand_ins import StandIns
    from devdiff.exporter.quantizers import tflite_converter

    converted = load()
    inputs = tflite_converter.signature_names([spec.name for spec in converted.inputs])
    outputs = tflite_converter.signature_names([out.source.name for out in converted.outputs])
    aside = None
    if constants is not None:
        constants.mkdir()
        aside = StandIns(constants)
    tflite_converter.save_function(converted, inputs, outputs, saved_model, aside)
    # The function holds all weights, and is not needed any more.
    return replace(converted, call=None), inputs, outputs


def _to_float32(saved_model: Path, path: Path, constants: Path | None) -> None:
    from devdiff.exporter.quantizers import tflite_converter

    tflite_converter.to_float32(saved_model, path, constants)


def _convert(read: ReadSource, scratch: Path, phase: Callable[[str], None]) -> Converted:
    chosen = converter(read.form)
    if chosen.PHASE:
        phase(chosen.PHASE)
    model = read.function if read.form == "function" else read.onnx
    return chosen.convert(read.source, model, scratch)


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
    phase(_pruning_phase(pruning))
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
