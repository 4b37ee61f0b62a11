"""The input set of a run: fixed on disk once, hashed, split, and the same for every rung."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from devdiff.errors import UsageError
from devdiff.exporter.artifact import Array, TensorSpec
from devdiff.inputs import retention
from devdiff.inputs.builder import Builder
from devdiff.inputs.digest import set_digest
from devdiff.inputs.lint import DataWarning
from devdiff.inputs.request import SYNTHETIC, InputRequest, Progress
from devdiff.inputs.retention import RECORD
from devdiff.system.typed_json import decode, encode

__all__ = ["SYNTHETIC", "InputRequest", "InputSet", "load", "prepare"]


@dataclass(frozen=True, slots=True)
class InputSet:
    """Samples on disk in the source model's names and layout.

    ``arrays`` maps input names to memory maps [rows, *shape]; ``tested`` and ``calibration`` are
    row numbers that never overlap. ``labels`` are class indices of the tested rows. ``sha256``
    covers the tested tensors. ``synthetic`` inputs speak of numerics only. ``names`` are the files
    of the rows under ``root``, where each has its own. ``guessed_classes``, ``at_least`` and
    ``class_names`` are those of `devdiff.inputs.listing.Labels`; ``known_classes`` are the model's,
    by the user's word or by the data set's, as ``classes_origin`` says. Of ``available`` samples
    only some are tested, where a limit was given.
    """

    arrays: Mapping[str, Array]
    tested: Array
    labels: Array | None
    calibration_arrays: Mapping[str, Path]
    calibration_origin: str
    calibration_samples: int
    origin: str
    synthetic: bool
    sha256: str
    notes: tuple[str, ...]
    preprocess: Mapping[str, Any]
    seed: int
    names: tuple[str, ...] = ()
    root: Path | None = None
    guessed_classes: int | None = None
    at_least: bool = False
    class_names: tuple[str, ...] = ()
    known_classes: tuple[str, ...] = ()
    classes_origin: str = ""
    available: int | None = None
    warnings: tuple[DataWarning, ...] = ()

    def __len__(self) -> int:
        return len(self.tested)

    @property
    def rows(self) -> int:
        """How many samples there were before a part of them became the calibration set."""
        return len(next(iter(self.arrays.values()), self.tested))

    def with_classes(self, classes: Sequence[str]) -> InputSet:
        """With labels that were numbered by name order numbered by ``classes`` instead.

        Raises `UsageError` when they were not, or one has a name that is none of them.
        """
        if self.labels is None or not self.class_names:
            raise UsageError(
                f"--classes is for labels that are names: those of {self.origin} are "
                f"{'not there' if self.labels is None else 'numbers already'}"
            )
        unknown = next((name for name in self.class_names if name not in classes), None)
        if unknown is not None:
            raise UsageError(
                f"{unknown!r} among the labels of {self.origin} is none of the {len(classes)} "
                "names of --classes"
            )
        order = np.array([classes.index(name) for name in self.class_names], np.int64)
        return replace(self, labels=order[self.labels], guessed_classes=None, class_names=())

    def with_labels_of(self, outputs: Sequence[TensorSpec]) -> tuple[InputSet, str | None]:
        """Without labels that were numbered by name order, unless an output has as many classes;
        and a note when they go."""
        counts = {spec.elements for spec in outputs if sum(size > 1 for size in spec.shape) == 1}
        wanted = self.guessed_classes
        if (
            wanted is None
            or wanted in counts
            or (self.at_least and max(counts, default=0) > wanted)
        ):
            return self, None
        note = (
            f"the {wanted} classes of {self.origin} are not as many as an output of the model has, "
            "so they are not used as labels; --classes names a file with the model's class names "
            "in order"
        )
        return replace(self, labels=None, notes=(*self.notes, note)), note

    def borne_out(self) -> InputSet:
        """Without warnings that true answers refute: values on a scale that a model is right with
        are those that it takes."""
        kept = tuple(warning for warning in self.warnings if warning.kind != "range")
        return replace(self, warnings=kept)

    def sample(self, index: int) -> dict[str, Array]:
        """Tested sample ``index``: input name to array of the input's shape."""
        row = int(self.tested[index])
        return {name: array[row] for name, array in self.arrays.items()}

    def describe(self, index: int) -> dict[str, Any]:
        """Row, file name and label of tested sample ``index``, for people."""
        row = int(self.tested[index])
        return {
            "row": row,
            "name": self.names[row] if self.names else None,
            "label": int(self.labels[index]) if self.labels is not None else None,
        }

    def to_json(self) -> dict[str, Any]:
        """What the report says of the inputs."""
        return {
            "origin": self.origin,
            "samples": len(self),
            "available": self.available,
            "synthetic": self.synthetic,
            "labelled": self.labels is not None,
            "sha256": self.sha256,
            "preprocess": dict(self.preprocess),
            "seed": self.seed,
            "calibration": {
                "origin": self.calibration_origin,
                "samples": self.calibration_samples,
            },
            "notes": list(self.notes),
            "warnings": encode(self.warnings),
        }


