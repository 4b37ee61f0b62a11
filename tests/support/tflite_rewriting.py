"""Changing .tflite files through the schema's object tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from devdiff.exporter.tflite_file import parse


def rewritten(path: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """A copy of a model, changed through the schema's object tree."""
    import flatbuffers

    model = parse(path)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target
