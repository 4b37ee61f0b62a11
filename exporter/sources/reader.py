"""Any source model, read and described. Imported by the worker only."""

from __future__ import annotations

import importlib
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from devdiff.exporter.errors import ExporterError, SourceModelError
from devdiff.exporter.sources.formats import FORMATS, format_of
from devdiff.exporter.sources.source import ReadRequest

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.sources.source import ReadSource, Shapes, SourceReader


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
        reader: SourceReader = importlib.import_module(FORMATS[kind].reader)
        found = reader.read(ReadRequest(path, kind, shapes, signature, trust, scratch))
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