def prepare(
    request: InputRequest,
    inputs: tuple[TensorSpec, ...],
    limits: Mapping[str, int],
    folder: Path,
    calibrate: bool,
    progress: Progress = lambda done, total: None,
) -> InputSet:
    """Fix the input set of a run in ``folder``; what an earlier run fixed there is taken as it is,
    and made again where `devdiff.inputs.retention.release` removed it.

    ``limits`` bounds integer inputs that index a table. Raises `UsageError` when the data does not
    fit the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / RECORD
    if record.exists():
        retention.restore(folder, inputs, progress)
        fixed = load(folder, inputs)
        if set_digest(folder, inputs, fixed.tested) != fixed.sha256:
            raise UsageError(f"{folder} was changed since its run began: start a new run")
        return fixed
    data = Builder(request, inputs, limits, folder, calibrate, progress).build()
    origin = retention.Origin(request, calibrate, limits)
    data["origin_data"] = origin.to_json() if origin.repeatable else None
    temporary = record.with_suffix(".partial")
    temporary.write_text(json.dumps(data, indent=2))
    temporary.replace(record)
    return load(folder, inputs)


def load(folder: Path, inputs: tuple[TensorSpec, ...]) -> InputSet:
    """What `prepare` fixed in ``folder``; without ``inputs`` all but the tensors themselves."""
    data = json.loads((folder / RECORD).read_text())
    arrays = {
        spec.name: np.load(folder / f"{position}.npy", mmap_mode="r", allow_pickle=False)
        for position, spec in enumerate(inputs)
    }
    labels = folder / "labels.npy"
    return InputSet(
        arrays=arrays,
        tested=np.load(folder / "tested.npy", allow_pickle=False),
        labels=np.load(labels, allow_pickle=False) if labels.exists() else None,
        calibration_arrays={
            spec.name: folder / f"calibration-{position}.npy"
            for position, spec in enumerate(inputs)
        },
        calibration_origin=data["calibration_origin"],
        calibration_samples=data["calibration_samples"],
        origin=data["origin"],
        synthetic=data["synthetic"],
        sha256=data["sha256"],
        notes=tuple(data["notes"]),
        preprocess=data["preprocess"],
        seed=data["seed"],
        names=tuple(data["names"]),
        root=Path(data["root"]) if data["root"] else None,
        guessed_classes=data["guessed_classes"],
        at_least=data["at_least"],
        class_names=tuple(data.get("class_names", ())),
        known_classes=tuple(data.get("known_classes", ())),
        classes_origin=data.get("classes_origin", ""),
        available=data.get("available"),
        warnings=decode(tuple[DataWarning, ...], data.get("warnings", [])),
    )
