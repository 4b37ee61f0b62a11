"""What a converter has to offer, and which there are.

A new converter is a module with the two names of `Converter`, and a line in `CONVERTERS`. They run
in child processes only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from devdiff.exporter.converters.tf_function_io import Converted
    from devdiff.exporter.manifest import SourceModel
    from devdiff.exporter.sources.source import SourceForm

CONVERTERS: Final[Mapping[SourceForm, str]] = {
    "onnx": "devdiff.exporter.converters.onnx_to_tf",
    "function": "devdiff.exporter.converters.tf_function",
}
"""The module for each form in which a source goes on (`ReadSource.form`)."""


class Converter(Protocol):
    """A module that makes a TensorFlow function of one form of source."""

    PHASE: str
    """What it does, for the progress line; empty where it takes no time."""

    def convert(self, source: SourceModel, model: Any, scratch: Path, /) -> Converted:
        """Convert ``model``, which ``source`` describes.

        ``scratch`` is the working directory, for what has to be written on the way. Raises
        `ConversionError` naming what stopped it.
        """


def converter(form: SourceForm) -> Converter:
    """The converter for a form of source."""
    found: Converter = importlib.import_module(CONVERTERS[form])
    return found
