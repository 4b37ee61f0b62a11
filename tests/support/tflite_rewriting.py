"""Changing .tflite files through the schema's object tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devdiff.exporter.tflite_file import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def rewritten(path: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a model, changed through the schema's object tree."""
    import flatbuffers

    model = parse(path)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target
