"""What the user asked to test with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devdiff.inputs.preprocess import NO_PREPROCESS, Preprocess
from devdiff.inputs.sources import InputSource
from devdiff.options import SEED

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class InputRequest:
    """What the user asked to test with; ``inputs`` None means synthetic samples.

    Data sets are named as `devdiff.inputs.sources.InputSource` takes them. ``classes`` is a file
    with the names of the classes, one a line, by which named classes are numbered. Of the samples
    that would be tested at most ``limit`` are (`devdiff.inputs.selection.spread`); None: all.
    """

    inputs: Path | None = None
    labels: Path | None = None
    classes: Path | None = None
    calibration: Path | None = None
    preprocess: Preprocess = NO_PREPROCESS
    seed: int = SEED
    limit: int | None = None

    def fingerprint(self) -> dict[str, Any]:
        """Names the request and the state of its files without reading them."""
        return {
            "inputs": _state(self.inputs),
            "labels": file_state(self.labels),
            "classes": file_state(self.classes),
            "calibration": _state(self.calibration),
            "preprocess": self.preprocess.to_json(),
            "seed": self.seed,
            "limit": self.limit,
        }


SYNTHETIC: Final = InputRequest()


def _state(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    source = InputSource.of(path)
    return [source.part, *(file_state(file) for file in source.files())]


def file_state(path: Path | None) -> list[Any] | None:
    """What tells whether a file changed, without reading it."""
    if path is None:
        return None
    return [str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns]
