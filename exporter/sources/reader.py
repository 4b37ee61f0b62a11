"""Any source model, read and described. Imported by the worker only."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from devdiff.exporter.artifact import file_hashes, sha256_path
from devdiff.exporter.errors import ExporterError, SourceModelError
from devdiff.exporter.manifest import SourceModel
from devdiff.exporter.sources import onnx as onnx_source
from devdiff.exporter.sources.formats import SourceFormat, format_of

if TYPE_CHECKING:
    from pathlib import Path

_EXPORTED_NAME: Final = "source.onnx"
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class ReadSource:
    """A source model and the form in which it goes on.

    Either ``onnx`` (an `onnx.ModelProto`) or ``function`` (a `tf_function.FixedFunction`).
    ``notes`` tell of the user's choices about it.
    """

    source: SourceModel
    onnx: Any = None
    function: Any = None
    notes: tuple[str, ...] = ()


def read(
    path: Path, shapes: Shapes, signature: str | None, trust: bool, scratch: Path
) -> ReadSource:
    """Read the model at ``path``; what has to be written on the way goes into ``scratch``.

    Raises `SourceModelError` when it cannot be used as it is, `ConversionError` when its framework
    cannot bring it into the form that is converted.
    """
    kind = format_of(path)
    if kind is None:
        raise SourceModelError(f"{path} is a finished .tflite, not a source model")
    if signature is not None and kind != "saved-model":
        raise SourceModelError(f"--signature is for SavedModels; {path.name} has one function only")
    notes = [f"signature {signature}"] if signature else []
    notes += [f"code in {path.name} was trusted"] if trust else []
    try:
        found = _read(path, kind, shapes, signature, trust, scratch)
        return replace(found, notes=tuple(notes))
    except (ExporterError, OSError, MemoryError):
        raise
    except Exception as error:
        # No list of what parsers and frameworks make of damaged files is ever complete.
        traceback.print_exc()
        reason = " ".join(str(error).split())[:300]
        raise SourceModelError(
            f"{path} cannot be read, it may be damaged: {type(error).__name__}: {reason}"
        ) from error


def _read(
    path: Path,
    kind: SourceFormat,
    shapes: Shapes,
    signature: str | None,
    trust: bool,
    scratch: Path,
) -> ReadSource:
    match kind:
        case "onnx":
            model = onnx_source.load(path)
            return ReadSource(onnx_source.describe(path, model, shapes), onnx=model)
        case "exported-program" | "torch":
            return _read_torch(path, kind, shapes, trust, scratch)
        case "keras" | "saved-model":
            return _read_tensorflow(path, kind, shapes, signature, trust)


def _read_torch(
    path: Path, kind: SourceFormat, shapes: Shapes, trust: bool, scratch: Path
) -> ReadSource:
    from devdiff.exporter.sources import torch as torch_source
    from devdiff.exporter.sources import torch_onnx

    loaded = torch_source.load(path, trust)
    exported = scratch / _EXPORTED_NAME
    torch_onnx.to_onnx(loaded, shapes, exported)
    model = onnx_source.load(exported)
    described = onnx_source.describe(exported, model, shapes)
    exported.unlink()
    return ReadSource(
        replace(_named(described, path, kind, trust), runtime="torch"),
        onnx=model,
    )


def _read_tensorflow(
    path: Path, kind: SourceFormat, shapes: Shapes, signature: str | None, trust: bool
) -> ReadSource:
    from devdiff.exporter.sources import keras, saved_model, tf_function

    if kind == "keras":
        loaded = keras.load(path, trust)
    else:
        loaded = saved_model.load(path, signature, trust)
    function = tf_function.fix(loaded, shapes)
    described = SourceModel(
        path, kind, "", {}, function.inputs, function.outputs, function.index_limits
    )
    return ReadSource(
        replace(_named(described, path, kind, trust), runtime=loaded.runtime, signature=signature),
        function=function,
    )


def _named(source: SourceModel, path: Path, kind: SourceFormat, trust: bool) -> SourceModel:
    """``source`` as the user's own file, with the hashes of what it consists of."""
    return replace(
        source,
        path=path,
        format=kind,
        sha256=sha256_path(path),
        files=file_hashes(path),
        trust=trust,
    )
