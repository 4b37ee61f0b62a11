"""What a reader of source models has to offer.

A new kind of source is a module with a function ``read`` (`SourceReader`), and an entry in
`devdiff.exporter.sources.formats.FORMATS`. Readers run in child processes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from devdiff.exporter.artifact import file_hashes, sha256_path
from devdiff.exporter.manifest import SourceModel
from devdiff.exporter.sources.formats import SourceFormat

Shapes = Mapping[str, tuple[int, ...]]
SourceForm = Literal["onnx", "function"]


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A model to read, and the user's choices about it.

    ``shapes`` fixes the shapes of inputs by name, ``signature`` chooses one of a SavedModel's,
    ``trust`` allows code in the file to run. What has to be written on the way goes into
    ``scratch``.
    """

    path: Path
    kind: SourceFormat
    shapes: Shapes
    signature: str | None
    trust: bool
    scratch: Path

    def named(self, source: SourceModel) -> SourceModel:
        """``source`` as the user's own file, with the hashes of what it consists of."""
        return replace(
            source,
            path=self.path,
            format=self.kind,
            sha256=sha256_path(self.path),
            files=file_hashes(self.path),
            trust=self.trust,
        )


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

    @property
    def form(self) -> SourceForm:
        """Which converter it is for."""
        return "function" if self.function is not None else "onnx"


class SourceReader(Protocol):
    """A module that reads one kind of source model, or several."""

    def read(self, request: ReadRequest, /) -> ReadSource:
        """The model, described and in the form in which it is converted.

        Raises `SourceModelError` when it cannot be used as it is, `ConversionError` when its
        framework cannot bring it into that form. Whatever else is raised counts as damage.
        """
