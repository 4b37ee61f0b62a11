"""A TensorFlow function, of Keras or a SavedModel, as it is. Imported by the child process only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from devdiff.exporter.converters.tf_function_io import Converted
    from devdiff.exporter.manifest import SourceModel

PHASE: Final = ""


def convert(_source: SourceModel, model: Any, _scratch: Path) -> Converted:
    """What `devdiff.exporter.sources.tf_function.FixedFunction` is already."""
    converted: Converted = model.converted()
    return converted
